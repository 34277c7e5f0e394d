"""Parsing of label lists and their cells."""

import csv
import io
import json
import logging
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepobfuscator.core.errors import InputError
from deepobfuscator.data import parquet
from deepobfuscator.data.classes import MISSING
from deepobfuscator.data.pixel_csv import PIXELS
from deepobfuscator.data.table import TEST, TRAIN, UNKNOWN, VALIDATION

log = logging.getLogger(__name__)

PICTURE_COLUMNS = (
    *("image", "file_name", "filename", "image_id", "file", "path", "image_path"),
    *("image_name", "img_name", "img_path", "img"),
)
"""Names of the picture column, in either case; the first match is used."""

SEPARATORS = ",\t;|"
"""Column separators; the first with which the header has a picture column is used."""

PARTS = {
    "train": TRAIN,
    "validation": VALIDATION,
    "test": TEST,
    "training": TRAIN,
    "valid": VALIDATION,
    "val": VALIDATION,
    "dev": VALIDATION,
    "testing": TEST,
}
"""Names of the parts."""

WORDS = {"true": 1, "yes": 1, "t": 1, "y": 1, "false": 0, "no": 0, "f": 0, "n": 0} | dict.fromkeys(
    MISSING, UNKNOWN
)
"""Values of labels that are not numbers."""

FORMS = "a label is 1 or 0, 1 or -1, true or false, yes or no"


@dataclass(frozen=True)
class Sheet:
    """A list of labels as text."""

    columns: dict[str, list[str]]
    """(n,) cells by column name; the picture column is called ``image``."""
    places: list[str]
    """(n,) position of each row, for messages."""
    embedded: bool = False
    """Whether the list embeds the pictures; ``image`` then holds row numbers."""

    def labels(self, name: str) -> NDArray[np.uint8]:
        """(n,) 0, 1 or UNKNOWN; raises InputError for any other value."""
        return labels(name, self.columns[name], self.places)


@cache
def note(text: str) -> None:
    """Warn once per process: a source is read several times."""
    log.warning("%s", text)


def labels(name: str, cells: Sequence[str], places: Sequence[str]) -> NDArray[np.uint8]:
    """(n,) 0, 1 or UNKNOWN from ``cells``; raises InputError for any other value."""
    meanings = {cell: _meaning(cell) for cell in set(cells)}
    if None in meanings.values():
        odd = next(i for i, cell in enumerate(cells) if meanings[cell] is None)
        raise InputError(f"{places[odd]}: {name} is {cells[odd]!r}; {FORMS}")
    found = np.fromiter(map(meanings.__getitem__, cells), np.int8, len(cells))
    if {-1, 0}.issubset(meanings.values()):
        at = int(np.argmax(found == -1))
        raise InputError(f"{places[at]}: {name} is -1 here and 0 elsewhere; {FORMS}")
    if len(found) and (found == UNKNOWN).all():
        raise InputError(f"{places[0]}: {name} is empty in every row; {FORMS}")
    return np.maximum(found, 0).astype(np.uint8)


def _meaning(cell: str) -> int | None:
    """1, 0, -1 or UNKNOWN; None if it is not a label."""
    word = cell.strip().lower()
    try:
        return WORDS[word] if word in WORDS else {1.0: 1, 0.0: 0, -1.0: -1}.get(float(word))
    except ValueError:
        return None


def attributes(
    sheet: Sheet, file: Path, not_attributes: Collection[str]
) -> tuple[tuple[str, ...], NDArray[np.uint8], dict[str, str]]:
    """Names and (n, k) values of the label columns; for the others, why they are not labels."""
    found: dict[str, NDArray[np.uint8]] = {}
    others: dict[str, str] = {}
    for name in sheet.columns:
        if name in not_attributes:
            continue
        try:
            found[name] = sheet.labels(name)
        except InputError as error:
            others[name] = str(error)
    if others:
        note(f"{file}: left out unless named, since not every cell is a label: {', '.join(others)}")
    shape = (len(sheet.places), 0)
    values = np.stack(list(found.values()), 1) if found else np.zeros(shape, dtype=np.uint8)
    return tuple(found), values, others


def texts(sheet: Sheet, names: Collection[str]) -> dict[str, NDArray[np.str_]]:
    """(n,) cells of the named columns that hold more than 0, 1, -1 and empty cells."""
    return {
        name: np.array(sheet.columns[name], dtype=np.str_)
        for name in names
        if None in map(_meaning, set(sheet.columns[name]))
    }


def part_of(word: str, place: str) -> int:
    """The part named ``word``; raises InputError if there is none."""
    if (part := PARTS.get(word.strip().lower())) is None:
        raise InputError(f"{place}: split is {word!r}; it must be one of {', '.join(PARTS)}")
    return part


