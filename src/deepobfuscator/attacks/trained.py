"""How any network becomes an attacker: trained in one phase, kept at its best epoch."""

from abc import abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from deepobfuscator.attacks.base import BRIEF, EXHAUSTIVE, QUICK, SUITES, Attack, Fitted
from deepobfuscator.attacks.channels import any_inverted
from deepobfuscator.attacks.threat import AttackerData, Guess, Rows, Threat
from deepobfuscator.core.errors import InputError
from deepobfuscator.core.registry import suggest
from deepobfuscator.core.runtime import Context
from deepobfuscator.data.augment import as_input
from deepobfuscator.metrics.images import ms_ssim
from deepobfuscator.nn.vgg import initialise
from deepobfuscator.training.bundle import apply
from deepobfuscator.training.loop import derive_seed, play
from deepobfuscator.training.objectives import Loss, Phase, Round, cross_entropy, stage, update

START = 0.1
"""Fraction of the passes that minimise the first loss, if there is one."""


@dataclass(frozen=True)
class TrainedAttack(Attack):
    """A network, trained in one phase; the epoch with the best validation score is kept.

    A subclass defines `network`, and `objective` and `score` if no base class does.
    """

    rate: ClassVar[float] = 1.0
    """Learning rate, as a multiple of the setting's."""
    share: ClassVar[float] = 1.0
    """Number of passes, as a multiple of the setting's."""
    role: ClassVar[str] = "AC"
    """The player of the game that it replaces."""
    length: ClassVar[str] = "infer_epochs"
    """The field of the setting that holds its number of passes."""
    steady: ClassVar[bool] = False
    """Whether its network and loss run the same computation for every batch; see `Phase.steady`."""

    @abstractmethod
    def network(self, threat: Threat) -> nn.Module:
        """A network for features (n, *threat.features), with arbitrary weights."""

    @abstractmethod
    def objective(self, r: Round) -> Tensor:
        """The loss of one batch, a scalar; the network is ``r.players[role]``."""

    @abstractmethod
    def score(self, guess: Guess, threat: Threat, context: Context) -> float:
        """Score of ``guess`` on the attacker's validation inputs; higher is better."""

    def start(self, network: nn.Module, threat: Threat) -> None:
        """Initialise the weights of ``network``."""
        initialise(network, derive_seed(threat.setting.seed, *self.label.encode()))

    def guess(self, network: nn.Module) -> Guess:
        """Features to the trained network's predictions."""
        return network

    def fit(
        self, threat: Threat, context: Context, checkpoint: Path | None = None, title: str = ""
    ) -> Fitted:
        """Train on the attacker's own inputs, from initial weights determined by the seeds."""
        return self.train(threat, context, checkpoint, title)

    def train(
        self,
        threat: Threat,
        context: Context,
        checkpoint: Path | None,
        title: str,
        *,
        first: Loss | None = None,
    ) -> Fitted:
        """As `fit`; the first `START` of all passes minimises ``first``, if given."""
        network = self.network(threat)
        self.start(network, threat)
        context.place(network)
        setting = replace(threat.setting, learning_rate=self.rate * threat.setting.learning_rate)
        if self.seed:
            setting = replace(setting, seed=derive_seed(setting.seed, self.seed) % 2**31)
        epochs, phases = self.passes * self.share * getattr(setting, self.length), list[Phase]()
        if first is not None:
            stages = (stage("start", update(self.role, loss=first)),)
            title = f"{title}L1 first, "
            phases = [Phase(self.label, START * epochs, stages, anneal=False, steady=self.steady)]
            epochs *= 1 - START
        phase = Phase(
            self.label,
            epochs=epochs,
            stages=(stage("attack", update(self.role, loss=self.objective)),),
            score=lambda players: self.score(self.guess(players[self.role]), threat, context),
            steady=self.steady,
        )
        players, phases = {self.role: network}, [*phases, phase]
        history = play(
            players, phases, threat.own, setting, context, checkpoint=checkpoint, title=title
        )
        curve = tuple(float(h["score"]) for h in history if "score" in h)
        return Fitted(self.guess(network), curve, network=network)


