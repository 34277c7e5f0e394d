"""Opens an audit's target as a trial in its run folder; certificates without an audit."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from deepobfuscator.auditing.certify import Certified, certified
from deepobfuscator.auditing.config import AuditConfig
from deepobfuscator.auditing.fit import Audit
from deepobfuscator.auditing.gates import Gate
from deepobfuscator.core.errors import InputError
from deepobfuscator.core.files import expanded
from deepobfuscator.core.records import IDENTITY, IMAGE
from deepobfuscator.data.batches import disjoint
from deepobfuscator.data.dataset import Data
from deepobfuscator.data.table import Source
from deepobfuscator.defences.external import External
from deepobfuscator.experiments.runner import Runner
from deepobfuscator.experiments.trial import Trial, pictures_there, same_data
from deepobfuscator.nn.external import ExternalEncoder, examine
from deepobfuscator.nn.onnx_file import shipped
from deepobfuscator.nn.targets import Made
from deepobfuscator.training import bundle as bundles
from deepobfuscator.training.objectives import TrainConfig


def opened(
    runner: Runner,
    target: Path | str | Made,
    data: Data | None,
    config: TrainConfig | None,
    precision: str,
    *,
    defender_data: Source | None = None,
    output: str | None = None,
    out: str | Path | None = None,
) -> tuple[Trial, Path]:
    """The trial of a run's folder, or of an external encoder, and its folder.

    Arguments and errors are those of `deepobfuscator.audit`.
    """
    if isinstance(target, str | Path):
        target = shipped(os.path.expanduser(target))
    if isinstance(target, str) and Path(target).is_dir():
        folder, trial = Path(target), Trial.of(Path(target))
        if config or defender_data or output or out:
            raise InputError(f"{target} is a run and brings its own settings: give none")
        if data is not None:
            if (name := trial.source.name) != data.source.name:
                raise InputError(
                    f"{target} is about {name} pictures: --data names the same ones in another "
                    f"place, as in {name}:PATH"
                )
            trial = replace(trial, source=data.source)
            if replace(data.resolved(), size=data.size or trial.data.size) != trial.data:
                raise InputError(f"{target} brings its own task and cut: change none of them")
            bundles.check(folder / "bundle")
            runner.train(trial, folder)
        return trial, folder
    if data is None:
        raise InputError("an encoder made elsewhere brings no pictures and no task: give data")
    encoder = External.of(target, data.size, output)
    size = encoder.open(data.size).size
    trial = Trial.make(
        encoder,
        replace(data.resolved(), size=size),
        config,
        precision=precision,
        defender_data=defender_data,
    )
    return trial, expanded(out or Path("runs") / f"audit-{trial.key}")


def gated(trial: Trial, gates: Sequence[Gate]) -> None:
    """Raise InputError where a gate is about what an audit of the trial does not judge."""
    if gates:
        named, undeclared = trial.task.private, trial.source.read().attributes
        subjects = dict.fromkeys((*named, *undeclared, IMAGE, IDENTITY))
        for gate in gates:
            gate.check([name for name in subjects if name not in trial.task.public])


def certify(runner: Runner, trial: Trial, folder: Path) -> Certified:
    """The certificates of the trial's encoder, the same as an audit would give.

    Raises:
        InputError: as an audit does.
    """
    runner.train(trial, folder)
    bundles.check(folder / "bundle")
    pictures_there(trial, folder)
    context = runner.on(trial, folder)
    data = runner.data(trial, context)
    same_data(data, folder)
    disjoint({name: getattr(data, name) for name in data.summary["pictures"]})
    target = runner.target(trial, folder)
    if isinstance(target.bundle.encoder, ExternalEncoder):
        examine(target.bundle.encoder, data.attacker.pictures, context)
    return certified(Audit(target, AuditConfig()))[0]
