"""Figures of pictures, and how sure they are: whole people are resampled.

Pictures of one person are no independent evidence, so people are drawn, not pictures, and every
figure of one `Bootstrap` sees the same draws.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepobfuscator.core.errors import InputError
from deepobfuscator.metrics import classes as several
from deepobfuscator.metrics.attributes import (
    ATTRIBUTE_METRICS,
    Bools,
    Floats,
    Ints,
    Statistic,
    checked,
)
from deepobfuscator.metrics.sample import Sample, Share

BLOCK = 500_000
"""Weights held at once while resampling: 4 MB an array, so that a block stays in the cache."""

UNSEEN = 1 / 4
"""Part of one picture of each class that is taken not to be known. Draws from a class without an
error hold none, and call the class certain; the size was chosen by simulated coverage."""


Rule: TypeAlias = float | Floats
"""A threshold, or offsets (C,) of several classes."""


@dataclass(frozen=True)
class Weighted:
    """A figure of some pictures, to be averaged with others by their number."""

    people: Ints
    """(p,) who is on them."""
    pictures: Ints
    """(p,) how many of each."""
    figure: Statistic
    """From weights of these people."""

    def of(self, weights: Floats) -> tuple[Floats, Floats]:
        """(draws,) figure times pictures, and pictures; both 0 where the draw lacks a class."""
        mine = weights[:, self.people]
        value, pictures = self.figure(mine), mine @ self.pictures
        known = ~np.isnan(value)
        return np.where(known, value * pictures, 0.0), pictures * known


class Bootstrap:
    """Draws of people, shared by all figures.

    Args:
        people: (n,) one value per person; row i is picture i.
        seed: of the draws.
        draws: how many.

    Raises:
        InputError: no pictures.
        ValueError: ``people`` is not (n,).
    """

    def __init__(self, people: ArrayLike, seed: int = 0, draws: int = 1000) -> None:
        names = np.asarray(people)
        if names.ndim != 1:
            raise ValueError(f"people {names.shape} is not one value per picture")
        if not len(names):
            raise InputError("no pictures to score; give some")
        _, person = np.unique(names, return_inverse=True)
        self.person: Ints = person.astype(np.int64)
        """(n,) people as 0, 1, 2, ..."""
        self.count = int(self.person.max()) + 1
        """People."""
        self.seed, self.draws = seed, draws

    def attribute(
        self, metric: str, scores: ArrayLike, labels: ArrayLike, threshold: Rule = 0.5
    ) -> Sample:
        """One of `ATTRIBUTE_METRICS` of (n,) scores against (n,) labels.

        ``threshold`` splits the scores (present where score >= threshold) where the metric has one.
        An attribute of several classes has scores (n, C), class numbers for labels and offsets (C,)
        for a threshold. A draw that lacks a class is NaN, save for accuracy.

        Raises:
            InputError: one class only, save for accuracy.
            ValueError: an unknown metric, a score that is NaN, arrays that do not match.
        """
        label: Bools | Ints
        if np.ndim(scores) == 2:
            score, number = several.checked(scores, labels)
            person, label = self._of(score[:, 0], None), number
            statistic = several.statistic_of(metric, score, number, person, threshold)
            kind = ATTRIBUTE_METRICS[metric]
        else:
            one, present = checked(metric, scores, labels)
            person, label = self._of(one, None), present
            kind = ATTRIBUTE_METRICS[metric]
            guess = one if kind.gain is None else one >= threshold
            statistic = kind.statistic(guess, present, person)
        value, draws = self.replicates(statistic)
        if kind.one_class:
            return Share(value, draws, self.count)
        found, counts = np.unique(label, return_counts=True)
        unseen = sum((2 / len(found) * UNSEEN / (count + 2)) ** 2 for count in counts.tolist())
        rarer = min(len(np.unique(person[label == each])) for each in found)
        return Share(value, draws, rarer, (1 - kind.least) ** 2 * unseen, least=kind.least)

    def within(
        self,
        metric: str,
        scores: ArrayLike,
        labels: ArrayLike,
        strata: Ints,
        thresholds: Mapping[int, Rule],
    ) -> Sample | None:
        """`attribute` within each of ``strata``, averaged by their pictures.

        Args:
            metric: one of `ATTRIBUTE_METRICS` that needs both classes.
            scores: (n,) higher for "more likely present"; (n, C) for several classes, whose
                balanced accuracy is scaled so that chance is 1/2 (`several.advantage`).
            labels: (n,) of 0 and 1, or class numbers.
            strata: (n,) numbers; one with a single class is left out, in a draw too.
            thresholds: of each stratum, where the metric has one.

        Returns:
            None where no stratum has both classes.

        Raises:
            InputError, ValueError: as in `attribute`.
        """
        score: Floats
        present: Bools | Ints
        if np.ndim(scores) == 2:
            score, present = several.checked(scores, labels)
        else:
            score, present = checked(metric, scores, labels)
        kind, figures, unseen = ATTRIBUTE_METRICS[metric], list[Weighted](), 0.0
        used = np.zeros(len(score), dtype=bool)
        for stratum in np.unique(strata):
            rows = strata == stratum
            if present[rows].min() == present[rows].max():
                continue
            used |= rows
            people, person = np.unique(self.person[rows], return_inverse=True)
            rule = thresholds[int(stratum)]
            if score.ndim == 2:
                own = present[rows].astype(np.int64)
                figure = several.statistic_of(
                    metric, score[rows], own, person, rule, figures=several.WITHIN
                )
            else:
                guess = score[rows] if kind.gain is None else score[rows] >= rule
                figure = kind.statistic(guess, present[rows].astype(bool), person)
            figures.append(Weighted(people, np.bincount(person), figure))
            counts = np.unique(present[rows], return_counts=True)[1]
            scale = 2 / len(counts) * UNSEEN * int(rows.sum())
            unseen += sum((scale / (count + 2)) ** 2 for count in counts.tolist())
        if not figures:
            return None

        def statistic(weights: Floats) -> Floats:
            found = [one.of(weights) for one in figures]
            sums, totals = (np.sum(part, axis=0) for part in zip(*found, strict=True))
            return np.asarray(sums / totals)

        rarer = min(
            len(np.unique(self.person[used & (present == one)])) for one in np.unique(present[used])
        )
        spare = (1 - kind.least) ** 2 * unseen / used.sum() ** 2
        return Share(*self.replicates(statistic), rarer, spare, least=kind.least)

    def mean(
        self, values: ArrayLike, rows: ArrayLike | None = None, kind: type[Sample] = Sample
    ) -> Sample:
        """Mean of values, one a picture.

        Values that are all equal, or of a single person, give an interval of no width, unless
        they are shares.

        Args:
            values: (m,) finite floats of any unit.
            rows: (m,) numbers of their pictures; all n in order by default.
            kind: `Share` for values in [0, 1], so that the mean is a share.

        Raises:
            ValueError: a value that is not finite, arrays that do not match.
        """
        value, person = self._values(values, rows)
        sums = np.bincount(person, value, minlength=self.count)
        counts = np.bincount(person, minlength=self.count).astype(np.float64)
        found = self.replicates(lambda w: np.asarray((w @ sums) / (w @ counts)))
        return kind(*found, len(np.unique(person)))

    def worst(
        self, values: ArrayLike, share: float = 0.05, rows: ArrayLike | None = None
    ) -> Sample:
        """Mean of the highest ``share`` of the values; each draw chooses its own.

        Args:
            values: (m,) finite floats.
            share: above 0, at most 1; the last picture counts by the part that falls in.
            rows: as in `mean`, which raises alike.
        """
        value, person = self._values(values, rows)
        order = np.argsort(-value)
        value, person = value[order], person[order]

        def statistic(weights: Floats) -> Floats:
            weight = weights[:, person]
            total = np.cumsum(weight, axis=1)
            wanted = share * total[:, -1:]
            taken = np.clip(wanted - (total - weight), 0, weight)
            return np.asarray(taken @ value / wanted[:, 0])

        return Sample(*self.replicates(statistic), len(np.unique(person)))

    def replicates(self, statistic: Statistic) -> tuple[float, NDArray[np.float64]]:
        """A statistic of weights (.., people), and its (draws,) bootstrap replicates."""
        block = max(1, BLOCK // len(self.person))
        blocks = [self._weights[i : i + block] for i in range(0, self.draws, block)]
        with np.errstate(invalid="ignore", divide="ignore"):
            value = float(statistic(np.ones((1, self.count)))[0])
            figures = [statistic(weights.astype(np.float64)) for weights in blocks]
        return value, np.concatenate(figures)

    @cached_property
    def _weights(self) -> NDArray[np.uint8]:
        """(draws, people) how often each draw holds a person."""
        generator = np.random.default_rng(self.seed)
        weights = np.empty((self.draws, self.count), dtype=np.uint8)
        block = max(1, BLOCK // self.count)
        for start in range(0, self.draws, block):
            size = min(block, self.draws - start)
            picks = generator.integers(self.count, size=(size, self.count))
            picks += self.count * np.arange(size)[:, None]
            counts = np.bincount(picks.ravel(), minlength=size * self.count)
            # More than 255 times the same person: never, of people enough for it.
            weights[start : start + size] = counts.reshape(size, self.count)
        return weights

    def _of(self, values: Floats, rows: ArrayLike | None) -> Ints:
        """(m,) people of the values' pictures."""
        person = self.person if rows is None else self.person[np.asarray(rows)]
        if person.shape != values.shape:
            raise ValueError(f"{values.shape} values and {person.shape} pictures do not match")
        return person

    def _values(self, values: ArrayLike, rows: ArrayLike | None) -> tuple[Floats, Ints]:
        value = np.asarray(values, dtype=np.float64)
        if not np.isfinite(value).all():
            raise ValueError("a value is not finite")
        return value, self._of(value, rows)
