"""CelebA (Liu, Luo, Wang, Tang, 2015) in its published layout."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from deepobfuscator.core.errors import InputError
from deepobfuscator.data.files_source import FilesSource, check_columns, find_pictures, read_list
from deepobfuscator.data.table import TEST, AttributeTable


@dataclass(frozen=True)
class Celeba(FilesSource):
    """CelebA: ``img_align_celeba/``, ``list_attr_celeba.txt`` and, where they are there,
    ``list_eval_partition.txt`` (the data's own parts) and ``identity_CelebA.txt``.
    """

    name: ClassVar[str] = "celeba"

    @property
    def pictures(self) -> Path:
        """The folder of the aligned and cropped pictures."""
        return self.path / "img_align_celeba"

    def read(self) -> AttributeTable:
        """Read the labels, 1 and -1; see `Source.read`."""
        found = find_pictures(self.pictures)
        file = self.path / "list_attr_celeba.txt"
        images, attributes, values = _read_attributes(file)
        self.check_rows(images, file, found)
        part = self._read_numbers("list_eval_partition.txt", images, found, highest=TEST)
        return AttributeTable(
            images=images,
            attributes=attributes,
            values=values,
            identity=self._read_numbers("identity_CelebA.txt", images, found),
            part=None if part is None else part.astype(np.uint8),
        )

    def _read_numbers(
        self, list_name: str, images: tuple[str, ...], found: set[str], highest: int | None = None
    ) -> NDArray[np.int64] | None:
        """The (n,) numbers that a two-column list gives ``images``; None without such a list."""
        file = self.path / list_name
        if not file.exists():
            return None
        rows: list[tuple[str, int]] = []
        for line, text in enumerate(read_list(file).splitlines(), 1):
            match text.split():
                case []:
                    continue
                case [name, number] if number.isdecimal() and int(number) <= (highest or 2**62):
                    rows.append((name, int(number)))
                case _:
                    numbers = "a number" if highest is None else f"a number up to {highest}"
                    raise InputError(f"{file}, line {line}: {text!r} is not a name and {numbers}")
        self.check_rows([name for name, _ in rows], file, found)
        number_of = dict(rows)
        return np.array([number_of[name] for name in images], dtype=np.int64)


def _read_attributes(file: Path) -> tuple[tuple[str, ...], tuple[str, ...], NDArray[np.uint8]]:
    """Image names, attribute names and (n, k) labels of ``list_attr_celeba.txt``."""
    count, *rest = read_list(file).splitlines()
    if not count.strip().isdecimal() or not rest or not rest[0].split():
        raise InputError(
            f"{file}: CelebA's list begins with a line for the count of pictures and one for the "
            f"names of attributes; its first line is {count[:40]!r}"
        )
    attributes = rest[0].split()
    check_columns(attributes, f"{file}, line 2")
    images: list[str] = []
    values = bytearray()
    for line, text in enumerate(rest[1:], 3):
        if not text.strip():
            continue
        name, *labels = text.split()
        if len(labels) != len(attributes):
            raise InputError(
                f"{file}, line {line}: {len(labels)} labels for {name!r}, but line 2 names "
                f"{len(attributes)} attributes"
            )
        if not {"1", "-1"}.issuperset(labels):
            column = next(i for i, label in enumerate(labels) if label not in ("1", "-1"))
            raise InputError(
                f"{file}, line {line}: {attributes[column]} of {name!r} is {labels[column]!r}; "
                "CelebA writes 1 for yes and -1 for no"
            )
        images.append(name)
        values.extend(map("1".__eq__, labels))
    if len(images) != int(count):
        raise InputError(
            f"{file}, line 1: announces {int(count)} pictures, but {len(images)} rows follow: "
            "fetch the list again or mend the count"
        )
    labelled = np.frombuffer(bytes(values), dtype=np.uint8).reshape(len(images), len(attributes))
    return tuple(images), tuple(attributes), labelled
