"""Attributes predicted from reconstructed images instead of features (section 4.2, figure 2c)."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deepobfuscator.attacks.base import STANDARD, Fitted
from deepobfuscator.attacks.threat import AttackerData, Guess, Threat
from deepobfuscator.attacks.trained import InferenceAttack, TrainedAttack
from deepobfuscator.core.runtime import Context
from deepobfuscator.data.augment import as_input
from deepobfuscator.nn.resnet import residual_classifier

FRESH, IN_GAME = READERS = ("fresh", "in-game")


@dataclass(frozen=True)
class Rebuilding(TrainedAttack):
    """Base of attacks that see only what a reconstructor outputs for the features."""

    salt: ClassVar[int]
    """Appended to the salt of the attacker's data."""
    raw: ClassVar[float | None] = None
    """Fraction of its own inputs that stay raw, redrawn every batch; the gallery then holds raw
    images. None: no input stays raw."""

    def lacks(self, threat: Threat) -> str:
        """Needs a reconstructor."""
        return super().lacks(threat) or ("" if threat.decoder else "no reconstructor")

    def rebuilder(self, threat: Threat) -> Guess:
        """Maps features to images."""
        assert threat.decoder is not None
        return threat.decoder()

    def fit(
        self, threat: Threat, context: Context, checkpoint: Path | None = None, title: str = ""
    ) -> Fitted:
        """Train on the reconstructions of the attacker's own inputs."""
        rebuild = self.rebuilder(threat)

        def seen(own: AttackerData, raw: float | None) -> AttackerData:
            def look(inputs: NDArray[np.uint8], seed: int) -> Tensor:
                assert own.query is not None
                with torch.no_grad(), context.autocast():
                    images = rebuild(own.query(inputs, seed).to(context.device)).float()
                if raw is None:
                    return images
                left = torch.from_numpy(np.random.default_rng(seed).random(len(inputs)) < raw)
                left = left.to(context.device)[:, None, None, None]
                return torch.where(left, as_input(inputs, context.device), images)

            noisy = own.stochastic or raw is not None
            return AttackerData(own.labelled, look, (3, *threat.size), own.salt + self.salt, noisy)

        own = seen(threat.own, self.raw)
        validation = seen(threat.validation, None if self.raw is None else 0.0)
        images = Threat(own, validation, threat.size, threat.setting)
        fitted = super().fit(images, context, checkpoint, title)
        gallery = None if self.raw is None else fitted.guess
        return Fitted(lambda f: fitted(rebuild(f).float()), fitted.curve, gallery)


@dataclass(frozen=True)
class FromImages(Rebuilding, InferenceAttack):
    """A residual network that predicts attributes from reconstructed images."""

    name: ClassVar[str] = "from-images"
    suite: ClassVar[str] = STANDARD
    salt: ClassVar[int] = 200

    reconstructor: str = FRESH
    """Source of its images: ``fresh``, the reconstructor newly trained on the frozen encoder, or
    ``in-game``, AR at the end of the game."""

    @classmethod
    def variants(cls, suite: str) -> tuple[Self, ...]:
        """One per reconstructor."""
        found = super().variants(suite)
        return tuple(cls(reconstructor=r) for r in READERS) if found else ()

    def lacks(self, threat: Threat) -> str:
        """A reconstructor."""
        if self.reconstructor == FRESH:
            return super().lacks(threat)
        return "no AR played in a game" if threat.player("AR") is None else ""

    def network(self, threat: Threat) -> nn.Module:
        """A small residual network on images."""
        return residual_classifier(threat.features, threat.labels, threat.setting.width)

    def rebuilder(self, threat: Threat) -> Guess:
        """The reconstructor selected by the field."""
        player = threat.player("AR") if self.reconstructor == IN_GAME else None
        return player or super().rebuilder(threat)
