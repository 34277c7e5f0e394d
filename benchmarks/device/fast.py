"""How fast is it there? Images a second, their share of the device's peak, and what each choice
is worth.
"""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from common import TASK, Figures, context, timed, wait
from numpy.typing import NDArray
from torch import Tensor

import limit
from deepobfuscator.attacks.infer import AdversaryClassifier
from deepobfuscator.attacks.reconstruct import Mirror
from deepobfuscator.attacks.threat import AttackerData, Threat
from deepobfuscator.core import runtime
from deepobfuscator.core.runtime import Context
from deepobfuscator.data.augment import augment_there, draw_moves
from deepobfuscator.data.batches import Batch, Labelled
from deepobfuscator.defences.deepobfuscator import DeepObfuscator
from deepobfuscator.experiments.presets import preset
from deepobfuscator.metrics.images import ms_ssim
from deepobfuscator.training.bundle import Bundle
from deepobfuscator.training.graphs import EAGER, Recorder
from deepobfuscator.training.loop import derive_seed, play_stage
from deepobfuscator.training.objectives import Players, Stage, TrainConfig


@dataclass(frozen=True)
class Choices:
    """What may be on or off; the defaults are what the product does."""

    channels_last: bool = True
    fused_adam: bool = True
    resident: bool = True
    deterministic: bool = True
    search: bool = False
    """cuDNN times its algorithms and takes the fastest."""
    compiled: bool = False
    graphs: bool = True
    """Each stage is recorded once as a CUDA graph and replayed."""


VARIANTS = {
    "no CUDA graphs": Choices(graphs=False),
    "algorithms timed by cuDNN": Choices(search=True),
    "the same, any algorithm": Choices(search=True, deterministic=False),
    "channels first": Choices(channels_last=False),
    "Adam, not fused": Choices(fused_adam=False),
    "pictures on the host": Choices(resident=False),
    "torch.compile": Choices(compiled=True),
}
"""Each choice changed alone."""


def main() -> None:
    """Peaks, games, choices, profile, attackers; the most important first."""
    figures = Figures.of_command_line()
    runtime.prepare()
    device = runtime.resolve_device("auto")
    figures.attempt("device", lambda: facts(device))
    figures.attempt("peaks", lambda: peaks(device, figures.rehearse))
    settings = games(figures.rehearse)
    for name, setting in settings.items():
        figures.attempt(f"game {name}", lambda s=setting: game(s, device, Choices(), figures))
    for name, setting in settings.items():
        vary(figures, device, name, setting, "no CUDA graphs")
    large = settings["paper"]
    figures.attempt("phases paper", lambda: phases(large, device, figures))
    figures.attempt("stages paper", lambda: each_stage(large, device))
    figures.attempt("attackers paper", lambda: attackers(large, device, figures))
    figures.attempt("profile paper", lambda: profile(large, device))
    figures.attempt("ms_ssim", lambda: index(large, device))
    for name in ("paper", "small"):
        for variant in list(VARIANTS)[1:]:
            vary(figures, device, name, settings[name], variant)


def vary(
    figures: Figures, device: torch.device, name: str, setting: TrainConfig, variant: str
) -> None:
    """The game with one choice changed."""
    choices = VARIANTS[variant]
    if device.type == "cpu" and (choices.search or choices.compiled or not choices.graphs):
        figures.put(f"{variant}, {name}", {"skipped": "no GPU"})
        return
    figures.attempt(
        f"{variant}, {name}",
        lambda: game(setting, device, choices, figures),
        least=60 if choices.compiled else 8,
    )


def games(rehearse: bool) -> dict[str, TrainConfig]:
    """The presets' settings, the paper's last; tiny ones in a rehearsal."""
    if rehearse:
        return {
            "small": TrainConfig(size=(32, 32), width=1 / 16, batch_size=8),
            "paper": TrainConfig(size=(40, 36), width=1 / 16, batch_size=8),
        }
    return {name: preset(name).config for name in ("small", "paper")}


def facts(device: torch.device) -> dict[str, Any]:
    """What the machine is."""
    found: dict[str, Any] = {"torch": torch.__version__, "name": "processor"}
    if device.type == "cuda":
        found |= {
            "name": torch.cuda.get_device_name(device),
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
            "memory": torch.cuda.mem_get_info(device)[1],
        }
    return found


def peaks(device: torch.device, rehearse: bool) -> dict[str, float]:
    """TFLOP/s of a large matrix product in bf16, TB/s of a large copy."""
    side = 256 if rehearse else 8192
    x, y = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    product = timed(lambda: x @ y, device, 10)
    block = torch.randn(2**16 if rehearse else 2**30, device=device)
    copy = timed(lambda: block.clone(), device, 10)
    return {
        "bf16 TFLOP/s": 2 * side**3 / product / 1e12,
        "copy TB/s": 2 * 4 * len(block) / copy / 1e12,
    }


