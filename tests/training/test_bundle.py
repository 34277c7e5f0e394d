import errno
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from rich.console import Console

from deepobfuscator.core.errors import InputError
from deepobfuscator.core.files import sha256
from deepobfuscator.core.runtime import Context
from deepobfuscator.nn.decoders import mirror
from deepobfuscator.nn.vgg import Classifier, Obfuscator, initialise
from deepobfuscator.training.bundle import CARD, CHUNK, SUMS, Bundle, apply, check, load
from deepobfuscator.training.objectives import Players

SIZE = (32, 32)
CARD_OF = {"key": "0123456789ab", "trial": {"setting": {"seed": 3}}, "note": "λ1"}


def players(width: float = 0.05, seed: int = 0) -> Players:
    encoder = Obfuscator(SIZE, width)
    made: Players = {
        "O": encoder,
        "C": Classifier(encoder.features, 2, SIZE, width),
        "AR": mirror(encoder.features, SIZE, width),
    }
    for player in made.values():
        initialise(player, seed)
    return made


def pictures(count: int = 6) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, *SIZE, 3), dtype=np.uint8)


@pytest.fixture
def run(tmp_path: Path) -> Context:
    return Context(tmp_path, console=Console(quiet=True))


@pytest.fixture
def bundle() -> Bundle:
    """A bundle whose batch norms have seen pictures."""
    made = Bundle(players(), dict(CARD_OF))
    seen = torch.from_numpy(pictures(16)).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        for name in ("C", "AR"):
            made.players[name].train()(made.encoder.train()(seen))
    for player in made.players.values():
        player.eval()
    return made


@pytest.fixture
def saved(bundle: Bundle, tmp_path: Path) -> Path:
    bundle.save(tmp_path / "bundle")
    return tmp_path / "bundle"


def hidden(folder: Path) -> list[str]:
    """What a save has left behind beside the bundle."""
    return [path.name for path in folder.parent.iterdir() if path != folder]


def test_a_bundle_comes_back_as_it_was(bundle: Bundle, saved: Path, run: Context) -> None:
    again = load(saved, players(seed=9), run)
    assert again.card == CARD_OF == check(saved)
    features = bundle.encode(pictures(), run)
    assert torch.equal(again.encode(pictures(), run), features)
    for name, player in again.players.items():
        assert not player.training
        if name != "O":
            assert torch.equal(
                apply(player, features, run), apply(bundle.players[name], features, run)
            )
    assert features.shape == (6, *bundle.encoder.features)


def test_features_are_those_of_pictures_in_0_to_1_whatever_the_chunks(
    bundle: Bundle, run: Context
) -> None:
    many = pictures(CHUNK + 3)
    inputs = torch.from_numpy(many.astype(np.float32) / 255).permute(0, 3, 1, 2)
    with torch.no_grad():
        expected = bundle.encoder(inputs)
    features = bundle.encode(many, run)
    assert not features.requires_grad
    torch.testing.assert_close(features, expected, rtol=1e-5, atol=1e-6)


def test_a_folder_holds_weights_card_and_sums_and_nothing_that_runs(saved: Path) -> None:
    names = {path.name for path in saved.iterdir()}
    assert names == {"O.safetensors", "C.safetensors", "AR.safetensors", CARD, SUMS}
    for path in saved.glob("*.safetensors"):
        content = path.read_bytes()
        header = int.from_bytes(content[:8], "little")
        assert content[8 : 8 + header].startswith(b"{")
        assert not content.startswith((b"PK", b"\x80"))
    lines = (saved / SUMS).read_text().splitlines()
    assert lines == [f"{sha256(saved / n)}  {n}" for n in sorted(names - {SUMS})]
    assert not hidden(saved)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def alter(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["O.safetensors", "C.safetensors", "AR.safetensors", CARD, SUMS])
@pytest.mark.parametrize("damage", [cut, alter, Path.unlink])
def test_damage_to_any_file_is_told_in_one_line(
    saved: Path, run: Context, name: str, damage: Callable[[Path], None]
) -> None:
    damage(saved / name)
    with pytest.raises(InputError) as caught:
        load(saved, players(), run)
    assert str(saved) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_altered_card_is_not_believed(saved: Path) -> None:
    text = (saved / CARD).read_text()
    (saved / CARD).write_text(text.replace("0123456789ab", "ba9876543210"))
    with pytest.raises(InputError, match=r"card\.json does not match SHA256SUMS, so .*altered"):
        check(saved)


@pytest.mark.parametrize("make", [lambda path: None, Path.mkdir, Path.touch])
def test_what_is_no_bundle_says_train_first(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "bundle")
    with pytest.raises(InputError, match="holds no finished bundle: train first"):
        check(tmp_path / "bundle")


def test_weights_of_another_architecture_are_refused(saved: Path, run: Context) -> None:
    with pytest.raises(InputError, match=r"O\.safetensors does not fit: .*size mismatch") as caught:
        load(saved, players(width=0.1), run)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"AC\.safetensors does not fit: "):
        load(saved, players() | {"AC": players()["C"]}, run)


@pytest.mark.parametrize("before", [True, False], ids=["over another", "the first"])
@pytest.mark.parametrize("step", range(10))
def test_a_full_disk_at_any_file_leaves_the_bundle_before_or_none(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, before: bool
) -> None:
    """Saving five files syncs and renames each: the disk fills up at one of those ten calls."""
    folder = tmp_path / "bundle"
    if before:
        bundle.save(folder)
    left = iter([True] * step)

    def failing(call: Callable[..., None]) -> Callable[..., None]:
        def attempt(*arguments: object) -> None:
            if not next(left, False):
                raise OSError(errno.ENOSPC, "No space left on device")
            call(*arguments)

        return attempt

    monkeypatch.setattr(os, "fsync", failing(os.fsync))
    monkeypatch.setattr(os, "replace", failing(os.replace))
    with pytest.raises(InputError, match=r"No space left on device$"):
        Bundle(players(seed=5), {"key": "new"}).save(folder)
    monkeypatch.undo()
    assert not hidden(folder)
    if before:
        assert check(folder) == CARD_OF
    else:
        assert not folder.exists()
        bundle.save(folder)
        assert check(folder) == CARD_OF


@pytest.mark.parametrize("survived", [0, 1])
def test_a_kill_between_the_renames_leaves_a_whole_bundle_or_none(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, survived: int
) -> None:
    folder, rename = tmp_path / "bundle", Path.rename
    bundle.save(folder)
    left = iter([True] * survived)

    def killed(path: Path, target: Path) -> None:
        if not next(left, False):
            raise KeyboardInterrupt
        rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", killed)
        patch.setattr(
            "deepobfuscator.core.files._remove", lambda *_: None
        )  # a kill tidies nothing up
        with pytest.raises(KeyboardInterrupt):
            Bundle(players(seed=5), {"key": "new"}).save(folder)
    assert hidden(folder)
    assert not folder.exists() or check(folder) == CARD_OF
    bundle.save(folder)
    assert check(folder) == CARD_OF
    assert not hidden(folder)


def test_a_folder_that_cannot_be_written_is_told_in_one_line(
    bundle: Bundle, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"^cannot write .*file"):
        bundle.save(tmp_path / "file" / "bundle")
