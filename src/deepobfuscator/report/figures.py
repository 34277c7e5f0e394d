"""Figures by matplotlib: inline SVG for pages, SVG and PDF files for papers.

Everything is placed in pixels of a page, (0, 0) the upper left corner. Colours are names of
`COLOURS`: a page writes them as CSS variables, so that its style sheet decides, dark mode included.
"""

import base64
import io
import math
import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import escape
from numpy.typing import NDArray
from PIL import Image

from deepobfuscator.report.formatting import PERCENT

if TYPE_CHECKING:  # loaded with the first figure: commands that draw none start without it
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure
    from matplotlib.transforms import Affine2D

COLOURS = {
    "ink": "#1b1d21",
    "soft": "#585e69",
    "line": "#dfe1e5",
    "plain": "#596069",
    "alarm": "#b3430a",
    "calm": "#0b6aa1",
    "hue0": "#0b6aa2",
    "hue1": "#6a51a3",
    "hue2": "#00705a",
    "hue3": "#a03a76",
    "hue4": "#7d5c00",
    "hue5": "#4a6170",
    "hue6": "#8f3f3f",
}
"""By their names in the style sheet; text in each of them meets WCAG AA on paper."""

MARKS = "oDs^vPX"
"""Marker shapes of the hues, for readers who cannot distinguish the colours."""

LINES: tuple[Any, ...] = ("-", (0, (6, 2)), (0, (2, 1.5)), (0, (6, 2, 1.5, 2)), "-", (0, (1, 1)))
"""Dashes of several curves in one plot."""

FONT = 12.5
"""Size of text in pixels."""

PIXELS = 72.0
"""Of an SVG's units in an inch, by matplotlib's rule."""

FONTS: dict[Any, Any] = {"svg.fonttype": "none", "pdf.fonttype": 42}

PAPER_FONTS = "Helvetica, Arial, 'Liberation Sans', sans-serif"


@dataclass(frozen=True)
class Canvas:
    """Part of a figure whose units are pixels, y downwards. Without matplotlib's axes, which take
    most of the time and would draw nothing that is wanted here.
    """

    figure: "Figure"
    at: "Affine2D"
    """From pixels of the part to those of the figure, y upwards."""

    @classmethod
    def on(cls, figure: "Figure", x: float = 0.0, y: float = 0.0) -> "Canvas":
        """The part whose upper left corner is ``x`` to the right and ``y`` below the figure's."""
        from matplotlib.transforms import Affine2D

        height = float(figure.get_size_inches()[1]) * PIXELS
        return cls(figure, Affine2D().translate(x, y).scale(1, -1).translate(0, height))

    def line(
        self, x: Sequence[float], y: Sequence[float], of: str, width: float = 1.0, **more: Any
    ) -> None:
        """A line through some points, in a colour of `COLOURS`."""
        from matplotlib.lines import Line2D

        look: dict[str, Any] = {"color": COLOURS[of], "linewidth": width, "solid_capstyle": "butt"}
        self._add(Line2D(x, y, **(look | more)))

    def mark(
        self,
        x: float,
        y: float,
        of: str,
        size: float,
        tip: str = "",
        hollow: bool = False,
        shape: str = "",
    ) -> None:
        """A mark in the shape of its colour; ``tip`` is what a pointer resting on it is told."""
        from matplotlib.lines import Line2D

        face = "none" if hollow else COLOURS[of]
        own = MARKS[int(of[3:])] if of.startswith("hue") else "o"
        look: dict[str, Any] = {
            "marker": shape or own,
            "color": COLOURS[of],
            "mfc": face,
            "ms": size,
            "mew": 1.4,
        }
        self._add(Line2D([x], [y], linestyle="none", **look), tip)

    def text(
        self,
        x: float,
        y: float,
        words: str,
        of: str = "soft",
        anchor: str = "left",
        bold: bool = False,
        longest: int = 0,
    ) -> None:
        """A line of text on the baseline ``y``, cut to ``longest`` characters unless that is 0."""
        from matplotlib.text import Text

        short = words if not longest or len(words) <= longest else words[: longest - 1] + "…"
        font: dict[str, Any] = {"size": FONT, "weight": "bold" if bold else "normal"}
        font |= {"color": COLOURS[of], "horizontalalignment": anchor, "parse_math": False}
        drawn = Text(x, y, short, **font)
        self._add(drawn, words if short != words else "")

    def picture(
        self, x: float, y: float, width: float, height: float, pixels: NDArray[Any]
    ) -> None:
        """A picture (H, W, 3) in 0..255."""
        from matplotlib.image import BboxImage
        from matplotlib.transforms import Bbox, TransformedBbox

        box = TransformedBbox(Bbox([(x, y + height), (x + width, y)]), self.at)
        drawn = BboxImage(box, interpolation="none")
        drawn.set_data(pixels)
        self.figure.add_artist(drawn)

    def _add(self, drawn: "Artist", tip: str = "") -> None:
        drawn.set_transform(self.at)
        if tip:
            drawn.set_gid(f"tip:{tip}")
        self.figure.add_artist(drawn)


