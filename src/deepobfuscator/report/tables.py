"""Tables of figures, the same for pages, the terminal and Markdown."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from deepobfuscator.core import records
from deepobfuscator.core.records import Record, ThreatKind
from deepobfuscator.experiments.contrasts import Contrast
from deepobfuscator.metrics.attributes import ATTRIBUTE_METRICS
from deepobfuscator.report.comparison import Comparison
from deepobfuscator.report.formatting import (
    DASH,
    METRICS,
    capital,
    cell,
    excess_text,
    interval,
    mean,
    number,
    points,
    signed,
    value_of,
)
from deepobfuscator.report.subjects import (
    COMMON,
    AttackerReport,
    Role,
    Subject,
    SubjectReport,
)

OF_ATTRIBUTES = ("balanced_accuracy", *(m for m in ATTRIBUTE_METRICS if m != "balanced_accuracy"))
OF_OTHERS = {
    Role.IMAGE: ("ms_ssim", "ssim", "psnr", records.PERCEPTUAL, "ms_ssim_worst"),
    Role.IDENTITY: ("auc", "eer", "rank1"),
}
"""The metrics that a table of all attackers shows."""

SHOWN_ELSEWHERE = (ThreatKind.COMMON, ThreatKind.BUDGET)
"""Threat models that have drawings of their own."""


@dataclass(frozen=True)
class Table:
    """Headers and rows of text, all rows as long as the headers."""

    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    grouped: bool = False
    """Whether the first column is a heading over the rows that share it, where there is room."""
    means: tuple[int, ...] = ()
    """Which of the rows are means of those below."""


BESIDE = ("Training adversary", "Measured", "By", "Maximum", "Majority", "Label-only", "Ceiling")
"""The figure that counts and what it is seen beside."""


def utility_and_leakage(comparisons: Sequence[Comparison]) -> Table:
    """The service and the headline attackers of finished runs beside their floors and ceilings.

    The service is measured by accuracy, attackers by balanced accuracy and images by MS-SSIM.
    Several seeds of one configuration make a row of means (with the range over the seeds in
    brackets) and a row each. Figures are per cent but for MS-SSIM; those with an interval are
    written 59.2 (56.8–61.6).
    """
    if len(comparisons) == 1:
        return results(comparisons[0])
    rows = [(c.distinction, *row) for c in comparisons for row in results(c).rows]
    return Table(("Setting", "Subject", "Defence", "Seed", *BESIDE), tuple(rows))


def results(comparison: Comparison) -> Table:
    """`utility_and_leakage` of one comparison."""
    rows: list[tuple[str, ...]] = []
    means = []
    for subject in comparison.subjects:
        for configuration in comparison.configurations:
            readings = comparison.readings(configuration, subject)
            lead = (subject.name, configuration.label)
            if len(readings) > 1:
                means.append(len(rows))
                rows.append((*lead, f"mean of {len(readings)}", *_cells(subject, readings)))
            rows += [(*lead, str(r.seed), *_cells(subject, [r])) for r in readings]
    headers = ("Subject", "Defence", "Seed", *BESIDE)
    return Table(headers, tuple(rows), grouped=True, means=tuple(means))


def headings(comparison: Comparison) -> dict[str, str]:
    """By name, a subject, what it is in the task and how it is measured."""
    called = {s.name: f"{s.name} ({s.role})" for s in comparison.subjects}
    called |= {records.IMAGE: "Faces", records.IDENTITY: "Identity"}
    return {s.name: f"{called[s.name]}, {METRICS[s.metric]}" for s in comparison.subjects}


def _cells(subject: Subject, readings: Sequence[SubjectReport]) -> tuple[str, ...]:
    """Figures of one seed, or their means over several."""

    def value(figures: Iterable[Record | None]) -> str:
        return number(subject.metric, mean([value_of(f) for f in figures]))

    found = [r.result for r in readings if r.result]
    values, attacks = [f.value for f in found], sorted({f.attack for f in found})
    ends = "–".join(number(subject.metric, end) for end in (min(values), max(values)))
    several = f"{value(found)} [{ends}]"
    return (
        value(r.in_game for r in readings),
        several if len(found) > 1 else cell(found[0]),
        attacks[0] if len(attacks) == 1 else f"{len(attacks)} attackers",
        value(r.maximum for r in readings),
        value(r.floors.get(records.MAJORITY) or r.floors.get(records.MEAN_FACE) for r in readings),
        value(r.floors.get(records.LABEL_ONLY) for r in readings),
        value(r.ceiling for r in readings),
    )


def comparison_attacks(comparison: Comparison) -> list[Table]:
    """Every test figure on attributes, then on images, references included; no empty table."""
    found = [
        ((s.name, c.label, str(r.seed)), r, (*r.attackers, *r.references.values()))
        for s in comparison.subjects
        for c in comparison.configurations
        for r in comparison.readings(c, s)
    ]
    return _attacks(("Subject", "Defence", "Seed"), found)


def audit_attacks(attacked: Sequence[SubjectReport]) -> list[Table]:
    """Every attacker of the common threat model on attributes, images, identity; no empty table."""
    return _attacks(("Subject",), [((s.called,), s, s.common) for s in attacked])


def _attacks(
    lead: tuple[str, ...],
    found: Iterable[tuple[tuple[str, ...], SubjectReport, Sequence[AttackerReport]]],
) -> list[Table]:
    """A table for each run of subjects with the same metrics; ``lead`` heads the first cells."""
    tables = []
    last = ("Above the labels", "On validation", "Inputs", "Detail")
    for known, group in groupby(found, lambda f: OF_OTHERS.get(f[1].role, OF_ATTRIBUTES)):
        some = [(cells, subject, a) for cells, subject, attackers in group for a in attackers]
        measured = {metric for _, _, attacker in some for metric in attacker.figures}
        metrics = [m for m in known if m != records.PERCEPTUAL or m in measured]
        rows = tuple(
            (*cells, *_attack_row(subject, attacker, metrics)) for cells, subject, attacker in some
        )
        headers = (*lead, "Attacker", *map(capital, metrics), *last)
        tables += [Table(headers, rows, grouped=True)] if rows else []
    return tables


def _attack_row(subject: SubjectReport, a: AttackerReport, metrics: Sequence[str]) -> list[str]:
    headline = subject.headline and (subject.headline.attack, COMMON)
    name = a.name + " (headline)" * ((a.name, a.threat) == headline)
    shown = [r for m, r in a.figures.items() if m in metrics]
    return [
        name + (f", given {a.threat}" if a.threat != COMMON else ""),
        *(cell(a.figures.get(m)) for m in metrics),
        _excess(a),
        number(subject.metric, a.own_validation),
        ", ".join(dict.fromkeys(f"{r.n:,}" for r in shown)),
        "; ".join(dict.fromkeys(r.detail for r in shown if r.detail)),
    ]


def _excess(attacker: AttackerReport) -> str:
    excess = attacker.figures.get(records.EXCESS)
    return excess_text(excess) if excess else DASH


def given(attacked: Sequence[SubjectReport]) -> Table:
    """The best attacker on its own validation part under each further threat model."""
    rows = []
    for s in attacked:
        others = [a for a in s.attackers if a.threat.kind not in SHOWN_ELSEWHERE]
        for threat, found in groupby(others, lambda a: a.threat):
            best = max(found, key=lambda a: (a.own_validation is not None, a.own_validation or 0))
            name = f"{threat}{' (negative control)' * (threat.kind is ThreatKind.SHUFFLED)}"
            rows.append((s.called, name, best.name, cell(best.figures[s.metric]), _excess(best)))
    headers = ("Subject", "Threat model", "Attacker", "Measured", "Above the labels")
    return Table(headers, tuple(rows), grouped=True)


def service(subjects: Sequence[SubjectReport]) -> Table:
    """What the service tells of public attributes."""
    rows = []
    for s in subjects:
        if s.role is Role.PUBLIC and s.service:
            figures = [cell(s.service.get(m)) for m in ATTRIBUTE_METRICS]
            rows.append((s.name, *figures, number(s.metric, s.floor), cell(s.ceiling)))
    headers = ("Attribute", *map(capital, ATTRIBUTE_METRICS), "Majority", "Ceiling")
    return Table(headers, tuple(rows))


def doubled(found: Sequence[Mapping[str, Any]]) -> Table:
    """What attackers gain from twice the training, as notes.json holds it."""
    rows = []
    for d in found:
        once, twice = (number(d["metric"], d[budget]) for budget in ("once", "twice"))
        rows.append((d["subject"], d["attack"], METRICS[d["metric"]], once, twice))
    headers = ("Subject", "Attacker", "Metric", "Training once", "Training twice")
    return Table(headers, tuple(rows), grouped=True)


def wire(comparison: Comparison) -> Table:
    """What one picture costs on the device under each defence: bits to send, beside the raw 8-bit
    picture, and multiply-accumulates (MACs).
    """
    rows = []
    for configuration in comparison.configurations:
        card = configuration.runs[0].card
        bits, raw = int(card["wire_bits"]), card.get("picture_bits")
        shape = " × ".join(map(str, card["features"]))
        relative = ratio(bits / raw) if raw else DASH
        macs = f"{card['macs'] / 1e6:,.1f} million" if card.get("macs") else DASH
        rows.append((configuration.label, shape, f"{bits:,}", size(bits), relative, macs))
    headers = ("Defence", "Features", "Bits a picture", "Size", "Times the raw picture", "MACs")
    return Table(headers, tuple(rows))


def size(bits: int) -> str:
    """Bits in bytes or KiB."""
    size = math.ceil(bits / 8)
    if size < 4096:
        return f"{size:,} byte{'s' if size > 1 else ''}"
    return f"{size / 1024:,.1f} KiB"


def ratio(times: float) -> str:
    """A factor: 2.67, or 1/12,288 where it is small."""
    return f"{times:.2f}" if times >= 0.1 else f"1/{1 / times:,.0f}"


def as_markdown(table: Table) -> str:
    """``table`` as a Markdown pipe table, a newline at its end."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(c.replace("|", "\\|").replace("\n", " ") for c in cells) + " |\n"

    ruler = "|" + " --- |" * len(table.headers) + "\n"
    return line(table.headers) + ruler + "".join(map(line, table.rows))


def differences(found: Sequence[Contrast]) -> Table:
    """Means of defences over their seeds, then differences of two defences, for each figure."""
    rows = list[tuple[str, ...]]()
    for c in sorted(found, key=lambda c: (c.subject, c.metric)):
        about = f"{c.subject}: {METRICS[c.metric]}"
        seeds = " and ".join(map(str, dict.fromkeys(c.seeds)))
        if not c.other:
            rows.append((about, c.one, interval(c.metric, c.value, c.low, c.high), DASH, seeds))
            continue
        ends = " to ".join(signed(c.metric, v) for v in (c.low, c.high))
        p = DASH if c.p_holm is None else "< .001" if c.p_holm < 0.001 else f"{c.p_holm:.3f}"[1:]
        shown = f"{points(c.metric, c.value)} ({ends})"
        rows.append((about, f"{c.one} less {c.other}", shown, p, seeds))
    headers = ("Figure", "Defence", "Mean or difference (95 %)", "p", "Seeds")
    return Table(headers, tuple(rows), grouped=True)
