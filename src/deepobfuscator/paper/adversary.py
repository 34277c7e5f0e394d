"""The training adversaries on the frozen encoder: at the end of the game, and a few steps later.

In the game an adversary is scored in its current state: with running statistics of an encoder that
has since changed, and a threshold of one half. A newly trained attacker has neither handicap. Here
the handicaps of the same networks are removed one by one.
"""

import json
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

import deepobfuscator as do
from deepobfuscator.paper.keys import ACCURACY, IMAGE, MS_SSIM, Measured, Panel, RowKey
from deepobfuscator.paper.render.exhibit import Row

STEPS = {Measured.AFTER_10: 10, Measured.AFTER_50: 50, Measured.AFTER_250: 250}
"""Numbers of optimiser steps on the attacker's own pictures, each from the end of the game."""

LOSSES: Mapping[str, Callable[[do.Round], Tensor]] = {
    "AC": lambda r: r.L_AC,
    "AR": lambda r: r.L_AR1,
}
"""What an adversary minimises (equations 3 and 6)."""


@dataclass(frozen=True)
class Figure:
    """One adversary in one state, on test."""

    player: str
    """AC or AR."""
    state: str
    """Name of a `Measured`."""
    value: float
    """Accuracy of the first private attribute, or mean MS-SSIM."""
    low: float
    """Lower end of its 95 % interval over people."""
    high: float


def rows(runner: do.Runner, folder: Path, attribute: str) -> list[Row]:
    """AC's accuracy of ``attribute``, the run's first private one, and AR's MS-SSIM in every state.

    Computed once and stored in the run folder.

    Raises:
        InputError: nothing trained there, or figures that cannot be read.
    """
    path = folder / "adversary.json"
    with do.locked(folder):
        if not path.exists():
            found = _Frozen.of(runner, folder).figures()
            text = json.dumps([asdict(figure) for figure in found], indent=1)
            do.write_atomic(path, f"{text}\n".encode())
    try:
        kept = [Figure(**held) for held in json.loads(path.read_text())]
        return [_row(figure, attribute) for figure in kept]
    except (ValueError, TypeError, KeyError):
        raise do.InputError(f"{path}: not readable; delete it to make it again") from None


def _row(figure: Figure, attribute: str) -> Row:
    key = RowKey(Measured[figure.state])
    subject, metric = (attribute, ACCURACY) if figure.player == "AC" else (IMAGE, MS_SSIM)
    by = f"training adversary {figure.player}"
    row = Row(Panel(), key, subject, metric, low=figure.low, high=figure.high, attacker=by)
    at = {"in_game" if key.of is Measured.AS_ENDED else "fresh": figure.value}
    return Row(**(vars(row) | at))


@dataclass(frozen=True)
class _Frozen:
    """A trained run as an attacker sees it."""

    players: do.Players
    own: do.AttackerData
    validation: do.AttackerData
    test: do.AttackerData
    setting: do.TrainConfig
    context: do.Context

    @classmethod
    def of(cls, runner: do.Runner, folder: Path) -> "_Frozen":
        audit = runner.opened(folder)
        own, validation, test = (audit.seen[name] for name in ("attacker", "validation", "test"))
        target = audit.target
        return cls(target.bundle.players, own, validation, test, target.setting, target.context)

    def figures(self) -> list[Figure]:
        """Every state of every adversary of the game."""
        found = []
        for player in (name for name in LOSSES if name in self.players):
            ended = self.players[player]
            found.append(self.figure(player, Measured.AS_ENDED, ended))
            again = self.re_estimated(deepcopy(ended))
            found.append(self.figure(player, Measured.RE_ESTIMATED, again))
            tuned = player == "AC"
            if tuned:
                found.append(self.figure(player, Measured.TUNED, again, tuned))
            for of, steps in STEPS.items():
                later = self.re_estimated(self.trained(player, deepcopy(ended), steps))
                found.append(self.figure(player, of, later, tuned))
        return found

    def trained(self, player: str, network: nn.Module, steps: int) -> nn.Module:
        """``network`` after some steps on its own loss on the attacker's pictures."""
        batch = min(self.setting.batch_size, len(self.own))
        passes = (steps - 0.5) / (len(self.own) // batch)  # rounded up to the step
        learn = do.stage("attack", do.update(player, loss=LOSSES[player]))
        phase = do.Phase(f"{steps} steps", passes, (learn,), anneal=False)
        title = f"training adversary {player}, "
        do.play({player: network}, [phase], self.own, self.setting, self.context, title=title)
        return network

    def re_estimated(self, network: nn.Module) -> nn.Module:
        """``network`` in evaluation mode, with running statistics of the attacker's pictures."""
        norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # a plain mean over all batches
            norm.train()
        for chunk in self.own.chunks():
            do.apply(network, self.own.features_of(chunk), self.context)
        return network.eval()

    def figure(self, player: str, of: Measured, network: nn.Module, tuned: bool = False) -> Figure:
        """Score of ``network`` on test."""
        values = self.right(network, tuned) if player == "AC" else self.quality(network)
        mean = do.Bootstrap(self.test.person).mean(values).interval()
        return Figure(player, of.name, mean.value, mean.low, mean.high)

    def right(self, network: nn.Module, tuned: bool) -> NDArray[np.float64]:
        """(n,) whether the first private attribute was predicted correctly."""
        logits, truth = (
            [do.outputs(network, part, self.context)[:, 0].numpy() for part in self.scored],
            [part.labelled.private[:, 0] for part in self.scored],
        )
        cut = do.best_threshold(logits[0], truth[0], ACCURACY) if tuned else 0.0
        return np.asarray((logits[1] >= cut) == truth[1], dtype=np.float64)

    @property
    def scored(self) -> tuple[do.AttackerData, do.AttackerData]:
        """The validation part, for thresholds, and the test part, for figures."""
        return self.validation, self.test

    def quality(self, network: nn.Module) -> NDArray[np.float64]:
        """(n,) MS-SSIM."""
        rows = np.arange(len(self.test))
        wanted = {MS_SSIM: do.ms_ssim}
        return do.image_quality(network, self.test, self.context, rows, wanted)[MS_SSIM]
