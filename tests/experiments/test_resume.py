"""Runs that are really killed (SIGKILL) and started again end as if they had never been stopped.

This file is also the program that the tests kill: it imports torch once and then forks a child
for every command, since starting Python and torch takes longer than a run.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

import pytest

from deepobfuscator.attacks.base import Attack
from deepobfuscator.attacks.infer import MLP, LinearProbe, ResidualNet
from deepobfuscator.attacks.reconstruct import Mirror
from deepobfuscator.auditing.threat_models import AttackSpec
from deepobfuscator.cli import main
from deepobfuscator.core.records import read_jsonl
from deepobfuscator.report.runs import find_runs
from deepobfuscator.training import loop as play

SMOKE = ("--preset", "smoke", "--data", "synthetic:440", "--limit", "340")
# Ten batches an epoch. Attackers end within their second: the best epoch is part of where they are.
SMOKE += ("--epochs=1.5", "--adversary-epochs=.5", "--game-epochs=1.1", "--infer-epochs=1.5")


def file(attack: Attack) -> str:
    """Stem of the file that keeps a common attacker's guesses."""
    return Path(AttackSpec(attack).file).stem


TRAINING = {
    "pre-training": ("stage", "service", 5),
    "between two epochs": ("stage", "service", 11),
    "between two phases": ("stage", "attack", 1),
    "after one of the game's four stages": ("stage", "defend against AC", 2),
    "after three of the game's four stages": ("stage", "recover C", 2),
    "half a checkpoint": ("half", "train.ckpt", 25),
    "checkpoint not yet in place": ("before", "train.ckpt", 25),
    "bundle half-written": ("before", "C.safetensors", 1),
    "bundle not yet in place": ("before", "bundle", 1),
    "checkpoint left beside the bundle": ("after", "bundle", 1),
}
AUDIT = {
    "floors": (("after", f"label-only-{file(Mirror())}.ckpt", 4), 9),
    "attacker's second epoch": (("after", f"{file(MLP())}.ckpt", 11), 2 * 14),
    "reconstructor's checkpoint half-written": (("half", f"{file(Mirror())}.ckpt", 5), 2 * 9 + 1),
    "attacker done but not kept": (("before", f"{file(ResidualNet())}.npz", 1), 2 * 14),
    "records half-written": (("half", "records.jsonl", 1), 0),
}
"""Where to kill: before the k-th batch of a stage, or before or after a file (or half of it) takes
its place for the k-th time. For audits also the batches of that part, the ceiling's included."""


