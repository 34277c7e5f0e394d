"""What lets the tables' networks fit features of any shape: a flat code, a map of any size."""

from typing import TypeAlias

from torch import Tensor, nn
from torch.nn import functional

Shape: TypeAlias = tuple[int, ...]
"""Of one picture's features: (c, h, w) or (b,)."""


def as_shape(features: Shape) -> tuple[int, int, int]:
    """The same shape, known to be a map.

    Raises:
        ValueError: it is none.
    """
    if len(features) != 3:
        raise ValueError(f"features of shape {features} are no map (channels, height, width)")
    return features[0], features[1], features[2]


class Lift(nn.Module):
    """A flat code of b values to a map, by one linear layer."""

    def __init__(self, values: int, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.shape: Shape = shape
        # The bias is not idle before the norm: it differs from place to place, and without it a
        # code of zeros would be a map without a pattern.
        self.linear = nn.Linear(values, shape[0] * shape[1] * shape[2])
        self.norm = nn.BatchNorm2d(shape[0])

    def forward(self, code: Tensor) -> Tensor:
        """(n, b) to (n, *shape)."""
        lifted = self.linear(code.float()).unflatten(1, self.shape)
        return functional.relu(self.norm(lifted))


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
