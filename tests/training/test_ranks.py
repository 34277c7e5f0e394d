"""Several processes that train together, over gloo; this file is also what torchrun starts."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from deepobfuscator import cli
from deepobfuscator.core.errors import InputError
from deepobfuscator.core.runtime import Context, join_ranks, leave_ranks
from deepobfuscator.data.batches import Labelled
from deepobfuscator.data.table import Task
from deepobfuscator.defences.deepobfuscator import DeepObfuscator
from deepobfuscator.training import loop as play
from deepobfuscator.training.objectives import Players, TrainConfig

SETTING = TrainConfig(
    size=(32, 32), width=1 / 32, batch_size=8, epochs=1, adversary_epochs=1, game_epochs=2
)
DEFENCE = DeepObfuscator(noise_deviation=1e-9)  # each rank draws noise of its own
TRAIN = (
    *("train", "--data", "synthetic:600", "--preset", "smoke", "--limit", "400"),
    *("--precision", "fp32", "--game-epochs", "4"),
)


def pictures(n: int = 32) -> Labelled:
    draw = np.random.default_rng(0)
    coarse = draw.integers(0, 256, (n, 8, 8, 3), dtype=np.uint8)
    labels = draw.integers(0, 2, (n, 2), dtype=np.uint8)
    return Labelled(coarse.repeat(4, 1).repeat(4, 2), labels[:, :1], labels[:, 1:], np.arange(n))


def plain() -> Players:
    """Players without batch norm, whose batches can be joined."""
    torch.manual_seed(1)

    def classifier() -> nn.Module:
        return nn.Sequential(nn.Conv2d(4, 3, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(1))

    players: Players = {
        "O": nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.Tanh()),
        "C": classifier(),
        "AC": classifier(),
        "AR": nn.Sequential(nn.ConvTranspose2d(4, 3, 2, stride=2), nn.Sigmoid()),
    }
    features = players["O"](torch.zeros(1, 3, 32, 32))
    for player in players.values():
        if player is not players["O"]:
            player(features)
    return players


def fitted(normed: bool, run: Context) -> dict[str, torch.Tensor]:
    """What the whole game of Algorithm 1 leaves of its players."""
    players = DEFENCE.players(Task(("a",), ("b",)), SETTING, run) if normed else plain()
    play.play(players, DEFENCE.phases(SETTING), pictures(), SETTING, run)
    state = {f"{n}.{k}": v for n, p in players.items() for k, v in p.state_dict().items()}
    return {k: v.clone(memory_format=torch.contiguous_format) for k, v in state.items()}


def quiet(rank: int = 0, ranks: int = 1) -> Context:
    run = Context(Path("unused"), rank=rank, ranks=ranks)
    run.console.quiet = True
    return run


def torchrun(*arguments: str, kill_at: int = 0) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"),
            *(__file__, str(kill_at), *arguments),
        ],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_two_ranks_find_what_one_finds_on_the_joined_batch(tmp_path: Path) -> None:
    done = torchrun("fit", str(tmp_path))
    assert done.returncode == 0, done.stderr
    one, two = fitted(False, quiet()), load_file(tmp_path / "plain-0.safetensors")
    before = {f"{n}.{k}": v for n, p in plain().items() for k, v in p.state_dict().items()}
    assert one.keys() == two.keys()
    for name in one:
        torch.testing.assert_close(two[name], one[name], atol=2e-5, rtol=1e-3)
        assert not torch.allclose(one[name], before[name], atol=1e-3), name
    for kind in ("plain", "normed"):  # parameters and running statistics alike
        ranks = [load_file(tmp_path / f"{kind}-{rank}.safetensors") for rank in (0, 1)]
        assert all(torch.equal(ranks[0][name], ranks[1][name]) for name in ranks[0])


def test_a_killed_rank_ends_the_run_which_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    done = torchrun(*TRAIN, "--out", str(whole))
    assert done.returncode == 0, done.stderr
    done = torchrun(*TRAIN, "--out", str(broken), kill_at=7)
    assert done.returncode != 0
    assert "the same command resumes from the last checkpoint" in done.stderr
    assert "deepobfuscator/" not in done.stderr  # no traceback of ours
    assert (broken / "train.ckpt").exists()
    done = torchrun(*TRAIN, "--out", str(broken))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("trained: ") == 1
    names = sorted(p.name for p in (whole / "bundle").glob("*.safetensors"))
    assert names == ["AC.safetensors", "AR.safetensors", "C.safetensors", "O.safetensors"]
    for name in names:
        assert (broken / "bundle" / name).read_bytes() == (whole / "bundle" / name).read_bytes()


def test_batches_that_cannot_be_shared_are_refused() -> None:
    for batch, ranks in ((9, 2), (2, 2), (64, 6)):
        with pytest.raises(InputError, match="--batch-size"):
            quiet(ranks=ranks).divisible(batch)
    assert quiet(ranks=4).divisible(64) == 64
    assert quiet().divisible(9) == 9


@pytest.mark.parametrize("command", [["audit", "x"], ["compare"], ["report", "x"]])
def test_torchrun_is_for_train(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert cli.main(command) == 2
    assert "torchrun is for train" in capsys.readouterr().err


def _rank(kill_at: int, arguments: list[str]) -> int:
    """What torchrun starts: rank 1 kills itself at its ``kill_at``-th stage."""
    if arguments[0] == "fit":
        _, rank, ranks = join_ranks("cpu")
        for normed in (False, True):
            state = fitted(normed, quiet(rank, ranks))
            kind = "normed" if normed else "plain"
            save_file(state, Path(arguments[1]) / f"{kind}-{rank}.safetensors")
        leave_ranks()
        return 0
    play.Saver.maybe = play.Saver.now  # type: ignore[method-assign]
    whole, calls = play.play_stage, 0

    def stage(*a: object, **named: object) -> object:
        nonlocal calls
        calls += 1
        if calls == kill_at and os.environ["RANK"] == "1":
            os.kill(os.getpid(), signal.SIGKILL)
        return whole(*a, **named)  # type: ignore[arg-type]

    play.play_stage = stage  # type: ignore[assignment]
    return cli.main(arguments)


if __name__ == "__main__":
    sys.exit(_rank(int(sys.argv[1]), sys.argv[2:]))
