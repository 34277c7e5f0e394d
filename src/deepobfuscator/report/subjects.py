"""What one run says of one subject: the figure that counts and all that it must be seen beside."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from deepobfuscator.auditing.leakage import (
    HALF,
    SIGNIFICANT,
    Status,
    Weakness,
    best,
    evidence,
    one,
    useless,
)
from deepobfuscator.core import records
from deepobfuscator.core.records import SERVICE, Record, ThreatKey, ThreatKind, group, select
from deepobfuscator.metrics.attributes import METRICS
from deepobfuscator.report.formatting import cell, excess_text, number, value_of
from deepobfuscator.report.runs import RunResult

COMMON = ThreatKey()
"""The common threat model."""


class Role(StrEnum):
    """What a subject is in the task."""

    PUBLIC = "public"
    """An attribute that the service tells."""
    PRIVATE = "private"
    """An attribute that attackers must not infer."""
    IMAGE = "image"
    """The input itself, which attackers reconstruct."""
    IDENTITY = "identity"
    """Who the person is."""


@dataclass(frozen=True)
class Subject:
    """Something that is read from the features."""

    name: str
    """An attribute, ``image`` or ``identity``."""
    role: Role

    @property
    def metric(self) -> str:
        """Its first metric: accuracy for the service; for attackers balanced accuracy of an
        attribute, MS-SSIM of images, verification AUC of identity.
        """
        return "accuracy" if self.role is Role.PUBLIC else records.headline_metric(self.name)

    @property
    def called(self) -> str:
        """How a sentence calls it."""
        return "faces" if self.role is Role.IMAGE else self.name


@dataclass(frozen=True)
class AttackerReport:
    """One newly trained attacker under one threat model, or one reference."""

    name: str
    """The attack, or one of `records.REFERENCES`."""
    threat: ThreatKey
    """What it had that others had not."""
    figures: Mapping[str, Record]
    """On the test part, by metric."""
    own_validation: float | None = None
    """The subject's metric on the attacker's own validation part."""


@dataclass(frozen=True)
class Undeclared:
    """An attribute that the task does not name."""

    name: str
    headline: Record | None
    """The headline attacker's balanced accuracy."""
    excess: Record
    """The headline attacker minus the label-only floor."""
    p_holm: float
    """Probability of such figures without a leak, corrected for all these attributes."""

    @property
    def leaks(self) -> bool:
        """By Holm's p."""
        return self.p_holm < SIGNIFICANT


@dataclass(frozen=True, repr=False)
class SubjectReport(Subject):
    """One subject in one run; every figure has a value, its 95 % interval and who reached it."""

    seed: int
    status: Status
    """What came of the attacks."""
    leak: Record | None
    """The excess that is a leak."""
    result: Record | None
    """The figure that counts: the service's on a public attribute, else the headline."""
    headline: Record | None
    """The attacker that was best on its own validation part, scored once on test."""
    maximum: Record | None
    """The highest attacker on test, with an interval that holds for all at once."""
    floors: Mapping[str, Record]
    """Baselines without the features, by name."""
    ceiling: Record | None
    """The same attackers, or service, on the undefended encoder or on raw inputs."""
    in_game: Record | None
    """The adversary of the defence's own training at its end."""
    excess: Record | None
    """The headline attacker minus the label-only floor, paired over people, in the unit of the
    subject's metric."""
    maximum_excess: Record | None
    """The same for the highest attacker."""
    excess_given_labels: Record | None
    """The same for the attacker who has the true public labels besides."""
    excess_several: Record | None
    """The same for the attacker who knows several pictures of the person, above what the public
    labels of all of them tell."""
    within_labels: Record | None
    """Balanced accuracy among inputs with equal public labels, of the attacker who is best at that
    on its own validation part; 1/2 is chance."""
    excess_over_service: Record | None
    """The headline attacker minus what the service's answer alone gives away."""
    ceiling_excess: Record | None
    """The excess at the ceiling."""
    weakness: Weakness | None
    """Why attackers that find no leak here would prove nothing; None where they would."""
    worst: Record | None
    """MS-SSIM of the 5 % best reconstructed pictures."""
    certified: Record | None
    """What no attacker of one picture exceeds: balanced accuracy of an attribute, PSNR in dB, share
    of people named rightly; None where nothing is certified."""
    perceptual: Mapping[str, Record]
    """Perceptual distance of the headline attacker, the floors and the ceiling by name, where it
    was measured."""
    attackers: tuple[AttackerReport, ...]
    """Newly trained attackers by threat model, the best on test first."""
    references: Mapping[str, AttackerReport]
    """Figures that are not of newly trained attackers, by name."""
    budget: tuple[tuple[int, Record], ...]
    """The best attacker by number of labelled inputs, fewest first."""

    @property
    def service(self) -> dict[str, Record]:
        """The service's figures by metric."""
        found = self.references[SERVICE].figures if SERVICE in self.references else {}
        return {m: found[m] for m in METRICS if m in found}

    @property
    def useless(self) -> bool:
        """Whether the service does no better than a constant answer."""
        always = self.references.get(records.MAJORITY)
        chance = value_of(always.figures.get("balanced_accuracy")) if always else None
        measured = self.service.get("balanced_accuracy")
        return self.role is Role.PUBLIC and useless(measured, HALF if chance is None else chance)

    @property
    def floor(self) -> float | None:
        """The highest floor."""
        return max((f.value for f in self.floors.values()), default=None)

    @property
    def baseline(self) -> float | None:
        """What an excess is measured from: the public labels alone, else the highest floor."""
        of_labels = self.floors.get(records.LABEL_ONLY)
        return self.floor if of_labels is None else of_labels.value

    @property
    def common(self) -> list[AttackerReport]:
        """The attackers of the common threat model."""
        return [a for a in self.attackers if a.threat == COMMON]

    @property
    def told(self) -> str:
        """The outcome in a word or two."""
        service = Status.USELESS if self.useless else "service"
        return str(service if self.role is Role.PUBLIC else self.status)

    def __repr__(self) -> str:
        beside = (("floor", self.baseline), ("ceiling", value_of(self.ceiling)))
        said = [f"{self.name}: {cell(self.result)}"]
        said += [f"{name} {number(self.metric, value)}" for name, value in beside]
        said += [f"excess {excess_text(self.excess)}"] if self.excess else []
        return ", ".join([*said, self.told])


