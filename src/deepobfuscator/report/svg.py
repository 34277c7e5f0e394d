"""A sheet of inline SVG: positions in CSS pixels, looks left to the page's style sheet."""

from collections.abc import Sequence

from markupsafe import Markup, escape


class Sheet:
    """Shapes in the order they are drawn; (0, 0) is the upper left corner.

    ``kind`` is the CSS class of a shape and ``tip`` what a pointer resting on it is told.
    """

    def __init__(self, width: float, height: float, title: str) -> None:
        self._parts = [
            Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">').format(
                _px(width), _px(height), title
            )
        ]

    def rect(self, x0: float, y0: float, x1: float, y1: float, kind: str) -> None:
        """A rectangle between two corners."""
        self._add(
            Markup('<rect x="{}" y="{}" width="{}" height="{}" class="{}"/>'),
            *map(_px, (x0, y0, x1 - x0, y1 - y0)),
            kind,
        )

    def line(self, x0: float, y0: float, x1: float, y1: float, kind: str) -> None:
        """A straight line."""
        self._add(
            Markup('<line x1="{}" y1="{}" x2="{}" y2="{}" class="{}"/>'),
            *map(_px, (x0, y0, x1, y1)),
            kind,
        )

    def dot(self, x: float, y: float, radius: float, kind: str, tip: str = "") -> None:
        """A circle."""
        self._add(
            Markup('<circle cx="{}" cy="{}" r="{}" class="{}"><title>{}</title></circle>'),
            *map(_px, (x, y, radius)),
            kind,
            tip,
        )

    def row_name(self, x: float, y: float, words: str, longest: int, kind: str = "") -> None:
        """A name cut to ``longest`` characters; the whole of it is told to a resting pointer."""
        short = words if len(words) <= longest else words[: longest - 1] + "…"
        form = Markup('<text x="{}" y="{}" class="{}">{}<title>{}</title></text>')
        self._add(form, _px(x), _px(y), kind, short, words)

    def curve(self, points: Sequence[tuple[float, float]], kind: str) -> None:
        """Points joined by straight lines."""
        path = " ".join(f"{_px(x)},{_px(y)}" for x, y in points)
        self._add(Markup('<polyline points="{}" class="{}"/>'), path, kind)

    def text(self, x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> None:
        """One line of text on the baseline ``y``; ``anchor`` is start, middle or end."""
        self._add(
            Markup('<text x="{}" y="{}" class="{}" text-anchor="{}">{}</text>'),
            _px(x),
            _px(y),
            kind,
            anchor,
            words,
        )

    def markup(self) -> Markup:
        """The finished element."""
        return Markup("").join([*self._parts, Markup("</svg>")])

    def _add(self, form: Markup, *values: str) -> None:
        self._parts.append(form.format(*map(escape, values)))


def _px(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
