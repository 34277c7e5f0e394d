"""The drawings of the page, as inline SVG that takes its colours from the style sheet.

Written as SVG directly: every mark then follows the page's light or dark colours and its fonts,
and the same records give the same bytes.
"""

import base64
import io
import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from deepobfuscator.report.formatting import (
    METRICS,
    PERCENT,
    Reading,
    Subject,
    mean,
    number,
    value_of,
    with_interval,
)
from deepobfuscator.report.svg import Sheet

WIDTH = 360.0
"""Width of a panel: a phone's."""

LEFT, RIGHT = 10.0, 346.0
NAME, LANE, SEED_LANE, GAP, HEAD, FOOT = 21.0, 18.0, 9.0, 5.0, 32.0, 24.0
LONGEST_LABEL = 34
MOST_POINTS = 240
"""A training curve shows at most about so many batches of a phase, evenly spaced."""

Row = tuple[str, str, Sequence[Reading]]
"""A configuration's label, the CSS class of its colour, and its readings by seed."""


def panel(subject: Subject, rows: Sequence[Row]) -> Markup:
    """One subject under every configuration: result and interval, floor, ceiling, in-game figure.

    ``rows`` run from top to bottom, each with at least one reading.
    """
    readings = [r for _, _, of_row in rows for r in of_row]
    low, high, ticks = _axis(subject.metric, readings)
    heights = [NAME + LANE + GAP + (SEED_LANE * len(r) if len(r) > 1 else 0) for _, _, r in rows]
    bottom = HEAD + sum(heights)
    sheet = Sheet(
        WIDTH, bottom + FOOT, f"{subject.name}: {METRICS[subject.metric]} under each defence"
    )

    def at(value: float) -> float:
        return LEFT + (min(max(value, low), high) - low) / (high - low) * (RIGHT - LEFT)

    for tick in ticks:
        sheet.line(at(tick), HEAD, at(tick), bottom, "grid")
        sheet.text(at(tick), bottom + 15, tick_label(subject.metric, tick), "tick", "middle")
    _references(sheet, at, subject, rows, heights)
    top = HEAD
    for (label, colour, of_row), height in zip(rows, heights, strict=True):
        _row(sheet, at, subject, label, colour, of_row, top)
        top += height
    return sheet.markup()


def _axis(metric: str, readings: Sequence[Reading]) -> tuple[float, float, list[float]]:
    shown = [r.result.low for r in readings]
    for r in readings:
        shown += [x.value for x in (r.in_game, r.maximum, r.ceiling) if x is not None]
        shown += [] if r.floor is None else [r.floor]
    return scale(metric, shown)


def scale(metric: str, shown: Sequence[float]) -> tuple[float, float, list[float]]:
    """Ends and ticks of an axis that shows figures of ``metric`` and ends at 1."""
    from_half = metric in (*PERCENT, "auc")
    step = 0.1 if from_half else 0.2
    start = min(min(shown) - 0.02, 0.5) if from_half else min([*shown, 0.0])
    first = math.floor(start / step + 1e-9)
    return first * step, 1.0, [i * step for i in range(first, round(1 / step) + 1)]


def tick_label(metric: str, tick: float) -> str:
    """A round figure of ``metric`` as an axis bears it: 60, .4, 0."""
    short = f"{100 * tick:.0f}" if metric in PERCENT else f"{tick:.1f}".lstrip("0")
    return "0" if short in (".0", "-.0") else short.replace("-", "−")


def _references(
    sheet: Sheet, at: Any, subject: Subject, rows: Sequence[Row], heights: Sequence[float]
) -> None:
    top, floors, ceilings = HEAD, [], []
    for (_, _, readings), height in zip(rows, heights, strict=True):
        floor = mean([r.floor for r in readings])
        ceiling = mean([value_of(r.ceiling) for r in readings])
        if floor is not None:
            sheet.rect(LEFT, top + NAME, at(floor), top + height - GAP, "floor")
            floors.append(floor)
        if ceiling is not None:
            sheet.line(at(ceiling), top + NAME, at(ceiling), top + height - GAP, "ceiling")
            ceilings.append(ceiling)
        top += height
    for values, words, y in ((ceilings, "undefended", 12.0), (floors, "floor", 27.0)):
        if values:
            x = at(values[0])
            anchor = "end" if x > (LEFT + RIGHT) / 2 else "start"
            x = x if anchor == "end" else LEFT
            sheet.text(x, y, f"{words} {number(subject.metric, values[0])}", "reference", anchor)


