"""An exhibit as files: figures to compute with, a table and a figure for a paper."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from deepobfuscator import write_atomic
from deepobfuscator.paper.render.exhibit import Exhibit, Row
from deepobfuscator.paper.render.figures import as_files
from deepobfuscator.paper.render.latex import as_latex

FIGURES = (".svg", ".pdf")
"""Endings of the files that may show faces."""


def write_exhibit(exhibit: Exhibit, folder: Path, faces: bool = True) -> None:
    """Write NAME.csv, NAME.tex and, where there is something to draw, NAME.svg and NAME.pdf into
    ``folder``.

    Older figures do not outlive an exhibit that has nothing to draw: they may show faces.

    ``faces`` says whether the figure shows pictures of people.

    Raises:
        InputError: the disk is full or ``folder`` cannot be written.
    """
    drawn = as_files(exhibit, faces) or (None, None)
    made = dict(zip(FIGURES, drawn, strict=True))
    made |= {".csv": as_csv(exhibit), ".tex": as_latex(exhibit)}
    for ending, held in made.items():
        path = folder / f"{exhibit.name}{ending}"
        if held is None:
            path.unlink(missing_ok=True)
        else:
            write_atomic(path, held)


def as_csv(exhibit: Exhibit) -> str:
    """One rectangular table of ``exhibit`` in full precision, empty where there is no figure.

    It holds the rows; where there are none, the curves; where there are neither, the tables of
    text, a cell a row (rows count from 1).
    """
    names: tuple[str, ...] = tuple(f.name for f in fields(Row))
    rows: list[Sequence[object]] = [[getattr(row, name) for name in names] for row in exhibit.rows]
    if not rows and exhibit.curves:
        names = ("panel", "name", "batch", "loss")
        rows = [(c.panel, c.name, *point) for c in exhibit.curves for point in c.points]
    elif not rows and exhibit.tables:
        names = ("table", "row", "column", "text")
        rows = [
            (title, i, column, cell)
            for title, table in exhibit.tables
            for i, row in enumerate(table.rows, 1)
            for column, cell in zip(table.headers, row, strict=True)
        ]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(
        ["" if isinstance(v, float) and not math.isfinite(v) else v for v in row] for row in rows
    )
    return text.getvalue()
