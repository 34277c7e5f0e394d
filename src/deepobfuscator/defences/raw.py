"""The picture itself, sent without any processing on the device."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from deepobfuscator.defences.base import Untrained
from deepobfuscator.nn.vgg import Encoder
from deepobfuscator.training.objectives import TrainConfig


class Pictures(Encoder):
    """(n, 3, H, W) in [0, 1], unchanged."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.features = (3, *size)
        self.wire_bits = 24 * size[0] * size[1]

    def forward(self, pictures: Tensor) -> Tensor:
        """The pictures."""
        return pictures


@dataclass(frozen=True)
class Raw(Untrained):
    """Raw pictures as features: the ceiling of an external encoder."""

    name: ClassVar[str] = "raw"

    def build_encoder(self, config: TrainConfig) -> Encoder:
        """The identity."""
        return Pictures(config.size)
