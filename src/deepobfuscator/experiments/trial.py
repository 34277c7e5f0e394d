"""A trial: everything that determines a run, and the run itself, resumable at every step.

RUN/trial.json      the trial; its key names the run
RUN/train.ckpt      where training stands, while it does
RUN/history.jsonl   training curves
RUN/bundle/         the frozen players and their card
RUN/audit/          one file of records for each part of the audit
RUN/faces.npz       a few test pictures, raw and reconstructed
RUN/records.jsonl   all records, written last
"""

import json
import platform
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from rich.console import Console

import deepobfuscator
from deepobfuscator import bundle as bundles
from deepobfuscator.audit import Audit, suite
from deepobfuscator.bundle import Bundle
from deepobfuscator.config import from_json, key, to_json
from deepobfuscator.data import batches
from deepobfuscator.data.batches import Data
from deepobfuscator.data.synthetic import Synthetic
from deepobfuscator.data.table import Source, Task
from deepobfuscator.defences._base import Defence
from deepobfuscator.defences.deepobfuscator import DeepObfuscator
from deepobfuscator.defences.undefended import Undefended
from deepobfuscator.errors import InputError
from deepobfuscator.files import write_atomic
from deepobfuscator.game import Setting
from deepobfuscator.nn.vgg import parameter_count
from deepobfuscator.records import Record, read_jsonl, write_jsonl
from deepobfuscator.runtime import PRECISIONS, Run, locked, resolve_device, resolve_precision

PROTOCOLS = ("own", "paper")
COMMON_ASSUMPTIONS = (
    "Losses are batch means, equations 1 and 3 summed over attributes.",
    "Convolutions have stride 1 and padding 1; upsampling is nearest neighbour; C, AC and AR have "
    "batch norm like O; the paper's networks have no dropout.",
    "The adaptive learning rate is Adam's own adaptation, after a linear rise over the first 5 % "
    "of each phase, and unless said otherwise a fall along a cosine to 1 %; each phase starts "
    "with a new optimiser.",
    "Players that do not move in a stage use their running batch-norm statistics.",
    "Weights start from He's normal initialisation; Adam has torch's defaults beside its rate.",
    "The defender's training pictures are mirrored at random and shifted by up to a sixteenth of "
    "a side; the attacker's are mirrored at random.",
    "The training pool is halved between the defender and the attacker, whole people each; the "
    "paper does not say which pictures its attackers trained on.",
    "Where the data has no validation part, an eighth of the attacker's pictures becomes one.",
    "A fresh attacker is kept at the epoch that was best on its own validation pictures.",
    "Service and in-game adversary decide at one half; every fresh attacker and floor at a "
    "threshold chosen on the attacker's validation pictures, one for each metric.",
)


@dataclass(frozen=True)
class Trial:
    """A defence, trained and audited on a task on labelled pictures."""

    source: Source = field(default_factory=Synthetic)
    """Where the pictures come from."""
    task: Task = field(default_factory=lambda: Task(("Smiling",), ("Male",)))
    """What is public and what is private."""
    defence: Defence = field(default_factory=DeepObfuscator)
    """The method and its hyperparameters."""
    setting: Setting = field(default_factory=Setting)
    """Size, width, lengths, seed."""
    limit: int | None = None
    """Pictures of the training pool (whole people); the other parts shrink in proportion."""
    split_seed: int = 0
    """Draws the people of a limit and of the parts."""
    protocol: str = "own"
    """own: the data's own partition where it has one; paper: 160K : 40K drawn anew."""
    precision: str = "auto"
    """fp32, bf16, or auto: bf16 where the processor computes it natively."""
    skip_bad: bool = False
    """Go on without pictures that cannot be decoded, and count them."""

    def __post_init__(self) -> None:
        if self.protocol not in PROTOCOLS:
            raise InputError(f"--protocol {self.protocol}: take one of {', '.join(PROTOCOLS)}")
        if self.precision not in PRECISIONS:
            raise InputError(f"--precision {self.precision}: take one of {', '.join(PRECISIONS)}")
        if self.limit is not None and self.limit < 1:
            raise InputError("--limit must be at least 1")

    @property
    def key(self) -> str:
        """Names the run: the hash of all but machine paths."""
        return key(self)

    def undefended(self) -> "Trial":
        """The same trial without a defence: its ceiling."""
        return replace(self, defence=Undefended())

    @staticmethod
    def read(path: Path) -> "Trial":
        """The trial in a ``trial.json``.

        Raises:
            InputError: it cannot be read, or a field is wrong.
        """
        try:
            return from_json(Trial, json.loads(path.read_text()), str(path))
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise InputError(f"cannot read the trial {path}: {error}") from None


