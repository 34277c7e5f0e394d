"""The judgement: records from what every attacker of an audit guessed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from deepobfuscator.attacks.identify import trial_rows
from deepobfuscator.auditing.baselines import from_labels, majority, signs
from deepobfuscator.auditing.fit import Audit, Guesses
from deepobfuscator.auditing.scoring import Samples, Scorer, Scores
from deepobfuscator.auditing.threat_models import AttackSpec, order_of
from deepobfuscator.core.records import (
    CEILING,
    EXCESS,
    FLOORS,
    IDENTITY,
    IMAGE,
    IN_GAME,
    LABEL_ONLY,
    MAJORITY,
    OVER_SERVICE,
    P_HOLM,
    SERVICE,
    Record,
    ThreatKind,
    headline,
    headline_metric,
)
from deepobfuscator.metrics import METRICS, Bootstrap, Sample, holm, p_above_zero, verification
from deepobfuscator.metrics import measure as measure_attribute

BEST = 3
"""Attackers in the ensemble: the best on validation."""

UNDECLARED_METRICS = ("balanced_accuracy", "auc")
"""What undeclared attributes are measured by."""


@dataclass
class Judge:
    """Scores the guesses of one audit, the same way for all attackers."""

    audit: Audit
    """Who guessed."""
    guessed: Sequence[tuple[AttackSpec, Guesses]]
    """What every attacker guessed, common ones first."""
    ceiling: Sequence[Record] | None = None
    """Records of the undefended encoder's audit; None if this is that one."""
    undeclared: list[tuple[Record, Sample]] = field(default_factory=list, init=False)
    """The headline attacker of every undeclared attribute, and its excess."""

    @property
    def scorer(self) -> Scorer:
        """Makes the records."""
        return self.audit.scorer

    def records(self) -> list[Record]:
        """Everything, with ceilings and floors."""
        audit, records = self.audit, self.players()
        for k, subject in enumerate(audit.task.private):
            records += self.attribute(subject, k, "private")
        for k, subject in enumerate(audit.data.undeclared):
            records += self.attribute(subject, k, "undeclared")
        records += self.significance()
        records += [*self.images(), *self.identity()]
        records += self.ceilings(records)
        floors: dict[tuple[str, str], float] = {}
        for r in records:
            if r.attack in FLOORS:
                at = (r.subject, r.metric)
                floors[at] = max(r.value, floors.get(at, r.value))
        return [replace(r, floor=floors.get((r.subject, r.metric))) for r in records]

    def players(self) -> list[Record]:
        """The service on the public attributes, the game's own AC on the private ones."""
        found, task = self.audit.players(), self.audit.task
        records: list[Record] = []
        for name, role, subjects in (("C", SERVICE, task.public), ("AC", IN_GAME, task.private)):
            for k, subject in enumerate(subjects if name in found else ()):
                records += self.scorer.naive(role, subject, found[name][:, k])
        data = self.audit.data
        for k, subject in enumerate(task.public):
            always = majority(data, data.attacker.public[:, k])
            records += of_test(self.scorer.attribute(MAJORITY, subject, always)[0])
        return records

    def attribute(self, subject: str, k: int, whose: str) -> list[Record]:
        """Everything about column ``k`` of the private or the undeclared attributes."""
        scorer, data = self.scorer, self.audit.data
        own = data.attacker.private if whose == "private" else data.attacker.undeclared
        assert own is not None
        metrics = METRICS if whose == "private" else UNDECLARED_METRICS
        records: list[Record] = []
        floor: Samples = {}
        for name, scores in (
            (MAJORITY, majority(data, own[:, k])),
            (LABEL_ONLY, from_labels(data, own[:, k])),
        ):
            of_floor, floor = scorer.attribute(name, subject, scores, "", metrics)
            records += of_test(of_floor)
        truth = scorer.labels(data.validation, subject)
        common: dict[str, Samples] = {}
        chosen, chosen_value = "", -np.inf
        for attack, scores in self.scores(k, whose, truth):
            found, common[attack] = scorer.attribute(attack, subject, scores, "", metrics)
            records += found
            value = next(r.value for r in found if r.metric == headline_metric(subject))
            if value > chosen_value:
                chosen, chosen_value = attack, value
        excesses = {a: excess(samples, floor) for a, samples in common.items()}
        records += scorer.compared(subject, common, excesses)
        if whose == "undeclared" and common:
            first = next(r for r in records if r.attack == chosen and r.split == "test")
            self.undeclared.append((first, excesses[chosen]))
        if whose == "private" and common:
            records += self.given(subject, k, truth, floor, common[chosen], chosen)
        return records

    def scores(self, k: int, whose: str, truth: NDArray[np.uint8]) -> Iterable[tuple[str, Scores]]:
        """Column ``k`` of what the common attackers guessed, and of their ensemble."""
        of_all = {
            part.attack.label: (found["validation"][:, k], found["test"][:, k])
            for part, found in self.guessed
            if part.attack.target == "attributes"
            and part.knowledge.subjects == whose
            and not part.knowledge.given
        }
        yield from of_all.items()
        if len(of_all) > BEST:
            yield "ensemble", ensemble(list(of_all.values()), truth)

    def given(
        self,
        subject: str,
        k: int,
        truth: NDArray[np.uint8],
        floor: Samples,
        best: Samples,
        chosen: str,
    ) -> list[Record]:
        """Attackers who know more or less than the common ones."""
        scorer, records = self.scorer, list[Record]()
        answers: list[tuple[float, Samples]] = []
        for part, found in self.guessed:
            given = part.knowledge.given
            if part.attack.target != "attributes" or not given:
                continue
            scores = found["validation"][:, k], found["test"][:, k]
            attack = part.attack.label
            order = order_of if given == ThreatKind.SHUFFLED else np.arange
            made, samples = scorer.attribute(attack, subject, scores, given, order=order)
            records += made
            if given == ThreatKind.SHUFFLED:
                continue
            if given == ThreatKind.ANSWER:
                own = next(r.value for r in made if r.metric == headline_metric(subject))
                answers.append((own, samples))
                continue
            over = excess(samples, floor).interval()
            detail = (
                "over the public labels alone"
                if given == ThreatKind.LABELS
                else f"over {LABEL_ONLY}"
            )
            records.append(
                scorer.record(attack, subject, EXCESS, over, "test", detail, given=given)
            )
        if answers:
            metric = headline_metric(subject)
            answer = max(answers, key=lambda a: a[0])[1]
            over = (best[metric] - answer[metric]).interval()
            records.append(
                scorer.record(chosen, subject, OVER_SERVICE, over, "test", ThreatKind.ANSWER)
            )
        return records

    def significance(self) -> list[Record]:
        """Holm's p of every undeclared attribute: is its headline's excess above 0?"""
        adjusted = holm([p_above_zero(sample) for _, sample in self.undeclared])
        detail = f"over {len(adjusted)} undeclared attributes"
        return [
            replace(best, metric=P_HOLM, value=p, low=p, high=p, detail=detail)
            for (best, _), p in zip(self.undeclared, adjusted, strict=True)
        ]

    def images(self) -> list[Record]:
        """Reconstructions."""
        scorer, records = self.scorer, list[Record]()
        references = self.audit.reconstructions()
        for name, found in references.items():
            rows = found["test_rows"]
            records += scorer.images(name, "test", qualities(found, "test"), rows)[0]
        floor = references[LABEL_ONLY]["test_ms_ssim"]
        boot = scorer.boot["test"]
        common: dict[str, Samples] = {}
        excesses: dict[str, Sample] = {}
        asked: dict[str, NDArray[np.int64]] = {}
        for part, found in self.guessed:
            if part.attack.target != "image":
                continue
            attack, given = part.attack.label, part.knowledge.given
            for split in ("validation", "test"):
                rows = found[f"{split}_rows"]
                made, samples = scorer.images(attack, split, qualities(found, split), rows, given)
                records += made
            over = boot.mean(found["test_ms_ssim"] - floor[rows], rows)
            if given:
                records.append(
                    scorer.record(
                        *(attack, IMAGE, EXCESS, over.interval(), "test"),
                        *(f"over {LABEL_ONLY}", given, rows),
                    )
                )
            else:
                common[attack], excesses[attack], asked[attack] = samples, over, rows
        return records + scorer.compared(IMAGE, common, excesses, asked)

    def identity(self) -> list[Record]:
        """Re-identification among strangers, by cosine similarity of embeddings."""
        scorer, data, records = self.scorer, self.audit.data, list[Record]()
        mine = [(p, g) for p, g in self.guessed if p.attack.target == "identity"]
        if not mine:
            return []
        people = data.test.people
        known, asked = trial_rows(people)
        boot = Bootstrap(people[asked])
        labels = signs(data.test)
        who = people[asked], people[known]
        floor = verification(boot, labels[asked], labels[known], *who)
        common: dict[str, Samples] = {}
        detail = f"{len(known)} people in the gallery"
        for metric, sample in floor.items():
            records.append(
                scorer.record(
                    *(LABEL_ONLY, IDENTITY, metric, sample.interval(), "test", detail),
                    rows=asked,
                )
            )
        for part, found in mine:
            attack = part.attack.label
            for split in ("validation", "test"):
                person = scorer.part(split).people
                first, rest = trial_rows(person)
                gallery = found.get(f"{split}_gallery", found[split][first])
                again = boot if split == "test" else Bootstrap(person[rest])
                samples = verification(
                    again, found[split][rest], gallery, person[rest], person[first]
                )
                records += [
                    scorer.record(
                        *(attack, IDENTITY, metric, sample.interval(), split),
                        f"{len(first)} people in the gallery",
                        rows=rest,
                    )
                    for metric, sample in samples.items()
                ]
            common[attack] = samples
        excesses = {a: samples["auc"] - floor["auc"] for a, samples in common.items()}
        return records + scorer.compared(IDENTITY, common, excesses, dict.fromkeys(common, asked))

    def ceilings(self, records: Sequence[Record]) -> list[Record]:
        """The undefended encoder's headline for every subject and metric."""
        source = records if self.ceiling is None else self.ceiling
        audit, found = self.audit, list[Record]()
        subjects = (*audit.task.private, *audit.data.undeclared, IMAGE, IDENTITY)
        for subject in subjects:
            try:
                best = headline(source, subject, headline_metric(subject))
            except KeyError:
                continue
            found += [
                replace(
                    r,
                    trial=self.scorer.trial,
                    defence=self.scorer.defence,
                    seed=self.scorer.seed,
                    attack=CEILING,
                )
                for r in source
                if (r.subject, r.attack, r.given, r.split) == (subject, best.attack, "", "test")
                and r.metric not in (P_HOLM, OVER_SERVICE)
            ]
        return found


def excess(samples: Samples, floor: Samples) -> Sample:
    """Balanced accuracy above that of the public labels alone, on the same resampled people."""
    return samples["balanced_accuracy"] - floor["balanced_accuracy"]


def qualities(
    found: Mapping[str, NDArray[np.float64]], split: str
) -> dict[str, NDArray[np.float64]]:
    """The metrics of one split by name."""
    return {k.removeprefix(f"{split}_"): v for k, v in found.items() if k.startswith(f"{split}_")}


def of_test(records: Iterable[Record]) -> list[Record]:
    """Those on test."""
    return [r for r in records if r.split == "test"]


def ensemble(scores: Sequence[Scores], truth: NDArray[np.uint8]) -> Scores:
    """The mean of the best on validation by AUC, each on its own scale."""
    aucs = [
        measure_attribute("auc", own, truth, np.arange(len(truth)), draws=2).value
        for own, _ in scores
    ]
    best = [scores[i] for i in np.argsort(aucs)[::-1][:BEST]]
    scaled = [[(s - own.mean()) / max(float(own.std()), 1e-9) for s in (own, t)] for own, t in best]
    return np.mean([s[0] for s in scaled], 0), np.mean([s[1] for s in scaled], 0)
