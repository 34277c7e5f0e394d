import itertools
from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import binomtest

from deepobfuscator.survey import machine
from deepobfuscator.survey.questions import Sheet
from deepobfuscator.survey.scoring import p_by_draw, share_right


@pytest.mark.parametrize("k", [0, 1, 4, 9, 10])
def test_independent_answers_get_wilsons_interval_and_the_exact_test(k: int) -> None:
    right = np.arange(10) < k
    found = share_right(right, np.arange(10))
    test = binomtest(k, 10, 0.25, alternative="greater")
    interval = binomtest(k, 10).proportion_ci(0.95, method="wilson")
    assert (found.answers, found.right, found.share) == (10, k, k / 10)
    assert found.low == pytest.approx(interval.low, abs=1e-12)
    assert found.high == pytest.approx(interval.high, abs=1e-12)
    assert found.p == pytest.approx(test.pvalue, rel=1e-9)


def test_the_papers_figure_is_no_more_than_chance() -> None:
    """40 participants, 10 questions, 28 % right."""
    found = share_right(np.arange(400) < 112, np.arange(400))
    assert found.p == pytest.approx(binomtest(112, 400, 0.25, "greater").pvalue)
    assert found.p > 0.05
    assert found.low < 0.25 < found.high


def test_the_interval_covers_where_participants_differ() -> None:
    draw = np.random.default_rng(0)
    clustered, naive = 0, 0
    for _ in range(400):
        skill = draw.beta(1.5, 3, size=25)  # mean 1/3
        right = draw.random((25, 10)) < skill[:, None]
        people = np.repeat(np.arange(25), 10)
        found = share_right(right.ravel(), people)
        alone = share_right(right.ravel(), np.arange(250))
        clustered += found.low <= 1 / 3 <= found.high
        naive += alone.low <= 1 / 3 <= alone.high
    assert clustered >= 370  # 95 % of 400 are 380 +- 4
    assert naive < 350


def test_answers_that_happen_to_balance_are_not_taken_for_more_than_they_are() -> None:
    right = np.tile([True, False], 20)
    balanced = share_right(right, np.repeat(np.arange(20), 2))
    alone = share_right(right, np.arange(40))
    assert balanced.high - balanced.low >= alone.high - alone.low
    perfect = share_right(np.ones(40), np.repeat(np.arange(20), 2))
    assert perfect.high == 1
    assert 0.8 < perfect.low < 1


def test_p_by_draw_counts_every_draw_there_could_have_been() -> None:
    votes = np.array([[5, 0, 1, 0], [2, 2, 1, 1], [0, 0, 3, 3]])
    totals = [sum(v) for v in itertools.product(*votes)]
    for right in range(12):
        assert p_by_draw(votes, right) == pytest.approx(np.mean(np.array(totals) >= right))


def test_p_by_draw_is_the_binomial_test_for_one_and_stricter_where_all_favour_one_face() -> None:
    choice = np.random.default_rng(1).integers(4, size=10)
    one = np.eye(4, dtype=np.int64)[choice]
    assert p_by_draw(one, 5) == pytest.approx(binomtest(5, 10, 0.25, "greater").pvalue)
    # 40 people who all choose alike and are right 5 times of 10 are evidence as one person is.
    assert p_by_draw(40 * one, 200) == pytest.approx(p_by_draw(one, 5))
    assert binomtest(200, 400, 0.25, "greater").pvalue < 1e-20


def test_machines_find_a_planted_person_and_guess_at_noise(
    make_sheet: Callable[..., Sheet],
) -> None:
    planted = make_sheet(count=20)
    assert (machine.pixels(planted) == planted.answer).all()
    # Contrast and brightness tell nothing.
    faint = np.clip(planted.rebuilt * 0.3 + 150, 0, 255).astype(np.uint8)
    assert (machine.pixels(make_sheet(count=20, rebuilt=faint)) == planted.answer).all()
    right, edge = [], []
    for seed in range(25):
        noise = np.random.default_rng(seed).integers(
            256, size=planted.rebuilt.shape, dtype=np.uint8
        )
        sheet = make_sheet(count=20, seed=seed, rebuilt=noise)
        right += list(machine.pixels(sheet) == sheet.answer)
        edge += list(machine.background(sheet) == sheet.answer)
    assert 0.18 < np.mean(right) < 0.32  # 500 guesses: 0.25 +- 0.019
    assert 0.18 < np.mean(edge) < 0.32


def test_background_looks_at_the_border_alone(make_sheet: Callable[..., Sheet]) -> None:
    sheet = make_sheet(count=10)
    rebuilt = sheet.options[np.arange(10), sheet.answer].copy()
    rebuilt[:, 10:, 8:-8] = 0
    assert (machine.background(make_sheet(count=10, rebuilt=rebuilt)) == sheet.answer).all()


def test_nearest_is_by_cosine() -> None:
    probes = np.array([[1.0, 0.0], [0.0, 2.0]])
    options = np.array(
        [[[9, 9], [0.1, 0], [-5, 0], [0, 0]], [[0, -1], [3, 3], [0, 0], [1, 9]]], dtype=float
    )
    assert machine.nearest(probes, options).tolist() == [1, 3]
