"""An exhibit as one vector drawing for a paper: its faces, its plots, what the marks mean."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup, escape

from deepobfuscator import picture
from deepobfuscator.paper.render.exhibit import Column, Exhibit
from deepobfuscator.paper.render.figures import LINE, Drawing, Plot, curve_plots, dot_plots

MILLIMETRES = 180 / 760
"""Of one unit: two dot plots abreast are as wide as the two columns of a paper."""

MARGIN, GAP = 8.0, 24.0
FULL = 744.0
"""Width of two dot plots or three drawings of curves with the gaps between them."""

LETTER = 5.7
"""About how wide a letter of the small print is."""

LARGEST_FACE, FACES_HEIGHT = 104.0, 520.0
"""Limits to the width of one picture and the height of a grid of them."""

MARKS = {
    "fresh": "strongest attacker trained afresh, 95 % interval",
    "service": "the service, 95 % interval",
    "in_game": "the game’s own adversary",
    "published": "published",
    "majority": "majority class or mean face",
    "label_only": "public labels alone",
    "ceiling": "undefended encoder",
    "game": "Algorithm 1 begins",
    "cut": "beyond the axis",
}
"""What each mark of a plot means."""

STYLE = (Path(__file__).parent / "plate.css").read_text()


def as_svg(exhibit: Exhibit, faces: bool = True) -> str | None:
    """One self-contained SVG for a paper's page, or None where there is nothing to draw.

    ``faces`` says whether to show pictures of people.
    """
    rows = [[_faces(exhibit.faces)]] if faces and exhibit.faces else []
    for plots, abreast in ((dot_plots(exhibit), 2), (curve_plots(exhibit), 3)):
        rows += [plots[i : i + abreast] for i in range(0, len(plots), abreast)]
    if not rows:
        return None
    width = max(sum(p.width for p in row) + GAP * (len(row) - 1) for row in rows)
    drawn, y = [], MARGIN
    for row in [*rows, *_legend_rows(exhibit, width)]:
        x = MARGIN
        for plot in row:
            drawn.append(_placed(plot, x, y))
            x += plot.width + GAP
        y += max(p.height for p in row) + (GAP / 2 if row[0].height > LINE * 2 else 0)
    return _document(exhibit.title, width + 2 * MARGIN, y + MARGIN, drawn)


def legend(exhibit: Exhibit) -> list[tuple[Markup, str]]:
    """A small drawing of every mark that ``exhibit`` uses, and what it means."""
    rows, fields = exhibit.rows, ("in_game", "published", "majority", "label_only", "ceiling")
    there = {name: any(getattr(x, name) is not None for x in rows) for name in fields} | {
        "fresh": any(x.fresh is not None and not x.service for x in rows),
        "service": any(x.fresh is not None and x.service for x in rows),
        "game": bool(exhibit.curves),
        "cut": any(plot.cut for plot in curve_plots(exhibit)),
    }
    return [(_sample(mark), words) for mark, words in MARKS.items() if there[mark]]


def _sample(mark: str) -> Markup:
    sheet = Drawing(26, 16, "")
    if mark in ("fresh", "service"):
        hue = "hue1" if mark == "fresh" else "hue0"
        sheet.line(6, 8, 20, 8, f"interval box {hue}")
        sheet.dot(13, 8, 3.6, f"dot fresh {hue}")
    elif mark == "in_game":
        sheet.dot(13, 8, 5.2, "ring hue1")
    elif mark == "published":
        sheet.diamond(13, 8, 6, "published")
    elif mark == "majority":
        sheet.rect(2, 2, 24, 14, "floor")
    elif mark == "cut":
        sheet.curve([(9, 11), (13, 4), (17, 11)], "cut loss0")
    else:
        kind = {"label_only": "label-only", "game": "phase"}.get(mark, mark)
        sheet.line(13, 1, 13, 15, kind)
    return sheet.markup()


def _legend_rows(exhibit: Exhibit, width: float) -> list[list[Plot]]:
    rows: list[list[Plot]] = []
    room = 0.0
    for sample, words in legend(exhibit):
        needed = 32 + LETTER * len(words)
        if not rows or needed > room:
            rows.append([])
            room = width
        sheet = Drawing(needed, 18, words)
        sheet.text(32, 12, words)
        drawn = str(sheet.markup()).removesuffix("</svg>")
        drawn += _placed(Plot(26, 16, sample), 0, 0) + "</svg>"
        rows[-1].append(Plot(needed, 18, Markup(drawn)))
        room -= needed + GAP
    return rows


def _faces(columns: Sequence[Column]) -> Plot:
    """A grid, a column of pictures under each heading, a person a row."""
    people, height, width, _ = columns[0].pictures.shape
    across = min(LARGEST_FACE, (FULL - 6 * (len(columns) - 1)) / len(columns))
    across = max(min(across, FACES_HEIGHT / people * width / height), 40)
    down, pitch = across * height / width, max(across, 76) + 6
    headings = [
        (
            textwrap.wrap(c.heading, int(pitch / LETTER / 1.08)),
            textwrap.wrap(c.note, int(pitch / LETTER)),
        )
        for c in columns
    ]
    top = LINE * max(len(bold) + len(light) for bold, light in headings) + 6
    sheet = Drawing(pitch * len(columns), top + people * (down + 6), "faces")
    for i, (column, (bold, light)) in enumerate(zip(columns, headings, strict=True)):
        for j, words in enumerate([*bold, *light], 1):
            sheet.text(i * pitch, LINE * j, words, "name" if j <= len(bold) else "")
        for j, pixels in enumerate(column.pictures):
            sheet.image(i * pitch, top + j * (down + 6), across, down, picture(pixels))
    return Plot(pitch * len(columns), top + people * (down + 6), sheet.markup())


def _placed(plot: Plot, x: float, y: float) -> str:
    where = f'x="{x:g}" y="{y:g}" width="{plot.width:g}" height="{plot.height:g}"'
    return str(plot.markup).replace("<svg ", f"<svg {where} ", 1)


def _document(title: str, width: float, height: float, content: Sequence[str]) -> str:
    size = f'width="{width * MILLIMETRES:.1f}mm" height="{height * MILLIMETRES:.1f}mm"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {width:g} {height:g}" '
        f'role="img">\n<title>{escape(title)}</title>\n<style>\n{STYLE}</style>\n'
        '<rect width="100%" height="100%" fill="#fff"/>\n'
    ) + "\n".join([*content, "</svg>\n"])
