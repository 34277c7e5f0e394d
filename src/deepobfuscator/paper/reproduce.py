"""Runs or resumes the trials behind some exhibits; makes and writes the exhibits."""

import platform
import shlex
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from rich.markup import escape

import deepobfuscator as do
from deepobfuscator.paper import calibration
from deepobfuscator.paper.calibration import Calibration
from deepobfuscator.paper.claims import claims
from deepobfuscator.paper.exhibits import ENTRIES, NOISY, needed, wanted
from deepobfuscator.paper.keys import Name
from deepobfuscator.paper.length import play
from deepobfuscator.paper.reductions import reductions
from deepobfuscator.paper.render.exhibit import Claim, Exhibit
from deepobfuscator.paper.render.page import Meta, page, summary_markdown
from deepobfuscator.paper.render.writing import FIGURES, write_exhibit
from deepobfuscator.paper.show import Show
from deepobfuscator.paper.trials import Trials

SMOKE = (
    "This run was a smoke test: it shows that everything runs. Its figures mean nothing, and no "
    "claim of the paper is judged by them."
)


@dataclass(frozen=True)
class Reproduction:
    """The result of a reproduction."""

    exhibits: tuple[Exhibit, ...]
    """As written; each lists what is missing."""
    claims: tuple[Claim, ...]
    """The paper's claims that the exhibits can judge."""
    failed: dict[str, str]
    """Errors by name of the run folder."""


def reproduce(
    runner: do.Runner,
    trials: Trials,
    exhibits: Sequence[str] = (),
    *,
    faces: bool = True,
    command: str = "",
    rest: Sequence[str] = (),
    ahead: Callable[[Sequence[do.RunSpec]], None] | None = None,
) -> Reproduction:
    """Run what some exhibits need, skip finished work, then write them to ``trials.out``.

    Args:
        runner: runs the trials.
        trials: the trials.
        exhibits: by name; none means all.
        faces: whether pictures of people may be shown.
        command: the command line, for the report.
        rest: its arguments after ``reproduce`` that do not name exhibits.
        ahead: runs trials elsewhere, in parallel, before they are checked here.

    Raises:
        InputError: no such exhibit, no attribute for a role, or a folder that cannot be written. A
            failed trial is recorded instead, and the others continue.
    """
    session = _Session(runner, trials, wanted(trials, exhibits), faces)
    with do.locked(trials.out):
        session.calibrate()
        session.play_long()
        session.run(ahead)
        made = session.exhibits()
        about = session.meta(command, rest)
        judged = [] if about.warning else claims(made)
        session.write(made, judged, about)
    return Reproduction(tuple(made), tuple(judged), session.failed)


def noise_folder(trials: Trials) -> Path:
    """Folder of the noise calibrations."""
    return trials.out / "trials" / calibration.named(trials.first(), trials.labels)


