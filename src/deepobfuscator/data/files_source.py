"""Shared by file-based sources: finding pictures, reading lists, decoding, cropping, resizing."""

import hashlib
import os
import warnings
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from deepobfuscator.core.config import MACHINE
from deepobfuscator.core.errors import InputError
from deepobfuscator.core.files import expanded
from deepobfuscator.data.matching import is_picture, match
from deepobfuscator.data.table import AttributeTable, Decoded, Source

HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
"""Brand codes of HEIC files, which phones write and Pillow does not read."""

CROP_SLACK = 4
"""Maximum excess per side, in px, that is cropped instead of resampled."""


@dataclass(frozen=True)
class FilesSource(Source):
    """A source whose pictures are files under one folder."""

    path: Path = field(metadata=MACHINE)
    """Folder of the data."""

    @classmethod
    def parse(cls, rest: str) -> Self:
        """The source in the folder ``rest``; see `Source.parse`."""
        if not rest:
            raise InputError(f"{cls.name!r} names no folder: write {cls.name}:PATH")
        return cls(expanded(rest).absolute())

    @property
    def pictures(self) -> Path:
        """The folder that picture names are relative to."""
        return self.path

    def nearest(self, name: str) -> Path | None:
        """The file or folder called ``name``, here or up to two levels deeper; None if missing."""
        for deeper in ("", "*/", "*/*/"):
            if found := sorted(self.path.glob(deeper + name)):
                return found[0]
        return None

    def list_file(self, name: str) -> Path | None:
        """The list called ``name``, .txt or .csv; None if missing."""
        return self.nearest(f"{name}.txt") or self.nearest(f"{name}.csv")

    def places(self, images: Sequence[str]) -> list[str]:
        """Paths of the files of the named pictures."""
        folder = self.pictures
        return [f"{folder}/{name}" for name in images]

    def contents(self, images: Sequence[str]) -> Sequence[str | BytesIO]:
        """What the named pictures are decoded from, by default the files themselves."""
        return self.places(images)

    def load(self, images: Sequence[str], size: tuple[int, int]) -> Decoded:
        """Decode pictures; see `Source.load`. Truncated and non-image files are unreadable."""
        out = np.zeros((len(images), *size, 3), dtype=np.uint8)
        bad: dict[str, str] = {}

        contents = self.contents(images)

        def decode(row: int) -> None:
            try:
                out[row] = decode_picture(contents[row], size)
            except Exception as error:  # Pillow raises nearly any exception on a broken file.
                bad[images[row]] = _reason(error, contents[row])

        # Warning filters are process-wide, so they are set once, around all threads.
        with warnings.catch_warnings(), ThreadPoolExecutor(os.cpu_count()) as pool:
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            list(pool.map(decode, range(len(images))))
        return out, {name: bad[name] for name in images if name in bad}

    def matched(
        self, table: AttributeTable, file: Path, files: set[str], partial: bool = False
    ) -> AttributeTable:
        """``table`` with the rows' file names, without rows that have no file.

        A row may spell a file's name differently; see `match`.

        Args:
            table: as in the list ``file``.
            file: the list, for messages.
            files: names, relative to `pictures`, of the existing files.
            partial: whether the list may leave pictures out.

        Raises:
            InputError: a picture has two rows, or no row a picture.
        """
        exact = [name if name in files else self._file(name, files) for name in table.images]
        names = match(table.images, exact, files)
        for name, count in Counter(names).items():
            if name and count > 1:
                raise InputError(f"{file}: {count} rows for {name!r}: keep one")
        kept = [i for i, name in enumerate(names) if name]
        absent = [row for row, name in zip(table.images, names, strict=True) if not name]
        bare = [] if partial else sorted(f for f in files.difference(names) if is_picture(f))
        amiss = []
        if absent:
            amiss.append(
                f"{file}: {len(absent)} of {len(names)} rows name no picture in {self.pictures}, "
                f"the first {absent[0]!r}"
            )
        if bare:
            amiss.append(
                f"{file}: {len(bare)} of {len(bare) + len(kept)} pictures in {self.pictures} have "
                f"no row, the first {bare[0]!r}"
            )
        if absent and not kept:
            raise InputError(f"{'; '.join(amiss)}: correct the list, or add the pictures")
        return replace(
            table.take(np.array(kept, dtype=np.int64)),
            images=tuple(name for name in names if name),
            amiss="; ".join(amiss),
            left_out=len(absent) + len(bare),
        )

    def _file(self, name: str, files: set[str]) -> str | None:
        """The file at ``name`` if it exists although it is not in ``files``; else None."""
        if not (self.pictures / name).is_file():
            return None
        # A hidden file, or one in a folder that has another name beside that of a link.
        real = os.path.relpath(os.path.realpath(self.pictures / name), self.pictures.resolve())
        return real if real in files else name

    def stamp(self, images: Sequence[str]) -> str:
        """Hash of the folder and of every picture's name, size and modification time."""
        digest = hashlib.sha256(os.fsencode(self.pictures.resolve()))
        for name, place in zip(images, self.places(images), strict=True):
            try:
                stat = os.stat(place)
            except OSError:
                digest.update(f"\n{name} unreadable".encode())
            else:
                digest.update(f"\n{name} {stat.st_size} {stat.st_mtime_ns}".encode())
        return digest.hexdigest()