def arithmetic(setting: TrainConfig) -> dict[str, dict[str, float]]:
    """GFLOP a picture of every stage of every phase."""
    defence, where = DeepObfuscator(), Context(Path())
    players = defence.players(TASK, setting, where)
    batch = Batch(torch.rand(2, 3, *setting.size), torch.zeros(2, 1), torch.zeros(2, 1))
    return {
        phase.name: {
            stage.name: sum(
                n * limit.arithmetic(o)
                for o, n in limit.needed(stage, players, batch, where, 1).items()
            )
            / 1e9
            for stage in phase.stages
        }
        for phase in defence.phases(setting)
    }


def material(setting: TrainConfig, count: int) -> Labelled:
    """Random pictures; how fast a game is does not depend on what they show."""
    draw = np.random.default_rng(0)
    pictures = draw.integers(0, 256, (count, *setting.size, 3), dtype=np.uint8)
    labels = draw.integers(0, 2, (count, 2), dtype=np.uint8)
    return Labelled(pictures, labels[:, :1], labels[:, 1:], np.arange(count))


class Game:
    """Algorithm 1 with some choices, one batch at a time, as `play` goes about it."""

    def __init__(
        self, setting: TrainConfig, device: torch.device, choices: Choices, phase: int = -1
    ) -> None:
        cudnn = torch.backends.cudnn
        cudnn.deterministic, cudnn.benchmark = choices.deterministic, choices.search
        self.setting, self.choices, self.where = setting, choices, context(device)
        defence = DeepObfuscator()
        self.players: Players = defence.players(TASK, setting, self.where)
        if not choices.channels_last:
            for player in self.players.values():
                for parameter in player.parameters():
                    parameter.data = parameter.data.contiguous()
        if choices.compiled:
            for player in self.players.values():
                player.compile()
        self.stages = defence.phases(setting)[phase].stages
        self.material = material(setting, 8 * setting.batch_size)
        self.recorder = Recorder(self.where, choices.graphs)
        records = self.recorder.records
        self.optimisers = {
            name: torch.optim.Adam(
                player.parameters(),
                lr=torch.tensor(1e-4, device=device) if records else 1e-4,
                fused=choices.fused_adam,
                capturable=records,
            )
            for name, player in self.players.items()
        }

    def batch(self, number: int) -> Batch:
        """Augmented pictures and labels."""
        draw = np.random.default_rng(derive_seed(0, number))
        rows = np.sort(draw.permutation(len(self.material))[: self.setting.batch_size])
        if self.choices.resident:
            batch = self.material.batch(rows, self.where.device, draw)
        else:
            batch = sent(self.material, rows, self.where.device, draw)
        if not self.choices.channels_last:
            assert batch.pictures is not None
            batch.pictures = batch.pictures.contiguous()
        return batch

    def play(self, stage: Stage, batch: Batch) -> None:
        """One batch of one stage."""
        step = partial(
            play_stage,
            stage,
            players=self.players,
            optimisers=self.optimisers,
            context=self.where,
        )
        self.recorder.play(stage.name, step, batch)

    def cycle(self, number: int) -> None:
        """Every stage once."""
        for k, stage in enumerate(self.stages):
            torch.manual_seed(derive_seed(0, number, k))
            self.play(stage, self.batch(len(self.stages) * number + k))

    def rate(self, cycles: int) -> float:
        """Images a second over ``cycles`` cycles."""
        wait(self.where.device)
        began = perf_counter()
        for number in range(cycles):
            self.cycle(number)
        wait(self.where.device)
        return cycles * len(self.stages) * self.setting.batch_size / (perf_counter() - began)


def sent(
    found: Labelled, rows: NDArray[np.int64], device: torch.device, draw: np.random.Generator
) -> Batch:
    """A batch whose pictures are sent to the device for it."""
    moves = draw_moves(len(rows), found.pictures.shape[1:3], draw)
    pictures = augment_there(torch.from_numpy(found.pictures[rows]).to(device), moves)
    public, private = (
        torch.from_numpy(labels[rows]).to(device).float()
        for labels in (found.public, found.private)
    )
    return Batch(pictures, public, private)