def read_sheet(file: Path) -> Sheet:
    """The list in a .csv (with any of `SEPARATORS`), .jsonl or .parquet file.

    Raises:
        InputError: it cannot be read, is malformed, or has no picture column.
    """
    embedded, rows = False, list[Sequence[str]]()
    if file.suffix.lower() == ".parquet":
        columns, embedded = parquet.read(file)
        header = list(columns)
        rows = list(zip(*columns.values(), strict=True))
        places = [f"{file}, row {i}" for i in range(1, len(rows) + 1)]
    elif file.suffix.lower() == ".jsonl":
        header, lines = _json_lines(file)
        places, rows = [f"{file}, line {line}" for line, _ in lines], [cells for _, cells in lines]
    elif not (found := _csv_rows(read_text(file), file)):
        raise InputError(f"{file} is empty: it must hold a header and one row a picture")
    else:
        (top, header), *lines = found
        places, rows = [f"{file}, line {line}" for line, _ in lines], [cells for _, cells in lines]
        header = [name or f"column {i}" for i, name in enumerate(header, 1)]
        check_columns(header, f"{file}, line {top}")
    for place, row in zip(places, rows, strict=True):
        if len(row) != len(header):
            raise InputError(f"{place}: {len(row)} columns, but the header has {len(header)}")
    if held := [name for name in header if name.lower() == PIXELS]:
        at, embedded = header.index(held[0]), True
        rows = [[*row[:at], *row[at + 1 :], f"{i:06d}"] for i, row in enumerate(rows)]
        header = [*header[:at], *header[at + 1 :], "image"]
    if (pictures := _picture_column(header)) is None:
        raise InputError(
            f"{file}: expected a column 'image' and at least one column of labels, found "
            f"{', '.join(map(repr, header))}"
        )
    cells = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in header]
    names = ["image" if name == pictures else name for name in header]
    names = [n.lower() if n.lower() in ("identity", "split") else n for n in names]
    check_columns(names, str(file))
    return Sheet(dict(zip(names, cells, strict=True)), places, embedded)


def _picture_column(header: Sequence[str]) -> str | None:
    named = {name.lower().replace(" ", "_"): name for name in reversed(header)}
    named |= {name: name for name in header if name == "image"}
    return next((named[name] for name in PICTURE_COLUMNS if name in named), None)


def _csv_rows(text: str, file: Path) -> list[tuple[int, list[str]]]:
    """Line numbers and cells, header first; empty rows are skipped."""
    top = next(line for line in text.splitlines() if line.strip())

    def split(text: str, separator: str, strict: bool) -> list[tuple[int, list[str]]]:
        reader = csv.reader(
            io.StringIO(text), delimiter=separator, strict=strict, skipinitialspace=True
        )
        try:
            rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
        except csv.Error as error:
            raise InputError(f"{file}, line {reader.line_num}: {error}") from None
        return [(line, row) for line, row in rows if any(row)]

    separator = next(
        (s for s in SEPARATORS if any(_picture_column(r) for _, r in split(top, s, False))), ","
    )
    try:
        return split(text, separator, True)
    except InputError:  # spaces after a closing quote are harmless, all else is not
        return split(re.sub(rf'" +(?={re.escape(separator)}|\n|$)', '"', text), separator, True)


def _json_lines(file: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Names of the columns; line numbers and cells."""
    objects: list[tuple[int, dict[str, object]]] = []
    for line, text in enumerate(read_text(file).split("\n"), 1):
        if not text.strip():
            continue
        try:
            found = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{file}, line {line}: {error}") from None
        if not isinstance(found, dict):
            raise InputError(f"{file}, line {line}: expected an object, found {text[:40]!r}")
        objects.append((line, found))
    names = list(dict.fromkeys(name for _, found in objects for name in found))
    return names, [(line, [as_cell(found.get(name)) for name in names]) for line, found in objects]


def as_cell(value: object) -> str:
    """A typed value as the text of a cell."""
    return "" if value is None else str(value).strip()


def read_text(file: Path) -> str:
    """Text of a list; raises InputError if it is missing, empty or not UTF-8."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: byte {error.start} is not UTF-8: save it as UTF-8") from None
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}; check the path") from None
    if not text.strip():
        raise InputError(f"{file} is empty: it must hold a header and one row a picture")
    return text


def check_columns(names: Sequence[str], where: str) -> None:
    """Raise InputError if a column has no name or two have the same."""
    for name, count in Counter(names).items():
        if not name or count > 1:
            raise InputError(f"{where}: {count} columns are named {name!r}: give each its own name")
