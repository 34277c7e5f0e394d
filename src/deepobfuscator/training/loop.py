"""Playing a game: the training loop, its learning rate, its checkpoints.

All randomness is seeded by (seed, phase, epoch or batch), never drawn from a running generator, so
a checkpoint consists of the players, their optimisers and a position.
"""

import io
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from deepobfuscator.core.errors import InputError
from deepobfuscator.core.files import write_atomic
from deepobfuscator.core.runtime import Context
from deepobfuscator.data.batches import Batch, Material
from deepobfuscator.nn.vgg import renew
from deepobfuscator.training.graphs import Recorder, adam, set_rate
from deepobfuscator.training.objectives import Phase, Players, Round, Stage, TrainConfig

WARM_UP = 0.05
"""Fraction of a phase over which the learning rate rises to its full value."""
FINAL_RATE = 0.01
"""Fraction of the learning rate left at the end of a phase."""
HISTORY_EVERY = 100
"""Batches between two points of the training curves (figure 6)."""


def play_stage(
    current: Stage,
    batch: Batch,
    players: Players,
    optimisers: Mapping[str, torch.optim.Optimizer],
    context: Context,
) -> dict[str, Tensor]:
    """Play one batch: exactly the stage's movers change, batch-norm buffers included.

    Parameters that require no gradient are unchanged; one that the loss does not use has gradient
    0.
    """
    for name, player in players.items():
        set_mode(player, name in current.movers, current.by_batch)
    losses: dict[str, Tensor] = {}
    for turn in range(current.repeat):
        r = Round(players, batch, current.movers, context)
        for step in current.updates:
            movers = [players[name] for name in step.movers]
            parameters = [p for m in movers for p in m.parameters() if p.requires_grad]
            gradients = torch.autograd.grad(step.loss(r), parameters, materialize_grads=True)
            for p, g in zip(parameters, context.average(gradients), strict=True):
                # Fused Adam iterates over raw memory: another layout would mix up the weights.
                p.grad = g if g.stride() == p.stride() else torch.empty_like(p).copy_(g)
            for name in step.movers:
                optimisers[current.optimiser(name)].step()
        losses |= r.losses()
        if turn + 1 < current.repeat:
            batch.features = r.features.detach()
    average_statistics([players[name] for name in sorted(current.movers)], context)
    return losses


def set_mode(player: nn.Module, moves: bool, by_batch: bool = False) -> None:
    """Prepare ``player`` for a stage: one that does not move is unchanged, whether its batch norm
    uses running statistics or, if ``by_batch``, those of the batch.
    """
    player.train(moves)
    for norm in (m for m in player.modules() if isinstance(m, _BatchNorm)):
        norm.train(moves or by_batch)
        norm.track_running_stats = moves or not by_batch


def average_statistics(players: Iterable[nn.Module], context: Context) -> None:
    """Synchronise running batch-norm statistics over ranks; on GPUs they already are."""
    if context.ranks > 1 and context.device.type == "cpu":
        found = [b for p in players for b in p.buffers() if b.is_floating_point()]
        for buffer, mean in zip(found, context.average(found), strict=True):
            buffer.copy_(mean)


def learning_rate(peak: float, batch: int, total: int, anneal: bool = True) -> float:
    """Linear rise over the first 5 % of a phase, then half a cosine down to 1 % of ``peak``, or
    ``peak`` throughout.
    """
    rise = max(1, round(WARM_UP * total))
    if batch < rise:
        return peak * (batch + 1) / rise
    if not anneal:
        return peak
    fall = (batch - rise) / max(1, total - rise)
    return peak * (FINAL_RATE + (1 - FINAL_RATE) * (1 + math.cos(math.pi * fall)) / 2)


def derive_seed(*numbers: int) -> int:
    """A seed for the named position in the run; distinct positions get independent seeds."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


@dataclass
class _Position:
    """A game's position; with players and optimisers, the content of a checkpoint."""

    phase: int = 0
    batch: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    sums: dict[str, Tensor] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    best_score: float = -math.inf
    best: dict[str, dict[str, Tensor]] = field(default_factory=dict)

    def count(self, losses: Mapping[str, Tensor]) -> None:
        # Read in `point` only: reading a value from a GPU synchronises with it.
        for name, loss in losses.items():
            self.sums[name] = self.sums.get(name, 0) + loss.double()
            self.counts[name] = self.counts.get(name, 0) + 1

    def point(self, phase: str, batch: int, epoch: float, context: Context) -> None:
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
        for name in movers:
            players[name].eval()
        score = judge(players)
        if score > self.best_score:
            self.best_score = score
            self.best = deepcopy({name: players[name].state_dict() for name in movers})
        return score

    def restore_best(self, players: Players) -> None:
        for name, state in self.best.items():
            players[name].load_state_dict(state)
        self.best, self.best_score = {}, -math.inf


