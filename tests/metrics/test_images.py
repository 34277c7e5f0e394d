from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import pytorch_msssim
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from deepobfuscator.core.errors import InputError
from deepobfuscator.metrics import images
from deepobfuscator.metrics.images import (
    describe_ms_ssim,
    ms_ssim,
    psnr,
    scale_weights,
    ssim,
)

CELEBA = Path(__file__).parents[3] / "shared" / "celeba20k" / "img_align_celeba"


def natural(count: int, height: int, width: int, seed: int = 0) -> Tensor:
    """Pictures with the falling spectrum of natural ones: noise over frequency."""
    draw = torch.Generator().manual_seed(seed)
    noise = torch.fft.rfft2(torch.randn(count, 3, height, width, generator=draw))
    across, along = torch.fft.rfftfreq(width), torch.fft.fftfreq(height)[:, None]
    smooth = torch.fft.irfft2(noise / (across**2 + along**2).sqrt().clamp(min=1 / height))
    return (0.5 + 0.2 * smooth / smooth.std()).clamp(0, 1)


def distorted(y: Tensor) -> list[Tensor]:
    """Noisy, blurred and darkened copies."""
    noise = torch.randn(y.shape, generator=torch.Generator().manual_seed(1))
    return [(y + 0.1 * noise).clamp(0, 1), F.avg_pool2d(y, 7, 1, 3), 0.6 * y]


def reference_ms_ssim(x: Tensor, y: Tensor, weights: tuple[float, ...]) -> Tensor:
    """Straight from the paper, in float64, with a two-dimensional window."""
    place = torch.arange(-5, 6, dtype=torch.float64)
    window = torch.exp(-(place**2 + place[:, None] ** 2) / (2 * 1.5**2))
    window = (window / window.sum()).expand(x.shape[1], 1, 11, 11)
    x, y = x.double(), y.double()
    index = torch.ones(x.shape[:2], dtype=torch.float64)
    for scale, weight in enumerate(weights):
        if scale:
            x, y = (F.avg_pool2d(z, 2, padding=[s % 2 for s in x.shape[2:]]) for z in (x, y))

        def blur(z: Tensor) -> Tensor:
            return F.conv2d(z, window, groups=z.shape[1])

        variance_x, variance_y = blur(x * x) - blur(x) ** 2, blur(y * y) - blur(y) ** 2
        term = (2 * (blur(x * y) - blur(x) * blur(y)) + 0.0009) / (variance_x + variance_y + 0.0009)
        if scale == len(weights) - 1:
            term *= (2 * blur(x) * blur(y) + 0.0001) / (blur(x) ** 2 + blur(y) ** 2 + 0.0001)
        index *= term.mean((2, 3)) ** weight
    return index.mean(1)


def test_scales_change_where_the_window_no_longer_fits() -> None:
    sides = (11, 20, 21, 40, 41, 80, 81, 160, 161, 1000)
    assert [len(scale_weights(side)) for side in sides] == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert scale_weights(176) == (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
    assert scale_weights(64) == pytest.approx([0.0448 / 0.6305, 0.2856 / 0.6305, 0.3001 / 0.6305])
    assert describe_ms_ssim(64) == "3 scales, weights .071 .453 .476"
    assert describe_ms_ssim(15) == "1 scale, weight 1.000"


@pytest.mark.parametrize("index", [ms_ssim, ssim])
def test_pictures_smaller_than_the_window_are_refused(index: Callable) -> None:
    with pytest.raises(InputError, match="10 px"):
        index(torch.zeros(1, 3, 10, 64), torch.zeros(1, 3, 10, 64))


@pytest.mark.parametrize(("height", "width"), [(216, 176), (161, 163)])
def test_ms_ssim_and_ssim_agree_with_pytorch_msssim(height: int, width: int) -> None:
    y = natural(2, height, width)
    for x in distorted(y):
        for ours, theirs in ((ms_ssim, pytorch_msssim.ms_ssim), (ssim, pytorch_msssim.ssim)):
            expected = theirs(x, y, data_range=1, size_average=False)
            torch.testing.assert_close(ours(x, y), expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize("side", [20, 40, 64, 81])
def test_ms_ssim_of_small_pictures_is_the_formula_at_fewer_scales(side: int) -> None:
    y = natural(2, side, side + 5)
    for x in distorted(y):
        expected = reference_ms_ssim(x, y, scale_weights(side)).float()
        torch.testing.assert_close(ms_ssim(x, y), expected, atol=2e-5, rtol=0)


@pytest.mark.skipif(not CELEBA.is_dir(), reason="needs the CelebA pictures in ../shared")
def test_ms_ssim_agrees_with_pytorch_msssim_on_faces() -> None:
    files = sorted(CELEBA.glob("*.jpg"))[:4]
    pixels = np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files])
    y = torch.from_numpy(pixels[:, 1:217, 1:177]).permute(0, 3, 1, 2) / 255
    for x in distorted(y):
        expected = pytorch_msssim.ms_ssim(x, y, data_range=1, size_average=False)
        torch.testing.assert_close(ms_ssim(x, y), expected, atol=2e-5, rtol=0)


