import errno
import os
import shutil
import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from deepobfuscator.core.errors import InputError
from deepobfuscator.data import cache
from deepobfuscator.data.folder_csv import Folder

NAMES = tuple(f"{i}.png" for i in range(10))
SIZE = (6, 5)


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.setenv("DEEPOBFUSCATOR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "CHUNK", 4)
    (tmp_path / "data").mkdir()
    for i, name in enumerate(NAMES):
        Image.fromarray(pixels(i)).save(tmp_path / "data" / name)
    return Folder(tmp_path / "data")


def pixels(i: int) -> NDArray[np.uint8]:
    return np.random.default_rng(i).integers(0, 256, (*SIZE, 3), dtype=np.uint8)


ALL = np.stack([pixels(i) for i in range(10)])


def forbid_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: object) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr(Folder, "load", load)


def files(pattern: str) -> list[Path]:
    return sorted(cache.cache_folder().glob(pattern))


def test_decodes_in_the_order_asked(source: Folder) -> None:
    names = (*NAMES[5:], *NAMES[:5])
    decoded, whole = cache.pictures(source, names, SIZE)
    assert (decoded == np.roll(ALL, -5, axis=0)).all()
    assert whole.all()
    with pytest.raises(ValueError, match="read-only"):
        decoded[0] = 0


def test_progress_counts_every_picture(source: Folder) -> None:
    calls: list[tuple[int, int]] = []
    cache.pictures(source, NAMES, SIZE, progress=lambda done, n: calls.append((done, n)))
    assert calls == [(4, 10), (8, 10), (10, 10)]


def test_a_warm_start_decodes_nothing(source: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.pictures(source, NAMES, SIZE)
    forbid_decoding(monkeypatch)
    assert (cache.pictures(source, NAMES, SIZE)[0] == ALL).all()


def test_a_changed_picture_is_decoded_anew(source: Folder) -> None:
    cache.pictures(source, NAMES, SIZE)
    Image.fromarray(pixels(77)).save(source.path / NAMES[3])
    os.utime(source.path / NAMES[3], ns=(1, 1))
    assert (cache.pictures(source, NAMES, SIZE)[0][3] == pixels(77)).all()


def test_another_folder_with_the_same_names_sizes_and_times_is_not_mixed_up(
    source: Folder, tmp_path: Path
) -> None:
    other = Folder(tmp_path / "other")
    other.path.mkdir()
    for folder, colour in ((source.path, 10), (other.path, 20)):
        Image.new("RGB", (5, 6), (colour,) * 3).save(folder / "x.bmp")
        os.utime(folder / "x.bmp", ns=(1, 1))
    assert (cache.pictures(source, ["x.bmp"], SIZE)[0] == 10).all()
    assert (cache.pictures(other, ["x.bmp"], SIZE)[0] == 20).all()


def test_another_size_is_another_cache(source: Folder) -> None:
    assert cache.pictures(source, NAMES, SIZE)[0].shape == (10, 6, 5, 3)
    assert cache.pictures(source, NAMES, (5, 5))[0].shape == (10, 5, 5, 3)
    assert len(files("*.npy")) == 2


def test_bad_pictures_are_refused_or_skipped_cold_and_warm(
    source: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("2.png", "7.png"):
        (source.path / name).write_bytes(b"")
    message = r"^2 of 10 pictures cannot be read, the first '2\.png' \(not an image\).*--skip-bad$"
    with pytest.raises(InputError, match=message):
        cache.pictures(source, NAMES, SIZE)
    forbid_decoding(monkeypatch)
    with pytest.raises(InputError, match=message):
        cache.pictures(source, NAMES, SIZE)
    decoded, whole = cache.pictures(source, NAMES, SIZE, skip_bad=True)
    assert np.flatnonzero(~whole).tolist() == [2, 7]
    assert (decoded == ALL[whole]).all()


@pytest.mark.parametrize("ending", [".npy", ".json"])
@pytest.mark.parametrize(
    "harm",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(path.read_bytes() + b"\1"),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"\xff garbage"),
        lambda path: np.save(path.with_suffix(".npy"), ALL[:9]),
        lambda path: np.save(path.with_suffix(".npy"), ALL.astype(np.int8)),
        lambda path: path.unlink(),
    ],
    ids=["cut", "long", "empty", "garbage", "fewer", "type", "gone"],
)
def test_a_damaged_cache_is_rebuilt(
    source: Folder, ending: str, harm: Callable[[Path], object]
) -> None:
    cache.pictures(source, NAMES, SIZE)
    (path,) = files("*" + ending)
    content = path.read_bytes()
    harm(path)
    decoded, whole = cache.pictures(source, NAMES, SIZE)
    assert (decoded == ALL).all()
    assert whole.all()
    assert path.read_bytes() == content


SCRIPT = """
import os, signal, sys
from pathlib import Path
import numpy as np
from deepobfuscator.data import cache
from deepobfuscator.data.folder_csv import Folder

cache.CHUNK = 4
load = Folder.load

def counted(self, images, size):
    with open(self.path / "loads", "a") as file:
        file.write(images[0] + "\\n")
    if "die" in sys.argv and images[0] == "8.png":
        os.kill(os.getpid(), signal.SIGKILL)
    return load(self, images, size)

Folder.load = counted
decoded, _ = cache.pictures(Folder(Path(sys.argv[1])), [f"{i}.png" for i in range(10)], (6, 5))
sys.stdout.buffer.write(decoded.tobytes())
"""


def test_a_killed_build_leaves_nothing_that_is_taken_for_whole(source: Folder) -> None:
    command = [sys.executable, "-c", SCRIPT, str(source.path), "die"]
    assert subprocess.run(command, check=False).returncode == -9
    assert files("*.npy") == []
    assert len(files("*.part")) == 1
    cache.pictures(source, NAMES[:2], SIZE)
    assert files("*.part") == [], "what a dead process left is cleared by the next build"
    assert (cache.pictures(source, NAMES, SIZE)[0] == ALL).all()


def test_processes_at_once_decode_once_and_agree(source: Folder) -> None:
    command = [sys.executable, "-c", SCRIPT, str(source.path)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(3)]
    assert [p.communicate(timeout=60)[0] for p in running] == [ALL.tobytes()] * 3
    assert (source.path / "loads").read_text().split() == ["0.png", "4.png", "8.png"]
    assert files("*.part") == []


def test_a_full_disk_is_told_before_decoding(
    source: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, 10**5))
    forbid_decoding(monkeypatch)
    with pytest.raises(InputError, match=r"\(7,200 MB\).*No space left.*DEEPOBFUSCATOR_CACHE"):
        cache.pictures(source, NAMES, (12_000, 20_000))


def test_a_disk_that_fills_up_while_writing(
    source: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fsync(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        with pytest.raises(InputError, match=r"MB\) in .*: No space left on device; make room"):
            cache.pictures(source, NAMES, SIZE)
    assert files("*.npy") == files("*.part") == []
    assert (cache.pictures(source, NAMES, SIZE)[0] == ALL).all()


def test_a_folder_that_cannot_be_made(
    source: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DEEPOBFUSCATOR_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(InputError, match="Not a directory; make room, or set DEEPOBFUSCATOR_CACHE"):
        cache.pictures(source, NAMES, SIZE)
