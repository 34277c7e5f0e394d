"""Files that are there whole or not at all."""

import contextlib
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from deepobfuscator.core.errors import InputError


def write_atomic(path: Path, content: bytes | Callable[[Path], None]) -> None:
    """Write ``content`` (bytes, or a function that writes the path it is given) to ``path``.

    The bytes reach the disk under a temporary name first, so that neither a kill nor a full disk
    leaves a half-written file behind.

    Raises:
        InputError: the disk is full or the folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if callable(content):
            content(temporary)
        else:
            temporary.write_bytes(content)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
    except RuntimeError as error:  # what torch.save makes of a full disk
        raise InputError(f"cannot write {path}: is the disk full?") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def expanded(path: str | Path) -> Path:
    """``path`` with a leading ``~`` replaced by the home folder it stands for, if there is one."""
    return Path(os.path.expanduser(path))


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
