"""Differences between the defences of a comparison, over seeds and over people."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from pathlib import Path

from deepobfuscator.auditing.headlines import headlines
from deepobfuscator.auditing.run import noted
from deepobfuscator.core.errors import InputError
from deepobfuscator.core.files import sha256, write_atomic
from deepobfuscator.core.records import read_jsonl
from deepobfuscator.experiments.comparison import folder_name
from deepobfuscator.experiments.runner import Runner, RunSpec
from deepobfuscator.metrics.methods import over_seeds
from deepobfuscator.metrics.sample import Sample, holm

FILE, RECORDS = "contrasts.json", "records.jsonl"
"""File names: beside the run folders of a comparison, and in each of them."""

Figures = Mapping[tuple[str, str], Sample]
"""The figures of one run, by subject and metric."""


@dataclass(frozen=True)
class Contrast:
    """A figure of a defence, the mean over its seeds; or the difference of two such means."""

    subject: str
    metric: str
    """balanced_accuracy of the service or of the headline attacker, within_labels, ms_ssim, auc."""
    one: str
    """A defence with its non-default fields."""
    other: str
    """Another defence, whose mean is subtracted; empty for the mean itself."""
    value: float
    low: float
    """Lower end of the 95 % interval over seeds and people."""
    high: float
    p_holm: float | None
    """Two-sided p-value of no difference, Holm-adjusted (1979) over the pairs of this figure."""
    seeds: tuple[int, ...]
    """Number of seeds of each defence."""


def update(runner: Runner, folder: Path, specs: Sequence[RunSpec]) -> None:
    """Write means and differences of the defences with at least two seeds to the folder of their
    comparison, unless those there are of the same records. No attacker is trained.

    Raises:
        InputError: a run that is not trained, or whose audit is incomplete.
    """
    folders = dict[str, list[Path]]()
    for spec in {spec.folder: spec for spec in specs}.values():
        folders.setdefault(folder_name(spec.trial.defence), []).append(spec.folder)
    several = {name: some for name, some in folders.items() if len(some) > 1}
    of = {run.name: sha256(run / RECORDS) for some in several.values() for run in some}
    path = folder / FILE
    with suppress(OSError, ValueError, TypeError, KeyError):
        if json.loads(path.read_text())["of"] == of:
            return
    found = compared(
        {name: [figures_of(runner, run) for run in some] for name, some in several.items()}
    )
    held = {"of": of, "contrasts": [asdict(contrast) for contrast in found]}
    write_atomic(path, f"{json.dumps(held, indent=1)}\n")


def figures_of(runner: Runner, folder: Path) -> Figures:
    """The figures of one audited run.

    Raises:
        InputError: as `update`.
    """
    if (known := noted(folder)) is None:
        raise InputError(f"{folder} is not audited to the end: audit it")
    audit = replace(runner.opened(folder), config=known[0])
    return headlines(audit, read_jsonl(folder / RECORDS))


def compared(figures: Mapping[str, Sequence[Figures]]) -> list[Contrast]:
    """The same from figures by defence, one mapping per seed."""
    keys = dict.fromkeys(key for runs in figures.values() for run in runs for key in run)
    found = list[Contrast]()
    for subject, metric in keys:
        held = {
            name: [run[subject, metric] for run in runs]
            for name, runs in figures.items()
            if all((subject, metric) in run for run in runs)
        }
        for name, samples in held.items():
            mean = over_seeds(samples)
            ends = mean.value, mean.low, mean.high
            found.append(Contrast(subject, metric, name, "", *ends, None, (len(samples),)))
        pairs = [(a, b, over_seeds(held[a], held[b])) for a, b in combinations(held, 2)]
        for (a, b, gap), p in zip(pairs, holm([gap.p for *_, gap in pairs]), strict=True):
            seeds = len(held[a]), len(held[b])
            found.append(Contrast(subject, metric, a, b, gap.value, gap.low, gap.high, p, seeds))
    return found


def read(folder: Path) -> list[Contrast]:
    """The contrasts that `update` wrote; empty if there is no file.

    Raises:
        InputError: the file is not readable.
    """
    path = folder / FILE
    if not path.exists():
        return []
    try:
        held = json.loads(path.read_text())["contrasts"]
        return [Contrast(**{**one, "seeds": tuple(one["seeds"])}) for one in held]
    except (ValueError, TypeError, KeyError):
        raise InputError(f"{path}: not readable: run compare again to rewrite it") from None
