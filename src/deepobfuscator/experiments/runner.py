"""Runs trials, resumable at every step.

RUN/trial.json      the trial; its key names the run
RUN/train.ckpt      the training checkpoint, while training runs
RUN/history.jsonl   training curves
RUN/bundle/         the frozen players and their card
RUN/audit/          one file per attacker, with its predictions
RUN/audit/notes.json  the audit's configuration, and what it could not run
RUN/faces.npz       a few test pictures, raw and reconstructed
RUN/records.jsonl   all records, written last
"""

import json
import shlex
import sys
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from time import monotonic

import torch
from rich.console import Console

from deepobfuscator.auditing.config import AuditConfig, Target
from deepobfuscator.auditing.fit import Audit
from deepobfuscator.auditing.run import attack, finished, named, noted
from deepobfuscator.core.files import write_atomic
from deepobfuscator.core.records import Record
from deepobfuscator.core.runtime import Context, locked, resolve_device, resolve_precision
from deepobfuscator.data import batches
from deepobfuscator.data.batches import Labelled, Parts, disjoint, trained_on, unlabelled
from deepobfuscator.experiments.card import card
from deepobfuscator.experiments.service import served
from deepobfuscator.experiments.trial import (
    Trial,
    pictures_there,
    same_data,
    unclaimed,
    write_trial,
)
from deepobfuscator.nn.external import ExternalEncoder, check_memory, examine
from deepobfuscator.training import bundle as bundles
from deepobfuscator.training.bundle import Bundle
from deepobfuscator.training.loop import derive_seed
from deepobfuscator.training.objectives import Players


def typed() -> str:
    """This process as it was started, for the card of a run."""
    return shlex.join(sys.argv)


@dataclass(frozen=True)
class RunSpec:
    """A trial to be trained and audited."""

    trial: Trial
    """The trial."""
    folder: Path
    """Its run folder."""
    ceiling: Path | None
    """Run folder of the undefended trial; None if this is one."""
    config: AuditConfig
    """Which attackers to run."""


