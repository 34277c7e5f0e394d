"""Pages: everything a person should see, each in one file that loads nothing."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from deepobfuscator.auditing.gates import EXCEEDED, PASSED
from deepobfuscator.auditing.leakage import Status
from deepobfuscator.core.errors import InputError
from deepobfuscator.core.records import LABEL_ONLY
from deepobfuscator.report import audit_plots, formatting, plots, tables
from deepobfuscator.report.comparison import IMAGE_SUBJECT, Comparison
from deepobfuscator.report.formatting import METRICS, listed, number, value_of
from deepobfuscator.report.subjects import Role, Subject
from deepobfuscator.report.svg import picture
from deepobfuscator.report.template import render
from deepobfuscator.report.wording import called, finding_of, lede_of, title_of

if TYPE_CHECKING:
    from deepobfuscator.report.view import AuditReport, ComparisonReport

HUES = 7
"""Colours of the style sheet for defences, after which they repeat."""

GATE_LOOKS = {PASSED: Status.NO_LEAK, EXCEEDED: Status.LEAK}
"""A gate looks like these statuses, or like a weak attack."""


@dataclass(frozen=True)
class Panel:
    """One drawing with its heading."""

    heading: str
    """What it is about."""
    note: str
    """How to read it."""
    drawing: Markup
    """The SVG."""
    footnote: str = ""
    """What the figure depends on."""


@dataclass(frozen=True)
class Faces:
    """One column, or row, of a grid of faces."""

    heading: str
    """Where these pictures come from."""
    note: str
    """How they were made, and how good they are."""
    pictures: tuple[str, ...]
    """``data:`` addresses, one person each."""

    @classmethod
    def of(cls, heading: str, note: str, pixels: NDArray[Any]) -> "Faces":
        """From pictures (m, H, W, 3) in 0..255."""
        return cls(heading, note, tuple(map(picture, pixels)))


def comparison_page(report: "ComparisonReport", faces: bool = True) -> str:
    """The page of runs side by side; see `ComparisonReport.save`."""
    comparisons = report.comparisons
    unfinished = [run for run in report.runs if not run.finished]
    if not comparisons:
        folders = ", ".join(str(run.folder) for run in unfinished)
        raise InputError(
            f"no finished run in {folders} ({len(unfinished)} unfinished): let one finish first"
        )
    colours = _colours(comparisons)
    return render(
        "comparison.html",
        sections=[_section(c, colours, faces) for c in comparisons],
        colours=colours,
        unfinished=unfinished,
        with_faces=faces,
        command=report.command,
        versions=_versions(comparisons),
        pretty=lambda data: json.dumps(data, indent=2, ensure_ascii=False),
    )


def _colours(comparisons: Sequence[Comparison]) -> dict[str, str]:
    """A CSS class for each configuration, the same in every drawing of the page."""
    every = [c for x in comparisons for c in x.configurations]
    hued = enumerate(sorted({c.label for c in every if c.defended}))
    plain = {c.label: "plain" for c in every if not c.defended}
    return {label: f"hue{i % HUES}" for i, label in hued} | plain


def _section(comparison: Comparison, colours: dict[str, str], faces: bool) -> dict[str, object]:
    """One comparison, ready to be set."""
    columns, left_out = _faces(comparison) if faces else ((), ())
    attributes = tables.comparison_attacks(comparison, (Role.PUBLIC, Role.PRIVATE))
    return {
        "comparison": comparison,
        "title": title_of(comparison),
        "lede": lede_of(comparison),
        "findings": [finding_of(comparison, c) for c in comparison.configurations],
        "panels": [_panel(comparison, s, colours) for s in comparison.subjects],
        "faces": columns,
        "faces_left_out": left_out,
        "results": tables.results(comparison),
        "headings": {s.name: tables.heading(s) for s in comparison.subjects},
        "wire": tables.wire(comparison),
        "attacks": (attributes, tables.comparison_attacks(comparison, (Role.IMAGE,))),
        "curves": _curves(comparison),
        "assumptions": _assumptions(comparison),
        "sizes": _sizes(comparison),
    }


def _panel(comparison: Comparison, subject: Subject, colours: dict[str, str]) -> Panel:
    rows = [
        plots.Row(c.label, colours[c.label], readings)
        for c in comparison.configurations
        if (readings := comparison.readings(c, subject))
    ]
    results = [r.result for row in rows for r in row.readings if r.result]
    metric, name = METRICS[subject.metric], subject.name
    heading, note = {
        Role.PUBLIC: (f"Utility: {name}", f"{metric} of the service, % · right is useful"),
        Role.PRIVATE: (
            f"Attribute inference: {name}",
            f"{metric} of attackers, % · right is leaked",
        ),
    }.get(subject.role, ("Reconstruction", f"{metric} to the raw picture · right is leaked"))
    drawing = plots.panel(subject, rows) if rows else Markup("<p>No figure yet.</p>")
    return Panel(heading, note, drawing, listed(sorted({r.detail for r in results} - {""})))


def _faces(comparison: Comparison) -> tuple[tuple[Faces, ...], tuple[str, ...]]:
    """Columns of the grid, and the configurations whose pictures show other people."""
    raw: Any = None
    columns: list[Faces] = []
    floor: list[Faces] = []
    left_out = []
    metric = IMAGE_SUBJECT.metric
    for configuration in comparison.configurations:
        run = next((run for run in configuration.runs if run.faces), configuration.runs[0])
        held, reading = run.faces, comparison.reading(run, IMAGE_SUBJECT)
        if held is None or not (raw is None or np.array_equal(raw, held["raw"])):
            left_out.append(configuration.label)
            continue
        if raw is None:
            raw = held["raw"]
            columns.append(Faces.of("raw", "what the device sees", raw))
            limit = value_of(reading.floors.get(LABEL_ONLY)) if reading else None
            note = f"floor · MS-SSIM {number(metric, limit)}"
            floor.append(Faces.of("labels alone", note, held["label_only"]))
        note = str(held["attack"])
        if reading is not None:
            note += f" · MS-SSIM {number(metric, value_of(reading.result))}"
        columns.append(Faces.of(configuration.label, note, held["reconstructed"]))
    return ((*columns, *floor), tuple(left_out)) if floor else ((), ())


def _curves(comparison: Comparison) -> list[Panel]:
    runs = [(c, run) for c in comparison.configurations for run in c.runs if run.history]
    losses = list(dict.fromkeys(k for _, run in runs for h in run.history for k in h["losses"]))
    panels = []
    for configuration, run in runs:
        several = f", seed {run.seed}" if len(configuration.runs) > 1 else ""
        heading = configuration.label + several
        named = [f"{i} {name}" for i, (name, _) in enumerate(plots.phases(run.history), 1)]
        drawing = plots.curves(run.history, losses, f"Training losses of {heading}")
        panels.append(Panel(heading, " · ".join(named), drawing))
    return panels


def _assumptions(comparison: Comparison) -> dict[str, str]:
    """Each assumption, and of which configurations it holds where not of all."""
    held: dict[str, list[str]] = {}
    for configuration in comparison.configurations:
        for sentence in configuration.runs[0].card["assumptions"]:
            held.setdefault(sentence, []).append(configuration.label)
    everyone = len(comparison.configurations)
    return {s: "" if len(who) == everyone else listed(who) for s, who in held.items()}


def _sizes(comparison: Comparison) -> str:
    """On how many pictures, of how many people, the figures rest."""
    found = [comparison.reading(run, s) for run in comparison.runs for s in comparison.subjects]
    results = [r.result for r in found if r and r.result]
    pictures = sorted({r.n for r in results})
    people = sorted({r.n_people for r in results if r.n_people is not None})

    def spread(values: Sequence[int]) -> str:
        return f"{values[0]:,}" + (f" to {values[-1]:,}" if len(values) > 1 else "")

    if not pictures:
        return "nothing"
    said = f"{spread(pictures)} test pictures"
    return f"{said} of {spread(people)} people" if people else f"{said} of unknown people"


def _versions(comparisons: Sequence[Comparison]) -> list[str]:
    cards = [run.card for c in comparisons for run in c.runs]
    said = [[*(f"{n} {v}" for n, v in c["versions"].items()), c.get("precision")] for c in cards]
    return list(dict.fromkeys(" · ".join(filter(None, line)) for line in said))


def audit_page(report: "AuditReport", faces: bool = True) -> str:
    """The page of one audit; see `AuditReport.save`."""
    run, attacked = report.run, report.attacked
    worst = run.worst_faces if faces else None
    every = [tables.audit_attacks(attacked, r) for r in (Role.PRIVATE, Role.IMAGE, Role.IDENTITY)]
    return render(
        "audit.html",
        report=report,
        run=run,
        notes=run.notes,
        looks=GATE_LOOKS,
        weak=Status.TOO_WEAK,
        write=formatting,
        called=called,
        plots=audit_plots,
        tables=tables,
        worst=_worst(worst) if worst else (),
        worst_scores=[number("ms_ssim", v) for v in worst["worst_ms_ssim"]] if worst else (),
        worst_attack=str(worst["attack"]) if worst else "",
        attackers=[table for table in every if table.rows],
        epochs=_epochs(run.notes.get("curves", [])),
    )


def _worst(faces: Mapping[str, NDArray[Any]]) -> list[Faces]:
    rows = (("raw", "raw"), ("rebuilt", "rebuilt"), ("labels alone", "label_only"))
    return [Faces.of(name, "", faces[f"worst_{key}"]) for name, key in rows]


def _epochs(curves: Sequence[Mapping[str, Any]]) -> list[Panel]:
    """Small drawings; those of one target and metric share their axis."""
    panels = []
    for curve in (c for c in curves if c["scores"]):
        axis = curve["target"], curve["metric"]
        every = [v for c in curves if (c["target"], c["metric"]) == axis for v in c["scores"]]
        title = ", ".join(filter(None, (curve["attack"], curve["given"])))
        drawing = audit_plots.epochs(curve["scores"], min(every), max(every), title)
        panels.append(Panel(title, ", ".join(axis), drawing))
    return panels


def audit_brief(report: "AuditReport") -> str:
    """One audit at a glance, as a fragment for a notebook."""
    drawing = audit_plots.brief(report.subjects)
    return render("brief.html", title=report.verdict.title, drawing=drawing, table=None)


def table_brief(table: tables.Table) -> str:
    """A table as a fragment for a notebook."""
    return render("brief.html", title="", drawing="", table=table)
