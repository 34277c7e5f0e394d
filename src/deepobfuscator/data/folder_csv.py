"""A folder of one's own pictures with a ``labels.csv``."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import ClassVar

import numpy as np

from deepobfuscator.core.errors import InputError
from deepobfuscator.data.files_source import FilesSource, check_columns, find_pictures, read_list
from deepobfuscator.data.table import TEST, TRAIN, VALIDATION, AttributeTable, person_number

PARTS = {"train": TRAIN, "validation": VALIDATION, "test": TEST}
"""Words of the column ``split``."""

NOT_ATTRIBUTES = ("image", "identity", "split")
"""Columns with a meaning of their own; every other column is an attribute of 0 and 1."""


@dataclass(frozen=True)
class Folder(FilesSource):
    """Pictures and a ``labels.csv``: ``image`` (a path relative to the folder), one 0/1 column an
    attribute and, if wanted, ``identity`` (any string) and ``split`` (train, validation, test).
    """

    name: ClassVar[str] = "folder"

    def read(self) -> AttributeTable:
        """Read the labels; see `Source.read`."""
        found = find_pictures(self.path)
        file = self.path / "labels.csv"
        rows = _rows(file)
        top, header = next(rows)
        check_columns(header, top)
        attributes = [name for name in header if name not in NOT_ATTRIBUTES]
        if "image" not in header or not attributes:
            raise InputError(
                f"{top}: expected a column 'image' and at least one 0/1 column, comma-"
                f"separated, found {', '.join(map(repr, header))}"
            )
        columns = [header.index(name) for name in attributes]
        images: list[str] = []
        people: list[str] = []
        parts: list[int] = []
        values = bytearray()
        for where, row in rows:
            if len(row) != len(header):
                raise InputError(f"{where}: {len(row)} columns, but the header has {len(header)}")
            cell = dict(zip(header, row, strict=True))
            labels = [row[column] for column in columns]
            if not {"0", "1"}.issuperset(labels):
                name = next(name for name in attributes if cell[name] not in ("0", "1"))
                raise InputError(f"{where}: {name} is {cell[name]!r}; a label is 0 or 1")
            image = PurePosixPath(cell["image"])
            if image.is_absolute() or ".." in image.parts:
                raise InputError(
                    f"{where}: {cell['image']!r} leaves the folder: give a path relative to it"
                )
            if cell.get("identity") == "":
                raise InputError(
                    f"{where}: no identity: give every picture a person, or drop the column"
                )
            if cell.get("split", "train") not in PARTS:
                raise InputError(
                    f"{where}: split is {cell['split']!r}; it must be one of {', '.join(PARTS)}"
                )
            images.append(str(image))
            people.append(cell.get("identity", ""))
            parts.append(PARTS[cell.get("split", "train")])
            values.extend(map("1".__eq__, labels))
        self.check_rows(images, file, found)
        person = np.array([person_number(name) for name in people], dtype=np.int64)
        return AttributeTable(
            images=tuple(images),
            attributes=tuple(attributes),
            values=np.frombuffer(bytes(values), np.uint8).reshape(len(images), len(attributes)),
            identity=person if "identity" in header else None,
            part=np.array(parts, dtype=np.uint8) if "split" in header else None,
        )


def _rows(file: Path) -> Iterator[tuple[str, list[str]]]:
    """Where each row is, for a message, and its cells; blank lines are passed over."""
    reader = csv.reader(io.StringIO(read_list(file)), strict=True, skipinitialspace=True)
    try:
        for row in reader:
            if row:
                yield f"{file}, line {reader.line_num}", row
    except csv.Error as error:
        raise InputError(f"{file}, line {reader.line_num}: {error}") from None
