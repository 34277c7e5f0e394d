"""`deepobfuscator reproduce`: the trials behind some exhibits, run, resumed, and set."""

import platform
import shlex
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from rich.markup import escape

import deepobfuscator
from deepobfuscator.auditing.run import finished
from deepobfuscator.core.errors import InputError
from deepobfuscator.core.files import write_atomic
from deepobfuscator.core.registry import suggest
from deepobfuscator.core.runtime import Context, locked
from deepobfuscator.experiments.runner import Runner, RunSpec
from deepobfuscator.paper import calibration
from deepobfuscator.paper.calibration import Calibration
from deepobfuscator.paper.claims import claims
from deepobfuscator.paper.exhibits import Show
from deepobfuscator.paper.human_study import Faces, example, faces, machines
from deepobfuscator.paper.reductions import reductions
from deepobfuscator.paper.render.exhibit import Claim, Column, Exhibit, Line
from deepobfuscator.paper.render.exhibit_page import Meta, page, summary_markdown
from deepobfuscator.paper.render.setting import write_exhibit
from deepobfuscator.paper.sets import ENTRIES, Entry
from deepobfuscator.paper.trials import Book, Need
from deepobfuscator.report.runs import RunResult, read_run
from deepobfuscator.survey.questions import Mode
from deepobfuscator.training import bundle as bundles


def chosen(names: Sequence[str]) -> list[Entry]:
    """The entries of some exhibits, in the report's order; all where none is named.

    Raises:
        InputError: no such exhibit; the message lists them.
    """
    for name in names:
        if name not in ENTRIES:
            close = suggest(name, list(ENTRIES))
            known = "" if close.startswith("known") else f" (known are {', '.join(ENTRIES)})"
            raise InputError(f"unknown exhibit {name!r}: {close}{known}")
    return [entry for name, entry in ENTRIES.items() if not names or name in names]


FLAGS = ("--no-faces", "--skip-bad", "--list")
"""Options without a value."""


