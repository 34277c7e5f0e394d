"""What was measured of one subject in one run, and how such figures are written."""

from collections.abc import Sequence
from dataclasses import dataclass

from deepobfuscator.auditing.leakage import Evidence, best, evidence, one
from deepobfuscator.core.records import (
    CEILING,
    FLOORS,
    IMAGE,
    IN_GAME,
    MAXIMUM,
    SERVICE,
    Record,
    select,
)
from deepobfuscator.report.runs import Comparison, RunResult

METRICS = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "auc": "AUC",
    "ms_ssim": "MS-SSIM",
    "ssim": "SSIM",
    "psnr": "PSNR",
    "ms_ssim_worst": "MS-SSIM, most exposed 5 %",
    "mcc": "MCC",
    "eer": "equal error rate",
    "rank1": "rank-1 identification",
    "four_way": "right choices of four",
    "excess": "above the label-only floor",
}
"""How each metric is called on the page."""

PERCENT = ("accuracy", "balanced_accuracy", "eer", "rank1", "four_way")


@dataclass(frozen=True)
class Subject:
    """Something that is read from the features, and the metric that comes first for it."""

    name: str
    """An attribute, or ``image``."""
    role: str
    """``public``, ``private`` or ``image``."""

    @property
    def metric(self) -> str:
        """Accuracy for the service, balanced accuracy for its attackers, MS-SSIM for images."""
        return {"public": "accuracy", "private": "balanced_accuracy", "image": "ms_ssim"}[self.role]


@dataclass(frozen=True)
class Reading:
    """One subject in one run: the figure that counts and all that it must be seen beside."""

    run: RunResult
    """The run."""
    result: Record
    """The service's figure on a public attribute, else the headline fresh attacker's."""
    in_game: Record | None
    """The game's own adversary at the end of training."""
    maximum: Record | None
    """The highest of the fresh attackers on test, with its simultaneous interval."""
    floors: dict[str, Record]
    """Floors by name."""
    ceiling: Record | None
    """The same figure of the undefended encoder."""
    evidence: Evidence
    """What decides whether it leaks."""

    @property
    def floor(self) -> float | None:
        """The highest floor."""
        known = [r.value for r in self.floors.values()]
        return max(
            [*known, *([] if self.result.floor is None else [self.result.floor])], default=None
        )


def subjects(comparison: Comparison) -> list[Subject]:
    """Public attributes, private attributes, and the image where any run has a figure of it."""
    found = [Subject(name, "public") for name in comparison.first.public]
    found += [Subject(name, "private") for name in comparison.first.private]
    image = Subject(IMAGE, "image")
    if any(read(comparison, run, image) for run in comparison.runs):
        found.append(image)
    return found


def read(comparison: Comparison, run: RunResult, subject: Subject) -> Reading | None:
    """What ``run`` says of ``subject``; None where it says nothing."""
    result = _result(run, subject)
    if result is None:
        return None
    wanted = {"subject": subject.name, "metric": subject.metric, "given": ""}
    of_test = select(run.records, split="test", **wanted)
    by_attack = {r.attack: r for r in of_test}
    undefended = comparison.undefended(run.seed)
    beside = None if undefended is None else _result(undefended, subject)
    attacked = subject.role != "public"
    return Reading(
        run=run,
        result=result,
        in_game=by_attack.get(IN_GAME) if attacked else None,
        maximum=by_attack.get(MAXIMUM) if attacked else None,
        floors={name: by_attack[name] for name in FLOORS if name in by_attack},
        ceiling=by_attack.get(CEILING, beside),
        evidence=evidence(
            run.records,
            subject.name,
            raw_ceiling=run.notes.get("ceiling") == "raw",
            undefended=() if undefended is None else undefended.records,
        ),
    )


def _result(run: RunResult, subject: Subject) -> Record | None:
    if subject.role == "public":
        return one(run.records, attack=SERVICE, subject=subject.name, metric=subject.metric)
    return best(run.records, subject.name, subject.metric)


def value_of(record: Record | None) -> float | None:
    """The figure of a record, where there is one."""
    return None if record is None else record.value


def mean(values: Sequence[float | None]) -> float | None:
    """The mean over seeds; None where a seed has no figure."""
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def number(metric: str, value: float | None) -> str:
    """A figure as the page writes it: 59.2 (per cent), .312, 22.1 dB; a dash for None."""
    if value is None:
        return "–"
    if metric in PERCENT:
        return f"{100 * value:.1f}".replace("-", "−")
    if metric == "psnr":
        return f"{value:.1f} dB"
    return f"{value:.3f}".replace("-", "−").replace("0.", ".", 1)


def with_interval(record: Record | None) -> str:
    """A figure and its interval: 59.2 (56.8–61.6)."""
    if record is None:
        return "–"
    return interval(record.metric, record.value, record.low, record.high)


def interval(metric: str, value: float, low: float, high: float) -> str:
    """A figure and its interval in the units of ``metric``."""
    ends = [number(metric, v).removesuffix(" dB") for v in (low, high)]
    return f"{number(metric, value)} ({('–' if low >= 0 else ' to ').join(ends)})"


def difference(metric: str, value: float, low: float, high: float) -> str:
    """A difference of figures of ``metric``: +24.2 points (+22.1 to +26.3), −.012 (…)."""
    shown, *ends = (_signed(metric, v) for v in (value, low, high))
    return f"{shown}{' points' * (metric in PERCENT)} ({' to '.join(ends)})"


def _signed(metric: str, value: float) -> str:
    sign = "−" if value < 0 else "+"
    return sign + number(metric, abs(value))


def listed(names: Sequence[str], last: str = "and") -> str:
    """Names in a sentence: a, b and c."""
    return f" {last} ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
