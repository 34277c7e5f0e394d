"""The front door: train, audit and compare from Python. The command line calls these functions."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TypeAlias

from torch import nn

from deepobfuscator.attacks.base import QUICK, Attack
from deepobfuscator.auditing.certify import Certified
from deepobfuscator.auditing.config import AuditConfig
from deepobfuscator.auditing.gates import Gate
from deepobfuscator.core.errors import InputError
from deepobfuscator.core.files import expanded
from deepobfuscator.core.records import write_jsonl
from deepobfuscator.core.runtime import (
    Context,
    alone,
    join_ranks,
    leave_ranks,
    locked,
    prepare,
    resolve_device,
)
from deepobfuscator.data.dataset import Data
from deepobfuscator.data.table import Source
from deepobfuscator.defences.base import Defence
from deepobfuscator.defences.deepobfuscator import DeepObfuscator
from deepobfuscator.defences.external import External
from deepobfuscator.experiments import contrasts, opening
from deepobfuscator.experiments.comparison import comparison
from deepobfuscator.experiments.launch import Cluster
from deepobfuscator.experiments.runner import Runner, typed
from deepobfuscator.experiments.trial import Trial
from deepobfuscator.nn.targets import Made
from deepobfuscator.report.runs import RunResult, read_run
from deepobfuscator.report.view import AuditReport, ComparisonReport, finish, publish
from deepobfuscator.training import bundle as bundles
from deepobfuscator.training.bundle import Bundle
from deepobfuscator.training.objectives import TrainConfig


@dataclass(frozen=True)
class Run:
    """A trained defence in its run folder."""

    folder: Path
    """Where it lies."""
    trial: Trial = field(repr=False)
    """Everything that determined it."""

    @cached_property
    def bundle(self) -> Bundle:
        """The frozen networks and their card, on the processor.

        Raises:
            InputError: the bundle was cut short or altered.
        """
        context = Runner(resolve_device("cpu")).on(self.trial, self.folder)
        players = self.trial.defence.players(self.trial.task.columns, self.trial.setting, context)
        return bundles.load(self.folder / "bundle", players, context)

    @property
    def encoder(self) -> nn.Module:
        """O: (n, 3, H, W) in [0, 1] to features, in evaluation mode."""
        return self.bundle.encoder

    @property
    def classifier(self) -> nn.Module:
        """C: features to one logit for each public attribute, in evaluation mode."""
        return self.bundle.players["C"]

    @property
    def result(self) -> RunResult:
        """What the folder holds by now: card, training curves, records of an audit."""
        return read_run(self.folder)

    def __repr__(self) -> str:
        card, trial = self.bundle.card, self.trial
        return (
            f"Run({trial.defence.name}, seed {trial.setting.seed}, "
            f"{', '.join(trial.task.public)} | {', '.join(trial.task.private)}, "
            f"features {tuple(card['features'])}, {card['wire_bits']:,} bits a picture, "
            f"in {self.folder})"
        )

    def _repr_html_(self) -> str:
        return f"<code>{escape(repr(self))}</code>"


Target: TypeAlias = Run | Path | str | Made
"""What may be audited: a run or its folder, an ``.onnx`` file, a module, an exported program, any
function from pictures (n, 3, H, W) in [0, 1] to n rows of features."""


def train(
    defence: Defence,
    data: Data,
    *,
    out: str | Path | None = None,
    config: TrainConfig | None = None,
    precision: str = "auto",
    device: str = "auto",
    command: str | None = None,
) -> Run:
    """Train ``defence`` on ``data``, resume it, or find it done.

    Args:
        defence: the method and its hyperparameters.
        data: pictures and task.
        out: run folder; by default ``runs/NAME-KEY``.
        config: lengths, width, batch size, seed; by default those of the preset ``small``. Its
            size gives way to that of ``data``.
        precision: ``fp32``, ``bf16``, or ``auto``: bf16 where the processor computes it natively.
        device: ``auto``, ``cpu`` or ``cuda``. Under torchrun all processes train together.
        command: what the card says was typed; by default how this process was started.

    Raises:
        InputError: something about data, folder or device that the user can fix.
        RankLostError: another process of the training is gone.
    """
    trial = Trial.make(defence, data.resolved(), config, precision=precision)
    if not defence.trains:
        raise InputError(f"{defence.name} is not trained: audit it")
    folder = expanded(out or Path("runs") / f"{defence.name}-{trial.key}")
    prepare()
    there, rank, ranks = join_ranks(device)
    Runner(there, command or typed(), rank, ranks).train(trial, folder)
    leave_ranks()
    return Run(folder, trial)


def load(folder: str | Path) -> Run:
    """The run in ``folder``.

    Raises:
        InputError: it holds no finished run.
    """
    folder = expanded(folder)
    trial = Trial.of(folder)
    bundles.check(folder / "bundle")
    return Run(folder, trial)


def audit(
    target: Target,
    data: Data | None = None,
    *,
    suite: str = QUICK,
    also: Sequence[type[Attack]] = (),
    other: Source | None = None,
    fail_if: Sequence[Gate] = (),
    ceiling: Run | None = None,
    config: TrainConfig | None = None,
    precision: str = "auto",
    defender_data: Source | None = None,
    output: str | None = None,
    out: str | Path | None = None,
    page: str | Path | None = None,
    faces: bool = True,
    device: str = "auto",
    command: str | None = None,
) -> AuditReport:
    """Attack a frozen encoder with newly trained attackers; folder, figures and page are written.
    In an exported folder, manifest and model card name the audit from then on.

    Args:
        target: a run, or an encoder made elsewhere; see `Target`.
        data: pictures and task of an encoder made elsewhere; a run brings its own, and takes the
            same pictures from another place.
        suite: how many attackers: ``brief``, ``quick``, ``standard``, ``exhaustive``.
        also: attacks of larger suites, or your own, to run as well.
        other: pictures for an attacker who has none like the defender's; from ``standard`` on.
        fail_if: limits; `AuditReport.exit_code` tells what became of them.
        ceiling: an undefended run on the same data; by default one is trained.
        config: budget of the attackers of an encoder made elsewhere; a run brings its own.
        precision: as in `train`, for an encoder made elsewhere.
        defender_data: what an encoder made elsewhere was trained on, where that is known.
        output: which of an encoder's several outputs leaves the device, by name or number.
        out: run folder of an encoder made elsewhere; by default ``runs/audit-KEY``.
        page: the page; by default ``report.html`` in the run folder.
        faces: whether the page may show pictures of people.
        device: ``auto``, ``cpu`` or ``cuda``.
        command: what the notes say was typed; by default how this process was started.

    Raises:
        InputError: something about encoder, data or folder that the user can fix.
    """
    alone()
    which = AuditConfig(suite, other, also=tuple(attack.name for attack in also))
    prepare()
    runner = Runner(resolve_device(device), command or typed())
    found = target.folder if isinstance(target, Run) else target
    trial, folder = opening.opened(
        runner, found, data, config, precision, defender_data=defender_data, output=output, out=out
    )
    opening.gated(trial, fail_if)
    if not trial.defence.trains:
        runner.train(trial, folder)
    runner.audit(folder, ceiling.folder if ceiling else None, which)
    report = finish(folder, fail_if, expanded(page) if page else None, faces)
    if isinstance(trial.defence, External) and trial.defence.exported:
        from deepobfuscator.exporting.folder import attach  # needs what the extra [export] brings

        attach(trial.defence, folder / "audit.json", report.exit_code == 0)
    return report


def certify(
    target: Target,
    data: Data | None = None,
    *,
    config: TrainConfig | None = None,
    precision: str = "auto",
    output: str | None = None,
    out: str | Path | None = None,
    device: str = "auto",
    command: str | None = None,
) -> Certified:
    """What no attacker can exceed, for an encoder whose features take few values.

    Counted on all people that trained or tuned nothing of a run's encoder; no attacker is fitted,
    and an audit makes the same records. ``certify(run)["Male"]`` is the certificate of an
    attribute. The arguments are those of `audit`.

    Raises:
        InputError: something about encoder, data or folder that the user can fix.
    """
    alone()
    prepare()
    runner = Runner(resolve_device(device), command or typed())
    found = target.folder if isinstance(target, Run) else target
    trial, folder = opening.opened(runner, found, data, config, precision, output=output, out=out)
    return opening.certify(runner, trial, folder)


def compare(
    defences: Sequence[Defence],
    data: Data,
    *,
    seeds: int | None = None,
    suite: str = QUICK,
    other: Source | None = None,
    config: TrainConfig | None = None,
    precision: str = "auto",
    out: str | Path | None = None,
    cluster: Cluster | None = None,
    faces: bool = True,
    device: str = "auto",
    command: str | None = None,
) -> ComparisonReport:
    """Train and audit defences side by side, with the undefended encoder as their ceiling.

    Args:
        defences: methods with their hyperparameters; one may stand there several times.
        data: pictures and task that all share.
        seeds: seeds for each defence; None takes each defence's own default.
        suite: as in `audit`.
        other: as in `audit`.
        config: lengths, width, batch size, first seed.
        precision: as in `train`.
        out: folder of the run folders; by default ``runs/compare-KEY``.
        cluster: runs several trials at a time; None runs one after the other, here.
        faces: whether the page may show pictures of people.
        device: ``auto``, ``cpu`` or ``cuda``.
        command: what the cards say was typed; by default how this process was started.

    Raises:
        InputError: something about data, folder or device that the user can fix.
    """
    alone()
    which = AuditConfig(suite, other)
    shared = Trial.make(DeepObfuscator(), data.resolved(), config, precision=precision)
    folder = expanded(out or Path("runs") / f"compare-{shared.key}")
    prepare()
    runner = Runner(resolve_device(device), command or typed())
    specs = comparison(shared, defences, folder, seeds, which)
    if cluster is not None:
        cluster.run(runner, specs, folder)
    records = []
    with Context(folder).progress("whole comparison", len(specs), whole=True) as bar:
        for spec in specs:
            records += runner.do(spec)
            bar.advance()
    with locked(folder):
        write_jsonl(folder / "records.jsonl", records)
        contrasts.update(runner, folder, specs)
    report = ComparisonReport.read([spec.folder for spec in specs], runner.command)
    for run in report.runs:
        publish(run, faces=faces)
    report.save(folder / "report.html", faces)
    return report
