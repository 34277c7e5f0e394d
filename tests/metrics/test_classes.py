"""Several classes: the same figures as scikit-learn's, and as the binary ones where C = 2."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    matthews_corrcoef,
    roc_auc_score,
)

from deepobfuscator.core.errors import InputError
from deepobfuscator.metrics.attributes import best_threshold
from deepobfuscator.metrics.bootstrap import Bootstrap
from deepobfuscator.metrics.classes import best_offsets, called, log_chances


def guesses(n: int = 300, classes: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Scores that know something, and labels of unequal rates."""
    draw = np.random.default_rng(seed)
    labels = draw.choice(classes, n, p=np.arange(1, classes + 1) / sum(range(1, classes + 1)))
    scores = draw.normal(size=(n, classes)) + 1.5 * (labels[:, None] == np.arange(classes))
    return scores, labels


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_figures_are_those_of_scikit_learn(classes: int) -> None:
    scores, labels = guesses(classes=classes)
    boot = Bootstrap(np.arange(len(labels)), draws=20)
    chosen = scores.argmax(1)
    each = [roc_auc_score(labels == k, scores[:, k]) for k in range(classes)]
    theirs = {
        "accuracy": accuracy_score(labels, chosen),
        "balanced_accuracy": balanced_accuracy_score(labels, chosen),
        "mcc": matthews_corrcoef(labels, chosen),
        "auc": np.mean(each),
    }
    for metric, value in theirs.items():
        assert boot.attribute(metric, scores, labels, 0.0).value == pytest.approx(value)


def test_a_draw_weighs_whole_people() -> None:
    scores, labels = guesses(200, 3)
    people = np.arange(200) // 4
    boot = Bootstrap(people, draws=30)
    chosen = scores.argmax(1)
    for drawn, weights in zip(
        boot.attribute("balanced_accuracy", scores, labels, 0.0).draws, boot._weights, strict=True
    ):
        rows = np.repeat(np.arange(200), weights[people])
        assert drawn == pytest.approx(balanced_accuracy_score(labels[rows], chosen[rows]))


def test_two_classes_are_one_attribute() -> None:
    scores, labels = guesses(classes=2)
    boot, one = Bootstrap(np.arange(len(labels)), draws=50), scores[:, 1] - scores[:, 0]
    strata = np.arange(len(labels)) % 3
    for metric in ("accuracy", "balanced_accuracy", "mcc"):
        single = boot.attribute(metric, one, labels, best_threshold(one, labels, metric))
        both = boot.attribute(metric, scores, labels, best_offsets(scores, labels, metric))
        if metric != "mcc":  # offsets are chosen by recall there
            assert both.value == pytest.approx(single.value)
        plain = boot.attribute(metric, one, labels, 0.0).interval()
        mine = boot.attribute(metric, scores, labels, 0.0).interval()
        assert (mine.low, mine.high) == pytest.approx((plain.low, plain.high))
    for metric in ("balanced_accuracy", "auc"):
        single = boot.within(metric, one, labels, strata, dict.fromkeys(range(3), 0.0))
        pair = np.stack([-one, one], 1)
        both = boot.within(metric, pair, labels, strata, dict.fromkeys(range(3), 0.0))
        assert both.value == pytest.approx(single.value)
        assert both.draws == pytest.approx(single.draws)


@given(st.integers(0, 10_000), st.sampled_from(("accuracy", "balanced_accuracy")))
def test_offsets_are_near_the_best_there_are(seed: int, metric: str) -> None:
    scores, labels = guesses(40, 3, seed)
    boot = Bootstrap(np.arange(40), draws=2)

    def reached(offsets: np.ndarray) -> float:
        return boot.attribute(metric, scores, labels, offsets).value

    if len(np.unique(labels)) < 3:
        return
    found = reached(best_offsets(scores, labels, metric))
    grid = np.linspace(-3, 3, 13)
    best = max(reached(np.array([0, b, c])) for b, c in product(grid, grid))
    assert found >= reached(np.zeros(3)) - 1e-9
    assert found >= best - 0.12  # one class at a time may end on a side summit


def test_offsets_make_up_for_rates() -> None:
    """True log-posteriors: for recall the prior is taken off again."""
    draw = np.random.default_rng(0)
    rates = np.array([0.7, 0.2, 0.1])
    labels = draw.choice(3, 20_000, p=rates)
    told = draw.normal(size=len(labels)) + labels
    likelihood = -((told[:, None] - np.arange(3)) ** 2) / 2
    posterior = likelihood + np.log(rates)
    assert np.ptp(best_offsets(posterior, labels, "accuracy")) < 0.5
    found = best_offsets(posterior, labels, "balanced_accuracy")
    assert found - found[0] == pytest.approx(np.log(rates / rates[0]), abs=0.4)


def test_nothing_known_is_chance() -> None:
    draw = np.random.default_rng(1)
    labels, scores = draw.integers(0, 4, 4000), draw.normal(size=(4000, 4))
    boot, strata = Bootstrap(np.arange(4000)), draw.integers(0, 2, 4000)
    plain = boot.attribute("balanced_accuracy", scores, labels, 0.0).interval()
    assert plain.low < 0.25 < plain.high
    for metric in ("balanced_accuracy", "auc"):
        within = boot.within(metric, scores, labels, strata, {0: 0.0, 1: 0.0})
        assert abs(within.value - 0.5) < 3 * within.se
    constant = np.tile(np.log([0.4, 0.3, 0.2, 0.1]), (4000, 1))
    offsets = best_offsets(constant, labels, "balanced_accuracy")
    assert boot.attribute("balanced_accuracy", constant, labels, offsets).value == 0.25
    sure = 5.0 * (labels[:, None] == np.arange(4))
    assert boot.within("balanced_accuracy", sure, labels, strata, {0: 0.0, 1: 0.0}).value == 1


def test_intervals_cover() -> None:
    """Simulated people of three pictures: 95 % intervals hold the truth about as often."""
    held = 0
    for repeat in range(200):
        draw = np.random.default_rng(repeat)
        labels = np.repeat(draw.choice(3, 150, p=[0.5, 0.3, 0.2]), 3)
        right = np.repeat(draw.random(150), 3) < 0.6  # each person is read right or not
        guess = np.where(right, labels, (labels + 1) % 3)
        scores = (guess[:, None] == np.arange(3)).astype(float)
        boot = Bootstrap(np.repeat(np.arange(150), 3), seed=repeat, draws=400)
        found = boot.attribute("balanced_accuracy", scores, labels, 0.0).interval()
        held += found.low <= 0.6 <= found.high
    assert 184 <= held <= 197


def test_log_chances_keep_the_order_of_logits() -> None:
    logits = np.array([[-800.0, 0.0, 800.0]])
    found = log_chances(logits)
    assert np.isfinite(found).all()
    assert (np.diff(found) > 0).all()
    assert called(found, 0.0).tolist() == [2]


@pytest.mark.parametrize(("labels", "message"), [([1, 1, 1], "one class"), ([], "no pictures")])
def test_too_little_is_refused(labels: list[int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        best_offsets(np.zeros((len(labels), 3)), labels, "accuracy")
    with pytest.raises(ValueError, match="NaN"):
        best_offsets(np.full((2, 3), np.nan), [0, 1], "accuracy")
