"""How well a binary attribute was guessed: the figures, and the best place to cut the scores.

Scores are (n,) floats, higher meaning "more likely present"; labels are (n,) of 0 and 1. A figure
is a function of weights, one for each person.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepobfuscator.core.errors import InputError

METRICS = ("accuracy", "balanced_accuracy", "auc", "mcc")
"""Figures for a binary attribute: three fractions and Matthews' correlation, -1 to 1."""

Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]
People = NDArray[np.int64]
Statistic = Callable[[Floats], Floats]
"""From weights (draws, people) to figures (draws,); NaN where a draw lacks a class."""


def best_threshold(scores: ArrayLike, labels: ArrayLike, metric: str) -> float:
    """The threshold with the best accuracy, balanced accuracy or correlation (present where score
    >= it).

    It lies midway between two neighbouring scores, or is -inf (always present) or inf (never). Of
    equally good ones it is the nearest to the median: the one that splits the pictures most evenly.

    Raises:
        InputError: no pictures; one class only, for balanced accuracy and mcc.
        ValueError: a metric without a threshold, a score that is NaN, arrays that do not match.
    """
    if metric == "auc":
        raise ValueError("auc has no threshold")
    score, present = checked(metric, scores, labels)
    if not len(score):
        raise InputError("no pictures to choose a threshold on; give some")
    order = np.argsort(score)
    score, present = score[order], present[order]
    # Cut i calls the lowest i pictures absent; one between equal scores is no cut.
    cuts = np.flatnonzero(np.r_[True, score[1:] != score[:-1], True])
    missed = np.r_[0, np.cumsum(present)][cuts]
    hits, rejections = missed[-1] - missed, cuts - missed
    positives = missed[-1]
    negatives = len(score) - positives
    # In whole numbers, so that ties are ties.
    gain = hits + rejections
    if metric != "accuracy":
        gain = hits * negatives + rejections * positives
    if metric == "mcc":
        guesses = np.sqrt(np.maximum(1, cuts * (len(score) - cuts)))
        gain = np.round((gain - positives * negatives) / guesses, 9)
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


def checked(metric: str, scores: ArrayLike, labels: ArrayLike) -> tuple[Floats, Bools]:
    """Scores as floats and labels as truth values.

    Raises:
        InputError: one class only, where the metric needs two.
        ValueError: an unknown metric, a score that is NaN, arrays that do not match.
    """
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


def confusion(metric: str, guess: Bools, present: Bools, person: People) -> Statistic:
    """Accuracy, balanced accuracy or mcc of ``guess``, all (n,).

    mcc is 0, no better than chance, where every guess is the same.
    """
    sides = (guess & present, ~guess & present, guess & ~present, ~guess & ~present)
    counts = np.stack([np.bincount(person, side) for side in sides], axis=1)

    def statistic(weights: Floats) -> Floats:
        hits, misses, alarms, rejections = (weights @ counts).T
        if metric == "accuracy":
            return np.asarray((hits + rejections) / (hits + misses + alarms + rejections))
        positives, negatives = hits + misses, alarms + rejections
        if metric == "balanced_accuracy":
            return np.asarray((hits / positives + rejections / negatives) / 2)
        called, dismissed = hits + alarms, misses + rejections
        # A class that is missing gives NaN; a guess that is never made gives 0.
        square = (positives * negatives) * np.maximum(1, called * dismissed)
        return np.asarray((hits * rejections - alarms * misses) / np.sqrt(square))

    return statistic


def auc(score: Floats, present: Bools, person: People) -> Statistic:
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
