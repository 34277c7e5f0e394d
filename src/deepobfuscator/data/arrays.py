"""Pictures and labels given as arrays, saved as files so that a run can be resumed."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from deepobfuscator.core.config import MACHINE
from deepobfuscator.core.errors import InputError
from deepobfuscator.core.files import cache_folder, expanded, write_atomic
from deepobfuscator.data.files_source import fit
from deepobfuscator.data.lists import Sheet, as_cell, attributes, part_of, texts
from deepobfuscator.data.table import AttributeTable, Decoded, Source, person_number

IMAGES, LABELS, TEXT = "images.npy", "labels.npz", "text/"


class Columns(Protocol):
    """A dict of columns, or a pandas DataFrame: column names, and columns by name."""

    def __iter__(self) -> Any: ...

    def __getitem__(self, name: str, /) -> Any: ...


@dataclass(frozen=True)
class Arrays(Source):
    """Pictures given as an array, stored in a folder of the cache."""

    name: ClassVar[str] = "arrays"

    path: Path = field(metadata=MACHINE)
    """Folder of the stored arrays."""
    sha256: str
    """Hash of pictures and labels."""

    @classmethod
    def keep(
        cls,
        images: ArrayLike,
        labels: Columns,
        people: Iterable[Any] | None = None,
        split: Iterable[str] | None = None,
        needed: Sequence[str] = (),
    ) -> Self:
        """Check the arrays and store them in the cache; see `Data.from_arrays`.

        Columns that are not binary labels are left out, unless they are ``needed``; `Task.resolved`
        turns those into classes.
        """
        pictures = np.asarray(images)
        if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[3] != 3:
            raise InputError(
                f"images are {pictures.dtype} of shape {pictures.shape}: give uint8 of shape "
                "(n, height, width, 3), RGB in 0..255"
            )
        columns: dict[str, list[str]] = {}
        for name in labels:
            column = as_long(np.asarray(labels[name]), len(pictures), f"label {str(name)!r}")
            columns[str(name)] = [as_cell(value) for value in column.tolist()]
        sheet = Sheet(columns, [f"labels, row {i}" for i in range(len(pictures))])
        names, values, others = attributes(sheet, Path("labels"), ())
        asked = {part for name in needed for part in (name, name.rpartition(":")[0])}
        cells = texts(sheet, asked & others.keys())
        for name in (*needed, *others):
            if name in others and name not in cells and (name in needed or not names):
                raise InputError(others[name])
        if not names and not cells:
            raise InputError("labels have no column: give one of 0 and 1 for each attribute")
        table = {"attributes": np.array(names), "values": values}
        if people is not None:
            ids = [person_number(str(person)) for person in people]
            table["identity"] = as_long(np.array(ids, dtype=np.int64), len(pictures), "people")
        if split is not None:
            words = [part_of(str(word), f"split, row {i}") for i, word in enumerate(split)]
            parts = np.array(words, dtype=np.uint8)
            table["part"] = as_long(parts, len(pictures), "split")
        digest = hashlib.sha256(f"{pictures.shape} {names}".encode())
        for array in (pictures, *list(table.values())[1:]):
            digest.update(np.ascontiguousarray(array).data)
        for text in sorted(cells):
            table[f"{TEXT}{text}"] = cells[text]
            digest.update(f"{text} {cells[text].tolist()}".encode())
        name = digest.hexdigest()[:24]
        folder = cache_folder() / f"arrays-{name}"
        if not (folder / LABELS).exists():
            write_atomic(folder / IMAGES, lambda path: save(path, pictures))
            write_atomic(folder / LABELS, lambda path: save(path, table))
        return cls(folder, name)

    @classmethod
    def parse(cls, rest: str) -> Self:
        """The folder ``rest``, as written by `keep`."""
        path = expanded(rest).absolute()
        return cls(path, path.name.removeprefix("arrays-"))

    def _held(self, name: str) -> Any:
        try:
            return np.load(self.path / name, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError):
            raise InputError(
                f"the arrays that this run is about are not in {self.path}: call "
                "Data.from_arrays with them again"
            ) from None

    def read(self) -> AttributeTable:
        """The labels; see `Source.read`."""
        with self._held(LABELS) as table:
            values = table["values"]
            return AttributeTable(
                images=tuple(f"{i:06d}" for i in range(len(values))),
                attributes=tuple(table["attributes"].tolist()),
                values=values,
                identity=table.get("identity"),
                part=table.get("part"),
                texts={
                    name.removeprefix(TEXT): table[name]
                    for name in table.files
                    if name.startswith(TEXT)
                },
            )

    def load(self, images: Sequence[str], size: tuple[int, int]) -> Decoded:
        """Pictures fitted to ``size``; see `Source.load`."""
        pictures = self._held(IMAGES)[[int(name) for name in images]]
        if pictures.shape[1:3] != size:
            pictures = np.stack([np.asarray(fit(Image.fromarray(p), size)) for p in pictures])
        return np.ascontiguousarray(pictures), {}

    def stamp(self, images: Sequence[str]) -> str:
        """The hash of the content."""
        return self.sha256


def as_long(values: NDArray[Any], count: int, what: str) -> NDArray[Any]:
    """``values``; raises InputError unless there is one for each picture."""
    if values.shape != (count,):
        raise InputError(f"{what} has shape {values.shape}, but there are {count} images")
    return values


def save(path: Path, content: NDArray[Any] | dict[str, NDArray[Any]]) -> None:
    """Write one array as .npy or several as .npz."""
    with open(path, "wb") as file:
        if isinstance(content, dict):
            np.savez(file, **content)  # type: ignore[arg-type]
        else:
            np.save(file, content)
