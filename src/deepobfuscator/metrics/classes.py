"""How well an attribute of several classes was guessed, in the figures that binary ones have.

Scores are (n, C) log-probabilities or the like, labels (n,) class numbers. Offsets (C,), subtracted
from the scores before the highest is taken, are what a threshold is to a binary attribute.
"""

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepobfuscator.core.errors import InputError
from deepobfuscator.metrics.attributes import Floats, Ints, Statistic, auc

SWEEPS = 3
"""Times that each class's offset is chosen, given those of the others."""


def log_chances(logits: Floats) -> NDArray[np.float64]:
    """Log-probabilities from the logits of one sigmoid for each class."""
    return -np.logaddexp(0, -np.asarray(logits, dtype=np.float64))


def called(scores: Floats, offsets: Floats | float) -> Ints:
    """(n,) the class with the highest score above its offset."""
    return np.asarray((scores - offsets).argmax(1), dtype=np.int64)


def best_offsets(scores: ArrayLike, labels: ArrayLike, metric: str) -> NDArray[np.float64]:
    """Offsets with a high value of ``metric``, found one class at a time (coordinate ascent).

    For accuracy every picture counts the same; for all other metrics every class does.

    Raises:
        InputError: no pictures, or one class only.
    """
    score, label = checked(scores, labels)
    counts = np.bincount(label, minlength=score.shape[1])
    weight = np.ones(len(label)) if metric == "accuracy" else 1 / counts[label]
    starts = np.zeros(score.shape[1]), np.log(np.maximum(counts, 1) / len(label))
    found = [_climbed(score, label, weight, start) for start in starts]
    return max(found, key=lambda offsets: weight[called(score, offsets) == label].sum())


def _climbed(score: Floats, label: Ints, weight: Floats, start: Floats) -> NDArray[np.float64]:
    """Offsets from ``start`` on, each class's the best in turn while that helps."""
    offsets = np.array(start, dtype=np.float64)
    for _ in range(SWEEPS):
        before = offsets.copy()
        for k in range(len(offsets)):
            offsets[k] = _best_offset(score, label, weight, offsets, k)
        if np.array_equal(before, offsets):
            break
    return offsets


def _best_offset(score: Floats, label: Ints, weight: Floats, offsets: Floats, k: int) -> float:
    """The best offset of class ``k``, given the others; of equally good ones the nearest."""
    rest = score - offsets
    rest[:, k] = -np.inf
    rival = rest.argmax(1)
    lead = score[:, k] - rest.max(1)
    order = np.argsort(lead)
    lead, mine, theirs = lead[order], (label == k)[order], (label == rival)[order]
    # At cut i the lowest i pictures go to their second choice; one between equal leads is no cut.
    cuts = np.flatnonzero(np.r_[True, lead[1:] != lead[:-1], True])
    won = np.r_[0, np.cumsum(weight[order] * theirs)] - np.r_[0, np.cumsum(weight[order] * mine)]
    gains = np.round(won[cuts], 12)
    best = cuts[gains == gains.max()]
    below = lead[np.maximum(best - 1, 0)] - (best == 0)
    above = lead[np.minimum(best, len(lead) - 1)] + (best == len(lead))
    places = np.clip(offsets[k], below, above)
    nearest = int(np.abs(places - offsets[k]).argmin())
    low, high = below[nearest], above[nearest]
    return float(offsets[k] if low < offsets[k] < high else (low + high) / 2)


def checked(scores: ArrayLike, labels: ArrayLike) -> tuple[NDArray[np.float64], Ints]:
    """Scores as floats and labels as class numbers.

    Raises:
        InputError: no pictures, or one class only.
        ValueError: a score that is NaN, arrays that do not match.
    """
    score, label = np.asarray(scores, dtype=np.float64), np.asarray(labels, dtype=np.int64)
    if score.ndim != 2 or label.shape != score.shape[:1]:
        raise ValueError(f"scores {score.shape} and labels {label.shape} do not match")
    if np.isnan(score).any():
        raise ValueError("a score is NaN")
    if not len(label):
        raise InputError("no pictures to score; give some")
    if label.min() == label.max():
        raise InputError("all pictures are of one class; give more pictures")
    return score, label


