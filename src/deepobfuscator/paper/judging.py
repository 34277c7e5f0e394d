"""How claims are judged: the figures they rest on, and what an interval supports."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple, TypeVar

from deepobfuscator import PERCENT, number
from deepobfuscator.paper.keys import IMAGE, Measured, Name, Part, Set, Verdict
from deepobfuscator.paper.render.exhibit import Curve, Exhibit, Row
from deepobfuscator.paper.render.table import measured

T = TypeVar("T")

FAILS, UNKNOWN, HOLDS = Verdict

CHANCE = 1 / 4
"""Chance level of the perceptual study's four options."""


class LackingError(LookupError):
    """The exhibits lack a figure that a claim needs."""


def present(*found: T | None) -> list[T]:
    """All of ``found``.

    Raises:
        LackingError: one is None.
    """
    known = [x for x in found if x is not None]
    if len(known) < len(found):
        raise LackingError
    return known


class Finding(NamedTuple):
    """The verdict on a claim."""

    measured: str
    """Our figures, with intervals."""
    verdict: Verdict
    words: Mapping[str, object] = MappingProxyType({})
    """Values for the names in braces in the verdict's reason."""


@dataclass(frozen=True)
class Evidence:
    """The rows of all exhibits, looked up by key."""

    exhibits: Mapping[str, Exhibit]
    """By name."""

    def rows(self, exhibit: Name) -> Sequence[Row]:
        """All rows of an exhibit; empty if it was not made."""
        return self.exhibits[exhibit].rows if exhibit in self.exhibits else ()

    def curves(self, exhibit: Name) -> Sequence[Curve]:
        """All curves of an exhibit; empty if it was not made."""
        return self.exhibits[exhibit].curves if exhibit in self.exhibits else ()

    def attacked(
        self, exhibit: Name, row: Measured, metric: str, panel: Set | Part = Part.WHOLE
    ) -> Row | None:
        """The attackers' figure on the first private attribute, or the image, by ``metric``."""
        return self.find(exhibit, row, panel, lambda x: not x.service and x.metric == metric)

    def service(self, exhibit: Name, row: Measured, panel: Set | Part) -> Row | None:
        """The service's own first figure."""
        return self.find(exhibit, row, panel, lambda x: x.service)

    def find(
        self, exhibit: Name, row: Measured, panel: Set | Part, fits: Callable[[Row], bool]
    ) -> Row | None:
        """The first matching row of these keys; None if there is none."""
        of_keys = (x for x in self.rows(exhibit) if (x.row.of, x.panel.of) == (row, panel))
        return next(filter(fits, of_keys), None)


