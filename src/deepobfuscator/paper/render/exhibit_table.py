"""An exhibit as grids of text, the same for HTML, LaTeX and Markdown."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from deepobfuscator.core.records import IDENTITY, IMAGE
from deepobfuscator.paper.render.exhibit import Curve, Exhibit, Line
from deepobfuscator.report.formatting import METRICS, PERCENT, interval, number
from deepobfuscator.report.tables import Table, as_markdown

T = TypeVar("T")
K = TypeVar("K")

DASH = "–"
"""What stands where there is no figure."""

FRESH = "Fresh attackers (95 %)"
"""The header of the figures that count."""

HEADERS = (
    "",
    "Published",
    "In the game",
    FRESH,
    "Attacker",
    "Majority",
    "Labels alone",
    "Ceiling",
    "Seeds",
)
ALWAYS = ("", "Published", FRESH)
"""Columns that stay even where they are empty."""


@dataclass(frozen=True)
class Group:
    """Rows that share a part of the exhibit and a heading."""

    panel: str
    """Which part of the exhibit; empty where there is one part."""
    heading: str
    """What is measured, by what, in which unit; empty where the panel says it."""
    rows: tuple[tuple[str, ...], ...]
    """Cells, as many as the grid has headers."""


@dataclass(frozen=True)
class Grid:
    """One table of text in groups of rows."""

    title: str
    """What it is; empty where the exhibit's own title says it."""
    headers: tuple[str, ...]
    """One a column; the first may be empty."""
    align: str
    """``l`` or ``r`` for each column."""
    groups: tuple[Group, ...]
    """From top to bottom."""


def grids(exhibit: Exhibit) -> tuple[Grid, ...]:
    """All that ``exhibit`` has to be read: its figures, its curves in short, its tables of text."""
    found = [_of_lines(exhibit.lines)] if exhibit.lines else []
    found += [_of_curves(exhibit.curves)] if exhibit.curves else []
    for title, table in exhibit.tables:
        rows = (Group("", "", table.rows),)
        found.append(Grid(title, table.headers, "l" * len(table.headers), rows))
    return tuple(found)


def grouped(items: Iterable[T], by: Callable[[T], K]) -> dict[K, list[T]]:
    """Items by ``by(item)``, in the order of first appearance."""
    groups: dict[K, list[T]] = {}
    for item in items:
        groups.setdefault(by(item), []).append(item)
    return groups


def known(value: float | None) -> float | None:
    """``value``, or None where it is not a finite number."""
    return value if value is not None and math.isfinite(value) else None


def figure(line: Line, value: float | None) -> str:
    """A figure of ``line`` as the report rounds it; a dash where there is none."""
    return number(line.metric, known(value))


def printed(line: Line) -> str:
    """The published figure, as finely as the paper prints it; a dash where there is none."""
    value = known(line.published)
    if value is None:
        return DASH
    if line.metric in PERCENT:
        return f"{100 * value:.2f}".rstrip("0").rstrip(".")
    return f"{value:.2f} dB" if line.metric == "psnr" else f"{value:.4f}".removeprefix("0")


def measured(line: Line) -> str:
    """The fresh figure of ``line`` with its interval: 59.2 (56.8–61.6)."""
    fresh, low, high = map(known, (line.fresh, line.low, line.high))
    if fresh is None or low is None or high is None:
        return figure(line, fresh)
    return interval(line.metric, fresh, low, high)


def subject_name(subject: str) -> str:
    """How a subject is called."""
    return {IMAGE: "Faces rebuilt", IDENTITY: "People re-identified"}.get(subject, subject)


def metric_name(metric: str) -> str:
    """How a metric is called, with its unit."""
    unit = ", %" if metric in PERCENT else ", dB" if metric == "psnr" else ""
    return METRICS.get(metric, metric) + unit


def _of_lines(lines: Sequence[Line]) -> Grid:
    groups = []
    by_panel = grouped(lines, lambda x: x.panel)
    for panel, of_panel in by_panel.items():
        by_subject = grouped(of_panel, lambda x: (x.subject, x.metric, x.service))
        for (subject, metric, service), found in by_subject.items():
            whose = " of the service" if service else " of attackers"
            whose = "" if subject in (IMAGE, IDENTITY) else whose
            name, _, unit = metric_name(metric).partition(", ")
            heading = f"{subject_name(subject)}: {name}{whose}{', ' if unit else ''}{unit}"
            groups.append(Group(panel, heading, tuple(map(_cells, found))))
    return _without_empty_columns(Grid("", HEADERS, "lrrrlrrrr", tuple(groups)))


def _cells(line: Line) -> tuple[str, ...]:
    return (
        line.row,
        printed(line),
        figure(line, line.in_game),
        measured(line),
        line.attacker or ("the service" if line.service else DASH),
        figure(line, line.majority),
        figure(line, line.label_only),
        figure(line, line.ceiling),
        str(line.seeds),
    )


def _without_empty_columns(grid: Grid) -> Grid:
    rows = [row for g in grid.groups for row in g.rows]
    empty = {"Seeds": "1"}
    kept = [
        i
        for i, name in enumerate(grid.headers)
        if name in ALWAYS or any(row[i] != empty.get(name, DASH) for row in rows)
    ]

    def cut(row: Sequence[str]) -> tuple[str, ...]:
        return tuple(row[i] for i in kept)

    groups = tuple(replace(g, rows=tuple(map(cut, g.rows))) for g in grid.groups)
    return replace(grid, headers=cut(grid.headers), align="".join(cut(grid.align)), groups=groups)


def _of_curves(curves: Sequence[Curve]) -> Grid:
    groups = []
    for panel, of_panel in grouped(curves, lambda c: c.panel).items():
        groups.append(Group(panel, "", tuple(map(_ends, of_panel))))
    headers = ("Loss", "First", "When Algorithm 1 begins", "Last")
    return Grid("", headers, "lrrr", tuple(groups))


def _ends(curve: Curve) -> tuple[str, ...]:
    points = finite(curve)
    before = [p for p in points if p[0] <= curve.game]
    shown = (points[:1], before[-1:], points[-1:])
    return (loss_name(curve.name), *(f"{p[0][1]:.3f}" if p else DASH for p in shown))


def finite(curve: Curve) -> list[tuple[float, float]]:
    """The points of ``curve`` that are numbers."""
    return [p for p in curve.points if all(map(math.isfinite, p))]


def loss_name(name: str) -> str:
    """A loss as the paper writes it: L(AC)."""
    return f"L({name.removeprefix('L_')})" if name.startswith("L_") else name


def markdown(grid: Grid) -> str:
    """``grid`` as a pipe table; what its groups share stands in columns of its own."""
    leads = [
        (name, [getattr(g, field) for g in grid.groups])
        for name, field in (("Part", "panel"), ("Figure", "heading"))
    ]
    leads = [(name, values) for name, values in leads if any(values)]
    rows = [
        tuple(map(plain, (*(values[i] for _, values in leads), *row)))
        for i, g in enumerate(grid.groups)
        for row in g.rows
    ]
    text = as_markdown(Table((*(name for name, _ in leads), *grid.headers), tuple(rows)))
    return (f"**{plain(grid.title)}**\n\n" if grid.title else "") + text


def plain(text: str) -> str:
    """``text`` that Markdown takes for nothing but text, on one line."""
    return " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
