"""What an attack is, and how any network becomes a fresh attacker."""

import dataclasses
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from deepobfuscator.attacks.threat import AttackerData, Guess, Threat
from deepobfuscator.core.config import to_json
from deepobfuscator.core.errors import InputError
from deepobfuscator.core.registry import Family, suggest
from deepobfuscator.core.runtime import Context
from deepobfuscator.data.augment import as_input
from deepobfuscator.metrics import ms_ssim
from deepobfuscator.nn.vgg import initialise
from deepobfuscator.training.bundle import apply
from deepobfuscator.training.loop import derive_seed, play
from deepobfuscator.training.objectives import (
    INFER,
    Phase,
    Players,
    Round,
    cross_entropy,
    stage,
    update,
)

BRIEF, QUICK, STANDARD, EXHAUSTIVE = SUITES = ("brief", "quick", "standard", "exhaustive")
"""Sets of attackers, each within the next."""


@dataclass(frozen=True)
class Fitted:
    """A frozen attacker; called with features (n, *shape)."""

    guess: Guess
    """What it makes of features: logits, pictures in [0, 1], or embeddings."""
    curve: tuple[float, ...] = ()
    """How good it was on its own validation pictures after each epoch; higher is better."""
    gallery: Guess | None = None
    """Of an identity attack: embeds raw pictures (n, 3, H, W) of known people; None where it
    queries the encoder with them."""
    network: nn.Module | None = None
    """The network behind ``guess``, where there is one."""

    def __call__(self, features: Tensor) -> Tensor:
        """The guess."""
        return self.guess(features)


@dataclass(frozen=True)
class Attack(Family):
    """A frozen dataclass whose fields are the attack's hyperparameters.

    `fit` gives a frozen attacker, which the audit scores: an attack cannot grade itself.
    """

    target: ClassVar[str]
    """``attributes``, ``image`` or ``identity``."""
    suite: ClassVar[str] = STANDARD
    """The smallest suite it belongs to."""
    most: ClassVar[int | None] = None
    """Pictures it is scored on, where more would take too long."""

    seed: int = 0
    """Draws its initial weights and batches, beside the trial's seed."""
    passes: float = 1.0
    """Length relative to the setting's: twice as long without gain is evidence of convergence."""

    @abstractmethod
    def fit(
        self,
        threat: Threat,
        context: Context,
        checkpoint: Path | None = None,
        title: str = "attack by ",
    ) -> Fitted:
        """A fresh attacker, chosen on the attacker's own validation pictures."""

    def lacks(self, threat: Threat) -> str:
        """Why this attack cannot be tried under ``threat``; empty where it can."""
        return ""

    @classmethod
    def variants(cls, suite: str) -> tuple[Self, ...]:
        """What ``suite`` tries of this attack."""
        return (cls(),) if SUITES.index(cls.suite) <= SUITES.index(suite) else ()

    @property
    def described(self) -> dict[str, Any]:
        """Its fields and the constants of its class, as JSON: what its results depend on."""
        constants = {n: getattr(self, n, None) for n in ("rate", "share", "most", "target")}
        described: dict[str, Any] = to_json(self) | constants
        return described

    @property
    def label(self) -> str:
        """The name, and every field that is not at its default."""
        fields = [f for f in dataclasses.fields(self) if getattr(self, f.name) != f.default]
        return " ".join([self.name, *(f"{f.name}={getattr(self, f.name)}" for f in fields)])


