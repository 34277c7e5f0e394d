"""De-censoring: attackers who know the game and start from its adversaries.

Game 0 is the one that was played: its adversaries have seen the encoder through all its training.
Others are the same defence, played by the attacker on its own inputs.
"""

from copy import deepcopy
from dataclasses import dataclass
from typing import ClassVar, Self

from torch import nn

from deepobfuscator.attacks.base import (
    EXHAUSTIVE,
    STANDARD,
    InferenceAttack,
    ReconstructionAttack,
    TrainedAttack,
)
from deepobfuscator.attacks.threat import Threat


@dataclass(frozen=True)
class WarmStart(TrainedAttack):
    """Base of both: the adversary as a game left it, trained on against the frozen encoder."""

    suite: ClassVar[str] = STANDARD

    game: int = 0
    """Which game it comes from."""

    @classmethod
    def variants(cls, suite: str) -> tuple[Self, ...]:
        """From the game that was played; in the exhaustive suite also from two others."""
        return tuple(cls(game=g) for g in range({STANDARD: 1, EXHAUSTIVE: 3}.get(suite, 0)))

    def lacks(self, threat: Threat) -> str:
        """A game with such an adversary."""
        known = threat.player(self.role) is not None
        return "" if known else "no known game: it was trained without adversaries, or elsewhere"

    def network(self, threat: Threat) -> nn.Module:
        """The adversary with the weights that the game gave it."""
        player = threat.player(self.role, self.game)
        assert player is not None
        return deepcopy(player)

    def start(self, network: nn.Module, threat: Threat) -> None:
        """Leave the weights as they are."""


@dataclass(frozen=True)
class WarmClassifier(WarmStart, InferenceAttack):
    """AC as a game left it."""

    name: ClassVar[str] = "warm-ac"


@dataclass(frozen=True)
class WarmReconstructor(WarmStart, ReconstructionAttack):
    """AR as a game left it."""

    name: ClassVar[str] = "warm-ar"
