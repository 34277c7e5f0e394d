"""What the tables' networks are made of: normed convolutions, and layers that let them fit
features of any shape (a flat code, a map of any size).
"""

from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

Shape: TypeAlias = tuple[int, ...]
"""Of one picture's features: (c, h, w) or (b,)."""


def straight_through(hard: Tensor, soft: Tensor) -> Tensor:
    """``hard`` to the last bit, with the gradient of ``soft``, of the same shape."""
    return hard + (soft - soft.detach())  # hard - soft + soft would be inexact


class Normed(nn.Module):
    """conv3 or deconv3: a 3x3 convolution that keeps the map's size, batch norm and ReLU.

    In evaluation mode the norm is a linear map and is folded into the convolution's weights.
    """

    def __init__(self, convolution: nn.Conv2d | nn.ConvTranspose2d) -> None:
        super().__init__()
        self.convolution = convolution
        self.norm = nn.BatchNorm2d(convolution.out_channels)

    def forward(self, features: Tensor) -> Tensor:
        """(n, inputs, h, w) to (n, outputs, h, w)."""
        if self.norm.training:
            return functional.relu(self.norm(self.convolution(features)), inplace=True)
        transposed = isinstance(self.convolution, nn.ConvTranspose2d)
        convolve = functional.conv_transpose2d if transposed else functional.conv2d
        return functional.relu(convolve(features, *self.folded(), padding=1), inplace=True)

    def folded(self) -> tuple[Tensor, Tensor]:
        """Weight and bias of the convolution that frozen convolution and norm are together."""
        norm = self.norm
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        shift = norm.bias - norm.running_mean * scale
        if isinstance(self.convolution, nn.ConvTranspose2d):
            return self.convolution.weight * scale[None, :, None, None], shift
        return self.convolution.weight * scale[:, None, None, None], shift


class Lift(nn.Module):
    """A flat code of b values to a map, by one linear layer."""

    def __init__(self, values: int, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.shape = shape
        # The bias is not idle before the norm: it differs from place to place, and without it a
        # code of zeros would be a map without a pattern.
        self.linear = nn.Linear(values, shape[0] * shape[1] * shape[2])
        self.norm = nn.BatchNorm2d(shape[0])

    def forward(self, code: Tensor) -> Tensor:
        """(n, b) to (n, *shape)."""
        lifted = self.linear(code.float()).unflatten(1, self.shape)
        return functional.relu(self.norm(lifted))


def lifted(features: Shape, shape: tuple[int, int, int]) -> tuple[list[nn.Module], Shape]:
    """The layer that makes a map of ``shape`` of a flat code, none for a map; the map's shape."""
    return ([Lift(features[0], shape)], shape) if len(features) == 1 else ([], features)


class Resize(nn.Module):
    """The tables' Upsample (nearest neighbour), to an exact size so that any map fits."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, features: Tensor) -> Tensor:
        """(n, c, h, w) to (n, c, *size)."""
        if features.shape[-2:] == self.size:
            return features
        return functional.interpolate(features, size=self.size, mode="nearest")
