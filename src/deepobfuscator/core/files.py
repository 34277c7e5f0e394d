"""Atomic writes of files and folders, checksums, and locks."""

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import TextIO

from deepobfuscator.core.errors import InputError


def write_atomic(path: Path, content: bytes | str | Callable[[Path], None]) -> None:
    """Write ``content`` (bytes, text, or a function that writes the path it is given) to ``path``.

    Text is encoded as UTF-8; what cannot be encoded (stray bytes of a file name) becomes ``?``. The
    content is written under a temporary name first, so neither a kill nor a full disk leaves a
    half-written file.

    Raises:
        InputError: the disk is full or the folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if callable(content):
            content(temporary)
        else:
            data = content.encode(errors="replace") if isinstance(content, str) else content
            temporary.write_bytes(data)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
    except RuntimeError as error:  # torch.save on a full disk
        raise InputError(f"cannot write {path}: is the disk full?") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


@contextlib.contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """A new folder to write into; it takes the place of ``folder`` at the end of the block, whole,
    or not at all where the block raises.

    Raises:
        InputError: the disk is full or the folder cannot be written.
    """
    new, old = (folder.with_name(f".{folder.name}.{part}") for part in ("part", "old"))
    try:
        _remove(new, old)
        new.mkdir(parents=True)
        yield new
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
    except OSError as error:
        raise InputError(f"cannot write {folder}: {error.strerror or error}") from error
    finally:
        _remove(new, old)


def _remove(*folders: Path) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def checksums(files: Iterable[Path]) -> str:
    """Lines as `sha256sum` writes them."""
    return "".join(f"{sha256(file)}  {file.name}\n" for file in sorted(files))


def expanded(path: str | Path) -> Path:
    """``path`` with a leading ``~`` expanded to the home folder, if there is one."""
    return Path(os.path.expanduser(path))


def cache_folder() -> Path:
    """``$DEEPOBFUSCATOR_CACHE``, or ``~/.cache/deepobfuscator``."""
    return expanded(os.environ.get("DEEPOBFUSCATOR_CACHE") or "~/.cache/deepobfuscator")


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def lock(file: TextIO, *, wait: bool) -> bool:
    """Lock an open file until it is closed; False, and a warning, if the file system has no locks
    (NFS and Lustre may be mounted without).

    Raises:
        BlockingIOError: another process holds it, and this one does not ``wait``.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EWOULDBLOCK):
            raise BlockingIOError(error.errno, error.strerror) from None
        _warn(
            f"{Path(file.name).parent} cannot be locked ({error.strerror}): start nothing else "
            "there meanwhile"
        )
        return False
    return True


@cache
def _warn(text: str) -> None:
    print(f"deepobfuscator: warning: {text}", file=sys.stderr)
