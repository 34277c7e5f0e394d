"""Tables of records, the same for the page, the terminal and Markdown."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from deepobfuscator.auditing.leakage import best
from deepobfuscator.core.records import (
    LABEL_ONLY,
    MAJORITY,
    MEAN_FACE,
    Record,
    group,
    select,
)
from deepobfuscator.report.formatting import (
    METRICS,
    Reading,
    Subject,
    mean,
    number,
    read,
    subjects,
    value_of,
    with_interval,
)
from deepobfuscator.report.runs import Comparison, Configuration, RunResult, compare


@dataclass(frozen=True)
class Table:
    """Headers and rows of text, all rows as long as the headers."""

    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


RESULT_HEADERS = (
    "Subject",
    "Defence",
    "Seed",
    "In the game",
    "Measured",
    "By",
    "Maximum",
    "Majority",
    "Label-only",
    "Ceiling",
)


def utility_and_leakage(runs: Sequence[RunResult]) -> Table:
    """The service and the headline attackers of finished runs beside their floors and ceilings.

    The service is measured by accuracy, attackers by balanced accuracy and images by MS-SSIM.
    Several seeds of one configuration make a row of means (with the range over the seeds in
    brackets) and a row each. Figures are per cent but for MS-SSIM; those with an interval are
    written 59.2 (56.8–61.6).
    """
    comparisons = compare(runs)
    rows = [
        ((comparison.distinction,) if len(comparisons) > 1 else ()) + row
        for comparison in comparisons
        for row in results(comparison).rows
    ]
    lead = ("TrainConfig",) if len(comparisons) > 1 else ()
    return Table(lead + RESULT_HEADERS, tuple(rows))


def results(comparison: Comparison) -> Table:
    """`utility_and_leakage` of one comparison."""
    rows: list[tuple[str, ...]] = []
    for subject in subjects(comparison):
        for configuration in comparison.configurations:
            found = [read(comparison, run, subject) for run in configuration.runs]
            readings = [r for r in found if r is not None]
            lead = (subject.name, configuration.label)
            if len(readings) > 1:
                rows.append((*lead, f"mean of {len(readings)}", *_mean_cells(subject, readings)))
            rows += [(*lead, str(r.run.seed), *_cells(subject, r)) for r in readings]
    return Table(RESULT_HEADERS, tuple(rows))


def heading(subject: Subject) -> str:
    """A subject, what it is in the task and how it is measured."""
    name = "Faces rebuilt" if subject.role == "image" else f"{subject.name} ({subject.role})"
    return f"{name}, {METRICS[subject.metric]}"


def _cells(subject: Subject, reading: Reading) -> tuple[str, ...]:
    def value(record: Record | None) -> str:
        return number(subject.metric, value_of(record))

    return (
        value(reading.in_game),
        with_interval(reading.result),
        reading.result.attack,
        value(reading.maximum),
        value(reading.floors.get(MAJORITY) or reading.floors.get(MEAN_FACE)),
        value(reading.floors.get(LABEL_ONLY)),
        value(reading.ceiling),
    )


def _mean_cells(subject: Subject, readings: Sequence[Reading]) -> tuple[str, ...]:
    def value(records: Sequence[Record | None]) -> str:
        return number(subject.metric, mean([value_of(r) for r in records]))

    results = [r.result for r in readings]
    low, high = min(r.value for r in results), max(r.value for r in results)
    attacks = sorted({r.attack for r in results})
    return (
        value([r.in_game for r in readings]),
        f"{value(results)} [{number(subject.metric, low)}–{number(subject.metric, high)}]",
        attacks[0] if len(attacks) == 1 else f"{len(attacks)} attackers",
        value([r.maximum for r in readings]),
        value([r.floors.get(MAJORITY) or r.floors.get(MEAN_FACE) for r in readings]),
        value([r.floors.get(LABEL_ONLY) for r in readings]),
        value([r.ceiling for r in readings]),
    )


def attribute_attacks(comparison: Comparison) -> Table:
    """Every test figure on every attribute, references included."""
    wanted = [s for s in subjects(comparison) if s.role != "image"]
    return _every(comparison, wanted, ("balanced_accuracy", "accuracy", "auc"))


def image_attacks(comparison: Comparison) -> Table:
    """Every test figure on reconstructed images, references included."""
    wanted = [s for s in subjects(comparison) if s.role == "image"]
    return _every(comparison, wanted, ("ms_ssim", "ssim", "psnr"))


def _every(comparison: Comparison, wanted: Sequence[Subject], metrics: tuple[str, ...]) -> Table:
    named = [METRICS[m][0].upper() + METRICS[m][1:] for m in metrics]
    headers = ("Subject", "Defence", "Seed", "By", *named, "On own validation", "Detail")
    rows: list[tuple[str, ...]] = []
    for subject in wanted:
        for configuration in comparison.configurations:
            for run in configuration.runs:
                rows += _every_of_run(configuration, run, subject, metrics)
    return Table(headers, tuple(rows))


def _every_of_run(
    configuration: Configuration, run: RunResult, subject: Subject, metrics: tuple[str, ...]
) -> list[tuple[str, ...]]:
    about = select(run.records, subject=subject.name)
    first = best(about, subject.name, metrics[0])
    chosen = (first.attack, "") if first else None
    rows = []
    for (attack, given), found in group(about, lambda r: (r.attack, r.given)).items():
        test = {r.metric: r for r in found if r.split == "test"}
        own = next((r for r in found if (r.split, r.metric) == ("validation", metrics[0])), None)
        details = dict.fromkeys(r.detail for r in found if r.detail and r.split == "test")
        if test:
            rows.append(
                (
                    subject.name,
                    configuration.label,
                    str(run.seed),
                    attack + " (headline)" * ((attack, given) == chosen) + _given(given),
                    *(with_interval(test.get(m)) for m in metrics),
                    number(metrics[0], value_of(own)),
                    "; ".join(details),
                )
            )
    return rows


def _given(given: str) -> str:
    return f", given {given}" if given else ""


def wire(comparison: Comparison) -> Table:
    """What one picture costs on the wire under each defence, beside the raw 8-bit picture."""
    rows = []
    for configuration in comparison.configurations:
        card = configuration.runs[0].card
        bits, raw = int(card["wire_bits"]), card.get("picture_bits")
        shape = " × ".join(map(str, card["features"]))
        relative = ratio(bits / raw) if raw else "–"
        rows.append((configuration.label, shape, f"{bits:,}", size(bits), relative))
    headers = ("Defence", "Features", "Bits a picture", "Size", "Times the raw picture")
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
