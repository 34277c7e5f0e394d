"""The drawings of the comparison, as inline SVG: colours and fonts are the style sheet's."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from markupsafe import Markup

from deepobfuscator.report.formatting import METRICS, cell, mean, number, value_of
from deepobfuscator.report.subjects import Subject, SubjectReport
from deepobfuscator.report.svg import Axis, Sheet

WIDTH = 360.0
"""Width of a panel: a phone's."""

LEFT, RIGHT, HEAD, FOOT = 10.0, 346.0, 32.0, 24.0
"""Ends of the axis; heights above and below the rows."""

NAME, BAND, SEED_BAND, GAP = 21.0, 18.0, 9.0, 5.0
"""Heights in a row of a comparison: label, figure, figure of one seed, space below."""

LONGEST_LABEL = 34

MOST_POINTS = 240
"""A training curve shows at most about so many batches of a phase, evenly spaced."""


@dataclass(frozen=True)
class Row:
    """One configuration in a panel."""

    label: str
    colour: str
    """A CSS class."""
    readings: Sequence[SubjectReport]
    """One for each seed, at least one."""

    @property
    def height(self) -> float:
        """In pixels."""
        several = len(self.readings) if len(self.readings) > 1 else 0
        return NAME + BAND + GAP + SEED_BAND * several


def panel(subject: Subject, rows: Sequence[Row]) -> Markup:
    """One subject, each configuration a row: result, interval, floor, ceiling, in-game figure."""
    readings = [r for row in rows for r in row.readings]
    shown = [r.result.low for r in readings if r.result] + [r.floor for r in readings]
    shown += [value_of(f) for r in readings for f in (r.in_game, r.maximum, r.ceiling)]
    at = Axis.of(subject.metric, shown, LEFT, RIGHT)
    bottom = HEAD + sum(row.height for row in rows)
    title = f"{subject.name}: {METRICS[subject.metric]} under each defence"
    sheet = Sheet(WIDTH, bottom + FOOT, title)
    at.rule(sheet, subject.metric, HEAD, bottom)
    _references(sheet, at, subject, rows)
    top = HEAD
    for row in rows:
        _row(sheet, at, subject.metric, row, top)
        top += row.height
    return sheet.markup()


def _references(sheet: Sheet, at: Axis, subject: Subject, rows: Sequence[Row]) -> None:
    """Floor and ceiling of every row; the first of each is written above."""
    top = HEAD
    named: dict[str, float] = {}
    for row in rows:
        floor = mean([r.floor for r in row.readings])
        ceiling = mean([value_of(r.ceiling) for r in row.readings])
        first, last = top + NAME, top + row.height - GAP
        if floor is not None:
            sheet.rect(LEFT, first, at(floor), last, "floor")
            named.setdefault("floor", floor)
        if ceiling is not None:
            sheet.line(at(ceiling), first, at(ceiling), last, "ceiling")
            named.setdefault("undefended", ceiling)
        top += row.height
    for words, y in (("undefended", 12.0), ("floor", 27.0)):
        if words in named:
            x, said = at(named[words]), f"{words} {number(subject.metric, named[words])}"
            right = x > (LEFT + RIGHT) / 2
            sheet.text(x if right else LEFT, y, said, "reference", "end" if right else "start")


def _row(sheet: Sheet, at: Axis, metric: str, row: Row, top: float) -> None:
    results = [(r, r.result) for r in row.readings if r.result]
    value = mean([result.value for _, result in results])
    in_game = mean([value_of(r.in_game) for r in row.readings])
    assert value is not None
    said, y = number(metric, value), top + NAME + BAND / 2
    if in_game is not None:
        said = f"○ {number(metric, in_game)} → ● {said}"
    sheet.row_name(LEFT, top + 14, row.label, LONGEST_LABEL, "name")
    sheet.text(RIGHT, top + 14, said, "figure", "end")
    tip = f"mean of {len(results)} seeds: {said}"
    if len(results) == 1:
        only = results[0][1]
        sheet.line(at(only.low), y, at(only.high), y, f"interval {row.colour}")
        tip = cell(only)
    if in_game is not None:
        _in_game(sheet, (at(in_game), at(value)), y, 4.75, row.colour)
    sheet.dot(at(value), y, 5.5, f"dot {row.colour}", tip)
    maxima = [r.maximum for r in row.readings if r.maximum]
    highest, bound = mean([m.value for m in maxima]), mean([m.high for m in maxima])
    if highest is not None and bound is not None:
        sheet.line(at(highest), y, at(bound), y, f"bound {row.colour}")
        sheet.line(at(highest), y - 8, at(highest), y + 8, f"maximum {row.colour}")
    for i, (reading, result) in enumerate(results if len(results) > 1 else ()):
        lane = y + BAND / 2 + SEED_BAND * (i + 0.5)
        sheet.line(at(result.low), lane, at(result.high), lane, f"interval thin {row.colour}")
        tip = f"seed {reading.seed}: {cell(result)} by {result.attack}"
        if reading.in_game:
            ends = at(reading.in_game.value), at(result.value)
            _in_game(sheet, ends, lane, 1.75, row.colour)
        sheet.dot(at(result.value), lane, 2.5, f"dot {row.colour}", tip)


