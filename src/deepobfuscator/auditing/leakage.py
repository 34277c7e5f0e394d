"""Whether one subject leaks: one rule for the audit's page, the comparison and the gates."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from scipy.special import ndtri

from deepobfuscator.core.records import (
    CEILING,
    EXCESS,
    GAIN,
    LABEL_ONLY,
    MAJORITY,
    WITHIN,
    Record,
    ThreatKind,
    fresh,
    headline,
    select,
)
from deepobfuscator.metrics.sample import Measured


class Status(StrEnum):
    """What came of the attacks on one subject, worst first."""

    BROKEN = "audit broken"
    """Attackers who learned from shuffled pairs read it too."""
    USELESS = "useless"
    """The service itself does no better than one answer for everybody, whatever leaks."""
    LEAK = "leak"
    """More is read than the public labels tell; the whole interval says so."""
    CANNOT_TELL = "cannot tell"
    """No leak, and the same attackers find nothing in raw inputs either."""
    TOO_WEAK = "attack too weak to tell"
    """No leak, and the same attackers do not do well enough at the undefended encoder either; see
    `Weakness`."""
    NOT_ATTACKED = "not attacked"
    """No attacker was compared with the label-only floor."""
    NO_LEAK = "no leak found"
    """No leak, where the same attackers do find one at the ceiling."""


class Weakness(StrEnum):
    """Why attackers that found nothing vouch for nothing."""

    NO_CEILING = "no ceiling"
    """There is no ceiling to show what they can find."""
    NOTHING = "nothing read"
    """They read nothing at the ceiling either."""
    LITTLE = "little read"
    """At the ceiling they read less than `SHARE` of what the same kind reads from raw inputs."""
    SHORT = "budget too short"
    """The strongest one at the ceiling still gains `EPSILON` when it learns twice as long."""


SHARE = 0.5
"""Part of the excess on raw inputs that attackers must read at the ceiling."""

EPSILON = 0.02
"""Gain of twice the budget, in balanced accuracy or MS-SSIM, from which on it was too short."""

HALF = 0.5
"""Balanced accuracy of whoever knows nothing, of an attribute that is 0 or 1."""

USEFUL = 0.1
"""Share of the way from one answer for everybody to no error that a service must have come."""

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
    within_labels: Record | None
    """Balanced accuracy among inputs with equal public labels, of the attacker who is best at that
    on its own validation part; 1/2 is chance."""
    averaged: Record | None
    """The same for the headline attacker who averages a noisy encoder's answers."""
    person: Record | None
    """The same for the headline attacker who knows several pictures of the person, above what the
    public labels of all of them tell."""
    insider: Record | None
    """The same for the headline attacker who has the defender's pictures and labels, too."""
    ceiling: Record | None
    """The same for the undefended encoder or the raw pictures."""
    raw: Record | None
    """The excess of a residual network on raw inputs, measured with an undefended ceiling."""
    gain: Record | None
    """What the strongest attacker at the ceiling gains by learning twice as long."""
    raw_ceiling: bool
    """Whether the ceiling is raw pictures."""
    controls: tuple[Record, ...]
    """Balanced accuracy of attackers on shuffled pairs."""
    private: int = 1
    """Private attributes of the run: so many verdicts that must not be wrong by chance."""
    chance: float = HALF
    """Balanced accuracy of one answer for everybody: one half, or 1 / C of C classes."""

    @property
    def leak(self) -> Record | None:
        """The figure whose whole interval, widened for the number of private attributes (after
        Bonferroni), lies above what shows no leak; None where none does.
        """
        wider = float(ndtri(1 - 0.025 / self.private) / ndtri(0.975))
        common = (self.excess, self.given_labels, self.averaged, self.person, self.insider)
        found = [(record, 0.0) for record in common]
        for record, nothing in (*found, (self.within_labels, HALF)):
            if record and record.value - wider * (record.value - record.low) > nothing:
                return record
        return None

    @property
    def status(self) -> Status:
        """What came of the attacks.

        A leak is an excess over the label-only floor, or a balanced accuracy above 1/2 among
        inputs with equal public labels. Where there is none, attackers with a `weakness` cannot
        vouch for anything, and an audit whose negative control leaks vouches for nothing at all.
        """
        if any(r.value - WIDER * (r.value - r.low) > self.chance for r in self.controls):
            return Status.BROKEN
        if self.excess is None:
            return Status.NOT_ATTACKED
        if self.leak is not None:
            return Status.LEAK
        if self.weakness is not None:
            return Status.CANNOT_TELL if self.raw_ceiling else Status.TOO_WEAK
        return Status.NO_LEAK

    @property
    def weakness(self) -> Weakness | None:
        """Why these attackers, where they find no leak, prove nothing; None where they would have
        found one: the positive control.
        """
        if self.ceiling is None:
            return Weakness.NO_CEILING
        if self.ceiling.low <= 0:
            return Weakness.NOTHING
        if self.raw is not None and self.ceiling.value < SHARE * self.raw.value:
            return Weakness.LITTLE
        if self.gain is not None and self.gain.value >= EPSILON:
            return Weakness.SHORT
        return None


