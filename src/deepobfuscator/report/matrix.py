"""Defences against everything that is measured: how much of each undefended leak survives."""

from collections.abc import Sequence
from dataclasses import dataclass

from deepobfuscator.auditing.leakage import Status, worst
from deepobfuscator.core.records import LABEL_ONLY, WITHIN, Record
from deepobfuscator.report import wording
from deepobfuscator.report.comparison import Comparison, Configuration, Span, leak_of
from deepobfuscator.report.formatting import (
    METRICS,
    excess_text,
    figure_text,
    mean,
    percent,
    points,
    value_of,
    with_unit,
)
from deepobfuscator.report.subjects import Role, Subject, SubjectReport


@dataclass(frozen=True)
class Cell:
    """One defence and one thing that is measured."""

    figure: str
    """A share of the undefended leak, an accuracy, or why there is none."""
    note: str
    """Outcome and interval in a few words."""
    title: str
    """Everything the cell rests on, in sentences."""
    status: Status | None = None
    """What came of the attacks; None for utility and for the undefended baseline."""
    span: Span | None = None
    """What the bar shows, in fractions."""


@dataclass(frozen=True)
class Matrix:
    """One column for each thing that is measured, one row for each defence."""

    headings: tuple[tuple[str, str], ...]
    """Names of the columns, and what their figures are."""
    rows: tuple[tuple[Configuration, tuple[Cell, ...]], ...]


def matrix_of(comparison: Comparison) -> Matrix:
    """The comparison as one matrix, utility first."""
    headings = [
        (
            s.called,
            f"{METRICS[s.metric]} of the service"
            if s.role is Role.PUBLIC
            else "leak that survives",
        )
        for s in comparison.subjects
    ]
    others = any(comparison.undeclared(c) for c in comparison.configurations)
    headings += [("other attributes", "that leak")] if others else []
    rows = []
    for c in comparison.configurations:
        cells = [_cell(comparison, s, c) for s in comparison.subjects]
        cells += [_others(comparison, c)] if others else []
        rows.append((c, tuple(cells)))
    return Matrix(tuple(headings), tuple(rows))


def _between(share: Span) -> str:
    """The ends of a share's interval: 77–83 %."""
    low, high = (f"{100 * max(end, 0):.0f}" for end in share[1:])
    return "–".join(dict.fromkeys((low, high))) + "\N{NO-BREAK SPACE}%"


def _cell(comparison: Comparison, subject: Subject, c: Configuration) -> Cell:
    readings = comparison.readings(c, subject)
    if not readings:
        return Cell("–", "not measured", f"{subject.called} under {c.label}: not measured")
    if subject.role is Role.PUBLIC:
        return _utility(subject, c, readings)
    status = worst(r.status for r in readings)
    share = comparison.surviving(c, subject)
    figure, note = wording.BRIEF[status]
    leak = leak_of(readings)
    if status is Status.LEAK and leak:
        # An attacker who was given more may find what the common one does not.
        further = wording.given(leak)
        figure = percent(max(share[0], 0)) if share else points(subject.metric, leak.value)
        between = f", {_between(share)}" if share else ""
        note = f"leak{further or between}"
        if not c.defended:
            note = f"{METRICS[subject.metric]} {_mean(subject, readings)}"
    elif status is Status.NO_LEAK and share:
        note = f"at most {percent(max(share[2], 0))}"
    title = f"{subject.called} under {c.label}: {_told(subject, readings, status, leak)}"
    shown = share if status in (Status.LEAK, Status.NO_LEAK) else None
    if shown and c.defended:
        title += (
            f" {percent(max(shown[0], 0))} of the undefended leak survives ({_between(shown)})."
        )
    return Cell(figure, note, title, status if c.defended else None, shown)


def _told(
    subject: Subject, readings: Sequence[SubjectReport], status: Status, leak: Record | None
) -> str:
    """Figures, floor and ceiling behind a cell, in sentences."""
    said = f"{wording.OUTCOMES[status]}. Newly trained attackers reach {METRICS[subject.metric]} "
    said += _figure(readings)
    for words, figures in (
        ("from the public labels alone", [r.floors.get(LABEL_ONLY) for r in readings]),
        ("without a defence", [r.ceiling for r in readings]),
    ):
        value = mean([value_of(f) for f in figures])
        said += "" if value is None else f"; {words} {with_unit(subject.metric, value)}"
    weak = next((r.weakness for r in readings if r.weakness), None)
    if status in (Status.TOO_WEAK, Status.CANNOT_TELL) and weak:
        said += f". {wording.weak(weak, status).capitalize()}"
    if leak and (further := wording.given(leak)):
        figure = figure_text(leak) if leak.metric == WITHIN else excess_text(leak)
        said += f". Leak{further}: {figure}"
    return said + "."


def _mean(subject: Subject, readings: Sequence[SubjectReport]) -> str:
    return with_unit(subject.metric, mean([value_of(r.result) for r in readings]))


def _figure(readings: Sequence[SubjectReport]) -> str:
    results = [r.result for r in readings if r.result]
    if len(results) == 1:
        return figure_text(results[0])
    return f"{_mean(readings[0], readings)} (mean of {len(results)} seeds)"


def _utility(subject: Subject, c: Configuration, readings: Sequence[SubjectReport]) -> Cell:
    results = [r.result for r in readings if r.result]
    value = sum(r.value for r in results) / len(results)
    before = mean([value_of(r.ceiling) for r in readings])
    figure = with_unit(subject.metric, value)
    title = f"{subject.name} under {c.label}: {METRICS[subject.metric]} of the service "
    title += _figure(readings)
    note = "undefended"
    if c.defended:
        note = "no undefended run" if before is None else points(subject.metric, value - before)
        if before is not None:
            title += f"; without a defence {with_unit(subject.metric, before)}"
            note += " against undefended"
    useless = any(r.useless for r in readings)
    if useless:
        note = "useless"
        title += ". Useless: no better than always the same answer"
    span = (value, min(r.low for r in results), max(r.high for r in results))
    return Cell(figure, note, title, Status.USELESS if useless else None, span)


def _others(comparison: Comparison, c: Configuration) -> Cell:
    seeds = comparison.undeclared(c)
    if not seeds:
        return Cell("–", "not measured", f"Other attributes under {c.label}: not measured")
    found = max(seeds, key=lambda of_seed: sum(u.leaks for u in of_seed))
    leaking, share = [u for u in found if u.leaks], sum(u.leaks for u in found) / len(found)
    figure, worst_of = f"{len(leaking)} of {len(found)}", "none found to leak"
    if leaking:
        worst_of = f"most: {leaking[0].name} {points('accuracy', leaking[0].excess.value)}"
    most = f"; most of all {leaking[0].name}, {excess_text(leaking[0].excess)}" if leaking else ""
    several = " under the worst of its seeds" if len(seeds) > 1 else ""
    title = (
        f"Of {len(found)} attributes outside the task, {len(leaking)} leak under {c.label}{several}"
        f" (Holm's p below .05){most}"
    )
    status = (Status.LEAK if leaking else Status.NO_LEAK) if c.defended else None
    return Cell(figure, worst_of, title, status, (share, share, share))
