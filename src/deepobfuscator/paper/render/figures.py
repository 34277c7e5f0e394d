"""The plots of an exhibit, one a panel; looks are the style sheet's.

A page sets them in its own grid and colours; `drawing` sets them in one file for a paper.
"""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from deepobfuscator import Axis, Sheet, number, tick_label
from deepobfuscator.paper.keys import PSNR, Panel
from deepobfuscator.paper.render.exhibit import Curve, Exhibit, Row
from deepobfuscator.paper.render.table import (
    finite,
    grouped,
    loss_name,
    measured,
    metric_name,
    subject_name,
)

WIDTH, NAMES, RIGHT = 360.0, 156.0, 346.0
"""Width of a dot plot; where its axis begins, right of a column of names, and ends."""

LINE, LANE, FOOT = 13.0, 17.0, 22.0
LONGEST_NAME, LONGEST_HEADING, LONGEST_SMALL = 28, 52, 31
"""Characters of a row's name, of a heading and of a small drawing's before they are broken."""

SMALL, SMALL_LEFT, SMALL_RIGHT, SMALL_HEIGHT = 232.0, 30.0, 186.0, 96.0
"""Width of a small drawing of curves, ends of its axis of batches, height of its axis of losses."""

MOST_POINTS = 240
"""A curve shows at most about so many batches, evenly spaced."""

LESS_LEAKS = ("eer",)
"""Metrics of attackers that are small where the attacker is strong."""


@dataclass(frozen=True)
class Plot:
    """One plot and its size in its own units."""

    width: float
    height: float
    markup: Markup
    cut: bool = False
    """Whether a loss leaves its axis."""


class Drawing(Sheet):
    """A sheet that also knows diamonds and pictures."""

    def diamond(self, x: float, y: float, radius: float, kind: str) -> None:
        """A square that stands on a corner."""
        corners = [(x, y - radius), (x + radius, y), (x, y + radius), (x - radius, y)]
        self.curve([*corners, corners[0]], kind)

    def image(self, x: float, y: float, width: float, height: float, address: str) -> None:
        """A picture by its ``data:`` address."""
        form = Markup('<image x="{}" y="{}" width="{}" height="{}" href="{}"/>')
        self._add(form, *(f"{v:g}" for v in (x, y, width, height)), address)


def dot_plots(exhibit: Exhibit) -> list[Plot]:
    """A plot for each panel and metric; those of one metric share their axis."""
    axes = {m: _axis(m, found) for m, found in grouped(exhibit.rows, lambda x: x.metric).items()}
    parts = grouped(exhibit.rows, lambda x: (x.panel, x.metric))
    heads = _headings([panel for panel, _ in parts], LONGEST_HEADING)
    return [
        _dot_plot(head, metric, found, axes[metric])
        for head, ((_, metric), found) in zip(heads, parts.items(), strict=True)
    ]


def _headings(panels: Sequence[Panel], longest: int) -> list[list[str]]:
    """Each heading in lines, as many for all, so that plots abreast are level."""
    wrapped = [textwrap.wrap(str(panel), longest) for panel in panels]
    most = max(map(len, wrapped), default=0)
    return [[""] * (most - len(lines)) + lines for lines in wrapped]


def _begun(width: float, height: float, heading: Sequence[str], shown: str) -> Drawing:
    sheet = Drawing(width, height, " ".join([*heading, shown]).strip())
    for i, words in enumerate(heading, 1):
        sheet.text(0, LINE * i, words, "name")
    return sheet


def _axis(metric: str, rows: Sequence[Row]) -> Axis:
    shown = [v for row in rows for v in _values(row)]
    if metric != PSNR:
        return Axis.of(metric, shown or [0.5], NAMES, RIGHT)
    step = 5.0 if max([*shown, 0.0]) <= 30 else 10.0
    first, last = math.floor(min([*shown, 0.0]) / step), math.ceil(max([*shown, 20.0]) / step)
    ticks = tuple(i * step for i in range(first, last + 1))
    return Axis(ticks[0], ticks[-1], NAMES, RIGHT, ticks)


def _values(row: Row) -> list[float]:
    values = (row.published, row.in_game, row.fresh, row.low, row.high)
    references = (row.majority, row.label_only, row.ceiling)
    return [v for v in (*values, *references) if v is not None]


def _dot_plot(heading: Sequence[str], metric: str, rows: Sequence[Row], at: Axis) -> Plot:
    subjects = grouped(rows, lambda x: (x.subject, x.service))
    lanes = [[max(LANE, LINE * len(_name(x)) + 4) for x in found] for found in subjects.values()]
    top = LINE * (len(heading) + 1) + 4
    bottom = top + sum(2 * LINE + sum(of_subject) for of_subject in lanes)
    sheet = _begun(WIDTH, bottom + FOOT, heading, metric_name(metric))
    sheet.text(0, top - 4, metric_name(metric), "" if heading else "name")
    y = top
    for ((subject, service), found), heights in zip(subjects.items(), lanes, strict=True):
        better = "useful" if service else "leaked"
        side = "left" if metric in LESS_LEAKS and not service else "right"
        sheet.line(0, y + 7, RIGHT, y + 7, "rule")
        sheet.text(0, y + 7 + LINE, subject_name(subject), "subject")
        sheet.text(RIGHT, y + 7 + LINE, f"{side} is {better}", "tick", "end")
        y += 2 * LINE
        for tick in at.ticks:
            sheet.line(at(tick), y, at(tick), y + sum(heights), "grid")
        for row, height in zip(found, heights, strict=True):
            _lane(sheet, at, row, y, height)
            y += height
    for tick in at.ticks:
        label = f"{tick:.0f}".replace("-", "−") if metric == PSNR else tick_label(metric, tick)
        sheet.text(at(tick), bottom + 15, label, "tick", "middle")
    return Plot(WIDTH, bottom + FOOT, sheet.markup())