def _in_game(sheet: Sheet, ends: tuple[float, float], y: float, radius: float, colour: str) -> None:
    """The adversary of the training, and a line from it to the fresh attackers."""
    sheet.line(ends[0], y, ends[1], y, f"believed {colour}")
    sheet.dot(ends[0], y, radius, f"hollow {colour}", "the game's own adversary")


def curves(history: Sequence[Mapping[str, Any]], losses: Sequence[str], title: str) -> Markup:
    """Losses over batches, spikes above the 98th percentile cut, a thin line where a phase begins.

    The place in ``losses`` fixes each one's colour.
    """
    height, top, right = 170.0, 16.0, 306.0
    bottom = height - 22
    sheet = Sheet(WIDTH, height, title)
    everything = [v for h in history for v in h["losses"].values()]
    peak = max(float(np.quantile(everything, 0.98)) * 1.05, 1e-6) if everything else 1.0
    last = max((float(h["batch"]) for h in history), default=1.0) or 1.0
    x, y = Axis(0.0, last, LEFT + 20, right), Axis(0.0, peak, bottom, top)
    step = 10 ** math.floor(math.log10(peak))
    step *= next(m for m in (0.2, 0.5, 1.0, 2.0, 5.0) if peak / (step * m) <= 5)
    for i in range(int(peak / step) + 1):
        sheet.line(x(0), y(i * step), right, y(i * step), "grid")
        sheet.text(x(0) - 4, y(i * step) + 3, f"{i * step:g}", "tick", "end")
    sheet.text(right, height - 6, f"batch {last:,.0f}", "tick", "end")
    for i, (_, start) in enumerate(phases(history), 1):
        sheet.line(x(start), top - 12, x(start), bottom, "phase")
        sheet.text(x(start) + 3, top - 4, str(i), "tick")
    last_of: dict[str, tuple[float, int]] = {}
    for i, loss in enumerate(losses):
        for _, entries in groupby(history, lambda h: h["phase"]):
            drawn = [(x(h["batch"]), y(h["losses"][loss])) for h in entries if loss in h["losses"]]
            drawn = drawn[:: math.ceil(len(drawn) / MOST_POINTS) or 1] + drawn[-1:]
            if drawn:
                sheet.curve(drawn, f"loss loss{i % 6}")
                last_of[loss] = (drawn[-1][1], i)
    ends = sorted((at, loss, i) for loss, (at, i) in last_of.items())
    for label_y, (_, loss, i) in zip(_spread([e for e, *_ in ends]), ends, strict=True):
        sheet.text(right + 6, label_y + 4, loss, f"end loss{i % 6}")
    return sheet.markup()


def phases(history: Sequence[Mapping[str, Any]]) -> list[tuple[str, float]]:
    """Each phase and the batch at which it begins (0 for the first)."""
    found, begins = [], 0.0
    for phase, entries in groupby(history, lambda h: h["phase"]):
        found.append((str(phase), begins))
        begins = float(list(entries)[-1]["batch"])
    return found


def _spread(ys: Sequence[float], gap: float = 13.0) -> list[float]:
    """Ascending positions at least ``gap`` apart, pushed up rather than off the lower edge."""
    placed: list[float] = []
    for y in reversed(ys):
        placed.append(min(y, placed[-1] - gap) if placed else y)
    return placed[::-1]
