"""Details that the paper leaves open: do its results depend on how they are read?

Half of a two-level factorial in four readings, on set (a), three seeds per cell: main effects are
not aliased with each other or with two-factor interactions (resolution IV; Box, Hunter and Hunter
2005, chapter 6). Sums and means over attributes are equal for one attribute, so they are compared
on set (f).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from statistics import mean, stdev
from typing import Any

from scipy.special import stdtrit

import deepobfuscator as do
from deepobfuscator.paper.keys import ACCURACY, IMAGE, MS_SSIM, Measured, Name, RowKey, Set
from deepobfuscator.paper.render.exhibit import Exhibit, Row
from deepobfuscator.paper.render.rows import make_rows
from deepobfuscator.paper.show import Show
from deepobfuscator.paper.trials import Trials

SEEDS = 3
"""Number of seeds per cell, counted from the reproduction's first."""

LONG = 10.0
"""Passes of a long pre-training of the adversaries: at `small`, L(AC) then starts the game near .1
or below, as in the paper's curves."""


@dataclass(frozen=True)
class Factor:
    """One open reading."""

    words: str
    """What is read in two ways."""
    low: str
    """This project's reading."""
    high: str
    """The other reading."""
    defence: tuple[tuple[str, Any], ...] = ()
    """Fields of the defence that the other reading changes."""
    setting: tuple[tuple[str, Any], ...] = ()
    """Fields of the setting that it changes."""


FACTORS = (
    Factor("batch norm of frozen players", "running", "batch", (("frozen_norm", "batch"),)),
    Factor("learning rate of adversarial training", "1e-3", "1e-4", (("game_rate", 0.1),)),
    Factor("Adam's moments of O", "shared", "own for each stage", (("adam", "own"),)),
    Factor("adversaries' pre-training", "short", "long", (), (("adversary_epochs", LONG),)),
)
MEANS = Factor("losses over attributes", "sum", "mean", (("reduction", "mean"),))

Cell = tuple[bool, ...]
"""For each of `FACTORS` whether it is at its other reading."""

CELLS: tuple[Cell, ...] = tuple(
    (*three, sum(three) % 2 == 1) for three in product((False, True), repeat=3)
)
"""The half fraction in which the fourth factor is the product of the others."""

FIGURES = ("gender in training, %", "gender, %", "faces in training", "faces", "service, %")


def specs(trials: Trials, of: Set, high: Sequence[Factor]) -> list[do.RunSpec]:
    """The runs of one cell, one per seed; all use the ceiling of the first seed.

    Raises:
        InputError: the data has no attribute for a role.
    """
    defence = do.DeepObfuscator(**{k: v for factor in high for k, v in factor.defence})
    changed = {k: v for factor in high for k, v in factor.setting}
    first = trials.seeds[0]
    several = replace(trials, seeds=tuple(range(first, first + SEEDS)))
    found, ceiling = [], several.specs(of, do.DeepObfuscator())[0].ceiling
    for spec in several.specs(of, defence):
        trial = replace(spec.trial, setting=replace(spec.trial.setting, **changed))
        found.append(replace(spec, trial=trial, folder=trials.folder(trial), ceiling=ceiling))
    return found


def measured(show: Show, of: Set, high: Sequence[Factor]) -> list[tuple[float, ...]]:
    """`FIGURES` of the finished runs of one cell."""
    runs = show.finished(show.asked(lambda: specs(show.trials, of, high)))
    return [found for run in runs if (found := values(show, run)) is not None]


def values(show: Show, run: do.RunResult) -> tuple[float, ...] | None:
    """`FIGURES` of one run, in their units; None if one is missing."""
    hidden, told = (side[0] or "" for side in (show.trials.private, show.trials.public))
    wanted = ((hidden, ACCURACY), (IMAGE, MS_SSIM), (told, ACCURACY))
    rows: list[Row] = make_rows([run], RowKey(Measured.DEEPOBFUSCATOR), wanted)
    if len(rows) < len(wanted):
        return None
    gender, face, service = rows
    found = (gender.in_game, gender.fresh, face.in_game, face.fresh, service.fresh)
    known = [v for v in found if v is not None]
    if len(known) < len(found):
        return None
    scale = (100, 100, 1, 1, 100)
    return tuple(v * s for v, s in zip(known, scale, strict=True))