def _name(row: Row) -> list[str]:
    return textwrap.wrap(str(row.row).replace(" = ", "\u00a0=\u00a0"), LONGEST_NAME) or [""]


def _lane(sheet: Drawing, at: Axis, row: Row, top: float, height: float) -> None:
    y, hue = top + height / 2, "hue0" if row.service else "hue1"
    if row.majority is not None:
        sheet.rect(NAMES, top, at(row.majority), top + height, "floor")
    for value, kind in ((row.label_only, "label-only"), (row.ceiling, "ceiling")):
        if value is not None:
            sheet.line(at(value), top, at(value), top + height, kind)
    words = _name(row)
    for i, part in enumerate(words):
        sheet.text(0, y + 4 + LINE * (i - (len(words) - 1) / 2), part, "row")
    if row.low is not None and row.high is not None:
        sheet.line(at(row.low), y, at(row.high), y, f"interval box {hue}")
    if row.published is not None:
        sheet.diamond(at(row.published), y, 6, "published")
    if row.fresh is not None:
        by = f" by {row.attacker}" if row.attacker else ""
        sheet.dot(at(row.fresh), y, 3.6, f"dot fresh {hue}", f"{row.row}: {measured(row)}{by}")
    if row.in_game is not None:
        tip = f"{row.row}, in the game: {number(row.metric, row.in_game)}"
        sheet.dot(at(row.in_game), y, 5.2, f"ring {hue}", tip)


def curve_plots(exhibit: Exhibit) -> list[Plot]:
    """A plot for each panel; all share the axis of losses.

    Beyond the 2nd and 98th percentile losses are cut, a triangle at the edge saying where.
    """
    values = sorted(v for curve in exhibit.curves for _, v in finite(curve))
    if not values:
        return []
    high = max(values[math.ceil(0.98 * (len(values) - 1))] * 1.08, 1e-6)
    low = min(values[math.floor(0.02 * (len(values) - 1))] * 1.08, 0.0)
    names = list(dict.fromkeys(c.name for c in exhibit.curves))
    parts = grouped(exhibit.curves, lambda c: c.panel)
    heads = _headings(list(parts), LONGEST_SMALL)
    return [
        _curve_plot(head, found, names, low, high)
        for head, found in zip(heads, parts.values(), strict=True)
    ]


def _curve_plot(
    heading: Sequence[str],
    curves: Sequence[Curve],
    names: Sequence[str],
    low: float,
    high: float,
) -> Plot:
    top = LINE * len(heading) + 10
    bottom = top + SMALL_HEIGHT
    last = max([x for c in curves for x, _ in finite(c)] + [1.0])
    x, y = Axis(0.0, last, SMALL_LEFT, SMALL_RIGHT), Axis(low, high, bottom, top)
    sheet = _begun(SMALL, bottom + FOOT, heading, "losses")
    for tick in _round_ticks(low, high, 4):
        sheet.line(SMALL_LEFT, y(tick), SMALL_RIGHT, y(tick), "grid")
        sheet.text(SMALL_LEFT - 4, y(tick) + 4, f"{tick:g}".replace("-", "−"), "tick", "end")
    for tick in _round_ticks(0, 0.92 * last, 3):
        sheet.text(x(tick), bottom + 15, f"{tick:,.0f}", "tick", "middle")
    sheet.text(SMALL_RIGHT + 6, bottom + 15, "batch", "tick")
    for game in dict.fromkeys(c.game for c in curves if 0 <= c.game <= last):
        sheet.line(x(game), top - 6, x(game), bottom, "phase")
    ends, cut = [], False
    for curve in curves:
        points, kind = finite(curve), f"loss{names.index(curve.name) % 6}"
        if points:
            thinned = points[:: math.ceil(len(points) / MOST_POINTS)] + points[-1:]
            sheet.curve([(x(b), y(v)) for b, v in thinned], f"loss {kind}")
            above = [x(b) for b, v in points if v > high]
            below = [x(b) for b, v in points if v < low]
            _cuts(sheet, above, top, -1, kind)
            _cuts(sheet, below, bottom, 1, kind)
            cut = cut or bool(above or below)
            ends.append((y(points[-1][1]), loss_name(curve.name), kind))
    ends.sort()
    for height, (_, name, kind) in zip(_apart([h for h, *_ in ends]), ends, strict=True):
        sheet.text(SMALL_RIGHT + 6, height + 4, name, f"end {kind}")
    return Plot(SMALL, bottom + FOOT, sheet.markup(), cut)


def _cuts(sheet: Drawing, xs: Sequence[float], edge: float, side: int, kind: str) -> None:
    """Triangles at ``edge`` that point away from the axis, at least so far apart as to be told."""
    previous = -math.inf
    for x in xs:
        if x - previous >= 8:
            sheet.curve([(x - 3, edge), (x, edge + 5 * side), (x + 3, edge)], f"cut {kind}")
            previous = x


def _round_ticks(low: float, high: float, most: int) -> list[float]:
    """Round figures within the axis, nought among them, no more than about ``most``."""
    raw = (high - low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * 0.999)
    return [i * step for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _apart(ys: Sequence[float]) -> list[float]:
    """Ascending positions at least a line apart, pushed up rather than below the axis."""
    placed: list[float] = []
    for y in reversed(ys):
        placed.append(min(y, placed[-1] - LINE) if placed else y)
    return placed[::-1]
