"""Whether a subject leaks: the one rule behind the audit's page, the comparison and the gates."""

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
    """The verdict on one subject, worst first."""

    BROKEN = "audit broken"
    """Attackers trained on shuffled pairs predict it too."""
    USELESS = "useless"
    """The service itself does no better than a constant answer, whatever leaks."""
    LEAK = "leak"
    """Attackers predict more than the public labels reveal; the whole interval is above zero."""
    CANNOT_TELL = "cannot tell"
    """No leak, and the same attackers find none in raw inputs either."""
    TOO_WEAK = "attack too weak to tell"
    """No leak, and the same attackers are not good enough on the undefended encoder either; see
    `Weakness`."""
    NOT_ATTACKED = "not attacked"
    """No attacker was compared with the label-only floor."""
    NO_LEAK = "no leak found"
    """No leak, although the same attackers find one at the ceiling."""


class Weakness(StrEnum):
    """Why attackers that found nothing are no evidence of protection."""

    NO_CEILING = "no ceiling"
    """There is no ceiling that shows what they can find."""
    NOTHING = "nothing read"
    """They find nothing at the ceiling either."""
    LITTLE = "little read"
    """Their excess at the ceiling is less than `SHARE` of that on raw inputs."""
    SHORT = "budget too short"
    """The strongest one at the ceiling still gains `EPSILON` when trained twice as long."""


SHARE = 0.5
"""Fraction of the excess on raw inputs that attackers must reach at the ceiling."""

EPSILON = 0.02
"""The budget was too short if doubling it gains this much balanced accuracy or MS-SSIM."""

HALF = 0.5
"""Balanced accuracy at chance, for a binary attribute."""

USEFUL = 0.1
"""A useful service must cover this fraction of the way from a constant answer to no error."""

WIDER = 3.09 / 1.96
"""The negative control fails at 99.8 %, not 95 %: a sound audit must rarely be called broken."""

SIGNIFICANT = 0.05
"""An undeclared attribute leaks if its Holm-adjusted p is below this."""


@dataclass(frozen=True)
class Evidence:
    """The records that determine the verdict on one subject of one run."""

    excess: Record | None
    """Headline attacker minus label-only floor, paired."""
    given_labels: Record | None
    """The same for the headline attacker with the true public labels beside the features."""
    within_labels: Record | None
    """Balanced accuracy among inputs with equal public labels, of the attacker that is best at this
    on its own validation part; 1/2 is chance."""
    averaged: Record | None
    """The excess of the headline attacker that averages a noisy encoder's features."""
    person: Record | None
    """The same for the headline attacker with several pictures of the person, above what the
    public labels of all of them reveal."""
    insider: Record | None
    """The same for the headline attacker that also has the defender's pictures and labels."""
    ceiling: Record | None
    """The headline excess at the ceiling: the undefended encoder or the raw pictures."""
    raw: Record | None
    """The excess of a residual network on raw inputs, measured with an undefended ceiling."""
    gain: Record | None
    """What the strongest attacker at the ceiling gains when trained twice as long."""
    raw_ceiling: bool
    """Whether the ceiling is the raw pictures."""
    controls: tuple[Record, ...]
    """Balanced accuracy of attackers on shuffled pairs."""
    private: int = 1
    """Number of private attributes of the run, for the multiple-comparison correction."""
    chance: float = HALF
    """Balanced accuracy of a constant answer: one half, or 1 / C for C classes."""

    @property
    def leak(self) -> Record | None:
        """The figure whose whole interval, widened for the number of private attributes
        (Bonferroni), lies above the no-leak level; None if none does.
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
        """The verdict.

        A leak is an excess over the label-only floor, or a balanced accuracy above 1/2 among
        inputs with equal public labels. If there is none, attackers with a `weakness` are no
        evidence of protection; an audit whose negative control leaks proves nothing at all.
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
        """The positive control: why these attackers, if they find no leak, prove nothing; None if
        they would have found one.
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
    """The evidence in ``records``, all of one run, on ``subject``.

    Args:
        records: of one run.
        subject: an attribute, ``image`` or ``identity``.
        raw_ceiling: whether the run's ceiling is raw pictures.
        undefended: records of an undefended run: the ceiling if the run has none of its own.
        private: private attributes of the run.
    """
    known = {"attack": CEILING, "subject": subject}
    # Older audits compared several pictures with the label-only floor of one.
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
    """Balanced accuracy of a constant answer; one half if that was not measured."""
    found = one(records, attack=MAJORITY, subject=subject, metric="balanced_accuracy")
    return HALF if found is None else found.value


def best_within(records: Sequence[Record], subject: str) -> Record | None:
    """Test record of the attacker, with or without the public labels, that is best among equal
    public labels on its own validation part; None if none was scored.
    """
    kinds = (ThreatKind.COMMON, ThreatKind.LABELS, ThreatKind.AVERAGED)
    found = [r for kind in kinds if (r := best(records, subject, WITHIN, kind))]
    own = {
        (r.attack, r.given): r.value
        for r in select(records, subject=subject, metric=WITHIN, split="validation")
    }
    return max(found, key=lambda r: own[r.attack, r.given], default=None)


def best(records: Iterable[Record], subject: str, metric: str, given: str = "") -> Record | None:
    """The headline attacker's record; None if no attacker was scored."""
    try:
        return headline(records, subject, metric, given)
    except KeyError:
        return None


def one(records: Iterable[Record], **wanted: object) -> Record | None:
    """The first test record whose fields equal ``wanted``; None if there is none."""
    return next(iter(select(records, split="test", **wanted)), None)


def useless(service: Measured | Record | None, chance: float = HALF) -> bool:
    """Whether a service's balanced accuracy is near that of a constant answer."""
    least = chance + USEFUL * (1 - chance)
    return service is not None and (service.value < least or service.low <= chance)


def worst(statuses: Iterable[Status]) -> Status:
    """The worst of some outcomes; "not attacked" if there are none."""
    return min(statuses, key=list(Status).index, default=Status.NOT_ATTACKED)
