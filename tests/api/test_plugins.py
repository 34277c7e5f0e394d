"""Defences, attacks and networks from outside the package go through everything."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import deepobfuscator as do

HERE = Path(__file__).parent
SMOKE = do.PRESETS["smoke"].config


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A process in which another package brings what ``own.py`` defines."""
    site = tmp_path / "site"
    meta = site / "somebody-1.dist-info"
    meta.mkdir(parents=True)
    (site / "somebody.py").write_text((HERE / "own.py").read_text())
    (meta / "METADATA").write_text("Metadata-Version: 2.1\nName: somebody\nVersion: 1\n")
    (meta / "entry_points.txt").write_text("[deepobfuscator.plugins]\nsomebody = somebody\n")
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])]),
    }


def command(words: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "deepobfuscator", *words.split()],
        env=environment,
        capture_output=True,
        text=True,
    )


def test_a_plug_in_is_named_on_the_command_line(
    environment: dict[str, str], tmp_path: Path
) -> None:
    shown = command("train --defence pooled --help", environment)
    assert "--side SIDE" in shown.stdout
    assert "Side of a square in px" in shown.stdout
    run = tmp_path / "run"
    words = f"train --data synthetic:600 --preset smoke --defence pooled --side 8 --out {run}"
    trained = command(words, environment)
    assert trained.returncode == 0, trained.stderr
    assert json.loads((run / "trial.json").read_text())["defence"] == {"name": "pooled", "side": 8}
    audited = command(f"audit {run} --suite brief", environment)
    assert audited.returncode == 0, audited.stderr
    without = command(f"audit {run} --suite brief", dict(os.environ))
    assert without.returncode == 2
    assert "unknown defence 'pooled'" in without.stderr


def test_a_broken_plug_in_is_named(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "site" / "somebody.py").write_text("import nothing_of_this_name")
    found = command("train --help", environment)
    assert found.returncode == 2
    assert "the plug-in somebody" in found.stderr
    assert "Traceback" not in found.stderr


def test_a_killed_plug_in_goes_on(environment: dict[str, str], tmp_path: Path) -> None:
    one = environment | {"OMP_NUM_THREADS": "1"}
    words = "train --data synthetic:600 --preset smoke --epochs 4 --defence pooled --out"
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert command(f"{words} {whole}", one).returncode == 0
    process = subprocess.Popen(
        [sys.executable, "-m", "deepobfuscator", *f"{words} {cut}".split()],
        env=one,
        stderr=subprocess.DEVNULL,
    )
    while not (cut / "data.json").exists() and process.poll() is None:
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert command(f"{words} {cut}", one).returncode == 0
    sums = [(run / "bundle" / "O.safetensors").read_bytes() for run in (whole, cut)]
    assert sums[0] == sums[1]


IN_PYTHON = """
import somebody
import deepobfuscator as do

smoke = do.PRESETS["smoke"].config
data = do.Data.synthetic(600, limit=400)
run = do.train(somebody.Pooled(side=8), data, config=smoke, out="run")
report = do.audit(run, suite=do.BRIEF, also=[somebody.Centroid])
assert "centroid" in {attacker.name for attacker in report["Male"].attackers}
compared = do.compare(
    [somebody.Pooled(side=2)], data, suite=do.BRIEF, config=smoke, out="compared"
)
assert [r.folder.name for r in compared.runs] == ["undefended-s0", "pooled-side=2-s0"]

chosen = do.DeepObfuscator(encoder=somebody.OwnEncoder, classifier=somebody.OwnClassifier)
trained = do.train(chosen, data, config=smoke, out="networks")
assert tuple(trained.bundle.card["features"]) == (4, 16, 16)
kept = trained.bundle.card["trial"]["defence"]
assert kept["encoder"]["import"] == "somebody:OwnEncoder"
assert len(kept["encoder"]["sha256"]) == 12
assert do.load("networks").trial == trained.trial
assert do.audit(trained, suite=do.BRIEF)["Male"].headline is not None
ceiling = do.load("networks/undefended").trial.defence
assert ceiling == do.Undefended(
    encoder=somebody.OwnEncoder, classifier=somebody.OwnClassifier
)
"""


def test_in_python(environment: dict[str, str], tmp_path: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", IN_PYTHON],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stderr[-3000:]


def test_a_changed_network_is_noticed(environment: dict[str, str], tmp_path: Path) -> None:
    words = (
        "train --data synthetic:600 --preset smoke --defence undefended "
        f"--encoder somebody:OwnEncoder --out {tmp_path / 'run'}"
    )
    assert command(words, environment).returncode == 0
    source = tmp_path / "site" / "somebody.py"
    source.write_text(source.read_text().replace("nn.ReLU()", "nn.ELU()"))
    again = command(f"audit {tmp_path / 'run'} --suite brief", environment)
    assert again.returncode == 2
    assert "its source differs" in again.stderr


def test_networks_must_be_found_again(tmp_path: Path) -> None:
    data = do.Data.synthetic(600, limit=400)
    with pytest.raises(do.InputError, match="cannot be found by its name"):
        do.train(
            do.Undefended(encoder=lambda size, channels: None),  # type: ignore[arg-type, return-value]
            data,
            config=SMOKE,
            out=tmp_path / "run",
        )


def test_the_default_networks_keep_their_keys() -> None:
    plain = do.Trial(defence=do.DeepObfuscator())
    assert plain.key == "c273b0b21ed6"