@dataclass
class Workshop:
    """Where trials run: a device, and the data loaded last."""

    device: torch.device = field(default_factory=lambda: resolve_device("auto"))
    """Where networks compute."""
    command: str = ""
    """What was typed, for the card."""
    rank: int = 0
    """Number of this process among those that train together."""
    ranks: int = 1
    """How many train together."""
    _data: tuple[Any, Data] | None = field(default=None, init=False)

    def on(self, trial: Trial, folder: Path) -> Run:
        """A run of ``trial`` in ``folder``."""
        precision = resolve_precision(trial.precision, self.device)
        console = Console(stderr=True, quiet=self.rank > 0)
        return Run(folder, self.device, precision, console, rank=self.rank, ranks=self.ranks)

    def data(self, trial: Trial, run: Run) -> Data:
        """The trial's data; kept, since the trials of a comparison share it."""
        t = trial
        size, seed = t.setting.size, t.split_seed
        wanted = (t.source, t.task, size, t.limit, seed, t.protocol, t.skip_bad)
        if self._data is None or self._data[0] != wanted:
            with run.progress("pictures", 1) as bar:
                data = batches.load(*wanted, bar.at)
            if data.summary["skipped"]:
                run.say(f"{data.summary['skipped']} pictures could not be decoded and are left out")
            self._data = wanted, data
        return self._data[1]

    def train(self, trial: Trial, folder: Path) -> None:
        """Train ``trial`` in ``folder``, or go on where it was stopped, or find it done.

        Raises:
            InputError: the folder holds another trial, or the data changed since it began.
        """
        run = self.on(trial, folder)
        first = run.rank == 0
        with locked(folder) if first else nullcontext():
            if run.share(lambda: self._trained(trial, folder)):
                return
            data = self.data(trial, run)
            if first:
                same_data(data, folder)
                write_atomic(
                    folder / "trial.json", f"{json.dumps(to_json(trial), indent=1)}\n".encode()
                )
            began = monotonic()
            run.say(f"[bold]{trial.defence.name}[/bold], seed {trial.setting.seed}: train")
            checkpoint = folder / "train.ckpt"
            players, history = trial.defence.fit(
                trial.task, data.defender, trial.setting, run, checkpoint
            )
            if first:
                lines = "".join(json.dumps(point) + "\n" for point in history)
                write_atomic(folder / "history.jsonl", lines.encode())
                bundle = Bundle(players, {})
                bundle.card = self.card(trial, bundle, data, run, monotonic() - began)
                bundle.save(folder / "bundle")
                checkpoint.unlink(missing_ok=True)

    def _trained(self, trial: Trial, folder: Path) -> bool:
        """Whether the folder holds the trial's finished bundle already."""
        unclaimed(trial, folder)
        done = (folder / "bundle").is_dir()
        if done:
            bundles.check(folder / "bundle")
            (folder / "train.ckpt").unlink(missing_ok=True)
        return done

    def card(
        self, trial: Trial, bundle: Bundle, data: Data, run: Run, seconds: float
    ) -> dict[str, Any]:
        """Everything that determined the run and every assumption."""
        height, width = trial.setting.size
        return {
            "key": trial.key,
            "command": self.command,
            "trial": to_json(trial),
            "assumptions": [*COMMON_ASSUMPTIONS, *trial.defence.assumptions],
            "attacks": [
                to_json(a) | {"rate": a.rate, "share": a.share, "target": a.target} for a in suite()
            ],
            "versions": {
                "deepobfuscator": deepobfuscator.__version__,
                "torch": torch.__version__,
                "python": platform.python_version(),
            },
            "device": str(run.device),
            "threads": torch.get_num_threads(),
            "processes": run.ranks,
            "precision": run.precision,
            "data": data.summary,
            "features": list(bundle.encoder.features),
            "wire_bits": bundle.encoder.wire_bits,
            "picture_bits": 24 * height * width,
            "parameters": {n: parameter_count(p) for n, p in bundle.players.items()},
            "seconds": {"train": round(seconds, 1)},
        }

    def audit(self, folder: Path, ceiling: Path | None = None) -> list[Record]:
        """Audit the trained run in ``folder``; fit its undefended ceiling first where missing.

        Args:
            folder: a run folder.
            ceiling: run folder of an undefended trial on the same data, any seed; by default one
                is trained in ``folder/undefended``.

        Raises:
            InputError: nothing trained there, or a bundle that was altered.
        """
        if not (folder / "trial.json").is_file():
            raise InputError(f"{folder} holds no run: train one first (deepobfuscator train)")
        trial = Trial.read(folder / "trial.json")
        bundles.check(folder / "bundle")
        if (done := finished(folder)) is not None:
            return done
        run = self.on(trial, folder)
        data = self.data(trial, run)
        same_data(data, folder)
        above: list[Record] | None = None
        if trial.key != trial.undefended().key:
            if ceiling is None:
                ceiling = folder / "undefended"
                self.train(trial.undefended(), ceiling)
            above = self.audit(ceiling)
        with locked(folder):
            players = trial.defence.players(trial.task, trial.setting, run)
            bundle = bundles.load(folder / "bundle", players, run)
            run.say(f"[bold]{trial.defence.name}[/bold], seed {trial.setting.seed}: audit")
            audit = Audit(
                *(bundle, trial.key, trial.defence.name, trial.task, data, trial.setting),
                *(folder / "audit", run, above),
                ceiling / "audit" if ceiling else None,
            )
            records = audit.records(suite())
            write_jsonl(folder / "records.jsonl", records)
        return records


