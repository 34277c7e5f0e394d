import math

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from deepobfuscator.core.errors import InputError
from deepobfuscator.metrics.attributes import METRICS, best_threshold
from deepobfuscator.metrics.bootstrap import Bootstrap
from deepobfuscator.metrics.sample import Measured


def measure(
    metric: str,
    scores: ArrayLike,
    labels: ArrayLike,
    people: ArrayLike,
    threshold: float = 0.5,
    **of_bootstrap: int,
) -> Measured:
    sample = Bootstrap(people, **of_bootstrap).attribute(metric, scores, labels, threshold)
    return sample.interval()


def planted(
    people: int, seed: int, each: int = 5
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Scores, labels and people; all pictures of a person share its label and half its luck."""
    draw = np.random.default_rng(seed)
    person = np.repeat(np.arange(people), each)
    label = draw.integers(2, size=people)[person]
    luck = draw.normal(size=people)[person] + draw.normal(size=len(person))
    return label + luck, label, person


def balanced(guess: NDArray[np.bool_], label: NDArray[np.int64]) -> float:
    return float(np.mean(guess[label == 1]) + np.mean(~guess[label == 0])) / 2


def test_auc_counts_pairs_and_halves_ties() -> None:
    scores, labels, people = planted(40, seed=0)
    scores = np.round(scores)
    pairs = [(p > q) + (p == q) / 2 for p in scores[labels == 1] for q in scores[labels == 0]]
    assert measure("auc", scores, labels, people).value == pytest.approx(np.mean(pairs))


def test_accuracies_are_their_formulas_at_the_threshold() -> None:
    scores, labels, people = planted(60, seed=3)
    scores = np.round(scores, 1)
    guess = scores >= 0.7
    found = {m: measure(m, scores, labels, people, threshold=0.7).value for m in METRICS}
    assert found["accuracy"] == pytest.approx(np.mean(guess == labels))
    assert found["balanced_accuracy"] == pytest.approx(balanced(guess, labels))


def test_mcc_is_the_correlation_of_guess_and_label() -> None:
    scores, labels, people = planted(60, seed=6)
    for threshold in (-0.5, 0.7, 2.0):
        expected = np.corrcoef(scores >= threshold, labels)[0, 1]
        assert measure("mcc", scores, labels, people, threshold).value == pytest.approx(expected)
    assert measure("mcc", scores, labels, people, -np.inf).value == 0


@pytest.mark.parametrize("metric", ["balanced_accuracy", "auc", "mcc"])
def test_one_class_alone_is_refused(metric: str) -> None:
    with pytest.raises(InputError, match="all 3 are with"):
        measure(metric, [0.1, 0.2, 0.3], [1, 1, 1], [0, 1, 2])


@pytest.mark.parametrize("metric", METRICS)
def test_unmeasurable_input_is_refused(metric: str) -> None:
    with pytest.raises(ValueError, match="NaN"):
        measure(metric, [0.1, float("nan")], [0, 1], [0, 1])
    with pytest.raises(ValueError, match="match"):
        measure(metric, [0.1, 0.2], [0, 1], [0])
    with pytest.raises(InputError, match="no pictures"):
        measure(metric, [], [], [])


@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy", "mcc"])
@pytest.mark.parametrize("digits", [0, 1, 8])
@pytest.mark.parametrize("rarity", [0.5, -1.2])
def test_best_threshold_is_that_of_exhaustive_search(
    metric: str, digits: int, rarity: float
) -> None:
    for seed in range(10):
        draw = np.random.default_rng(seed)
        scores = np.round(draw.normal(size=60), digits).astype(np.float32)
        labels = (scores + 2 * draw.normal(size=60) > rarity).astype(np.int64)
        people = np.arange(60)

        values = [
            measure(metric, scores, labels, people, threshold, draws=1).value
            for threshold in (best_threshold(scores, labels, metric), -np.inf, *scores, np.inf)
        ]
        assert values[0] == pytest.approx(max(values), abs=1e-12)


def test_best_threshold_of_useless_scores_calls_the_majority() -> None:
    assert best_threshold([0.5, 0.5, 0.5], [1, 1, 0], "accuracy") == -math.inf
    assert best_threshold([0.5, 0.5, 0.5], [0, 1, 0], "accuracy") == math.inf


def test_best_threshold_prefers_the_middle_among_equals() -> None:
    scores, labels = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0], [0, 1, 0, 1, 0, 1]
    assert best_threshold(scores, labels, "accuracy") in (2.5, 0.5, 4.5)
    assert best_threshold(scores, labels, "accuracy") == 2.5


def test_best_threshold_separates_neighbouring_floats_and_infinities() -> None:
    below = np.float32(1)
    above = np.nextafter(below, np.float32(2))
    for scores in (np.array([below, above]), np.array([-np.inf, np.inf]), np.array([0, np.inf])):
        threshold = best_threshold(scores, [0, 1], "accuracy")
        assert (scores >= threshold).tolist() == [False, True]


def test_a_threshold_needs_a_metric_that_has_one_and_pictures() -> None:
    with pytest.raises(ValueError, match="no threshold"):
        best_threshold([0.1, 0.2], [0, 1], "auc")
    with pytest.raises(InputError, match="no pictures"):
        best_threshold([], [], "accuracy")
