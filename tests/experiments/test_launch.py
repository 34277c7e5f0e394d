"""Trials as jobs: the same records as from one process, and what goes wrong is one line."""

import re
import shutil
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from deepobfuscator.cli import main

COMPARE = ("compare", "--preset", "smoke", "--data", "synthetic:440", "--limit", "340")
COMPARE += ("--defences", "narrow-code", "deepobfuscator", "--seeds", "1")

SLURM = {
    "sbatch": """
        cp "$1" sbatch.sh
        SLURM_JOB_ID=7 OMP_NUM_THREADS=$THREADS bash "$1" >/dev/null 2>&1 &
        echo Submitted batch job 7
    """,
    "srun": """
        shift  # --unbuffered --output LOG --error LOG COMMAND
        out=${2//%j/7} err=${4//%j/7}
        shift 4
        exec "$@" >"${out//%t/0}" 2>"${err//%t/0}"
    """,
    "sacct": "",
    "scancel": "",
}
"""As much of SLURM as it takes to run one job here."""


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with SLURM's commands; gives the script of the job submitted last."""
    pytest.importorskip("submitit")
    (tmp_path / "bin").mkdir()
    for name, body in SLURM.items():
        command = tmp_path / "bin" / name
        command.write_text(f"#!/bin/bash\n{body}")
        command.chmod(command.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "sbatch.sh"


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """What two jobs get of the cores, given to this process too: results depend on it."""
    cores = torch.get_num_threads()
    share = max(1, cores // 2)
    monkeypatch.setenv("THREADS", str(share))
    torch.set_num_threads(share)
    yield share
    torch.set_num_threads(cores)


def errors(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What was said on standard error, without bars."""
    return [
        line for line in capsys.readouterr().err.splitlines() if not re.search(r"left [-\d]", line)
    ]


def nearly_done(run: Path, copy: Path) -> None:
    """The run without what its last process did: one attack and the merging."""
    shutil.copytree(run, copy)
    (copy / "records.jsonl").unlink()
    next((copy / "audit").glob("linear-*.npz")).unlink()


def test_jobs_end_with_the_records_of_one_process(
    tmp_path: Path, slurm: Path, threads: int, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, spread = tmp_path / "whole", tmp_path / "spread"
    assert main([*COMPARE, "--out", str(whole)]) == 0
    table = capsys.readouterr().out.partition("records:")[0]
    torch.set_num_threads(2 * threads)

    nearly_done(whole / "undefended-s0", spread / "undefended-s0")
    harmed = spread / "deepobfuscator-s0" / "trial.json"
    harmed.parent.mkdir(parents=True)
    harmed.write_text("{")
    assert main([*COMPARE, "--out", str(spread), "--jobs", "2"]) == 2
    failed, said = errors(capsys)
    assert failed.startswith(f"deepobfuscator-s0 failed: cannot read the trial {harmed}")
    log = re.search(r"\(log: (.+)\)$", failed)
    assert log is not None
    assert Path(log[1]).is_file()
    assert "1 of 3 jobs failed" in said
    done = Path("narrow-code-s0", "records.jsonl")
    assert (spread / done).read_bytes() == (whole / done).read_bytes(), "the others finish"

    shutil.rmtree(harmed.parent)
    nearly_done(whole / "deepobfuscator-s0", harmed.parent)
    resume = (*COMPARE, "--out", str(spread), "--jobs", "1", "--cluster", "slurm")
    assert main([*resume, "--slurm", "partition=gpu", "gpus_per_node=1", "setup=true"]) == 0
    assert capsys.readouterr().out.partition("records:")[0] == table
    files = [
        p.relative_to(whole)
        for p in whole.rglob("*")
        if p.suffix in (".jsonl", ".safetensors", ".npz")
    ]
    assert len(files) > 30
    for name in files:
        assert (spread / name).read_bytes() == (whole / name).read_bytes(), name
    assert not list(spread.rglob("*.pkl"))
    script = slurm.read_text()
    for line in ("partition=gpu", "gpus-per-node=1", "job-name=deepobfuscator-s0", "time=1440"):
        assert f"#SBATCH --{line}\n" in script


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--jobs 0", "--jobs must be at least 1"),
        ("--cluster local", "need --jobs N"),
        ("--slurm partition=gpu", "need --jobs N"),
        ("--jobs 2 --slurm partition=gpu", "--slurm needs --cluster slurm"),
        ("--jobs 2 --cluster cloud", "invalid choice: 'cloud'"),
        ("--jobs 2 --cluster slurm --slurm partition", "--slurm partition: write KEY=VALUE"),
        ("--jobs 2 --cluster slurm --slurm partion=gpu", "Unknown argument 'partion'"),
        ("--jobs 2 --cluster slurm --slurm time=2:00:00", "give the time in minutes"),
        ("--jobs 2 --cluster slurm --slurm additional_parameters=x", "--slurm: "),
    ],
)
def test_wrong_options_get_one_line(
    tmp_path: Path, slurm: Path, capsys: pytest.CaptureFixture[str], options: str, says: str
) -> None:
    assert main([*COMPARE, "--out", str(tmp_path / "out"), *options.split()]) == 2
    (line,) = errors(capsys)
    assert says in line
    assert not slurm.exists()


def test_a_refused_submission_gets_one_line(
    tmp_path: Path, slurm: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sbatch = tmp_path / "bin" / "sbatch"
    sbatch.write_text("#!/bin/sh\necho 'sbatch: error: invalid partition' >&2\nexit 1\n")
    out = tmp_path / "out"
    assert main([*COMPARE, "--out", str(out), "--jobs", "2", "--cluster", "slurm"]) == 2
    assert "undefended-s0 failed: slurm refused it: sbatch: error: invalid partition" in errors(
        capsys
    )


def test_without_slurm_or_submitit_one_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = [*COMPARE, "--out", str(tmp_path / "out"), "--jobs", "2"]
    (tmp_path / "file").touch()
    monkeypatch.setenv("PATH", str(tmp_path))
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "submitit", None)
        assert main(jobs) == 2
    assert "pip install -e '.[cluster]'" in errors(capsys)[-1]
    pytest.importorskip("submitit")
    assert main([*jobs, "--cluster", "slurm"]) == 2
    assert "no srun here" in errors(capsys)[-1]
    assert main([*jobs, "--out", str(tmp_path / "file")]) == 2
    assert "cannot use the folder" in errors(capsys)[-1]
