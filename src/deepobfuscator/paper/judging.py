"""How claims are judged: the figures they rest on, and what an interval allows to say."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from deepobfuscator.core.records import IMAGE
from deepobfuscator.paper.render.exhibit import Claim, Exhibit, Line
from deepobfuscator.paper.render.exhibit_page import FAILS, HOLDS, UNKNOWN
from deepobfuscator.report.formatting import number

ACCURACY, MS_SSIM = "accuracy", "ms_ssim"


@dataclass(frozen=True)
class Evidence:
    """The lines of all exhibits, to be asked for."""

    exhibits: Mapping[str, Exhibit]
    """By name."""

    def line(
        self, exhibit: str, row: str, metric: str, subject: str | None = None, panel: str = ""
    ) -> Line | None:
        """The first line whose row and panel begin so; None where there is none.

        ``subject`` None takes the first private attribute, or the image, that comes.
        """
        if exhibit not in self.exhibits:
            return None
        for found in self.exhibits[exhibit].lines:
            fits = found.row.startswith(row) and found.panel.startswith(panel)
            right = not found.service if subject is None else found.subject == subject
            if fits and right and found.metric == metric:
                return found
        return None

    def service(self, exhibit: str, row: str, panel: str = "") -> Line | None:
        """The first line of the service itself."""
        if exhibit not in self.exhibits:
            return None
        found = self.exhibits[exhibit].lines
        return next(
            (x for x in found if x.service and x.row.startswith(row) and x.panel.startswith(panel)),
            None,
        )


def protected(line: Line) -> str:
    """Whether a fresh attacker was kept at its floor, the higher of the two.

    It holds where the whole interval lies at or under the floor plus a tenth of what the
    undefended encoder leaks, fails where it lies above that, and cannot be told otherwise, or
    where the attackers find nothing on the undefended encoder either.
    """
    known = (line.low, line.high, line.label_only, line.ceiling)
    if None in known:
        return UNKNOWN
    low, high, labels, ceiling = (float(v) for v in known if v is not None)
    floor = max(labels, line.majority or 0.0)
    if ceiling <= floor:
        return UNKNOWN
    bound = floor + 0.1 * (ceiling - floor)
    return FAILS if low > bound else HOLDS if high <= bound else UNKNOWN


def worst(verdicts: Sequence[str]) -> str:
    """Fails if one does, holds if all do."""
    return min(verdicts, key=(FAILS, UNKNOWN, HOLDS).index)


class Difference(NamedTuple):
    """A difference of two figures and its interval."""

    low: float
    high: float
    value: float


def difference(one: Line, other: Line) -> Difference | None:
    """Ends of the interval of ``one`` minus ``other``, as wide as if nothing were paired."""
    if None in (one.fresh, one.low, one.high, other.fresh, other.low, other.high):
        return None
    a, al, ah = (float(v) for v in (one.fresh, one.low, one.high) if v is not None)
    b, bl, bh = (float(v) for v in (other.fresh, other.low, other.high) if v is not None)
    down, up = ((a - al) ** 2 + (bh - b) ** 2) ** 0.5, ((ah - a) ** 2 + (b - bl) ** 2) ** 0.5
    return Difference(a - b - down, a - b + up, a - b)


def compared(
    claim: str,
    published: str,
    one: Line | None,
    other: Line | None,
    holds: Callable[[float, float], bool],
    fails: Callable[[float, float], bool],
    why: tuple[str, str, str],
) -> Claim | None:
    """A claim about one difference."""
    if one is None or other is None or (ends := difference(one, other)) is None:
        return None
    low, high, _ = ends
    verdict = HOLDS if holds(low, high) else FAILS if fails(low, high) else UNKNOWN
    measured = f"{one.subject} {interval(one)} against {interval(other)} undefended: {points(ends)}"
    return Claim(claim, published, measured, verdict, because(verdict, *why))


def over_sets(
    held: Evidence,
    claim: str,
    published: str,
    pairs: Sequence[tuple[str, str]],
    line: Callable[[str], Line | None],
    rises: bool,
    what: str,
) -> Claim | None:
    """A claim about what changes from one set to another: the same sign, clearly, in all pairs."""
    parts, signs = list[str](), list[int]()
    for before, after in pairs:
        one, other = line(after), line(before)
        if one is None or other is None or one.subject != other.subject:
            continue
        if (ends := difference(one, other)) is None:
            continue
        parts.append(f"{before} → {after}: {points(ends)}")
        signs.append(1 if ends[0] > 0 else -1 if ends[1] < 0 else 0)
    if not parts:
        return None
    wanted = 1 if rises else -1
    verdict = HOLDS if all(s == wanted for s in signs) else UNKNOWN
    if all(s == -wanted for s in signs):
        verdict = FAILS
    clear = sum(s == wanted for s in signs)
    against = sum(s == -wanted for s in signs)
    return Claim(
        claim,
        published,
        f"{what}, {'; '.join(parts)}",
        verdict,
        because(
            verdict,
            "It goes the other way in every pair of sets.",
            "It does, in every pair of sets.",
            f"Clear in {clear} of {len(signs)} pairs of sets, the other way in {against}: effects "
            "of a point or so are within the intervals of this many test pictures and one game "
            "a set.",
        ),
    )


def because(verdict: str, fails: str, holds: str, unknown: str) -> str:
    """The reason that goes with a verdict."""
    return {FAILS: fails, HOLDS: holds, UNKNOWN: unknown}[verdict]


def said(metric: str, value: float | None) -> str:
    """A figure as it is written, with its unit."""
    return number(metric, value) + (
        " %" if metric in (ACCURACY, "four_way") and value is not None else ""
    )


def interval(line: Line) -> str:
    """A fresh figure and its interval."""
    unit = " %" if line.metric in (ACCURACY, "four_way") else ""
    text = number(line.metric, line.fresh)
    if line.low is not None and line.high is not None:
        text += f" ({number(line.metric, line.low)}–{number(line.metric, line.high)})"
    return text + unit


def told(line: Line, name: str = "") -> str:
    """A line in words: fresh, in the game, floor."""
    what = name or ("faces" if line.subject == IMAGE else line.subject)
    text = f"{what} {interval(line)} by fresh attackers"
    if line.in_game is not None:
        text += f", {said(line.metric, line.in_game)} in the game"
    if line.label_only is not None:
        text += f", floor {said(line.metric, line.label_only)}"
    return text


def points(ends: Difference) -> str:
    """A difference of accuracies with its interval, in points."""
    low, high, value = (f"{100 * v:+.1f}" for v in ends)
    return f"{value} points ({low} to {high})".replace("-", "−")
