"""Progress of a reproduction: done, left, and the estimated time; read-only."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

import numpy as np
from rich.console import Console

import deepobfuscator as do
from deepobfuscator.paper import calibration
from deepobfuscator.paper.exhibits import NOISY, needed, wanted
from deepobfuscator.paper.keys import Name
from deepobfuscator.paper.reproduce import noise_folder
from deepobfuscator.paper.trials import Trials

INFER, RECONSTRUCT, NOISE, REIDENTIFY, DECODER = 0.9, 0.8, 2.0, 3.0, 1.2
"""Cost of a batch relative to one of O and C in training: the brief suite's three classifiers
together, a mirror, repeated queries of a noisy encoder, and the larger attackers."""

TIMED = 4
"""Number of batches timed if nothing is finished yet."""


class State(StrEnum):
    """Progress of a trial."""

    DONE = "done"
    TRAINED = "trained"
    BEGUN = "begun"
    MISSING = "missing"
    BROKEN = "broken"


@dataclass(frozen=True)
class Item:
    """One trial, or the calibration, on the list."""

    name: str
    """Name of its folder."""
    about: str
    state: State
    units: float
    """Its length in batches of joint training."""
    exhibits: tuple[Name, ...]
    """The exhibits that need it."""
    seconds: float | None = None
    """Seconds it took; None while unfinished."""


@dataclass(frozen=True)
class Listing:
    """What the exhibits need, ceilings first."""

    items: tuple[Item, ...]
    unit: float
    """Seconds that a batch of joint training takes."""

    @property
    def done(self) -> int:
        """Number of finished items."""
        return sum(item.state is State.DONE for item in self.items)

    def left(self) -> float:
        """Estimated seconds left."""
        return sum(item.units * self.unit for item in self.items if item.state is not State.DONE)

    @property
    def table(self) -> do.Table:
        """The list as text."""
        rows = []
        for item in self.items:
            time = "" if item.state is State.DONE else f"about {clock(item.units * self.unit)}"
            time = time if item.seconds is None else clock(item.seconds)
            rows.append((item.name, item.about, str(item.state), time, " ".join(item.exhibits)))
        return do.Table(("Trial", "What", "State", "Time", "For"), tuple(rows))

    @property
    def summary(self) -> str:
        """Items done, and the time left."""
        total, left = len(self.items), clock(self.left())
        return f"{self.done} of {total} done; left: about {left} on this machine"


def listing(runner: do.Runner, trials: Trials, exhibits: Sequence[str] = ()) -> Listing:
    """What `reproduce` would skip as finished and what it would run; nothing is written.

    Raises:
        InputError: no such exhibit, or no attribute for the first role of a side.
    """
    names = wanted(trials, exhibits)
    items, kept = list[Item](), None
    noisy = tuple(name for name in names if name in NOISY)
    batches = trials.batches() if noisy or needed(trials, names) else (1, 1)
    if noisy:
        folder = noise_folder(trials)
        try:
            kept = calibration.read(folder / "calibration.json")
            state = State.MISSING if kept is None else State.DONE
        except do.InputError:
            state = State.BROKEN
        if trials.sigma is None or kept is not None:
            s = trials.base.setting
            epochs = s.infer_epochs * REIDENTIFY / 2 + 2 * s.reconstruct_epochs
            units = batches[1] * epochs + len(calibration.GRID)
            items.append(Item(folder.name, "calibrates the noise", state, units, noisy))
    known = trials.sigma if kept is None or trials.sigma is not None else kept.sigma
    # An unknown deviation does not affect the number of trials or their time.
    assumed = replace(trials, sigma=do.PixelNoise().sigma if known is None else known)
    users = defaultdict[Path, list[Name]](list)
    for name in names:
        for spec in needed(assumed, (name,)):
            users[spec.folder].append(name)
    for spec in needed(assumed, names):
        pending = known is None and spec.trial.defence == assumed.noise
        state, seconds = (State.MISSING, None) if pending else _state(runner, spec)
        items.append(
            Item(
                name=f"{spec.trial.defence.name}-?" if pending else spec.folder.name,
                about=_about(spec.trial, pending, batches[0]),
                state=state,
                units=_units(spec, batches),
                seconds=seconds,
                exhibits=tuple(users[spec.folder]),
            )
        )
    return Listing(tuple(items), _unit(items, runner, trials.base.setting))


def _state(runner: do.Runner, spec: do.RunSpec) -> tuple[State, float | None]:
    """Progress of a trial, and the seconds of its training and last audit if finished."""
    folder = spec.folder
    try:
        if runner.done(spec):
            card = json.loads((folder / "bundle" / "card.json").read_text())
            notes = json.loads((folder / "audit" / "notes.json").read_text())
            return State.DONE, float(card["seconds"]["train"]) + float(notes["seconds"])
    except do.InputError:
        return State.BROKEN, None
    if (folder / "bundle").is_dir():
        return State.TRAINED, None
    return (State.BEGUN if folder.is_dir() else State.MISSING), None


def _about(trial: do.Trial, pending: bool, per_pass: int) -> str:
    """A trial as text; ``pending``: its noise is not calibrated yet."""
    defence = trial.defence
    changed = {k: v for k, v in vars(defence).items() if v != getattr(type(defence), k, None)}
    fields = [f"{name} {value}" for name, value in changed.items()]
    fields = ["sigma to be calibrated"] if pending else fields
    task = f"{{{', '.join(trial.task.public)} | {', '.join(trial.task.private)}}}"
    games = [p for p in defence.phases(trial.setting) if len(p.stages) > 1]
    rounds = [f"{sum(p.rounds(per_pass) for p in games):,} rounds"] if games else []
    return ", ".join([task, *fields, *rounds, f"seed {trial.setting.seed}"])


def _units(spec: do.RunSpec, batches: tuple[int, int]) -> float:
    """A trial's length in batches of joint training."""
    setting, defence, (defender, attacker) = spec.trial.setting, spec.trial.defence, batches
    training = sum(p.epochs for p in defence.phases(setting)) * defender
    also = spec.config.also
    classify = INFER * setting.infer_epochs * (1 + 0.3 * ("from-images" in also))
    rebuild = RECONSTRUCT * setting.reconstruct_epochs * (2 if spec.ceiling is None else 1)
    larger = sum(name in also for name in ("urec1", "urec2", "resrec"))
    rebuild += DECODER * setting.reconstruct_epochs * larger
    identify = 2 * REIDENTIFY * setting.infer_epochs * ("reidentify" in also)
    times = NOISE if isinstance(defence, do.PixelNoise) else 1
    return training + times * attacker * (classify + rebuild + identify)


def _unit(items: Sequence[Item], runner: do.Runner, setting: do.TrainConfig) -> float:
    """Seconds per unit: from finished trials, or from a batch timed now."""
    if not items:
        return 0.0
    done = [item for item in items if item.seconds is not None]
    if done:
        return sum(item.seconds or 0 for item in done) / sum(item.units for item in done)
    draw, n = np.random.default_rng(0), setting.batch_size
    labels = draw.integers(0, 2, (n, 1), dtype=np.uint8)
    pictures = draw.integers(0, 256, (n, *setting.size, 3), dtype=np.uint8)
    batch = do.Labelled(pictures, labels, labels, np.arange(n))
    defence, once, times = do.Undefended(), replace(setting, epochs=1.0), []
    with TemporaryDirectory() as folder:
        context = runner.on(do.Trial(setting=setting), Path(folder))
        context = replace(context, console=Console(quiet=True))
        players = defence.players(do.Task(("public",), ("private",)), once, context)
        for _ in range(TIMED):
            began = monotonic()
            do.play(players, defence.phases(once), batch, once, context)
            times.append(monotonic() - began)
    return min(times)


def clock(seconds: float) -> str:
    """A time in minutes, or in hours from two on."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