def protected(row: Row) -> Verdict:
    """Whether a newly trained attacker was kept at its floor, the higher of the two.

    It holds if the whole interval lies at or below the floor plus a tenth of what the undefended
    encoder leaks, and fails if it lies above that. It is inconclusive otherwise, or if the
    attackers find nothing on the undefended encoder either.
    """
    low, high, labels, ceiling = row.low, row.high, row.label_only, row.ceiling
    if low is None or high is None or labels is None or ceiling is None:
        return UNKNOWN
    floor = max(labels, row.majority or 0.0)
    if ceiling <= floor:
        return UNKNOWN
    bound = floor + 0.1 * (ceiling - floor)
    return FAILS if low > bound else HOLDS if high <= bound else UNKNOWN


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Fails if one does, holds if all do."""
    return min(verdicts, key=list(Verdict).index)


def unanimous(found: Sequence[T], *, holds: T, fails: T) -> Verdict:
    """Holds if all findings are ``holds``, fails if all of them are ``fails``."""
    if all(x == holds for x in found):
        return HOLDS
    return FAILS if all(x == fails for x in found) else UNKNOWN


class Difference(NamedTuple):
    """A difference of two figures and its interval."""

    low: float
    high: float
    value: float

    @property
    def sign(self) -> int:
        """1 or -1 if the whole interval lies above or below zero, else 0."""
        return 1 if self.low > 0 else -1 if self.high < 0 else 0


def difference(one: Row, other: Row) -> Difference | None:
    """``one`` minus ``other``, with the interval of unpaired figures."""
    return combined([(1.0, one), (-1.0, other)])


def combined(terms: Iterable[tuple[float, Row]]) -> Difference | None:
    """The weighted sum of figures, with the interval of independent ones; None if one has no
    interval.

    Figures on the same test people are positively correlated. As long as the weights sum to 0,
    that makes the true interval narrower, not wider.
    """
    value = down = up = 0.0
    for weight, row in terms:
        if row.fresh is None or row.low is None or row.high is None:
            return None
        ends = sorted((weight * (row.low - row.fresh), weight * (row.high - row.fresh)))
        value, down, up = value + weight * row.fresh, down + ends[0] ** 2, up + ends[1] ** 2
    return Difference(value - down**0.5, value + up**0.5, value)


class Fate(StrEnum):
    """Possible outcomes for a first defence."""

    LOST = "lost"
    KEPT = "kept"
    UNDECIDED = "undecided"
    NO_DEFENCE = "there was none to lose: alone it does not resist newly trained attackers"


def fate(first: Row, second: Row) -> Fate:
    """The outcome for one first defence."""
    if protected(first) != HOLDS:
        return Fate.NO_DEFENCE
    shift = difference(second, first)
    if shift is not None and shift.sign > 0 and protected(second) == FAILS:
        return Fate.LOST
    return Fate.KEPT if protected(second) == HOLDS else Fate.UNDECIDED


def over_sets(
    pairs: Sequence[tuple[Set, Set]], row: Callable[[Set], Row | None], rises: bool, what: str
) -> Finding:
    """The change from one set to another, averaged over all pairs.

    Args:
        pairs: sets before and after; a set may stand in several.
        row: the figure of a set.
        rises: whether the paper says that it rises.
        what: description of the figure.

    Raises:
        LackingError: no pair can be compared.
    """
    parts, found = list[str](), list[tuple[Row, Row]]()
    for before, after in pairs:
        one, other = row(after), row(before)
        if one is None or other is None or one.subject != other.subject:
            continue
        if (ends := difference(one, other)) is not None:
            parts.append(f"{before} → {after}: {points(ends)}")
            found.append((one, other))
    weights = dict[Row, float]()
    for one, other in found:
        weights[one] = weights.get(one, 0.0) + 1 / len(found)
        weights[other] = weights.get(other, 0.0) - 1 / len(found)
    pooled = combined((weight, of) for of, weight in weights.items())
    if not found or pooled is None:
        raise LackingError
    sign = pooled.sign if rises else -pooled.sign
    return Finding(
        f"{what}, mean over the pairs of sets {points(pooled)}; {'; '.join(parts)}",
        {1: HOLDS, 0: UNKNOWN, -1: FAILS}[sign],
        {"pairs": f"{len(found)} pairs" if len(found) > 1 else "one pair"},
    )


def recognised(low: float, high: float) -> Verdict:
    """Whether a four-option choice is at chance, up to a tenth of the way from there to always
    correct. The paper's participants, at 28 %, are within that.
    """
    bound = CHANCE + 0.1 * (1 - CHANCE)
    return FAILS if low > bound else HOLDS if high <= bound else UNKNOWN


def said(metric: str, value: float | None) -> str:
    """A figure as it is written, with its unit."""
    return number(metric, value) + (" %" if metric in PERCENT and value is not None else "")


def with_unit(row: Row) -> str:
    """A new attacker's figure and its interval."""
    return measured(row) + (" %" if row.metric in PERCENT else "")


def told(row: Row, name: str = "") -> str:
    """A row as text: new attacker, in the game, floor."""
    what = name or ("faces" if row.subject == IMAGE else row.subject)
    text = f"{what} {with_unit(row)} by new attackers"
    if row.in_game is not None:
        text += f", {said(row.metric, row.in_game)} in training"
    if row.label_only is not None:
        text += f", floor {said(row.metric, row.label_only)}"
    return text


def points(ends: Difference) -> str:
    """A difference of accuracies with its interval, in points."""
    low, high, value = (f"{100 * v:+.1f}" for v in ends)
    return f"{value} points ({low} to {high})".replace("-", "−")
