"""Bounds on decoders and on naming people."""

from math import log10

import numpy as np
import pytest

from deepobfuscator.certificates.people import named_rightly, other_codes
from deepobfuscator.certificates.pictures import squared_error


def drawn(people: int, seed: int, spread: float) -> tuple[float, float, float]:
    """Certified and in-sample error of one-pixel pictures in 8 codes, and the true one."""
    draw = np.random.default_rng(seed)
    code = draw.integers(0, 8, people)
    # Pixels around a mean for each code: uniform, so that the best error is a twelfth of a square.
    value = 0.2 + 0.075 * code + spread * (draw.random(people) - 0.5)
    book = np.bincount(code, value, minlength=8) / np.maximum(np.bincount(code, minlength=8), 1)
    losses = (value - book[code]) ** 2
    found = squared_error(losses, float(np.sqrt(losses.max())))
    return found.least, found.codebook, spread**2 / 12


def test_no_decoder_goes_below_the_certified_error() -> None:
    found = [drawn(1500, seed, 0.4) for seed in range(400)]
    assert all(least <= codebook for least, codebook, _ in found)
    assert sum(least <= truth for least, _, truth in found) >= 0.95 * len(found)
    assert np.mean([least for least, *_ in found]) > 0
    # The codebook itself is too good on average: it knew these pictures.
    assert np.mean([codebook for _, codebook, _ in found]) < found[0][2]


def test_more_people_leave_less_slack() -> None:
    few, many = (drawn(n, 1, 0.4) for n in (1500, 150_000))
    assert many[1] - many[0] < 0.05 * (few[1] - few[0])
    assert many[0] == pytest.approx(many[2], rel=0.04)


def test_psnr_belongs_to_the_least_error() -> None:
    found = squared_error(np.full(10_000, 0.04), 0.2)
    assert found.psnr == pytest.approx(-10 * log10(found.least))
    assert found.psnr > -10 * log10(0.04)
    assert squared_error(np.full(5, 0.04), 0.2).psnr == float("inf")


def test_naming_is_bounded_by_the_number_of_values() -> None:
    assert named_rightly(4, 1000) == 0.004
    assert named_rightly(2000, 1000) == 1.0
    assert named_rightly(4, 1000, others=0.01) == pytest.approx(0.014)
    # Nobody of n: 1 - 0.05^(1/n), the rule of three.
    assert other_codes(1000, 0) == pytest.approx(1 - 0.05 ** (1 / 1000))
    assert other_codes(10, 10) == 1.0
