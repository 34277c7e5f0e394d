"""Figures of methods: seeds and people."""

import numpy as np
import pytest

from deepobfuscator.metrics.bootstrap import Bootstrap
from deepobfuscator.metrics.methods import over_seeds
from deepobfuscator.metrics.sample import Sample, Share

PEOPLE, PICTURES, SEEDS = 120, 3, 5
WHO = np.repeat(np.arange(PEOPLE), PICTURES)


def runs(draw: np.random.Generator, mean: float, seed: int, easy: np.ndarray) -> list[Sample]:
    """Shares right of networks whose skill varies by 2 points, on people who vary by 15."""
    boot = Bootstrap(WHO, seed=seed, draws=200)
    found = []
    for skill in mean + draw.normal(0, 0.02, SEEDS):
        chance = np.clip(skill + easy[WHO], 0, 1)
        found.append(boot.mean(draw.random(len(WHO)) < chance, kind=Share))
    return found


def test_intervals_cover_the_method_over_seeds_and_people() -> None:
    draw = np.random.default_rng(0)
    inside = {"mean": 0, "gap": 0, "network": 0}
    for repeat in range(300):
        easy = draw.uniform(-0.26, 0.26, PEOPLE)
        one, other = (runs(draw, m, repeat, easy) for m in (0.7, 0.65))
        mean, gap = over_seeds(one), over_seeds(one, other)
        inside["mean"] += mean.low <= 0.7 <= mean.high
        inside["gap"] += gap.low <= 0.05 <= gap.high
        inside["network"] += one[0].interval().low <= 0.7 <= one[0].interval().high
    assert inside["mean"] >= 0.93 * 300
    assert inside["gap"] >= 0.93 * 300
    assert inside["network"] < inside["mean"], "one network's interval leaves out its seed"


def test_what_two_methods_share_cancels() -> None:
    draw = np.random.default_rng(1)
    easy = draw.uniform(-0.26, 0.26, PEOPLE)
    chances = np.clip(0.7 + easy[WHO], 0, 1)
    boot, luck = Bootstrap(WHO), draw.random((SEEDS, len(WHO)))
    one = [boot.mean(own < chances) for own in luck]
    other = [boot.mean(own < chances - 0.05) for own in luck]
    gap, alone = over_seeds(one, other), over_seeds(one)
    assert gap.value == pytest.approx(0.05, abs=0.02)
    assert gap.high - gap.low < alone.high - alone.low


def test_against_numpy() -> None:
    people = np.arange(40)
    boot = Bootstrap(people)
    draw = np.random.default_rng(2)
    values = draw.normal(5, 1, (3, 40))
    found = over_seeds([boot.mean(v) for v in values])
    draws = np.mean([boot.mean(v).draws for v in values], axis=0)
    variance = draws.var() * 40 / 39 + values.mean(1).var(ddof=1) / 3
    assert found.value == pytest.approx(values.mean())
    half = (found.high - found.low) / 2
    assert half / variance**0.5 == pytest.approx(2.1, abs=0.2), "Student's, of more than 2 seeds"
    assert found.low < found.value < found.high
    assert found.p < 1e-6


def test_one_seed_is_no_method() -> None:
    sample = Bootstrap(np.arange(5)).mean(np.arange(5.0))
    with pytest.raises(ValueError, match="two seeds"):
        over_seeds([sample])
    with pytest.raises(ValueError, match="two seeds"):
        over_seeds([sample, sample], [sample])