def finished(folder: Path) -> list[Record] | None:
    """The records of a finished audit; None where there is none, or an attack is missing in it."""
    path = folder / "records.jsonl"
    if not path.exists():
        return None
    records = read_jsonl(path)
    return records if {a.name for a in suite()} <= {r.attack for r in records} else None


def same_data(data: Data, folder: Path) -> None:
    """Note what the folder's run was begun on, or make sure that it is the same.

    Raises:
        InputError: it is not.
    """
    path = folder / "data.json"
    if path.exists() and json.loads(path.read_text()) != data.summary:
        raise InputError(
            f"the pictures or labels changed since {folder} was begun: "
            "bring them back, or name another --out folder"
        )
    write_atomic(path, (json.dumps(data.summary) + "\n").encode())


def unclaimed(trial: Trial, folder: Path) -> None:
    """Make sure that the folder holds this very trial or none.

    Raises:
        InputError: it holds another; the message names a field that differs.
    """
    path = folder / "trial.json"
    if path.exists() and (there := Trial.read(path)).key != trial.key:
        where, old, new = difference(to_json(there, False), to_json(trial, False))
        raise InputError(
            f"{folder} holds another trial ({where} is {old} there, {new} here): "
            "name another --out folder"
        )


def difference(old: Any, new: Any, where: str = "") -> tuple[str, Any, Any]:
    """The first place where two JSON values differ, and both values."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in [*old, *(n for n in new if n not in old)]:
            if old.get(name) != new.get(name):
                return difference(old.get(name), new.get(name), f"{where}.{name}".lstrip("."))
    return where, old, new


def compare(
    shop: Workshop,
    trial: Trial,
    defences: Sequence[Defence],
    out: Path,
    seeds: int | None,
    ahead: Callable[[Sequence[tuple[Trial, Path]]], None] | None = None,
) -> list[Path]:
    """Train and audit each defence on the same data, the undefended first.

    Args:
        shop: where to run.
        trial: the shared source, task and setting.
        defences: methods to compare.
        out: folder of the run folders.
        seeds: seeds for each defence; None takes each defence's own default.
        ahead: runs the trials, each in its folder, before they are gathered here; the first is
            the undefended. None runs them here, one after the other.

    Returns:
        The run folders; ``out/records.jsonl`` holds the records of all.
    """
    first = trial.setting.seed
    runs: list[tuple[Defence, int]] = [(Undefended(), first)]
    for defence in defences:
        last = first + (seeds or defence.default_seeds)
        runs += [(defence, s) for s in range(first, last) if (defence, s) != runs[0]]
    trials = [
        (replace(trial, defence=d, setting=replace(trial.setting, seed=s)), out / f"{d.name}-s{s}")
        for d, s in runs
    ]
    if ahead is not None:
        ahead(trials)
    records: list[Record] = []
    for one, folder in trials:
        shop.train(one, folder)
        records += shop.audit(folder, trials[0][1])
    with locked(out):
        write_jsonl(out / "records.jsonl", records)
    return [folder for _, folder in trials]