def play(
    players: Players,
    phases: Sequence[Phase],
    material: Material,
    setting: TrainConfig,
    context: Context,
    checkpoint: Path | None = None,
    title: str = "",
) -> list[dict[str, Any]]:
    """Play ``phases`` on ``material``; players are trained in place and left in evaluation mode,
    without gradients.

    Args:
        players: networks by the paper's names, on ``context.device``.
        phases: phases of the game, in order.
        material: source of batches.
        setting: batch size, learning rate, seed.
        context: device, precision, progress.
        checkpoint: file to resume from, if it exists; the caller removes it at the end.
        title: progress title, shown before the phase's name.

    Returns:
        The training curves: one dict for every 100 batches (fewer in short phases) with phase,
        batch (over all phases), epoch and the mean of each loss computed since the last; where a
        phase has a score, one dict for every epoch with phase, batch and score.

    Raises:
        InputError: a loss is no longer finite, the checkpoint belongs to another game, or the
            batch cannot be split over the ranks.
    """
    at = _Position()
    states: dict[str, Any] = {}
    begun = context.share(
        lambda: checkpoint.read_bytes() if checkpoint and checkpoint.exists() else None
    )
    if begun is not None:
        at, states = _load(begun, checkpoint, players, context)
    size = context.divisible(min(setting.batch_size, len(material)))
    per_epoch = len(material) // size
    lengths = [p.batches(per_epoch) for p in phases]
    for index, phase in list(enumerate(phases))[at.phase :]:
        total = lengths[index]
        recorder = Recorder(context, phase.steady)
        names = {s.optimiser(name): name for s in phase.stages for name in sorted(s.movers)}
        optimisers = {
            key: adam(players[name], recorder.records, states.get(key))
            for key, name in names.items()
        }
        states = {}
        order, order_of = np.empty(0, dtype=np.int64), -1
        with context.progress(f"{title}{phase.name}", total, at.batch) as bar:
            path = checkpoint if context.rank == 0 else None
            saver = _Saver(path, context.checkpoint_seconds, players, optimisers)
            if phase.prepare and at.batch == 0:
                phase.prepare(players, material, context)
            for b in range(at.batch, total):
                epoch, within = divmod(b, per_epoch)
                if epoch != order_of:
                    draw = np.random.default_rng(derive_seed(setting.seed, index, epoch, 0))
                    order, order_of = draw.permutation(len(material)), epoch
                rate = learning_rate(phase.rate * setting.learning_rate, b, total, phase.anneal)
                for name in (anew := phase.renewed(b)):
                    renew(players[name], derive_seed(setting.seed, index, b, 3))
                for key, name in names.items():
                    set_rate(optimisers[key], rate * phase.rates.get(name, 1.0), name in anew)
                torch.manual_seed(derive_seed(setting.seed, index, b, 1, context.rank))
                rows = np.sort(order[within * size : (within + 1) * size])
                draw = np.random.default_rng(derive_seed(setting.seed, index, b, 2))
                batch = material.batch(rows, context.device, draw, context.part)
                number = b % len(phase.stages)
                step = partial(
                    play_stage,
                    phase.stages[number],
                    players=players,
                    optimisers=optimisers,
                    context=context,
                )
                at.count(recorder.play(number, step, batch))
                at.batch, done = b + 1, sum(lengths[:index]) + b + 1
                if phase.watch:
                    phase.watch(at.batch, players)
                every = min(HISTORY_EVERY, max(len(phase.stages), total // 20))
                if at.batch % every == 0 or at.batch == total:
                    at.point(phase.name, done, at.batch / per_epoch, context)
                if phase.score and (at.batch % per_epoch == 0 or at.batch == total):
                    score = at.keep_best(phase.score, phase.movers, players)
                    at.history.append({"phase": phase.name, "batch": done, "score": score})
                bar.advance()
                saver.maybe(at)
            at.restore_best(players)
            at.phase, at.batch = index + 1, 0
            saver.optimisers = {}
            saver.now(at)
    for player in players.values():
        set_mode(player, False)
        player.zero_grad()
    return at.history


@dataclass
class _Saver:
    """Writes the checkpoint at intervals."""

    path: Path | None
    seconds: float
    players: Players
    optimisers: Mapping[str, torch.optim.Optimizer]
    last: float = field(default_factory=monotonic)
    took: float = 0.0

    def maybe(self, at: _Position) -> None:
        # A large game's checkpoint may take seconds: writing takes at most 5 % of the time.
        if monotonic() - self.last >= max(self.seconds, 20 * self.took):
            self.now(at)

    def now(self, at: _Position) -> None:
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


def _load(
    begun: bytes, path: Path | None, players: Players, context: Context
) -> tuple[_Position, dict[str, Any]]:
    try:
        state = torch.load(io.BytesIO(begun), map_location=context.device, weights_only=True)
        for name, player in players.items():
            player.load_state_dict(state["players"][name])
        at = _Position(**state["position"], history=json.loads(state["history"]))
    except Exception as error:
        raise InputError(
            f"cannot resume from {path} ({type(error).__name__}): delete it to restart this part"
        ) from error
    return at, state["optimisers"]
