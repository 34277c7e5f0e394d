"""Gaussian noise on the features, redrawn at every query."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from deepobfuscator.core.errors import InputError
from deepobfuscator.defences.undefended import Undefended
from deepobfuscator.nn.own import OwnEncoder
from deepobfuscator.nn.vgg import Encoder, Obfuscator
from deepobfuscator.training.objectives import TrainConfig


class NoisyOutput(Encoder):
    """Adds noise of standard deviation `sigma` to an encoder's features, in training too."""

    stochastic = True
    sigma: float

    def forward(self, pictures: Tensor) -> Tensor:
        """Noisy features."""
        features = super().forward(pictures)
        return features + self.sigma * torch.randn_like(features)  # type: ignore[no-any-return]


class NoisyFeatures(NoisyOutput, Obfuscator):
    """O of Table 1 with noisy features."""


class NoisyOwnFeatures(NoisyOutput, OwnEncoder):
    """A user's encoder with noisy features."""


@dataclass(frozen=True)
class FeatureNoise(Undefended):
    """The undefended networks, trained and used with noise on the features."""

    name: ClassVar[str] = "feature-noise"
    contender: ClassVar[bool] = False
    assumptions: ClassVar[tuple[str, ...]] = (
        "Features of O are batch norm and ReLU's, of scale one; nothing stops training from "
        "scaling them up against the noise.",
    )

    sigma: float = 1.0
    """Standard deviation of the noise, in units of the features."""

    def __post_init__(self) -> None:
        if self.sigma < 0:
            raise InputError("--sigma must not be negative")

    def build_encoder(self, config: TrainConfig) -> Encoder:
        """O, followed by noise."""
        encoder = self.either(config, NoisyFeatures, NoisyOwnFeatures)
        encoder.sigma = self.sigma
        return encoder
