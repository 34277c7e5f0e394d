"""Attributes read from rebuilt pictures rather than from features (section 4.2, figure 2c)."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deepobfuscator.attacks.base import STANDARD, Fitted, InferenceAttack
from deepobfuscator.attacks.threat import AttackerData, Guess, Threat
from deepobfuscator.core.runtime import Context
from deepobfuscator.nn.resnet import residual_classifier

FRESH, IN_GAME = READERS = ("fresh", "in-game")


@dataclass(frozen=True)
class FromImages(InferenceAttack):
    """A residual network that sees what a reconstructor makes of the features, and nothing else."""

    name: ClassVar[str] = "from-images"
    suite: ClassVar[str] = STANDARD

    reconstructor: str = FRESH
    """Whose pictures it reads: ``fresh``, the reconstructor fitted on the frozen encoder, or
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
        return "" if threat.games and "AR" in threat.games(0) else "no AR played in a game"

    def network(self, threat: Threat) -> nn.Module:
        """A small residual network on pictures."""
        return residual_classifier((3, *threat.size), threat.labels, threat.setting.width)

    def fit(
        self,
        threat: Threat,
        context: Context,
        checkpoint: Path | None = None,
        title: str = "attack by ",
    ) -> Fitted:
        """Train on the attacker's own pictures as the reconstructor rebuilds them."""
        rebuild = self.rebuilder(threat)

        def pictures(own: AttackerData) -> AttackerData:
            query = own.query
            assert query is not None

            def look(raw: NDArray[np.uint8], seed: int) -> Tensor:
                with torch.no_grad(), context.autocast():
                    return rebuild(query(raw, seed).to(context.device)).float()

            return AttackerData(
                own.labelled, look, (3, *threat.size), own.salt + 200, own.stochastic
            )

        seen = Threat(
            pictures(threat.own), pictures(threat.validation), threat.size, threat.setting
        )
        fitted = super().fit(seen, context, checkpoint, title)
        read = fitted.guess
        return Fitted(lambda f: read(rebuild(f).float()), fitted.curve)

    def rebuilder(self, threat: Threat) -> Guess:
        """Features to pictures."""
        if self.reconstructor == FRESH:
            assert threat.decoder is not None
            return threat.decoder()
        assert threat.games is not None
        return threat.games(0)["AR"]
