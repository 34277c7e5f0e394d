"""Input of the paper's exhibits: finished runs, and shared columns and rows."""

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import deepobfuscator as do
from deepobfuscator.paper.calibration import Calibration
from deepobfuscator.paper.keys import IMAGE, MS_SSIM, Measured, Name, Panel, Reference, RowKey, Set
from deepobfuscator.paper.published import majority, published
from deepobfuscator.paper.render.exhibit import Column, Curve, Exhibit, Row
from deepobfuscator.paper.render.rows import Figure, make_rows
from deepobfuscator.paper.trials import Trials

WORDS = tomllib.loads((Path(__file__).parent / "exhibits.toml").read_text("utf-8"))
"""Titles, captions and notes, by exhibit."""


@dataclass
class Show:
    """The input of an exhibit; it records every run that is requested."""

    trials: Trials
    """The trials that may be run."""
    runner: do.Runner | None = None
    """Runs networks on finished runs; None if runs are only listed, not read."""
    calibration: Calibration | None = None
    """Calibration of the noise."""
    faces: bool = False
    """Whether pictures of people may be shown."""
    failed: Mapping[str, str] = field(default_factory=dict)
    """Errors by name of the run folder."""
    wanted: list[do.RunSpec] = field(default_factory=list)
    """Every requested run that the data allows."""
    missing: list[str] = field(default_factory=list)
    """What is missing, and why."""

    def specs(self, of: Set, defence: do.Defence | None, *also: str) -> list[do.RunSpec]:
        """The runs of a defence on a set, one per seed; None is the noise baseline."""
        return self.asked(
            lambda: self.trials.specs(of, self.trials.noise if defence is None else defence, *also)
        )

    def asked(self, make: Callable[[], list[do.RunSpec]]) -> list[do.RunSpec]:
        """The runs of ``make``; if the data does not allow them, the reason is recorded."""
        try:
            found = make()
        except do.InputError as error:
            if str(error) not in self.missing:
                self.missing.append(str(error))
            return []
        self.wanted += found
        return found

    def read(self, spec: do.RunSpec) -> do.RunResult | None:
        """A finished run; None if there is none, and the reason is recorded."""
        name = spec.folder.name
        if self.runner is None:
            return None
        if name in self.failed:
            self.missing.append(f"trial {name} failed: {self.failed[name]}")
        elif not (spec.folder / "records.jsonl").exists():
            self.missing.append(f"trial {name} is not run yet")
        else:
            try:
                return do.read_run(spec.folder)
            except do.InputError as error:
                self.missing.append(f"trial {name} cannot be read: {error}")
        return None

    def runs(self, of: Set, defence: do.Defence | None, *also: str) -> list[do.RunResult]:
        """The finished runs of a defence on a set; see `specs`."""
        return self.finished(self.specs(of, defence, *also))

    def finished(self, specs: Sequence[do.RunSpec]) -> list[do.RunResult]:
        """The finished runs."""
        return [run for spec in specs if (run := self.read(spec)) is not None]

    @property
    def defences(self) -> dict[RowKey, do.Defence | None]:
        """DeepObfuscator and the two baselines; None is the one with noise."""
        return {
            RowKey(Measured.DEEPOBFUSCATOR): do.DeepObfuscator(),
            RowKey(Measured.UNDEFENDED): do.Undefended(),
            RowKey(Measured.NOISE, self.trials.sigma): None,
        }

    def panel(self, of: Set) -> Panel:
        """A set as the paper writes it."""
        try:
            task = self.trials.task(of)
        except do.InputError:
            return Panel(of)
        return Panel(of, task.public, task.private)

    def noise_note(self) -> str:
        """A sentence on the origin of the noise's deviation; empty if there is none."""
        held, sigma = self.calibration, self.trials.sigma
        if sigma is None:
            return ""
        if held is None or held.sigma != sigma:
            return f"The noise's deviation, {sigma:g}, was named by --sigma."
        return f"The noise's deviation, {sigma:g}, was calibrated (exhibit noise)."

    def exhibit(
        self,
        name: Name,
        rows: Sequence[Row] = (),
        *,
        curves: Sequence[Curve] = (),
        faces: Sequence[Column] = (),
        tables: Sequence[tuple[str, do.Table]] = (),
        **words: object,
    ) -> Exhibit:
        """An exhibit with its texts and the published figures beside its rows.

        ``words`` are values for the braces in its texts.
        """
        text = WORDS[name]
        words |= {
            "set": self.panel(Set.A),
            "noise": self.noise_note(),
            "seeds": "The first seed's games are shown." if len(self.trials.seeds) > 1 else "",
        }
        notes = (note.format(**words) for note in text.get("notes", ()))
        return Exhibit(
            name,
            text["title"],
            text["caption"].format(**words),
            tuple(beside_published(name, row) for row in rows),
            curves=tuple(curves),
            faces=tuple(faces),
            tables=tuple(tables),
            notes=tuple(filter(None, notes)),
        )

    def rows(
        self,
        defences: Mapping[RowKey, do.Defence | None],
        wanted: Sequence[Figure],
        of: Set = Set.A,
        panel: Panel = Panel(),  # noqa: B008  (frozen)
    ) -> list[Row]:
        """The figures of defences on a set, one row each, on some subjects; see `make_rows`."""
        found = []
        for key, defence in defences.items():
            found += make_rows(self.runs(of, defence), key, wanted, panel)
        return found

    def raw_column(self, runs: Sequence[do.RunResult]) -> list[Column]:
        """The raw pictures of the people that a run shows."""
        if not (self.faces and runs and (held := runs[0].faces)):
            return []
        return [Column("raw", "the picture", held["raw"])]

    def rebuilt_columns(self, heading: str, runs: Sequence[do.RunResult]) -> list[Column]:
        """Reconstructions by the game's own AR, if there is one, and the strongest new attacker."""
        if not (self.faces and runs and (held := runs[0].faces)):
            return []
        columns = []
        if (own := runs[0].faces_in_game) is not None:
            note = f"by AR in training{quality(runs, Reference.IN_GAME)}"
            columns.append(Column(heading, note, own))
        by = f"by a new {held['attack'].item()}{quality(runs, None)}"
        return [*columns, Column(heading, by, held["reconstructed"])]


def beside_published(name: Name, row: Row) -> Row:
    """A row with the paper's figure, and the accuracy of a constant answer in its data."""
    row = replace(row, published=row.published or published(name, row))
    return replace(row, published_majority=majority(row))


def quality(runs: Sequence[do.RunResult], attack: str | None) -> str:
    """The mean MS-SSIM on all test pictures, as text."""
    rows = make_rows(runs[:1], RowKey(Measured.MIRROR), ((IMAGE, MS_SSIM),), attack=attack)
    value = None if not rows else rows[0].in_game if attack else rows[0].fresh
    return "" if value is None else f", MS-SSIM {value:.3f}".replace("0.", ".")
