"""Randomly flipped bits, against an enumeration of every message."""

from itertools import product
from math import exp

import numpy as np
import pytest

from deepobfuscator.certificates.attributes import (
    balanced_accuracy,
    excess_over_labels,
    within_labels,
)
from deepobfuscator.certificates.counts import Counts
from deepobfuscator.certificates.noise import Flips, Noise


def words(bits: int) -> np.ndarray:
    return np.array(list(product((-1.0, 1.0), repeat=bits)))


@pytest.mark.parametrize("bits", [1, 2, 3, 6])
def test_no_two_codes_are_further_apart_than_opposite_ones(bits: int) -> None:
    flips = Flips.of(words(bits), 0.2)
    chances = flips.channel
    assert chances.sum(1) == pytest.approx(np.ones(2**bits))
    apart = np.abs(chances[:, None] - chances[None]).sum(2) / 2
    assert apart[0, -1] == pytest.approx(flips.contraction())
    assert apart.max() == pytest.approx(flips.contraction())
    ratio = chances[:, None] / chances[None]
    assert ratio.max() == pytest.approx(exp(flips.epsilon))
    assert chances.max(0).sum() == pytest.approx(flips.values)
    assert flips.contraction(2) == pytest.approx(Flips.of(words(2 * bits), 0.2).contraction())


def test_a_message_is_the_code_where_few_bits_are_turned() -> None:
    """The channel gives each code word its own message the most."""
    found = Flips.of(words(3), 0.01).channel
    assert len(set(found.argmax(1).tolist())) == 8
    assert found.max(1) == pytest.approx(np.full(8, 0.99**3))


def noisy(seed: int, rates: np.ndarray) -> tuple[float, list[float], list[float]]:
    """The true balanced accuracy behind the noise, and bounds from the codes with and without."""
    draw = np.random.default_rng(seed)
    group = draw.integers(0, 2, 300)
    code = (draw.random(300)[:, None] > rates.cumsum(1)[group]).sum(1)
    flips = Flips.of(words(2), 0.25)
    channel = flips.channel[np.unique(code)]
    counts = Counts.of(code, group, np.arange(300), np.arange(300) % 2)
    plain = Counts.of(code, group, np.arange(300))
    noise = Noise(flips.contraction(), channel)
    truth = 0.5 + float(np.abs((rates[0] - rates[1]) @ flips.channel).sum()) / 4
    found = [
        make(c, noise=noise) for make, c in ((balanced_accuracy, plain), (within_labels, counts))
    ]
    without = [make(c) for make, c in ((balanced_accuracy, plain), (within_labels, counts))]
    assert all(b is not None for b in (*found, *without))
    return truth, [b.value for b in found if b], [b.value for b in without if b]


def test_bounds_behind_the_noise_hold_and_are_lower() -> None:
    rates = np.array([[0.4, 0.3, 0.2, 0.1], [0.1, 0.2, 0.3, 0.4]])
    drawn = [noisy(seed, rates) for seed in range(200)]
    for which in (0, 1):
        held = [bounds[which] >= truth for truth, bounds, _ in drawn]
        assert sum(held) >= 0.95 * len(held)
        assert all(bounds[which] < without[which] for _, bounds, without in drawn)


def test_noise_bounds_every_secret_without_any_data() -> None:
    """A code that is the attribute: what is left is what the channel lets through."""
    group = np.arange(2000) % 2
    flips = Flips.of([[-1.0], [1.0]], 0.3)
    noise = Noise(flips.contraction(), flips.channel)
    found = balanced_accuracy(Counts.of(group, group, np.arange(2000)), noise=noise)
    assert found is not None
    assert found.value == pytest.approx(0.7)
    counts = Counts.of(group, group, np.arange(2000), np.arange(2000) // 1000)
    excess = excess_over_labels(counts, noise=noise)
    assert excess is not None
    assert 0.2 <= excess.value < 0.22
    several = balanced_accuracy(
        Counts.of(group, group, np.arange(2000)), noise=Noise(flips.contraction(5))
    )
    assert several is not None
    # A majority of five messages: 10 * .3^3 .7^2 + 5 * .3^4 .7 + .3^5 are wrong.
    assert several.value == pytest.approx(1 - (10 * 0.027 * 0.49 + 5 * 0.0081 * 0.7 + 0.00243))


@pytest.mark.parametrize(("word", "flip"), [([[0.5]], 0.1), ([[1.0]], 0.0), ([[1.0]], 0.5)])
def test_what_is_no_flip_is_refused(word: list[list[float]], flip: float) -> None:
    with pytest.raises(ValueError, match="flips need"):
        Flips.of(word, flip)
