"""Run folders as the report sees them: trial, card, records and an audit's notes."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from deepobfuscator.core.errors import InputError
from deepobfuscator.core.records import Record, read_jsonl
from deepobfuscator.experiments.presets import PRESETS

CARD_FIELDS = ("key", "command", "assumptions", "versions", "data", "features", "wire_bits")


@dataclass(frozen=True)
class RunResult:
    """One run folder, read."""

    folder: Path
    trial: dict[str, Any]
    """The trial as tagged JSON."""
    card: dict[str, Any]
    """The bundle's card; empty while the run is unfinished."""
    records: tuple[Record, ...]
    """Its figures; empty while the run is unfinished."""

    @property
    def finished(self) -> bool:
        """Whether there is anything to show."""
        return bool(self.card)

    @property
    def defence(self) -> str:
        """Name of the defence."""
        return str(self.trial["defence"]["name"])

    @property
    def seed(self) -> int:
        """Seed of the trial."""
        return int(self.trial["setting"]["seed"])

    @property
    def public(self) -> tuple[str, ...]:
        """Attributes that the service tells."""
        return tuple(self.trial["task"]["public"])

    @property
    def private(self) -> tuple[str, ...]:
        """Attributes that attackers must not learn."""
        return tuple(self.trial["task"]["private"])

    @property
    def source(self) -> str:
        """Name of the source of its pictures."""
        return str(self.trial["source"]["name"])

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of its pictures in pixels."""
        height, width = self.trial["setting"]["size"]
        return height, width

    @property
    def smoke_test(self) -> bool:
        """Whether training was too short for figures that mean anything."""
        setting, smoke = self.trial["setting"], PRESETS["smoke"]
        return "epochs" in setting and smoke.lasts(setting["epochs"], setting["game_epochs"])

    @property
    def setting(self) -> str:
        """What runs must share to be compared: the whole trial but its defence and its seed."""
        shared = {k: v for k, v in self.trial.items() if k != "defence"}
        shared["labels"] = self.card.get("data", {}).get("fingerprint")
        for part, own in (("source", "path"), ("setting", "seed")):
            shared[part] = {k: v for k, v in shared[part].items() if k != own}
        return json.dumps(shared, sort_keys=True)

    @cached_property
    def history(self) -> tuple[dict[str, Any], ...]:
        """Losses during training, a line each; empty where none were kept."""
        path = self.folder / "history.jsonl"
        if not path.is_file():
            return ()
        try:
            return tuple(json.loads(line) for line in path.read_text().splitlines())
        except json.JSONDecodeError:
            raise InputError(f"{path}: a line is not JSON; delete the file to go without") from None

    @cached_property
    def notes(self) -> dict[str, Any]:
        """What an audit noted beside its figures, as notes.json holds it; empty where none did."""
        path = self.folder / "audit" / "notes.json"
        return _object(path) if path.is_file() else {}

    @cached_property
    def faces(self) -> dict[str, NDArray[Any]] | None:
        """Test pictures and what was rebuilt of them, each (m, H, W, 3) in 0..255; or None."""
        names = ("raw", "reconstructed", "label_only", "attack")
        return _arrays(self.folder / "faces.npz", names)

    @cached_property
    def faces_in_game(self) -> NDArray[Any] | None:
        """What the training adversary AR rebuilt of `faces`; None where there was none."""
        found = _arrays(self.folder / "audit" / "floors.npz", ("in-game/faces",), required=False)
        return None if found is None else found.get("in-game/faces")

    @cached_property
    def worst_faces(self) -> dict[str, NDArray[Any]] | None:
        """The test pictures that were rebuilt best, best first: ``worst_raw``, ``worst_rebuilt``,
        ``worst_label_only`` (m, H, W, 3) in 0..255, ``worst_ms_ssim`` (m,), ``attack``; or None.
        """
        names = ("worst_raw", "worst_rebuilt", "worst_label_only", "worst_ms_ssim", "attack")
        return _arrays(self.folder / "audit" / "faces.npz", names)


def find_runs(folder: Path) -> list[RunResult]:
    """Every run at or below ``folder``, by path; those without records yet are unfinished.

    Raises:
        InputError: no run there, or a file of a run that cannot be read.
    """
    if not folder.is_dir():
        raise InputError(f"no folder {folder}: name one that holds runs")
    runs = [read_run(mark.parent) for mark in sorted(folder.rglob("trial.json"))]
    if not runs:
        raise InputError(
            f"no run in {folder}: name a folder that `deepobfuscator train` or `compare` filled"
        )
    return runs


def read_run(folder: Path) -> RunResult:
    """One run folder.

    Raises:
        InputError: a file of it cannot be read.
    """
    card_path, records_path = folder / "bundle" / "card.json", folder / "records.jsonl"
    card: dict[str, Any] = {}
    records: list[Record] = []
    if card_path.is_file() and records_path.is_file():
        card, records = _object(card_path), read_jsonl(records_path)
        for name in CARD_FIELDS:
            if name not in card:
                raise InputError(f"{card_path}: field {name!r} is missing; run this trial again")
    path = folder / "trial.json"
    trial = _object(path) if path.is_file() else card.get("trial", {})
    try:
        run = RunResult(folder, trial, card, tuple(records))
        run.defence, run.seed, run.public, run.private, run.setting  # noqa: B018
    except (KeyError, TypeError, AttributeError):
        raise InputError(f"{path}: not a trial; delete the folder or run it again") from None
    return run


def _object(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError):
        data = None
    if not isinstance(data, dict):
        raise InputError(f"{path}: not a JSON object; delete the folder or run it again")
    return data


def _arrays(
    path: Path, names: Sequence[str], required: bool = True
) -> dict[str, NDArray[Any]] | None:
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as held:
            return {name: held[name] for name in names if required or name in held}
    except (ValueError, KeyError, OSError, EOFError, BadZipFile) as error:
        raise InputError(f"{path}: not readable ({error}); delete it to go without faces") from None
