"""Gaussian noise on the raw picture (section 4.3), drawn anew at every query."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from deepobfuscator.core.errors import InputError
from deepobfuscator.defences.undefended import Undefended
from deepobfuscator.nn.vgg import Encoder, Obfuscator
from deepobfuscator.training.objectives import TrainConfig


class NoisyObfuscator(Obfuscator):
    """O behind a picture with Gaussian noise of standard deviation ``sigma``, not clipped."""

    stochastic = True

    def __init__(self, size: tuple[int, int], width: float, sigma: float) -> None:
        super().__init__(size, width)
        self.sigma = sigma

    def forward(self, pictures: Tensor) -> Tensor:
        """Encode noisy pictures."""
        return super().forward(pictures + self.sigma * torch.randn_like(pictures))


@dataclass(frozen=True)
class PixelNoise(Undefended):
    """The undefended networks, trained and used on noisy pictures."""

    name: ClassVar[str] = "pixel-noise"
    assumptions: ClassVar[tuple[str, ...]] = (
        "The paper raises the noise until the image is just unrecognisable and gives no figure; "
        "sigma is a field here, and the noise is not clipped.",
    )

    sigma: float = 0.5
    """Standard deviation of the noise, for pictures in [0, 1]."""

    def __post_init__(self) -> None:
        if self.sigma < 0:
            raise InputError("--sigma must not be negative")

    def encoder(self, setting: TrainConfig) -> Encoder:
        """O on noisy pictures."""
        return NoisyObfuscator(setting.size, setting.width, self.sigma)
