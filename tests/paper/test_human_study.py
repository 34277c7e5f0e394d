"""Sheets of the perceptual study from trained runs, and the command that serves them."""

import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import torch

from deepobfuscator.cli import main
from deepobfuscator.core.errors import InputError
from deepobfuscator.experiments.runner import Runner
from deepobfuscator.paper.human_study import build, machines, others
from deepobfuscator.paper.human_study import faces as faces_of
from deepobfuscator.paper.keys import Measured, Participant, RowKey
from deepobfuscator.survey.questions import Sheet

SMOKE = ("--preset", "smoke", "--data", "synthetic:440", "--limit", "340")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two trained runs on the same pictures, not audited."""
    folder = tmp_path_factory.mktemp("runs")
    for name in ("undefended", "deepobfuscator"):
        assert main(["train", *SMOKE, "--defence", name, "--out", str(folder / name)]) == 0
    return folder / "undefended", folder / "deepobfuscator"


@pytest.fixture
def shop() -> Runner:
    return Runner(torch.device("cpu"))


def test_another_picture_of_everybody_who_has_one() -> None:
    person = np.array([4, 2, 4, 9, 2, 2])
    known = np.array([1, 0, 3])  # first pictures of 2, 4, 9
    other, pairs = others(person, known)
    assert other.tolist() == [4, 2, 3]
    assert pairs.tolist() == [0, 1]
    alone, nobody = others(np.arange(3), np.arange(3))
    assert (alone.tolist(), nobody.tolist()) == ([0, 1, 2], [])


def test_a_sheet_asks_about_runs_in_turn_and_machines_answer_it(
    runs: tuple[Path, Path], shop: Runner
) -> None:
    sheet, answers = build(shop, runs, 3, "matched", 5)
    assert sheet.defence == ("undefended", "deepobfuscator", "undefended")
    assert sheet.looks[0] == "Male"
    assert len(answers[Participant.EMBEDDING]) == 3
    again, _ = build(shop, runs, 3, "matched", 5)
    assert again.key == sheet.key
    other, _ = build(shop, runs, 3, "matched", 6)
    assert other.key != sheet.key


def test_the_answer_is_the_rebuilt_picture_at_random_and_another_one_when_matched(
    runs: tuple[Path, Path], shop: Runner
) -> None:
    one = faces_of(shop, runs[0], recogniser=False)
    assert one.rebuilt["random"].shape == one.raw.shape
    assert not np.array_equal(one.rebuilt["random"], one.rebuilt["matched"])
    drawn = one.draw(4, "random", 0)
    asked = drawn.rows[np.arange(4), drawn.answer]
    sheet = one.sheet(drawn, "random", 0)
    assert np.array_equal(sheet.options[np.arange(4), drawn.answer], one.raw[asked])
    assert np.array_equal(sheet.rebuilt, one.rebuilt["random"][asked])


def test_machines_see_what_was_rebuilt(runs: tuple[Path, Path], shop: Runner) -> None:
    game = faces_of(shop, runs[1], recogniser=False)
    key = RowKey(Measured.DEEPOBFUSCATOR)
    found = {row.row.by: row for row in machines([game], key, "random")}
    pixels = found[Participant.PIXELS]
    assert str(pixels.row) == "DeepObfuscator, pixels"
    assert pixels.fresh is not None
    assert pixels.in_game is not None
    assert pixels.low is not None
    assert pixels.high is not None
    assert 0 <= pixels.low <= pixels.fresh <= pixels.high <= 1
    assert pixels.majority == 0.25
    plain = faces_of(shop, runs[0], recogniser=False)
    assert all(x.in_game is None for x in machines([plain], RowKey(Measured.UNDEFENDED), "random"))


def test_what_cannot_be_asked_is_said_in_one_line(
    runs: tuple[Path, Path],
    shop: Runner,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(InputError, match="questions need"):
        build(shop, runs[:1], 150, "matched", 0)
    other = tmp_path / "other"
    assert main(["train", *SMOKE, "--split-seed", "3", "--out", str(other)]) == 0
    with pytest.raises(InputError, match="other test pictures"):
        build(shop, [runs[0], other], 3, "matched", 0)
    capsys.readouterr()
    assert main(["survey", str(tmp_path / "nothing")]) == 2
    assert re.fullmatch(r"deepobfuscator: error: .*holds no run.*\n", capsys.readouterr().err)


def test_the_command_serves_a_study_and_refuses_another_sheet(
    runs: tuple[Path, Path], tmp_path: Path
) -> None:
    pytest.importorskip("uvicorn")
    run = tmp_path / "run"
    shutil.copytree(runs[0], run)
    command = [sys.executable, "-m", "deepobfuscator", "survey", str(run), "--port", "0"]
    asked = [*command, "--questions", "3", "--token", "mine"]
    with subprocess.Popen(asked, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as held:
        try:
            assert held.stdout is not None
            address = held.stdout.readline().split()[-1]
            owner = held.stdout.readline().split()[-1]
            assert owner == f"{address}owner?token=mine"
            assert "reconstructed picture" in get(address)
            assert "machine: face embedding" in get(owner)
            with pytest.raises(urllib.error.HTTPError):
                get(f"{address}owner?token=yours")
        finally:
            held.send_signal(signal.SIGINT)
            assert held.wait(30) == 0
    assert len(Sheet.load(run / "survey" / "sheet.npz")) == 3
    other = subprocess.run([*command, "--questions", "4"], capture_output=True, text=True)
    assert other.returncode == 2
    assert "another sheet" in other.stderr.splitlines()[-1]


def get(address: str) -> str:
    """A page, fetched with retries by a client that keeps cookies."""
    visitor = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    for attempt in range(50):
        try:
            with visitor.open(address) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError:
            raise
        except urllib.error.URLError:
            if attempt == 49:
                raise
            time.sleep(0.1)
    raise AssertionError
