"""The plots of an exhibit: a page places them one by one, a file for a paper all together."""

import math
import textwrap
from collections.abc import Sequence
from itertools import groupby

import deepobfuscator as do
from deepobfuscator.paper.keys import PSNR, Panel
from deepobfuscator.paper.render.exhibit import Column, Curve, Exhibit, Row
from deepobfuscator.paper.render.table import (
    finite,
    grouped,
    loss_name,
    measured,
    metric_name,
    subject_name,
)

WIDTH, NAMES, RIGHT = 480.0, 196.0, 466.0
"""Width of a dot plot; where its axis begins, right of a column of names, and ends."""

LINE, LANE, FOOT = 16.0, 21.0, 26.0
LONGEST_NAME, LONGEST_HEADING, LONGEST_SMALL = 28, 56, 34
"""Characters of a row's name, of a heading and of a small plot's before they are broken."""

SMALL, SMALL_LEFT, SMALL_RIGHT, SMALL_HEIGHT = 312.0, 40.0, 250.0, 120.0
"""Width of a small plot of curves, ends of its axis of batches, height of its axis of losses."""

MOST_POINTS = 240
"""A curve shows at most about so many batches, evenly spaced."""

LARGEST_FACE, FULL = 140.0, 984.0
"""Largest width of one picture of a grid, and of the grid: two dot plots or three of curves."""

LESS_LEAKS = ("eer",)
"""Metrics of attackers that are small where the attacker is strong."""

LOSSES = ("ink", "hue4", "hue0", "plain", "hue3", "hue2")

MARKS = {
    "fresh": ("●", "newly trained attacker, 95 % interval"),
    "service": ("■", "the service, 95 % interval"),
    "in_game": ("○", "training adversary"),
    "published": ("◇", "published"),
    "majority": ("⋮", "majority class or mean face"),
    "label_only": ("│", "public labels alone"),
    "ceiling": ("┆", "undefended encoder"),
    "game": ("│", "Algorithm 1 (the adversarial phase) begins"),
    "cut": ("▲", "beyond the axis"),
}
"""What each mark of a plot looks like and means."""


def as_files(exhibit: Exhibit, faces: bool = True) -> tuple[str, bytes] | None:
    """One SVG document and one PDF for a paper, or None where there is nothing to draw.

    ``faces`` says whether to show pictures of people.
    """
    rows = [[_faces(exhibit.faces)]] if faces and exhibit.faces else []
    for plots, abreast in ((dot_plots(exhibit), 2), (curve_plots(exhibit), 3)):
        rows += [plots[i : i + abreast] for i in range(0, len(plots), abreast)]
    if not rows:
        return None
    width = max(sum(p.width for p in row) + 24 * (len(row) - 1) for row in rows)
    marks = (f"{mark} {meaning}".replace(" ", "\u00a0") for mark, meaning in legend(exhibit))
    lines = textwrap.wrap("   ".join(marks), int(width / 7), drop_whitespace=True)
    rows += [[_words(lines, width)]] if lines else []
    return do.save_plots(rows, exhibit.title)


def legend(exhibit: Exhibit) -> list[tuple[str, str]]:
    """Every mark that ``exhibit`` uses, and what it means."""
    rows, fields = exhibit.rows, ("in_game", "published", "majority", "label_only", "ceiling")
    there = {name: any(getattr(x, name) is not None for x in rows) for name in fields} | {
        "fresh": any(x.fresh is not None and not x.service for x in rows),
        "service": any(x.fresh is not None and x.service for x in rows),
        "game": bool(exhibit.curves),
        "cut": _cut(exhibit.curves),
    }
    return [mark for name, mark in MARKS.items() if there[name]]


def _words(lines: Sequence[str], width: float) -> do.Plot:
    def draw(on: do.Canvas) -> None:
        for i, words in enumerate(lines, 1):
            on.text(0, LINE * i, words)

    return do.Plot(width, LINE * len(lines) + 4, " ".join(lines), draw)