@dataclass(frozen=True)
class TrainedAttack(Attack):
    """A network, trained in one phase and kept at the epoch that was best on validation."""

    rate: ClassVar[float] = 1.0
    """Learning rate relative to the setting's."""
    share: ClassVar[float] = 1.0
    """Passes relative to the setting's."""
    role: ClassVar[str]
    """The player of the game whose place it takes."""

    @abstractmethod
    def network(self, threat: Threat) -> nn.Module:
        """A network for these features, at any weights."""

    @abstractmethod
    def phase(self, threat: Threat, context: Context) -> Phase:
        """How it trains and on what it chooses its best epoch."""

    def start(self, network: nn.Module, threat: Threat) -> None:
        """Give ``network`` its initial weights."""
        initialise(network, derive_seed(threat.setting.seed, *self.label.encode()))

    def guess(self, network: nn.Module) -> Guess:
        """What the trained network guesses."""
        return network

    def fit(
        self,
        threat: Threat,
        context: Context,
        checkpoint: Path | None = None,
        title: str = "attack by ",
    ) -> Fitted:
        """Train on the attacker's own pictures, from initial weights that the seeds draw."""
        network = self.network(threat)
        self.start(network, threat)
        context.place(network)
        setting = replace(threat.setting, learning_rate=self.rate * threat.setting.learning_rate)
        if self.seed:
            setting = replace(setting, seed=derive_seed(setting.seed, self.seed) % 2**31)
        history = play(
            {self.role: network},
            [replace(self.phase(threat, context), name=self.label)],
            *(threat.own, setting, context, checkpoint, title),
        )
        curve = tuple(float(h["score"]) for h in history if "score" in h)
        return Fitted(self.guess(network), curve, network=network)


@dataclass(frozen=True)
class InferenceAttack(TrainedAttack):
    """Trains as AC does (equation 4)."""

    target: ClassVar[str] = "attributes"
    suite: ClassVar[str] = QUICK
    role: ClassVar[str] = "AC"
    seeds: ClassVar[tuple[int, ...]] = (1, 1, 3, 5)
    """Seeds in each suite."""

    @classmethod
    def variants(cls, suite: str) -> tuple[Self, ...]:
        """Several seeds and, beyond the quick suite, one that learns twice as long."""
        seeds = range(cls.seeds[SUITES.index(suite)])
        found = tuple(cls(seed=s) for s in seeds) if super().variants(suite) else ()
        return (*found, cls(passes=2.0)) if found and suite not in (BRIEF, QUICK) else found

    def phase(self, threat: Threat, context: Context) -> Phase:
        """L(AC) on the attacker's pictures; the epoch of least L(AC) on validation is kept."""
        validation = threat.validation
        labels = torch.from_numpy(validation.labelled.private).float()

        def score(players: Players) -> float:
            logits = outputs(players["AC"], validation, context)
            return -float(cross_entropy(logits, labels))

        epochs = self.passes * self.share * threat.setting.infer_epochs
        return Phase(self.name, epochs, (stage("attack", INFER),), score=score)


LOSSES: dict[str, Callable[[Round], Tensor]] = {
    "ms_ssim": lambda r: r.L_AR1,
    "l1": lambda r: distance(r),
    "mixed": lambda r: 0.84 * r.L_AR1 + 0.16 * distance(r),
}
"""What a reconstructor minimises: equation 6, L1, or both as Zhao et al. (2017) weigh them."""


def distance(r: Round) -> Tensor:
    """Mean absolute difference of picture and reconstruction."""
    assert r.batch.pictures is not None
    loss = (r.reconstruction.float() - r.batch.pictures).abs().mean()
    r.noted["L_1"] = loss
    return loss


@dataclass(frozen=True)
class ReconstructionAttack(TrainedAttack):
    """Trains as AR does (equation 7)."""

    target: ClassVar[str] = "image"
    rate: ClassVar[float] = 8.0
    role: ClassVar[str] = "AR"

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

    def phase(self, threat: Threat, context: Context) -> Phase:
        """The loss on the attacker's pictures; the epoch of highest MS-SSIM on validation is
        kept.
        """
        validation = threat.validation

        def score(players: Players) -> float:
            total = 0.0
            for rows in validation.chunks():
                guess = apply(players["AR"], validation.features_of(rows), context)
                truth = as_input(validation.pictures(rows), context.device)
                total += float(ms_ssim(guess, truth).sum())
            return total / len(validation)

        epochs = self.passes * self.share * threat.setting.reconstruct_epochs
        step = stage("attack", update("AR", loss=LOSSES[self.loss]))
        return Phase(self.name, epochs, (step,), score=score)


def outputs(
    guess: Guess, own: AttackerData, context: Context, rows: np.ndarray | None = None
) -> Tensor:
    """What an attacker makes of pictures (all, or the given rows), on the CPU."""
    chunks = own.chunks() if rows is None else np.array_split(rows, -(-len(rows) // 256))
    return torch.cat([apply(guess, own.features_of(c), context).cpu() for c in chunks])
