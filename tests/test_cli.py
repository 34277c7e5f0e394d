"""The command line: the main job end to end, and what bad input gets."""

import errno
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepobfuscator.cli import main
from deepobfuscator.core.records import read_jsonl, select

SMOKE = ("--preset", "smoke", "--limit", "64", "--infer-epochs", "1")


@pytest.fixture
def crowd(tmp_path: Path) -> Path:
    """A folder of 104 tiny pictures in their own three parts, with labels.csv."""
    folder = tmp_path / "crowd"
    folder.mkdir()
    draw = np.random.default_rng(0)
    rows = ["image,Smiling,Male,Bald,split"]
    for i in range(104):
        part = "train" if i < 64 else "validation" if i < 84 else "test"
        pixels = draw.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((40, 40)).save(folder / f"{i:03d}.png")
        rows.append(f"{i:03d}.png,{i % 2},{i // 2 % 2},0,{part}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line on standard error of a command that ends with code 2."""
    capsys.readouterr()
    assert main([str(a) for a in arguments]) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith("deepobfuscator: error: ")
    return line.removeprefix("deepobfuscator: error: ")


def train(crowd: Path, out: Path | str, *more: object) -> tuple[object, ...]:
    return ("train", "--data", f"folder:{crowd}", *SMOKE, "--out", out, *more)


# -- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--data", "celeba:/no/such/folder"), "/no/such/folder"),
        (("--data", "celebb:x"), "did you mean celeba?"),
        (("--public", "Smilling"), "no attribute 'Smilling' in this data: did you mean Smiling?"),
        (("--public", "Male", "--private", "Male"), "Male cannot be public and private at once"),
        (("--private", "Bald"), "attribute 'Bald' is 0 on every picture"),
        (("--size", "30x32"), "at least 32"),
        (("--size", "64x66"), "multiples of 4 to train"),
        (("--size", "big"), "'big' is not HEIGHTxWIDTH"),
        (("--width", "0"), "--width must be above 0"),
        (("--limit", "4"), "too few pictures"),
        (("--limit", "9999"), "the training pool holds only 64 pictures"),
        (("--defence", "deepobfuscater"), "did you mean deepobfuscator?"),
        (("--lambda1", "-1"), "--lambda1 and --lambda2 must not be negative"),
        (("--preset", "smal"), "did you mean small?"),
        (("--precision", "fp8"), "--precision fp8: take one of"),
        (("--device", "quantum"), "--device quantum: torch cannot use it here"),
        (("--no-such-option",), "--no-such-option"),
        (("--epochs", "inf"), "'inf' is not a finite number"),
        (("--epochs", "ten"), "'ten' is not a number (see deepobfuscator train --help)"),
        (("--seed", "1.5"), "'1.5' is not a whole number"),
        (("--epoch", "1"), "deepobfuscator train does not take '--epoch': did you mean --epochs"),
        (("--trial", "some.json"), "--trial brings its own settings: drop --data"),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, tuple) else None,
)
def test_bad_arguments_get_one_line(
    crowd: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], says: str
) -> None:
    out = crowd.parent / "run"
    assert says in refused(capsys, *train(crowd, out, *arguments))
    assert not (out / "bundle").exists()


def test_a_bare_command_shows_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 0
    assert "deepobfuscator compare" in capsys.readouterr().out


def test_a_command_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert "no command 'trian': did you mean train?" in refused(capsys, "trian")
    assert "deepobfuscator report does not take '--seed'" in refused(
        capsys, "report", "x", "--seed", "1"
    )


