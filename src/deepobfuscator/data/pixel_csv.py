"""Lists with grey pictures as numbers in a column ``pixels``, as of UTKFace and FER2013."""

import csv
from collections.abc import Sequence
from functools import lru_cache
from io import BytesIO
from math import isqrt
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PIXELS = "pixels"
"""The column: values 0 to 255 row by row, separated by blanks, of a square picture."""


def stored(file: Path, rows: Sequence[int]) -> list[BytesIO]:
    """The pictures of some rows as PGM files; empty where a row holds none."""
    every = _every(file, file.stat().st_mtime_ns)
    return [_encoded(every[row]) for row in rows]


def _encoded(values: NDArray[np.uint8]) -> BytesIO:
    content, side = BytesIO(), isqrt(len(values))
    if side and side**2 == len(values):
        Image.fromarray(values.reshape(side, side)).save(content, "PPM")
        content.seek(0)
    return content


@lru_cache(maxsize=1)
def _every(file: Path, _changed: int) -> list[NDArray[np.uint8]]:
    """All rows' values, kept, since a picture is no faster to find than all of them."""
    with open(file, encoding="utf-8-sig", newline="") as lines:
        reader = csv.reader(lines)
        place = [name.strip().lower() for name in next(reader)].index(PIXELS)
        return [_values(row[place]) for row in reader if any(row)]


def _values(cell: str) -> NDArray[np.uint8]:
    try:
        return np.array(cell.split(), dtype=np.uint8)
    except (ValueError, OverflowError):
        return np.zeros(0, dtype=np.uint8)
