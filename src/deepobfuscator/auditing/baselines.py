"""Baselines without features: the majority, and what the public labels alone reveal."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from deepobfuscator.data.batches import Parts

Scores: TypeAlias = tuple[NDArray[np.floating], NDArray[np.floating]]
"""One attribute's scores on validation (n,) and on test (m,); (n, C), (m, C) of C classes."""

LEAST = 1e-6
"""Rate of an unseen class: its logarithm must be finite."""


def codes(public: NDArray[np.uint8]) -> NDArray[np.int64]:
    """(n, M) public labels to the number of their combination, 0 .. 2^M - 1."""
    return np.asarray(public.astype(np.int64) @ (1 << np.arange(public.shape[1])))


def label_table(public: NDArray[np.uint8], hidden: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Rate of an attribute ``hidden`` (n,) for each combination of public labels.

    No predictor from the labels alone beats this table; an unseen combination gets the overall
    rate. Shape (2^M,).
    """
    labels = hidden.astype(np.float64)
    cells = 1 << public.shape[1]
    count = np.bincount(codes(public), minlength=cells)
    present = np.bincount(codes(public), weights=labels, minlength=cells)
    return np.where(count > 0, present / np.maximum(count, 1), labels.mean())


def majority(data: Parts, hidden: NDArray[np.uint8]) -> Scores:
    """The attribute's rate in the attacker's own data, for every input; see `from_labels`."""
    if hidden.ndim == 2:
        return _classes(majority, data, hidden)
    rate = float(hidden.mean())
    return np.full(len(data.validation), rate), np.full(len(data.test), rate)


def from_labels(data: Parts, hidden: NDArray[np.uint8]) -> Scores:
    """The best prediction from the true public labels, learned from the attacker's own ``hidden``:
    (n,) of 0 and 1, or (n, C) of classes, whose scores are the logarithms of their rates.
    """
    if hidden.ndim == 2:
        return _classes(from_labels, data, hidden)
    table = label_table(data.attacker.public, hidden)
    return table[codes(data.validation.public)], table[codes(data.test.public)]


def _classes(
    one: Callable[[Parts, NDArray[np.uint8]], Scores], data: Parts, hidden: NDArray[np.uint8]
) -> Scores:
    found = [one(data, column) for column in hidden.T]
    sides = (np.stack(side, 1) for side in zip(*found, strict=True))
    own, test = (np.log(np.maximum(side, LEAST)) for side in sides)
    return own, test
