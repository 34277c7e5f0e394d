"""Evaluation: the records of a whole audit, from every attacker's predictions."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from deepobfuscator.attacks.base import BRIEF
from deepobfuscator.attacks.trained import outputs
from deepobfuscator.auditing.artifacts import Arrays, under
from deepobfuscator.auditing.baselines import Scores, from_labels, majority
from deepobfuscator.auditing.ceilings import ceilings
from deepobfuscator.auditing.config import Target
from deepobfuscator.auditing.fit import Audit
from deepobfuscator.auditing.identity import identities
from deepobfuscator.auditing.person import from_person_labels, several, sums
from deepobfuscator.auditing.scoring import (
    SPLITS,
    Attempt,
    Result,
    Scorer,
)
from deepobfuscator.auditing.threat_models import AttackSpec
from deepobfuscator.core.records import (
    FLOORS,
    GAIN,
    IDENTITY,
    IMAGE,
    IN_GAME,
    LABEL_ONLY,
    MAJORITY,
    OVER_SERVICE,
    P_HOLM,
    PERCEPTUAL,
    SERVICE,
    WITHIN,
    Record,
    ThreatKey,
    ThreatKind,
    headline_metric,
    select,
)
from deepobfuscator.metrics.attributes import METRICS
from deepobfuscator.metrics.bootstrap import Bootstrap
from deepobfuscator.metrics.classes import log_chances
from deepobfuscator.metrics.sample import Sample, holm, p_above

BEST = 3
"""Number of attackers in the ensemble: the best on validation."""

UNDECLARED_METRICS = ("balanced_accuracy", "auc")
"""The metrics of undeclared attributes."""


@dataclass
class Evaluation:
    """Scores the predictions of one audit, the same way for all attackers."""

    audit: Audit
    """The attackers."""
    guessed: Sequence[tuple[AttackSpec, Arrays]]
    """Every attacker's predictions, those of the common threat model first."""
    undeclared: list[tuple[Record, float]] = field(default_factory=list, init=False)
    """The headline attacker of every undeclared attribute, and the p-value of its leak."""

    @property
    def target(self) -> Target:
        """What was attacked."""
        return self.audit.target

    @cached_property
    def scorer(self) -> Scorer:
        """Makes the records."""
        return Scorer(self.target)

    def of(self, target: str) -> list[tuple[AttackSpec, Arrays]]:
        """The attackers on ``attributes``, ``image`` or ``identity`` and their predictions."""
        return [(spec, guesses) for spec, guesses in self.guessed if spec.attack.target == target]

    def records(self) -> list[Record]:
        """All records, with ceilings and floors."""
        records = self.players()
        for subject in (*self.target.task.private, *self.target.data.undeclared):
            records += self.attribute(subject)
        records += self.significance()
        records += [*self.images(), *identities(self.scorer, self.of(IDENTITY))]
        records += ceilings(self.target, records)
        floors: dict[tuple[str, str], float] = {}
        for r in records:
            if r.attack in FLOORS and r.threat.kind is ThreatKind.COMMON:
                at, nearer = (r.subject, r.metric), min if r.metric == PERCEPTUAL else max
                floors[at] = nearer(r.value, floors.get(at, r.value))
        return [replace(r, floor=floors.get((r.subject, r.metric))) for r in records]

    def players(self) -> list[Record]:
        """The service on the public attributes, the training adversary AC on the private ones."""
        scorer, task, data = self.scorer, self.target.task, self.target.data
        records = list[Record]()
        for name, role, subjects in (("C", SERVICE, task.public), ("AC", IN_GAME, task.private)):
            if (chances := self.chances(name)) is not None:
                for subject in subjects:
                    own = chances[:, task.place(subject)]
                    records += scorer.untuned(Attempt(role, subject), own)
        for subject in task.public:
            always = majority(data, scorer.columns(data.attacker, subject))
            made, _ = scorer.attribute(Attempt(MAJORITY, subject), always)
            records += select(made, split="test")
        return records

    def chances(self, player: str) -> NDArray[np.float64] | None:
        """What C or AC of the bundle predicts on test, (n, labels) in [0, 1]; None without it."""
        if (network := self.target.bundle.players.get(player)) is None:
            return None
        logits = outputs(network, self.audit.seen["test"], self.target.context)
        return np.asarray(torch.sigmoid(logits.double()).numpy())

    def attribute(self, subject: str) -> list[Record]:
        """All records of one private or undeclared attribute."""
        scorer, data, first = self.scorer, self.target.data, headline_metric(subject)
        private = scorer.place(subject)[0] == "private"
        metrics = METRICS if private else UNDECLARED_METRICS
        learned = scorer.columns(data.attacker, subject)
        records: list[Record] = []
        for name, baseline in ((MAJORITY, majority), (LABEL_ONLY, from_labels)):
            attempt = Attempt(name, subject)
            made, found = scorer.attribute(attempt, baseline(data, learned), metrics)
            records += select(made, split="test")
        floor = found["test"][first]
        results: list[Result] = []
        reached: list[float] = []
        tried = self.scores(subject)
        for attack, scores in tried.items():
            attempt = Attempt(attack, subject)
            made, found = scorer.attribute(attempt, scores, metrics)
            records += made
            results.append(Result(attempt, found["test"], found["test"][first] - floor))
            reached.append(found["validation"][first].value)
        if not results:
            return records
        records += [*scorer.compared(results), *self.gains(results)]
        chosen = results[int(np.argmax(reached))]
        if private:
            records += self.other_threats(subject, floor, chosen)
            return records + self.several_pictures(subject, tried[chosen.attempt.attack], chosen)
        at = chosen.attempt.attack
        best = next(r for r in records if r.attack == at and r.split == "test")
        p = [p_above(chosen.excess)]
        if (within := chosen.samples.get(WITHIN)) is not None:
            p.append(p_above(within, 0.5))
        self.undeclared.append((best, min(1.0, len(p) * min(p))))
        return records

    def scores(self, subject: str) -> dict[str, Scores]:
        """The common attackers' predictions of an attribute, and their ensemble."""
        (side, k), found = self.scorer.place(subject), dict[str, Scores]()
        for spec, guesses in self.of("attributes"):
            model = spec.threat_model
            if model.common and model.undeclared == (side == "undeclared"):
                found[spec.attack.label] = of_columns(guesses, k)
        if len(found) > BEST:
            truth = self.scorer.labels(self.target.data.validation, subject)
            found["ensemble"] = ensemble(list(found.values()), truth)
        return found

    def other_threats(self, subject: str, floor: Sample, chosen: Result) -> list[Record]:
        """Attackers of alternative threat models; ``chosen`` was the best common attacker."""
        scorer, metric = self.scorer, headline_metric(subject)
        _, k = scorer.place(subject)
        records: list[Record] = []
        answers: list[tuple[float, Sample]] = []
        for spec, guesses in self.of("attributes"):
            if spec.threat_model.common or spec.threat_model.key.kind is ThreatKind.PERSON:
                continue
            threat = spec.threat_model.key
            attempt = Attempt(spec.attack.label, subject, threat=threat)
            scores = of_columns(guesses, k)
            made, found = scorer.attribute(attempt, scores)
            records += made
            own, sample = found["validation"][metric], found["test"][metric]
            if threat.kind is ThreatKind.ANSWER:
                answers.append((own.value, sample))
            elif threat.kind is not ThreatKind.SHUFFLED:
                labels = threat.kind is ThreatKind.LABELS
                over = "the public labels alone" if labels else LABEL_ONLY
                records.append(scorer.excess(attempt, sample - floor, over))
        if answers:
            _, answer = max(answers, key=lambda a: a[0])
            over_service = (chosen.samples[metric] - answer).interval()
            records.append(
                scorer.record(chosen.attempt, OVER_SERVICE, over_service, str(ThreatKind.ANSWER))
            )
        return records

    def several_pictures(self, subject: str, scores: Scores, chosen: Result) -> list[Record]:
        """Attackers that know which pictures are of one person, above what the public labels of all
        these pictures reveal: those that see the mean of the features, and the sum of the
        predictions of ``chosen``, its ``scores``.
        """
        scorer, data, metric = self.scorer, self.target.data, headline_metric(subject)
        _, k = scorer.place(subject)
        if not several(data) or isinstance(k, slice) or self.audit.config.suite == BRIEF:
            return []
        threat = ThreatKey(ThreatKind.PERSON)
        truth = scorer.columns(data.validation, subject)
        of_labels = from_person_labels(data, scorer.columns(data.attacker, subject), truth)
        attempt = Attempt(LABEL_ONLY, subject, threat=threat)
        records, found = scorer.attribute(attempt, of_labels)
        floor = found["test"][metric]
        tried = sums(chosen.attempt.attack, scores, of_labels, data, truth) | {
            spec.attack.label: of_columns(guesses, k)
            for spec, guesses in self.of("attributes")
            if spec.threat_model.key == threat
        }
        for attack, guessed in tried.items():
            attempt = Attempt(attack, subject, threat=threat)
            made, found = scorer.attribute(attempt, guessed)
            over = "the public labels of all pictures of the person"
            records += [*made, scorer.excess(attempt, found["test"][metric] - floor, over)]
        return records

    def significance(self) -> list[Record]:
        """Holm-adjusted p of every undeclared attribute: does its headline attacker predict more
        than the public labels reveal, over all inputs or among those with equal labels?
        """
        adjusted = holm([p for _, p in self.undeclared])
        detail = f"over {len(adjusted)} undeclared attributes"
        return [
            replace(best, metric=P_HOLM, value=p, low=p, high=p, detail=detail)
            for (best, _), p in zip(self.undeclared, adjusted, strict=True)
        ]

    def images(self) -> list[Record]:
        """Reconstructions."""
        scorer, records, results = self.scorer, list[Record](), list[Result]()
        references = self.audit.reference_images()
        for name, guesses in references.items():
            attempt = Attempt(name, IMAGE, rows=guesses["test_rows"])
            records += scorer.images(attempt, under(guesses, "test_"))[0]
            records += scorer.perceptual(attempt, guesses)
        floor = references[LABEL_ONLY]["test_ms_ssim"]
        for spec, guesses in self.of("image"):
            attack, threat = spec.attack.label, spec.threat_model.key
            for split in SPLITS:
                attempt = Attempt(attack, IMAGE, split, threat, guesses[f"{split}_rows"])
                made, samples = scorer.images(attempt, under(guesses, f"{split}_"))
                records += made
            records += scorer.perceptual(attempt, guesses)
            rows = guesses["test_rows"]
            over = scorer.boot["test"].mean(guesses["test_ms_ssim"] - floor[rows], rows)
            if spec.threat_model.common:
                results.append(Result(attempt, samples, over))
            else:
                records.append(scorer.excess(attempt, over))
        return records + scorer.compared(results) + self.gains(results)

    def gains(self, results: Sequence[Result]) -> list[Record]:
        """Test gain of common attackers trained twice as long, over the same at normal length."""
        once_of = {
            spec.attack.label: replace(spec.attack, passes=spec.attack.passes / 2).label
            for spec, _ in self.guessed
            if spec.threat_model.common
        }
        known = {result.attempt.attack: result for result in results}
        found = []
        for twice, once in once_of.items():
            if twice in known and once in known:
                metric = headline_metric(known[twice].attempt.subject)
                gain = known[twice].samples[metric] - known[once].samples[metric]
                attempt = known[twice].attempt
                found.append(self.scorer.record(attempt, GAIN, gain.interval(), f"over {once}"))
        return found


def of_columns(guesses: Arrays, k: int | slice) -> Scores:
    """One attribute's predictions; log-probabilities if it has several classes."""
    own, test = guesses["validation"][:, k], guesses["test"][:, k]
    return (own, test) if own.ndim == 1 else (log_chances(own), log_chances(test))


def ensemble(scores: Sequence[Scores], truth: ArrayLike) -> Scores:
    """The mean of the attackers with the best validation AUC, each on its own scale."""
    bootstrap = Bootstrap(np.arange(len(scores[0][0])), draws=2)
    aucs = [bootstrap.attribute("auc", own, truth).value for own, _ in scores]
    best = [scores[i] for i in np.argsort(aucs)[::-1][:BEST]]
    scaled = [[(s - own.mean()) / max(float(own.std()), 1e-9) for s in (own, t)] for own, t in best]
    return np.mean([s[0] for s in scaled], 0), np.mean([s[1] for s in scaled], 0)
