"""What the paper's exhibits are made from: finished runs, and the columns and rows they share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import deepobfuscator as do
from deepobfuscator.paper.calibration import Calibration
from deepobfuscator.paper.keys import IMAGE, MS_SSIM, Measured, Panel, Reference, RowKey, Set
from deepobfuscator.paper.render.exhibit import Column, Row
from deepobfuscator.paper.render.rows import make_rows
from deepobfuscator.paper.trials import Trials
from deepobfuscator.survey.questions import Mode

Machines = Callable[[Sequence[do.RunSpec], RowKey, Mode], tuple[list[Row], list[Column]]]
"""What machine participants answer about the runs of a row, and an example question."""


@dataclass
class Show:
    """What an exhibit is made from; whatever it asks for is noted."""

    trials: Trials
    """What may be run."""
    read: Callable[[do.RunSpec], do.RunResult | None]
    """A finished run; None where there is none."""
    calibration: Calibration | None
    """Of the noise."""
    faces: bool
    """Whether pictures of people may be shown."""
    machine: Machines
    """The perceptual study's machines."""
    wanted: list[do.RunSpec] = field(default_factory=list)
    """Every run that was asked for, as far as the data allows."""
    missing: list[str] = field(default_factory=list)
    """What could not be had, and why."""

    def specs(self, of: Set, defence: do.Defence | None, *also: str) -> list[do.RunSpec]:
        """The runs of a defence on a set, one a seed; None is the noise baseline."""
        try:
            found = self.trials.specs(of, self.trials.noise if defence is None else defence, *also)
        except do.InputError as error:
            if str(error) not in self.missing:
                self.missing.append(str(error))
            return []
        self.wanted += found
        return found

    def finished(self, specs: Sequence[do.RunSpec]) -> list[do.RunResult]:
        """Those of ``specs`` that are finished."""
        return [run for spec in specs if (run := self.read(spec)) is not None]

    def runs(self, of: Set, defence: do.Defence | None, *also: str) -> list[do.RunResult]:
        """The finished runs of a defence on a set; see `specs`."""
        return self.finished(self.specs(of, defence, *also))

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

    def noise_note(self) -> tuple[str, ...]:
        """Where the noise's deviation comes from."""
        held, sigma = self.calibration, self.trials.sigma
        if sigma is None:
            return ()
        if held is None or held.sigma != sigma:
            return (f"The noise's deviation, {sigma:g}, was named by --sigma.",)
        return (f"The noise's deviation, {sigma:g}, was calibrated (exhibit noise).",)

    def raw_column(self, runs: Sequence[do.RunResult]) -> list[Column]:
        """The raw pictures of the people whom a run shows."""
        if not (self.faces and runs and (held := runs[0].faces)):
            return []
        return [Column("raw", "the picture", held["raw"])]

    def rebuilt_columns(self, heading: str, runs: Sequence[do.RunResult]) -> list[Column]:
        """What the game's own AR, where one played, and the strongest fresh attacker rebuilt."""
        if not (self.faces and runs and (held := runs[0].faces)):
            return []
        columns = []
        if (own := runs[0].faces_in_game) is not None:
            note = f"by AR in the game{quality(runs, Reference.IN_GAME)}"
            columns.append(Column(heading, note, own))
        by = f"by a fresh {held['attack'].item()}{quality(runs, None)}"
        return [*columns, Column(heading, by, held["reconstructed"])]


def quality(runs: Sequence[do.RunResult], attack: str | None) -> str:
    """The mean MS-SSIM on all test pictures, in a few words."""
    rows = make_rows(runs[:1], RowKey(Measured.MIRROR), ((IMAGE, MS_SSIM),), attack=attack)
    value = None if not rows else rows[0].in_game if attack else rows[0].fresh
    return "" if value is None else f", MS-SSIM {value:.3f}".replace("0.", ".")
