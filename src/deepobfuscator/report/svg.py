"""Sheets of inline SVG and their axes: positions in CSS pixels, looks left to the style sheet."""

import base64
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from deepobfuscator.report.formatting import PERCENT


class Sheet:
    """Shapes in the order they are drawn; (0, 0) is the upper left corner.

    ``kind`` is the CSS class of a shape and ``tip`` what a pointer resting on it is told.
    """

    def __init__(self, width: float, height: float, title: str) -> None:
        self._parts: list[Markup] = []
        form = Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">')
        self._add(form, _px(width), _px(height), title)

    def rect(self, x0: float, y0: float, x1: float, y1: float, kind: str) -> None:
        """A rectangle between two corners."""
        form = Markup('<rect x="{}" y="{}" width="{}" height="{}" class="{}"/>')
        self._add(form, *map(_px, (x0, y0, x1 - x0, y1 - y0)), kind)

    def line(self, x0: float, y0: float, x1: float, y1: float, kind: str) -> None:
        """A straight line."""
        form = Markup('<line x1="{}" y1="{}" x2="{}" y2="{}" class="{}"/>')
        self._add(form, *map(_px, (x0, y0, x1, y1)), kind)

    def dot(self, x: float, y: float, radius: float, kind: str, tip: str = "") -> None:
        """A circle."""
        form = Markup('<circle cx="{}" cy="{}" r="{}" class="{}"><title>{}</title></circle>')
        self._add(form, *map(_px, (x, y, radius)), kind, tip)

    def row_name(self, x: float, y: float, words: str, longest: int, kind: str = "") -> None:
        """A name cut to ``longest`` characters; the whole of it is told to a resting pointer."""
        short = words if len(words) <= longest else words[: longest - 1] + "…"
        form = Markup('<text x="{}" y="{}" class="{}">{}<title>{}</title></text>')
        self._add(form, *map(_px, (x, y)), kind, short, words)

    def curve(self, points: Sequence[tuple[float, float]], kind: str) -> None:
        """Points joined by straight lines."""
        path = " ".join(f"{_px(x)},{_px(y)}" for x, y in points)
        self._add(Markup('<polyline points="{}" class="{}"/>'), path, kind)

    def text(self, x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> None:
        """One line of text on the baseline ``y``; ``anchor`` is start, middle or end."""
        form = Markup('<text x="{}" y="{}" class="{}" text-anchor="{}">{}</text>')
        self._add(form, *map(_px, (x, y)), kind, anchor, words)

    def markup(self) -> Markup:
        """The finished element."""
        return Markup("").join([*self._parts, Markup("</svg>")])

    def _add(self, form: Markup, *values: str) -> None:
        self._parts.append(form.format(*values))


def _px(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


@dataclass(frozen=True)
class Axis:
    """Places figures between two ends; what lies beyond is placed at the end."""

    low: float
    """The figure at ``start``."""
    high: float
    """The figure at ``end``."""
    start: float
    """Position in pixels."""
    end: float
    """Position in pixels, on either side of ``start``."""
    ticks: Sequence[float] = ()

    @classmethod
    def of(cls, metric: str, shown: Iterable[float | None], start: float, end: float) -> "Axis":
        """An axis that shows figures of ``metric``, where there are any, and ends at 1."""
        low, high, ticks = scale(metric, [value for value in shown if value is not None])
        return cls(low, high, start, end, ticks)

    def __call__(self, value: float) -> float:
        """The position of ``value``."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def rule(self, sheet: Sheet, metric: str, top: float, bottom: float) -> None:
        """Draw the ticks of a horizontal axis, labels beneath."""
        for tick in self.ticks:
            sheet.line(self(tick), top, self(tick), bottom, "grid")
            sheet.text(self(tick), bottom + 15, tick_label(metric, tick), "tick", "middle")


def scale(metric: str, shown: Sequence[float]) -> tuple[float, float, list[float]]:
    """Ends and ticks of an axis that shows figures of ``metric`` and ends at 1."""
    from_half = metric in (*PERCENT, "auc")
    step = 0.1 if from_half else 0.2
    start = min(min(shown) - 0.02, 0.5) if from_half else min([*shown, 0.0])
    first = math.floor(start / step + 1e-9)
    return first * step, 1.0, [i * step for i in range(first, round(1 / step) + 1)]


def tick_label(metric: str, tick: float) -> str:
    """A round figure of ``metric`` as an axis bears it: 60, .4, 0."""
    short = f"{100 * tick:.0f}" if metric in PERCENT else f"{tick:.1f}".lstrip("0")
    return "0" if short in (".0", "-.0") else short.replace("-", "−")


def picture(pixels: NDArray[np.uint8]) -> str:
    """A ``data:`` address of one (H, W, 3) picture in 0..255."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