@dataclass(frozen=True)
class InferenceAttack(TrainedAttack):
    """Attribute inference: trains as AC does (equation 4); the network returns logits (n, K)."""

    target: ClassVar[str] = "attributes"
    suite: ClassVar[str] = QUICK
    steady: ClassVar[bool] = True
    seeds: ClassVar[tuple[int, ...]] = (1, 1, 3, 5)
    """Number of seeds in each suite."""

    @classmethod
    def variants(cls, suite: str) -> tuple[Self, ...]:
        """Several seeds and, beyond the quick suite, one attacker trained twice as long."""
        seeds = range(cls.seeds[SUITES.index(suite)])
        found = tuple(cls(seed=s) for s in seeds) if super().variants(suite) else ()
        return (*found, cls(passes=2.0)) if found and suite not in (BRIEF, QUICK) else found

    def objective(self, r: Round) -> Tensor:
        """L(AC), equation 3."""
        return r.L_AC

    def score(self, guess: Guess, threat: Threat, context: Context) -> float:
        """L(AC) on validation, negated."""
        labels = torch.from_numpy(threat.validation.labelled.private).float()
        return -float(cross_entropy(outputs(guess, threat.validation, context), labels))


LOSSES: dict[str, Loss] = {
    "ms_ssim": lambda r: r.L_AR1,
    "l1": lambda r: distance(r),
    "mixed": lambda r: 0.84 * r.L_AR1 + 0.16 * distance(r),
}
"""What a reconstructor minimises: equation 6, L1, or both as Zhao et al. (2017) weigh them."""


def distance(r: Round) -> Tensor:
    """Mean absolute difference of image and reconstruction."""
    assert r.batch.pictures is not None
    loss = (r.reconstruction.float() - r.batch.pictures).abs().mean()
    r.noted["L_1"] = loss
    return loss


@dataclass(frozen=True)
class ReconstructionAttack(TrainedAttack):
    """Trains as AR does (equation 7); the network returns images (n, 3, H, W) in [0, 1]."""

    target: ClassVar[str] = "image"
    rate: ClassVar[float] = 8.0
    role: ClassVar[str] = "AR"
    length: ClassVar[str] = "reconstruct_epochs"
    steady: ClassVar[bool] = True

    loss: str = "ms_ssim"
    """ms_ssim, l1 or mixed."""

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise InputError(f"loss {self.loss!r}: {suggest(self.loss, list(LOSSES))}")

    @classmethod
    def variants(cls, suite: str) -> tuple[Self, ...]:
        """All losses in the exhaustive suite."""
        found = super().variants(suite)
        return tuple(cls(loss=loss) for loss in LOSSES) if found and suite == EXHAUSTIVE else found

    def objective(self, r: Round) -> Tensor:
        """The loss selected by the field."""
        return LOSSES[self.loss](r)

    def fit(
        self, threat: Threat, context: Context, checkpoint: Path | None = None, title: str = ""
    ) -> Fitted:
        """Train; if a colour channel comes out inverted, retrain with L1 as the first loss.

        MS-SSIM's gradient is too weak to leave that optimum; L1 does not converge to it. L1 is not
        the default start: where nothing is inverted it costs URec#1 some of its few steps.
        """
        fitted = super().fit(threat, context, checkpoint, title)
        if self.loss == "l1" or not any_inverted(fitted, threat.validation, context):
            return fitted
        aside = checkpoint.with_suffix(".l1.ckpt") if checkpoint else None
        again = self.train(threat, context, aside, title, first=distance)
        if aside is not None:
            aside.unlink(missing_ok=True)
        return max(fitted, again, key=lambda f: max(f.curve))

    def score(self, guess: Guess, threat: Threat, context: Context) -> float:
        """Mean MS-SSIM on validation."""
        return mean_ms_ssim(guess, threat.validation, context)


def mean_ms_ssim(guess: Guess, own: AttackerData, context: Context) -> float:
    """Computed on reconstructions of all of ``own``."""
    total = 0.0
    for rows in own.chunks():
        rebuilt = apply(guess, own.features_of(rows), context)
        total += float(ms_ssim(rebuilt, as_input(own.pictures(rows), context.device)).sum())
    return total / len(own)


def outputs(guess: Guess, own: AttackerData, context: Context, rows: Rows | None = None) -> Tensor:
    """An attacker's predictions for inputs (all, or the given rows), on the CPU."""
    found = [apply(guess, own.features_of(some), context).cpu() for some in own.chunks(rows)]
    return torch.cat(found)
