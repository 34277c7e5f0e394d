"""Floors: what can be said of the private side without any features."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from deepobfuscator.attacks._base import Own, Threat
from deepobfuscator.attacks.reconstruct import Mirror
from deepobfuscator.data.batches import Data, Labelled
from deepobfuscator.data.table import Task
from deepobfuscator.game import Setting
from deepobfuscator.records import LABEL_ONLY, MAJORITY, MEAN_FACE, Record, select
from deepobfuscator.runtime import Run
from deepobfuscator.scoring import Scorer


def codes(public: NDArray[np.uint8]) -> NDArray[np.int64]:
    """(n, M) public labels to the number of their combination, 0 .. 2^M - 1."""
    combination: NDArray[np.int64] = public.astype(np.int64) @ (1 << np.arange(public.shape[1]))
    return combination


def label_table(part: Labelled, k: int) -> NDArray[np.float64]:
    """How often private attribute ``k`` is present for each combination of public labels.

    No predictor from the labels alone beats this table; a combination that was never seen gets
    the overall rate. Shape (2^M,).
    """
    labels = part.private[:, k].astype(np.float64)
    cells = 1 << part.public.shape[1]
    count = np.bincount(codes(part.public), minlength=cells)
    present = np.bincount(codes(part.public), weights=labels, minlength=cells)
    return np.where(count > 0, present / np.maximum(count, 1), labels.mean())


def attribute_floors(scorer: Scorer, task: Task) -> list[Record]:
    """The majority class of every attribute, and for the private ones the best guess from the
    true public labels alone.
    """
    own, validation, test = scorer.data.attacker, scorer.data.validation, scorer.data.test
    records: list[Record] = []
    for subject in (*task.public, *task.private):
        rate = scorer.labels(own, subject).mean()
        always = [np.full(len(part), rate) for part in (validation, test)]
        records += scorer.attribute(MAJORITY, subject, *always)
    for k, subject in enumerate(task.private):
        table = label_table(own, k)
        from_labels = [table[codes(part.public)] for part in (validation, test)]
        records += scorer.attribute(LABEL_ONLY, subject, *from_labels)
    return select(records, split="test")


def mean_face(scorer: Scorer) -> list[Record]:
    """Guessing the mean of the attacker's own pictures for everybody."""
    part = scorer.data.attacker
    total = np.zeros(part.pictures.shape[1:], dtype=np.float64)
    for rows in np.array_split(np.arange(len(part)), -(-len(part) // 1024)):
        total += part.pictures[rows].sum(0, dtype=np.float64)
    mean = torch.from_numpy(total / len(part) / 255).float().permute(2, 0, 1)
    face = mean.to(scorer.run.device)
    return scorer.images(
        MEAN_FACE, scorer.data.test, "test", lambda rows: face.expand(len(rows), -1, -1, -1)
    )


def labels_only(part: Labelled) -> Own:
    """The part as one sees it who has the true public labels and nothing else."""
    labels = torch.from_numpy(part.public).float()
    return Own(part, None, (part.public.shape[1],), kept={False: labels, True: labels})


def label_decoder(data: Data, setting: Setting, run: Run, checkpoint: Path) -> nn.Module:
    """The mirror of Table 1 and its loss, fitted on the public labels instead of features."""
    own, validation = labels_only(data.attacker), labels_only(data.validation)
    threat = Threat(own, validation, setting.size, setting)
    return Mirror().fit(threat, run, checkpoint, "floor: labels to pictures, ")
