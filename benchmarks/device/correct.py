"""Is it right there? Everything that computes on the device, against the processor in float32."""

import copy
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import numpy as np
import torch
from common import TASK, Figures, context
from torch import Tensor, nn
from torch.nn import functional

from deepobfuscator.core import runtime
from deepobfuscator.core.runtime import Context
from deepobfuscator.data.augment import as_input, augment, augment_there, draw_moves
from deepobfuscator.data.batches import Batch, Labelled
from deepobfuscator.defences.deepobfuscator import DeepObfuscator
from deepobfuscator.metrics.images import ms_ssim
from deepobfuscator.nn.fit import Normed
from deepobfuscator.training.bundle import Bundle
from deepobfuscator.training.loop import play, play_stage
from deepobfuscator.training.objectives import Players, TrainConfig

EXACT = 1e-2
"""Largest relative difference of a stage's gradient in float32, TF32 off."""
ROUNDED = 1.25
"""How many times as far as the processor's own bf16 the device's may be from float32 (TF32: at most
once). The gradient of a deep network with fresh weights is badly conditioned: bf16 moves it by a
half on any device."""
INDEX, INDEX_SLOPE = 1e-4, 1e-3
"""Largest difference of MS-SSIM, and largest relative difference of its gradient."""
ENCODED = 1e-4
"""Largest relative difference of features in float32."""


def main() -> None:
    """All checks, one after the other."""
    figures = Figures.of_command_line()
    runtime.prepare()
    device = runtime.resolve_device("auto")
    figures.put("device", str(device))
    with ThreadPoolExecutor(1) as aside:  # its games are processes of their own
        games = aside.submit(resumed)
        checks(figures, device)
        figures.attempt("killed and resumed", games.result)


