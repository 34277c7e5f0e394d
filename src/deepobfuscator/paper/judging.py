"""How claims are judged: the figures they rest on, and what an interval allows to say."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from deepobfuscator import PERCENT, number
from deepobfuscator.paper.keys import IMAGE, Measured, Name, Part, Set, Verdict
from deepobfuscator.paper.render.exhibit import Curve, Exhibit, Row
from deepobfuscator.paper.render.table import measured

FAILS, UNKNOWN, HOLDS = Verdict


class Finding(NamedTuple):
    """What became of a claim."""

    measured: str
    """Our figures, with intervals."""
    verdict: Verdict
    """What they allow to say."""
    why: str
    """One or two sentences."""


@dataclass(frozen=True)
class Evidence:
    """The rows of all exhibits, to be asked for by key."""

    exhibits: Mapping[str, Exhibit]
    """By name."""

    def rows(self, exhibit: Name) -> Sequence[Row]:
        """All rows of an exhibit; none where it was not made."""
        return self.exhibits[exhibit].rows if exhibit in self.exhibits else ()

    def curves(self, exhibit: Name) -> Sequence[Curve]:
        """All curves of an exhibit; none where it was not made."""
        return self.exhibits[exhibit].curves if exhibit in self.exhibits else ()

    def attacked(
        self, exhibit: Name, row: Measured, metric: str, panel: Set | Part = Part.WHOLE
    ) -> Row | None:
        """What attackers get: of the first private attribute, or of the image, by ``metric``."""
        return self.find(exhibit, row, panel, lambda x: not x.service and x.metric == metric)

    def service(self, exhibit: Name, row: Measured, panel: Set | Part) -> Row | None:
        """The service's own first figure."""
        return self.find(exhibit, row, panel, lambda x: x.service)

    def find(
        self, exhibit: Name, row: Measured, panel: Set | Part, fits: Callable[[Row], bool]
    ) -> Row | None:
        """The first row of these keys that fits; None where there is none."""
        of_keys = (x for x in self.rows(exhibit) if (x.row.of, x.panel.of) == (row, panel))
        return next(filter(fits, of_keys), None)


def protected(row: Row) -> Verdict:
    """Whether a fresh attacker was kept at its floor, the higher of the two.

    It holds where the whole interval lies at or under the floor plus a tenth of what the
    undefended encoder leaks, fails where it lies above that, and cannot be told otherwise, or
    where the attackers find nothing on the undefended encoder either.
    """
    known = (row.low, row.high, row.label_only, row.ceiling)
    if None in known:
        return UNKNOWN
    low, high, labels, ceiling = (float(v) for v in known if v is not None)
    floor = max(labels, row.majority or 0.0)
    if ceiling <= floor:
        return UNKNOWN
    bound = floor + 0.1 * (ceiling - floor)
    return FAILS if low > bound else HOLDS if high <= bound else UNKNOWN


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    """Fails if one does, holds if all do."""
    return min(verdicts, key=list(Verdict).index)


class Difference(NamedTuple):
    """A difference of two figures and its interval."""

    low: float
    high: float
    value: float


def difference(one: Row, other: Row) -> Difference | None:
    """Ends of the interval of ``one`` minus ``other``, as wide as if nothing were paired."""
    if None in (one.fresh, one.low, one.high, other.fresh, other.low, other.high):
        return None
    a, al, ah = (float(v) for v in (one.fresh, one.low, one.high) if v is not None)
    b, bl, bh = (float(v) for v in (other.fresh, other.low, other.high) if v is not None)
    down, up = ((a - al) ** 2 + (bh - b) ** 2) ** 0.5, ((ah - a) ** 2 + (b - bl) ** 2) ** 0.5
    return Difference(a - b - down, a - b + up, a - b)


def over_sets(
    pairs: Sequence[tuple[Set, Set]], row: Callable[[Set], Row | None], rises: bool, what: str
) -> Finding | None:
    """What changes from one set to another: the same sign, clearly, in all pairs.

    Args:
        pairs: sets before and after.
        row: the figure of a set.
        rises: whether the paper says that it rises.
        what: the figure in words.
    """
    parts, signs = list[str](), list[int]()
    for before, after in pairs:
        one, other = row(after), row(before)
        if one is None or other is None or one.subject != other.subject:
            continue
        if (ends := difference(one, other)) is None:
            continue
        parts.append(f"{before} → {after}: {points(ends)}")
        signs.append(1 if ends.low > 0 else -1 if ends.high < 0 else 0)
    if not parts:
        return None
    wanted = 1 if rises else -1
    verdict = HOLDS if all(s == wanted for s in signs) else UNKNOWN
    if all(s == -wanted for s in signs):
        verdict = FAILS
    clear = sum(s == wanted for s in signs)
    against = sum(s == -wanted for s in signs)
    why = because(
        verdict,
        "It goes the other way in every pair of sets.",
        "It does, in every pair of sets.",
        f"Clear in {clear} of {len(signs)} pairs of sets, the other way in {against}: effects "
        "of a point or so are within the intervals of this many test pictures and one game "
        "a set.",
    )
    return Finding(f"{what}, {'; '.join(parts)}", verdict, why)


def because(verdict: Verdict, fails: str, holds: str, unknown: str) -> str:
    """The reason that goes with a verdict."""
    return {FAILS: fails, HOLDS: holds, UNKNOWN: unknown}[verdict]


def said(metric: str, value: float | None) -> str:
    """A figure as it is written, with its unit."""
    return number(metric, value) + (" %" if metric in PERCENT and value is not None else "")


def with_unit(row: Row) -> str:
    """A fresh figure and its interval."""
    return measured(row) + (" %" if row.metric in PERCENT else "")


def told(row: Row, name: str = "") -> str:
    """A row in words: fresh, in the game, floor."""
    what = name or ("faces" if row.subject == IMAGE else row.subject)
    text = f"{what} {with_unit(row)} by fresh attackers"
    if row.in_game is not None:
        text += f", {said(row.metric, row.in_game)} in the game"
    if row.label_only is not None:
        text += f", floor {said(row.metric, row.label_only)}"
    return text


def points(ends: Difference) -> str:
    """A difference of accuracies with its interval, in points."""
    low, high, value = (f"{100 * v:+.1f}" for v in ends)
    return f"{value} points ({low} to {high})".replace("-", "−")
