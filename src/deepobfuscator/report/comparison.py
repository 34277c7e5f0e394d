"""Runs side by side where nothing differs but the defence and the seed."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import sqrt
from pathlib import Path
from typing import Any

from deepobfuscator.auditing.leakage import HALF
from deepobfuscator.core.records import IMAGE, WITHIN, Record, ThreatKind
from deepobfuscator.report.runs import RunResult
from deepobfuscator.report.subjects import (
    Role,
    Subject,
    SubjectReport,
    Undeclared,
    declared,
    report_of,
    undeclared,
)

IMAGE_SUBJECT = Subject(IMAGE, Role.IMAGE)

Span = tuple[float, float, float]
"""A figure and the ends of its 95 % interval."""

UNDEFENDED = ("undefended", "raw")
"""Names of the defences that defend nothing: the ceilings of the others."""


@dataclass(frozen=True)
class Configuration:
    """One defence as configured, under one seed or several."""

    label: str
    """The defence's name, and the fields that tell it from others of that name."""
    runs: tuple[RunResult, ...]
    """Its runs by seed; never empty."""

    @property
    def defended(self) -> bool:
        """Whether it is more than the undefended baseline."""
        return self.runs[0].defence not in UNDEFENDED


@dataclass(frozen=True)
class Comparison:
    """Configurations that differ in nothing but the defence."""

    configurations: tuple[Configuration, ...]
    """The undefended one first, then by name; never empty."""
    distinction: str
    """What tells this comparison from the others of the page; empty where it is the only one."""

    @property
    def first(self) -> RunResult:
        """A run that stands for what all of them share."""
        return self.configurations[0].runs[0]

    @property
    def runs(self) -> list[RunResult]:
        """Every run."""
        return [run for c in self.configurations for run in c.runs]

    @cached_property
    def subjects(self) -> list[Subject]:
        """Public attributes, private attributes, and the image and identity where any run has a
        figure of them.
        """
        of_task, measured = (Role.PUBLIC, Role.PRIVATE), set(self._reports)
        every = dict.fromkeys(s for run in self.runs for s in declared(run))
        return [
            s
            for s in every
            if s.role in of_task or any((run.folder, s) in measured for run in self.runs)
        ]

    @property
    def attacked(self) -> list[Subject]:
        """The subjects that attackers must not learn."""
        return [s for s in self.subjects if s.role is not Role.PUBLIC]

    @property
    def defended(self) -> list[Configuration]:
        """The configurations that are more than the undefended baseline."""
        return [c for c in self.configurations if c.defended]

    def undeclared(self, configuration: Configuration) -> list[tuple[Undeclared, ...]]:
        """By seed, attributes outside the task by excess; only runs that tested any."""
        return [found for run in configuration.runs if (found := undeclared(run))]

    def readings(self, configuration: Configuration, subject: Subject) -> list[SubjectReport]:
        """By seed, what those runs of ``configuration`` that have a figure say of ``subject``."""
        found = (self.reading(run, subject) for run in configuration.runs)
        return [report for report in found if report is not None]

    def reading(self, run: RunResult, subject: Subject) -> SubjectReport | None:
        """What ``run`` says of ``subject``; None where it has no figure of it."""
        return self._reports.get((run.folder, subject))

    def surviving(self, configuration: Configuration, subject: Subject) -> Span | None:
        """Which part of the undefended leak survives, with its 95 % interval.

        The leak is what attackers predict beyond the public labels. Where only attackers among
        equal public labels, or who were given more, find one, both parts are of their figures.
        Over several seeds the mean, the lowest and the highest end. None where a seed has no
        undefended leak to compare with.
        """
        if not configuration.defended:
            return 1.0, 1.0, 1.0
        readings = self.readings(configuration, subject)
        leak = leak_of(readings)
        spans = [ratio(_measured(r, leak), self._ceiling(subject, r, leak)) for r in readings]
        known = [span for span in spans if span]
        if not known or len(known) < len(spans):
            return None
        values, lows, highs = zip(*known, strict=True)
        return sum(values) / len(values), min(lows), max(highs)

    def _ceiling(
        self, subject: Subject, reading: SubjectReport, leak: Record | None
    ) -> Record | None:
        """What `_measured` gives of ``reading``, of the undefended encoder."""
        if leak is None or not (leak.metric == WITHIN or leak.given):
            return reading.ceiling_excess
        plain = self.undefended(reading.seed)
        beside = None if plain is None else self.reading(plain, subject)
        return None if beside is None else _measured(beside, leak)

    @cached_property
    def _reports(self) -> dict[tuple[Path, Subject], SubjectReport]:
        found = {
            (run.folder, subject): report_of(run, subject, self.undefended(run.seed))
            for run in self.runs
            for subject in declared(run)
        }
        return {key: report for key, report in found.items() if report.result}

    def undefended(self, seed: int) -> RunResult | None:
        """The undefended run of the same seed, else of the first; None where there is none."""
        plain = [run for run in self.runs if run.defence in UNDEFENDED]
        return next((run for run in plain if run.seed == seed), plain[0] if plain else None)


