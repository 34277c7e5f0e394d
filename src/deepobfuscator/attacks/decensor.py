"""De-censoring: attackers who know the game and start from its adversaries.

Game 0 is the one that was played: its adversaries have seen the encoder through all its training.
Others are the same defence, played by the attacker on its own pictures.
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
)
from deepobfuscator.attacks.threat import Threat

NO_GAME = "no known game: it was trained without adversaries, or elsewhere"
GAMES = {STANDARD: (0,), EXHAUSTIVE: (0, 1, 2)}
"""Which games each suite starts from."""


@dataclass(frozen=True)
class WarmClassifier(InferenceAttack):
    """AC as a game left it, trained on against the frozen encoder."""

    name: ClassVar[str] = "warm-ac"
    suite: ClassVar[str] = STANDARD

    game: int = 0
    """Which game it comes from."""

    @classmethod
    def variants(cls, suite: str) -> tuple[Self, ...]:
        """One for each game."""
        return tuple(cls(game=g) for g in GAMES.get(suite, ()))

    def lacks(self, threat: Threat) -> str:
        """A game with an AC."""
        return "" if threat.games and "AC" in threat.games(0) else NO_GAME

    def network(self, threat: Threat) -> nn.Module:
        """AC with the weights that the game gave it."""
        assert threat.games is not None
        return deepcopy(threat.games(self.game)["AC"])

    def start(self, network: nn.Module, threat: Threat) -> None:
        """Leave the weights as they are."""


@dataclass(frozen=True)
class WarmReconstructor(ReconstructionAttack):
    """AR as a game left it, trained on against the frozen encoder."""

    name: ClassVar[str] = "warm-ar"

    game: int = 0
    """Which game it comes from."""

    @classmethod
    def variants(cls, suite: str) -> tuple[Self, ...]:
        """One for each game."""
        return tuple(cls(game=g) for g in GAMES.get(suite, ()))

    def lacks(self, threat: Threat) -> str:
        """A game with an AR."""
        return "" if threat.games and "AR" in threat.games(0) else NO_GAME

    def network(self, threat: Threat) -> nn.Module:
        """AR with the weights that the game gave it."""
        assert threat.games is not None
        return deepcopy(threat.games(self.game)["AR"])

    def start(self, network: nn.Module, threat: Threat) -> None:
        """Leave the weights as they are."""
