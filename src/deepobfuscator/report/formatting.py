"""How figures are written: numbers, intervals, differences, names of metrics, lists of names."""

from collections.abc import Sequence

from deepobfuscator.core.records import PERCEPTUAL, WITHIN, WITHIN_AUC, Record, headline_metric
from deepobfuscator.metrics.attributes import ATTRIBUTE_METRICS

METRICS = {metric.name: metric.title for metric in ATTRIBUTE_METRICS.values()} | {
    "ms_ssim": "MS-SSIM",
    "ssim": "SSIM",
    "psnr": "PSNR",
    PERCEPTUAL: "perceptual distance (not LPIPS)",
    "ms_ssim_worst": "MS-SSIM, most exposed 5 %",
    "eer": "equal error rate",
    "rank1": "rank-1 identification",
    "four_way": "right choices of four",
    "excess": "above the label-only floor",
    WITHIN: "balanced accuracy among equal public labels",
    WITHIN_AUC: "AUC among equal public labels",
}
"""How each metric is called on the page."""

PERCENT = (
    *(metric.name for metric in ATTRIBUTE_METRICS.values() if metric.percent),
    *("eer", "rank1", "four_way", WITHIN),
)
"""Metrics that are written in per cent."""

DASH = "–"
"""What stands where there is no figure."""


def capital(metric: str) -> str:
    """A metric's name at the head of a column."""
    return METRICS[metric][0].upper() + METRICS[metric][1:]


def value_of(record: Record | None) -> float | None:
    """The value of a figure, where there is one."""
    return None if record is None else record.value


def mean(values: Sequence[float | None]) -> float | None:
    """The mean over seeds; None where a seed has no figure."""
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def number(metric: str, value: float | None) -> str:
    """A figure as a table holds it: 59.2 (per cent), .312, 22.1 dB; a dash for None."""
    if value is None:
        return DASH
    if metric in PERCENT:
        return f"{100 * value:.1f}".replace("-", "−")
    if metric == "psnr":
        return f"{value:.1f} dB"
    return f"{value:.3f}".replace("-", "−").replace("0.", ".", 1)


def with_unit(metric: str, value: float | None) -> str:
    """A figure as a sentence holds it: 59.2 % with a space that does not break, .312, 22.1 dB."""
    return number(metric, value) + "\N{NO-BREAK SPACE}%" * (metric in PERCENT)


def span(metric: str, low: float, high: float) -> str:
    """The ends of an interval: 56.8–61.6, or −.012 to .023 where one is below 0."""
    ends = [number(metric, v).removesuffix(" dB") for v in (low, high)]
    return ("–" if low >= 0 else " to ").join(ends)


def interval(metric: str, value: float, low: float, high: float) -> str:
    """A figure and its interval as a table holds them: 59.2 (56.8–61.6)."""
    return f"{number(metric, value)} ({span(metric, low, high)})"


def cell(r: Record | None) -> str:
    """`interval` of a record; a dash for None."""
    return DASH if r is None else interval(r.metric, r.value, r.low, r.high)


def figure_text(r: Record) -> str:
    """A figure and its interval as a sentence holds them: 79.3 % (78.2–80.4)."""
    return f"{with_unit(r.metric, r.value)} ({span(r.metric, r.low, r.high)})"


def signed(metric: str, value: float) -> str:
    """A difference of figures of ``metric``: +24.2, −.012."""
    return ("−" if value < 0 else "+") + number(metric, abs(value))


def percent(share: float) -> str:
    """A share in whole per cent: 7 %, never broken at the end of a line."""
    return f"{100 * share:.0f}\N{NO-BREAK SPACE}%"


def points(metric: str, value: float) -> str:
    """A difference with its unit: +24.2 points, −.012."""
    return signed(metric, value) + " points" * (metric in PERCENT)


def signed_span(excess: Record) -> str:
    """The ends of a difference's interval: +22.1 to +26.3."""
    metric = headline_metric(excess.subject)
    return f"{signed(metric, excess.low)} to {signed(metric, excess.high)}"


def excess_text(excess: Record) -> str:
    """A difference with its unit and interval: +24.2 points (+22.1 to +26.3)."""
    shown = points(headline_metric(excess.subject), excess.value)
    return f"{shown} ({signed_span(excess)})"


def listed(names: Sequence[str], last: str = "and") -> str:
    """Names in a sentence: a, b and c."""
    return f" {last} ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