def test_gradient_of_ms_ssim_is_that_of_the_formula() -> None:
    y = natural(2, 64, 64)
    for x in distorted(y):
        ours = x.clone().requires_grad_()
        exact = x.double().requires_grad_()
        ms_ssim(ours, y).sum().backward()
        reference_ms_ssim(exact, y, scale_weights(64)).sum().backward()
        assert exact.grad is not None
        error = (ours.grad - exact.grad).norm() / exact.grad.norm()
        assert error < 1e-3


def test_gradient_to_the_second_picture_is_that_to_the_first_exchanged() -> None:
    y = natural(2, 64, 64)
    x = distorted(y)[0].requires_grad_()
    other = y.clone().requires_grad_()
    along_x, along_y = torch.autograd.grad(ms_ssim(x, other).sum(), (x, other))
    exchanged_x, exchanged_y = torch.autograd.grad(ms_ssim(other, x).sum(), (x, other))
    torch.testing.assert_close(along_x, exchanged_x)
    torch.testing.assert_close(along_y, exchanged_y)
    assert not torch.allclose(along_x, along_y, rtol=0.1)


def test_pictures_that_take_turns_come_out_as_those_that_do_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    y = natural(13, 40, 44)
    x = distorted(y)[0].requires_grad_()
    whole = ms_ssim(x, y)
    (slope,) = torch.autograd.grad(whole.sum(), x)
    monkeypatch.setattr(images, "CACHED", 1)
    turns = ms_ssim(x, y)
    torch.testing.assert_close(turns, whole)
    torch.testing.assert_close(torch.autograd.grad(turns.sum(), x)[0], slope)


def test_gradient_of_ms_ssim_on_the_negative_picture_matches_finite_differences() -> None:
    y = natural(1, 64, 64)
    x = (1 - y).requires_grad_()
    (gradient,) = torch.autograd.grad(ms_ssim(x, y).sum(), x)
    step = 1e-2 * gradient / gradient.abs().max()
    with torch.no_grad():
        rise = ms_ssim(x + step, y) - ms_ssim(x - step, y)
    torch.testing.assert_close(rise.sum(), 2 * (step * gradient).sum(), rtol=0.02, atol=0)


def test_ms_ssim_leads_back_from_the_negative_picture() -> None:
    y = natural(2, 48, 48)
    logits = torch.logit((1 - y).clamp(0.02, 0.98)).requires_grad_()
    optimiser = torch.optim.Adam([logits], lr=0.1)
    start = ms_ssim(logits.sigmoid(), y)
    assert ((start > 0) & (start < 0.01)).all()
    for _ in range(200):
        optimiser.zero_grad()
        (1 - ms_ssim(logits.sigmoid(), y)).mean().backward()
        optimiser.step()
    assert ms_ssim(logits.sigmoid(), y).min() > 0.95


@pytest.mark.parametrize("shade", [0.0, 0.5, 1.0])
def test_ms_ssim_has_finite_gradients_on_flat_pictures(shade: float) -> None:
    flat = torch.full((1, 3, 64, 64), shade)
    for y in (flat, natural(1, 64, 64), torch.ones_like(flat)):
        x = flat.clone().requires_grad_()
        value = ms_ssim(x, y)
        value.sum().backward()
        assert 0 < value.item() <= 1
        assert x.grad is not None
        assert x.grad.isfinite().all()


@pytest.mark.parametrize("index", [ms_ssim, ssim])
def test_index_is_one_for_equals_and_blind_to_order_and_mirroring(index: Callable) -> None:
    y = natural(3, 64, 80)
    x = distorted(y)[0]
    value = index(x, y)
    torch.testing.assert_close(index(y, y), torch.ones(3))
    assert (value < 0.99).all()
    torch.testing.assert_close(index(y, x), value)
    torch.testing.assert_close(index(x.flip(3), y.flip(3)), value)
    torch.testing.assert_close(index(x.mT, y.mT), value)
    torch.testing.assert_close(index(x[1:2], y[1:2]), value[1:2])
    torch.testing.assert_close(index(x.to(memory_format=torch.channels_last), y), value)


@pytest.mark.parametrize("index", [ms_ssim, ssim, psnr])
def test_index_is_computed_in_float32_whatever_surrounds_it(index: Callable) -> None:
    y = natural(2, 64, 64).bfloat16()
    x = distorted(y.float())[0].bfloat16()
    expected = index(x.float(), y.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = index(x, y)
    assert value.dtype == torch.float32
    assert torch.equal(value, expected)
    assert torch.equal(index(x.double(), y.double()), expected)


def test_ms_ssim_trains_after_it_was_first_used_for_inference() -> None:
    y = natural(1, 47, 47)
    with torch.inference_mode():
        ms_ssim(y, y)
    x = distorted(y)[0].requires_grad_()
    ms_ssim(x, y).sum().backward()
    assert x.grad is not None


def test_psnr_is_in_decibels_of_peak_one() -> None:
    y = torch.zeros(3, 3, 8, 8)
    x = torch.stack([torch.full((3, 8, 8), error) for error in (0.1, 0.01, 0.0)])
    torch.testing.assert_close(psnr(x, y), torch.tensor([20.0, 40.0, 100.0]))
