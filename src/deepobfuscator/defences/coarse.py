"""Pixelated or blurred pictures before the encoder: obfuscation without a network."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from deepobfuscator.core.errors import InputError
from deepobfuscator.defences.undefended import Undefended
from deepobfuscator.nn.own import OwnEncoder
from deepobfuscator.nn.vgg import Encoder, Obfuscator
from deepobfuscator.training.objectives import TrainConfig


def pixelated(pictures: Tensor, block: int) -> Tensor:
    """Pictures (n, 3, H, W) in squares of ``block`` px, each the mean of its pixels; squares at the
    right and lower edge are smaller.
    """
    height, width = pictures.shape[-2:]
    means = functional.avg_pool2d(pictures, block, ceil_mode=True, count_include_pad=False)
    large = means.repeat_interleave(block, -2).repeat_interleave(block, -1)
    return large[..., :height, :width]


def blurred(pictures: Tensor, sigma: float) -> Tensor:
    """Pictures (n, 3, H, W) blurred with a Gaussian of ``sigma`` px, truncated at 3 sigma; edges
    are mirrored.
    """
    height, width = pictures.shape[-2:]
    reach = min(round(3 * sigma), height - 1, width - 1)
    offset = torch.arange(-reach, reach + 1, device=pictures.device, dtype=pictures.dtype)
    window = torch.exp(-(offset**2) / (2 * sigma**2))
    window = window / window.sum()
    channels = pictures.shape[1]
    padded = functional.pad(pictures, (reach,) * 4, mode="reflect")
    for shape in ((1, 1, -1, 1), (1, 1, 1, -1)):
        kernel = window.reshape(shape).expand(channels, *([-1] * 3))
        padded = functional.conv2d(padded, kernel, groups=channels)
    return padded


class CoarseInput(Encoder):
    """Applies squares of `block` px and a blur of `sigma` px before an encoder."""

    block: int
    sigma: float

    def forward(self, pictures: Tensor) -> Tensor:
        """Encode coarse pictures."""
        coarse = pixelated(pictures, self.block) if self.block > 1 else pictures
        coarse = blurred(coarse, self.sigma) if self.sigma else coarse
        return super().forward(coarse)  # type: ignore[no-any-return]


class CoarseObfuscator(CoarseInput, Obfuscator):
    """O of Table 1 on coarse pictures."""


class CoarseOwnEncoder(CoarseInput, OwnEncoder):
    """A user's encoder on coarse pictures."""


@dataclass(frozen=True)
class Pixelate(Undefended):
    """The undefended networks, trained and used on pixelated pictures."""

    name: ClassVar[str] = "pixelate"
    contender: ClassVar[bool] = False

    block: int = 8
    """Side of a square in px."""

    def __post_init__(self) -> None:
        if self.block < 2:
            raise InputError("--block must be at least 2")

    def build_encoder(self, config: TrainConfig) -> Encoder:
        """O on squares."""
        return coarse_encoder(self, config, block=self.block, sigma=0.0)


@dataclass(frozen=True)
class Blur(Undefended):
    """The undefended networks, trained and used on blurred pictures."""

    name: ClassVar[str] = "blur"
    contender: ClassVar[bool] = False

    sigma: float = 4.0
    """Standard deviation of the Gaussian window in px."""

    def __post_init__(self) -> None:
        if self.sigma <= 0:
            raise InputError("--sigma must be above 0")

    def build_encoder(self, config: TrainConfig) -> Encoder:
        """O on blurred pictures."""
        return coarse_encoder(self, config, block=1, sigma=self.sigma)


def coarse_encoder(
    defence: Undefended, config: TrainConfig, *, block: int, sigma: float
) -> Encoder:
    """O, or the user's encoder, on a coarser picture."""
    encoder = defence.either(config, CoarseObfuscator, CoarseOwnEncoder)
    encoder.block, encoder.sigma = block, sigma
    return encoder