@dataclass
class _Session:
    """One reproduction in progress."""

    runner: do.Runner
    trials: Trials
    names: tuple[Name, ...]
    faces: bool
    calibration: Calibration | None = None
    failed: dict[str, str] = field(default_factory=dict)

    def calibrate(self) -> None:
        """Calibrate the noise if an exhibit needs it, or read an earlier calibration."""
        if not set(self.names) & set(NOISY):
            return
        folder, named = noise_folder(self.trials), self.trials.sigma is not None
        with self.surviving(folder.name):
            self.calibration = calibration.read(folder / "calibration.json")
            if self.calibration is None and (not named or self.names == (Name.NOISE,)):
                self.calibration = calibration.calibrate(self.runner, self.trials.first(), folder)
        if self.calibration is not None and not named:
            self.trials = replace(self.trials, sigma=self.calibration.sigma)

    def play_long(self) -> None:
        """Play the game of the exhibit `length`, which is audited at several lengths."""
        if Name.LENGTH in self.names:
            before = len(self.failed)
            with self.surviving("length"):
                play(self.runner, self.trials)
            if len(self.failed) > before:  # else each would be trained as a game of its own
                self.names = tuple(name for name in self.names if name != Name.LENGTH)

    def run(self, ahead: Callable[[Sequence[do.RunSpec]], None] | None) -> None:
        """Run unfinished trials."""
        specs = needed(self.trials, self.names)
        if ahead is not None:
            try:
                ahead(specs)
            except do.InputError as error:
                self.say(escape(str(error)))
        left = [spec for spec in specs if not self.done(spec)]
        context, ready = do.Context(self.trials.out), len(specs) - len(left)
        with context.progress("whole reproduction", len(specs), ready, whole=True) as bar:
            for number, spec in enumerate(left, ready + 1):
                name = spec.folder.name
                with self.surviving(name):
                    if spec.ceiling is not None and spec.ceiling.name in self.failed:
                        raise do.InputError(f"its ceiling {spec.ceiling.name} failed")
                    if ahead is not None:
                        logs = self.trials.out / "jobs"
                        raise do.InputError(f"its job failed; its logs are in {logs}")
                    self.say(f"[dim]trial {number} of {len(specs)}:[/dim] {name}")
                    self.runner.do(spec)
                bar.advance()

    def done(self, spec: do.RunSpec) -> bool:
        """Whether a trial is finished; an unreadable one is recorded as failed."""
        try:
            return self.runner.done(spec)
        except do.InputError as error:
            self.fail(spec.folder.name, str(error))
            return True

    @contextmanager
    def surviving(self, name: str) -> Iterator[None]:
        """Records errors under ``name`` without stopping the rest."""
        try:
            yield
        except do.InputError as error:
            self.fail(name, str(error))
        except Exception as error:
            traceback.print_exception(error)
            self.fail(name, traceback.format_exception_only(error)[-1].strip())

    def fail(self, name: str, why: str) -> None:
        """Record and print an error."""
        if name not in self.failed:
            self.failed[name] = why
            self.say(f"[bold]{escape(name)} failed:[/bold] {escape(why)}")

    def say(self, text: str) -> None:
        """Print a line of progress."""
        do.Context(self.trials.out).say(text)

    def exhibits(self) -> list[Exhibit]:
        """The exhibits, from all finished runs."""
        found = []
        for name in self.names:
            show = Show(self.trials, self.runner, self.calibration, self.faces, self.failed)
            try:
                made = ENTRIES[name](show)
            except do.InputError as error:
                made = Exhibit(name, name.capitalize(), "It cannot be set.")
                show.missing.append(str(error))
                self.fail(name, str(error))
            found.append(replace(made, missing=tuple(dict.fromkeys(show.missing))))
        return found

    def write(self, made: Sequence[Exhibit], judged: Sequence[Claim], about: Meta) -> None:
        """Write the exhibits' files, the report and its summary."""
        out = self.trials.out
        for exhibit in made:
            write_exhibit(exhibit, out, self.faces)
        for name in ENTRIES if not self.faces else ():
            if name not in self.names:
                for ending in FIGURES:
                    (out / f"{name}{ending}").unlink(missing_ok=True)
        do.write_atomic(out / "report.html", page(made, judged, about))
        do.write_atomic(out / "summary.md", summary_markdown(made, judged, about))

    def meta(self, command: str, rest: Sequence[str]) -> Meta:
        """The report's header: data, scale, command, versions."""
        base, seeds, parts = self.trials.base, self.trials.seeds, self.count()
        smoke = do.PRESETS["smoke"]
        sizes = ", ".join(f"{n:,} {part}" for part, n in parts.items())
        return Meta(
            title="The paper's tables and figures, reproduced",
            data=f"Data: {base.source.name}{', pictures: ' if sizes else ''}{sizes}.",
            reductions=tuple(reductions(base, len(seeds), parts)),
            seeds=seeds,
            commands=(command,),
            commands_of={
                name: shlex.join(["deepobfuscator", "reproduce", name, *rest])
                for name in self.names
            },
            versions=(
                f"deepobfuscator {do.__version__}, torch {torch.__version__}, "
                f"Python {platform.python_version()}",
            ),
            with_faces=self.faces,
            warning=SMOKE if smoke.lasts(base.setting.epochs, base.setting.game_epochs) else "",
        )

    def count(self) -> dict[str, int]:
        """Number of pictures in each part, from a finished run; empty if there is none."""
        for spec in needed(self.trials, self.names):
            try:
                if pictures := do.read_run(spec.folder).card.get("data", {}).get("pictures"):
                    return {part: int(n) for part, n in pictures.items()}
            except do.InputError:
                continue
        return {}
