"""The calibration of the noise: four-way choices by brute force, and the rule that takes σ."""

import json
from fractions import Fraction
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from deepobfuscator.core.errors import InputError
from deepobfuscator.paper.calibration import (
    GRID,
    RATE,
    Calibration,
    Point,
    forced_choice,
    read,
)

# -- four-way choices -----------------------------------------------------------------------------


def cosine(probe: NDArray[np.int64], raw: NDArray[np.int64]) -> Fraction:
    """Orders like the cosine, exactly: its sign times its square."""
    dot, length = int(probe @ raw), int(probe @ probe) * int(raw @ raw)
    return Fraction(dot * abs(dot), length) if length else Fraction(0)


def by_enumeration(
    probes: NDArray[np.int64], raw: NDArray[np.int64], person: NDArray[np.int64]
) -> list[float]:
    """Every triple of other people's first pictures in turn; ties are shared."""
    first = {int(who): int(np.flatnonzero(person == who)[0]) for who in np.unique(person)}
    found = []
    for i, probe in enumerate(probes):
        own = cosine(probe, raw[i])
        others = [cosine(probe, raw[row]) for who, row in first.items() if who != person[i]]
        shares = [
            Fraction(0) if max(three) > own else Fraction(1, 1 + sum(o == own for o in three))
            for three in combinations(others, 3)
        ]
        found.append(float(sum(shares) / len(shares)))
    return found


@pytest.mark.parametrize("seed", range(6))
def test_forced_choice_is_the_mean_over_all_triples(seed: int) -> None:
    draw = np.random.default_rng(seed)
    person = draw.integers(0, 7, 20)
    person[:7] = draw.permutation(7)
    probes, raw = (draw.integers(-2, 3, (20, 3)) for _ in range(2))
    probes[::5] = raw[::5]
    found = forced_choice(probes.astype(np.float32), raw.astype(np.float32), person)
    expected = by_enumeration(probes, raw, person)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)
    assert len({round(x, 6) for x in expected}) > 5, "the case has all sorts of outcomes"


def test_embeddings_that_tell_nothing_give_a_quarter_and_perfect_ones_give_one() -> None:
    person = np.repeat(np.arange(5), 2)
    raw = np.random.default_rng(0).normal(size=(10, 8)).astype(np.float32)
    for nothing in (np.ones_like(raw), np.zeros_like(raw)):
        np.testing.assert_allclose(forced_choice(nothing, np.ones_like(raw), person), 1 / 4)
    np.testing.assert_array_equal(forced_choice(raw, raw, person), 1)
    np.testing.assert_array_equal(forced_choice(3 * raw, raw, person), 1)
    np.testing.assert_array_equal(forced_choice(-raw, raw, person), 0)


# -- the rule -------------------------------------------------------------------------------------


def curve(*rates: float) -> Calibration:
    points = zip(GRID, rates, strict=False)
    return Calibration(tuple(Point(s, r, r - 0.02, r + 0.02, 0.9, 0.5) for s, r in points))


@pytest.mark.parametrize(
    ("rates", "sigma", "reached"),
    [
        ((0.99, 0.6, RATE, 0.25, 0.25), GRID[2], True),
        ((0.99, 0.6, RATE + 1e-6, 0.25), GRID[3], True),
        ((0.99, 0.26, 0.4, 0.25), GRID[1], True),
        ((0.2, 0.5, 0.25), GRID[2], True),
        ((0.99, 0.9, 0.7, 0.5), GRID[3], False),
    ],
    ids=["at the rate", "just above", "the smallest", "never without noise", "not reached"],
)
def test_the_smallest_deviation_at_the_papers_rate_is_taken(
    rates: tuple[float, ...], sigma: float, reached: bool
) -> None:
    found = curve(*rates)
    assert found.sigma == sigma
    assert found.reached is reached


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'{"points": [',
        b"[]",
        b'{"points": 3}',
        b'{"points": []}',
        b'{"points": [{"sigma": 0}]}',
        b"\xff\xfe\0",
    ],
)
def test_a_broken_calibration_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "calibration.json"
    assert read(path) is None
    path.write_bytes(content)
    with pytest.raises(InputError) as refused:
        read(path)
    assert str(refused.value) == f"{path}: not readable; delete it to calibrate again"


def test_a_kept_calibration_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    point = {"sigma": 0.05, "rate": 0.5, "low": 0.4, "high": 0.6, "rebuilt_rate": 1, "ms_ssim": 0.9}
    path.write_text(json.dumps({"points": [point]}))
    assert read(path) == Calibration((Point(0.05, 0.5, 0.4, 0.6, 1.0, 0.9),))
