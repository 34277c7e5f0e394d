"""What is done of a reproduction, what is left, and how long that takes."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic

import numpy as np
import torch

from deepobfuscator.core.errors import InputError
from deepobfuscator.data.batches import Labelled
from deepobfuscator.data.table import split
from deepobfuscator.defences.pixel_noise import PixelNoise
from deepobfuscator.defences.undefended import Undefended
from deepobfuscator.experiments.runner import Runner, RunSpec
from deepobfuscator.experiments.trial import Trial
from deepobfuscator.nn.vgg import initialise
from deepobfuscator.paper.calibration import GRID
from deepobfuscator.paper.reproduce import Reproduction
from deepobfuscator.report.tables import Table
from deepobfuscator.training.loop import play_stage
from deepobfuscator.training.objectives import Players, TrainConfig

DONE, TRAINED, BEGUN, MISSING, BROKEN = "done", "trained", "begun", "missing", "broken"

INFER, RECONSTRUCT, NOISY, REIDENTIFY, DECODER = 0.9, 0.8, 2.0, 3.0, 1.2
"""Cost of a batch relative to one of O and C in training: the brief suite's three classifiers
together, a mirror, what a noisy encoder adds by being asked anew, and the larger attackers."""

TIMED = 4
"""Batches that are timed where nothing is finished yet."""


@dataclass(frozen=True)
class Item:
    """One trial, or the calibration, on the list."""

    name: str
    """Of its folder."""
    about: str
    """What it is."""
    state: str
    """done, trained, begun, missing or broken."""
    units: float
    """Its length in batches of joint training."""
    seconds: float | None
    """What it took; None while it is not done."""
    exhibits: tuple[str, ...]
    """Who needs it."""


def items(reproduction: Reproduction) -> list[Item]:
    """Everything that the exhibits need, done or not."""
    reproduction.calibrated()
    trial = reproduction.book.first()
    batches = lengths(trial)
    found: list[Item] = []
    noisy = [e.name for e in reproduction.entries if e.noise]
    if noisy and (reproduction.book.sigma is None or reproduction.calibrated() is not None):
        folder = reproduction.noise_folder
        done = reproduction.calibrated() is not None
        state = DONE if done else BROKEN if folder.name in reproduction.failed else MISSING
        s, attacker = trial.setting, batches[1]
        cost = attacker * (s.infer_epochs * REIDENTIFY / 2 + 2 * s.reconstruct_epochs) + len(GRID)
        found.append(Item(folder.name, "calibrates the noise", state, cost, None, tuple(noisy)))
    uncalibrated = reproduction.book.sigma is None
    if uncalibrated:  # any deviation will do to count and to time the trials
        reproduction.book = replace(reproduction.book, sigma=PixelNoise().sigma)
    needed: dict[str, list[str]] = {}
    for entry in reproduction.entries:
        for ask in entry.needs:
            try:
                works = reproduction.book.works(ask(reproduction.book))
            except InputError:
                continue
            for work in works:
                names = needed.setdefault(work.folder.name, [])
                names += [] if entry.name in names else [entry.name]
    for work in reproduction.works():
        state, seconds = state_of(reproduction, work)
        task, defence = work.trial.task, work.trial.defence
        about = f"{{{', '.join(task.public)} | {', '.join(task.private)}}}"
        for name, value in vars(defence).items():
            if value != getattr(type(defence), name, None):
                about += f", {name} {value}"
        about += f", seed {work.trial.setting.seed}"
        name = work.folder.name
        if uncalibrated and isinstance(defence, PixelNoise):
            about = about.replace(f"sigma {defence.sigma}", "sigma to be calibrated")
            about += ", sigma to be calibrated" * ("to be" not in about)
            state, seconds = MISSING, None
            needed[f"{defence.name}-?"] = needed[name]
            name = f"{defence.name}-?"
        cost = units(work, batches)
        found.append(Item(name, about, state, cost, seconds, tuple(needed[name])))
    return found


def state_of(reproduction: Reproduction, work: RunSpec) -> tuple[str, float | None]:
    """How far a trial is, and what it took if it is done."""
    try:
        if reproduction.done(work):
            return DONE, took(work.folder)
    except InputError:
        return BROKEN, None
    if (work.folder / "bundle").is_dir():
        return TRAINED, None
    return (BEGUN if work.folder.is_dir() else MISSING), None


def took(folder: Path) -> float:
    """Seconds that a finished run took; its attackers' time is that of the last audit."""
    card = json.loads((folder / "bundle" / "card.json").read_text())
    notes = json.loads((folder / "audit" / "notes.json").read_text())
    return float(card["seconds"]["train"]) + float(notes["seconds"])


