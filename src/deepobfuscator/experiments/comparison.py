"""The trials of a comparison, each in a folder named by its defence."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from deepobfuscator.auditing.config import AuditConfig
from deepobfuscator.core.config import to_json
from deepobfuscator.core.errors import InputError
from deepobfuscator.defences.base import Defence
from deepobfuscator.defences.undefended import Undefended, undefended
from deepobfuscator.experiments.runner import RunSpec
from deepobfuscator.experiments.trial import Trial


def comparison(
    trial: Trial, defences: Sequence[Defence], out: Path, seeds: int | None, config: AuditConfig
) -> list[RunSpec]:
    """The trials of a comparison, the undefended one first: it is the ceiling of the others.

    Args:
        trial: the shared settings; its defence is replaced.
        defences: methods to compare.
        out: parent folder of the run folders.
        seeds: number of seeds per defence; None uses each defence's default.
        config: which attackers to run.

    Raises:
        InputError: a defence that cannot be trained, or a number of seeds below 1.
    """
    if seeds is not None and seeds < 1:
        raise InputError("--seeds must be at least 1")
    for defence in defences:
        if not defence.trains:
            raise InputError(f"{defence.name} is not trained: it cannot be compared")
    first = trial.setting.seed
    runs: list[tuple[Defence, int]] = [
        (undefended(defence), first) for defence in defences or [Undefended()]
    ]
    for defence in defences:
        last = first + (seeds or defence.default_seeds)
        runs += [(defence, seed) for seed in range(first, last)]
    folders = {run: out / f"{folder_name(run[0])}-s{run[1]}" for run in runs}
    specs = []
    for (defence, seed), folder in folders.items():
        mine = replace(trial, defence=defence, setting=replace(trial.setting, seed=seed))
        above = folders[undefended(defence), first]
        specs.append(RunSpec(mine, folder, None if above == folder else above, config))
    return specs


def folder_name(defence: Defence) -> str:
    """A defence's name and its non-default hyperparameters."""
    changed = [
        f"{name}={value['import'].rpartition(':')[2] if isinstance(value, dict) else value}"
        for name, value in to_json(defence).items()
        if name != "name" and value != to_json(type(defence)()).get(name)
    ]
    words = "".join(c if c.isalnum() or c in "-=._" else "_" for c in "-".join(changed))
    return "-".join(filter(None, [defence.name, words]))
