"""Attributes read from rebuilt images rather than from features (section 4.2, figure 2c)."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

from torch import nn

from deepobfuscator.attacks.base import STANDARD, Fitted, InferenceAttack
from deepobfuscator.attacks.threat import Guess, Threat, rebuilt
from deepobfuscator.core.runtime import Context
from deepobfuscator.nn.resnet import residual_classifier

FRESH, IN_GAME = READERS = ("fresh", "in-game")


@dataclass(frozen=True)
class FromImages(InferenceAttack):
    """A residual network that sees what a reconstructor makes of the features, and nothing else."""

    name: ClassVar[str] = "from-images"
    suite: ClassVar[str] = STANDARD

    reconstructor: str = FRESH
    """Whose images it reads: ``fresh``, the reconstructor fitted on the frozen encoder, or
    ``in-game``, AR as the game left it."""

    @classmethod
    def variants(cls, suite: str) -> tuple[Self, ...]:
        """One for each reconstructor."""
        found = super().variants(suite)
        return tuple(cls(reconstructor=r) for r in READERS) if found else ()

    def lacks(self, threat: Threat) -> str:
        """A reconstructor."""
        if self.reconstructor == FRESH:
            return "" if threat.decoder else "no reconstructor"
        return "no AR played in a game" if threat.player("AR") is None else ""

    def network(self, threat: Threat) -> nn.Module:
        """A small residual network on images."""
        return residual_classifier(threat.features, threat.labels, threat.setting.width)

    def fit(
        self, threat: Threat, context: Context, checkpoint: Path | None = None, title: str = ""
    ) -> Fitted:
        """Train on the attacker's own inputs as the reconstructor rebuilds them."""
        rebuild = self.rebuilder(threat)
        own, validation = (
            rebuilt(part, rebuild, context, salt=200) for part in (threat.own, threat.validation)
        )
        seen = Threat(own, validation, threat.size, threat.setting)
        fitted = super().fit(seen, context, checkpoint, title)
        return Fitted(lambda f: fitted(rebuild(f).float()), fitted.curve)

    def rebuilder(self, threat: Threat) -> Guess:
        """Features to images."""
        if self.reconstructor == FRESH:
            assert threat.decoder is not None
            return threat.decoder()
        player = threat.player("AR")
        assert player is not None
        return player
