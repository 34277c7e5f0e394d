import math
from statistics import NormalDist

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from deepobfuscator.core.errors import InputError
from deepobfuscator.metrics.attributes import METRICS
from deepobfuscator.metrics.bootstrap import Bootstrap
from deepobfuscator.metrics.sample import Measured

NORMAL = NormalDist()


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


def attacker(
    draw: np.random.Generator, people: int, each: int, present: float = 0.5, distance: float = 0.0
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64]]:
    """Scores around -distance and +distance, labels and people; a person has one label, and half
    of the variance of its scores is its own.
    """
    person = np.repeat(np.arange(people), each)
    label = (draw.random(people) < present)[person]
    luck = (draw.normal(size=people)[person] + draw.normal(size=len(person))) / math.sqrt(2)
    return luck + distance * np.where(label, 1, -1), label, person


@pytest.mark.parametrize(
    ("metric", "people", "each", "truth"),
    [
        ("accuracy", 200, 1, 0.95),
        ("balanced_accuracy", 80, 5, 0.6),
        ("auc", 80, 5, 0.8),
        ("mcc", 400, 1, 0.9),
    ],
)
def test_interval_covers_the_truth_at_its_rate(
    metric: str, people: int, each: int, truth: float
) -> None:
    # Both classes are equally easy, so that mcc is twice the accuracy, less one.
    if metric == "auc":
        distance = NORMAL.inv_cdf(truth) / math.sqrt(2)
    else:
        distance = NORMAL.inv_cdf((1 + truth) / 2 if metric == "mcc" else truth)
    draw = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        scores, labels, person = attacker(draw, people, each, distance=distance)
        sample = Bootstrap(person, draws=200).attribute(metric, scores, labels, threshold=0)
        found = sample.interval()
        covered += found.low <= truth <= found.high
    # 190 of 200, give or take two standard errors of a count.
    assert 184 <= covered <= 197


def test_interval_of_a_difference_covers_the_truth_and_unpaired_would_be_wider() -> None:
    covered, paired, unpaired = 0, 0.0, 0.0
    distances = [NORMAL.inv_cdf(0.8), NORMAL.inv_cdf(0.75)]
    draw = np.random.default_rng(1)
    for _ in range(200):
        luck, labels, person = attacker(draw, 80, 5)
        own = attacker(draw, 80, 5)[0]
        side = np.where(labels, 1, -1)
        bootstrap = Bootstrap(person, draws=200)
        better, worse = (
            bootstrap.attribute("accuracy", scores + side * distance, labels, threshold=0)
            for scores, distance in zip((luck, 0.8 * luck + 0.6 * own), distances, strict=True)
        )
        found = (better - worse).interval()
        covered += found.low <= 0.05 <= found.high
        paired += found.high - found.low
        unpaired += math.hypot(*(i.high - i.low for i in (better.interval(), worse.interval())))
    assert 184 <= covered <= 198
    assert paired < 0.8 * unpaired


def test_interval_of_a_mean_covers_the_truth_and_pictures_alone_would_not() -> None:
    covered, naive = 0, 0
    draw = np.random.default_rng(2)
    for _ in range(200):
        luck, _, person = attacker(draw, 100, 5)
        of_people = Bootstrap(person, draws=200).mean(luck).interval()
        of_pictures = Bootstrap(np.arange(len(luck)), draws=200).mean(luck).interval()
        assert of_people.value == pytest.approx(luck.mean())
        covered += of_people.low <= 0 <= of_people.high
        naive += of_pictures.low <= 0 <= of_pictures.high
    assert 184 <= covered <= 197
    assert naive < 170


