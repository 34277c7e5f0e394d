"""Scores: guesses against the truth of one part, as records."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepobfuscator.bundle import CHUNK
from deepobfuscator.data.batches import Data, Labelled, as_input
from deepobfuscator.data.table import Task
from deepobfuscator.quality import (
    METRICS,
    Measured,
    best_threshold,
    describe_ms_ssim,
    measure,
    measure_mean,
    ms_ssim,
    psnr,
    ssim,
)
from deepobfuscator.records import IMAGE, Record
from deepobfuscator.runtime import Run

IMAGE_METRICS = {"ms_ssim": ms_ssim, "ssim": ssim, "psnr": psnr}
"""Metrics of a reconstruction, each (n, 3, H, W) twice to (n,)."""

Painter: TypeAlias = Callable[[NDArray[np.int64]], Tensor]
"""Rows of a part to guessed pictures (n, 3, H, W) in [0, 1]."""


@dataclass(frozen=True)
class Scorer:
    """Makes the records of one trial; floors are set when all parts of an audit are there."""

    trial: str
    """Key of the trial."""
    defence: str
    """Name of its defence."""
    seed: int
    """Seed of the trial."""
    task: Task
    """Public and private attributes."""
    data: Data
    """Validation and test labels."""
    run: Run
    """Where pictures are compared."""

    def labels(self, part: Labelled, subject: str) -> NDArray[np.uint8]:
        """(n,) values of a public or private attribute."""
        if subject in self.task.public:
            return part.public[:, self.task.public.index(subject)]
        return part.private[:, self.task.private.index(subject)]

    def attribute(
        self, attack: str, subject: str, own: NDArray[np.floating], test: NDArray[np.floating]
    ) -> list[Record]:
        """Records of scores of one attribute on validation (``own``) and on test.

        Thresholds are chosen on validation, one for each metric that has one.
        """
        parts = (self.data.validation, own, "validation"), (self.data.test, test, "test")
        records = []
        for metric in METRICS:
            threshold, detail = 0.0, ""
            if metric != "auc":
                threshold = best_threshold(own, self.labels(self.data.validation, subject), metric)
                detail = "threshold chosen on validation"
            for part, scores, split in parts:
                labels = self.labels(part, subject)
                measured = measure(metric, scores, labels, part.people, threshold)
                records.append(self.record(attack, subject, metric, measured, part, split, detail))
        return records

    def naive(self, attack: str, subject: str, chances: NDArray[np.floating]) -> list[Record]:
        """Records of probabilities on test, with the threshold 1/2 that nobody tuned."""
        test = self.data.test
        labels = self.labels(test, subject)
        return [
            self.record(
                *(attack, subject, metric),
                measure(metric, chances, labels, test.people, 0.5),
                *(test, "test", "" if metric == "auc" else "threshold 1/2"),
            )
            for metric in METRICS
        ]

    def images(self, attack: str, part: Labelled, split: str, guess: Painter) -> list[Record]:
        """Records of guessed pictures (in [0, 1]) against the true ones."""
        values: dict[str, list[Tensor]] = {m: [] for m in IMAGE_METRICS}
        with torch.no_grad():
            for rows in np.array_split(np.arange(len(part)), -(-len(part) // CHUNK)):
                truth, guessed = as_input(part.pictures[rows], self.run.device), guess(rows)
                for metric, function in IMAGE_METRICS.items():
                    values[metric].append(function(guessed, truth).cpu())
        scales = describe_ms_ssim(min(part.pictures.shape[1:3]))
        return [
            self.record(
                *(attack, IMAGE, metric),
                measure_mean(torch.cat(values[metric]).numpy(), part.people),
                *(part, split, scales if metric == "ms_ssim" else ""),
            )
            for metric in IMAGE_METRICS
        ]

    def record(
        self,
        attack: str,
        subject: str,
        metric: str,
        measured: Measured,
        part: Labelled,
        split: str,
        detail: str = "",
    ) -> Record:
        """A record of this trial; its floor is set when all parts are there."""
        people = len(np.unique(part.people)) if self.data.known_people else None
        return Record(
            trial=self.trial,
            defence=self.defence,
            attack=attack,
            subject=subject,
            metric=metric,
            value=measured.value,
            low=measured.low,
            high=measured.high,
            floor=None,
            n=len(part),
            n_people=people,
            split=split,
            seed=self.seed,
            detail=detail,
        )
