"""An exhibit as files: figures to compute with, a table and a drawing for a paper."""

import csv
import io
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from deepobfuscator import write_atomic
from deepobfuscator.paper.render.drawing import as_svg
from deepobfuscator.paper.render.exhibit import Exhibit, Row
from deepobfuscator.paper.render.latex import as_latex
from deepobfuscator.paper.render.table import known


def write_exhibit(exhibit: Exhibit, folder: Path, faces: bool = True) -> None:
    """Write NAME.csv, NAME.tex and, where there is something to draw, NAME.svg into ``folder``.

    An older NAME.svg does not outlive an exhibit that has nothing to draw: it may show faces.

    Args:
        exhibit: what to write.
        folder: where to; made if it is not there.
        faces: whether the drawing shows pictures of people.

    Raises:
        InputError: the disk is full or ``folder`` cannot be written.
    """
    drawing = as_svg(exhibit, faces)
    write_atomic(folder / f"{exhibit.name}.csv", as_csv(exhibit).encode())
    write_atomic(folder / f"{exhibit.name}.tex", as_latex(exhibit).encode())
    if drawing is None:
        (folder / f"{exhibit.name}.svg").unlink(missing_ok=True)
    else:
        write_atomic(folder / f"{exhibit.name}.svg", drawing.encode())


def as_csv(exhibit: Exhibit) -> str:
    """One rectangular table of ``exhibit`` in full precision, empty where there is no figure.

    It holds the rows, all fields by name. Only where there are no rows it holds the
    curves (panel, name, batch, loss), and only where there are neither the tables of text, a
    cell a row (table, row from 1, column, text). An exhibit with none of these gives the names
    of a row's fields alone.
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
    writer.writerows([_field(value) for value in row] for row in rows)
    return text.getvalue()


def _field(value: object) -> object:
    return known(value) if isinstance(value, float) else value