def checks(figures: Figures, device: torch.device) -> None:
    """All that needs no process of its own."""
    setting = TrainConfig(size=(64, 64), width=0.25, batch_size=16)
    if figures.rehearse:
        setting = replace(setting, size=(32, 32), width=1 / 16)
    figures.attempt("stages", lambda: stages(device, setting))
    figures.attempt("ms_ssim", lambda: index(device))
    figures.attempt("folded norms", lambda: folded(device))
    figures.attempt("augmentation", lambda: augmentation(device))
    figures.attempt("Bundle.encode", lambda: encode(device))
    figures.attempt("recorded", lambda: recorded(device))


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Whether convolutions may round their inputs to TF32 (torch's own default is that they do)."""
    cudnn = torch.backends.cudnn
    before, cudnn.allow_tf32 = cudnn.allow_tf32, allowed
    try:
        yield
    finally:
        cudnn.allow_tf32 = before


def relative(found: Tensor, reference: Tensor) -> float:
    """Norm of the difference over the norm of the reference."""
    found, reference = found.double().cpu(), reference.double().cpu()
    return float((found - reference).norm() / reference.norm().clamp(min=1e-30))


def stages(device: torch.device, setting: TrainConfig) -> list[dict[str, Any]]:
    """The gradient of every stage's movers and its losses."""
    # A noise image without noise: two devices never draw the same numbers.
    defence = DeepObfuscator(noise_deviation=1e-9)
    draw = torch.Generator().manual_seed(0)
    batch = Batch(
        pictures=smooth(16, setting.size, draw),
        public=torch.randint(0, 2, (16, 1), generator=draw).float(),
        private=torch.randint(0, 2, (16, 1), generator=draw).float(),
    )
    cpu = context(torch.device("cpu"), "fp32")
    start = defence.players(TASK, setting, cpu)
    rows = []
    for phase in defence.phases(setting):
        for stage in phase.stages:

            def moved(where: Context, stage: Any = stage) -> tuple[Tensor, dict[str, float]]:
                return movement(stage, start, batch, where)

            with tf32(False):
                expected, losses = moved(cpu)
                own, _ = moved(Context(Path(), cpu.device, "bf16"))
                exact, there = moved(context(device, "fp32"))
            with tf32(True):
                rounded, _ = moved(context(device, "fp32"))
            half, _ = moved(Context(Path(), device, "bf16"))
            found = {
                "fp32": relative(exact, expected),
                "tf32": relative(rounded, expected),
                "bf16": relative(half, expected),
                "bf16 on the processor": relative(own, expected),
                "losses": max(abs(there[name] - value) for name, value in losses.items()),
            }
            own_bf16 = max(found["bf16 on the processor"], 1e-2)
            right = found["fp32"] <= EXACT and found["tf32"] <= own_bf16
            right &= found["bf16"] <= ROUNDED * own_bf16
            rows.append({"phase": phase.name, "stage": stage.name, "right": right, **found})
    return rows


def movement(
    stage: Any, start: Players, batch: Batch, where: Context
) -> tuple[Tensor, dict[str, float]]:
    """Minus the gradient of all movers, as one vector, and the losses.

    Raises:
        RuntimeError: a player that should rest moved.
    """
    players = {name: where.place(copy.deepcopy(player)) for name, player in start.items()}
    moved = Batch(
        **{
            name: value.to(where.device)
            for name, value in vars(batch).items()
            if isinstance(value, Tensor)
        }
    )
    optimisers = {n: torch.optim.SGD(p.parameters(), lr=1.0) for n, p in players.items()}
    losses = play_stage(stage, moved, players, optimisers, where)
    for name, player in players.items():
        same = all(
            torch.equal(a.cpu(), b)
            for a, b in zip(
                player.state_dict().values(), start[name].state_dict().values(), strict=True
            )
        )
        if same == (name in stage.movers):
            raise RuntimeError(f"{stage.name}: {name} {'rests' if same else 'moves'}")
    steps = [
        (after.detach().cpu().double() - before.detach().double()).flatten()
        for name in sorted(stage.movers)
        for after, before in zip(players[name].parameters(), start[name].parameters(), strict=True)
    ]
    return torch.cat(steps), {name: float(loss) for name, loss in losses.items()}


def smooth(count: int, size: tuple[int, int], draw: torch.Generator) -> Tensor:
    """Random pictures (count, 3, *size) in [0, 1] with structure at several scales."""
    coarse = torch.rand((count, 3, size[0] // 8, size[1] // 8), generator=draw)
    fine = torch.rand((count, 3, *size), generator=draw)
    return 0.8 * functional.interpolate(coarse, size=size, mode="bilinear") + 0.2 * fine


def index(device: torch.device) -> list[dict[str, Any]]:
    """MS-SSIM and its gradient."""
    rows = []
    for size in ((64, 64), (216, 176)):
        draw = torch.Generator().manual_seed(1)
        x, y = smooth(8, size, draw), smooth(8, size, draw)
        y = (0.7 * x + 0.3 * y).clamp(0, 1)
        found = []
        for where in (torch.device("cpu"), device):
            at = x.to(where).requires_grad_()
            value = ms_ssim(at, y.to(where))
            (slope,) = torch.autograd.grad(value.sum(), at)
            found.append((value.detach().cpu(), slope))
        (value, slope), (there, slope_there) = found
        difference, of_slope = float((there - value).abs().max()), relative(slope_there, slope)
        rows.append(
            {
                "size": size,
                "difference": difference,
                "gradient": of_slope,
                "right": difference <= INDEX and of_slope <= INDEX_SLOPE,
            }
        )
    return rows


@torch.no_grad()
def folded(device: torch.device) -> dict[str, Any]:
    """A frozen norm folded into its convolution, against the two in turn, on the device."""
    draw = torch.Generator().manual_seed(2)
    worst = 0.0
    for layer in (nn.Conv2d(16, 24, 3, padding=1), nn.ConvTranspose2d(16, 24, 3, padding=1)):
        block = Normed(layer)
        block(torch.rand((8, 16, 20, 20), generator=draw))  # moves the running statistics
        block.eval().to(device)
        inputs = torch.rand((8, 16, 20, 20), generator=draw).to(device)
        with tf32(False):
            # The convolution's own bias would be lost in folding: the networks have none.
            nn.init.zeros_(layer.bias)
            expected = functional.relu(block.norm(block.convolution(inputs)))
            worst = max(worst, relative(block(inputs), expected))
    return {"difference": worst, "right": worst <= ENCODED}


def augmentation(device: torch.device) -> dict[str, Any]:
    """Pictures augmented there and here, bit for bit."""
    draw = np.random.default_rng(3)
    pictures = draw.integers(0, 256, (64, 108, 88, 3), dtype=np.uint8)
    moves = draw_moves(64, (108, 88), draw)
    here = as_input(augment(pictures, moves), torch.device("cpu"))
    there = augment_there(torch.from_numpy(pictures).to(device), moves).cpu()
    unequal = int((here != there).sum())
    return {
        "unequal values": unequal,
        "largest": float((here - there).abs().max()),
        "right": bool((here - there).abs().max() <= 1e-7),
    }


def encode(device: torch.device) -> dict[str, Any]:
    """What a bundle gives of pictures."""
    setting = TrainConfig(size=(64, 64), width=0.25)
    inputs = np.random.default_rng(4).integers(0, 256, (300, 64, 64, 3), dtype=np.uint8)
    found = []
    for where in (torch.device("cpu"), device):
        on = context(where, "fp32")
        players = DeepObfuscator().players(TASK, setting, on)
        for player in players.values():
            player.eval()
        with tf32(False):
            found.append(Bundle(players, {}).encode(inputs, on).cpu())
    difference = relative(found[1], found[0])
    return {"difference": difference, "right": difference <= ENCODED}


def recorded(device: torch.device) -> dict[str, Any]:
    """A game whose stages are recorded as CUDA graphs, against the same game without."""
    states = [_played(device, steady) for steady in (True, False)]
    apart = _apart(*states)
    return {"largest difference": apart, "right": apart <= 1e-3}


def resumed() -> dict[str, Any]:
    """A game that is killed in the middle and gone on with, against one left alone."""
    with tempfile.TemporaryDirectory() as folder:
        alone, killed = Path(folder) / "alone", Path(folder) / "killed"
        left_alone = _game(alone)
        kills = 0
        for checkpoints in (5, 15):
            game, began = _game(killed), monotonic()
            checkpoint, seen, last = killed / "train.ckpt", 0, 0
            while seen < checkpoints and game.poll() is None and monotonic() - began < 60:
                sleep(0.002)
                if checkpoint.exists() and (at := checkpoint.stat().st_mtime_ns) != last:
                    seen, last = seen + 1, at
            if game.poll() is None:
                os.kill(game.pid, signal.SIGKILL)
                kills += 1
            game.wait()
        codes = _game(killed).wait(), left_alone.wait()
        if any(codes):
            raise RuntimeError(f"the games ended with {codes[0]} and {codes[1]}")
        states = [torch.load(f / "end.pt", weights_only=True) for f in (alone, killed)]
    apart = _apart(*states)
    return {"kills": kills, "largest difference": apart, "right": kills > 0 and apart <= 1e-3}


def _game(folder: Path) -> "subprocess.Popen[bytes]":
    folder.mkdir(exist_ok=True)
    return subprocess.Popen([sys.executable, __file__, "--game", str(folder)])


def _apart(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    return max(float((one[k].double() - other[k].double()).abs().max()) for k in one)


def _played(
    device: torch.device, steady: bool, checkpoint: Path | None = None
) -> dict[str, Tensor]:
    """A short game, with a checkpoint after every batch; the state of all players at its end."""
    where = context(device)
    where.checkpoint_seconds = 0
    setting = TrainConfig(
        size=(32, 32),
        width=1 / 16,
        batch_size=16,
        epochs=1.0,
        adversary_epochs=1.0,
        game_epochs=2.0,
    )
    draw = np.random.default_rng(5)
    labels = draw.integers(0, 2, (192, 1), dtype=np.uint8)
    pictures = draw.integers(0, 256, (192, 32, 32, 3), dtype=np.uint8)
    material = Labelled(pictures, labels, 1 - labels, np.arange(192))
    defence = DeepObfuscator()
    players = defence.players(TASK, setting, where)
    phases = [replace(phase, steady=steady) for phase in defence.phases(setting)]
    play(players, phases, material, setting, where, checkpoint)
    return {f"{n}.{k}": v.cpu() for n, p in players.items() for k, v in p.state_dict().items()}


def game(folder: Path) -> None:
    """A short game on its own; its players end in ``end.pt``."""
    device = runtime.resolve_device("auto")
    state = _played(device, True, folder / "train.ckpt")
    torch.save(state, folder / "end.pt")


if __name__ == "__main__":
    if sys.argv[1] == "--game":
        game(Path(sys.argv[2]))
    else:
        main()