@dataclass
class Reproduction:
    """One reproduction, as far as it got."""

    shop: Runner
    """Where trials run."""
    book: Book
    """What they are."""
    entries: list[Entry]
    """The exhibits asked for."""
    failed: dict[str, str] = field(default_factory=dict)
    """Names of run folders where something went wrong, and what."""
    _faces: dict[str, Faces] = field(default_factory=dict)

    @property
    def noise_folder(self) -> Path:
        """Where the calibration is kept."""
        return self.book.out / "trials" / calibration.named(self.book.first(), self.book.labels)

    def calibrated(self) -> Calibration | None:
        """The kept calibration of the noise, if it can be read; its deviation goes to the book
        unless one was named.
        """
        if not any(entry.noise for entry in self.entries):
            return None
        try:
            found = calibration.read(self.noise_folder / "calibration.json")
        except InputError as error:
            self.fail(self.noise_folder.name, str(error))
            return None
        if found is not None and self.book.sigma is None:
            self.book = replace(self.book, sigma=found.sigma)
        return found

    def calibrate(self) -> None:
        """Find the deviation of the noise where an exhibit needs it."""
        named = self.book.sigma is not None and self.entries != [ENTRIES["noise"]]
        if named or not any(entry.noise for entry in self.entries) or self.calibrated():
            return
        trial, folder = self.book.first(), self.noise_folder
        with self.surviving(folder.name):
            if folder.name in self.failed:
                return
            run = self.shop.on(trial, folder)
            with locked(folder):
                calibration.calibrate(trial, self.shop.data(trial, run), run)
        self.calibrated()

    def works(self) -> list[RunSpec]:
        """The trials that the exhibits need and the data allows, each once, ceilings first."""
        found: list[Need] = []
        for entry in self.entries:
            for ask in entry.needs:
                try:
                    found += ask(self.book)
                except InputError:  # said where the exhibit is set
                    continue
        return self.book.works(found)

    def run(self, ahead: Callable[[Sequence[RunSpec]], None] | None = None) -> None:
        """Run what is left; a trial that fails is noted in `failed`, and the others go on.

        Args:
            ahead: runs works elsewhere, several at a time, before they are looked at here.
        """
        self.calibrate()
        works = self.works()
        elsewhere = ahead is not None
        if ahead is not None:
            try:
                ahead(works)
            except InputError as error:
                self.say(escape(str(error)))
        for number, work in enumerate(works, 1):
            name = work.folder.name
            with self.surviving(name):
                if work.ceiling is not None and work.ceiling.name in self.failed:
                    raise InputError(f"its ceiling {work.ceiling.name} failed")
                if self.done(work):
                    continue
                if elsewhere:
                    raise InputError(f"its job failed; its logs are in {self.book.out}/jobs")
                self.say(f"[dim]trial {number} of {len(works)}:[/dim] {name}")
                self.shop.do(work)

    def done(self, work: RunSpec) -> bool:
        """Whether nothing is left to do for a trial.

        Raises:
            InputError: its folder holds something that cannot be read.
        """
        if finished(work.folder, work.order, work.trial.source) is None:
            return False
        bundles.check(work.folder / "bundle")
        read_run(work.folder)
        return True

    def surviving(self, name: str) -> "Surviving":
        """A context whose errors are noted under ``name`` and do not stop the rest."""
        return Surviving(self, name)

    def fail(self, name: str, why: str) -> None:
        """Note and say that something went wrong."""
        if name not in self.failed:
            self.failed[name] = why
            self.say(f"[bold]{escape(name)} failed:[/bold] {escape(why)}")

    def say(self, text: str) -> None:
        """A line for the person who waits."""
        Context(self.book.out).say(text)

    def exhibits(self, with_faces: bool) -> list[Exhibit]:
        """The exhibits, of whatever is finished; each says what it lacks."""
        held = self.calibrated()
        found = []
        for entry in self.entries:
            missing = list[str]()
            read = self.reader(missing)
            show = Show(self.book, read, held, with_faces, self.machines, missing)
            try:
                made = entry.make(show)
            except InputError as error:
                made = Exhibit(entry.name, entry.name.capitalize(), "It cannot be set.")
                missing.append(str(error))
                self.fail(entry.name, str(error))
            found.append(replace(made, missing=(*made.missing, *dict.fromkeys(missing))))
        return found

    def reader(self, missing: list[str]) -> Callable[[Need], RunResult | None]:
        """Reads finished runs; what is not there is noted in ``missing``."""

        def read(need: Need) -> RunResult | None:
            name = need.folder
            folder = self.book.out / "trials" / name
            if name in self.failed:
                missing.append(f"trial {name} failed: {self.failed[name]}")
                return None
            if not (folder / "records.jsonl").exists():
                missing.append(f"trial {name} is not run yet")
                return None
            try:
                return read_run(folder)
            except InputError as error:
                missing.append(f"trial {name} cannot be read: {error}")
                return None

        return read

    def machines(
        self, needs: Sequence[Need], row: str, mode: Mode
    ) -> tuple[list[Line], list[Column]]:
        """What machine participants answer about the runs of one row, and some questions."""
        shown = []
        for need in needs:
            if need.folder not in self._faces:
                folder = self.book.out / "trials" / need.folder
                self._faces[need.folder] = faces(self.shop, folder, recogniser=False)
            shown.append(self._faces[need.folder])
        return machines(shown, row, mode), example(shown[0])

    def write(self, with_faces: bool, command: str) -> tuple[list[Exhibit], list[Claim]]:
        """Write the exhibits' files, the report and its summary.

        Raises:
            InputError: the folder cannot be written.
        """
        out = self.book.out
        made = self.exhibits(with_faces)
        for exhibit in made:
            write_exhibit(exhibit, out, with_faces)
        for name in ENTRIES if not with_faces else ():
            if name not in {exhibit.name for exhibit in made}:  # it may show faces
                (out / f"{name}.svg").unlink(missing_ok=True)
        judged = claims(made)
        about = self.meta(with_faces, command)
        write_atomic(out / "report.html", page(made, judged, about).encode())
        write_atomic(out / "summary.md", summary_markdown(made, judged, about).encode())
        return made, judged

    def meta(self, with_faces: bool, command: str) -> Meta:
        """What a reader must know of the whole."""
        trial, name, parts = self.book.base, self.book.base.source.name, self.count()
        sizes = ", ".join(f"{n:,} {part}" for part, n in parts.items())
        return Meta(
            title="The paper's tables and figures, reproduced",
            data=f"Data: {name}, pictures: {sizes}." if sizes else f"Data: {name}.",
            reductions=tuple(reductions(trial, len(self.book.seeds), parts)),
            seeds=self.book.seeds,
            commands=(command,),
            commands_of={e.name: command_of(command, e.name) for e in self.entries},
            versions=(
                f"deepobfuscator {deepobfuscator.__version__}, torch {torch.__version__}, "
                f"Python {platform.python_version()}",
            ),
            with_faces=with_faces,
        )

    def count(self) -> dict[str, int]:
        """Pictures of each part by a finished run; empty while there is none."""
        for work in self.works():
            try:
                card = bundles.check(work.folder / "bundle")
                return {k: int(v) for k, v in card["data"]["pictures"].items()}
            except (InputError, KeyError):
                continue
        return {}


@dataclass
class Surviving:
    """Notes an error of its block and lets the rest go on."""

    of: Reproduction
    name: str

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> bool:
        if not isinstance(error, Exception):
            return False
        if not isinstance(error, InputError):
            traceback.print_exception(error)
            self.of.fail(self.name, traceback.format_exception_only(error)[-1].strip())
        else:
            self.of.fail(self.name, str(error))
        return True


def command_of(command: str, exhibit: str) -> str:
    """The command for one exhibit alone, of one that begins with program and ``reproduce``."""
    words = shlex.split(command)
    kept, value = list[str](), False
    for word in words[2:]:
        named = set(word.split(",")) <= set(ENTRIES)
        if value or not named:
            kept.append(word)
        value = word.startswith("--") and word not in FLAGS and "=" not in word
    return shlex.join([*words[:2], exhibit, *kept])
