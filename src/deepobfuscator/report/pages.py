"""Pages: everything a person should see, each in one file that loads nothing."""

import json
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import jinja2
import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from deepobfuscator.core.errors import InputError
from deepobfuscator.core.records import LABEL_ONLY
from deepobfuscator.report import audit_plots, formatting, plots, tables, wording
from deepobfuscator.report.comparison import IMAGE_SUBJECT, Comparison, Configuration
from deepobfuscator.report.formatting import METRICS, listed, number, value_of
from deepobfuscator.report.matrix import matrix_of
from deepobfuscator.report.subjects import Role, Subject
from deepobfuscator.report.svg import picture

if TYPE_CHECKING:
    from deepobfuscator.report.view import AuditReport, ComparisonReport

HERE = Path(__file__).parent

ENVIRONMENT = jinja2.Environment(
    loader=jinja2.FileSystemLoader([HERE, HERE.parent / "paper" / "render"]),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)

AUDIT_PAGE = "report.html"
"""Name of an audit's page in its run folder."""

HUES = 7
"""Colours of the style sheet for defences, after which they repeat."""

Panel = tuple[str, str, Markup]
"""What a drawing is about, how to read it, the SVG."""


class Faces(NamedTuple):
    """One column of a grid of faces."""

    heading: str
    note: str
    """How these pictures were made, and how good they are."""
    pictures: NDArray[Any]
    """(m, H, W, 3) in 0..255, one person each."""


def render(template: str, **values: Any) -> str:
    """``template`` with the style sheet and ``values``, escaped wherever they are not markup."""
    style = Markup((HERE / "page.css").read_text("utf-8"))
    return ENVIRONMENT.get_template(template).render(style=style, **values)


def comparison_page(report: "ComparisonReport", faces: bool = True, folder: Path = Path()) -> str:
    """The page of runs side by side, with links that hold in ``folder``; see
    `ComparisonReport.save`.
    """
    comparisons = report.comparisons
    unfinished = [run for run in report.runs if not run.finished]
    if not comparisons:
        folders = ", ".join(str(run.folder) for run in unfinished)
        raise InputError(
            f"no finished run in {folders} ({len(unfinished)} unfinished): let one finish first"
        )
    return render(
        "comparison.html",
        comparisons=comparisons,
        colours=_colours(comparisons),
        unfinished=unfinished,
        with_faces=faces,
        command=report.command,
        contrasts=report.differences,
        versions=_versions(comparisons),
        plots=plots,
        tables=tables,
        words=wording,
        write=formatting,
        matrix_of=matrix_of,
        audits_of=partial(_audits, folder=folder),
        panel_of=_panel,
        faces_of=_faces,
        curves_of=_curves,
        assumptions_of=_assumptions,
        sizes_of=_sizes,
        picture=picture,
        pretty=lambda data: json.dumps(data, indent=2, ensure_ascii=False),
    )


def _colours(comparisons: Sequence[Comparison]) -> dict[str, str]:
    """A CSS class for each configuration, the same in every drawing of the page."""
    every = [c for x in comparisons for c in x.configurations]
    hued = enumerate(sorted({c.label for c in every if c.defended}))
    plain = {c.label: "plain" for c in every if not c.defended}
    return {label: f"hue{i % HUES}" for i, label in hued} | plain


def _audits(configuration: Configuration, folder: Path) -> list[tuple[str, str]]:
    """A name and an address, relative to ``folder``, of every audit page of a configuration."""
    several = len(configuration.runs) > 1
    return [
        (f"seed {run.seed}" if several else "audit", quote(Path(path).as_posix()))
        for run in configuration.runs
        if (page := run.folder.resolve() / AUDIT_PAGE).is_file()
        for path in [os.path.relpath(page, folder.resolve())]
    ]


