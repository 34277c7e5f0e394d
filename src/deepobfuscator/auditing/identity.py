"""Scores of re-identification among unseen people, by cosine similarity of embeddings."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from deepobfuscator.attacks.identify import trial_rows
from deepobfuscator.auditing.artifacts import Arrays
from deepobfuscator.auditing.scoring import SPLITS, Attempt, Result, Samples, Scorer
from deepobfuscator.auditing.threat_models import AttackSpec
from deepobfuscator.core.records import IDENTITY, LABEL_ONLY, Record
from deepobfuscator.metrics.bootstrap import Bootstrap
from deepobfuscator.metrics.identity import verification


def identities(scorer: Scorer, attackers: Sequence[tuple[AttackSpec, Arrays]]) -> list[Record]:
    """Every identity attacker and the floor, which matches people by their labels alone.

    Recognition on raw inputs is a reference, not an attack on features: no excess is recorded.
    """
    if not attackers:
        return []
    by_labels = Attempt(LABEL_ONLY, IDENTITY)
    signs = 2 * scorer.part("test").public.astype(np.float32) - 1
    _, records, floor = verified(scorer, by_labels, signs)
    results = list[Result]()
    for spec, guesses in attackers:
        for split in SPLITS:
            rows = guesses.get(f"{split}_rows")
            attempt = Attempt(spec.attack.label, IDENTITY, split, spec.threat_model.key, rows)
            attempt, made, samples = verified(
                scorer, attempt, guesses[split], guesses.get(f"{split}_gallery")
            )
            records += made
        if spec.threat_model.common:
            some = floor
            if rows is not None:
                some = verified(scorer, replace(by_labels, rows=rows), signs[rows])[2]
            results.append(Result(attempt, samples, samples["auc"] - some["auc"]))
    return records + scorer.compared(results)


def verified(
    scorer: Scorer,
    attempt: Attempt,
    embedded: NDArray[np.floating],
    gallery: NDArray[np.floating] | None = None,
) -> tuple[Attempt, list[Record], Samples]:
    """One attempt with its probe rows, its records and its figures.

    Args:
        scorer: of the trial.
        attempt: the attacker, the split and the rows.
        embedded: (n, d) of these rows.
        gallery: (people, d) of each person's first input, if it is embedded differently.
    """
    people = scorer.part(attempt.split).people
    rows = np.arange(len(people)) if attempt.rows is None else attempt.rows
    first, rest = trial_rows(people[rows])
    samples = verification(
        Bootstrap(people[rows][rest]),
        embedded[rest],
        embedded[first] if gallery is None else gallery,
        probe_people=people[rows][rest],
        gallery_people=people[rows][first],
    )
    attempt, detail = replace(attempt, rows=rows[rest]), f"{len(first)} people in the gallery"
    records = [scorer.record(attempt, m, s.interval(), detail) for m, s in samples.items()]
    return attempt, records, samples