def damage(name: str, content: bytes | Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def apply(crowd: Path) -> None:
        path = crowd / name
        path.write_bytes(content if isinstance(content, bytes) else content(path.read_bytes()))

    return apply


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (damage("003.png", lambda b: b[: len(b) // 2]), "003.png"),
        (damage("004.png", b""), "004.png"),
        (damage("005.png", b"this is no picture"), "005.png"),
        (lambda crowd: (crowd / "006.png").unlink(), "006.png"),
        (lambda crowd: Image.new("RGB", (9, 9)).save(crowd / "extra.png"), "extra.png"),
        (damage("labels.csv", lambda b: b.replace(b"007.png,1", b"007.png,maybe")), "maybe"),
        (damage("labels.csv", b""), "labels.csv"),
        (lambda crowd: (crowd / "labels.csv").unlink(), "labels.csv"),
    ],
    ids=["truncated", "zero bytes", "no image", "no picture", "no row", "value", "empty", "none"],
)
def test_bad_data_is_named(
    crowd: Path, capsys: pytest.CaptureFixture[str], spoil: Callable[[Path], None], says: str
) -> None:
    spoil(crowd)
    out = crowd.parent / "run"
    assert says in refused(capsys, *train(crowd, out))
    assert not (out / "bundle").exists()


def test_skip_bad_goes_on_and_counts(crowd: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (crowd / "003.png").write_bytes(b"")
    (crowd / "100.png").write_bytes(b"no picture")
    out = crowd.parent / "run"
    assert "--skip-bad" in refused(capsys, *train(crowd, out))
    assert main([str(a) for a in train(crowd, crowd.parent / "other", "--skip-bad")]) == 0
    card = json.loads((crowd.parent / "other" / "bundle" / "card.json").read_text())
    assert card["data"]["skipped"] == 2
    assert sum(card["data"]["pictures"].values()) == 102


def test_a_presets_limit_gives_way_and_a_given_one_does_not(
    crowd: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = crowd.parent / "run"
    words = [str(word) for word in train(crowd, out) if word not in ("--limit", "64")]
    assert main(words) == 0
    assert json.loads((out / "trial.json").read_text())["limit"] is None
    assert "holds only 64" in refused(capsys, *train(crowd, f"{out}2", "--limit", 400))


def test_home_and_names_with_brackets(
    crowd: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(crowd.parent))
    monkeypatch.chdir(crowd)
    labels = crowd / "labels.csv"
    labels.write_text(labels.read_text().replace("Smiling,Male", "Smiling [1],[/b]", 1))
    words = ["train", "--data", "folder:~/crowd", *SMOKE, "--out=~/run"]
    assert main([*words, "--public", "Smiling [1]", "--private", "[/b]"]) == 0
    gate = ["--fail-if", "[/b].excess > 0.99"]
    assert main(["audit", "~/run", "--suite", "brief", "--page=~/page.html", *gate]) in (0, 4)
    capsys.readouterr()
    assert main(["report", "~/run", "--out=~/all.html"]) == 0
    assert "Smiling [1]" in (shown := capsys.readouterr().out)
    assert "[/b]" in shown
    assert {"run", "page.html", "all.html"} <= {path.name for path in crowd.parent.iterdir()}
    assert not (crowd / "~").exists()
    assert "no/such" in refused(capsys, "train", "--data", "celeba:~nobody/no/such")


def test_a_full_disk_is_one_line_and_loses_nothing(
    crowd: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = crowd.parent / "run"
    real = os.fsync
    calls = 0

    def full(file: int) -> None:
        nonlocal calls
        calls += 1
        if calls > 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(file)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert "No space left on device" in refused(capsys, *train(crowd, out))
    assert not list(out.rglob("*.part"))
    assert main([str(a) for a in train(crowd, out)]) == 0


@pytest.fixture
def trained(crowd: Path) -> Path:
    out = crowd.parent / "run"
    assert main([str(a) for a in train(crowd, out, "--defence", "narrow-code")]) == 0
    return out


def test_a_folder_with_another_trial_is_left_alone(
    trained: Path, crowd: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (trained / "trial.json").read_bytes()
    line = refused(capsys, *train(crowd, trained, "--defence", "narrow-code", "--bits", 4))
    assert "defence.bits is 2 there, 4 here" in line
    assert (trained / "trial.json").read_bytes() == before


@pytest.mark.parametrize("harm", ["cut", "altered", "missing", "card"])
def test_a_harmed_bundle_is_refused(
    trained: Path, capsys: pytest.CaptureFixture[str], harm: str
) -> None:
    path = trained / "bundle" / ("card.json" if harm == "card" else "O.safetensors")
    content = path.read_bytes()
    if harm == "missing":
        path.unlink()
    elif harm == "cut":
        path.write_bytes(content[:-100])
    else:
        path.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
    line = refused(capsys, "audit", trained)
    assert path.name in line
    assert "cut short" in line


def test_data_that_changed_since_training_is_refused(
    trained: Path, crowd: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = crowd / "labels.csv"
    labels.write_text(labels.read_text().replace("000.png,0", "000.png,1"))
    assert "changed since" in refused(capsys, "audit", trained)


def test_data_that_moved_is_audited_where_it_is_if_it_is_the_same(
    trained: Path, crowd: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved, other = crowd.with_name("moved"), crowd.with_name("other")
    shutil.copytree(crowd, other)
    (other / "000.png").write_bytes((other / "002.png").read_bytes())
    crowd.rename(moved)
    assert "with --data folder:PATH" in refused(capsys, "audit", trained)
    before = (trained / "trial.json").read_bytes()
    assert "changed since" in refused(capsys, "audit", trained, "--data", f"folder:{other}")
    line = refused(capsys, "audit", trained, "--data", f"folder:{moved}", "--private", "Bald")
    assert "drop --private" in line
    assert (trained / "trial.json").read_bytes() == before
    audit = ["audit", str(trained), "--suite", "brief"]
    assert main([*audit, "--data", f"folder:{moved}"]) == 0
    assert json.loads((trained / "trial.json").read_text())["source"]["path"] == str(moved)
    assert main(audit) == 0, "its place is known from now on"


def test_a_trial_file_that_is_missing_or_wrong(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "cannot read the trial nowhere.json" in refused(
        capsys, "train", "--trial", "nowhere.json"
    )
    path = trained / "trial.json"
    path.write_text(path.read_text().replace('"bits"', '"bats"'))
    line = refused(capsys, "train", "--trial", path, "--out", trained.parent / "x")
    assert "unknown field 'bats': did you mean bits?" in line


def test_audit_and_report_of_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "holds no run" in refused(capsys, "audit", tmp_path)
    assert str(tmp_path) in refused(capsys, "report", tmp_path)


# -- the main job ---------------------------------------------------------------------------------


def test_train_audit_report(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", str(trained)]) == 0
    assert str(trained / "report.html") in capsys.readouterr().out
    records = read_jsonl(trained / "records.jsonl")
    assert select(records, attack="service", subject="Smiling", metric="accuracy")
    assert select(records, attack="ceiling", subject="Male")
    stamp = (trained / "records.jsonl").stat().st_mtime_ns
    assert main(["audit", str(trained)]) == 0
    assert (trained / "records.jsonl").stat().st_mtime_ns == stamp, "done is done"

    notes = trained / "audit" / "notes.json"
    notes.write_text(
        re.sub('"attacks": "[0-9a-f]+"', '"attacks": "of another version"', notes.read_text())
    )
    next((trained / "audit").glob("linear-*.npz")).unlink()
    assert main(["audit", str(trained)]) == 0, "an attack that is new is fitted"
    assert read_jsonl(trained / "records.jsonl") == records

    page = trained.parent / "page.html"
    assert main(["report", str(trained), "-o", str(page), "--no-faces"]) == 0
    assert "data:image" not in page.read_text()


def test_a_trial_file_repeats_the_run(trained: Path, crowd: Path) -> None:
    again = crowd.parent / "again"
    assert main(["train", "--trial", str(trained / "trial.json"), "--out", str(again)]) == 0
    for name in ("O.safetensors", "C.safetensors", "T.safetensors"):
        assert (again / "bundle" / name).read_bytes() == (trained / "bundle" / name).read_bytes()
    assert (again / "history.jsonl").read_bytes() == (trained / "history.jsonl").read_bytes()


def test_the_card_says_what_was_assumed(trained: Path) -> None:
    card = json.loads((trained / "bundle" / "card.json").read_text())
    assert card["wire_bits"] == 2
    assert card["trial"] == json.loads((trained / "trial.json").read_text())
    assert any("learning rate" in s.lower() or "adam" in s.lower() for s in card["assumptions"])
    assert card["command"].startswith("deepobfuscator train ")


def test_an_option_before_the_command_is_refused_too(capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, "--nonsense", "train")
    assert "does not take '--nonsense'" in said
    assert "deepobfuscator --help" in said


def test_a_folder_of_runs_names_its_runs(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "trial.json").write_text("{}")
    said = refused(capsys, "audit", str(tmp_path))
    assert "holds 2 runs; audit one of them" in said
    assert str(tmp_path / "one") in said
    assert str(tmp_path / "two") in said
