"""The figures of a finished audit that comparisons of methods use, with bootstrap replicates."""

from deepobfuscator.auditing.artifacts import under
from deepobfuscator.auditing.evaluation import Evaluation
from deepobfuscator.auditing.fit import Audit
from deepobfuscator.auditing.identity import verified
from deepobfuscator.auditing.scoring import Attempt
from deepobfuscator.core.records import IDENTITY, IMAGE, WITHIN, Record, headline, headline_metric
from deepobfuscator.metrics.sample import Sample


def headlines(audit: Audit, records: list[Record]) -> dict[tuple[str, str], Sample]:
    """By subject and metric: the service's balanced accuracy on public attributes, the headline
    attacker's on private ones and among equal public labels, MS-SSIM, verification AUC.

    Computed from the predictions that the audit kept; nothing is trained. Samples of runs on the
    same test part are paired.
    """
    kept = [spec for spec in audit.specs if (audit.target.folder / spec.file).exists()]
    evaluation = Evaluation(audit, [(spec, audit.guesses(spec)) for spec in kept])
    scorer, task, data = evaluation.scorer, audit.target.task, audit.target.data
    found = dict[tuple[str, str], Sample]()
    if (chances := evaluation.chances("C")) is not None:
        for name in task.public:
            metric, truth = headline_metric(name), scorer.labels(data.test, name)
            own = chances[:, task.place(name)]
            found[name, metric] = scorer.boot["test"].attribute(metric, own, truth, 0.5)
    for name in task.private:
        for metric in (headline_metric(name), WITHIN):
            if (attack := chosen(records, name, metric)) is not None:
                scores = evaluation.scores(name)[attack]
                _, samples = scorer.attribute(
                    Attempt(attack, name), scores, (headline_metric(name),)
                )
                if metric in samples["test"]:
                    found[name, metric] = samples["test"][metric]
    for subject in (IMAGE, IDENTITY):
        metric = headline_metric(subject)
        attack = chosen(records, subject, metric)
        for spec, guesses in evaluation.of(subject):
            if spec.attack.label != attack or not spec.threat_model.common:
                continue
            if subject == IMAGE:
                attempt = Attempt(attack, IMAGE, rows=guesses["test_rows"])
                samples_of = scorer.images(attempt, under(guesses, "test_"))[1]
            else:
                attempt = Attempt(attack, IDENTITY, rows=guesses.get("test_rows"))
                gallery = guesses.get("test_gallery")
                samples_of = verified(scorer, attempt, guesses["test"], gallery)[2]
            found[subject, metric] = samples_of[metric]
    return found


def chosen(records: list[Record], subject: str, metric: str) -> str | None:
    """The headline attacker; None if no attacker was scored."""
    try:
        return headline(records, subject, metric).attack
    except KeyError:
        return None
