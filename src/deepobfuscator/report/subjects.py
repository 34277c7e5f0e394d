"""What one run says of one subject: the figure that counts and all that it must be seen beside."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from deepobfuscator.auditing.leakage import Evidence, Status, best, evidence, one, undeclared_leaks
from deepobfuscator.core.records import (
    CEILING,
    EXCESS,
    FLOORS,
    IDENTITY,
    IMAGE,
    IN_GAME,
    MAXIMUM,
    OVER_SERVICE,
    P_HOLM,
    REFERENCES,
    SERVICE,
    Record,
    ThreatKey,
    ThreatKind,
    group,
    headline_metric,
    select,
)
from deepobfuscator.report.formatting import cell, excess_text, number, value_of
from deepobfuscator.report.runs import RunResult

COMMON = ThreatKey()
"""The common threat model."""

SERVICE_METRICS = ("accuracy", "balanced_accuracy", "auc", "mcc")


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
    """What it is in the task."""

    @property
    def metric(self) -> str:
        """Its first metric: accuracy for the service; for attackers balanced accuracy of an
        attribute, MS-SSIM of images, verification AUC of identity.
        """
        return "accuracy" if self.role is Role.PUBLIC else headline_metric(self.name)


@dataclass(frozen=True)
class Figure:
    """One measured figure."""

    attack: str
    """Who reached it: an attack, the service, or another reference."""
    value: float
    """A fraction; dB for PSNR."""
    low: float
    """Lower end of the 95 % interval."""
    high: float
    """Upper end."""
    n: int
    """Inputs scored."""
    n_people: int | None
    """People among them; None where identities are unknown."""
    detail: str
    """What the figure depends on."""

    @classmethod
    def of(cls, record: Record) -> "Figure":
        """The figure of a record."""
        return cls(**{name: getattr(record, name) for name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class AttackerReport:
    """One fresh attacker under one threat model."""

    name: str
    """The attack."""
    threat: ThreatKey
    """What it had that others had not."""
    figures: Mapping[str, Figure]
    """On the test part, by metric."""
    own_validation: float | None
    """The subject's metric on the attacker's own validation part."""


@dataclass(frozen=True)
class BudgetPoint:
    """The best attacker with so many labelled inputs."""

    pictures: int
    """How many."""
    attack: str
    """The attacker."""
    figure: Figure
    """Its figure."""


@dataclass(frozen=True)
class Undeclared:
    """An attribute that the task does not name."""

    name: str
    """The attribute."""
    headline: Figure | None
    """The headline attacker's balanced accuracy."""
    excess: Figure
    """The headline attacker minus the label-only floor."""
    p_holm: float
    """Probability of such an excess without a leak, corrected for all these attributes."""

    @property
    def leaks(self) -> bool:
        """Whether it leaks."""
        return undeclared_leaks(self.excess.value, self.p_holm)


@dataclass(frozen=True, repr=False)
class SubjectReport(Subject):
    """One subject in one run; differences (excesses) are in the unit of its metric."""

    seed: int
    """Seed of the run."""
    evidence: Evidence
    """The records that decide whether it leaks."""
    references: Mapping[str, Mapping[str, Figure]]
    """Figures that are no fresh attacker's, by name (`records.REFERENCES`) and metric."""
    headline: Figure | None
    """The attacker that was best on its own validation part, scored once on test; None where
    nobody attacked, as on a public attribute.
    """
    excess_over_service: Figure | None
    """The headline attacker minus what the service's answer alone gives away."""
    worst: Figure | None
    """MS-SSIM of the 5 % best reconstructed pictures."""
    ceiling: Figure | None
    """The same attackers, or service, on the undefended encoder or on raw inputs."""
    attackers: tuple[AttackerReport, ...]
    """Fresh attackers by threat model, the best on test first."""
    budget: tuple[BudgetPoint, ...]
    """The best attacker by number of labelled inputs, fewest first."""

    def reference(self, name: str, metric: str = "") -> Figure | None:
        """A figure that is no fresh attacker's, by default of the subject's metric."""
        return self.references.get(name, {}).get(metric or self.metric)

    @property
    def status(self) -> Status:
        """What came of the attacks."""
        return self.evidence.status

    @property
    def service(self) -> dict[str, Figure]:
        """The service's figures by metric; empty unless the subject is public."""
        return {m: f for m in SERVICE_METRICS if (f := self.reference(SERVICE, m))}

    @property
    def result(self) -> Figure | None:
        """The figure that counts: the service's on a public attribute, else the headline."""
        return self.reference(SERVICE) if self.role is Role.PUBLIC else self.headline

    @property
    def maximum(self) -> Figure | None:
        """The highest attacker on test, with an interval that holds for all at once."""
        return self.reference(MAXIMUM)

    @property
    def maximum_excess(self) -> Figure | None:
        """The highest attacker minus the label-only floor."""
        return self.reference(MAXIMUM, EXCESS)

    @property
    def in_game(self) -> Figure | None:
        """The adversary of the defence's own training at its end."""
        return self.reference(IN_GAME)

    @property
    def floors(self) -> dict[str, Figure]:
        """Baselines without the features, by name."""
        return {name: f for name in FLOORS if (f := self.reference(name))}

    @property
    def floor(self) -> float | None:
        """The highest floor."""
        return max((f.value for f in self.floors.values()), default=None)

    @property
    def excess(self) -> Figure | None:
        """The headline attacker minus the label-only floor, paired over people."""
        return perhaps(self.evidence.excess)

    @property
    def excess_given_labels(self) -> Figure | None:
        """The same for the attacker who has the true public labels besides."""
        return perhaps(self.evidence.given_labels)

    @property
    def ceiling_excess(self) -> Figure | None:
        """The same at the ceiling."""
        return perhaps(self.evidence.ceiling)

    @property
    def common(self) -> list[AttackerReport]:
        """The attackers of the common threat model."""
        return [a for a in self.attackers if a.threat == COMMON]

    def __repr__(self) -> str:
        metric, beside = self.metric, (("floor", self.floor), ("ceiling", value_of(self.ceiling)))
        said = [f"{self.name}: {cell(metric, self.result)}"]
        said += [f"{name} {number(metric, value)}" for name, value in beside]
        if self.role is Role.PUBLIC:
            return ", ".join([*said, "service"])
        said += [f"excess {excess_text(metric, self.excess)}"] if self.excess else []
        return ", ".join([*said, str(self.status)])


