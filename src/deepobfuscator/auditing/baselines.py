"""Baselines without features: the majority, and what the public labels alone tell."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from deepobfuscator.data.batches import Parts

Scores: TypeAlias = tuple[NDArray[np.floating], NDArray[np.floating]]
"""One attribute's scores on validation (n,) and on test (m,)."""


def codes(public: NDArray[np.uint8]) -> NDArray[np.int64]:
    """(n, M) public labels to the number of their combination, 0 .. 2^M - 1."""
    return np.asarray(public.astype(np.int64) @ (1 << np.arange(public.shape[1])))


def label_table(public: NDArray[np.uint8], hidden: NDArray[np.uint8]) -> NDArray[np.float64]:
    """How often an attribute ``hidden`` (n,) is present for each combination of public labels.

    No predictor from the labels alone beats this table; a combination that was never seen gets
    the overall rate. Shape (2^M,).
    """
    labels = hidden.astype(np.float64)
    cells = 1 << public.shape[1]
    count = np.bincount(codes(public), minlength=cells)
    present = np.bincount(codes(public), weights=labels, minlength=cells)
    return np.where(count > 0, present / np.maximum(count, 1), labels.mean())


def majority(data: Parts, hidden: NDArray[np.uint8]) -> Scores:
    """Everybody gets the attribute's rate among the attacker's own."""
    rate = float(hidden.mean())
    return np.full(len(data.validation), rate), np.full(len(data.test), rate)


def from_labels(data: Parts, hidden: NDArray[np.uint8]) -> Scores:
    """The best guess from the true public labels, learned from the attacker's own ``hidden``."""
    table = label_table(data.attacker.public, hidden)
    return table[codes(data.validation.public)], table[codes(data.test.public)]
