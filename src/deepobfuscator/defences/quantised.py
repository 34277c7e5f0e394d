"""Quantisation alone: features with few levels."""

from dataclasses import dataclass
from math import prod
from typing import ClassVar

import torch
from torch import Tensor

from deepobfuscator.core.errors import InputError
from deepobfuscator.defences.undefended import Undefended
from deepobfuscator.nn.own import OwnEncoder
from deepobfuscator.nn.vgg import Encoder, Obfuscator
from deepobfuscator.training.objectives import TrainConfig


def quantised(features: Tensor, bits: int, most: float) -> Tensor:
    """The nearest of 2^bits levels evenly spaced from 0 to ``most``; gradients pass within."""
    steps = 2**bits - 1
    clipped = features.clamp(0.0, most)
    level = torch.round(clipped * (steps / most)) * (most / steps)
    return torch.add(clipped, (level - clipped).detach())


class QuantisedOutput(Encoder):
    """Quantises an encoder's features."""

    bits: int
    most: float

    def forward(self, pictures: Tensor) -> Tensor:
        """Features of 2^bits levels."""
        return quantised(super().forward(pictures), self.bits, self.most)


class QuantisedFeatures(QuantisedOutput, Obfuscator):
    """O of Table 1, quantised."""


class QuantisedOwnFeatures(QuantisedOutput, OwnEncoder):
    """A user's encoder, quantised."""


@dataclass(frozen=True)
class Quantised(Undefended):
    """The undefended networks, trained and used with quantised features."""

    name: ClassVar[str] = "quantised"
    contender: ClassVar[bool] = False

    bits: int = 1
    """Bits per transmitted feature."""
    most: float = 2.0
    """Features above this are clipped; after batch norm and ReLU few are."""

    def __post_init__(self) -> None:
        if self.bits < 1:
            raise InputError("--bits must be at least 1")
        if self.most <= 0:
            raise InputError("--most must be above 0")

    def build_encoder(self, config: TrainConfig) -> Encoder:
        """O, followed by quantisation."""
        encoder = self.either(config, QuantisedFeatures, QuantisedOwnFeatures)
        encoder.bits, encoder.most = self.bits, self.most
        encoder.wire_bits = self.bits * prod(encoder.features)
        return encoder
