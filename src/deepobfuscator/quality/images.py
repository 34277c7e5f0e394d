"""Likeness of two pictures: MS-SSIM (loss and metric alike), SSIM and PSNR, one figure a picture.

Every function takes x and y of shape (N, C, H, W) in [0, 1], any float dtype, and returns (N,) in
float32, whatever autocast or the matrix-product precision around it say: a variance is a small
difference of large numbers here.
"""

import functools
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor

from deepobfuscator.errors import InputError

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the five scales, finest first (Wang, Simoncelli and Bovik 2003, section 3.2)."""

WINDOW, SIGMA = 11, 1.5
"""Side and standard deviation of the Gaussian window, in pixels."""

C1, C2 = 0.01**2, 0.03**2
"""Stabilisers of luminance and of contrast-structure, for pictures whose peak is 1."""

KNEE = 0.01
"""A scale's mean term below which a hyperbola continues it; see `_positive`."""


def scale_count(side: int) -> int:
    """The most scales, up to five, whose coarsest still holds the window; ``side`` is min(H, W).

    Raises:
        InputError: not even one does.
    """
    if side < WINDOW:
        raise InputError(
            f"pictures of {side} px are too small to compare; give at least {WINDOW} px a side"
        )
    return max(s for s in range(1, len(WEIGHTS) + 1) if side > (WINDOW - 1) * 2 ** (s - 1))


def scale_weights(side: int) -> tuple[float, ...]:
    """The exponents for pictures of ``side`` px: as published, or the finest few rescaled to sum 1.

    Raises:
        InputError: ``side`` is smaller than the window.
    """
    kept = WEIGHTS[: scale_count(side)]
    return kept if kept == WEIGHTS else tuple(w / sum(kept) for w in kept)


def describe_ms_ssim(side: int) -> str:
    """Scales and weights in words, for records: ``3 scales, weights .071 .453 .476``.

    Raises:
        InputError: ``side`` is smaller than the window.
    """
    weights = scale_weights(side)
    scales = "1 scale, weight" if len(weights) == 1 else f"{len(weights)} scales, weights"
    return " ".join([scales, *(f"{w:.3f}".removeprefix("0") for w in weights)])


def ms_ssim(x: Tensor, y: Tensor) -> Tensor:
    """Multi-scale structural similarity, (N,) in (0, 1]; 1 where x and y are equal.

    The published index, as long as every scale's mean term is at least `KNEE`. Pictures may be so
    unlike that a term turns negative; its fractional power is then NaN, and the usual clamp at zero
    leaves no gradient to recover by. Here the index stays positive and keeps its slope.

    Raises:
        InputError: the shorter side is smaller than the window.
    """
    weights = scale_weights(min(x.shape[-2:]))
    with _float32(x):
        x, y = x.float(), y.float()
        index = torch.ones((), device=x.device)
        for weight in weights[:-1]:
            _, structure = _terms(x, y)
            index = index * _positive(structure.mean((-2, -1))) ** weight
            odd = [side % 2 for side in x.shape[-2:]]
            x, y = F.avg_pool2d(x, 2, padding=odd), F.avg_pool2d(y, 2, padding=odd)
        luminance, structure = _terms(x, y)
        index = index * _positive((luminance * structure).mean((-2, -1))) ** weights[-1]
        return index.mean(1)


def ssim(x: Tensor, y: Tensor) -> Tensor:
    """Structural similarity at one scale (Wang et al. 2004), (N,) in [-1, 1].

    Raises:
        InputError: the shorter side is smaller than the window.
    """
    scale_count(min(x.shape[-2:]))
    with _float32(x):
        luminance, structure = _terms(x.float(), y.float())
        return (luminance * structure).mean((-3, -2, -1))


def psnr(x: Tensor, y: Tensor) -> Tensor:
    """Peak signal-to-noise ratio, (N,) in dB, peak 1; at most 100, for equal pictures."""
    error = (x.float() - y.float()).square().mean((-3, -2, -1))
    return -10 * error.clamp(min=1e-10).log10()


def _terms(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Luminance and contrast-structure maps, each (N, C, H - 10, W - 10)."""
    mean_x, mean_y, squares, product = _blur(x), _blur(y), _blur(x * x + y * y), _blur(x * y)
    means_product, means_squares = mean_x * mean_y, mean_x * mean_x + mean_y * mean_y
    luminance = (2 * means_product + C1) / (means_squares + C1)
    structure = (2 * (product - means_product) + C2) / (squares - means_squares + C2)
    return luminance, structure


def _positive(term: Tensor) -> Tensor:
    """``term`` down to `KNEE`, below it a hyperbola of the same value and slope there.

    The hyperbola is positive and rising for every term, so a power of it is finite and never flat.
    """
    below = KNEE**2 / (2 * KNEE - term.clamp(max=KNEE))
    return torch.where(term < KNEE, below, term)


def _blur(pictures: Tensor) -> Tensor:
    """The Gaussian window over the last two axes, no padding: (..., H - 10, W - 10).

    Two banded matrix products: several times faster than depthwise convolutions on a CPU, there
    and back.
    """
    height, width = pictures.shape[-2:]
    return _band(height, pictures.device) @ (pictures @ _band(width, pictures.device).T)


@functools.lru_cache(maxsize=64)
def _band(side: int, device: torch.device) -> Tensor:
    """(side - 10, side): row i holds the window at place i."""
    # A tensor made in inference mode could not serve a later backward pass.
    with torch.inference_mode(False):
        place = torch.arange(side, dtype=torch.float64)
        centre = torch.arange(side - WINDOW + 1)[:, None] + WINDOW // 2
        distance = (place - centre).abs()
        window = torch.exp(distance**2 / (-2 * SIGMA**2)) * (distance <= WINDOW // 2)
        return (window / window.sum(1, keepdim=True)).to(device, torch.float32)


@contextmanager
def _float32(x: Tensor) -> Iterator[None]:
    """No autocast, and no TF32 inside matrix products (some GPU containers turn it on)."""
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.autocast(x.device.type, enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(precision)