def decode_picture(content: str | BytesIO, size: tuple[int, int]) -> NDArray[np.uint8]:
    """One picture as (height, width, 3), upright, in RGB, cropped or resized to ``size``.

    Raises:
        Exception: the file is not a whole picture of at most 8 bits (16 if grey) a channel.
    """
    with Image.open(content) as file:
        deep = file.mode.startswith("I;16") or (file.mode, file.format) == ("I", "PPM")
        if file.mode in ("F", "I") and not deep:
            raise ValueError(f"pixels of mode {file.mode} have no fixed white")
        upright = ImageOps.exif_transpose(file)
    if deep:
        # Pillow's own conversion clips 16 bits to 8 instead of scaling them.
        upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
    return np.asarray(fit(upright.convert("RGB"), size))


def fit(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Crop ``image`` about its centre to ``size`` (height, width), resampling only if needed."""
    height, width = size
    over_x, over_y = image.width - width, image.height - height
    if 0 <= over_x <= CROP_SLACK and 0 <= over_y <= CROP_SLACK:
        x, y = over_x // 2, over_y // 2
        return image.crop((x, y, x + width, y + height))
    scale = min(image.width / width, image.height / height)
    # The bounds may be exceeded by a rounding error, which Pillow rejects.
    left = max(0.0, (image.width - scale * width) / 2)
    top = max(0.0, (image.height - scale * height) / 2)
    box = (left, top, image.width - left, image.height - top)
    return image.resize((width, height), Image.Resampling.BICUBIC, box=box)


def _reason(error: Exception, content: str | BytesIO) -> str:
    match error:
        case UnidentifiedImageError():
            with content if isinstance(content, BytesIO) else open(content, "rb") as file:
                file.seek(0)
                head = file.read(12)
            if head[4:8] == b"ftyp" and head[8:12] in HEIC:
                return "HEIC is not read: save it as JPEG or PNG"
            return "not an image"
        case Image.DecompressionBombError() | Image.DecompressionBombWarning():
            return "too many pixels"
        case OSError(strerror=str(reason)):
            return reason
    return (str(error) or type(error).__name__).splitlines()[0]


def find_files(folder: Path) -> set[str]:
    """Names, relative to ``folder``, of the files in it and below, links to folders followed.

    Hidden files are skipped. Each folder is visited once, under its own name if that is below
    ``folder``, so links may form cycles. Raises InputError if a folder is missing or cannot be
    read.
    """
    found: set[str] = set()
    seen: set[tuple[int, int]] = set()
    here, linked = [""], list[str]()
    while here or linked:
        if not here:
            linked.sort(reverse=True)
        prefix = here.pop() if here else linked.pop()
        try:
            stat = os.stat(folder / prefix)
            if (place := (stat.st_dev, stat.st_ino)) in seen:
                continue
            seen.add(place)
            with os.scandir(folder / prefix) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir():
                        (linked if entry.is_symlink() else here).append(f"{prefix}{entry.name}/")
                    elif entry.is_file():
                        found.add(prefix + entry.name)
        except OSError as error:
            raise InputError(
                f"cannot read the folder {folder / prefix}: {error.strerror}; check the path"
            ) from None
    return found
