"""Figures with their bootstrap replicates: intervals, paired differences, and many figures at once.

The draws give a figure's standard error and what figures have in common; the interval's shape comes
from the kind of figure. Percentiles of the draws themselves would cover too rarely near 0 and 1 and
for few people.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

Z = 1.959964
"""Quantile of the normal distribution that leaves 2.5 % above it."""

STILL = 1e-9
"""Standard error, as a part of the range, below which draws differ by rounding alone."""

Draws = NDArray[np.float64]


@dataclass(frozen=True)
class Measured:
    """A figure with its 95 % interval; low <= value <= high."""

    value: float
    low: float
    high: float


def wilson(share: float, trials: float, errors: float) -> tuple[float, float]:
    """Wilson's bounds of a share in [0, 1]; low <= share <= high.

    ``trials`` are those behind it, or as many as would give its standard error; ``errors`` are
    standard errors to a side, a quantile of the normal distribution or of Student's t.
    """
    prior = errors**2 / trials
    half = math.sqrt(prior * (share * (1 - share) + prior / 4))
    low, high = ((share + prior / 2 + way * half) / (1 + prior) for way in (-1, 1))
    # Rounding may carry a bound past the share or the end.
    return max(0.0, min(share, low)), min(1.0, max(share, high))


@dataclass(frozen=True, eq=False)
class Sample:
    """A figure and its bootstrap replicates; samples of one Bootstrap resample the same people, so
    they are paired.
    """

    value: float
    """The figure."""
    draws: Draws
    """(draws,) replicates; NaN where a draw lacks a class."""
    people: int
    """People behind it; of the rarer class, where it has classes."""
    unseen: float = 0.0
    """Variance that the draws cannot show, because they know no picture but those given."""
    least: float = -math.inf
    """The smallest value there is."""
    most: float = math.inf
    """The largest value there is."""

    @cached_property
    def spread(self) -> float:
        """Standard deviation of the draws."""
        seen = self.draws[~np.isnan(self.draws)]
        return float(seen.std()) if len(seen) else 0.0

    @property
    def se(self) -> float:
        """Standard error; resampling G people shows (G - 1) / G of the variance."""
        return math.sqrt(self.spread**2 * self.people / max(1, self.people - 1) + self.unseen)

    @property
    def doubt(self) -> float:
        """Variance that it brings to a difference, beyond what the draws show."""
        return self.unseen

    @property
    def critical(self) -> float:
        """Standard errors to a side of a 95 % interval: Student's t for as many people."""
        return float(stdtrit(max(1, self.people - 1), 0.975))

    def bounds(self, errors: float) -> tuple[float, float]:
        """Lower and upper bound, ``errors`` standard errors away."""
        half = errors * self.se
        return max(self.least, self.value - half), min(self.most, self.value + half)

    def interval(self) -> Measured:
        """95 %, two-sided."""
        return Measured(self.value, *self.bounds(self.critical))

    def __sub__(self, other: "Sample") -> "Sample":
        """The paired difference; of shares never sure, even where the two agree on every picture.

        Bonett and Price (2012) add one trial to either kind of disagreement between two shares.

        Raises:
            ValueError: the samples have not the same number of draws.
        """
        if len(self.draws) != len(other.draws):
            raise ValueError(f"{len(self.draws)} and {len(other.draws)} draws are not paired")
        return Sample(
            self.value - other.value,
            self.draws - other.draws,
            people=min(self.people, other.people),
            unseen=self.doubt + other.doubt,
            least=self.least - other.most,
            most=self.most - other.least,
        )


@dataclass(frozen=True, eq=False)
class Share(Sample):
    """A share, or another figure between two ends where its variance vanishes.

    The interval is Wilson's, for as many independent trials as would give the same standard error.
    """

    least: float = 0.0
    most: float = 1.0

    @cached_property
    def trials(self) -> float:
        """Effective number of trials; where all draws agree, the people."""
        span = self.most - self.least
        if self.spread <= STILL * span:
            return self.people
        share = (self.value - self.least) / span
        return max(share * (1 - share), STILL) * (span / self.se) ** 2

    @property
    def doubt(self) -> float:
        """Variance of one trial more."""
        return ((self.most - self.least) / (self.trials + 2)) ** 2

    def bounds(self, errors: float) -> tuple[float, float]:
        """Wilson's bounds, with ``errors`` in place of the normal quantile."""
        span = self.most - self.least
        share = (self.value - self.least) / span
        low, high = wilson(share, self.trials, errors)
        # Rounding may carry a bound past the figure or the end.
        return (
            max(self.least, min(self.value, self.least + span * low)),
            min(self.most, max(self.value, self.least + span * high)),
        )


def simultaneous(samples: Sequence[Sample]) -> Measured:
    """The highest of several paired figures, with a 95 % max-t interval.

    ``high`` lies above all of the true values at once, and ``low`` is the largest of lower bounds
    that hold at once: as many standard errors away as the studentised maximum over the figures
    says, which the draws tell with all that the figures share. Never nearer than one figure's own
    interval would be.

    Raises:
        ValueError: no samples, or not all of as many draws.
    """
    if not samples:
        raise ValueError("no figures to take the highest of")
    moving = [s for s in samples if s.spread > STILL * max(1.0, abs(s.value))]

    def errors(way: int) -> float:
        if not moving:
            return Z
        farthest = np.fmax.reduce([way * (s.draws - s.value) / s.spread for s in moving])
        return max(Z, float(np.nanquantile(farthest, 0.975)))

    below, above = errors(1), errors(-1)
    return Measured(
        max(s.value for s in samples),
        max(s.bounds(below * s.critical / Z)[0] for s in samples),
        max(s.bounds(above * s.critical / Z)[1] for s in samples),
    )


def p_above(sample: Sample, level: float = 0.0) -> float:
    """One-sided p that the true value is at most ``level``.

    A normal approximation from the standard error; below .025 where a symmetric interval lies
    above ``level``.
    """
    distance = sample.value - level
    if sample.se == 0:
        return 0.5 if distance == 0 else float(distance < 0)
    errors = distance / sample.se * Z / sample.critical
    return math.erfc(errors / math.sqrt(2)) / 2


def holm(p: Sequence[float]) -> list[float]:
    """Holm's adjusted p values (1979), in the order given."""
    order = np.argsort(p, kind="stable")
    steps = np.asarray(p, dtype=np.float64)[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1, np.maximum.accumulate(steps))
    return [float(value) for value in adjusted]
