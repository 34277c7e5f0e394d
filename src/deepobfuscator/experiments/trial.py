"""A trial: everything that determines a run. A run folder belongs to exactly one trial on one state
of the data.
"""

import json
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self

from deepobfuscator.core.config import from_json, key, to_json
from deepobfuscator.core.errors import InputError
from deepobfuscator.core.files import write_atomic
from deepobfuscator.core.runtime import PRECISIONS
from deepobfuscator.data.batches import Parts
from deepobfuscator.data.dataset import Data
from deepobfuscator.data.files_source import FilesSource
from deepobfuscator.data.synthetic import Synthetic
from deepobfuscator.data.table import Source, Task
from deepobfuscator.defences.base import Defence
from deepobfuscator.defences.deepobfuscator import DeepObfuscator
from deepobfuscator.defences.raw import Raw
from deepobfuscator.defences.undefended import undefended
from deepobfuscator.training.objectives import TrainConfig

PROTOCOLS = ("own", "paper")
COMMON_ASSUMPTIONS = (
    "Losses are batch means, equations 1 and 3 summed over attributes; an attribute of several "
    "classes counts as one of 0 and 1 for each class.",
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
    "A newly trained attacker is kept at the epoch that was best on its own validation pictures.",
    "Service and in-game adversary decide at one half; every fresh attacker and floor at a "
    "threshold chosen on the attacker's validation pictures, one for each metric.",
)


@dataclass(frozen=True)
class Trial:
    """A defence, trained and audited on a task on labelled pictures."""

    source: Source = field(default_factory=Synthetic)
    """Source of the pictures."""
    task: Task = field(default_factory=lambda: Task(("Smiling",), ("Male",)))
    """The public and private attributes."""
    defence: Defence = field(default_factory=DeepObfuscator)
    """The method and its hyperparameters."""
    setting: TrainConfig = field(default_factory=TrainConfig)
    """Size, width, lengths, seed."""
    limit: int | None = None
    """Pictures of the training pool, whole people; validation shrinks in proportion, test stays."""
    split_seed: int = 0
    """Seeds the choice of people for the limit and the parts."""
    protocol: str = "own"
    """own: the data's own partition if it has one; paper: a new 160K : 40K split."""
    precision: str = "auto"
    """fp32, bf16, or auto: bf16 if the processor supports it natively."""
    skip_bad: bool = False
    """Skip and count pictures that are missing, unreadable or unlabelled."""
    defender_data: Source | None = None
    """What an external encoder was trained on, if known."""

    def __post_init__(self) -> None:
        if self.protocol not in PROTOCOLS:
            raise InputError(f"--protocol {self.protocol}: take one of {', '.join(PROTOCOLS)}")
        if self.precision not in PRECISIONS:
            raise InputError(f"--precision {self.precision}: take one of {', '.join(PRECISIONS)}")
        if self.limit is not None and self.limit < 1:
            raise InputError("--limit must be at least 1")
        for side in self.setting.size if self.defence.trains else ():
            if side % 4:
                raise InputError(
                    f"--size {self.setting.size[0]}x{self.setting.size[1]}: height and width must "
                    "be multiples of 4 to train"
                )

    @classmethod
    def make(
        cls,
        defence: Defence,
        data: Data,
        config: TrainConfig | None = None,
        *,
        precision: str = "auto",
        defender_data: Source | None = None,
    ) -> Self:
        """``defence`` on ``data``; a size in ``data`` takes precedence over that in ``config``."""
        shared = dict(vars(data))
        config, size = config or TrainConfig(), shared.pop("size")
        return cls(
            **shared,
            defence=defence,
            setting=replace(config, size=size or config.size),
            precision=precision,
            defender_data=defender_data,
        )

    @property
    def data(self) -> Data:
        """The data of the trial."""
        shared = {f.name: getattr(self, f.name) for f in fields(Data) if f.name != "size"}
        return Data(**shared, size=self.setting.size)

    @property
    def key(self) -> str:
        """Identifies the run: the hash of everything except machine paths."""
        return key(self)

    def undefended(self) -> "Trial":
        """Its ceiling: the same trial without a defence, or on raw pictures for an external
        encoder.
        """
        return replace(self, defence=undefended(self.defence) if self.defence.trains else Raw())

    @classmethod
    def of(cls, folder: Path) -> Self:
        """The trial of a run folder.

        Raises:
            InputError: there is no run in it, or as `read`.
        """
        path = folder / "trial.json"
        if not path.is_file():
            raise InputError(f"{folder} holds no run: train one first (deepobfuscator train)")
        return cls.read(path)

    @classmethod
    def read(cls, path: Path) -> Self:
        """The trial in a ``trial.json``.

        Raises:
            InputError: it cannot be read, or a field is wrong.
        """
        try:
            return from_json(cls, json.loads(path.read_text()), str(path))
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise InputError(f"cannot read the trial {path}: {error}") from None


def write_trial(trial: Trial, folder: Path) -> None:
    """Write the trial to the folder."""
    write_atomic(folder / "trial.json", f"{json.dumps(to_json(trial), indent=1)}\n".encode())


def same_data(data: Parts, folder: Path) -> None:
    """Record the data that the folder's run started with, or check that it is unchanged.

    Raises:
        InputError: it changed.
    """
    path = folder / "data.json"
    there = json.loads(path.read_text()) if path.exists() else {}
    if any(value != data.summary.get(name) for name, value in there.items()):
        raise InputError(
            f"the pictures or labels changed since {folder} was begun: "
            "bring them back, or name another --out folder"
        )
    write_atomic(path, (json.dumps(data.summary) + "\n").encode())


def pictures_there(trial: Trial, folder: Path) -> None:
    """Check that the folder of the run's pictures still exists.

    Raises:
        InputError: it does not; the message says how to name another.
    """
    source = trial.source
    if isinstance(source, FilesSource) and not source.path.exists():
        raise InputError(
            f"the pictures that {folder} is about are no longer in {source.path}: bring them back, "
            f"or audit it once with --data {source.name}:PATH"
        )


def unclaimed(trial: Trial, folder: Path) -> None:
    """Check that the folder contains this very trial or none.

    Raises:
        InputError: it contains another; the message names a field that differs.
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
