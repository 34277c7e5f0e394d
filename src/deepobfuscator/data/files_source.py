"""What the file-based sources share: finding pictures, reading lists, decoding, fitting to size."""

import hashlib
import os
import warnings
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from deepobfuscator.core.config import MACHINE
from deepobfuscator.core.errors import InputError
from deepobfuscator.data.table import Decoded, Source

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
"""Endings (in either case) of the files that count as pictures."""

CROP_SLACK = 4
"""Pixels on a side up to which a picture is cropped, not resampled."""


@dataclass(frozen=True)
class FilesSource(Source):
    """A source whose pictures are files under one folder."""

    path: Path = field(metadata=MACHINE)
    """Folder that holds the data."""

    @classmethod
    def parse(cls, rest: str) -> Self:
        """The source in the folder ``rest``; see `Source.parse`."""
        if not rest:
            raise InputError(f"{cls.name!r} names no folder: write {cls.name}:PATH")
        return cls(Path(rest).expanduser().absolute())

    @property
    def pictures(self) -> Path:
        """The folder that picture names are relative to."""
        return self.path

    def load(self, images: Sequence[str], size: tuple[int, int]) -> Decoded:
        """Decode pictures; see `Source.load`. Truncated and foreign files count as unreadable."""
        out = np.zeros((len(images), *size, 3), dtype=np.uint8)
        bad: dict[str, str] = {}

        def decode(row: int) -> None:
            try:
                out[row] = decode_picture(self.pictures / images[row], size)
            except Exception as error:  # Pillow's readers raise nearly anything on a broken file.
                bad[images[row]] = _reason(error)

        # Warnings filters belong to the process, so they are set once, around all threads.
        with warnings.catch_warnings(), ThreadPoolExecutor(os.cpu_count()) as pool:
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            list(pool.map(decode, range(len(images))))
        return out, {name: bad[name] for name in images if name in bad}

    def check_rows(
        self, rows: Sequence[str], file: Path, found: set[str], partial: bool = False
    ) -> None:
        """Compare the pictures that the rows of a list name with those that were found.

        Raises:
            InputError: a picture has two rows, a row has no picture, or, unless the list may be
                ``partial``, a picture has no row.
        """
        for name, count in Counter(rows).items():
            if count > 1:
                raise InputError(f"{file}: {count} rows for {name!r}: keep one")
        if absent := [name for name in rows if name not in found]:
            raise InputError(
                f"{file}: {len(absent)} of {len(rows)} rows name no picture in {self.pictures}, "
                f"the first {absent[0]!r}: add the pictures or delete the rows"
            )
        if not partial and (bare := sorted(found.difference(rows))):
            raise InputError(
                f"{file}: {len(bare)} of {len(found)} pictures in {self.pictures} have no row, the "
                f"first {bare[0]!r}: add the rows or move the pictures away"
            )

    def stamp(self, images: Sequence[str]) -> str:
        """Hash of the folder and of every picture's name, size and time of change."""
        digest = hashlib.sha256(os.fsencode(self.pictures.resolve()))
        for name in images:
            try:
                stat = os.stat(self.pictures / name)
            except OSError:
                digest.update(f"\n{name} unreadable".encode())
            else:
                digest.update(f"\n{name} {stat.st_size} {stat.st_mtime_ns}".encode())
        return digest.hexdigest()


def decode_picture(path: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
    """One picture as (height, width, 3), upright, in RGB, fitted to ``size`` (height, width).

    Raises:
        Exception: the file is not a whole picture of at most 8 bits (16 if grey) a channel.
    """
    with Image.open(path) as file:
        if file.mode in ("F", "I"):
            raise ValueError(f"pixels of mode {file.mode} have no fixed white")
        upright = ImageOps.exif_transpose(file)
    if upright.mode.startswith("I;16"):
        # Pillow's own conversion clips 16 bits to 8 instead of scaling them.
        upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
    return np.asarray(fit(upright.convert("RGB"), size))


def fit(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Crop ``image`` about its centre to ``size`` (height, width), resampling only if need be."""
    height, width = size
    over_x, over_y = image.width - width, image.height - height
    if 0 <= over_x <= CROP_SLACK and 0 <= over_y <= CROP_SLACK:
        x, y = over_x // 2, over_y // 2
        return image.crop((x, y, x + width, y + height))
    scale = min(image.width / width, image.height / height)
    # The bounds may be passed by a rounding error only, which Pillow refuses.
    left = max(0.0, (image.width - scale * width) / 2)
    top = max(0.0, (image.height - scale * height) / 2)
    box = (left, top, image.width - left, image.height - top)
    return image.resize((width, height), Image.Resampling.BICUBIC, box=box)


def _reason(error: Exception) -> str:
    match error:
        case UnidentifiedImageError():
            return "not an image"
        case Image.DecompressionBombError() | Image.DecompressionBombWarning():
            return "too many pixels"
        case OSError(strerror=str(reason)):
            return reason
    return (str(error) or type(error).__name__).splitlines()[0]


def find_pictures(folder: Path) -> set[str]:
    """Names, relative to ``folder``, of the pictures in it and below.

    Hidden files are passed over and links to folders are not followed. Raises InputError where a
    folder is missing or cannot be read.
    """
    found: set[str] = set()
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    found |= {f"{entry.name}/{name}" for name in find_pictures(folder / entry.name)}
                elif entry.name.lower().endswith(SUFFIXES) and entry.is_file():
                    found.add(entry.name)
    except OSError as error:
        raise InputError(
            f"cannot read the folder {folder}: {error.strerror}; check the path"
        ) from None
    return found


def read_list(file: Path) -> str:
    """Text of a labels file; raises InputError where it is missing, empty or not UTF-8."""
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
    """Raise InputError where a column has no name or two have the same."""
    for name, count in Counter(names).items():
        if not name or count > 1:
            raise InputError(f"{where}: {count} columns are named {name!r}: give each its own name")