def perhaps(record: Record | None) -> Figure | None:
    """The figure of a record, where there is one."""
    return None if record is None else Figure.of(record)


def declared(run: RunResult) -> list[Subject]:
    """Public attributes, private attributes, the image and identity where they were measured."""
    measured = {r.subject for r in run.records}
    return [
        *(Subject(name, Role.PUBLIC) for name in run.public),
        *(Subject(name, Role.PRIVATE) for name in run.private),
        *(Subject(name, Role(name)) for name in (IMAGE, IDENTITY) if name in measured),
    ]


def report_of(
    run: RunResult, subject: Subject, undefended: RunResult | None = None
) -> SubjectReport:
    """What ``run`` says of ``subject``.

    Args:
        run: a finished run.
        subject: what is asked for.
        undefended: a run whose figures are the ceiling where ``run`` holds none.
    """
    about = select(run.records, subject=subject.name)
    beside = () if undefended is None else select(undefended.records, subject=subject.name)
    name, metric, public = subject.name, subject.metric, subject.role is Role.PUBLIC
    service = one(beside, attack=SERVICE, metric=metric)
    plain = service if public else best(beside, name, metric)
    of_test = [r for r in about if r.split == "test"]
    references = group((r for r in of_test if r.attack in REFERENCES), lambda r: r.attack)
    return SubjectReport(
        name=name,
        role=subject.role,
        seed=run.seed,
        evidence=evidence(about, name, run.notes.ceiling == "raw", beside),
        references={a: {r.metric: Figure.of(r) for r in found} for a, found in references.items()},
        headline=None if public else perhaps(best(about, name, metric)),
        excess_over_service=perhaps(best(about, name, OVER_SERVICE)),
        worst=perhaps(best(about, name, "ms_ssim_worst")),
        ceiling=perhaps(one(of_test, attack=CEILING, metric=metric) or plain),
        attackers=_attackers(about, metric),
        budget=_budget(about, run, subject),
    )


def _attackers(about: Sequence[Record], metric: str) -> tuple[AttackerReport, ...]:
    attackers = []
    mine = [r for r in about if r.attack not in REFERENCES]
    for (attack, threat), found in group(mine, lambda r: (r.attack, r.threat)).items():
        own = next((r for r in found if (r.split, r.metric) == ("validation", metric)), None)
        figures = {r.metric: Figure.of(r) for r in found if r.split == "test"}
        if metric in figures:
            attackers.append(AttackerReport(attack, threat, figures, value_of(own)))
    return tuple(sorted(attackers, key=lambda a: (str(a.threat), -a.figures[metric].value)))


def _budget(about: Sequence[Record], run: RunResult, subject: Subject) -> tuple[BudgetPoint, ...]:
    """The best of the same attackers for each number of labelled inputs, with all of them too."""
    few = [r for r in about if r.threat.kind is ThreatKind.BUDGET]
    sizes = {r.given: r.threat.count for r in few}
    mine = [r for r in about if r.attack in {f.attack for f in few}]
    if sizes and run.notes.parts and run.notes.parts.attacker:
        sizes[str(COMMON)] = run.notes.parts.attacker.pictures
    points = [
        BudgetPoint(n, r.attack, Figure.of(r))
        for given, n in sizes.items()
        if (r := best(mine, subject.name, subject.metric, given))
    ]
    return tuple(sorted(points, key=lambda p: p.pictures)) if len(points) > 1 else ()


def undeclared(run: RunResult) -> tuple[Undeclared, ...]:
    """Attributes that the task does not name, by excess."""
    known, found = {s.name for s in declared(run)}, []
    for name in dict.fromkeys(r.subject for r in run.records if r.subject not in known):
        about = select(run.records, subject=name)
        excess, p = best(about, name, EXCESS), one(about, metric=P_HOLM)
        if excess is not None and p is not None:
            headline = perhaps(best(about, name, headline_metric(name)))
            found.append(Undeclared(name, headline, Figure.of(excess), p.value))
    return tuple(sorted(found, key=lambda u: -u.excess.value))
