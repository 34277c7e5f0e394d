"""What the figures of a comparison show, and marks that an audit's share."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from deepobfuscator.report.figures import (
    LINES,
    Axis,
    Canvas,
    Plot,
    round_ticks,
)
from deepobfuscator.report.formatting import (
    METRICS,
    cell,
    mean,
    number,
    value_of,
)
from deepobfuscator.report.subjects import Subject, SubjectReport

WIDTH, LEFT, RIGHT = 480.0, 12.0, 466.0
"""Of a figure: its width, and the ends of an axis that takes all of it."""

HEAD, FOOT = 38.0, 24.0
"""Heights above and below the rows."""

LONGEST_LABEL = 38

NAME, BAND, SEED_BAND, GAP = 24.0, 20.0, 10.0, 8.0
"""Heights in a row of a comparison: label, figure, figure of one seed, space below."""

MOST_POINTS = 240
"""A training curve shows at most about so many batches of a phase, evenly spaced."""

LOSSES = ("ink", "hue2", "hue4", "hue0", "hue3", "hue1")


@dataclass(frozen=True)
class Row:
    """One configuration in a panel."""

    label: str
    colour: str
    """A name of `figures.COLOURS`."""
    readings: Sequence[SubjectReport]
    """One for each seed, at least one."""

    @property
    def height(self) -> float:
        """In pixels."""
        several = len(self.readings) if len(self.readings) > 1 else 0
        return NAME + BAND + GAP + SEED_BAND * several

    def said(self, metric: str) -> str:
        """Its figures in text."""
        figures = [cell(r.result) for r in self.readings]
        if len(figures) == 1:
            return f"{self.label} {figures[0]}"
        values = mean([value_of(r.result) for r in self.readings])
        return f"{self.label} {number(metric, values)} (mean of {len(figures)} seeds)"


def panel(subject: Subject, rows: Sequence[Row]) -> Plot:
    """One subject, a row for each configuration: result, floor, ceiling, training adversary."""
    readings = [r for row in rows for r in row.readings]
    shown = [r.result.low for r in readings if r.result] + [r.floor for r in readings]
    shown += [value_of(f) for r in readings for f in (r.in_game, r.maximum, r.ceiling)]
    at = Axis.of(subject.metric, shown, LEFT, RIGHT)
    bottom = HEAD + sum(row.height for row in rows)
    figures = "; ".join(row.said(subject.metric) for row in rows)
    title = f"{subject.called}, {METRICS[subject.metric]} under each defence: {figures}"

    def draw(on: Canvas) -> None:
        at.rule(on, subject.metric, HEAD, bottom)
        top = HEAD
        for row in rows:
            _row(on, at, subject.metric, row, top)
            top += row.height
        floor = mean([r.floor for r in rows[0].readings])
        ceiling = next((r.ceiling for r in readings if r.ceiling), None)
        references(on, at, subject.metric, floor, value_of(ceiling), "undefended")

    return Plot(WIDTH, bottom + FOOT, title, draw)


def references(
    on: Canvas, at: Axis, metric: str, floor: float | None, ceiling: float | None, name: str
) -> None:
    """What the lines of floor and ceiling are, written above them."""
    for words, y, value in ((name, 14.0, ceiling), ("floor", 31.0, floor)):
        if value is not None:
            right = at(value) > (at.start + at.end) / 2
            words = f"{words} {number(metric, value)}"
            on.text(at(value), y, words, anchor="right" if right else "left")


def _row(on: Canvas, at: Axis, metric: str, row: Row, top: float) -> None:
    results = [(r, r.result) for r in row.readings if r.result]
    value = mean([result.value for _, result in results])
    in_game = mean([value_of(r.in_game) for r in row.readings])
    assert value is not None
    said, y = number(metric, value), top + NAME + BAND / 2
    floor = mean([r.floor for r in row.readings])
    ceiling = mean([value_of(r.ceiling) for r in row.readings])
    for reference in (floor, ceiling):
        if reference is not None:
            ends = top + NAME, top + row.height - GAP
            at.reference(on, reference, *ends, dashed=reference is ceiling)
    if in_game is not None:
        said = f"{number(metric, in_game)} → {said}"
    on.text(LEFT, top + 16, row.label, "ink", bold=True, longest=LONGEST_LABEL)
    on.text(RIGHT, top + 16, said, "ink", anchor="right")
    tip = f"mean of {len(results)} seeds: {said}"
    if len(results) == 1:
        only = results[0][1]
        on.line([at(only.low), at(only.high)], [y, y], row.colour, 5, alpha=0.4)
        tip = cell(only)
    if in_game is not None:
        _adversary(on, at(in_game), at(value), y, row.colour, 8)
    on.mark(at(value), y, row.colour, 9, tip)
    maxima = [r.maximum for r in row.readings if r.maximum]
    highest, most = mean([m.value for m in maxima]), mean([m.high for m in maxima])
    if highest is not None and most is not None:
        bound(on, at(highest), at(most), y, row.colour)
    for i, (reading, result) in enumerate(results if len(results) > 1 else ()):
        lane = y + BAND / 2 + SEED_BAND * (i + 0.5)
        on.line([at(result.low), at(result.high)], [lane] * 2, row.colour, 2.5, alpha=0.4)
        if reading.in_game:
            _adversary(on, at(reading.in_game.value), at(result.value), lane, row.colour, 4)
        tip = f"seed {reading.seed}: {cell(result)} by {result.attack}"
        on.mark(at(result.value), lane, row.colour, 4.5, tip)


def _adversary(on: Canvas, x: float, end: float, y: float, of: str, size: float) -> None:
    """The adversary of the training, and a line from it to the newly trained attackers."""
    on.line([x, end], [y, y], of, 1.2)
    on.mark(x, y, of, size, "training adversary", hollow=True)


def bound(on: Canvas, value: float, high: float, y: float, of: str) -> None:
    """The highest of all attackers, and its upper bound."""
    on.line([value, high], [y, y], of, 1.2, linestyle=(0, (1.5, 1.5)))
    on.line([value, value], [y - 8, y + 8], of, 2)


def curves(history: Sequence[Mapping[str, Any]], losses: Sequence[str], title: str) -> Plot:
    """Losses over batches, spikes above the 98th percentile cut, a thin line where a phase begins.

    The place in ``losses`` fixes each one's colour and dashes.
    """
    height, top, left, right = 210.0, 22.0, 44.0, 406.0
    bottom = height - 26
    everything = [v for h in history for v in h["losses"].values()]
    peak = max(float(np.quantile(everything, 0.98)) * 1.05, 1e-6) if everything else 1.0
    last = max((float(h["batch"]) for h in history), default=1.0) or 1.0
    x, y = Axis(0.0, last, left, right), Axis(0.0, peak, bottom, top)
    finals = {name: v for h in history for name, v in h["losses"].items()}
    ends = ", ".join(f"{name} {value:.3g}" for name, value in finals.items())

    def draw(on: Canvas) -> None:
        for tick in round_ticks(0, peak, 5):
            on.line([left, right], [y(tick)] * 2, "line")
            on.text(left - 6, y(tick) + 4, f"{tick:g}", anchor="right")
        on.text(right, height - 6, f"batch {last:,.0f}", anchor="right")
        for i, (_, start) in enumerate(phases(history), 1):
            on.line([x(start)] * 2, [top - 14, bottom], "soft", 0.8)
            on.text(x(start) + 4, top - 4, str(i))
        last_of: dict[str, tuple[float, int]] = {}
        for i, loss in enumerate(losses):
            for _, entries in groupby(history, lambda h: h["phase"]):
                points = [(h["batch"], h["losses"][loss]) for h in entries if loss in h["losses"]]
                points = points[:: math.ceil(len(points) / MOST_POINTS) or 1] + points[-1:]
                if points:
                    xs, ys = [x(b) for b, _ in points], [y(v) for _, v in points]
                    on.line(xs, ys, LOSSES[i % 6], 1.5, linestyle=LINES[i % 6])
                    last_of[loss] = (ys[-1], i)
        ordered = sorted((at, loss, i) for loss, (at, i) in last_of.items())
        for at, (_, loss, i) in zip(apart([o[0] for o in ordered]), ordered, strict=True):
            on.text(right + 8, at + 4, loss, LOSSES[i % 6], bold=True)

    return Plot(WIDTH, height, f"{title}; at the end {ends}", draw)


def phases(history: Sequence[Mapping[str, Any]]) -> list[tuple[str, float]]:
    """Each phase and the batch at which it begins (0 for the first)."""
    found, begins = [], 0.0
    for phase, entries in groupby(history, lambda h: h["phase"]):
        found.append((str(phase), begins))
        begins = float(list(entries)[-1]["batch"])
    return found


def apart(ys: Sequence[float], gap: float = 14.0) -> list[float]:
    """Ascending positions at least ``gap`` apart, pushed up rather than below the last."""
    placed: list[float] = []
    for y in reversed(ys):
        placed.append(min(y, placed[-1] - gap) if placed else y)
    return placed[::-1]
