"""The page: everything a person should see of some runs, in one file that loads nothing."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from deepobfuscator.core.errors import InputError
from deepobfuscator.core.files import write_atomic
from deepobfuscator.core.records import IMAGE, LABEL_ONLY
from deepobfuscator.report import figures, tables
from deepobfuscator.report.formatting import (
    METRICS,
    Subject,
    listed,
    number,
    read,
    subjects,
    value_of,
)
from deepobfuscator.report.runs import Comparison, RunResult, compare, find_runs
from deepobfuscator.report.template import render
from deepobfuscator.report.verdict import Verdict, judge

HUES = 7
"""Colours of the style sheet for defences, after which they repeat."""


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
    """One column of the grid of faces."""

    heading: str
    """Where these pictures come from."""
    note: str
    """How they were made, and how good they are."""
    pictures: tuple[str, ...]
    """``data:`` addresses, one person each."""


@dataclass(frozen=True)
class Section:
    """One comparison, ready to be set."""

    comparison: Comparison
    verdict: Verdict
    panels: tuple[Panel, ...]
    faces: tuple[Faces, ...]
    faces_left_out: tuple[str, ...]
    results: tables.Table
    headings: dict[str, str]
    wire: tables.Table
    attacks: tuple[tables.Table, ...]
    curves: tuple[Panel, ...]
    assumptions: dict[str, str]
    sizes: str


def write_page(folders: Sequence[Path], out: Path, faces: bool = True, command: str = "") -> None:
    """Write one self-contained HTML page about every run in ``folders``.

    Args:
        folders: folders that hold runs, at any depth.
        out: the file to write.
        faces: whether to show the pictures of people that the runs kept.
        command: what the reader would type to make this page again.

    Raises:
        InputError: no finished run, a run that cannot be read, or ``out`` cannot be written.
    """
    write_atomic(out, page(folders, faces, command).encode())


def page(folders: Sequence[Path], faces: bool = True, command: str = "") -> str:
    """The text of the page that `write_page` writes."""
    runs = {run.folder.resolve(): run for folder in folders for run in find_runs(folder)}
    comparisons = compare(runs.values())
    if not comparisons:
        raise InputError(
            f"no finished run in {', '.join(map(str, folders))} ({len(runs)} unfinished): "
            "let one finish first"
        )
    colours = _colours(comparisons)
    return render(
        "page.html",
        sections=[_section(c, colours, faces) for c in comparisons],
        colours=colours,
        unfinished=[run for run in runs.values() if not run.finished],
        with_faces=faces,
        command=command,
        versions=_versions(comparisons),
        pretty=lambda data: json.dumps(data, indent=2, ensure_ascii=False),
    )


def _colours(comparisons: Sequence[Comparison]) -> dict[str, str]:
    """A CSS class for each configuration, the same in every drawing of the page."""
    labels = dict.fromkeys(c.label for x in comparisons for c in x.configurations if c.defended)
    hued = {label: f"hue{i % HUES}" for i, label in enumerate(sorted(labels))}
    plain = {c.label: "plain" for x in comparisons for c in x.configurations if not c.defended}
    return hued | plain


def _section(comparison: Comparison, colours: dict[str, str], faces: bool) -> Section:
    columns, left_out = _faces(comparison) if faces else ((), ())
    return Section(
        comparison=comparison,
        verdict=judge(comparison),
        panels=tuple(_panel(comparison, s, colours) for s in subjects(comparison)),
        faces=columns,
        faces_left_out=left_out,
        results=tables.results(comparison),
        headings={s.name: tables.heading(s) for s in subjects(comparison)},
        wire=tables.wire(comparison),
        attacks=(tables.attribute_attacks(comparison), tables.image_attacks(comparison)),
        curves=_curves(comparison),
        assumptions=_assumptions(comparison),
        sizes=_sizes(comparison),
    )


def _panel(comparison: Comparison, subject: Subject, colours: dict[str, str]) -> Panel:
    rows: list[figures.Row] = []
    for configuration in comparison.configurations:
        found = [read(comparison, run, subject) for run in configuration.runs]
        readings = [r for r in found if r is not None]
        if readings:
            rows.append((configuration.label, colours[configuration.label], readings))
    metric = METRICS[subject.metric]
    detail = listed(sorted({r.result.detail for _, _, of_row in rows for r in of_row} - {""}))
    heading, note = {
        "public": (f"Utility: {subject.name}", f"{metric} of the service, % · right is useful"),
        "private": (f"Leakage: {subject.name}", f"{metric} of attackers, % · right is leaked"),
        "image": ("Leakage: faces rebuilt", f"{metric} to the raw picture · right is leaked"),
    }[subject.role]
    drawing = figures.panel(subject, rows) if rows else Markup("<p>No figure yet.</p>")
    return Panel(heading, note, drawing, detail)


def _faces(comparison: Comparison) -> tuple[tuple[Faces, ...], tuple[str, ...]]:
    """Columns of the grid, and the configurations whose pictures show other people."""
    image = Subject(IMAGE, "image")
    raw: Any = None
    columns: list[Faces] = []
    floor: Faces | None = None
    left_out = []
    for configuration in comparison.configurations:
        run = next((run for run in configuration.runs if run.faces), configuration.runs[0])
        held = run.faces
        if held is None or not (raw is None or np.array_equal(raw, held["raw"])):
            left_out.append(configuration.label)
            continue
        reading = read(comparison, run, image)
        if raw is None:
            raw = held["raw"]
            columns.append(Faces("raw", "what the device sees", _pictures(raw)))
            limit = value_of(reading.floors.get(LABEL_ONLY)) if reading else None
            note = f"floor · MS-SSIM {number(image.metric, limit)}"
            floor = Faces("labels alone", note, _pictures(held["label_only"]))
        note = str(held["attack"])
        if reading is not None:
            note += f" · MS-SSIM {number(image.metric, reading.result.value)}"
        columns.append(Faces(configuration.label, note, _pictures(held["reconstructed"])))
    return ((*columns, floor), tuple(left_out)) if floor else ((), ())


def _pictures(pixels: Any) -> tuple[str, ...]:
    return tuple(figures.picture(one) for one in pixels)


def _curves(comparison: Comparison) -> tuple[Panel, ...]:
    runs = [(c, run) for c in comparison.configurations for run in c.runs if run.history]
    losses = list(dict.fromkeys(k for _, run in runs for h in run.history for k in h["losses"]))
    panels = []
    for configuration, run in runs:
        several = f", seed {run.seed}" if len(configuration.runs) > 1 else ""
        heading = configuration.label + several
        named = [f"{i} {name}" for i, (name, _) in enumerate(figures.phases(run.history), 1)]
        drawing = figures.curves(run.history, losses, f"Training losses of {heading}")
        panels.append(Panel(heading, " · ".join(named), drawing))
    return tuple(panels)


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
    found = [read(comparison, run, s) for run in comparison.runs for s in subjects(comparison)]
    results = [r.result for r in found if r is not None]
    pictures = sorted({r.n for r in results})
    people = sorted({r.n_people for r in results if r.n_people is not None})

    def spread(values: Sequence[int]) -> str:
        return f"{values[0]:,}" + (f" to {values[-1]:,}" if len(values) > 1 else "")

    if not pictures:
        return "nothing"
    said = f"{spread(pictures)} test pictures"
    return f"{said} of {spread(people)} people" if people else f"{said} of unknown people"


def _versions(comparisons: Sequence[Comparison]) -> list[str]:
    runs: list[RunResult] = [run for c in comparisons for run in c.runs]
    return list(
        dict.fromkeys(
            " · ".join(f"{name} {version}" for name, version in run.card["versions"].items())
            + (f" · {run.card['precision']}" if "precision" in run.card else "")
            for run in runs
        )
    )
