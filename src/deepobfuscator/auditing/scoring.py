"""Scores: one attacker's predictions against the true labels, as records. All figures of a subject
use the same resampled people, so differences are paired.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepobfuscator.auditing.baselines import Scores, codes
from deepobfuscator.auditing.config import Target
from deepobfuscator.auditing.threat_models import COMMON_KEY, order_of
from deepobfuscator.core.records import (
    EXCESS,
    FLOORS,
    LABEL_ONLY,
    MAXIMUM,
    PERCEPTUAL,
    WITHIN,
    WITHIN_AUC,
    Record,
    ThreatKey,
    ThreatKind,
    headline_metric,
)
from deepobfuscator.data.batches import Labelled
from deepobfuscator.metrics import perceptual
from deepobfuscator.metrics.attributes import ATTRIBUTE_METRICS, METRICS, best_threshold
from deepobfuscator.metrics.bootstrap import Bootstrap, Rule
from deepobfuscator.metrics.classes import best_offsets
from deepobfuscator.metrics.images import describe_ms_ssim, ms_ssim, psnr, ssim
from deepobfuscator.metrics.sample import Measured, Sample, simultaneous

SPLITS = ("validation", "test")
"""The attacker's own samples, on which every choice is made, and those it is scored on once."""

IMAGE_METRICS = {"ms_ssim": ms_ssim, "ssim": ssim, "psnr": psnr}
"""Metrics of a reconstruction, each of two (n, 3, H, W) to (n,)."""

WITHIN_METRICS = {WITHIN: "balanced_accuracy", WITHIN_AUC: "auc"}
"""Metrics measured among inputs with equal public labels."""

Samples: TypeAlias = dict[str, Sample]
"""Figures of one attacker on one split by metric."""


@dataclass(frozen=True)
class Attempt:
    """One attacker on one subject, as identified in records."""

    attack: str
    """Its label, or one of `REFERENCES`."""
    subject: str
    """An attribute's name, ``image`` or ``identity``."""
    split: str = "test"
    """One of `SPLITS`."""
    threat: ThreatKey = COMMON_KEY
    """Its threat model."""
    rows: NDArray[np.int64] | None = None
    """Rows of the split that are scored; None for all."""


@dataclass(frozen=True)
class Result:
    """A common attacker's result on test."""

    attempt: Attempt
    """The attacker."""
    samples: Samples
    """Its figures."""
    excess: Sample
    """The headline metric above the label-only baseline."""


