"""Gaussian noise on the raw picture (section 4.3), redrawn at every query."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from deepobfuscator.core.errors import InputError
from deepobfuscator.defences.undefended import Undefended
from deepobfuscator.nn.own import OwnEncoder
from deepobfuscator.nn.vgg import Encoder, Obfuscator
from deepobfuscator.training.objectives import TrainConfig


class NoisyInput(Encoder):
    """Adds unclipped Gaussian noise of standard deviation `sigma` before an encoder."""

    stochastic = True
    sigma: float

    def forward(self, pictures: Tensor) -> Tensor:
        """Encode noisy pictures."""
        noisy = pictures + self.sigma * torch.randn_like(pictures)
        return super().forward(noisy)  # type: ignore[no-any-return]


class NoisyObfuscator(NoisyInput, Obfuscator):
    """O of Table 1 on noisy pictures."""


class NoisyOwnEncoder(NoisyInput, OwnEncoder):
    """A user's encoder on noisy pictures."""


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

    def build_encoder(self, config: TrainConfig) -> Encoder:
        """O on noisy pictures."""
        encoder = self.either(config, NoisyObfuscator, NoisyOwnEncoder)
        encoder.sigma = self.sigma
        return encoder