def lengths(trial: Trial) -> tuple[int, int]:
    """Batches in one pass over the defender's and over the attacker's pictures."""
    parts = split(trial.source.read(), trial.limit, trial.split_seed, trial.protocol)
    size = trial.setting.batch_size
    return max(1, len(parts.defender) // size), max(1, len(parts.attacker) // size)


def units(work: RunSpec, batches: tuple[int, int]) -> float:
    """A trial's length in batches of joint training."""
    setting, (defender, attacker) = work.trial.setting, batches
    training = sum(p.epochs for p in work.trial.defence.phases(setting)) * defender
    also = work.order.also
    classify = INFER * setting.infer_epochs * (1 + 0.3 * ("from-images" in also))
    rebuild = RECONSTRUCT * setting.reconstruct_epochs * (2 if work.ceiling is None else 1)
    rebuild += DECODER * setting.reconstruct_epochs * sum(n in also for n in ("urec1", "urec2"))
    rebuild += DECODER * setting.reconstruct_epochs * ("resrec" in also)
    identify = 2 * REIDENTIFY * setting.infer_epochs * ("reidentify" in also)
    times = NOISY if work.trial.defence.name == "pixel-noise" else 1
    return training + times * attacker * (classify + rebuild + identify)


def speed(found: Sequence[Item], shop: Runner, setting: TrainConfig) -> float:
    """Seconds a unit: of what is finished, or of a few batches that are timed now."""
    done = [item for item in found if item.seconds is not None]
    if done:
        return sum(i.seconds or 0 for i in done) / sum(i.units for i in done)
    defence = Undefended()
    encoder = defence.build_encoder(setting)
    players: Players = {"O": encoder, "C": defence.build_classifier(encoder, 1, setting)}
    run = shop.on(Trial(setting=setting), Path("."))
    for player in players.values():
        initialise(player, 0)
        run.place(player)
    draw, n = np.random.default_rng(0), setting.batch_size
    labels = draw.integers(0, 2, (n, 1), dtype=np.uint8)
    pictures = draw.integers(0, 256, (n, *setting.size, 3), dtype=np.uint8)
    material = Labelled(pictures, labels, labels, np.arange(n))
    optimisers = {
        name: torch.optim.Adam(player.parameters(), fused=True) for name, player in players.items()
    }
    stage = defence.phases(setting)[0].stages[0]
    times = []
    for _ in range(TIMED):
        began = monotonic()
        batch = material.batch(np.arange(n), run.device, draw)
        float(play_stage(stage, batch, players, optimisers, run)["L_C"])
        times.append(monotonic() - began)
    return min(times)


def listed(found: Sequence[Item], seconds: float) -> tuple[Table, float]:
    """The list as a table, and the seconds that are left."""
    left, rows = 0.0, []
    for item in found:
        open_ = 0.0 if item.state == DONE else item.units * seconds
        left += open_
        time = clock(item.seconds) if item.seconds is not None else ""
        time = time or ("" if item.state == DONE else f"about {clock(open_)}")
        rows.append((item.name, item.about, item.state, time, " ".join(item.exhibits)))
    return Table(("Trial", "What", "State", "Time", "For"), tuple(rows)), left


def clock(seconds: float) -> str:
    """A time in minutes, or in hours from two on."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
