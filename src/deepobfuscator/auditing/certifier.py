"""The certificates of one encoder as records, from the counts of its values."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from deepobfuscator.auditing.artifacts import Arrays
from deepobfuscator.auditing.fit import Audit
from deepobfuscator.auditing.scoring import Scorer
from deepobfuscator.auditing.threat_models import QUERIES
from deepobfuscator.auditing.values import PARTS, Codes
from deepobfuscator.certificates.attributes import (
    Bound,
    balanced_accuracy,
    excess_over_labels,
    within_labels,
)
from deepobfuscator.certificates.counts import Counts, Ints, multisets
from deepobfuscator.certificates.noise import Flips, Noise
from deepobfuscator.certificates.people import named_rightly, other_codes
from deepobfuscator.certificates.pictures import squared_error
from deepobfuscator.core.records import (
    ANY,
    CERTIFIED,
    CERTIFIED_EXCESS,
    HELD_OUT,
    IDENTITY,
    IMAGE,
    PLUG_IN,
    Record,
    ThreatKind,
)
from deepobfuscator.core.runtime import free_memory
from deepobfuscator.data.batches import Labelled

PICTURES = 5
"""k: numbers of pictures of one person that are certified together."""

MOST_SHOWN = 64
"""Number of codebook pictures kept for the page, the most frequent codes first."""


@dataclass
class Certifier:
    """Makes the records of one encoder whose values are counted."""

    audit: Audit
    """What is certified."""
    codes: Codes
    """Its values."""

    @cached_property
    def parts(self) -> list[Labelled]:
        """The held-out inputs."""
        return [self.audit.seen[name].labelled for name in PARTS]

    @cached_property
    def people(self) -> Ints:
        """(n,) person numbers, or input numbers if identities are unknown."""
        found = np.concatenate([part.people for part in self.parts])
        return np.unique(found, return_inverse=True)[1].astype(np.int64)

    @cached_property
    def labels(self) -> Ints:
        """(n,) combinations of public labels."""
        public = np.concatenate([part.public for part in self.parts])
        return np.unique(public, axis=0, return_inverse=True)[1].ravel().astype(np.int64)

    def records(self) -> list[Record]:
        """Everything that is certified."""
        task, data = self.audit.target.task, self.audit.target.data
        records = list[Record]()
        for subject in (*task.private, *data.undeclared):
            records += self.attribute(subject, several=subject in task.private)
        return [*records, *self.identity()]

    def attribute(self, subject: str, several: bool) -> list[Record]:
        """Balanced accuracy; the same given the public labels, and its excess over what they
        reveal; and from several pictures of one person.
        """
        scorer = Scorer(self.audit.target)
        found = [scorer.labels(part, subject) for part in self.parts]
        place = scorer.place(subject)[1]
        classes = np.concatenate(found).astype(np.int64)
        number = place.stop - place.start if isinstance(place, slice) else 2
        plain = Counts.of(self.codes.number, classes, self.people, number=number)
        given = Counts.of(self.codes.number, classes, self.people, self.labels, number)
        one = self.noise()
        bounds = [
            (balanced_accuracy(plain, noise=one), CERTIFIED, ThreatKind.COMMON, ""),
            (within_labels(given, noise=one), CERTIFIED, ThreatKind.LABELS, ""),
            (excess_over_labels(given, noise=one), CERTIFIED_EXCESS, ThreatKind.LABELS, ""),
        ]
        if one is not None:
            many = balanced_accuracy(plain, noise=self.noise(QUERIES))
            bounds.append((many, CERTIFIED, ThreatKind.AVERAGED, ""))
        records = list[Record]()
        for bound, metric, kind, detail in bounds:
            records += self.bounded(subject, bound, metric, kind, plain, detail)
        if several and self.audit.target.data.known_people:
            sets = multisets(self.codes.number, classes, self.people, PICTURES)
            if len(sets[0]):
                counts = Counts.of(*sets, number=number)
                told = f"{PICTURES} pictures"
                bound = balanced_accuracy(counts, noise=self.noise(PICTURES))
                records += self.bounded(subject, bound, CERTIFIED, ThreatKind.PERSON, counts, told)
        return records

    @cached_property
    def flips(self) -> Flips | None:
        """The noise that flips bits before they leave the device; None if there is none."""
        chance = self.audit.target.bundle.encoder.flip
        return Flips.of(self.codes.words, chance) if chance else None

    def noise(self, messages: int = 1) -> Noise | None:
        """The effect of that noise on ``messages`` messages of one or several codes."""
        if self.flips is None:
            return None
        channel = self.flips.channel if messages == 1 else None
        return Noise(self.flips.contraction(messages), channel)

    def bounded(
        self,
        subject: str,
        bound: Bound | None,
        metric: str,
        given: ThreatKind,
        counts: Counts,
        detail: str,
    ) -> list[Record]:
        """The certificate, and the plug-in estimate on these inputs."""
        if bound is None:
            return []
        said = [detail, str(bound.form)]
        if bound.share < 1:
            said.append(f"{100 * bound.share:.3g} % of the pictures")
        ends = (bound.value, bound.least, bound.value)
        made = [self.record(subject, metric, ends, given, counts, ", ".join(filter(None, said)))]
        if metric == CERTIFIED:
            seen = (bound.plug_in,) * 3
            made.append(self.record(subject, PLUG_IN, seen, given, counts, detail))
        return made

    def identity(self) -> list[Record]:
        """The fraction of the test part's people, all equally likely, who are identified."""
        target, codes = self.audit.target, self.codes
        if not target.data.known_people:
            return []
        bits, people = target.bundle.encoder.wire_bits, len(np.unique(self.parts[-1].people))
        own = len(self.parts[0])
        strange = np.unique(self.people[own:][codes.number[own:] >= codes.by_attacker])
        others = other_codes(len(np.unique(self.people[own:])), len(strange))
        by_counting = named_rightly(codes.by_attacker, people, others)
        by_bits = named_rightly(1 << min(bits, 62), people)
        if self.flips is not None:
            by_bits = named_rightly(self.flips.values, people)
        bound = min(by_counting, by_bits)
        detail = f"{people:,} people"
        counts = Counts.of(codes.number, np.zeros_like(codes.number), self.people, number=1)
        ends = (bound, min(bound, 1 / people), bound)
        return [self.record(IDENTITY, CERTIFIED, ends, ThreatKind.COMMON, counts, detail)]

    def images(self) -> tuple[list[Record], Arrays]:
        """The certified PSNR bound for every decoder, and the codebook: the best reconstruction.

        No certificate if there are too few people for any bound; nothing at all if the pictures of
        all codes do not fit in memory.
        """
        height, width = self.audit.target.setting.size
        shape = (self.codes.values, height, width, 3)
        if 16 * int(np.prod(shape)) > free_memory(torch.device("cpu")):
            return [], {}
        weight = 1 / np.bincount(self.people)[self.people]
        totals = np.bincount(self.codes.number, weight)
        book = np.zeros(shape, dtype=np.float32)
        for rows, pixels in self.chunks():
            share = (weight[rows] / totals[self.codes.number[rows]]).astype(np.float32)
            np.add.at(book, self.codes.number[rows], share[:, None, None, None] * pixels)
        error = np.empty(len(self.people))
        for rows, pixels in self.chunks():
            gap = (pixels - book[self.codes.number[rows]]).astype(np.float64)
            error[rows] = np.mean(gap**2, axis=(1, 2, 3))
        losses = np.bincount(self.people, weight * error)
        found = squared_error(losses, float(np.sqrt(error.max())))
        counts = Counts.of(self.codes.number, np.zeros_like(self.people), self.people, number=1)
        records = []
        if found.least > 0:
            ends = (found.psnr, min(found.psnr, 0.0), found.psnr)
            detail = "of the mean squared error of all pictures"
            records = [self.record(IMAGE, CERTIFIED, ends, ThreatKind.COMMON, counts, detail)]
        shown = np.argsort(-totals, kind="stable")[:MOST_SHOWN]
        sheet = {
            "codebook": (255 * book[shown]).round().clip(0, 255).astype(np.uint8),
            "share": totals[shown] / totals.sum(),
        }
        return records, sheet

    def chunks(self) -> Iterator[tuple[Ints, NDArray[np.float32]]]:
        """Row numbers and pictures (m, H, W, 3) in [0, 1] of all held-out inputs, in chunks."""
        start = 0
        for name in PARTS:
            data = self.audit.seen[name]
            for rows in data.chunks():
                yield start + rows, np.float32(1 / 255) * data.pictures(rows).astype(np.float32)
            start += len(data)

    def record(
        self,
        subject: str,
        metric: str,
        ends: tuple[float, float, float],
        given: ThreatKind,
        counts: Counts,
        detail: str,
    ) -> Record:
        """A record with value, low and high."""
        target = self.audit.target
        value, low, high = ends
        return Record(
            trial=target.key,
            defence=target.defence.name,
            attack=ANY,
            subject=subject,
            metric=metric,
            value=value,
            low=low,
            high=high,
            floor=None,
            n=len(counts.person),
            n_people=counts.people if target.data.known_people else None,
            split=HELD_OUT,
            seed=target.setting.seed,
            detail=detail,
            given=str(given),
        )
