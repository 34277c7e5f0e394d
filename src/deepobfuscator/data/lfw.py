"""LFW (Huang et al., 2007) with the attributes of Kumar et al. (2009)."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from deepobfuscator.core.errors import InputError
from deepobfuscator.data.files_source import FilesSource, find_files
from deepobfuscator.data.lists import check_columns, note, read_text
from deepobfuscator.data.matching import is_picture
from deepobfuscator.data.table import AttributeTable, person_number


@dataclass(frozen=True)
class Lfw(FilesSource):
    """LFW: ``Name/Name_0001.jpg`` in the folder or in its ``lfw/`` (also ``lfw_funneled/`` or
    ``lfw-deepfunneled/``), and ``lfw_attributes.txt``.

    An attribute is present where its real-valued score is above 0. The published scores leave out
    90 of the 13,233 pictures, so a picture without a row is left out and counted in a log line.
    """

    name: ClassVar[str] = "lfw"
    binary: ClassVar[bool] = True

    @property
    def pictures(self) -> Path:
        """The folder with one folder per person."""
        for name in ("lfw", "lfw_funneled", "lfw-funneled", "lfw-deepfunneled", "lfw_deepfunneled"):
            if (folder := self.path / name).is_dir():
                inner = folder / name  # where an archive was unpacked into its own name
                return inner if inner.is_dir() else folder
        return self.path

    def read(self) -> AttributeTable:
        """Read the labels; see `Source.read`, save that unlabelled pictures are left out."""
        found = find_files(self.pictures)
        file = self.list_file("lfw_attributes") or self.path / "lfw_attributes.txt"
        _, header, *lines = [*read_text(file).splitlines(), ""]
        marks = header.rstrip().split("\t")
        if marks[:3] != ["#", "person", "imagenum"] or len(marks) == 3:
            raise InputError(
                f"{file}, line 2: expected '#', 'person', 'imagenum' and the attributes, "
                f"tab-separated, found {header[:40]!r}"
            )
        names = [name.replace(" ", "_") for name in marks[3:]]
        check_columns(names, f"{file}, line 2")
        images: list[str] = []
        people: list[str] = []
        scores: list[list[float]] = []
        for line, text in enumerate(lines, 3):
            if not text.strip():
                continue
            person, *cells = text.rstrip().split("\t")
            if len(cells) != 1 + len(names):
                raise InputError(
                    f"{file}, line {line}: {len(cells) + 1} columns for {person!r}, but line 2 "
                    f"names {len(names) + 2} after its '#'"
                )
            try:
                picture, row = int(cells[0]), [float(cell) for cell in cells[1:]]
            except ValueError as error:
                raise InputError(f"{file}, line {line}: {error}") from None
            if not all(map(math.isfinite, row)):
                raise InputError(f"{file}, line {line}: a score of {person!r} is not finite")
            folder = person.replace(" ", "_")
            images.append(f"{folder}/{folder}_{picture:04d}.jpg")
            people.append(folder)
            scores.append(row)
        table = AttributeTable(
            images=tuple(images),
            attributes=tuple(names),
            values=(np.array(scores).reshape(len(images), len(names)) > 0).astype(np.uint8),
            identity=np.array([person_number(name) for name in people], dtype=np.int64),
        )
        table = self.matched(table, file, found, partial=True)
        pictures = sum(map(is_picture, found))
        if len(table) < pictures:
            left = f"{pictures - len(table)} of {pictures} pictures in {self.pictures}"
            note(f"{left} have no row in {file.name} and are left out")
        return table
