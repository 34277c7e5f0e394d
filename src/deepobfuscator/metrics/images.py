"""Likeness of two pictures: MS-SSIM (loss and metric alike), SSIM and PSNR, one figure a picture.

Every function takes x and y of shape (N, C, H, W) in [0, 1], any float dtype, and returns (N,) in
float32, whatever autocast or the matrix-product precision around it say: a variance is a small
difference of large numbers here.
"""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from deepobfuscator.core.errors import InputError

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the five scales, finest first (Wang, Simoncelli and Bovik 2003, section 3.2)."""

WINDOW, SIGMA = 11, 1.5
"""Side and standard deviation of the Gaussian window, in pixels."""

C1, C2 = 0.01**2, 0.03**2
"""Stabilisers of luminance and of contrast-structure, for pictures whose peak is 1."""

CACHED = 2**21
"""Values of a tensor that stays in a processor's cache; more planes than that take turns."""

LANES = 16
"""Values that a processor's widest vector unit works on at once."""

KNEE = 0.01
"""A scale's mean term below which a hyperbola continues it; see `_product`."""


def scale_weights(side: int) -> tuple[float, ...]:
    """The exponents of as many scales, up to five, as hold the window; ``side`` is min(H, W) in px.

    As published, or the finest few rescaled to sum 1.

    Raises:
        InputError: not even one scale holds the window.
    """
    if side < WINDOW:
        raise InputError(
            f"pictures of {side} px are too small to compare; give at least {WINDOW} px a side"
        )
    kept = tuple(w for s, w in enumerate(WEIGHTS) if side > (WINDOW - 1) * 2**s)
    return kept if kept == WEIGHTS else tuple(w / sum(kept) for w in kept)


def describe_ms_ssim(side: int) -> str:
    """`scale_weights` in words, for records: ``3 scales, weights .071 .453 .476``."""
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
    return _mean_index(x, y, scale_weights(min(x.shape[-2:])))


def ssim(x: Tensor, y: Tensor) -> Tensor:
    """Structural similarity at one scale (Wang et al. 2004), (N,) in [-1, 1].

    Raises:
        InputError: the shorter side is smaller than the window.
    """
    scale_weights(min(x.shape[-2:]))
    return _mean_index(x, y, ())


def psnr(x: Tensor, y: Tensor) -> Tensor:
    """Peak signal-to-noise ratio, (N,) in dB, peak 1; at most 100, for equal pictures."""
    error = (x.float() - y.float()).square().mean((-3, -2, -1))
    return -10 * error.clamp(min=1e-10).log10()


def _product(terms: Tensor, weights: tuple[float, ...]) -> Tensor:
    """The scales' mean terms (S, P) to the index (P,), differentiable.

    Below `KNEE` a hyperbola of the same value and slope there takes the term's place. It is
    positive and rising for every term, so a power of it is finite and never flat.
    """
    hyperbola = KNEE**2 / (2 * KNEE - terms.clamp(max=KNEE))
    powers = torch.where(terms < KNEE, hyperbola, terms) ** _exponents(weights, terms.device)
    # The gradient of `Tensor.prod` counts zeros first, for which a GPU would have to wait.
    return functools.reduce(torch.mul, powers.unbind())


@functools.lru_cache(maxsize=64)
def _exponents(weights: tuple[float, ...], device: torch.device) -> Tensor:
    """The weights as a column (S, 1); kept, since a GPU waits for every number it is sent."""
    with torch.inference_mode(False):
        return torch.tensor(weights, device=device)[:, None]


def _mean_index(x: Tensor, y: Tensor, weights: tuple[float, ...]) -> Tensor:
    """The index of each picture, the mean of its channels'; without weights that of one scale."""
    kind, layout = torch.float32, torch.contiguous_format
    x, y = x.to(kind, memory_format=layout), y.to(kind, memory_format=layout)
    index: Tensor = _Index.apply(x.flatten(0, 1), y.flatten(0, 1), weights)  # type: ignore[no-untyped-call]
    return index.view(x.shape[:2]).mean(1)


