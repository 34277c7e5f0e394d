"""How well a binary attribute was guessed: the figures, and the best place to cut the scores.

Scores are (n,) floats, higher meaning "more likely present"; labels are (n,) of 0 and 1. A figure
is a function of weights, one for each person.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepobfuscator.core.errors import InputError

Floats: TypeAlias = NDArray[np.floating]
Bools: TypeAlias = NDArray[np.bool_]
Ints: TypeAlias = NDArray[np.int64]
Guesses: TypeAlias = Floats | Bools
"""Scores, or truth values where a threshold has split them."""
Statistic: TypeAlias = Callable[[Floats], Floats]
"""From weights (draws, people) to figures (draws,); NaN where a draw lacks a class."""


@dataclass(frozen=True)
class AttributeMetric:
    """A figure for a binary attribute, at most 1; a new one is a line of `ATTRIBUTE_METRICS`."""

    name: str
    """In records and gates."""
    title: str
    """On pages."""
    statistic: Callable[[Guesses, Bools, Ints], Statistic]
    """Of (n,) guesses, labels and people."""
    gain: Callable[[Ints, Ints, Ints, Ints], Ints | Floats] | None = None
    """Rises with the figure; of numbers of hits, misses, false alarms and rejections at each
    threshold. Exact, so that ties are ties. None where the metric has no threshold."""
    percent: bool = False
    """Whether pages show it in per cent."""
    least: float = 0.0
    """The smallest value there is."""
    one_class: bool = False
    """Whether it makes sense where all inputs have the same label."""


def best_threshold(scores: ArrayLike, labels: ArrayLike, metric: str) -> float:
    """The threshold with the best value of ``metric`` (present where score >= it).

    It lies midway between two neighbouring scores, or is -inf (always present) or inf (never). Of
    equally good ones it is the nearest to the median.

    Raises:
        InputError: no pictures; one class only, for balanced accuracy and mcc.
        ValueError: a metric without a threshold, a score that is NaN, arrays that do not match.
    """
    score, present = checked(metric, scores, labels)
    gain = ATTRIBUTE_METRICS[metric].gain
    if gain is None:
        raise ValueError(f"{metric} has no threshold")
    if not len(score):
        raise InputError("no pictures to choose a threshold on; give some")
    order = np.argsort(score)
    score, present = score[order], present[order]
    # Cut i calls the lowest i pictures absent; one between equal scores is no cut.
    cuts = np.flatnonzero(np.r_[True, score[1:] != score[:-1], True])
    missed = np.r_[0, np.cumsum(present)][cuts]
    hits, rejections = missed[-1] - missed, cuts - missed
    gains = gain(hits, missed, len(score) - cuts - hits, rejections)
    best = cuts[gains == gains.max()]
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


def checked(metric: str, scores: ArrayLike, labels: ArrayLike) -> tuple[Floats, Bools]:
    """Scores as floats and labels as truth values.

    Raises:
        InputError: one class only, where the metric needs two.
        ValueError: an unknown metric, a score that is NaN, arrays that do not match.
    """
    if metric not in ATTRIBUTE_METRICS:
        raise ValueError(f"unknown metric {metric!r}; one of {', '.join(METRICS)}")
    score, label = np.asarray(scores), np.asarray(labels)
    if score.ndim != 1 or score.shape != label.shape:
        raise ValueError(f"scores {score.shape} and labels {label.shape} do not match")
    if not np.issubdtype(score.dtype, np.floating):
        score = score.astype(np.float64)
    if np.isnan(score).any():
        raise ValueError("a score is NaN")
    present = label.astype(bool)
    one_class = len(score) > 0 and present.min() == present.max()
    if one_class and not ATTRIBUTE_METRICS[metric].one_class:
        raise InputError(
            f"{metric} needs pictures with and without the attribute, and all "
            f"{len(score)} are {'with' if present[0] else 'without'}; give more pictures"
        )
    return score, present


def counted(
    figure: Callable[[Floats, Floats, Floats, Floats], Floats],
) -> Callable[[Guesses, Bools, Ints], Statistic]:
    """The metric that is a figure of the weights of hits, misses, false alarms and rejections."""

    def metric(guess: Guesses, present: Bools, person: Ints) -> Statistic:
        called = guess.astype(bool)
        sides = (called & present, ~called & present, called & ~present, ~called & ~present)
        counts = np.stack([np.bincount(person, side) for side in sides], axis=1)
        return lambda weights: np.asarray(figure(*(weights @ counts).T))

    return metric


def accuracy(hits: Floats, misses: Floats, alarms: Floats, rejections: Floats) -> Floats:
    """The share of right guesses."""
    return (hits + rejections) / (hits + misses + alarms + rejections)


def balanced_accuracy(hits: Floats, misses: Floats, alarms: Floats, rejections: Floats) -> Floats:
    """The mean of both classes' shares of right guesses."""
    return (hits / (hits + misses) + rejections / (alarms + rejections)) / 2


def mcc(hits: Floats, misses: Floats, alarms: Floats, rejections: Floats) -> Floats:
    """Matthews' correlation; 0, no better than chance, where every guess is the same."""
    positives, negatives = hits + misses, alarms + rejections
    called, dismissed = hits + alarms, misses + rejections
    # A class that is missing gives NaN; a guess that is never made gives 0.
    square = (positives * negatives) * np.maximum(1, called * dismissed)
    return (hits * rejections - alarms * misses) / np.sqrt(square)


def auc(score: Guesses, present: Bools, person: Ints) -> Statistic:
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


def balanced_gain(hits: Ints, misses: Ints, alarms: Ints, rejections: Ints) -> Ints:
    """Balanced accuracy, times twice the inputs of both classes."""
    return hits * (alarms + rejections) + rejections * (hits + misses)


def mcc_gain(hits: Ints, misses: Ints, alarms: Ints, rejections: Ints) -> Floats:
    """Matthews' correlation, times the root of the inputs of both classes."""
    guesses = np.sqrt(np.maximum(1, (misses + rejections) * (hits + alarms)))
    return np.round((hits * rejections - alarms * misses) / guesses, 9)


ATTRIBUTE_METRICS = {
    metric.name: metric
    for metric in (
        AttributeMetric(
            "accuracy",
            "accuracy",
            counted(accuracy),
            gain=lambda hits, misses, alarms, rejections: hits + rejections,
            percent=True,
            one_class=True,
        ),
        AttributeMetric(
            "balanced_accuracy",
            "balanced accuracy",
            counted(balanced_accuracy),
            gain=balanced_gain,
            percent=True,
        ),
        AttributeMetric("auc", "AUC", auc),
        AttributeMetric("mcc", "MCC", counted(mcc), gain=mcc_gain, least=-1),
    )
}
"""Every figure for a binary attribute, in the order of records and tables."""

METRICS = tuple(ATTRIBUTE_METRICS)
"""Their names."""