def _faces(columns: Sequence[Column]) -> do.Plot:
    """A grid, a column of pictures under each heading, a person a row."""
    people, height, width, _ = columns[0].pictures.shape
    across = min(LARGEST_FACE, (FULL - 8 * (len(columns) - 1)) / len(columns))
    down, pitch = across * height / width, across + 8
    headings = [
        (textwrap.wrap(c.heading, int(pitch / 9)), textwrap.wrap(c.note, int(pitch / 8)))
        for c in columns
    ]
    top = LINE * max(len(bold) + len(light) for bold, light in headings) + 8
    bottom = top + people * (down + 6)

    def draw(on: do.Canvas) -> None:
        for i, (column, (bold, light)) in enumerate(zip(columns, headings, strict=True)):
            for j, words in enumerate([*bold, *light], 1):
                is_bold = j <= len(bold)
                of = "ink" if is_bold else "soft"
                on.text(i * pitch, LINE * j, words, of, bold=is_bold)
            for j, pixels in enumerate(column.pictures):
                y = top + j * (down + 6)
                on.picture(i * pitch, y, across, down, pixels)

    names = ", ".join(c.heading for c in columns)
    return do.Plot(pitch * len(columns), bottom, f"Faces: {names}", draw)


def dot_plots(exhibit: Exhibit) -> list[do.Plot]:
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


def _axis(metric: str, rows: Sequence[Row]) -> do.Axis:
    shown = [v for row in rows for v in _values(row)]
    if metric != PSNR:
        return do.Axis.of(metric, shown or [0.5], NAMES, RIGHT)
    step = 5.0 if max([*shown, 0.0]) <= 30 else 10.0
    first, last = math.floor(min([*shown, 0.0]) / step), math.ceil(max([*shown, 20.0]) / step)
    ticks = tuple(i * step for i in range(first, last + 1))
    return do.Axis(ticks[0], ticks[-1], NAMES, RIGHT, ticks)


def _values(row: Row) -> list[float]:
    values = (row.published, row.in_game, row.fresh, row.low, row.high)
    references = (row.majority, row.label_only, row.ceiling)
    return [v for v in (*values, *references) if v is not None]


def _dot_plot(heading: Sequence[str], metric: str, rows: Sequence[Row], at: do.Axis) -> do.Plot:
    subjects = grouped(rows, lambda x: (x.subject, x.service))
    lanes = [[max(LANE, LINE * len(_name(x)) + 4) for x in found] for found in subjects.values()]
    top = LINE * (len(heading) + 1) + 4
    bottom = top + sum(2 * LINE + sum(of_subject) for of_subject in lanes)

    def draw(on: do.Canvas) -> None:
        for i, words in enumerate(heading, 1):
            on.text(0, LINE * i, words, "ink", bold=True)
        on.text(0, top - 6, metric_name(metric), "soft" if heading else "ink")
        y = top
        for ((subject, service), found), heights in zip(subjects.items(), lanes, strict=True):
            better = "better" if service else "more leakage"
            side = "lower" if metric in LESS_LEAKS and not service else "higher"
            on.line([0, RIGHT], [y + 8] * 2, "line")
            on.text(0, y + 8 + LINE, subject_name(subject), "ink", bold=True)
            on.text(RIGHT, y + 8 + LINE, f"{side} = {better}", anchor="right")
            y += 2 * LINE
            for tick in at.ticks:
                on.line([at(tick)] * 2, [y, y + sum(heights)], "line")
            for row, height in zip(found, heights, strict=True):
                _lane(on, at, row, y, height)
                y += height
        for tick in at.ticks:
            label = f"{tick:.0f}".replace("-", "−")
            label = label if metric == PSNR else do.tick_label(metric, tick)
            on.text(at(tick), bottom + 16, label, anchor="center")

    figures = "; ".join(f"{row.row} {measured(row)}" for row in rows)
    title = " ".join([*heading, metric_name(metric)]).strip()
    return do.Plot(WIDTH, bottom + FOOT, f"{title}: {figures}", draw)


def _name(row: Row) -> list[str]:
    return textwrap.wrap(str(row.row).replace(" = ", "\u00a0=\u00a0"), LONGEST_NAME) or [""]


def _lane(on: do.Canvas, at: do.Axis, row: Row, top: float, height: float) -> None:
    y, hue = top + height / 2, "hue2" if row.service else "alarm"
    dashes = ((row.majority, (0, (1, 1))), (row.label_only, "-"), (row.ceiling, (0, (3, 2))))
    for value, style in dashes:
        if value is not None:
            ends = [top + 1, top + height - 1]
            on.line([at(value)] * 2, ends, "soft", 1.5, linestyle=style)
    words = _name(row)
    for i, part in enumerate(words):
        on.text(0, y + 4 + LINE * (i - (len(words) - 1) / 2), part, "ink")
    if row.low is not None and row.high is not None:
        on.line([at(row.low), at(row.high)], [y, y], hue, 9, alpha=0.35)
    if row.published is not None:
        on.mark(at(row.published), y, "ink", 8, hollow=True, shape="D")
    if row.fresh is not None:
        by = f" by {row.attacker}" if row.attacker else ""
        on.mark(at(row.fresh), y, hue, 7, f"{row.row}: {measured(row)}{by}")
    if row.in_game is not None:
        tip = f"{row.row}, training adversary: {do.number(row.metric, row.in_game)}"
        on.mark(at(row.in_game), y, hue, 9, tip, hollow=True)


