"""Whether one subject leaks: one rule for the audit's page, the comparison and the gates."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from deepobfuscator.core.records import CEILING, EXCESS, Record, ThreatKind, fresh, headline, select


class Status(StrEnum):
    """What came of the attacks on one subject, worst first."""

    BROKEN = "audit broken"
    """Attackers who learned from shuffled pairs read it too."""
    LEAK = "leak"
    """An excess over the label-only floor whose whole interval lies above 0."""
    CANNOT_TELL = "cannot tell"
    """No leak, and the same attackers find nothing in raw inputs either."""
    TOO_WEAK = "attack too weak to tell"
    """No leak, and the same attackers find nothing at the undefended encoder either."""
    NOT_ATTACKED = "not attacked"
    """No attacker was compared with the label-only floor."""
    NO_LEAK = "no leak found"
    """No leak, where the same attackers do find one at the ceiling."""


HALF = 0.5
"""Balanced accuracy of whoever knows nothing."""

WIDER = 3.09 / 1.96
"""A control speaks at 99.8 %, not 95 %: an honest audit must not call itself broken now and then.
"""

SIGNIFICANT = 0.05
"""An attribute that the task does not name leaks where Holm's p is below this."""


@dataclass(frozen=True)
class Evidence:
    """The records that decide on one subject of one run."""

    excess: Record | None
    """Headline attacker minus label-only floor, paired."""
    given_labels: Record | None
    """The same for the headline attacker who has the true public labels besides the features."""
    averaged: Record | None
    """The same for the headline attacker who averages a noisy encoder's answers."""
    ceiling: Record | None
    """The same for the undefended encoder or the raw pictures."""
    raw_ceiling: bool
    """Whether the ceiling is raw pictures."""
    controls: tuple[Record, ...]
    """Balanced accuracy of attackers on shuffled pairs."""

    @property
    def leak(self) -> Record | None:
        """The excess that lies above 0 as a whole; None where none does."""
        found = filter(None, (self.excess, self.given_labels, self.averaged))
        return next((r for r in found if r.low > 0), None)

    @property
    def status(self) -> Status:
        """What came of the attacks.

        A leak is an excess whose whole interval lies above 0. Where there is none, attackers that
        find nothing at the ceiling either cannot vouch for anything, and an audit whose negative
        control leaks vouches for nothing at all.
        """
        if any(r.value - WIDER * (r.value - r.low) > HALF for r in self.controls):
            return Status.BROKEN
        if self.excess is None:
            return Status.NOT_ATTACKED
        if self.leak is not None:
            return Status.LEAK
        if self.ceiling is None or self.ceiling.low <= 0:
            return Status.CANNOT_TELL if self.raw_ceiling else Status.TOO_WEAK
        return Status.NO_LEAK


def evidence(
    records: Sequence[Record],
    subject: str,
    raw_ceiling: bool = False,
    undefended: Sequence[Record] = (),
) -> Evidence:
    """What ``records``, all of one run, hold on ``subject``.

    Args:
        records: of one run.
        subject: an attribute, ``image`` or ``identity``.
        raw_ceiling: whether the run's ceiling is raw pictures.
        undefended: records of an undefended run, the ceiling where the run holds none itself.
    """
    ceiling = one(records, attack=CEILING, subject=subject, metric=EXCESS)
    return Evidence(
        excess=best(records, subject, EXCESS),
        given_labels=best(records, subject, EXCESS, ThreatKind.LABELS),
        averaged=best(records, subject, EXCESS, ThreatKind.AVERAGED),
        ceiling=ceiling or best(undefended, subject, EXCESS),
        raw_ceiling=raw_ceiling,
        controls=tuple(fresh(records, subject, "balanced_accuracy", ThreatKind.SHUFFLED)),
    )


def undeclared_leaks(excess: float, p_holm: float) -> bool:
    """Whether an attribute that the task does not name leaks: one test of many, so Holm's p."""
    return p_holm < SIGNIFICANT and excess > 0


def best(records: Iterable[Record], subject: str, metric: str, given: str = "") -> Record | None:
    """The headline attacker's record; None where nobody was scored."""
    try:
        return headline(records, subject, metric, given)
    except KeyError:
        return None


def one(records: Iterable[Record], **wanted: object) -> Record | None:
    """The first test record whose fields equal ``wanted``; None where there is none."""
    return next(iter(select(records, split="test", **wanted)), None)


def worst(statuses: Iterable[Status]) -> Status:
    """The worst of some outcomes; not attacked where there is none."""
    return min(statuses, key=list(Status).index, default=Status.NOT_ATTACKED)
