"""De-censoring: attackers that know the game and start from its adversaries.

Game 0 is the original one: its adversaries were trained alongside the encoder. The others are the
same defence, retrained by the attacker on its own inputs.
"""

from copy import deepcopy
from dataclasses import dataclass
from typing import ClassVar, Self

from torch import nn

from deepobfuscator.attacks.base import EXHAUSTIVE, STANDARD
from deepobfuscator.attacks.threat import Threat
from deepobfuscator.attacks.trained import InferenceAttack, ReconstructionAttack, TrainedAttack


@dataclass(frozen=True)
class WarmStart(TrainedAttack):
    """Base of both: an adversary at the end of a game, trained further on the frozen encoder."""

    suite: ClassVar[str] = STANDARD

    game: int = 0
    """The game that it comes from."""

    @classmethod
    def variants(cls, suite: str) -> tuple[Self, ...]:
        """From the original game; in the exhaustive suite also from two others."""
        return tuple(cls(game=g) for g in range({STANDARD: 1, EXHAUSTIVE: 3}.get(suite, 0)))

    def lacks(self, threat: Threat) -> str:
        """Needs a game with such an adversary."""
        known = threat.player(self.role) is not None
        return "" if known else "no known game: it was trained without adversaries, or elsewhere"

    def network(self, threat: Threat) -> nn.Module:
        """The adversary with its weights at the end of the game."""
        player = threat.player(self.role, self.game)
        assert player is not None
        return deepcopy(player)

    def start(self, network: nn.Module, threat: Threat) -> None:
        """Keep the weights."""


@dataclass(frozen=True)
class WarmClassifier(WarmStart, InferenceAttack):
    """AC at the end of a game."""

    name: ClassVar[str] = "warm-ac"


@dataclass(frozen=True)
class WarmReconstructor(WarmStart, ReconstructionAttack):
    """AR at the end of a game."""

    name: ClassVar[str] = "warm-ar"