@pytest.mark.parametrize("metric", METRICS)
def test_replicates_are_the_figures_of_the_people_drawn(metric: str) -> None:
    scores, labels, person = attacker(np.random.default_rng(3), 20, 3, distance=0.5)
    scores = np.round(scores, 1)
    bootstrap = Bootstrap(person, draws=20)
    sample = bootstrap.attribute(metric, scores, labels, threshold=0.2)
    luck = bootstrap.mean(person == 0)
    for draw in range(20):
        rows = np.concatenate(
            [np.flatnonzero(person == p).repeat(w) for p, w in enumerate(bootstrap._weights[draw])]
        )
        assert len(rows) == len(person)
        expected = measure(metric, scores[rows], labels[rows], rows, 0.2, draws=1).value
        assert sample.draws[draw] == pytest.approx(expected)
        assert luck.draws[draw] == pytest.approx(np.mean(person[rows] == 0))


def test_a_mean_of_some_pictures_is_paired_with_figures_of_all() -> None:
    values, _, person = attacker(np.random.default_rng(4), 30, 4)
    bootstrap = Bootstrap(person, draws=100)
    rows = np.flatnonzero(np.arange(len(person)) % 4 < 2)[::-1]
    found = bootstrap.mean(values[rows], rows)
    assert found.value == pytest.approx(values[rows].mean())
    # A value of 1 on the chosen pictures, as a ratio of two means over all.
    chosen = np.isin(np.arange(len(person)), rows)
    ratio = bootstrap.mean(values * chosen).draws / bootstrap.mean(chosen).draws
    np.testing.assert_allclose(found.draws, ratio)


def test_worst_is_the_mean_of_the_highest_chosen_anew_in_each_draw() -> None:
    values, _, person = attacker(np.random.default_rng(5), 50, 2)
    bootstrap = Bootstrap(person, draws=10)
    highest = np.sort(values)[::-1]
    assert bootstrap.worst(values, 0.05).value == pytest.approx(highest[:5].mean())
    assert bootstrap.worst(values, 0.055).value == pytest.approx(
        (highest[:5].sum() + highest[5] / 2) / 5.5
    )
    for draw, found in enumerate(bootstrap.worst(values).draws):
        drawn = np.repeat(values, bootstrap._weights[draw][person])
        assert found == pytest.approx(np.sort(drawn)[-5:].mean())
    everything = bootstrap.worst(values, 1.0)
    np.testing.assert_allclose(everything.draws, bootstrap.mean(values).draws)


@pytest.mark.parametrize("metric", METRICS)
def test_a_perfect_score_is_no_certainty(metric: str) -> None:
    least = -1 if metric == "mcc" else 0
    misses = []
    for people in (20, 200):
        labels = np.arange(people) % 4 == 0
        perfect = measure(metric, labels.astype(float), labels, np.arange(people))
        wrong = measure(metric, 1.0 - labels, labels, np.arange(people))
        assert (perfect.value, perfect.high) == (1, 1)
        assert (wrong.value, wrong.low) == (least, least)
        assert wrong.high - least == pytest.approx(1 - perfect.low)
        misses.append((1 - perfect.low) / (1 - least))
        # The exact (Clopper-Pearson) bound for as many people as the rarer class has.
        trials = people if metric == "accuracy" else people // 4
        assert misses[-1] == pytest.approx(1 - 0.025 ** (1 / trials), rel=0.25)
    assert misses[1] < misses[0] / 5


@pytest.mark.parametrize("metric", METRICS)
def test_interval_is_neither_without_width_nor_past_the_ends(metric: str) -> None:
    draw = np.random.default_rng(6)
    for distance in (-4, -2, 0, 1, 2, 3, 4):
        scores, labels, person = attacker(draw, 8, 4, 0.5, distance)
        labels[:4], labels[4:8] = True, False
        found = measure(metric, scores, labels, person, 0, draws=50)
        assert (-1 if metric == "mcc" else 0) <= found.low <= found.value <= found.high <= 1
        assert found.high - found.low > 0.05


def test_a_single_person_tells_next_to_nothing() -> None:
    found = measure("accuracy", [0.9, 0.9, 0.9, 0.1], [1, 1, 1, 1], [7, 7, 7, 7])
    assert found.value == 0.75
    assert found.high - found.low > 0.7