def _panel(
    comparison: Comparison, subject: Subject, colours: dict[str, str]
) -> tuple[str, str, Markup, str]:
    """A `Panel`, and what its figures depend on."""
    rows = [
        plots.Row(c.label, colours[c.label], readings)
        for c in comparison.configurations
        if (readings := comparison.readings(c, subject))
    ]
    metric, name = METRICS[subject.metric], subject.name
    heading, note = {
        Role.PUBLIC: (f"Utility: {name}", f"{metric} of the service, % · higher = better"),
        Role.PRIVATE: (
            f"Attribute inference: {name}",
            f"{metric} of attackers, % · higher = more leakage",
        ),
        Role.IMAGE: ("Reconstruction", f"{metric} to the raw picture · higher = more leakage"),
        Role.IDENTITY: ("Re-identification", f"{metric} of attackers · higher = more leakage"),
    }[subject.role]
    drawing = plots.panel(subject, rows) if rows else Markup("<p>No figure yet.</p>")
    details = {r.result.detail for row in rows for r in row.readings if r.result}
    return heading, note, drawing, listed(sorted(details - {""}))


def _faces(comparison: Comparison) -> tuple[list[Faces], list[str]]:
    """Columns of the grid, and the configurations whose pictures show other people."""
    columns: list[Faces] = []
    floor: list[Faces] = []
    left_out = []
    for configuration in comparison.configurations:
        run = next((run for run in configuration.runs if run.faces), configuration.runs[0])
        held, reading = run.faces, comparison.reading(run, IMAGE_SUBJECT)
        if held is None or (columns and not np.array_equal(columns[0].pictures, held["raw"])):
            left_out.append(configuration.label)
            continue
        if not columns:
            columns.append(Faces("raw", "what the device sees", held["raw"]))
            limit = value_of(reading.floors.get(LABEL_ONLY)) if reading else None
            floor.append(
                Faces(
                    "labels alone",
                    f"floor · MS-SSIM {number('ms_ssim', limit)}",
                    held["label_only"],
                )
            )
        note = str(held["attack"])
        if reading is not None:
            note += f" · MS-SSIM {number('ms_ssim', value_of(reading.result))}"
        columns.append(Faces(configuration.label, note, held["reconstructed"]))
    return columns + floor, left_out if columns else []


def _curves(comparison: Comparison) -> list[Panel]:
    runs = [(c, run) for c in comparison.configurations for run in c.runs if run.history]
    losses = list(dict.fromkeys(k for _, run in runs for h in run.history for k in h["losses"]))
    panels = []
    for configuration, run in runs:
        several = f", seed {run.seed}" if len(configuration.runs) > 1 else ""
        heading = configuration.label + several
        named = [f"{i} {name}" for i, (name, _) in enumerate(plots.phases(run.history), 1)]
        drawing = plots.curves(run.history, losses, f"Training losses of {heading}")
        panels.append((heading, " · ".join(named), drawing))
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
    return f"{spread(pictures)} test pictures of {spread(people) if people else 'unknown'} people"


def _versions(comparisons: Sequence[Comparison]) -> list[str]:
    cards = [run.card for c in comparisons for run in c.runs]
    said = [[*(f"{n} {v}" for n, v in c["versions"].items()), c.get("precision")] for c in cards]
    return list(dict.fromkeys(" · ".join(filter(None, line)) for line in said))


def audit_page(report: "AuditReport", faces: bool = True) -> str:
    """The page of one audit; see `AuditReport.save`."""
    return render(
        "audit.html",
        report=report,
        run=report.run,
        notes=report.run.notes,
        write=formatting,
        plots=audit_plots,
        tables=tables,
        worst=report.run.worst_faces if faces else None,
        picture=picture,
        epochs=_epochs(report.run.notes.get("curves", [])),
    )


def _epochs(curves: Sequence[Mapping[str, Any]]) -> list[Panel]:
    """Small drawings; those of one target and metric share their axis."""
    panels = []
    for curve in (c for c in curves if c["scores"]):
        axis = curve["target"], curve["metric"]
        every = [v for c in curves if (c["target"], c["metric"]) == axis for v in c["scores"]]
        title = ", ".join(filter(None, (curve["attack"], curve["given"])))
        drawing = audit_plots.epochs(curve["scores"], min(every), max(every), title)
        panels.append((title, ", ".join(axis), drawing))
    return panels
