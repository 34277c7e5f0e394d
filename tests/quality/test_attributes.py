import math

import numpy as np
import pytest
from numpy.typing import NDArray

from deepobfuscator.errors import InputError
from deepobfuscator.quality import METRICS, best_threshold, measure, measure_mean


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


def test_interval_of_auc_is_that_of_resampled_people() -> None:
    scores, labels, people = planted(30, seed=1)
    scores = np.round(scores)
    draw = np.random.default_rng(2)
    values = []
    for _ in range(5000):
        rows = (5 * draw.integers(30, size=30)[:, None] + np.arange(5)).ravel()
        order = scores[rows][labels[rows] == 1][:, None] - scores[rows][labels[rows] == 0]
        values.append(np.mean((order > 0) + (order == 0) / 2))
    low, high = np.percentile(values, (2.5, 97.5))
    found = measure("auc", scores, labels, people, draws=5000)
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.01)


def test_accuracies_are_their_formulas_at_the_threshold() -> None:
    scores, labels, people = planted(60, seed=3)
    scores = np.round(scores, 1)
    guess = scores >= 0.7
    found = {m: measure(m, scores, labels, people, threshold=0.7).value for m in METRICS}
    assert found["accuracy"] == pytest.approx(np.mean(guess == labels))
    assert found["balanced_accuracy"] == pytest.approx(balanced(guess, labels))


@pytest.mark.parametrize("metric", METRICS)
def test_interval_covers_the_truth_of_correlated_pictures(metric: str) -> None:
    truth_from = planted(40_000, seed=4)
    truth = measure(metric, *truth_from, draws=2).value
    covered = 0
    for seed in range(100):
        found = measure(metric, *planted(200, seed=100 + seed), draws=300)
        covered += found.low <= truth <= found.high
    assert covered >= 88


def test_interval_of_a_mean_covers_the_truth_and_pictures_alone_would_not() -> None:
    covered, naive = 0, 0
    for seed in range(100):
        scores, labels, people = planted(200, seed=seed)
        luck = scores - labels
        of_people = measure_mean(luck, people, draws=300)
        of_pictures = measure_mean(luck, np.arange(len(luck)), draws=300)
        assert of_people.value == pytest.approx(luck.mean())
        covered += of_people.low <= 0 <= of_people.high
        naive += of_pictures.low <= 0 <= of_pictures.high
    assert covered >= 88
    assert naive < 88


def test_same_seed_same_interval() -> None:
    data = planted(50, seed=5)
    assert measure("auc", *data, seed=7) == measure("auc", *data, seed=7)
    assert measure("auc", *data, seed=7) != measure("auc", *data, seed=8)


@pytest.mark.parametrize("metric", METRICS)
def test_a_perfect_score_is_no_certainty(metric: str) -> None:
    bounds = []
    for people in (20, 200):
        labels = np.arange(people) % 4 == 0
        perfect = measure(metric, labels.astype(float), labels, np.arange(people))
        wrong = measure(metric, 1.0 - labels, labels, np.arange(people))
        assert (perfect.value, perfect.high) == (1, 1)
        assert (wrong.value, wrong.low) == (0, 0)
        assert wrong.high == pytest.approx(1 - perfect.low)
        bounds.append(1 - perfect.low)
        # The exact (Clopper-Pearson) bound for as many people as the rarer class has.
        trials = people if metric == "accuracy" else people // 4
        assert bounds[-1] == pytest.approx(1 - 0.025 ** (1 / trials), rel=0.2)
    assert bounds[1] < bounds[0] / 5


def test_a_single_person_tells_next_to_nothing() -> None:
    found = measure("accuracy", [0.9, 0.9, 0.9, 0.1], [1, 1, 1, 1], [7, 7, 7, 7])
    assert found.value == 0.75
    assert found.high - found.low > 0.7


def test_draws_that_lack_a_class_are_left_out() -> None:
    labels = [1, 0, 0, 0]
    found = measure("balanced_accuracy", [0.9, 0.8, 0.2, 0.1], labels, [0, 1, 2, 3])
    assert math.isfinite(found.low)
    assert found.low < found.value < found.high


@pytest.mark.parametrize("metric", ["balanced_accuracy", "auc"])
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


@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy"])
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


def test_measured_interval_holds_its_value() -> None:
    data = planted(6, seed=9)
    for metric in METRICS:
        found = measure(metric, *data, draws=3)
        assert found.low <= found.value <= found.high