def curve_plots(exhibit: Exhibit) -> list[do.Plot]:
    """A plot for each panel; all share the axis of losses.

    Beyond the 2nd and 98th percentile losses are cut, a triangle at the edge saying where.
    """
    ends = _ends(exhibit.curves)
    if ends is None:
        return []
    names = list(dict.fromkeys(c.name for c in exhibit.curves))
    parts = grouped(exhibit.curves, lambda c: c.panel)
    heads = _headings(list(parts), LONGEST_SMALL)
    return [
        _curve_plot(head, found, names, *ends)
        for head, found in zip(heads, parts.values(), strict=True)
    ]


def _ends(curves: Sequence[Curve]) -> tuple[float, float] | None:
    """Ends of the axis of losses; None where there is no loss."""
    values = sorted(v for curve in curves for _, v in finite(curve))
    if not values:
        return None
    high = max(values[math.ceil(0.98 * (len(values) - 1))] * 1.08, 1e-6)
    return min(values[math.floor(0.02 * (len(values) - 1))] * 1.08, 0.0), high


def _cut(curves: Sequence[Curve]) -> bool:
    """Whether a loss leaves its axis."""
    low, high = _ends(curves) or (0.0, 0.0)
    return any(not low <= v <= high for curve in curves for _, v in finite(curve))


def _curve_plot(
    heading: Sequence[str],
    curves: Sequence[Curve],
    names: Sequence[str],
    low: float,
    high: float,
) -> do.Plot:
    top = LINE * len(heading) + 12
    bottom = top + SMALL_HEIGHT
    last = max([x for c in curves for x, _ in finite(c)] + [1.0])
    x, y = do.Axis(0.0, last, SMALL_LEFT, SMALL_RIGHT), do.Axis(low, high, bottom, top)

    def draw(on: do.Canvas) -> None:
        for i, words in enumerate(heading, 1):
            on.text(0, LINE * i, words, "ink", bold=True)
        for tick in do.round_ticks(low, high, 4):
            on.line([SMALL_LEFT, SMALL_RIGHT], [y(tick)] * 2, "line")
            label = f"{tick:g}".replace("-", "−")
            on.text(SMALL_LEFT - 5, y(tick) + 4, label, anchor="right")
        for tick in do.round_ticks(0, 0.92 * last, 3):
            on.text(x(tick), bottom + 18, f"{tick:,.0f}", anchor="center")
        on.text(SMALL_RIGHT + 8, bottom + 18, "batch")
        for game in dict.fromkeys(c.game for c in curves if 0 <= c.game <= last):
            on.line([x(game)] * 2, [top - 6, bottom], "soft")
        ends = []
        for curve in curves:
            points, i = finite(curve), names.index(curve.name) % 6
            if points:
                thinned = points[:: math.ceil(len(points) / MOST_POINTS)] + points[-1:]
                xs, ys = [x(b) for b, _ in thinned], [y(v) for _, v in thinned]
                on.line(xs, ys, LOSSES[i], 1.4, linestyle=do.LINES[i])
                for beyond, edge, shape in (
                    ([x(b) for b, v in points if v > high], top - 4, "^"),
                    ([x(b) for b, v in points if v < low], bottom + 4, "v"),
                ):
                    for at in _spaced(beyond):
                        on.mark(at, edge, LOSSES[i], 4, shape=shape)
                ends.append((y(points[-1][1]), loss_name(curve.name), LOSSES[i]))
        ends.sort()
        for height, (_, name, of) in zip(do.apart([h for h, *_ in ends]), ends, strict=True):
            on.text(SMALL_RIGHT + 8, height + 4, name, of, bold=True)

    finals = ", ".join(f"{loss_name(c.name)} {p[-1][1]:.3g}" for c in curves if (p := finite(c)))
    title = " ".join([*heading, "losses"]).strip()
    return do.Plot(SMALL, bottom + FOOT, f"{title}; at the end {finals}", draw)


def _spaced(xs: Sequence[float], gap: float = 9.0) -> list[float]:
    """One position for each stretch of ``gap`` pixels."""
    return [next(found) for _, found in groupby(xs, lambda x: x // gap)]
