"""Where a game is, and its checkpoints."""

import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from torch import Tensor

from deepobfuscator.core.errors import InputError
from deepobfuscator.core.files import write_atomic
from deepobfuscator.core.runtime import Context
from deepobfuscator.training.objectives import Players


@dataclass
class Position:
    """A game's position; with players and optimisers, the content of a checkpoint."""

    phase: int = 0
    batch: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    sums: dict[str, Tensor] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    best_score: float = -math.inf
    best: dict[str, dict[str, Tensor]] = field(default_factory=dict)

    def count(self, losses: Mapping[str, Tensor]) -> None:
        """Add a batch's losses."""
        # Read in `point` only: reading a value from a GPU synchronises with it.
        for name, loss in losses.items():
            self.sums[name] = self.sums.get(name, 0) + loss.double()
            self.counts[name] = self.counts.get(name, 0) + 1

    def point(self, phase: str, batch: int, epoch: float, context: Context) -> None:
        """Append the mean losses since the last point to the training curves.

        Raises:
            InputError: one is not finite.
        """
        names = sorted(self.sums)
        sums = context.average([self.sums[name] for name in names])
        means = {name: float(s) / self.counts[name] for name, s in zip(names, sums, strict=True)}
        for name, mean in means.items():
            if not math.isfinite(mean):
                raise InputError(
                    f"training diverged: {name} is {mean} by batch {self.batch} of {phase!r}; "
                    "lower --learning-rate"
                )
        epoch = round(epoch, 4)
        self.history.append({"phase": phase, "batch": batch, "epoch": epoch, "losses": means})
        self.sums, self.counts = {}, {}

    def keep_best(
        self, judge: Callable[[Players], float], movers: Sequence[str], players: Players
    ) -> float:
        """Keep the movers' state if ``judge`` gives it more than any before; returns the score."""
        for name in movers:
            players[name].eval()
        score = judge(players)
        if score > self.best_score:
            self.best_score = score
            self.best = deepcopy({name: players[name].state_dict() for name in movers})
        return score

    def restore_best(self, players: Players) -> None:
        """Set the players back to the best state, if one was kept."""
        for name, state in self.best.items():
            players[name].load_state_dict(state)
        self.best, self.best_score = {}, -math.inf


@dataclass
class Saver:
    """Writes the checkpoint at intervals."""

    path: Path | None
    seconds: float
    players: Players
    optimisers: Mapping[str, torch.optim.Optimizer]
    last: float = field(default_factory=monotonic)
    took: float = 0.0

    def maybe(self, at: Position) -> None:
        """Write it if the last one is long enough ago."""
        # A large game's checkpoint may take seconds: writing takes at most 5 % of the time.
        if monotonic() - self.last >= max(self.seconds, 20 * self.took):
            self.now(at)

    def now(self, at: Position) -> None:
        """Write it."""
        if self.path is None:
            return
        began = monotonic()
        state = {
            "position": {k: v for k, v in vars(at).items() if k != "history"},
            "history": json.dumps(at.history),
            "players": {n: p.state_dict() for n, p in self.players.items()},
            "optimisers": {n: o.state_dict() for n, o in self.optimisers.items()},
        }
        write_atomic(self.path, lambda path: torch.save(state, path))
        self.last = monotonic()
        self.took = self.last - began


def resumed(
    begun: bytes, path: Path | None, players: Players, context: Context
) -> tuple[Position, dict[str, Any]]:
    """Position and optimisers' states of the checkpoint ``begun``, read from ``path``; the players
    are set to theirs.

    Raises:
        InputError: it belongs to another game, or cannot be read.
    """
    try:
        state = torch.load(io.BytesIO(begun), map_location=context.device, weights_only=True)
        for name, player in players.items():
            player.load_state_dict(state["players"][name])
        at = Position(**state["position"], history=json.loads(state["history"]))
    except Exception as error:
        raise InputError(
            f"cannot resume from {path} ({type(error).__name__}): delete it to restart this part"
        ) from error
    return at, state["optimisers"]