# -- the program that is killed -------------------------------------------------------------------


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def arm(where: str, name: str, k: int) -> None:
    """Let this process die there; training writes a checkpoint after every batch."""
    play.Saver.maybe = play.Saver.now  # type: ignore[method-assign]
    met = 0

    def hook(is_it: Callable[..., bool], real: Callable[..., Any]) -> Callable[..., Any]:
        def hooked(*arguments: Any, **more: Any) -> Any:
            nonlocal met
            now = is_it(*arguments) and (met := met + 1) == k
            if now and where == "half":
                os.truncate(arguments[0], os.path.getsize(arguments[0]) // 2)
            if now and where != "after":
                die()
            result = real(*arguments, **more)
            if now:
                die()
            return result

        return hooked

    if where == "stage":
        play.play_stage = hook(lambda stage, *_: stage.name == name, play.play_stage)
    else:
        for mover in ("replace", "rename"):
            is_it = lambda _, there: Path(there).name == name  # noqa: E731
            setattr(os, mover, hook(is_it, getattr(os, mover)))


def count_batches(pipe: int) -> None:
    """Put a byte into ``pipe`` for every batch that was played."""
    real = play.play_stage

    def counted(*arguments: Any, **named: Any) -> Any:
        losses = real(*arguments, **named)
        os.write(pipe, b".")
        return losses

    play.play_stage = counted


def serve() -> None:
    """Run each command (a line of JSON) in a child; answer with its exit code and batches."""
    import torch._dynamo  # noqa: F401  (what the first optimiser would import in every child)

    for line in sys.stdin:
        arguments, kill = json.loads(line)
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            count_batches(writing)
            if kill:
                arm(*kill)
            os._exit(main(arguments))
        os.close(writing)
        with open(reading, "rb") as pipe:
            batches = len(pipe.read())
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(json.dumps([code, batches]), flush=True)


# -- the tests ------------------------------------------------------------------------------------


Command: TypeAlias = Callable[..., int]
Kill: TypeAlias = tuple[str, str, int]
Whole: TypeAlias = tuple[Path, int, int]


@pytest.fixture(scope="module")
def command() -> Iterator[Command]:
    """Runs a command to its end, or its death at ``kill``; gives the batches it played."""
    with subprocess.Popen(
        [sys.executable, __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},  # the fastest for networks so small
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None

        def run(*arguments: object, kill: Kill | None = None) -> int:
            print(json.dumps([[str(a) for a in arguments], kill]), file=server.stdin, flush=True)
            code, batches = json.loads(server.stdout.readline())
            assert code == (-signal.SIGKILL if kill else 0)
            return int(batches)

        yield run


@pytest.fixture(scope="module")
def whole(command: Command, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """A run that was never stopped, and the batches of its training and of its audit."""
    folder = tmp_path_factory.mktemp("resume") / "whole"
    return folder, command("train", *SMOKE, "--out", folder), command("audit", folder)


def same(run: Path, whole: Path) -> set[str]:
    """Make sure that every figure and weight is the same to the last bit; gives their files."""
    kinds = (".jsonl", ".safetensors", ".npz")
    names = {str(p.relative_to(run)) for p in run.rglob("*") if p.suffix in kinds}
    for name in names:
        assert (run / name).read_bytes() == (whole / name).read_bytes(), name
    assert not [p for p in run.rglob("*") if p.suffix in (".part", ".ckpt", ".old")]
    return names


@pytest.mark.parametrize("kill", TRAINING.values(), ids=TRAINING.keys())
def test_a_killed_training_goes_on(
    command: Command, whole: Whole, tmp_path: Path, kill: Kill
) -> None:
    run = tmp_path / "run"
    train = ("train", *SMOKE, "--out", run)
    played = command(*train, kill=kill)
    played += command(*train)
    lost = kill in [TRAINING["half a checkpoint"], TRAINING["checkpoint not yet in place"]]
    assert played == whole[1] + lost, "no batch is played twice but one whose checkpoint was lost"
    weights = {f"bundle/{player}.safetensors" for player in ("O", "C", "AC", "AR")}
    assert same(run, whole[0]) == {"history.jsonl"} | weights


@pytest.mark.parametrize(("kill", "batches"), AUDIT.values(), ids=AUDIT.keys())
def test_a_killed_audit_goes_on(
    command: Command, whole: Whole, tmp_path: Path, kill: Kill, batches: int
) -> None:
    run, part = tmp_path / "run", Path(kill[1]).stem
    shutil.copytree(whole[0], run, ignore=shutil.ignore_patterns("records.jsonl", f"{part}*"))
    assert command("audit", run, kill=kill) + command("audit", run) == batches
    assert {"records.jsonl", "undefended/records.jsonl"} < same(run, whole[0])


def test_a_comparison_killed_again_and_again_goes_on(
    command: Command, whole: Whole, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    compare = ("compare", *SMOKE, "--defences", "deepobfuscator", "--seeds", "1", "--out", run)
    played = command(*compare, kill=("after", f"{file(LinearProbe())}.npz", 1))
    played += command(*compare, kill=("stage", "defend against AR", 2))
    played += command(*compare, kill=("half", "records.jsonl", 2))
    played += command(*compare)
    both = tmp_path / "both"
    shutil.copytree(whole[0], both)
    more = command("audit", both / "undefended")  # a ceiling of its own has its whole turn
    assert more > 0
    assert played == sum(whole[1:]) + more
    parts = both / "undefended", both
    for name, part in zip(("undefended-s0", "deepobfuscator-s0"), parts, strict=True):
        assert {"records.jsonl", "bundle/O.safetensors"} < same(run / name, part)
    merged = [r for run in find_runs(run) for r in run.records]
    assert sorted(map(str, merged)) == sorted(map(str, read_jsonl(run / "records.jsonl")))
    assert (run / "report.html").stat().st_size > 10_000
    assert not list(run.rglob("*.part"))


if __name__ == "__main__":
    serve()
