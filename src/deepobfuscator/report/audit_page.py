"""The page of one audit: its summary as one file that loads nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup
from numpy.typing import NDArray

from deepobfuscator.core.files import write_atomic
from deepobfuscator.core.records import EXCESS, ThreatKind
from deepobfuscator.report import audit_figures
from deepobfuscator.report.audit_verdict import called, excess_text, figure_text
from deepobfuscator.report.figures import picture
from deepobfuscator.report.formatting import METRICS, PERCENT, interval, number
from deepobfuscator.report.page import Panel
from deepobfuscator.report.runs import RunResult
from deepobfuscator.report.summary import summarise
from deepobfuscator.report.tables import Table, ratio, size
from deepobfuscator.report.template import render

PARTS = {
    "defender": "the encoder was trained on",
    "attacker": "attackers learned from",
    "validation": "attackers were chosen on",
    "test": "everything was scored on",
}

SHORT_HASH = 16
"""Characters of a hash that the page shows; the summary holds all of them."""


@dataclass(frozen=True)
class Subject:
    """One subject, ready to be set."""

    name: str
    """As a sentence calls it."""
    metric: str
    """What its drawing shows."""
    status: str
    """Its outcome."""
    drawing: Markup | None
    """Every attacker; None where there is none."""
    stats: tuple[tuple[str, str, str], ...]
    """The excesses: figure, interval, and over what."""
    facts: tuple[tuple[str, str], ...]
    """Further figures by name."""


@dataclass(frozen=True)
class Worst:
    """One row of the grid of faces that were rebuilt best."""

    heading: str
    """What these pictures are."""
    pictures: tuple[str, ...]
    """``data:`` addresses, one person each."""


def write_audit_page(run: RunResult, out: Path, faces: bool = True) -> None:
    """Write the page of one audited run.

    Args:
        run: the audited run.
        out: the file to write.
        faces: whether to show the pictures of people that were rebuilt best.

    Raises:
        InputError: a file of the run cannot be read, or ``out`` cannot be written.
    """
    text = audit_page(summarise(run), run.worst_faces if faces else None)
    write_atomic(out, text.encode())


def audit_page(summary: Mapping[str, Any], faces: Mapping[str, NDArray[Any]] | None = None) -> str:
    """The text of the page.

    Args:
        summary: what `summarise` gave.
        faces: what `RunResult.worst_faces` gave; None makes a page without pictures of people.
    """
    attacked = [s for s in summary["subjects"] if s["role"] != "public"]
    parts = summary["data"]["parts"]
    return render(
        "audit.html",
        summary=summary,
        subjects=[_subject(s) for s in attacked],
        worst=_worst(faces) if faces else (),
        worst_scores=[number("ms_ssim", v) for v in faces["worst_ms_ssim"]] if faces else (),
        worst_attack=str(faces["attack"]) if faces else "",
        service=_service(summary),
        budgets=[
            Panel(
                called(s), f"{METRICS[s['metric']]} of the best attacker", audit_figures.budget(s)
            )
            for s in attacked
            if s["budget"]
        ],
        undeclared=audit_figures.undeclared(summary["undeclared"]) if summary["undeclared"] else "",
        given=_given(attacked),
        epochs=_epochs(summary["convergence"]["curves"]),
        doubled=_doubled(summary["convergence"]["doubled"]),
        attackers=[t for t in (_attackers(attacked, role) for role in ROLE_METRICS) if t.rows],
        parts=_parts(parts),
        defender_unknown="defender" in parts and parts["defender"] is None,
        target=_target(summary),
        gates=_gates(summary["gates"]),
        minutes=None if summary["seconds"] is None else f"{summary['seconds'] / 60:,.0f} min",
    )


def _subject(subject: Mapping[str, Any]) -> Subject:
    metric, stats = subject["metric"], []
    for key, over in (
        ("excess", "above what the public labels alone give"),
        ("excess_given_labels", "above the labels, with the labels given too"),
        ("excess_over_service", "above what the service’s own answer gives"),
    ):
        if subject[key]:
            figure, ends = excess_text(metric, subject[key]).split(" (")
            stats.append((figure, ends.rstrip(")"), over))
    return Subject(
        name=called(subject),
        metric=METRICS[metric] + (", %" if metric in PERCENT else ""),
        status=subject["status"],
        drawing=audit_figures.attackers(subject) if subject["headline"] else None,
        stats=tuple(stats),
        facts=tuple(_facts(subject)),
    )


def _facts(subject: Mapping[str, Any]) -> list[tuple[str, str]]:
    metric, headline = subject["metric"], subject["headline"]
    facts = []

    def value(figure: float) -> str:
        return number(metric, figure) + "\N{NO-BREAK SPACE}%" * (metric in PERCENT)

    if headline:
        facts.append((f"Headline: {headline['attack']}", figure_text(metric, headline)))
    if subject["worst"]:
        facts.append(("Most exposed 5 % of pictures", figure_text(metric, subject["worst"])))
    if most := subject["maximum"]:
        bound = f"{value(most['value'])}, at most {value(most['high'])}"
        facts.append((f"Highest: {most['detail'] or 'of all attackers'}", bound))
    if most := subject["maximum_excess"]:
        bound = excess_text(metric, most | {"value": most["high"]}).split(" (")[0]
        facts.append(("Highest excess", f"at most {bound}"))
    facts += [(f"Floor: {k}", value(f["value"])) for k, f in subject["floors"].items()]
    if subject["ceiling"]:
        facts.append(("Ceiling", figure_text(metric, subject["ceiling"])))
    if subject["in_game"]:
        facts.append(("The game’s own adversary", value(subject["in_game"]["value"])))
    if headline and headline["detail"]:
        facts.append(("Measured with", headline["detail"]))
    return facts


def _worst(faces: Mapping[str, NDArray[Any]]) -> tuple[Worst, ...]:
    rows = (
        ("raw", "worst_raw"),
        ("rebuilt", "worst_rebuilt"),
        ("labels alone", "worst_label_only"),
    )
    return tuple(Worst(name, tuple(picture(p) for p in faces[key])) for name, key in rows)


def _text(metric: str, figure: Mapping[str, Any] | None) -> str:
    if figure is None:
        return "–"
    return interval(metric, figure["value"], figure["low"], figure["high"])


def _service(summary: Mapping[str, Any]) -> Table:
    metrics = ("accuracy", "balanced_accuracy", "auc", "mcc")
    rows = []
    for s in summary["subjects"]:
        if s["role"] == "public" and s["service"]:
            figures = [_text(m, s["service"].get(m)) for m in metrics]
            floor = max((f["value"] for f in s["floors"].values()), default=None)
            rows.append(
                (s["name"], *figures, number("accuracy", floor), _text("accuracy", s["ceiling"]))
            )
    names = ("Accuracy", "Balanced accuracy", "AUC", "MCC")
    return Table(("Attribute", *names, "Majority", "Ceiling"), tuple(rows))


def _given(attacked: Sequence[Mapping[str, Any]]) -> Table:
    """The best attacker on its own validation under each further threat."""
    rows = []
    for s in attacked:
        by_threat: dict[str, list[Mapping[str, Any]]] = {}
        for a in s["attackers"]:
            if a["given"]:
                by_threat.setdefault(a["given"], []).append(a)
        for given, found in by_threat.items():
            best = max(
                found, key=lambda a: (a["own_validation"] is not None, a["own_validation"] or 0)
            )
            figures = best["figures"]
            excess = excess_text(s["metric"], figures[EXCESS]) if EXCESS in figures else "–"
            what = f"{given} (negative control)" if given == ThreatKind.SHUFFLED else given
            measured = _text(s["metric"], figures[s["metric"]])
            rows.append((called(s), what, best["name"], measured, excess))
    return Table(("Subject", "Given", "Attacker", "Measured", "Above the labels"), tuple(rows))


ROLE_METRICS = {
    "private": ("balanced_accuracy", "accuracy", "auc", "mcc"),
    "image": ("ms_ssim", "ms_ssim_worst", "ssim", "psnr"),
    "identity": ("auc", "eer", "rank1"),
}


def _attackers(attacked: Sequence[Mapping[str, Any]], role: str) -> Table:
    metrics = ROLE_METRICS[role]
    named = [METRICS[m][0].upper() + METRICS[m][1:] for m in metrics]
    rows = []
    for s in attacked:
        for a in s["attackers"]:
            if s["role"] == role and not a["given"]:
                figures = a["figures"]
                excess = excess_text(s["metric"], figures[EXCESS]) if EXCESS in figures else "–"
                own = number(s["metric"], a["own_validation"])
                shown = [_text(m, figures.get(m)) for m in metrics]
                pictures = f"{figures[s['metric']]['n']:,}"
                rows.append((called(s), a["name"], *shown, excess, own, pictures))
    last = ("Above the labels", "On own validation", "Pictures")
    return Table(("Subject", "Attacker", *named, *last), tuple(rows))


def _epochs(curves: Sequence[Mapping[str, Any]]) -> list[Panel]:
    """Small drawings; those of one target and metric share their axis."""
    panels = []
    for curve in curves:
        kin = [
            c for c in curves if (c["target"], c["metric"]) == (curve["target"], curve["metric"])
        ]
        every = [v for c in kin for v in c["scores"]]
        if curve["scores"]:
            given = f", {curve['given']}" if curve["given"] else ""
            title = f"{curve['attack']}{given}"
            drawing = audit_figures.epochs(curve["scores"], min(every), max(every), title)
            panels.append(Panel(title, f"{curve['target']}, {curve['metric']}", drawing))
    return panels


def _doubled(doubled: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        (
            d["subject"],
            d["attack"],
            METRICS[d["metric"]],
            *(number(d["metric"], d[k]) for k in ("once", "twice")),
        )
        for d in doubled
    ]
    return Table(("Subject", "Attacker", "Metric", "Budget once", "Budget twice"), tuple(rows))


def _parts(parts: Mapping[str, Any]) -> Table:
    rows = []
    for name, part in parts.items():
        if part is None:
            rows.append((name, PARTS.get(name, ""), "unknown", "unknown", "–"))
            continue
        people = "unknown" if part["people"] is None else f"{part['people']:,}"
        digest = part["sha256"][:SHORT_HASH]
        rows.append((name, PARTS.get(name, ""), f"{part['pictures']:,}", people, digest))
    return Table(("Part", "What", "Pictures", "People", "SHA-256 begins"), tuple(rows))


def _target(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    target = summary["target"]
    height, width = summary["data"]["size"]
    facts = [("Pictures", f"{summary['data']['source']}, {height} × {width} px")]
    if target is None:
        return facts
    bits, raw = target["wire_bits"], target.get("picture_bits")
    against = f", {ratio(bits / raw)} of the raw picture" if raw else ""
    features = " × ".join(map(str, target["features"]))
    drawn = "drawn anew for every query" if target.get("draws") else "the same for every query"
    return [
        ("Encoder", f"{target['name']} ({target['kind']})"),
        *facts,
        ("One message", f"{features} features, {bits:,} bits ({size(bits)}){against}"),
        ("Features", drawn),
        ("Gradients", "within reach" if target.get("differentiable") else "out of reach"),
        *([("Batches", "one picture at a time")] if target.get("one_at_a_time") else []),
    ]


def _gates(gates: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    return [
        (g["rule"], "–" if g["upper"] is None else f"{g['upper']:.4g}", g["outcome"]) for g in gates
    ]
