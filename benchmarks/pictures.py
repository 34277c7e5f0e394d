"""The pictures that all contenders read: files in CelebA's layout, real or drawn."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deepobfuscator.core.errors import InputError
from deepobfuscator.data import batches
from deepobfuscator.data.batches import Parts
from deepobfuscator.data.celeba import Celeba
from deepobfuscator.data.dataset import Data
from deepobfuscator.data.splits import split
from deepobfuscator.data.synthetic import Synthetic
from deepobfuscator.data.table import TRAIN, Task, parse_source
from harness import Options

TASK = Task(("Smiling",), ("Male",))


def folder(options: Options, count: int) -> str:
    """A folder in CelebA's layout: the one that was named, or ``count`` drawn faces.

    Raises:
        InputError: ``--data`` names another kind of source.
    """
    source = parse_source(options.data)
    if isinstance(source, Celeba):
        return str(source.path)
    if not isinstance(source, Synthetic):
        raise InputError(f"--data {options.data}: take celeba:PATH or synthetic")
    drawn = options.out / f"faces-{count}"
    if not (drawn / "list_eval_partition.txt").exists():
        _draw(drawn, count)
    return str(drawn)


def _draw(drawn: Path, count: int) -> None:
    """Lay down drawn faces as JPEG files of CelebA's size, with its lists."""
    source = Synthetic(count)
    labels = source.read()
    (drawn / "img_align_celeba").mkdir(parents=True, exist_ok=True)
    names = [f"{name}.jpg" for name in labels.images]
    for start in range(0, count, 256):
        pixels, _ = source.load(labels.images[start : start + 256], (218, 178))
        for name, picture in zip(names[start:], pixels, strict=False):
            Image.fromarray(picture).save(drawn / "img_align_celeba" / name, quality=92)
    rows = [
        " ".join([name, *("1" if v else "-1" for v in values)])
        for name, values in zip(names, labels.values, strict=True)
    ]
    _write(drawn / "list_attr_celeba.txt", [str(count), " ".join(labels.attributes), *rows])
    people = labels.people()
    _write(drawn / "identity_CelebA.txt", [f"{n} {p}" for n, p in zip(names, people, strict=True)])
    # By person, as each person's pictures follow each other: 70, 15 and 15 of a hundred.
    part = np.searchsorted((70, 85), people * 100 // (people[-1] + 1), side="right")
    _write(
        drawn / "list_eval_partition.txt", [f"{n} {p}" for n, p in zip(names, part, strict=True)]
    )


def _write(file: Path, lines: Sequence[str]) -> None:
    file.write_text("\n".join(lines) + "\n")


def load(where: str, size: tuple[int, int], limit: int) -> Parts:
    """The product's own loading of at most ``limit`` pictures of the training pool."""
    source = Celeba(Path(where))
    return batches.load(Data(source, TASK, limit=_limit(source, limit)), size)


def _limit(source: Celeba, limit: int) -> int:
    part = source.read().part
    assert part is not None
    return min(limit, int((part == TRAIN).sum()))


@dataclass(frozen=True)
class Files:
    """One part as files with labels: what a script begins with."""

    paths: list[str]
    public: NDArray[np.uint8]
    """(n, M)."""
    private: NDArray[np.uint8]
    """(n, K)."""


def files(where: str, part: str, limit: int) -> Files:
    """The same pictures that `load` puts into ``part``."""
    source = Celeba(Path(where))
    labels = source.read()
    rows = getattr(split(labels, _limit(source, limit), 0, "own"), part)
    paths = [str(source.pictures / labels.images[row]) for row in rows]
    return Files(paths, labels.columns(TASK.public)[rows], labels.columns(TASK.private)[rows])