def declared(run: RunResult) -> list[Subject]:
    """Public attributes, private attributes, the image and identity where they were measured."""
    measured = {r.subject for r in run.records if r.attack != records.ANY}
    return [
        *(Subject(name, Role.PUBLIC) for name in run.public),
        *(Subject(name, Role.PRIVATE) for name in run.private),
        *(Subject(str(role), role) for role in (Role.IMAGE, Role.IDENTITY) if role in measured),
    ]


def report_of(
    run: RunResult, subject: Subject, undefended: RunResult | None = None
) -> SubjectReport:
    """What a finished run says of ``subject``; ``undefended`` is the ceiling where it has none."""
    name, metric, public = subject.name, subject.metric, subject.role is Role.PUBLIC
    about = select(run.records, subject=name)
    beside = () if undefended is None else select(undefended.records, subject=name)
    raw = run.notes.get("ceiling") == "raw"
    found = evidence(about, name, raw, beside, len(run.private))
    by_attacker = group(about, lambda r: (r.attack, r.given))
    every = [_attacker(of_one, metric) for of_one in by_attacker.values()]
    references = {a.name: a for a in every if a.name in records.REFERENCES and a.threat == COMMON}
    fresh = [a for a in every if a.name not in records.REFERENCES and metric in a.figures]

    def reference(attack: str, metric: str = metric) -> Record | None:
        return one(about, attack=attack, metric=metric)

    def result(found: Sequence[Record]) -> Record | None:
        service = one(found, attack=SERVICE, metric=metric)
        return service if public else best(found, name, metric)

    headline = None if public else result(about)
    compared = (*([headline.attack] if headline else []), *records.FLOORS, records.CEILING)
    return SubjectReport(
        name=name,
        role=subject.role,
        seed=run.seed,
        status=found.status,
        leak=found.leak,
        result=result(about),
        headline=headline,
        maximum=reference(records.MAXIMUM),
        floors={f: record for f in records.FLOORS if (record := reference(f))},
        ceiling=reference(records.CEILING) or result(beside),
        in_game=None if public else reference(records.IN_GAME),
        excess=found.excess,
        maximum_excess=reference(records.MAXIMUM, records.EXCESS),
        excess_given_labels=found.given_labels,
        excess_several=found.person,
        within_labels=found.within_labels,
        excess_over_service=best(about, name, records.OVER_SERVICE),
        ceiling_excess=found.ceiling,
        weakness=None if public else found.weakness,
        worst=best(about, name, "ms_ssim_worst"),
        certified=next(iter(select(about, metric=records.CERTIFIED, given="")), None),
        perceptual={
            who: distance
            for who in compared
            if (distance := one(about, attack=who, metric=records.PERCEPTUAL, given=""))
        },
        attackers=tuple(sorted(fresh, key=lambda a: (str(a.threat), -a.figures[metric].value))),
        references=references,
        budget=_budget(about, run, subject),
    )


def _attacker(found: Sequence[Record], metric: str) -> AttackerReport:
    """From the records of one attacker under one threat model."""
    own = next((r for r in found if (r.split, r.metric) == ("validation", metric)), None)
    figures = {r.metric: r for r in found if r.split == "test"}
    return AttackerReport(found[0].attack, found[0].threat, figures, value_of(own))


def _budget(
    about: Sequence[Record], run: RunResult, subject: Subject
) -> tuple[tuple[int, Record], ...]:
    """The best of the same attackers for each number of labelled inputs, with all of them too."""
    few = [r for r in about if r.threat.kind is ThreatKind.BUDGET]
    sizes, attacks = {r.given: r.threat.count for r in few}, {r.attack for r in few}
    mine = [r for r in about if r.attack in attacks]
    if sizes and (attacker := run.notes.get("parts", {}).get("attacker")):
        sizes[str(COMMON)] = attacker["pictures"]
    found = [(n, best(mine, subject.name, subject.metric, given)) for given, n in sizes.items()]
    points = sorted(((n, r) for n, r in found if r), key=lambda point: point[0])
    return tuple(points) if len(points) > 1 else ()


def undeclared(run: RunResult) -> tuple[Undeclared, ...]:
    """Attributes that the task does not name, by excess."""
    known, found = {s.name for s in declared(run)}, []
    for name, about in group(run.records, lambda r: r.subject).items():
        excess, p = best(about, name, records.EXCESS), one(about, metric=records.P_HOLM)
        if name not in known and excess is not None and p is not None:
            headline = best(about, name, records.headline_metric(name))
            found.append(Undeclared(name, headline, excess, p.value))
    return tuple(sorted(found, key=lambda u: -u.excess.value))
