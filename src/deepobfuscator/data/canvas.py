"""Rectangles of pixels and the shapes drawn on them."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float32]
Field: TypeAlias = NDArray[np.floating] | float
"""One value, or one for each pixel or picture."""
Looks = SimpleNamespace
"""Named variables of the pictures at hand: (n, 1, 1) each, colours (3, n, 1, 1)."""


@dataclass(frozen=True)
class Canvas:
    """Pictures being painted: (n, h, w) fields over one rectangle of pixels."""

    rgb: Array
    """(3, n, h, w), 0..1."""
    x: Array
    """Rightward from between the eyes, in half face widths, in the head's frame."""
    y: Array
    """Downward."""
    p: Array
    """As x, on the face turned to the front."""
    q: Array
    """As y, on the face tipped to the front."""
    light: Array
    """Light on the skin, about 1."""
    soft: Array
    """(n, 1, 1) width of an edge."""

    def window(self, left: Field, top: Field, right: Field, bottom: Field) -> "Canvas":
        """The part that holds a box given in turned coordinates."""
        edge = 2 * self.soft
        inside = (self.p > left - edge) & (self.p < right + edge)
        inside &= (self.q > top - edge) & (self.q < bottom + edge)
        rows = np.flatnonzero(inside.any(axis=(0, 2)))
        columns = np.flatnonzero(inside.any(axis=(0, 1)))
        ys = slice(rows[0], rows[-1] + 1) if len(rows) else slice(0)
        xs = slice(columns[0], columns[-1] + 1) if len(columns) else slice(0)
        fields = {n: getattr(self, n)[..., ys, xs] for n in ("rgb", "x", "y", "p", "q", "light")}
        return replace(self, **fields)

    def cover(self, distance: Array) -> Array:
        """1 inside, 0 outside, an even slope across the edge."""
        return np.asarray(np.clip(0.5 - distance / (2 * self.soft), 0, 1))

    def paint(self, alpha: Field, colour: Iterable[Field]) -> None:
        """Blend a colour, one value or field per channel, over the canvas."""
        for plane, value in zip(self.rgb, colour, strict=True):
            plane += alpha * (value - plane)

    def skin(self, f: Looks) -> list[Array]:
        """Lit skin: shadows fall redder than lights."""
        fall = self.light - 1
        return [c * (1 + s * fall) for c, s in zip(f.skin, (0.86, 1.06, 1.16), strict=True)]


def egg(x: Array, y: Array, wide: Field, up: Field, low: Field, square: Field = 0.0) -> Array:
    """About the signed distance to an egg round the origin; ``square`` 1 is a rounded box."""
    stretch = np.where(y < 0, 1 / up, 1 / low)
    a, b = x * (1 / wide), y * stretch
    b2 = square * (b * b)
    slope_x, slope_y = a * (1 / wide), b * stretch * (1 - square + 2 * b2)
    level = a * a + b * b * (1 - square + b2) - 1
    distance = level / (2 * np.sqrt(slope_x * slope_x + slope_y * slope_y) + 1e-4)
    # The first-order distance is short far from a corner; that to the egg's sides never is.
    return np.asarray(np.maximum(distance, abs(x) - wide))


def bump(x: Array, y: Array, wide: Field, high: Field) -> Array:
    """A smooth hill of height 1 that ends at the ellipse."""
    near = np.maximum(1 - (x / wide) ** 2 - (y / high) ** 2, 0)
    return np.asarray(near * near)


def ridge(distance: Array, wide: Field) -> Array:
    """1 on a line, falling evenly to 0 at ``wide`` on both sides."""
    return np.asarray(np.maximum(1 - abs(distance) / wide, 0))


def ripple(t: Array) -> Array:
    """A triangle wave of period 1 between 0 and 0.5."""
    return np.asarray(abs(t - np.rint(t)))