@dataclass(frozen=True)
class Plot:
    """Something to be drawn, alone or beside others."""

    width: float
    """In pixels."""
    height: float
    title: str
    """What it shows and its figures, for a screen reader."""
    draw: Callable[[Canvas], None]
    """Draws on a canvas of this size."""

    def __html__(self) -> str:
        """An inline ``<svg>``."""
        from matplotlib.figure import Figure

        figure = Figure((self.width / PIXELS, self.height / PIXELS), dpi=PIXELS)
        self.draw(Canvas.on(figure))
        return _inline(figure, self)


def _svg(figure: "Figure", salt: str) -> str:
    import matplotlib

    with (
        matplotlib.rc_context({**FONTS, "svg.hashsalt": salt}),
        io.StringIO() as text,
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", "Glyph .* missing")  # the reader's fonts have more
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(text, format="svg", transparent=True, metadata=nothing)
        return text.getvalue()


def _inline(figure: "Figure", plot: Plot) -> str:
    text = _svg(figure, plot.title)
    text = text[text.index("</defs>") + len("</defs>") :]  # a style that would hold for the page
    text = re.sub(r"<(path|use|rect|text)\b[^>]*>", lambda tag: _rounded(tag[0]), text)
    text = re.sub(r'<g id="tip:([^"]*)">', r"<g><title>\1</title>", text)
    text = re.sub(r'<g id="[^"]*"', "<g", text).replace("xlink:href", "href")
    text = re.sub(r"font-family: [^;\"]*;? ?", "", text)
    text = re.sub(r' transform="rotate\(-?0 [^"]*"', "", text)
    text = re.sub(r"\s*\n\s*", " ", text)
    for name, colour in COLOURS.items():
        text = text.replace(colour, f"var(--{name})")
    size = f'viewBox="0 0 {plot.width:g} {plot.height:g}"'
    return f'<svg {size} role="img" aria-label="{escape(plot.title)}">{text}'


def _rounded(tag: str) -> str:
    return re.sub(r"-?\d+\.\d{2,}", lambda m: f"{float(m[0]):.1f}".removesuffix(".0"), tag)


def save_plots(plots: Sequence[Sequence[Plot]], title: str, gap: float = 24.0) -> tuple[str, bytes]:
    """Rows of plots in one figure for a paper: an SVG document, and a PDF.

    The same plots give the same bytes.
    """
    import matplotlib
    from matplotlib.figure import Figure

    width = max(sum(p.width for p in row) + gap * (len(row) - 1) for row in plots)
    heights = [max(p.height for p in row) for row in plots]
    figure = Figure((width / PIXELS, (sum(heights) + gap * (len(plots) - 1)) / PIXELS), dpi=PIXELS)
    y = 0.0
    for row, height in zip(plots, heights, strict=True):
        x = 0.0
        for plot in row:
            plot.draw(Canvas.on(figure, x, y))
            x += plot.width + gap
        y += height + gap
    text = re.sub(r'<g id="tip:[^"]*"', "<g", _svg(figure, title))
    text = re.sub(r"font-family: [^;\"]*", f"font-family: {PAPER_FONTS}", text)
    text = text.replace("<defs>", f"<title>{escape(title)}</title><defs>", 1)
    with io.BytesIO() as held, matplotlib.rc_context(FONTS), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")
        about = {"Title": title, "CreationDate": None, "Creator": None, "Producer": None}
        figure.savefig(held, format="pdf", metadata=about)
        return text, held.getvalue()


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
        known = [value for value in shown if value is not None]
        from_half = metric in (*PERCENT, "auc")
        step = 0.1 if from_half else 0.2
        lowest = min([v - 0.02 for v in known] + [0.5]) if from_half else min([*known, 0.0])
        first = math.floor(lowest / step + 1e-9)
        ticks = [i * step for i in range(first, round(1 / step) + 1)]
        return cls(first * step, 1.0, start, end, ticks)

    def __call__(self, value: float) -> float:
        """The position of ``value``."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def rule(self, on: Canvas, metric: str, top: float, bottom: float) -> None:
        """Draw the ticks of a horizontal axis, labels beneath."""
        for tick in self.ticks:
            on.line([self(tick)] * 2, [top, bottom], "line")
            on.text(self(tick), bottom + 16, tick_label(metric, tick), anchor="center")

    def reference(
        self, on: Canvas, value: float, top: float, bottom: float, dashed: bool = False
    ) -> None:
        """A vertical line at a floor, dashed at a ceiling."""
        style = (0, (3, 2)) if dashed else "-"
        on.line([self(value)] * 2, [top, bottom], "soft", 1.5, linestyle=style)


def tick_label(metric: str, tick: float) -> str:
    """A round figure of ``metric`` as an axis bears it: 60, .4, 0."""
    short = f"{100 * tick:.0f}" if metric in PERCENT else f"{tick:.1f}".lstrip("0")
    return "0" if short in (".0", "-.0") else short.replace("-", "−")


def round_ticks(low: float, high: float, most: int) -> list[float]:
    """Round figures within the ends of an axis, no more than about ``most``."""
    raw = (high - low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * 0.999)
    return [i * step for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


def picture(pixels: NDArray[np.uint8]) -> str:
    """A ``data:`` address of one (H, W, 3) picture in 0..255."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
