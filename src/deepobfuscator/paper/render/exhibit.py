"""The content of one table or figure of the paper, independent of the output format."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepobfuscator import Table
from deepobfuscator.paper.keys import ClaimKey, Panel, RowKey, Verdict


@dataclass(frozen=True)
class Row:
    """One figure of an exhibit: published, training adversary's, and newly trained attacker's.

    Fractions, MS-SSIM and dB are as records hold them. With several seeds a value is their mean,
    ``low`` and ``high`` the lowest and the highest end of their intervals. Values that are not
    finite become None.
    """

    panel: Panel
    row: RowKey
    """What was measured: a defence, an attacker."""
    subject: str
    """An attribute, ``image`` or ``identity``."""
    metric: str
    """By the names of `deepobfuscator.Record`."""
    published: float | None = None
    """The paper's figure, always of an adversary that played in the game (or was fitted by its
    authors, where the exhibit says so)."""
    published_majority: float | None = None
    """Share of the larger class in the paper's data, where ``published`` is an accuracy."""
    service: bool = False
    """Whether ``fresh`` is the service's own figure on a public attribute: more is better."""
    in_game: float | None = None
    """The game's own adversary at the end of training."""
    in_game_low: float | None = None
    """Lower end of the 95 % interval of ``in_game``, where it was taken."""
    in_game_high: float | None = None
    fresh: float | None = None
    """The strongest attacker trained from scratch on the frozen encoder, or the service."""
    low: float | None = None
    """Lower end of the 95 % interval of ``fresh``."""
    high: float | None = None
    attacker: str = ""
    """Which attacker ``fresh`` is of."""
    majority: float | None = None
    """Floor: the majority class, or the mean face."""
    label_only: float | None = None
    """Floor: what the public labels alone reveal."""
    ceiling: float | None = None
    """The undefended encoder's headline."""
    seeds: int = 1
    """Over how many seeds."""

    def __post_init__(self) -> None:
        for name, value in list(vars(self).items()):
            if isinstance(value, float) and not math.isfinite(value):
                object.__setattr__(self, name, None)


@dataclass(frozen=True)
class Curve:
    """One loss through one game."""

    panel: Panel
    name: str
    """L_C, L_AC, L_AR1 (the paper's L(AR)), L_AR2."""
    points: tuple[tuple[float, float], ...]
    """(batch, mean loss since the last point)."""
    game: float
    """Batch at which Algorithm 1 begins; before it the players are pre-trained."""


@dataclass(frozen=True)
class Column:
    """One column of a grid of faces; all columns of an exhibit show the same people."""

    heading: str
    """Where the pictures come from."""
    note: str
    """How they were made, and how good they are."""
    pictures: NDArray[np.uint8]
    """(m, H, W, 3) in 0..255."""


@dataclass(frozen=True)
class Exhibit:
    """One table or figure, ready to be written as HTML, CSV, LaTeX and SVG."""

    name: str
    """As in ``table3`` (`keys.Name`); names its files."""
    title: str
    caption: str
    """What it shows and how it was measured."""
    rows: tuple[Row, ...] = ()
    curves: tuple[Curve, ...] = ()
    faces: tuple[Column, ...] = ()
    """Empty where none may be shown."""
    tables: tuple[tuple[str, Table], ...] = ()
    """Headed tables of text (architectures)."""
    missing: tuple[str, ...] = ()
    """What it lacks, and why, one sentence each."""
    notes: tuple[str, ...] = ()
    """What a reader must know to read it."""


@dataclass(frozen=True)
class Claim:
    """One claim of the paper and what became of it."""

    claim: str
    published: str
    """The paper's figures."""
    measured: str
    """Ours, with intervals."""
    verdict: Verdict
    why: str
    """One or two sentences."""
    key: ClaimKey | None = None
    """Which of the paper's claims it is."""
