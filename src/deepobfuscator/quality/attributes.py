"""How well an attribute was guessed, and how sure that is: intervals resample whole people.

Scores are (n,) floats, higher meaning "more likely present"; labels are (n,) of 0 and 1; people are
(n,) integers, one value per person. Pictures of one person are no independent evidence, so people
are drawn, not pictures.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepobfuscator.errors import InputError

METRICS = ("accuracy", "balanced_accuracy", "auc")
"""Figures for a binary attribute, all of them fractions."""

BLOCK = 500_000
"""Weights held at once while resampling: 4 MB an array, so that a block stays in the cache."""

Z = 1.959964
"""Quantile of the normal distribution that leaves 2.5 % above it."""

Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]
People = NDArray[np.int64]
Statistic = Callable[[Floats], Floats]
"""From weights (draws, people) to figures (draws,); NaN where a draw lacks a class."""


@dataclass(frozen=True)
class Measured:
    """A figure with its 95 % interval; low <= value <= high."""

    value: float
    low: float
    high: float


def measure(
    metric: str,
    scores: ArrayLike,
    labels: ArrayLike,
    people: ArrayLike,
    threshold: float = 0.5,
    seed: int = 0,
    draws: int = 1000,
) -> Measured:
    """One of `METRICS`, with its percentile bootstrap interval over people.

    ``threshold`` splits the scores for the two accuracies (present where score >= threshold). A
    draw that lacks a class is left out of balanced accuracy and AUC. Where all draws agree (all
    right, all wrong, a single person) the interval is Wilson's, for as many trials as there are
    people; for balanced accuracy and AUC, people of the rarer class.

    Raises:
        InputError: no pictures; one class only, for balanced accuracy and AUC.
        ValueError: an unknown metric, a score that is NaN, arrays that do not match.
    """
    score, present = _checked(metric, scores, labels)
    person = _numbered(people, len(score))
    classes = [present | ~present] if metric == "accuracy" else [present, ~present]
    if metric == "auc":
        statistic = _auc(score, present, person)
    else:
        statistic = _mean((score >= threshold) == present, classes, person)
    found = _bootstrap(statistic, person, seed, draws)
    if found.high - found.low > 1e-9:
        return found
    return _wilson(found.value, min(len(np.unique(person[rows])) for rows in classes))


def measure_mean(
    values: ArrayLike, people: ArrayLike, seed: int = 0, draws: int = 1000
) -> Measured:
    """Mean of (n,) values of any unit, one a picture, with its bootstrap interval over people.

    Values that are all equal, or of a single person, give an interval of no width: nothing bounds
    a value in general.

    Raises:
        InputError: no pictures.
        ValueError: a value that is not finite, arrays that do not match.
    """
    value = np.asarray(values, dtype=np.float64)
    if not np.isfinite(value).all():
        raise ValueError("a value is not finite")
    person = _numbered(people, len(value))
    return _bootstrap(_mean(value, [np.ones(len(value), dtype=bool)], person), person, seed, draws)


def best_threshold(scores: ArrayLike, labels: ArrayLike, metric: str) -> float:
    """The threshold with the best accuracy or balanced accuracy (present where score >= it).

    It lies midway between two neighbouring scores, or is -inf (always present) or inf (never). Of
    equally good ones it is the nearest to the median: the one that splits the pictures most evenly.

    Raises:
        InputError: no pictures; one class only, for balanced accuracy.
        ValueError: a metric without a threshold, a score that is NaN, arrays that do not match.
    """
    if metric == "auc":
        raise ValueError("auc has no threshold")
    score, present = _checked(metric, scores, labels)
    order = np.argsort(score)
    score, present = score[order], present[order]
    # Cut i calls the lowest i pictures absent; one between equal scores is no cut.
    cuts = np.flatnonzero(np.r_[True, score[1:] != score[:-1], True])
    missed = np.r_[0, np.cumsum(present)][cuts]
    hits, rejections = missed[-1] - missed, cuts - missed
    positives = missed[-1]
    negatives = len(score) - positives
    # In whole numbers, so that ties are ties.
    balanced = metric == "balanced_accuracy"
    gain = hits * negatives + rejections * positives if balanced else hits + rejections
    best = cuts[gain == gain.max()]
    cut = best[np.argmin(np.abs(2 * best - len(score)))]
    if cut == 0:
        return float("-inf")
    if cut == len(score):
        return float("inf")
    below, above = score[cut - 1], score[cut]
    with np.errstate(invalid="ignore"):
        middle = below / 2 + above / 2
    # Neighbours without a number between them, or infinite: the upper one cuts as well.
    return float(middle if below < middle else above)


def _checked(metric: str, scores: ArrayLike, labels: ArrayLike) -> tuple[Floats, Bools]:
    if metric not in METRICS:
        raise ValueError(f"unknown metric {metric!r}; one of {', '.join(METRICS)}")
    score, label = np.asarray(scores), np.asarray(labels)
    if score.ndim != 1 or score.shape != label.shape:
        raise ValueError(f"scores {score.shape} and labels {label.shape} do not match")
    if not np.issubdtype(score.dtype, np.floating):
        score = score.astype(np.float64)
    if np.isnan(score).any():
        raise ValueError("a score is NaN")
    present = label.astype(bool)
    if metric != "accuracy" and len(score) and (present.all() or not present.any()):
        raise InputError(
            f"{metric} needs pictures with and without the attribute, and all "
            f"{len(score)} are {'with' if present[0] else 'without'}; give more pictures"
        )
    return score, present


def _numbered(people: ArrayLike, pictures: int) -> People:
    """(n,) people as 0, 1, 2, ..."""
    if not pictures:
        raise InputError("no pictures to score; give some")
    _, person = np.unique(np.asarray(people), return_inverse=True)
    if person.shape != (pictures,):
        raise ValueError(f"{pictures} pictures and {person.shape} people do not match")
    return person.astype(np.int64)


def _mean(values: Floats | Bools, classes: Sequence[Bools], person: People) -> Statistic:
    """The mean over classes of the weighted mean of ``values`` within each."""
    sums = np.stack([np.bincount(person, values * rows) for rows in classes], axis=1)
    counts = np.stack([np.bincount(person, rows) for rows in classes], axis=1)

    def statistic(weights: Floats) -> Floats:
        means = (weights @ sums) / (weights @ counts)
        return np.asarray(means.mean(axis=1))

    return statistic


def _auc(score: Floats, present: Bools, person: People) -> Statistic:
    """The weighted share of pairs (present, absent) in the right order, ties for one half."""
    order = np.argsort(score)
    score, present, person = score[order], present[order], person[order]
    groups = np.flatnonzero(np.r_[True, score[1:] != score[:-1]])

    def statistic(weights: Floats) -> Floats:
        weight = weights[:, person]
        positive = np.add.reduceat(weight * present, groups, axis=1)
        negative = np.add.reduceat(weight * ~present, groups, axis=1)
        below = np.cumsum(negative, axis=1) - negative / 2
        pairs = positive.sum(1) * negative.sum(1)
        return np.asarray((positive * below).sum(1) / pairs)

    return statistic


def _bootstrap(statistic: Statistic, person: People, seed: int, draws: int) -> Measured:
    generator = np.random.default_rng(seed)
    people = int(person.max()) + 1
    block = max(1, BLOCK // len(person))
    figures = []
    with np.errstate(invalid="ignore"):
        for start in range(0, draws, block):
            size = min(block, draws - start)
            picks = generator.integers(people, size=(size, people))
            picks += people * np.arange(size)[:, None]
            weights = np.bincount(picks.ravel(), minlength=size * people).reshape(size, people)
            figures.append(statistic(weights.astype(np.float64)))
    value = float(statistic(np.ones((1, people)))[0])
    low, high = np.nanpercentile(np.concatenate(figures), (2.5, 97.5))
    # The percentiles of few or skewed draws may miss the figure itself.
    return Measured(value, min(float(low), value), max(float(high), value))


def _wilson(share: float, trials: int) -> Measured:
    """Wilson's score interval of a share of independent trials."""
    centre = (share + Z**2 / (2 * trials)) / (1 + Z**2 / trials)
    spread = np.sqrt(share * (1 - share) / trials + Z**2 / (4 * trials**2))
    half = float(Z * spread / (1 + Z**2 / trials))
    return Measured(share, min(max(0.0, centre - half), share), max(min(1.0, centre + half), share))
