"""Pictures decoded once into a memory-mapped file; later runs only open it."""

import errno
import hashlib
import json
import math
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepobfuscator.core.errors import InputError
from deepobfuscator.core.files import cache_folder, lock
from deepobfuscator.data.table import Decoded, Source

FORMAT = 1
"""Increase whenever the same files would decode to other pixels."""

CHUNK = 256
"""Number of pictures decoded and written at a time."""


def pictures(
    source: Source,
    images: Sequence[str],
    size: tuple[int, int],
    skip_bad: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The named pictures, decoded or from the cache.

    Args:
        source: source of the pictures.
        images: n names (at least one), in the order wanted.
        size: height and width in pixels.
        skip_bad: skip unreadable pictures instead of raising.
        progress: called with (pictures done, n) while decoding.

    Returns:
        The readable pictures (m, height, width, 3) in 0..255, a read-only memory map if all are
        readable; and the mask (n,) of readable ones.

    Raises:
        InputError: unreadable pictures without ``skip_bad``; no room for the cache.
    """
    file = path(source, images, size)
    shape = (len(images), *size, 3)

    def chunks() -> Iterator[Decoded]:
        for start in range(0, len(images), CHUNK):
            yield source.load(images[start : start + CHUNK], size)
            if progress:
                progress(min(start + CHUNK, len(images)), len(images))

    decoded, bad = _open(file, shape) or _build(file, shape, chunks())
    if bad and not skip_bad:
        name, reason = next(iter(bad.items()))
        raise InputError(
            f"{len(bad)} of {len(images)} pictures cannot be read, the first {name!r} ({reason}): "
            "repair them, or leave them out with --skip-bad"
        )
    whole = np.array([name not in bad for name in images], dtype=bool)
    return decoded if whole.all() else decoded[whole], whole


def path(source: Source, images: Sequence[str], size: tuple[int, int]) -> Path:
    """Path of the decoded pictures."""
    identity = json.dumps([FORMAT, source.name, size, source.stamp(images), list(images)])
    digest = hashlib.sha256(identity.encode()).hexdigest()[:24]
    return cache_folder() / f"{source.name}-{size[0]}x{size[1]}-{digest}.npy"


def _open(path: Path, shape: tuple[int, ...]) -> Decoded | None:
    """The cached pictures; None unless complete."""
    try:
        decoded = np.load(path, mmap_mode="r")
        bad = json.loads(path.with_suffix(".json").read_text())
        whole = path.stat().st_size == decoded.offset + decoded.nbytes
    except (OSError, ValueError, EOFError):
        return None
    return (decoded, bad) if whole and (decoded.shape, decoded.dtype) == (shape, np.uint8) else None


def _build(path: Path, shape: tuple[int, ...], chunks: Iterator[Decoded]) -> Decoded:
    """Decode into ``path`` and open it; a second process waits, then opens it too."""
    folder, temporary = path.parent, path.with_suffix(".part")
    bad: dict[str, str] = {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / "lock", "w") as claim:
            # One builder at a time, so any temporary file here was left by one that was killed.
            held = lock(claim, wait=True)
            if (cached := _open(path, shape)) is not None:
                return cached
            for left in folder.glob("*.part") if held else ():
                left.unlink()
            if shutil.disk_usage(folder).free < math.prod(shape):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            try:
                # Plain writes: a full disk under a memory map kills the process instead of raising.
                with open(temporary, "wb") as file:
                    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
                    np.lib.format.write_array_header_1_0(file, header)
                    for decoded, unreadable in chunks:
                        file.write(decoded.data)
                        bad |= unreadable
                    file.flush()
                    os.fsync(file.fileno())
                path.with_suffix(".json").write_text(json.dumps(bad))
                os.replace(temporary, path)
            finally:
                temporary.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot keep the decoded pictures ({math.prod(shape) / 1e6:,.0f} MB) in {folder}: "
            f"{error.strerror or error}; make room, or set DEEPOBFUSCATOR_CACHE to another folder"
        ) from None
    return np.load(path, mmap_mode="r"), bad
