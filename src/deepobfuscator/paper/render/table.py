"""An exhibit as grids of text, the same for HTML, LaTeX and Markdown."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import deepobfuscator as do
from deepobfuscator.paper.keys import IDENTITY, IMAGE, PSNR
from deepobfuscator.paper.render.exhibit import Curve, Exhibit, Row

T = TypeVar("T")
K = TypeVar("K")

DASH = "–"
"""What stands where there is no figure."""

FRESH = "New attackers (95 %)"
"""The header of the figures that count."""


@dataclass(frozen=True)
class Group:
    """Rows that share a part of the exhibit and a heading."""

    panel: str
    """Empty where the exhibit has one part."""
    heading: str
    """What is measured, by what, in which unit; empty where the panel says it."""
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Grid:
    """One table of text in groups of rows."""

    headers: tuple[str, ...]
    align: str
    """``l`` or ``r`` for each column."""
    groups: tuple[Group, ...]
    title: str = ""
    """Empty where the exhibit's own title says it."""
    folded: bool = False
    """Whether a page shows it on request: plots show the same, or it is long and of no figures."""


def grids(exhibit: Exhibit) -> tuple[Grid, ...]:
    """All that ``exhibit`` has to be read: its figures, its curves in short, its tables of text."""
    found = [_of_rows(exhibit.rows)] if exhibit.rows else []
    found += [_of_curves(exhibit.curves)] if exhibit.curves else []
    for title, table in exhibit.tables:
        groups = (Group("", "", table.rows),)
        found.append(Grid(table.headers, "l" * len(table.headers), groups, title, folded=True))
    return tuple(found)


def grouped(items: Iterable[T], by: Callable[[T], K]) -> dict[K, list[T]]:
    """Items by ``by(item)``, in the order of first appearance."""
    groups: dict[K, list[T]] = {}
    for item in items:
        groups.setdefault(by(item), []).append(item)
    return groups


def printed(row: Row) -> str:
    """The published figure, as finely as the paper prints it; a dash where there is none."""
    value = row.published
    if value is None:
        return DASH
    if row.metric in do.PERCENT:
        return f"{100 * value:.2f}".rstrip("0").rstrip(".")
    return f"{value:.2f} dB" if row.metric == PSNR else f"{value:.4f}".removeprefix("0")


def measured(row: Row) -> str:
    """The new attacker's figure of ``row`` with its interval: 59.2 (56.8–61.6)."""
    if row.fresh is None or row.low is None or row.high is None:
        return do.number(row.metric, row.fresh)
    return do.interval(row.metric, row.fresh, row.low, row.high)


def played(row: Row) -> str:
    """The figure of the training adversary in ``row``, with its interval where it was taken."""
    if row.in_game is None or row.in_game_low is None or row.in_game_high is None:
        return do.number(row.metric, row.in_game)
    return do.interval(row.metric, row.in_game, row.in_game_low, row.in_game_high)


def subject_name(subject: str) -> str:
    """How a subject is called."""
    return {IMAGE: "Faces reconstructed", IDENTITY: "People re-identified"}.get(subject, subject)


def unit(metric: str) -> str:
    """The unit of ``metric`` after a comma; empty where it has none."""
    return ", %" if metric in do.PERCENT else ", dB" if metric == PSNR else ""


def metric_name(metric: str) -> str:
    """How a metric is called, with its unit."""
    return do.METRICS.get(metric, metric) + unit(metric)


class _Column(NamedTuple):
    header: str
    align: str
    """``l`` or ``r``."""
    cell: Callable[[Row], str]
    idle: str | None = DASH
    """What says nothing: a column of nothing else is left out; None where it always stays."""


COLUMNS = (
    _Column("", "l", lambda row: str(row.row), None),
    _Column("Published", "r", printed, None),
    _Column("Published majority", "r", lambda row: do.number(row.metric, row.published_majority)),
    _Column("Training adversary", "r", played),
    _Column(FRESH, "r", measured, None),
    _Column("Attacker", "l", lambda row: row.attacker or ("service" if row.service else DASH)),
    _Column("Majority floor", "r", lambda row: do.number(row.metric, row.majority)),
    _Column("Label-only floor", "r", lambda row: do.number(row.metric, row.label_only)),
    _Column("Ceiling", "r", lambda row: do.number(row.metric, row.ceiling)),
    _Column("Seeds", "r", lambda row: str(row.seeds), "1"),
)
"""The columns of an exhibit's figures."""


def _of_rows(rows: Sequence[Row]) -> Grid:
    kept = [c for c in COLUMNS if c.idle is None or any(c.cell(row) != c.idle for row in rows)]
    groups = []
    for panel, of_panel in grouped(rows, lambda row: row.panel).items():
        by_subject = grouped(of_panel, lambda row: (row.subject, row.metric, row.service))
        for (subject, metric, service), found in by_subject.items():
            whose = " of the service" if service else " of attackers"
            whose = "" if subject in (IMAGE, IDENTITY) else whose
            name = do.METRICS.get(metric, metric)
            heading = f"{subject_name(subject)}: {name}{whose}{unit(metric)}"
            cells = tuple(tuple(column.cell(row) for column in kept) for row in found)
            groups.append(Group(str(panel), heading, cells))
    headers = tuple(column.header for column in kept)
    return Grid(headers, "".join(column.align for column in kept), tuple(groups))


def _of_curves(curves: Sequence[Curve]) -> Grid:
    headers = ("Loss", "First", "When Algorithm 1 begins", "Last")
    by_panel = grouped(curves, lambda curve: curve.panel).items()
    groups = tuple(Group(str(panel), "", tuple(map(_ends, found))) for panel, found in by_panel)
    return Grid(headers, "lrrr", groups, folded=True)


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
    leads = {"Part": [g.panel for g in grid.groups], "Figure": [g.heading for g in grid.groups]}
    leads = {name: values for name, values in leads.items() if any(values)}
    rows = []
    for g, *shared in zip(grid.groups, *leads.values(), strict=True):
        rows += [tuple(map(plain, (*shared, *row))) for row in g.rows]
    text = do.as_markdown(do.Table((*leads, *grid.headers), tuple(rows)))
    return (f"**{plain(grid.title)}**\n\n" if grid.title else "") + text


def plain(text: str) -> str:
    """``text`` that Markdown takes for nothing but text, on one line."""
    return " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