def game(
    setting: TrainConfig, device: torch.device, choices: Choices, figures: Figures, phase: int = -1
) -> dict[str, Any]:
    """Images a second (the median of three measurements), share of the peak, memory."""
    began = perf_counter()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    play = Game(setting, device, choices, phase)
    for number in range(EAGER + 2):
        play.cycle(number)
    wait(device)
    started = perf_counter() - began
    cycles = max(2, min(40, round(1.2 / (setting.batch_size * 4 / play.rate(2)))))
    rates = sorted(play.rate(1 if figures.rehearse else cycles) for _ in range(3))
    name = DeepObfuscator().phases(setting)[phase].name
    each = arithmetic(setting)[name]
    sustained = rates[1] * sum(each.values()) / len(each) / 1e3
    peak = figures.found.get("peaks", {}).get("bf16 TFLOP/s")
    return {
        "images/s": rates[1],
        "lowest": rates[0],
        "highest": rates[2],
        "TFLOP/s": sustained,
        "of the peak": sustained / peak if peak else None,
        "seconds to start": started,
        "GiB": torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else None,
    }


def phases(setting: TrainConfig, device: torch.device, figures: Figures) -> dict[str, Any]:
    """Images a second of each phase of a training: what a whole run costs."""
    *before, last = (phase.name for phase in DeepObfuscator().phases(setting))
    rates = {
        name: game(setting, device, Choices(), figures, number)["images/s"]
        for number, name in enumerate(before)
    }
    return rates | {last: figures.found["game paper"]["images/s"]}


def each_stage(setting: TrainConfig, device: torch.device) -> dict[str, float]:
    """Milliseconds of one batch of each stage."""
    play = Game(setting, device, Choices())
    batch = play.batch(0)
    for number in range(EAGER + 1):
        play.cycle(number)
    found = {"the batch itself": 1e3 * timed(lambda: play.batch(0), device, 5)}
    for stage in play.stages:
        found[stage.name] = 1e3 * timed(lambda s=stage: play.play(s, batch), device, 5)
    return found


def profile(setting: TrainConfig, device: torch.device) -> list[dict[str, Any]]:
    """The twenty kernels (operations, on a processor) that took longest in one cycle."""
    play = Game(setting, device, Choices(graphs=False))
    play.cycle(0)
    kinds = [torch.profiler.ProfilerActivity.CPU]
    if device.type == "cuda":
        kinds.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=kinds) as taken:
        play.cycle(1)
        wait(device)
    cuda = device.type == "cuda"
    events = [
        (e.key, (e.self_device_time_total if cuda else e.self_cpu_time_total) / 1e3, e.count)
        for e in taken.key_averages()
        if not cuda or e.device_type == torch.autograd.DeviceType.CUDA
    ]
    whole = sum(ms for _, ms, _ in events) or 1
    events.sort(key=lambda e: -e[1])
    return [
        {"operation": key[:110], "ms": ms, "share": ms / whole, "calls": count}
        for key, ms, count in events[:20]
    ]


def index(setting: TrainConfig, device: torch.device) -> dict[str, float]:
    """Milliseconds of MS-SSIM with its gradient for one batch."""
    x, y = (torch.rand(setting.batch_size, 3, *setting.size, device=device) for _ in range(2))
    x.requires_grad_()

    def there_and_back() -> Tensor:
        return torch.autograd.grad(ms_ssim(x, y).sum(), x)[0]

    return {"ms": 1e3 * timed(there_and_back, device, 5)}


def attackers(setting: TrainConfig, device: torch.device, figures: Figures) -> dict[str, Any]:
    """Images a second of fresh attackers on a frozen encoder."""
    where = context(device)
    bundle = Bundle(DeepObfuscator().players(TASK, setting, where), {})
    for player in bundle.players.values():
        player.eval()

    def query(inputs: NDArray[np.uint8], seed: int) -> Tensor:
        return bundle.encode(inputs, where, seed)

    count = (2 if figures.rehearse else 8) * setting.batch_size
    own, validation = (
        AttackerData(material(setting, n), query, bundle.encoder.features, k, False)
        for k, n in ((2, count), (3, setting.batch_size))
    )
    threat = Threat(own, validation, setting.size, setting)
    few, many = (1.0, 2.0) if figures.rehearse else (2.0, 8.0)
    found: dict[str, Any] = {}
    for attack in (AdversaryClassifier(), Mirror()):
        taken = []
        for passes in (few, few, many):
            budget = replace(setting, infer_epochs=passes, reconstruct_epochs=passes)
            began = perf_counter()
            attack.fit(replace(threat, setting=budget), where)
            wait(device)
            taken.append(perf_counter() - began)
        found[attack.label] = (many - few) * count / (taken[2] - taken[1])
    return found


if __name__ == "__main__":
    main()
