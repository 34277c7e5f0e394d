"""Several pictures of one person, as available to a service that knows the account: what the public
labels of all of them reveal, and an attacker's predictions summed over them.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from deepobfuscator.auditing.baselines import Scores, from_labels
from deepobfuscator.data.batches import Labelled, Parts
from deepobfuscator.metrics.attributes import best_threshold
from deepobfuscator.metrics.bootstrap import Bootstrap


def several(data: Parts) -> bool:
    """Whether identities are known and each part has a person with several pictures."""
    parts = (data.attacker, data.validation, data.test)
    return data.known_people and all(len(np.unique(p.people)) < len(p) for p in parts)


def label_columns(part: Labelled) -> NDArray[np.float64]:
    """(n, 2 M + 1): own public labels, sums of those of the person's other inputs, their number."""
    told = np.column_stack((part.public, np.ones(len(part))))
    others = [_by_person(part.people, column) - column for column in told.T]
    return np.column_stack((part.public, *others))


def from_person_labels(data: Parts, hidden: NDArray[np.uint8], truth: NDArray[np.uint8]) -> Scores:
    """The best prediction from the true public labels of all of a person's inputs.

    Learned from the attacker's own data; the best by balanced accuracy on validation of trees, a
    logistic regression and the table of the input's own labels, so never below that table there.

    Args:
        data: the parts.
        hidden: (n,) labels of the attacker's own data, 0 or 1.
        truth: (m,) labels of validation.
    """
    columns = [label_columns(part) for part in (data.attacker, data.validation, data.test)]
    found = [from_labels(data, hidden)]
    trees = HistGradientBoostingClassifier(random_state=0)
    for model in (LogisticRegression(max_iter=1000), trees):
        model.fit(columns[0], hidden)
        found.append((model.decision_function(columns[1]), model.decision_function(columns[2])))
    everybody = Bootstrap(np.arange(len(truth)), draws=2)

    def reached(scores: Scores) -> float:
        threshold = best_threshold(scores[0], truth, "balanced_accuracy")
        return everybody.attribute("balanced_accuracy", scores[0], truth, threshold).value

    return max(found, key=reached)


def sums(
    attack: str, scores: Scores, of_labels: Scores, data: Parts, truth: NDArray[np.uint8]
) -> dict[str, Scores]:
    """An attack's per-input ``scores`` summed over each person, by the name of the summing attack.

    A sum of full predictions counts a label that is equal on all inputs of a person once per input;
    the other sum starts from ``of_labels`` and adds what goes beyond the labels.
    """
    return {
        f"{attack} summed": summed(scores, data, truth),
        f"{attack} summed, public labels known": summed_beyond(scores, of_labels, data, truth),
    }


def summed(scores: Scores, data: Parts, truth: NDArray[np.uint8]) -> Scores:
    """Each input's log-odds from all inputs of its person: the sum of log-likelihood ratios.

    A logistic regression on validation turns scores into log-odds.

    Args:
        scores: of validation and of test, higher for "more likely present".
        data: the parts.
        truth: (m,) labels of validation, 0 or 1.
    """
    rate = float(truth.mean())
    prior = float(np.log(rate / (1 - rate)))
    own, test = (
        prior + _by_person(part.people, odds - prior)
        for part, odds in zip((data.validation, data.test), _log_odds([scores], truth), strict=True)
    )
    return own, test


def summed_beyond(
    scores: Scores, of_labels: Scores, data: Parts, truth: NDArray[np.uint8]
) -> Scores:
    """As `summed`, for what scores reveal beyond the input's own labels, starting from
    ``of_labels``, the scores given all labels of the person.
    """
    own_label = list(zip(data.validation.public.T, data.test.public.T, strict=True))
    starts = _log_odds([of_labels], truth)
    both, alone = _log_odds([scores, *own_label], truth), _log_odds(own_label, truth)
    own, test = (
        start + _by_person(part.people, more - less)
        for part, start, more, less in zip(
            (data.validation, data.test), starts, both, alone, strict=True
        )
    )
    return own, test


def _log_odds(scores: Sequence[Scores], truth: NDArray[np.uint8]) -> list[NDArray[np.float64]]:
    """Log-odds of validation and test by a logistic regression on several scores of each."""
    columns = [np.stack([one[side] for one in scores], 1) for side in (0, 1)]
    centre, scale = columns[0].mean(0), np.maximum(columns[0].std(0), 1e-9)
    model = LogisticRegression(C=1e3, max_iter=1000).fit((columns[0] - centre) / scale, truth)
    return [np.asarray(model.decision_function((side - centre) / scale)) for side in columns]


def _by_person(people: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) for each input the sum of ``values`` over all inputs of its person."""
    person = np.unique(people, return_inverse=True)[1]
    return np.asarray(np.bincount(person, values)[person])