def leak_of(readings: Iterable[SubjectReport]) -> Record | None:
    """The leak that stands for several seeds: one above the label-only floor before one that only
    balanced accuracy among equal public labels shows; None if no seed has any.
    """
    return min((r.leak for r in readings if r.leak), key=lambda r: r.metric == WITHIN, default=None)


def _measured(reading: SubjectReport, leak: Record | None) -> Record | None:
    """What ``reading`` has of the measure that showed ``leak``; 0 is nothing beyond the labels."""
    if leak is None:
        return reading.excess
    if leak.metric == WITHIN:
        within = reading.within_labels
        return within and replace(
            within, value=within.value - HALF, low=within.low - HALF, high=within.high - HALF
        )
    kinds = {
        ThreatKind.LABELS: reading.excess_given_labels,
        ThreatKind.PERSON: reading.excess_several,
    }
    return kinds.get(leak.threat.kind, reading.excess)


def ratio(part: Record | None, whole: Record | None) -> Span | None:
    """``part / whole`` with a 95 % interval; None unless all of ``whole``'s interval is above 0.

    The interval comes from those of both figures, as if they were independent (MOVER; Donner and
    Zou, "Closed-form confidence intervals for functions of the normal mean and standard
    deviation", 2012). Figures on the same people are not, which makes it wide rather than narrow.
    """
    if part is None or whole is None or whole.low <= 0:
        return None
    if part == whole:
        return 1.0, 1.0, 1.0
    a, b, product = part, whole, part.value * whole.value

    def root(end: float, other: float) -> float:
        return sqrt(max(product**2 - end * other * (2 * a.value - end) * (2 * b.value - other), 0))

    low = (product - root(a.low, b.high)) / (b.high * (2 * b.value - b.high))
    high = (product + root(a.high, b.low)) / (b.low * (2 * b.value - b.low))
    return a.value / b.value, low, high


def compare(runs: Iterable[RunResult]) -> list[Comparison]:
    """Finished runs, put side by side where their trials differ only in defence and seed."""
    settings: dict[str, dict[str, dict[int, RunResult]]] = {}
    for run in runs:
        if run.finished:
            defence = json.dumps(run.trial["defence"], sort_keys=True)
            by_seed = settings.setdefault(run.setting, {}).setdefault(defence, {})
            by_seed.setdefault(run.seed, run)
    shared = [_flat(json.loads(setting)) for setting in settings]
    return [
        Comparison(_configurations(list(group.values())), ", ".join(_differences(mine, shared)))
        for mine, group in zip(shared, settings.values(), strict=True)
    ]


def _configurations(groups: Sequence[dict[int, RunResult]]) -> tuple[Configuration, ...]:
    found = []
    defences = [_flat(next(iter(group.values())).trial["defence"]) for group in groups]
    for group, mine in zip(groups, defences, strict=True):
        runs = tuple(group[seed] for seed in sorted(group))
        namesakes = [other for other in defences if other["name"] == mine["name"]]
        label = " ".join([runs[0].defence, *_differences(mine, namesakes)])
        order = [(isinstance(v, str), v if isinstance(v, str) else v or 0) for v in mine.values()]
        found.append(((runs[0].defence not in UNDEFENDED, runs[0].defence, order), label, runs))
    return tuple(Configuration(label, runs) for _, label, runs in sorted(found, key=lambda f: f[0]))


def _flat(data: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in sorted(data.items()):
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = json.dumps(value) if isinstance(value, list) else value
    return flat


def _differences(mine: dict[str, Any], all_of_them: Sequence[dict[str, Any]]) -> list[str]:
    return [f"{k}={v}" for k, v in mine.items() if any(o.get(k) != v for o in all_of_them)]
