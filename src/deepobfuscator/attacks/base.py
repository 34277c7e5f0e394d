"""What an attack is: a dataclass that learns from a threat and gives a frozen attacker."""

import dataclasses
from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

from torch import Tensor, nn

from deepobfuscator.attacks.threat import Guess, Threat
from deepobfuscator.core.config import to_json
from deepobfuscator.core.registry import Family
from deepobfuscator.core.runtime import Context

BRIEF, QUICK, STANDARD, EXHAUSTIVE = SUITES = ("brief", "quick", "standard", "exhaustive")
"""Sets of attackers; each contains the previous one."""


@dataclass(frozen=True)
class Fitted:
    """A frozen attacker; called with float32 features (n, *shape), on any device.

    The prediction depends on the features alone and does not modify them: two calls agree.
    """

    guess: Guess
    """Features to logits (n, K), images (n, 3, H, W) in [0, 1], or embeddings (n, d)."""
    curve: tuple[float, ...] = ()
    """Score on its own validation inputs after each epoch; higher is better."""
    gallery: Guess | None = None
    """Identity attacks: embeds raw images (n, 3, H, W) of known people; None if the attack
    queries the encoder with them instead."""
    network: nn.Module | None = None
    """The network behind ``guess``, if there is one."""

    def __call__(self, features: Tensor) -> Tensor:
        """The prediction."""
        return self.guess(features)


@dataclass(frozen=True)
class Attack(Family):
    """A frozen dataclass whose fields, with defaults, are the attack's hyperparameters.

    A subclass sets ``name`` and ``target`` and defines `fit`, which returns a frozen attacker. The
    audit scores it: an attack cannot grade itself. It trains on ``threat.own`` and makes every
    choice on ``threat.validation``; the test part is not in the threat and must not be obtained
    elsewhere. All randomness is derived from ``threat.setting.seed`` and its own ``seed``
    (`derive_seed`), so that fitting it again gives the same predictions.
    """

    target: ClassVar[str]
    """What it predicts: ``attributes`` (logits), ``image`` or ``identity`` (embeddings, compared by
    cosine similarity)."""
    suite: ClassVar[str] = STANDARD
    """The smallest suite that contains it."""
    most: ClassVar[int | None] = None
    """Number of inputs it is scored on, if more take too long; whole people for identity."""

    seed: int = 0
    """Seeds its initial weights and batches, together with the trial's seed."""
    passes: float = 1.0
    """Training length relative to the setting's: no gain at twice the length is evidence of
    convergence."""

    @abstractmethod
    def fit(
        self, threat: Threat, context: Context, checkpoint: Path | None = None, title: str = ""
    ) -> Fitted:
        """Train an attacker; every choice is made on the attacker's own validation inputs.

        Args:
            threat: everything that it may use.
            context: device, precision, progress.
            checkpoint: file to resume from, if it exists; the caller removes it at the end.
            title: progress title, shown before the attack's label.

        Raises:
            InputError: training diverged, or the checkpoint belongs to another attack.
        """

    def lacks(self, threat: Threat) -> str:
        """Why this attack cannot run under ``threat``; empty if it can."""
        return ""

    @classmethod
    def variants(cls, suite: str) -> tuple[Self, ...]:
        """The variants of this attack that ``suite`` runs."""
        return (cls(),) if SUITES.index(cls.suite) <= SUITES.index(suite) else ()

    @property
    def described(self) -> dict[str, object]:
        """Its fields and class constants as JSON: what its results depend on."""
        constants = {n: getattr(self, n, None) for n in ("rate", "share", "most", "target")}
        return {**to_json(self), **constants}

    @property
    def label(self) -> str:
        """The name and every non-default field."""
        fields = [f for f in dataclasses.fields(self) if getattr(self, f.name) != f.default]
        return " ".join([self.name, *(f"{f.name}={getattr(self, f.name)}" for f in fields)])
