import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from deepobfuscator.core.errors import InputError
from deepobfuscator.core.files import sha256, write_atomic


def full_disk(_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def write_half_then(error: Exception) -> Callable[[Path], None]:
    def writer(path: Path) -> None:
        path.write_bytes(b"half")
        raise error

    return writer


@pytest.mark.parametrize("content", [b"new", lambda path: path.write_bytes(b"new")])
def test_new_content_replaces_the_old_and_makes_folders(
    tmp_path: Path, content: bytes | Callable[[Path], None]
) -> None:
    path = tmp_path / "a" / "b" / "file"
    for old in (None, b"much longer old content"):
        if old is not None:
            path.write_bytes(old)
        write_atomic(path, content)
        assert path.read_bytes() == b"new"
        assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    monkeypatch.setattr(f"deepobfuscator.core.files.os.{call}", lambda *a: full_disk(a))
    with pytest.raises(InputError) as caught:
        write_atomic(path, b"new")
    assert str(caught.value) == f"cannot write {path}: No space left on device"
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "No space left on device"), RuntimeError("unexpected pos 64 vs 9")],
    ids=["OSError", "as torch.save puts it"],
)
def test_a_writer_that_runs_out_of_space_leaves_the_old_file(
    tmp_path: Path, error: Exception
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(InputError, match=f"^cannot write {path}: .*(space|disk full)") as caught:
        write_atomic(path, write_half_then(error))
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [KeyError("a bug"), KeyboardInterrupt()])
def test_other_failures_pass_through_and_leave_the_old_file(
    tmp_path: Path, error: Exception
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(type(error)):
        write_atomic(path, write_half_then(error))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_in_the_place_of_a_folder_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(InputError, match=r"^cannot write .*file/below/it: "):
        write_atomic(tmp_path / "file" / "below" / "it", b"new")
    with pytest.raises(InputError, match=r"^cannot write .*: File name too long$"):
        write_atomic(tmp_path / ("x" * 300), b"new")


def test_sha256_is_the_standard_one(tmp_path: Path) -> None:
    content = bytes(range(256)) * 5000
    (tmp_path / "file").write_bytes(content)
    assert sha256(tmp_path / "file") == hashlib.sha256(content).hexdigest()


def test_text_is_utf8_whatever_it_holds(tmp_path: Path) -> None:
    write_atomic(tmp_path / "page", "λ caf\udce9")
    assert (tmp_path / "page").read_bytes() == "λ caf?".encode()