def factorial(show: Show) -> Exhibit:
    """Cells, and the effect of each reading."""
    show.specs(Set.A, do.Undefended())  # the ceilings
    show.specs(Set.F, do.Undefended())
    held = dict[Cell, list[tuple[float, ...]]]()
    for cell in CELLS:
        high = [f for f, other in zip(FACTORS, cell, strict=True) if other]
        held[cell] = measured(show, Set.A, high)
    both = dict[bool, list[tuple[float, ...]]]()
    for means in (False, True):
        both[means] = measured(show, Set.F, [MEANS] if means else [])
    tables = [
        ("Effect of the other reading, with its 95 % interval over seeds", effects(held, both)),
        ("Mean of each cell", cells(held, both)),
    ]
    return show.exhibit(Name.FACTORIAL, tables=tables if any(held.values()) else ())


def effects(
    held: dict[Cell, list[tuple[float, ...]]], both: dict[bool, list[tuple[float, ...]]]
) -> do.Table:
    """A row for each factor: mean difference of the other reading from this project's."""
    rows = []
    for i, factor in enumerate(FACTORS):
        split = {
            other: [group for cell, group in held.items() if cell[i] is other and len(group) > 1]
            for other in (False, True)
        }
        rows.append((f"{factor.words}: {factor.high} for {factor.low}", *shifts(split)))
    rows.append(
        (
            f"{MEANS.words}: {MEANS.high} for {MEANS.low}, set (f)",
            *shifts({other: [group] if len(group) > 1 else [] for other, group in both.items()}),
        )
    )
    return do.Table(("Reading", *FIGURES), tuple(rows))


def shifts(split: dict[bool, list[list[tuple[float, ...]]]]) -> tuple[str, ...]:
    """For each figure the difference of the cells at True and at False, with Student's interval:
    the spread is that of seeds within cells, pooled.
    """
    groups = [*split[False], *split[True]]
    freedom = sum(len(group) - 1 for group in groups)
    if not (split[False] and split[True] and freedom):
        return ("–",) * len(FIGURES)
    found = []
    for figure in range(len(FIGURES)):
        ends = {
            other: mean(mean(run[figure] for run in group) for group in split[other])
            for other in split
        }
        pooled = sum(
            (len(group) - 1) * stdev([run[figure] for run in group]) ** 2 for group in groups
        )
        error = sum(
            sum(1 / len(group) for group in some) / len(some) ** 2 for some in split.values()
        )
        wide = float(stdtrit(freedom, 0.975)) * (pooled / freedom * error) ** 0.5
        shift = ends[True] - ends[False]
        digits = 3 if FIGURES[figure].startswith("faces") else 1
        text = f"{shift:+.{digits}f} ({shift - wide:+.{digits}f} to {shift + wide:+.{digits}f})"
        found.append(text.replace("-", "−"))
    return tuple(found)


def cells(
    held: dict[Cell, list[tuple[float, ...]]], both: dict[bool, list[tuple[float, ...]]]
) -> do.Table:
    """A row for each cell: its readings, its seeds, the mean of each figure."""
    rows = []
    for cell, group in held.items():
        words = ", ".join(f.high for f, other in zip(FACTORS, cell, strict=True) if other)
        rows.append((f"(a) {words or 'as this project reads it'}", *averaged(group)))
    for means, group in both.items():
        rows.append((f"(f) {MEANS.high if means else MEANS.low} over attributes", *averaged(group)))
    return do.Table(("Cell", "Seeds", *FIGURES), tuple(rows))


def averaged(group: list[tuple[float, ...]]) -> tuple[str, ...]:
    """The number of runs, and the mean of each figure."""
    if not group:
        return ("0", *("–",) * len(FIGURES))
    means = [mean(run[i] for run in group) for i in range(len(FIGURES))]
    digits = [3 if name.startswith("faces") else 1 for name in FIGURES]
    return (str(len(group)), *(f"{v:.{d}f}" for v, d in zip(means, digits, strict=True)))
