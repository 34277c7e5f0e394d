"""A folder of the user's own pictures with a list of labels."""

import re
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from deepobfuscator.core.errors import InputError
from deepobfuscator.data import parquet, pixel_csv
from deepobfuscator.data.files_source import FilesSource, find_files
from deepobfuscator.data.lists import PARTS, Sheet, attributes, note, part_of, read_sheet, texts
from deepobfuscator.data.table import TEST, VALIDATION, AttributeTable, person_number

NOT_ATTRIBUTES = ("image", "identity", "split")
"""Reserved columns; every other column may be an attribute."""

ENDINGS = (".csv", ".tsv", ".jsonl", ".parquet")
"""Of lists; where several have one name in one folder, the first counts."""

EMBEDDED = re.compile(r"(.+\.(?:parquet|csv|tsv))/(\d+)")
"""Name of a list that holds pictures itself, and the row of one in it."""


@dataclass(frozen=True)
class Folder(FilesSource):
    """Pictures and ``labels.csv``, or a Hugging Face layout: ``metadata.csv`` or ``.jsonl``, or
    Parquet files with embedded pictures; else any .csv files at the top level.

    A list has a column ``image`` (a path relative to the list's folder; ``file_name`` and similar
    names work too), one column per attribute and, optionally, ``identity`` (any string) and
    ``split``.
    """

    name: ClassVar[str] = "folder"

    def read(self) -> AttributeTable:
        """Read the labels; see `Source.read`."""
        files = find_files(self.path)
        lists = label_lists(files)
        if not lists:
            odd = sorted(f for f in files if f.endswith(".txt"))
            there = f"; is it {odd[0]}? Then name it labels.csv" if odd else ""
            raise InputError(
                f"no labels.csv, metadata.csv, metadata.jsonl, Parquet or other .csv file in "
                f"{self.path}{there}"
            )
        sheets = [read_sheet(self.path / name) for name in lists]
        images = [n for name, s in zip(lists, sheets, strict=True) for n in pictures_of(name, s)]
        sheet, file = joined(sheets, lists), self.path / lists[0]
        names, values, others = attributes(sheet, file, NOT_ATTRIBUTES)
        if not names and not others:
            raise InputError(f"{file}: no column of labels beside {', '.join(sheet.columns)}")
        people = sheet.columns.get("identity")
        for place, person in zip(sheet.places, people or [], strict=False):
            if not person:
                raise InputError(
                    f"{place}: no identity: give every picture a person, or drop the column"
                )
        part = None
        if (words := sheet.columns.get("split")) is not None:
            part = tested([part_of(w, at) for w, at in zip(words, sheet.places, strict=True)], file)
        elif not lists[0].endswith("labels.csv"):
            part = tested(parts_by_folder(images), file)
        table = AttributeTable(
            images=tuple(images),
            attributes=names,
            values=values,
            identity=None if people is None else np.array([*map(person_number, people)], np.int64),
            part=part,
            others=others,
            texts=texts(sheet, others),
        )
        return self.matched(table, file, files | set(filter(EMBEDDED.fullmatch, images)))

    def places(self, images: Sequence[str]) -> list[str]:
        """Paths of the pictures, or of the lists that embed them."""
        held = [EMBEDDED.fullmatch(name) for name in images]
        return super().places([m[1] if m else n for m, n in zip(held, images, strict=True)])

    def contents(self, images: Sequence[str]) -> Sequence[str | BytesIO]:
        """Paths of pictures, or the bytes of embedded ones."""
        found: list[str | BytesIO] = list(self.places(images))
        rows: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for i, name in enumerate(images):
            if held := EMBEDDED.fullmatch(name):
                rows[str(found[i])].append((i, int(held[2])))
        for file, asked in rows.items():
            stored = parquet.stored if file.endswith(".parquet") else pixel_csv.stored
            contents = stored(Path(file), [row for _, row in asked])
            for (i, _), content in zip(asked, contents, strict=True):
                found[i] = content
        return found


def label_lists(files: Collection[str]) -> list[str]:
    """The lists of labels among ``files``, one for each folder that has one.

    ``labels.csv`` at the top takes precedence; then lists called labels, then metadata, the nearest
    to the top; then all Parquet files; then all .csv files at the top.
    """
    if "labels.csv" in files:
        return ["labels.csv"]
    for name in ("labels", "metadata"):
        found: dict[str, str] = {}
        for ending in ENDINGS:
            for file in sorted(f for f in files if PurePosixPath(f).name == name + ending):
                found.setdefault(str(PurePosixPath(file).parent), file)
        if found:
            top = min(file.count("/") for file in found.values())
            return sorted(file for file in found.values() if file.count("/") == top)
    held = sorted(file for file in files if file.endswith(".parquet"))
    return held or sorted(f for f in files if f.endswith((".csv", ".tsv")) and "/" not in f)


def pictures_of(name: str, sheet: Sheet) -> list[str]:
    """Picture names in the rows of the list ``name``, relative to the source's folder."""
    if sheet.embedded:
        return [f"{name}/{row}" for row in sheet.columns["image"]]
    images = []
    for place, cell in zip(sheet.places, sheet.columns["image"], strict=True):
        path = PurePosixPath(cell)
        if path.is_absolute() or ".." in path.parts:
            raise InputError(f"{place}: {cell!r} leaves the folder: give a path relative to it")
        images.append(str(PurePosixPath(name).parent / path))
    return images


def joined(sheets: Sequence[Sheet], names: Sequence[str]) -> Sheet:
    """All rows of several lists; raises InputError if their columns differ."""
    columns = sheets[0].columns
    for sheet, name in zip(sheets, names, strict=True):
        if odd := columns.keys() ^ sheet.columns.keys():
            raise InputError(
                f"{names[0]} and {name} have different columns ({', '.join(sorted(odd))}): give "
                "both the same"
            )
    return Sheet(
        {name: [cell for sheet in sheets for cell in sheet.columns[name]] for name in columns},
        [place for sheet in sheets for place in sheet.places],
    )


def parts_by_folder(images: Sequence[str]) -> list[int] | None:
    """Parts from the names of folders (or of Parquet files); None unless every name gives one."""
    found = []
    for name in images:
        words = [re.split(r"[-_.]", folder)[0].lower() for folder in name.split("/")[:-1]]
        if not (known := [PARTS[word] for word in words if word in PARTS]):
            return None
        found.append(known[-1])
    return found if len(set(found)) > 1 else None


def tested(parts: Sequence[int] | None, file: Path) -> NDArray[np.uint8] | None:
    """``parts``; without a test part, the validation part becomes the test part."""
    if parts is None:
        return None
    part = np.array(parts, dtype=np.uint8)
    if VALIDATION in part and TEST not in part:
        note(f"{file}: no test part, so that the validation part is taken for it")
        part[part == VALIDATION] = TEST
    return part
