"""Floors: what can be said of the private side without any features."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepobfuscator.attacks.threat import AttackerData
from deepobfuscator.auditing.scoring import Scores
from deepobfuscator.data.batches import Labelled, Parts


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


def mean_face(part: Labelled) -> Tensor:
    """The mean of the attacker's own pictures, (3, H, W) in [0, 1]."""
    total = np.zeros(part.pictures.shape[1:], dtype=np.float64)
    for rows in np.array_split(np.arange(len(part)), -(-len(part) // 1024)):
        total += part.pictures[rows].sum(0, dtype=np.float64)
    return torch.from_numpy(total / len(part) / 255).float().permute(2, 0, 1)


def labels_only(part: Labelled) -> AttackerData:
    """The part as one sees it who has the true public labels and nothing else."""
    labels = torch.from_numpy(part.public).float()
    return AttackerData(part, None, (part.public.shape[1],), kept={False: labels, True: labels})