def evidence(
    records: Sequence[Record],
    subject: str,
    raw_ceiling: bool = False,
    undefended: Sequence[Record] = (),
    private: int = 1,
) -> Evidence:
    """What ``records``, all of one run, hold on ``subject``.

    Args:
        records: of one run.
        subject: an attribute, ``image`` or ``identity``.
        raw_ceiling: whether the run's ceiling is raw pictures.
        undefended: records of an undefended run, the ceiling where the run holds none itself.
        private: private attributes of the run.
    """
    known = {"attack": CEILING, "subject": subject}
    # Older audits held several pictures against the label of one.
    of_all_labels = one(records, attack=LABEL_ONLY, subject=subject, given=str(ThreatKind.PERSON))
    ceiling = one(records, **known, metric=EXCESS, given="")
    raw = one(records, **known, metric=EXCESS, given=str(ThreatKind.RAW))
    return Evidence(
        excess=best(records, subject, EXCESS),
        given_labels=best(records, subject, EXCESS, ThreatKind.LABELS),
        within_labels=best_within(records, subject),
        averaged=best(records, subject, EXCESS, ThreatKind.AVERAGED),
        person=best(records, subject, EXCESS, ThreatKind.PERSON) if of_all_labels else None,
        insider=best(records, subject, EXCESS, ThreatKind.INSIDER),
        ceiling=ceiling or best(undefended, subject, EXCESS),
        raw=raw or best(undefended, subject, EXCESS, ThreatKind.RAW),
        gain=one(records, **known, metric=GAIN),
        raw_ceiling=raw_ceiling,
        controls=tuple(fresh(records, subject, "balanced_accuracy", ThreatKind.SHUFFLED)),
        private=private,
        chance=chance_of(records, subject),
    )


def chance_of(records: Iterable[Record], subject: str) -> float:
    """Balanced accuracy of one answer for everybody; one half where that was not measured."""
    found = one(records, attack=MAJORITY, subject=subject, metric="balanced_accuracy")
    return HALF if found is None else found.value


def best_within(records: Sequence[Record], subject: str) -> Record | None:
    """The attacker, with the public labels or without, who is best among equal public labels on
    its own validation part, as scored on test; None where nobody was.
    """
    kinds = (ThreatKind.COMMON, ThreatKind.LABELS, ThreatKind.AVERAGED)
    found = [r for kind in kinds if (r := best(records, subject, WITHIN, kind))]
    own = {
        (r.attack, r.given): r.value
        for r in select(records, subject=subject, metric=WITHIN, split="validation")
    }
    return max(found, key=lambda r: own[r.attack, r.given], default=None)


def best(records: Iterable[Record], subject: str, metric: str, given: str = "") -> Record | None:
    """The headline attacker's record; None where nobody was scored."""
    try:
        return headline(records, subject, metric, given)
    except KeyError:
        return None


def one(records: Iterable[Record], **wanted: object) -> Record | None:
    """The first test record whose fields equal ``wanted``; None where there is none."""
    return next(iter(select(records, split="test", **wanted)), None)


def useless(service: Measured | Record | None, chance: float = HALF) -> bool:
    """Whether a service's balanced accuracy is near that of one answer for everybody."""
    least = chance + USEFUL * (1 - chance)
    return service is not None and (service.value < least or service.low <= chance)


def worst(statuses: Iterable[Status]) -> Status:
    """The worst of some outcomes; not attacked where there is none."""
    return min(statuses, key=list(Status).index, default=Status.NOT_ATTACKED)