class _Index(torch.autograd.Function):
    """The index of planes, (P, H, W) twice to (P,), with its slope worked out on the way.

    A plane's index passes a single number back, so that the slope is all that need be kept, and
    it is cheapest while a few planes' maps are still in the cache.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, weights: tuple[float, ...]) -> Tensor:
        with _float32(x):
            index, along_x = _planes_index(x, y, weights, ctx.needs_input_grad[0])
            along_y = None
            if ctx.needs_input_grad[1]:
                _, along_y = _planes_index(y, x, weights, True)
        ctx.save_for_backward(along_x, along_y)
        return index

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        slopes = ctx.saved_tensors
        return *(s if s is None else s * gradient[:, None, None] for s in slopes), None


def _planes_index(
    x: Tensor, y: Tensor, weights: tuple[float, ...], want_slope: bool
) -> tuple[Tensor, Tensor | None]:
    """Indices (P,) and, if wanted, their slope along x, (P, H, W)."""
    count = len(x)
    if x.device.type == "cpu":
        count = max(LANES, CACHED // x[0].numel() // LANES * LANES)
    index, slope = x.new_empty(len(x)), torch.empty_like(x) if want_slope else None
    for start in range(0, len(x), count):
        turn = slice(start, start + count)
        pyramid = [(_side_by_side(x[turn]), _side_by_side(y[turn]))]
        while len(pyramid) < len(weights):
            pyramid.append((_halve(pyramid[-1][0]), _halve(pyramid[-1][1])))
        means, slopes = zip(
            *(_term(a, b, a is pyramid[-1][0], want_slope) for a, b in pyramid), strict=True
        )
        terms = torch.stack(means).requires_grad_(want_slope)
        with torch.set_grad_enabled(want_slope):
            part = _product(terms, weights) if weights else terms[0]
        index[turn] = part.detach()
        if slope is not None:
            (along,) = torch.autograd.grad(part, terms, torch.ones_like(part))
            total = None
            for (a, _), s, weight in zip(pyramid[::-1], slopes[::-1], along.flip(0), strict=True):
                height, width = a.shape[-2:]
                places = (height - WINDOW + 1) * (width - WINDOW + 1)
                s.mul_((weight / places)[None, :, None, None])
                if total is not None:  # the adjoint of `_halve`
                    wider = F.interpolate(total, scale_factor=2)
                    s.add_(wider[..., height % 2 :, width % 2 :], alpha=0.25)
                total = s
            assert total is not None
            slope[turn].flatten(1).copy_(total[0].flatten(1))
    return index, slope


def _side_by_side(planes: Tensor) -> Tensor:
    """(p, H, W) to (1, p, H, W); on a processor all planes of a pixel lie side by side in memory.

    Its vector units then work on as many planes at once; a GPU is 2.5 times as fast plane by plane.
    """
    if planes.device.type != "cpu":
        return planes[None]
    return planes.flatten(1).t().contiguous().view(1, *planes.shape[1:], -1).permute(0, 3, 1, 2)


def _term(x: Tensor, y: Tensor, luminance: bool, want_slope: bool) -> tuple[Tensor, Tensor | None]:
    """Mean contrast-structure of planes (1, p, H, W), times luminance if asked for; (p,).

    With mx, my for the blurred pictures, p for the blurred product and s for half the blurred sum
    of squares, the maps are (p - mx my + C2/2) / (s - mx^2/2 - my^2/2 + C2/2) and
    (2 mx my + C1) / (mx^2 + my^2 + C1). The second result is the slope along x of the map's sum,
    (1, p, H, W). Few passes over memory are what makes it fast.
    """
    mean_x, mean_y = _blur(x), _blur(y)
    b = _blur((x * x).addcmul_(y, y), 0.5, C2 / 2)
    b.addcmul_(mean_x, mean_x, value=-0.5).addcmul_(mean_y, mean_y, value=-0.5).reciprocal_()
    term = _blur(x * y, 1, C2 / 2).addcmul_(mean_x, mean_y, value=-1).mul_(b)
    # The term's slope is b along p, -a along s and c mx - d my along mx.
    if luminance:
        level = (mean_x * mean_x).addcmul_(mean_y, mean_y).add_(C1).reciprocal_()
        light, contrast = (mean_x * mean_y).mul_(2).add_(C1).mul_(level), term
        term, b = contrast * light, b * light
        a = contrast * b
        c, d = a - 2 * term * level, b - 2 * contrast * level
    else:
        a = term * b
        c, d = a, b
    mean = term.mean((0, 2, 3))
    if not want_slope:
        return mean, None
    slope = _spread((c * mean_x).addcmul_(d, mean_y, value=-1))
    return mean, slope.addcmul_(x, _spread(a), value=-1).addcmul_(y, _spread(b))


def _halve(planes: Tensor) -> Tensor:
    """The next scale: means of 2 x 2 pixels."""
    return F.avg_pool2d(planes, 2, padding=[side % 2 for side in planes.shape[-2:]])


def _blur(planes: Tensor, factor: float = 1, offset: float = 0) -> Tensor:
    """The Gaussian window, no padding, times ``factor`` plus ``offset``.

    (1, P, H, W) to (1, P, H - 10, W - 10).
    """
    down, across, count = *_windows(planes.device, planes.shape[1]), planes.shape[1]
    bias = planes.new_full((count,), offset)
    return F.conv2d(F.conv2d(planes, across, groups=count), factor * down, bias, groups=count)


def _spread(maps: Tensor) -> Tensor:
    """The adjoint of `_blur`: (1, P, H - 10, W - 10) to (1, P, H, W)."""
    down, across, count = *_windows(maps.device, maps.shape[1]), maps.shape[1]
    wider = F.conv2d(maps, down, padding=(WINDOW - 1, 0), groups=count)
    return F.conv2d(wider, across, padding=(0, WINDOW - 1), groups=count)


@functools.lru_cache(maxsize=64)
def _windows(device: torch.device, count: int) -> tuple[Tensor, Tensor]:
    """The window down and across, for each of ``count`` planes: (count, 1, 11, 1) and its turn."""
    # A tensor made in inference mode could not serve a later backward pass.
    with torch.inference_mode(False):
        window = torch.exp(torch.arange(-5, 6, dtype=torch.float64) ** 2 / (-2 * SIGMA**2))
        window = (window / window.sum()).to(device, torch.float32).expand(count, 1, 1, WINDOW)
        return window.transpose(2, 3).contiguous(), window.contiguous()


@contextmanager
def _float32(x: Tensor) -> Iterator[None]:
    """No autocast, and no TF32 inside convolutions."""
    cudnn = torch.backends.cudnn
    allowed = cudnn.allow_tf32
    cudnn.allow_tf32 = False
    try:
        with torch.autocast(x.device.type, enabled=False):
            yield
    finally:
        cudnn.allow_tf32 = allowed