def _row(
    sheet: Sheet,
    at: Any,
    subject: Subject,
    label: str,
    colour: str,
    readings: Sequence[Reading],
    top: float,
) -> None:
    value = mean([r.result.value for r in readings])
    believed = mean([value_of(r.in_game) for r in readings])
    assert value is not None
    short = label if len(label) <= LONGEST_LABEL else label[: LONGEST_LABEL - 1] + "…"
    said = number(subject.metric, value)
    if believed is not None:
        said = f"○ {number(subject.metric, believed)} → ● {said}"
    sheet.text(LEFT, top + 14, short, "name")
    sheet.text(RIGHT, top + 14, said, "figure", "end")
    y = top + NAME + LANE / 2
    single = len(readings) == 1
    if single:
        result = readings[0].result
        sheet.line(at(result.low), y, at(result.high), y, f"interval {colour}")
    tip = with_interval(readings[0].result) if single else f"mean of {len(readings)} seeds: {said}"
    _mark(sheet, at, y, colour, 5.5, believed, value, tip)
    highest = mean([r.maximum.value for r in readings if r.maximum])
    bound = mean([r.maximum.high for r in readings if r.maximum])
    if highest is not None and bound is not None:
        sheet.line(at(highest), y, at(bound), y, f"bound {colour}")
        sheet.line(at(highest), y - 8, at(highest), y + 8, f"maximum {colour}")
    for i, reading in enumerate(() if single else readings):
        lane = y + LANE / 2 + SEED_LANE * (i + 0.5)
        result = reading.result
        sheet.line(at(result.low), lane, at(result.high), lane, f"interval thin {colour}")
        tip = f"seed {reading.run.seed}: {with_interval(result)} by {result.attack}"
        in_game = value_of(reading.in_game)
        _mark(sheet, at, lane, colour, 2.5, in_game, result.value, tip)


def _mark(
    sheet: Sheet,
    at: Any,
    y: float,
    colour: str,
    radius: float,
    believed: float | None,
    value: float,
    tip: str,
) -> None:
    if believed is not None:
        sheet.line(at(believed), y, at(value), y, f"believed {colour}")
        sheet.dot(at(believed), y, radius - 0.75, f"hollow {colour}", "the game's own adversary")
    sheet.dot(at(value), y, radius, f"dot {colour}", tip)


def curves(history: Sequence[Mapping[str, Any]], losses: Sequence[str], title: str) -> Markup:
    """Losses over batches, a thin line where a phase begins.

    Spikes above the 98th percentile are cut at the upper edge. ``losses`` fixes each one's colour.
    """
    height, top, right = 170.0, 16.0, 306.0
    bottom = height - 22
    sheet = Sheet(WIDTH, height, title)
    everything = [v for h in history for v in h["losses"].values()]
    peak = max(float(np.quantile(everything, 0.98)) * 1.05, 1e-6) if everything else 1.0
    last = max((float(h["batch"]) for h in history), default=1.0) or 1.0

    def x(batch: float) -> float:
        return LEFT + 20 + batch / last * (right - LEFT - 20)

    def y(value: float) -> float:
        return bottom - min(max(value / peak, 0.0), 1.0) * (bottom - top)

    step = 10 ** math.floor(math.log10(peak))
    step *= next(m for m in (0.2, 0.5, 1.0, 2.0, 5.0) if peak / (step * m) <= 5)
    for i in range(int(peak / step) + 1):
        sheet.line(x(0), y(i * step), right, y(i * step), "grid")
        sheet.text(x(0) - 4, y(i * step) + 3, f"{i * step:g}", "tick", "end")
    sheet.text(right, height - 6, f"batch {last:,.0f}", "tick", "end")
    for number_, (_, start) in enumerate(phases(history), 1):
        sheet.line(x(start), top - 12, x(start), bottom, "phase")
        sheet.text(x(start) + 3, top - 4, str(number_), "tick")
    last_of: dict[str, tuple[float, int]] = {}
    for i, loss in enumerate(losses):
        for _, entries in groupby(history, lambda h: h["phase"]):
            points = [(x(h["batch"]), y(h["losses"][loss])) for h in entries if loss in h["losses"]]
            points = points[:: math.ceil(len(points) / MOST_POINTS) or 1] + points[-1:]
            if points:
                sheet.curve(points, f"loss loss{i % 6}")
                last_of[loss] = (points[-1][1], i)
    ends = sorted((at, loss, i) for loss, (at, i) in last_of.items())
    for label_y, (_, loss, i) in zip(_spread([e for e, *_ in ends]), ends, strict=True):
        sheet.text(right + 6, label_y + 4, loss, f"end loss{i % 6}")
    return sheet.markup()


def phases(history: Sequence[Mapping[str, Any]]) -> list[tuple[str, float]]:
    """Each phase and the batch at which it begins (0 for the first)."""
    found: list[tuple[str, float]] = []
    previous = 0.0
    for entry in history:
        if not found or found[-1][0] != entry["phase"]:
            found.append((str(entry["phase"]), previous))
        previous = float(entry["batch"])
    return found


def _spread(ys: Sequence[float], gap: float = 13.0) -> list[float]:
    """Ascending positions at least ``gap`` apart, pushed up rather than off the lower edge."""
    placed: list[float] = []
    for y in reversed(ys):
        placed.append(min(y, placed[-1] - gap) if placed else y)
    return placed[::-1]


def picture(pixels: NDArray[np.uint8]) -> str:
    """A ``data:`` address of one (H, W, 3) picture in 0..255."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
