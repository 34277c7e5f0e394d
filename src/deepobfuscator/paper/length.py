"""One long game, audited at several lengths: does the defence need more rounds?

The game of set (a) is played once, as long as the last of `ROUNDS`; the players after each of them
are saved to separate run folders, which are audited like any other.
"""

import hashlib
from copy import deepcopy
from dataclasses import replace

import deepobfuscator as do
from deepobfuscator.paper.keys import (
    ACCURACY,
    IMAGE,
    MS_SSIM,
    Measured,
    Name,
    RowKey,
    Set,
)
from deepobfuscator.paper.render.exhibit import Exhibit, Row
from deepobfuscator.paper.render.rows import make_rows
from deepobfuscator.paper.show import Show
from deepobfuscator.paper.trials import Trials

ROUNDS = (50, 186, 625, 1250, 3125, 6250)
"""Rounds after which the game is audited. A pass over the paper's 160,000 training pictures has
625, so the last is ten passes."""


def specs(trials: Trials) -> list[do.RunSpec]:
    """A run for each of `ROUNDS`, the first seed's.

    Args:
        trials: the reproduction's.

    Raises:
        InputError: the data has no attribute for a role.
    """
    whole = trials.specs(Set.A, do.DeepObfuscator())[0]
    per_pass, _ = trials.batches()
    stages = len(do.DeepObfuscator().phases(whole.trial.setting)[-1].stages)
    told = f"{whole.folder.name}{ROUNDS[-1]}"
    key = hashlib.sha256(told.encode()).hexdigest()[:12]
    found = []
    for rounds in ROUNDS:
        passes = (rounds * stages - 0.5) / per_pass  # rounded up to the batch
        setting = replace(whole.trial.setting, game_epochs=passes)
        folder = trials.out / "trials" / f"length-{key}-{rounds}"
        found.append(replace(whole, trial=replace(whole.trial, setting=setting), folder=folder))
    return found


def play(runner: do.Runner, trials: Trials) -> None:
    """Play the long game and save a bundle in the folder of each of `specs`; resumes, and skips
    finished work.

    Raises:
        InputError: as `Runner.train`.
    """
    wanted = specs(trials)
    last = wanted[-1]
    if all((spec.folder / "bundle").is_dir() for spec in wanted):
        return
    with do.locked(last.folder):
        defence, context = last.trial.defence, runner.on(last.trial, last.folder)
        data = runner.data(last.trial, context)
        do.same_data(data, last.folder)
        setting, task = last.trial.setting, last.trial.task.columns
        players = defence.players(task, setting, context)
        *before, game = defence.phases(setting)
        stages = len(game.stages)
        at = {rounds * stages: spec for rounds, spec in zip(ROUNDS, wanted, strict=True)}

        def keep(batch: int, now: do.Players) -> None:
            if (spec := at.get(batch)) is None or (spec.folder / "bundle").is_dir():
                return
            copied = {name: deepcopy(player).eval() for name, player in now.items()}
            bundle = do.Bundle(copied, {})
            bundle.card = do.card(runner.command, spec.trial, bundle, data, context, 0.0) | {
                "note": f"the first rounds of a game of {ROUNDS[-1]:,}"
            }
            do.same_data(data, spec.folder)
            do.write_trial(spec.trial, spec.folder)
            bundle.save(spec.folder / "bundle")

        path = last.folder / "train.ckpt"
        phases = [*before, replace(game, watch=keep)]
        do.play(players, phases, data.defender, setting, context, checkpoint=path)
        path.unlink(missing_ok=True)


def length(show: Show) -> Exhibit:
    """Figures of training adversaries and new attackers by rounds of the game."""
    found = list[Row]()
    hidden = show.trials.private[0] or ""
    wanted = ((hidden, ACCURACY), (IMAGE, MS_SSIM))
    show.specs(Set.A, do.Undefended())  # the ceiling of all
    runs = show.asked(lambda: specs(show.trials))
    for rounds, spec in zip(ROUNDS, runs, strict=False):
        key = RowKey(Measured.LENGTH, rounds=rounds)
        found += make_rows(show.finished([spec]), key, wanted)
    return show.exhibit(Name.LENGTH, found)