def confusion(guess: Ints, label: Ints, person: Ints, classes: int) -> Callable[[Floats], Floats]:
    """From weights (draws, people) to (draws, classes, classes): true by guessed class."""
    people = int(person.max()) + 1
    cell = (person * classes + label) * classes + guess
    counts = np.bincount(cell, minlength=people * classes**2).reshape(people, -1)
    return lambda weights: np.asarray(weights @ counts).reshape(-1, classes, classes)


def accuracy(cells: Floats) -> Floats:
    """The share of right guesses."""
    return np.asarray(np.trace(cells, axis1=1, axis2=2) / cells.sum((1, 2)))


def balanced_accuracy(cells: Floats) -> Floats:
    """The mean of all classes' shares of right guesses; NaN where a draw lacks a class."""
    return np.asarray((np.diagonal(cells, axis1=1, axis2=2) / cells.sum(2)).mean(1))


def mcc(cells: Floats) -> Floats:
    """Gorodkin's R_K (2004), Matthews' correlation of several classes; 0 for one guess only."""
    total, right = cells.sum((1, 2)), np.trace(cells, axis1=1, axis2=2)
    true, guessed = cells.sum(2), cells.sum(1)
    spread = (total**2 - (true**2).sum(1)) * (total**2 - (guessed**2).sum(1))
    found = (right * total - (true * guessed).sum(1)) / np.sqrt(np.where(spread > 0, spread, 1))
    return np.asarray(np.where((true == 0).any(1), np.nan, found))


Figures: TypeAlias = Mapping[str, Callable[[Floats], Floats]]
"""Figures of a confusion matrix, by the name of the metric."""

COUNTED: Figures = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "mcc": mcc,
}
"""Over all inputs."""


def advantage(cells: Floats) -> Floats:
    """One half for the mean recall of chance, 1 for no error, over the classes of each draw: with
    K of them (1 + (K * recall - 1) / (K - 1)) / 2, the balanced accuracy where K = 2.
    """
    true, right = cells.sum(2), np.diagonal(cells, axis1=1, axis2=2)
    there = true > 0
    recall = np.divide(right, true, out=np.zeros_like(right, dtype=np.float64), where=there)
    k = there.sum(1)
    gain = (recall.sum(1) - 1) / np.where(k > 1, k - 1, 1)
    return np.asarray(np.where(k > 1, (1 + gain) / 2, np.nan))


WITHIN: Figures = {"balanced_accuracy": advantage}
"""Among inputs with equal public labels."""


def macro_auc(scores: Floats, label: Ints, person: Ints, present: Ints) -> Statistic:
    """The mean over the classes ``present`` of the AUC of each against the rest, of those that a
    draw has.
    """
    each = [auc(scores[:, k], label == k, person) for k in present]

    def statistic(weights: Floats) -> Floats:
        values = np.stack([one(weights) for one in each])
        known = ~np.isnan(values)
        return np.asarray(np.where(known, values, 0).sum(0) / known.sum(0))

    return statistic


def statistic_of(
    metric: str,
    scores: Floats,
    label: Ints,
    person: Ints,
    offsets: Floats | float,
    *,
    figures: Figures = COUNTED,
) -> Statistic:
    """One of the attribute metrics as a function of weights; `WITHIN` are the ``figures`` of the
    inputs of one stratum.

    Raises:
        ValueError: it is none of them.
    """
    if metric == "auc":
        return macro_auc(scores, label, person, np.unique(label))
    if metric not in figures:
        raise ValueError(f"{metric} is not defined for several classes")
    cells = confusion(called(scores, offsets), label, person, scores.shape[1])
    return lambda weights: figures[metric](cells(weights))
