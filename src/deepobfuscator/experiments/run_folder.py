"""Whose a run folder is: one trial on one state of the data, and no other."""

import json
from pathlib import Path
from typing import Any

from deepobfuscator.core.config import to_json
from deepobfuscator.core.errors import InputError
from deepobfuscator.core.files import write_atomic
from deepobfuscator.data.batches import Parts
from deepobfuscator.data.files_source import FilesSource
from deepobfuscator.experiments.trial import Trial


def write_trial(trial: Trial, folder: Path) -> None:
    """Note what the folder is about."""
    write_atomic(folder / "trial.json", f"{json.dumps(to_json(trial), indent=1)}\n".encode())


def same_data(data: Parts, folder: Path) -> None:
    """Note what the folder's run was begun on, or make sure that it is the same.

    Raises:
        InputError: it is not.
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
    """Make sure that the folder of the run's pictures is still there.

    Raises:
        InputError: it is not; the message tells how to name another.
    """
    source = trial.source
    if isinstance(source, FilesSource) and not source.path.exists():
        raise InputError(
            f"the pictures that {folder} is about are no longer in {source.path}: bring them back, "
            f"or audit it once with --data {source.name}:PATH"
        )


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
