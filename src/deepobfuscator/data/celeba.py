"""CelebA (Liu, Luo, Wang, Tang, 2015), in the published layout and Kaggle's."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from deepobfuscator.core.errors import InputError
from deepobfuscator.data.files_source import FilesSource, find_files
from deepobfuscator.data.lists import (
    SEPARATORS,
    Sheet,
    attributes,
    check_columns,
    read_sheet,
    read_text,
)
from deepobfuscator.data.matching import stem
from deepobfuscator.data.table import TEST, AttributeTable

ALIGNED = ("img_align_celeba", "img_align_celeba_png")
"""Folders of the aligned and cropped pictures."""

SPACED = str.maketrans(dict.fromkeys([*SEPARATORS, '"'], " "))


@dataclass(frozen=True)
class Celeba(FilesSource):
    """CelebA: ``img_align_celeba/``, ``list_attr_celeba.txt`` and, if present,
    ``list_eval_partition.txt`` (the data's own parts) and ``identity_CelebA.txt``.

    Each may lie one or two folders deeper (``Anno/``, ``Eval/``, ``Img/``), a list may be a
    ``.csv``, and the pictures PNG.
    """

    name: ClassVar[str] = "celeba"
    binary: ClassVar[bool] = True

    @property
    def pictures(self) -> Path:
        """The folder of the aligned and cropped pictures."""
        for name in ALIGNED:
            if folder := self.nearest(name):
                inner = folder / folder.name  # where an archive was unpacked into its own name
                return inner if inner.is_dir() else folder
        return self.path / ALIGNED[0]

    def read(self) -> AttributeTable:
        """Read the labels, 1 and -1; see `Source.read`."""
        pictures = self.pictures
        if not pictures.is_dir() and self.path.is_dir():
            packed = sorted(p.name for p in self.path.rglob(f"{ALIGNED[0]}*") if p.is_file())
            raise InputError(
                f"no folder {ALIGNED[0]} in {self.path}: "
                + (f"unpack {packed[0]}" if packed else "check the path")
            )
        files = find_files(pictures)
        file = self.list_file("list_attr_celeba") or self.path / "list_attr_celeba.txt"
        sheet = read_sheet(file) if set(SEPARATORS) & set(top_line(file)) else published(file)
        names, values, others = attributes(sheet, file, ("image",))
        images = tuple(sheet.columns["image"])
        table = AttributeTable(images, names, values, others=others)
        table = self.matched(table, file, files)
        part = self._numbers("list_eval_partition", table.images, highest=TEST)
        return replace(
            table,
            identity=self._numbers("identity_CelebA", table.images),
            part=None if part is None else part.astype(np.uint8),
        )

    def _numbers(
        self, name: str, images: Sequence[str], highest: int | None = None
    ) -> NDArray[np.int64] | None:
        """The (n,) numbers of ``images`` in a two-column list; None without such a list."""
        if (file := self.list_file(name)) is None:
            return None
        rows: list[tuple[str, int]] = []
        for line, text in enumerate(read_text(file).splitlines(), 1):
            match text.translate(SPACED).split():
                case []:
                    continue
                case [image, number] if number.isdecimal() and int(number) <= (highest or 2**62):
                    rows.append((stem(image), int(number)))
                case [image, _] if line == 1 and stem(image) == image and not image.isdecimal():
                    continue  # names of columns
                case _:
                    what = "a number" if highest is None else f"a number up to {highest}"
                    raise InputError(f"{file}, line {line}: {text!r} is not a name and {what}")
        for image, count in Counter(image for image, _ in rows).items():
            if count > 1:
                raise InputError(f"{file}: {count} rows for {image!r}: keep one")
        number_of = dict(rows)
        numbers = [number_of.get(stem(image)) for image in images]
        if None in numbers:
            raise InputError(
                f"{file}: {numbers.count(None)} of {len(images)} pictures in {self.pictures} have "
                f"no row, the first {images[numbers.index(None)]!r}: add the rows, or move the "
                "list away to go without it"
            )
        return np.array(numbers, dtype=np.int64)


def top_line(file: Path) -> str:
    """The first line of a list."""
    return read_text(file).splitlines()[0]


def published(file: Path) -> Sheet:
    """``list_attr_celeba.txt``: a line for the count, one for the attributes, one a picture."""
    count, *rest = read_text(file).splitlines()
    if not count.strip().isdecimal() or not rest or not rest[0].split():
        raise InputError(
            f"{file}: CelebA's list begins with a line for the count of pictures and one for the "
            f"names of attributes; its first line is {count[:40]!r}"
        )
    names = rest[0].split()
    check_columns(names, f"{file}, line 2")
    rows: list[list[str]] = []
    places: list[str] = []
    for line, text in enumerate(rest[1:], 3):
        if not text.strip():
            continue
        cells = text.split()
        if len(cells) != 1 + len(names):
            raise InputError(
                f"{file}, line {line}: {len(cells) - 1} labels for {cells[0]!r}, but line 2 names "
                f"{len(names)} attributes"
            )
        rows.append(cells)
        places.append(f"{file}, line {line}")
    if len(rows) != int(count):
        raise InputError(
            f"{file}, line 1: announces {int(count)} pictures, but {len(rows)} rows follow: "
            "fetch the list again or correct the count"
        )
    columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in ("", *names)]
    return Sheet(dict(zip(("image", *names), columns, strict=True)), places)
