"""Scores: what attackers guessed against the truth, as records. Every figure of one subject comes
from the same resampled people, so that differences are paired.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepobfuscator.core.records import (
    EXCESS,
    IMAGE,
    LABEL_ONLY,
    MAXIMUM,
    Record,
    headline_metric,
)
from deepobfuscator.core.runtime import Context
from deepobfuscator.data.augment import as_input
from deepobfuscator.data.batches import Labelled, Parts
from deepobfuscator.data.table import Task
from deepobfuscator.metrics import (
    METRICS,
    Bootstrap,
    Measured,
    Sample,
    best_threshold,
    simultaneous,
)
from deepobfuscator.metrics.images import describe_ms_ssim, ms_ssim, psnr, ssim
from deepobfuscator.training.bundle import CHUNK

IMAGE_METRICS = {"ms_ssim": ms_ssim, "ssim": ssim, "psnr": psnr}
"""Metrics of a reconstruction, each (n, 3, H, W) twice to (n,)."""

Painter: TypeAlias = Callable[[NDArray[np.int64]], Tensor]
"""Rows of a part to guessed pictures (n, 3, H, W) in [0, 1]."""

Scores: TypeAlias = tuple[NDArray[np.floating], NDArray[np.floating]]
"""One attribute's scores on validation (n,) and on test (m,)."""

Samples: TypeAlias = dict[str, Sample]
"""Test figures of one attacker by metric."""


@dataclass
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
    data: Parts
    """Validation and test labels."""
    context: Context
    """Where pictures are compared."""

    @cached_property
    def boot(self) -> dict[str, Bootstrap]:
        """Resampled people of validation and of test."""
        return {
            split: Bootstrap(part.people)
            for split, part in (("validation", self.data.validation), ("test", self.data.test))
        }

    def part(self, split: str) -> Labelled:
        """The pictures of a split."""
        return self.data.validation if split == "validation" else self.data.test

    def labels(self, part: Labelled, subject: str) -> NDArray[np.uint8]:
        """(n,) values of an attribute."""
        if subject in self.task.public:
            return part.public[:, self.task.public.index(subject)]
        if subject in self.task.private:
            return part.private[:, self.task.private.index(subject)]
        assert part.undeclared is not None
        return part.undeclared[:, self.data.undeclared.index(subject)]

    def attribute(
        self,
        attack: str,
        subject: str,
        scores: Scores,
        given: str = "",
        metrics: Sequence[str] = METRICS,
        order: Callable[[int], NDArray[np.int64]] = np.arange,
    ) -> tuple[list[Record], Samples]:
        """Records on validation and on test, and the test figures for comparisons.

        Thresholds are chosen on validation, one for each metric that has one. ``order`` gives
        the row whose label is held against each score.
        """
        own, test = scores
        records, samples = list[Record](), Samples()
        truth = self.labels(self.data.validation, subject)[order(len(own))]
        for metric in metrics:
            threshold, detail = 0.0, ""
            if metric != "auc":
                threshold = best_threshold(own, truth, metric)
                detail = "threshold chosen on validation"
            for split, guess in (("validation", own), ("test", test)):
                labels = self.labels(self.part(split), subject)[order(len(guess))]
                sample = self.boot[split].attribute(metric, guess, labels, threshold)
                records.append(
                    self.record(
                        attack, subject, metric, sample.interval(), split, detail, given=given
                    )
                )
                if split == "test":
                    samples[metric] = sample
        return records, samples

    def naive(self, attack: str, subject: str, chances: NDArray[np.floating]) -> list[Record]:
        """Records of probabilities on test, with the threshold 1/2 that nobody tuned."""
        labels = self.labels(self.data.test, subject)
        return [
            self.record(
                *(attack, subject, metric),
                self.boot["test"].attribute(metric, chances, labels, 0.5).interval(),
                *("test", "" if metric == "auc" else "threshold 1/2"),
            )
            for metric in METRICS
        ]

    def compare(
        self, part: Labelled, rows: NDArray[np.int64], guess: Painter
    ) -> dict[str, NDArray[np.float64]]:
        """Each of `IMAGE_METRICS` of guessed pictures against the true ones, (len(rows),)."""
        values: dict[str, list[Tensor]] = {m: [] for m in IMAGE_METRICS}
        with torch.no_grad():
            for some in np.array_split(rows, -(-len(rows) // CHUNK)):
                truth, guessed = as_input(part.pictures[some], self.context.device), guess(some)
                for metric, function in IMAGE_METRICS.items():
                    values[metric].append(function(guessed, truth).cpu())
        return {m: torch.cat(v).numpy().astype(np.float64) for m, v in values.items()}

    def images(
        self,
        attack: str,
        split: str,
        values: Mapping[str, NDArray[np.float64]],
        rows: NDArray[np.int64],
        given: str = "",
    ) -> tuple[list[Record], Samples]:
        """Records of what `compare` gave for ``rows`` of a split."""
        boot, samples = self.boot[split], Samples()
        for metric in IMAGE_METRICS:
            samples[metric] = boot.mean(values[metric], rows)
        samples["ms_ssim_worst"] = boot.worst(values["ms_ssim"], rows=rows)
        scales = describe_ms_ssim(min(self.data.test.pictures.shape[1:3]))
        return [
            self.record(
                *(attack, IMAGE, metric, sample.interval(), split),
                scales if metric.startswith("ms_ssim") else "",
                given=given,
                rows=rows,
            )
            for metric, sample in samples.items()
        ], samples

    def compared(
        self,
        subject: str,
        attackers: Mapping[str, Samples],
        excesses: Mapping[str, Sample],
        rows: Mapping[str, NDArray[np.int64]] | None = None,
    ) -> list[Record]:
        """Each attacker's excess over the label-only floor, and the highest of all attackers.

        ``rows`` are the test pictures that an attacker was scored on, where these are not all.
        """
        asked = rows or {}
        over = f"over {LABEL_ONLY}"
        records = [
            self.record(
                attack, subject, EXCESS, sample.interval(), "test", over, "", asked.get(attack)
            )
            for attack, sample in excesses.items()
        ]
        metric = headline_metric(subject)
        figures = {attack: samples[metric] for attack, samples in attackers.items()}
        for name, samples in ((metric, figures), (EXCESS, dict(excesses))):
            if samples:
                best = max(samples, key=lambda a: samples[a].value)
                highest = simultaneous(list(samples.values()))
                records.append(
                    self.record(MAXIMUM, subject, name, highest, "test", best, "", asked.get(best))
                )
        return records

    def record(
        self,
        attack: str,
        subject: str,
        metric: str,
        measured: Measured,
        split: str,
        detail: str = "",
        given: str = "",
        rows: NDArray[np.int64] | None = None,
    ) -> Record:
        """A record of this trial; its floor is set when all parts are there."""
        who = self.part(split).people
        who = who if rows is None else who[rows]
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
            n=len(who),
            n_people=len(np.unique(who)) if self.data.known_people else None,
            split=split,
            seed=self.seed,
            detail=detail,
            given=given,
        )