def test_draws_that_lack_a_class_are_left_out() -> None:
    for metric in METRICS[1:]:
        sample = Bootstrap([0, 1, 2, 3]).attribute(metric, [0.9, 0.8, 0.2, 0.1], [1, 0, 0, 0])
        # The only person with the attribute is missing in (3/4)^4 of the draws, or alone in 1/4^4.
        assert np.isnan(sample.draws).mean() == pytest.approx(0.316 + 0.004, abs=0.05)
        found = sample.interval()
        assert found.low < found.value
        assert found.value - found.low > 0.1


def test_same_seed_same_interval() -> None:
    data = attacker(np.random.default_rng(7), 50, 5)
    assert measure("auc", *data, seed=7) == measure("auc", *data, seed=7)
    assert measure("auc", *data, seed=7) != measure("auc", *data, seed=8)


def test_unusable_values_are_refused() -> None:
    with pytest.raises(InputError, match="no pictures"):
        Bootstrap([]).mean([])
    with pytest.raises(ValueError, match="not finite"):
        Bootstrap([0, 1]).mean([0.1, float("inf")])
    with pytest.raises(ValueError, match="match"):
        Bootstrap([0, 1]).mean([0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match="match"):
        Bootstrap([0, 1, 2]).mean([0.1, 0.2], rows=[0, 1, 2])
    with pytest.raises(ValueError, match="one value per picture"):
        Bootstrap([[0, 1], [1, 2]])


def strata_of(
    draw: np.random.Generator, labels: NDArray[np.bool_], tied: float
) -> NDArray[np.int64]:
    """Public labels that equal the hidden ones with the chance ``tied``."""
    return np.where(draw.random(len(labels)) < tied, labels, ~labels).astype(np.int64)


def test_figures_within_strata_are_averages_of_brute_force() -> None:
    draw = np.random.default_rng(7)
    scores, labels, person = attacker(draw, 25, 4, distance=0.4)
    strata = strata_of(draw, labels, 0.7) + 2 * (np.arange(100) < 30)
    strata[:3], labels[:3] = 9, True  # one class alone: left out
    thresholds = {0: 0.1, 1: -0.2, 2: 0.3, 3: 0.0, 9: 0.0}
    for metric in ("balanced_accuracy", "auc"):
        sample = Bootstrap(person, draws=30).within(metric, scores, labels, strata, thresholds)
        assert sample is not None
        weights = Bootstrap(person, draws=30)._weights
        for draw_of, found in zip([None, *weights], [sample.value, *sample.draws], strict=True):
            rows = np.arange(100)
            if draw_of is not None:
                rows = np.concatenate(
                    [np.flatnonzero(person == p).repeat(w) for p, w in enumerate(draw_of)]
                )
            parts = []
            for y, threshold in thresholds.items():
                mine = rows[strata[rows] == y]
                if len({*labels[mine]}) == 2:
                    value = measure(metric, scores[mine], labels[mine], mine, threshold, draws=1)
                    parts.append((value.value, len(mine)))
            values, counts = zip(*parts, strict=True)
            assert found == pytest.approx(np.average(values, weights=counts))
    assert Bootstrap(person).within("auc", scores, labels, labels.astype(int), {}) is None


@pytest.mark.parametrize(
    ("people", "each", "truth", "tied"),
    [(100, 1, 0.5, 0.5), (100, 5, 0.55, 0.6), (400, 1, 0.8, 0.9), (400, 5, 0.95, 0.6)],
)
def test_an_interval_within_strata_covers_the_truth(
    people: int, each: int, truth: float, tied: float
) -> None:
    draw, covered = np.random.default_rng(8), 0
    for _ in range(200):
        scores, labels, person = attacker(draw, people, each, distance=NORMAL.inv_cdf(truth))
        strata = strata_of(draw, labels, tied)
        sample = Bootstrap(person, draws=200).within(
            "balanced_accuracy", scores, labels, strata, {0: 0.0, 1: 0.0}
        )
        assert sample is not None
        found = sample.interval()
        covered += found.low <= truth <= found.high
    assert 184 <= covered <= 198