@dataclass
class Runner:
    """Runs trials on a device; caches the data loaded last."""

    device: torch.device = field(default_factory=lambda: resolve_device("auto"))
    """Device of the networks."""
    command: str = ""
    """The command line, for the card."""
    rank: int = 0
    """Rank of this process in distributed training."""
    ranks: int = 1
    """World size."""
    _data: tuple[tuple[object, ...], Parts] | None = field(default=None, init=False)

    def on(self, trial: Trial, folder: Path) -> Context:
        """A run of ``trial`` in ``folder``."""
        precision = resolve_precision(trial.precision, self.device)
        console = Console(stderr=True, quiet=self.rank > 0)
        return Context(folder, self.device, precision, console, rank=self.rank, ranks=self.ranks)

    def data(self, trial: Trial, context: Context) -> Parts:
        """The trial's data; cached, since the trials of a comparison share it."""
        wanted = trial.data, trial.defence.trains, trial.defender_data
        if self._data is None or self._data[0] != wanted:
            size, known = trial.setting.size, trial.defender_data
            with context.progress("pictures", 1) as bar:
                parts = batches.load(trial.data, size, trial.defence.trains, bar.at)
            for line in parts.notes():
                context.say(line)
            if known is not None:
                parts = trained_on(parts, known, trial.source, size, skip_bad=trial.skip_bad)
            self._data = wanted, parts
        return self._data[1]

    def train(self, trial: Trial, folder: Path) -> None:
        """Train ``trial`` in ``folder``; resumes, and skips finished training.

        Raises:
            InputError: the folder holds another trial, or the data changed since it began.
        """
        context = self.on(trial, folder)
        first = context.rank == 0
        with locked(folder) if first else nullcontext():
            if context.share(lambda: self._trained(trial, folder)):
                if first:  # pictures or an encoder may lie elsewhere by now
                    if Trial.of(folder).source != trial.source:
                        same_data(self.data(trial, context), folder)
                    write_trial(trial, folder)
                return
            data = self.data(trial, context)
            if first:
                same_data(data, folder)
                write_trial(trial, folder)
            began = monotonic()
            checkpoint = folder / "train.ckpt"
            if trial.defence.trains:
                context.say(f"[bold]{trial.defence.name}[/bold], seed {trial.setting.seed}: train")
                players, history = trial.defence.fit(
                    trial.task.columns, data.defender, trial.setting, context, checkpoint
                )
            else:
                players = trial.defence.players(trial.task.columns, trial.setting, context)
                history = []
            if first:
                if history:
                    lines = "".join(json.dumps(point) + "\n" for point in history)
                    write_atomic(folder / "history.jsonl", lines.encode())
                bundle = Bundle(players, {})
                bundle.card = card(self.command, trial, bundle, data, context, monotonic() - began)
                bundle.save(folder / "bundle")
                checkpoint.unlink(missing_ok=True)
                if trial.defence.trains:
                    for line in served(trial.task, bundle, data.validation, context):
                        context.say(line)

    def _trained(self, trial: Trial, folder: Path) -> bool:
        """Whether the folder already holds the trial's finished bundle."""
        unclaimed(trial, folder)
        done = (folder / "bundle").is_dir()
        if done:
            bundles.check(folder / "bundle")
            (folder / "train.ckpt").unlink(missing_ok=True)
        return done

    def audit(self, folder: Path, ceiling: Path | None, config: AuditConfig) -> list[Record]:
        """Audit the run in ``folder``; train its ceiling first if missing.

        Args:
            folder: a run folder.
            ceiling: run folder of an undefended trial on the same data, any seed; None trains one
                in ``folder/undefended`` (``folder/raw`` for an external encoder).
            config: which attackers to run.

        Raises:
            InputError: nothing trained there, or an altered bundle.
        """
        trial = Trial.of(folder)
        bundles.check(folder / "bundle")
        if (done := finished(folder, config, trial.source)) is not None:
            return done
        if (before := noted(folder)) is not None:
            config = config.joined(before[0])
        pictures_there(trial, folder)
        context = self.on(trial, folder)
        data = self.data(trial, context)
        same_data(data, folder)
        disjoint({name: getattr(data, name) for name in data.summary["pictures"]})
        other = self.other(config, trial, data, context)
        above: tuple[Path, list[Record]] | None = None
        if trial.key != trial.undefended().key:
            if ceiling is None:
                ceiling = folder / trial.undefended().defence.name
                self.train(trial.undefended(), ceiling)
            above = ceiling, self.audit(ceiling, None, replace(config, whole=False, also=()))
        with locked(folder):
            target = self.target(trial, folder)
            bundle, setting = target.bundle, trial.setting
            if isinstance(bundle.encoder, ExternalEncoder):
                check_memory(bundle.encoder, setting.batch_size, setting.width, context)
                examine(bundle.encoder, data.attacker.pictures, context)
            context.say(f"[bold]{trial.defence.name}[/bold], seed {setting.seed}: audit")
            known = {"AC", "AR"} & bundle.players.keys()
            play = partial(play_anew, trial, bundle, context, labelled=data.attacker)
            games = play if known else None
            return attack(config, replace(target, ceiling=above, other=other, games=games))

    def do(self, work: RunSpec) -> list[Record]:
        """Train and audit one trial; resumes, and skips finished work.

        Raises:
            InputError: as `train` and `audit`.
        """
        if work.config.other is not None:  # rejects wrong input before training
            context = self.on(work.trial, work.folder)
            self.other(work.config, work.trial, self.data(work.trial, context), context)
        self.train(work.trial, work.folder)
        return self.audit(work.folder, work.ceiling, work.config)

    def done(self, spec: RunSpec) -> bool:
        """Whether a run is finished. Nothing is written.

        Raises:
            InputError: its folder contains unreadable or altered files.
        """
        if finished(spec.folder, spec.config, spec.trial.source) is None:
            return False
        bundles.check(spec.folder / "bundle")
        return True

    def opened(self, folder: Path) -> Audit:
        """The audit of the trained run in ``folder``; attackers are trained on demand.

        Raises:
            InputError: nothing trained there, or an altered bundle.
        """
        return Audit(self.target(Trial.of(folder), folder), AuditConfig())

    def target(self, trial: Trial, folder: Path) -> Target:
        """The trained ``trial`` in ``folder``; raises as `bundles.load`."""
        context = self.on(trial, folder)
        players = trial.defence.players(trial.task.columns, trial.setting, context)
        return Target(
            key=trial.key,
            defence=trial.defence,
            task=trial.task,
            setting=trial.setting,
            bundle=bundles.load(folder / "bundle", players, context),
            data=self.data(trial, context),
            context=context,
            command=self.command,
        )

    def other(
        self, config: AuditConfig, trial: Trial, data: Parts, context: Context
    ) -> tuple[str, Labelled] | None:
        """Another source's name and pictures, at most as many as the attacker's own.

        Raises:
            InputError: it shares pictures, or people, with the parts.
        """
        if (source := config.elsewhere(trial.source)) is None:
            return None
        with context.progress("other pictures", 1) as bar:
            found = unlabelled(
                source,
                trial.source,
                trial.setting.size,
                skip_bad=trial.skip_bad,
                most=len(data.attacker),
                progress=bar.at,
            )
        for name in ("validation", "test"):
            disjoint({name: getattr(data, name), "--other-data": found})
        return named(source), found


def play_anew(
    trial: Trial, bundle: Bundle, context: Context, number: int, labelled: Labelled
) -> Players:
    """The players of a game of the trial's defence: the bundle's, or trained on other pictures."""
    if number == 0:
        return bundle.players
    setting = replace(trial.setting, seed=derive_seed(trial.setting.seed, number) % 2**31)
    checkpoint = context.folder / "audit" / f"game-{number}.ckpt"
    return trial.defence.fit(trial.task.columns, labelled, setting, context, checkpoint)[0]
