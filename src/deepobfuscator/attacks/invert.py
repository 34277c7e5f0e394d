"""White-box inversion: gradient descent through the encoder to an image with the observed features.
Every image needs its own optimisation, so only a few are scored.
"""

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from deepobfuscator.attacks.base import EXHAUSTIVE, Attack, Fitted
from deepobfuscator.attacks.threat import Guess, Threat
from deepobfuscator.core.runtime import Context
from deepobfuscator.data.augment import as_input
from deepobfuscator.metrics.images import ms_ssim
from deepobfuscator.training.loop import derive_seed

TUNED_ON = 32
"""Number of the attacker's own inputs on which the smoothness is chosen."""


@dataclass(frozen=True)
class WhiteBox(Attack):
    """Base of both: gradient descent on the feature distance; smoothness chosen on validation."""

    target: ClassVar[str] = "image"
    most: ClassVar[int | None] = 64

    steps: int = 200
    """Adam steps per image."""
    rate: float = 0.05
    """Adam's learning rate, relative to the standard deviation of the optimised variable."""
    smoothness: tuple[float, ...] = (0.03, 0.3, 3.0)
    """Candidate weights of total variation, relative to the features' relative distance."""

    def lacks(self, threat: Threat) -> str:
        """Needs a gradient."""
        return "" if threat.encoder else "no gradient passes through the encoder"

    @abstractmethod
    def paint(self, threat: Threat, context: Context) -> tuple[Guess, Guess]:
        """Starting point of the search for given features, and the map from it to an image."""

    def fit(
        self, threat: Threat, context: Context, checkpoint: Path | None = None, title: str = ""
    ) -> Fitted:
        """Choose the smoothness; each prediction is a search."""
        assert threat.encoder is not None
        encoder, (begin, draw) = threat.encoder, self.paint(threat, context)
        rows = np.linspace(0, len(threat.own) - 1, min(256, len(threat.own))).astype(np.int64)
        variance = float(threat.own.features_of(rows).var(0).mean())
        spread = variance or 1.0  # a code may be the same for all

        def search(features: Tensor, smoothness: float) -> Tensor:
            gpus = [context.device] if context.device.type == "cuda" else []
            with torch.random.fork_rng(devices=gpus), torch.enable_grad():
                torch.manual_seed(derive_seed(threat.setting.seed, *self.label.encode()))
                place = begin(features).detach().clone()
                step = self.rate * float(place.std().clamp(min=0.1))
                place.requires_grad_(True)
                optimiser = torch.optim.Adam([place], lr=step)
                for _ in range(round(self.passes * self.steps)):
                    image = draw(place)
                    off = (encoder(image) - features).square().flatten(1).mean(1) / spread
                    loss = (off + smoothness * total_variation(image)).sum()
                    (place.grad,) = torch.autograd.grad(loss, (place,))
                    optimiser.step()
                return draw(place).detach()

        few = threat.validation.chunks()[0][:TUNED_ON]
        truth = as_input(threat.validation.pictures(few), context.device)
        features = threat.validation.features_of(few).to(context.device)
        scores = []
        with context.progress(f"{title}{self.label}", len(self.smoothness)) as bar:
            for weight in self.smoothness:
                scores.append(float(ms_ssim(search(features, weight), truth).mean()))
                bar.advance()
        best = self.smoothness[int(np.argmax(scores))]
        return Fitted(lambda seen: search(seen.float(), best))


@dataclass(frozen=True)
class Inversion(WhiteBox):
    """Searches over all images, starting at the attacker's mean image."""

    name: ClassVar[str] = "inversion"

    steps: int = 400
    rate: float = 0.2
    smoothness: tuple[float, ...] = (0.3, 1.0, 3.0)

    @classmethod
    def variants(cls, suite: str) -> tuple[Self, ...]:
        """In the exhaustive suite also a search four times as long, which still improves."""
        found = super().variants(suite)
        return (*found, cls(passes=4.0)) if suite == EXHAUSTIVE else found

    def paint(self, threat: Threat, context: Context) -> tuple[Guess, Guess]:
        """Pixels through a sigmoid, which keeps them in [0, 1]."""
        rows = np.linspace(0, len(threat.own) - 1, min(512, len(threat.own))).astype(np.int64)
        mean = as_input(threat.own.pictures(rows), context.device).mean(0, keepdim=True)
        start = torch.logit(mean.clamp(0.02, 0.98))
        return lambda f: start.repeat(len(f), 1, 1, 1), torch.sigmoid


@dataclass(frozen=True)
class LatentInversion(WhiteBox):
    """Searches over the outputs of a trained decoder, starting at the observed features."""

    name: ClassVar[str] = "inversion-prior"

    def lacks(self, threat: Threat) -> str:
        """Needs a gradient and a decoder."""
        return super().lacks(threat) or ("" if threat.decoder else "no decoder as a prior")

    def paint(self, threat: Threat, context: Context) -> tuple[Guess, Guess]:
        """The decoder's input."""
        assert threat.decoder is not None
        return torch.Tensor.float, threat.decoder()


def total_variation(images: Tensor) -> Tensor:
    """(n, 3, H, W) to (n,): mean absolute difference of neighbouring pixels."""
    down = (images[:, :, 1:] - images[:, :, :-1]).abs().flatten(1).mean(1)
    right = (images[:, :, :, 1:] - images[:, :, :, :-1]).abs().flatten(1).mean(1)
    return down + right
