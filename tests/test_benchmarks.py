"""The benchmarks still run, and compare what is comparable. How fast anything is, is not tested."""

import json
import os
import subprocess
import sys
from pathlib import Path
from time import sleep
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from deepobfuscator.data import files_source
from deepobfuscator.metrics.images import ms_ssim

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def quick(out: Path, *names: str) -> tuple[str, dict[str, Any]]:
    """What a smoke run prints and what it leaves."""
    command = [sys.executable, str(BENCHMARKS / "run.py"), *names, "--quick", "--out", str(out)]
    environment = {k: v for k, v in os.environ.items() if k != "DEEPOBFUSCATOR_CACHE"}
    done = subprocess.run(
        [*command, "--data", "synthetic"],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads((out / "results.json").read_text())


def test_every_benchmark_runs_and_fills_the_table(tmp_path: Path) -> None:
    printed, results = quick(tmp_path)
    rows = {(r["benchmark"], r["case"], r["unit"], r["against"]): r for r in results["rows"]}
    names = ["game", "ms_ssim", "data", "audit", "scaling", "compiled", "edge", "service"]
    assert list(dict.fromkeys(name for name, *_ in rows)) == names
    game = rows["game", "32x32, width 0.0625, batch 8", "images/s", "reference"]
    libraries = [r for (name, *_, library), r in rows.items() if library == "pytorch-msssim"]
    files = "Pillow in a DataLoader, 2 workers"
    epochs = [
        rows["data", f"32x32, {kind}", "pictures/s", files] for kind in ("cold", "warm", "memory")
    ]
    alone = [r for (*_, against), r in rows.items() if against == "each attacker from files"]
    for row in (game, *libraries, *epochs, *alone):
        assert row["product"]["median"] > 0
        assert row["ratio"] > 0
        assert row["fraction"] > 0
    assert len(libraries) == 1
    seconds = {r["case"]: r["theirs"]["median"] for r in alone}
    assert {"ac", "mirror", "urec1"} < set(seconds)
    whole = seconds.pop("whole suite")
    assert whole == pytest.approx(sum(seconds.values()))
    assert {unit for name, _, unit, _ in rows if name == "scaling"} == {
        "images/s",
        "s to the first step",
        "MiB anonymous",
    }
    assert not (tmp_path / "scaling").exists()
    lines = printed.splitlines()
    assert sum(line.startswith("| ") for line in lines) == len(rows) + 2
    assert {"processor", "cores", "torch", "fp32 GFLOP/s", "bf16 GFLOP/s"} <= {
        line.partition(":")[0] for line in lines
    }


def test_an_unknown_benchmark_is_refused_with_the_names_there_are() -> None:
    command = [sys.executable, str(BENCHMARKS / "run.py"), "gane"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no benchmark 'gane': take from game, ms_ssim" in done.stderr


@pytest.mark.usefixtures("_importable")
@pytest.mark.parametrize(("size", "width"), [((64, 64), 0.25), ((216, 176), 0.5)])
def test_the_reference_has_the_products_parameters(size: tuple[int, int], width: float) -> None:
    import game

    counts = game.same_networks(size, width)
    assert set(counts) == {"O", "C", "AC", "AR"}
    assert all(ours == theirs > 0 for ours, theirs in counts.values())


@pytest.mark.usefixtures("_importable")
@pytest.mark.parametrize("source", [(218, 178), (100, 90), (300, 200)])
@pytest.mark.parametrize("size", [(64, 64), (216, 176)])
def test_the_reference_sees_the_products_pictures(
    source: tuple[int, int], size: tuple[int, int]
) -> None:
    import reference

    pixels = np.random.default_rng(0).integers(0, 256, (*source, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels)
    ours, theirs = files_source.fit(picture, size), reference.fit(picture, size)
    np.testing.assert_array_equal(np.asarray(theirs), np.asarray(ours))


@pytest.mark.usefixtures("_importable")
@pytest.mark.parametrize("side", [32, 64, 176])
def test_the_reference_has_the_products_index(side: int) -> None:
    import reference

    generator = torch.Generator().manual_seed(0)
    x = torch.rand(2, 3, side, side, generator=generator)
    y = (x + 0.1 * torch.rand(2, 3, side, side, generator=generator)).clamp(0, 1)
    torch.testing.assert_close(reference.likeness(x, y), ms_ssim(x, y), atol=2e-5, rtol=0)


@pytest.mark.usefixtures("_importable")
def test_the_limit_counts_what_a_stage_cannot_avoid() -> None:
    import game
    from limit import Operation

    need = game.needs((32, 32), 1 / 16, 8)
    # O's first convolution: 3 to 4 channels at 32x32. Nothing upstream of it moves.
    first = (8, 3, 4, 32, 32, 3)
    for stage, trained in (("defend against AR", 1), ("attack", 0), ("recover C", 0)):
        assert need[stage][Operation("forward", first)] == 1
        assert need[stage][Operation("weight", first)] == trained
        assert need[stage][Operation("input", first)] == 0
    # AR's last layer paints pictures: its weights move in the attack alone, and there is none of
    # it where C is at stake.
    last = (8, 4, 3, 32, 32, 3)
    wanted = {
        "defend against AR": (1, 1, 0),
        "defend against AC": (0, 0, 0),
        "attack": (1, 1, 1),
        "recover C": (0, 0, 0),
    }
    for stage, counts in wanted.items():
        kinds = ("forward", "input", "weight")
        assert tuple(need[stage][Operation(kind, last)] for kind in kinds) == counts
    # The same shape in C and in AC: each goes forward where both are asked.
    middle = (8, 8, 16, 8, 8, 3)
    assert need["defend against AC"][Operation("forward", middle)] == 2
    assert need["recover C"][Operation("forward", middle)] == 1


def device_run(out: Path, *arguments: str) -> "subprocess.Popen[str]":
    """The device benchmark at tiny sizes."""
    command = [str(BENCHMARKS / "device" / "run.sh"), "--rehearse", "--out", str(out), *arguments]
    environment = os.environ | {"PYTHON": sys.executable}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def test_the_device_benchmark_is_rehearsed_from_end_to_end(tmp_path: Path) -> None:
    run = device_run(tmp_path, "--seconds", "1200")
    printed, _ = run.communicate()
    assert run.returncode == 0, printed
    found = json.loads((tmp_path / "device.json").read_text())
    assert found["parts"] == {"correct": "done", "fast": "done", "scale": "done"}
    correct, fast, scale = found["correct"], found["fast"], found["scale"]
    checks = [correct[name] for name in ("folded norms", "augmentation", "Bundle.encode")]
    checks += [correct["recorded"], correct["killed and resumed"]]
    assert all(check["right"] for check in (*checks, *correct["stages"], *correct["ms_ssim"]))
    assert {row["stage"] for row in correct["stages"]} >= {"defend against AR", "recover C"}
    assert fast["game paper"]["images/s"] > 0
    assert fast["phases paper"].keys() == {"pre-train O, C", "pre-train AC, AR", "algorithm 1"}
    for name in ("undefended", "deepobfuscator"):
        tried = {(r["subject"], r["attack"]) for r in scale[name]}
        assert {("Male", "ac"), ("Male", "resnet"), ("image", "mirror")} <= tried
    assert ("Male", "in-game") in {(r["subject"], r["attack"]) for r in scale["deepobfuscator"]}
    page = (tmp_path / "device.md").read_text()
    for section in ("## Correct", "## Fast", "## The whole paper", "## The paper's scale"):
        assert section in page


def test_a_device_benchmark_that_is_stopped_leaves_what_it_has(tmp_path: Path) -> None:
    run = device_run(tmp_path, "correct")
    while not (tmp_path / "correct.json").exists() and run.poll() is None:
        sleep(0.1)
    run.terminate()
    run.communicate()
    assert run.returncode != 0
    found = json.loads((tmp_path / "device.json").read_text())
    assert found["parts"] == {"correct": "stopped"}
    assert found["correct"]["device"]
    assert "Correct" in (tmp_path / "device.md").read_text()