@dataclass
class Scorer:
    """Makes the records of one trial; floors are set once the audit is complete."""

    target: Target
    """What was attacked."""

    @cached_property
    def boot(self) -> dict[str, Bootstrap]:
        """Resampled people of each split."""
        return {split: Bootstrap(self.part(split).people) for split in SPLITS}

    def part(self, split: str) -> Labelled:
        """The samples of a split."""
        data = self.target.data
        return data.validation if split == "validation" else data.test

    def columns(self, part: Labelled, subject: str) -> NDArray[np.uint8]:
        """(n,) values of an attribute, or (n, C) one-hot over its C classes."""
        side, k = self.place(subject)
        return np.asarray(getattr(part, side)[:, k])

    def labels(self, part: Labelled, subject: str) -> NDArray[np.int64] | NDArray[np.uint8]:
        """(n,) values of an attribute, 0 and 1 or class numbers."""
        found = self.columns(part, subject)
        return found if found.ndim == 1 else found.argmax(1)

    def place(self, subject: str) -> tuple[str, int | slice]:
        """An attribute's side (public, private or undeclared) and its columns there."""
        task, undeclared = self.target.task, self.target.data.undeclared
        for side, names in (("public", task.public), ("private", task.private)):
            if subject in names:
                return side, task.place(subject)
        return "undeclared", undeclared.index(subject)

    def attribute(
        self, attempt: Attempt, scores: Scores, metrics: Sequence[str] = METRICS
    ) -> tuple[list[Record], dict[str, Samples]]:
        """Records on validation and on test, and the figures of each split.

        Thresholds are chosen on validation, one for each metric that has one. The negative
        control is scored against labels in its own shuffled order.
        """
        records, samples = list[Record](), {split: Samples() for split in SPLITS}
        truth = {s: self.labels(self.part(s), attempt.subject) for s in SPLITS}
        if attempt.threat.kind is ThreatKind.SHUFFLED:
            truth = {split: labels[order_of(len(labels))] for split, labels in truth.items()}
        for metric in metrics:
            threshold: Rule = 0.0
            detail = ""
            if ATTRIBUTE_METRICS[metric].gain is not None:
                threshold = best_rule(scores[0], truth["validation"], metric)
                detail = "threshold chosen on validation"
            for split, guess in zip(SPLITS, scores, strict=True):
                sample = self.boot[split].attribute(metric, guess, truth[split], threshold)
                samples[split][metric] = sample
                at = replace(attempt, split=split)
                records.append(self.record(at, metric, sample.interval(), detail))
        if attempt.attack not in FLOORS and attempt.threat.kind is not ThreatKind.SHUFFLED:
            records += self.within(attempt, scores, truth, samples)
        return records, samples

    def within(
        self,
        attempt: Attempt,
        scores: Scores,
        truth: Mapping[str, NDArray[np.int64] | NDArray[np.uint8]],
        samples: Mapping[str, Samples],
    ) -> list[Record]:
        """Records of one attribute among inputs with equal public labels; adds to ``samples``.

        Thresholds are chosen on validation, one for each combination of labels; a combination
        without both classes there uses the overall threshold.
        """
        records = []
        strata = {split: codes(self.part(split).public) for split in SPLITS}
        overall = best_rule(scores[0], truth["validation"], "balanced_accuracy")
        thresholds = dict.fromkeys(np.unique(strata["test"]).tolist(), overall)
        for stratum in np.unique(strata["validation"]).tolist():
            rows = strata["validation"] == stratum
            own = truth["validation"][rows]
            both = own.min() < own.max()
            found = best_rule(scores[0][rows], own, "balanced_accuracy") if both else overall
            thresholds[stratum] = found
        for metric, base in WITHIN_METRICS.items():
            for split, guess in zip(SPLITS, scores, strict=True):
                sample = self.boot[split].within(
                    base, guess, truth[split], strata[split], thresholds
                )
                if sample is not None:
                    samples[split][metric] = sample
                    at = replace(attempt, split=split)
                    records.append(self.record(at, metric, sample.interval()))
        return records

    def untuned(self, attempt: Attempt, chances: NDArray[np.floating]) -> list[Record]:
        """Records of probabilities on test, with the fixed threshold 1/2, or the most likely of
        several classes.
        """
        truth = self.labels(self.target.data.test, attempt.subject)
        records = []
        for metric in METRICS:
            sample = self.boot["test"].attribute(metric, chances, truth, 0.5)
            how = "threshold 1/2" if chances.ndim == 1 else "the likeliest class"
            detail = how if ATTRIBUTE_METRICS[metric].gain else ""
            records.append(self.record(attempt, metric, sample.interval(), detail))
        return records

    def images(
        self, attempt: Attempt, quality: Mapping[str, NDArray[np.float64]]
    ) -> tuple[list[Record], Samples]:
        """Records of `image_quality` for the attempt's rows."""
        boot, samples = self.boot[attempt.split], Samples()
        for metric in IMAGE_METRICS:
            samples[metric] = boot.mean(quality[metric], attempt.rows)
        samples["ms_ssim_worst"] = boot.worst(quality["ms_ssim"], rows=attempt.rows)
        scales = describe_ms_ssim(min(self.target.data.test.pictures.shape[1:3]))
        details = {m: scales if m.startswith("ms_ssim") else "" for m in samples}
        records = [self.record(attempt, m, s.interval(), details[m]) for m, s in samples.items()]
        return records, samples

    def perceptual(self, attempt: Attempt, guesses: Mapping[str, NDArray[Any]]) -> list[Record]:
        """The record of the test reconstructions' perceptual distance, if it was measured."""
        if PERCEPTUAL not in guesses:
            return []
        attempt = replace(attempt, rows=guesses[f"{PERCEPTUAL}_rows"])
        found = self.boot["test"].mean(guesses[PERCEPTUAL], attempt.rows)
        return [self.record(attempt, PERCEPTUAL, found.interval(), perceptual.DETAIL)]

    def compared(self, results: Sequence[Result]) -> list[Record]:
        """Each common attacker's excess over the label-only baseline, and the maximum of all."""
        if not results:
            return []
        records = [self.excess(result.attempt, result.excess) for result in results]
        metric = headline_metric(results[0].attempt.subject)
        compared = {
            name: [r.samples[name] for r in results if name in r.samples]
            for name in (metric, WITHIN)
        } | {EXCESS: [r.excess for r in results]}
        for name, samples in compared.items():
            if not samples:
                continue
            best = results[int(np.argmax([sample.value for sample in samples]))].attempt
            highest = replace(best, attack=MAXIMUM)
            records.append(self.record(highest, name, simultaneous(samples), best.attack))
        return records

    def excess(self, attempt: Attempt, sample: Sample, over: str = LABEL_ONLY) -> Record:
        """The record of an attacker's excess above ``over``."""
        return self.record(attempt, EXCESS, sample.interval(), f"over {over}")

    def record(self, attempt: Attempt, metric: str, measured: Measured, detail: str = "") -> Record:
        """A record of this trial; its floor is set once the audit is complete."""
        people = self.part(attempt.split).people
        if attempt.rows is not None:
            people = people[attempt.rows]
        return Record(
            trial=self.target.key,
            defence=self.target.defence.name,
            attack=attempt.attack,
            subject=attempt.subject,
            metric=metric,
            value=measured.value,
            low=measured.low,
            high=measured.high,
            floor=None,
            n=len(people),
            n_people=len(np.unique(people)) if self.target.data.known_people else None,
            split=attempt.split,
            seed=self.target.setting.seed,
            detail=detail,
            given=str(attempt.threat),
        )


def best_rule(scores: NDArray[np.floating], labels: ArrayLike, metric: str) -> Rule:
    """The threshold, or the offsets of several classes, that is best by ``metric``."""
    choose = best_threshold if scores.ndim == 1 else best_offsets
    return choose(scores, labels, metric)
