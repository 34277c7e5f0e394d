"""Certificates of attributes against codes whose leak is known: the bounds must hold."""

from itertools import product
from math import log, sqrt

import numpy as np
import pytest
from numpy.typing import NDArray

from deepobfuscator.certificates.attributes import (
    Form,
    balanced_accuracy,
    excess_over_labels,
    within_labels,
)
from deepobfuscator.certificates.counts import Counts, multisets

REPEATS = 400
Rates = NDArray[np.float64]


def leaky(values: int, tv: float) -> Rates:
    """(2, values): two distributions, not uniform, that are ``tv`` apart."""
    base = np.linspace(1, 2, values) / np.linspace(1, 2, values).sum()
    even = np.arange(values) % 2 == 0
    moved = np.where(even, -base / base[even].sum(), base / base[~even].sum())
    return np.stack((base, base + tv * moved))


def crowd(
    rates: Rates,
    people: int,
    seed: int,
    share: float = 0.5,
    alike: float = 0.6,
    varies: bool = False,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Codes, classes and people: 1 to 12 pictures a person, which tend to have the same code.

    Args:
        rates: (K, values) of the codes in each class.
        people: how many.
        seed: of the draw.
        share: of people in class 1, where K = 2; classes are equally likely where K > 2.
        alike: chance that a picture has the person's own code of its class.
        varies: whether each picture has a class of its own.
    """
    draw = np.random.default_rng(seed)
    person = np.repeat(np.arange(people), draw.choice([1, 2, 4, 12], people))
    chances = [1 - share, share] if len(rates) == 2 else None
    own = draw.choice(len(rates), people, p=chances)
    group = draw.choice(len(rates), len(person), p=chances) if varies else own[person]
    place = np.where(draw.random(len(person)) < alike, draw.random(people)[person], -1.0)
    place = np.where(place < 0, draw.random(len(person)), place)
    code = (place[:, None] > rates.cumsum(1)[group]).sum(1).clip(max=rates.shape[1] - 1)
    return code, group, person


def holds(found: list[bool]) -> bool:
    return sum(found) >= 0.95 * len(found)


@pytest.mark.parametrize(
    ("values", "tv", "how"),
    [
        (4, 0.1, {}),
        (4, 0.25, {"share": 0.3}),
        (16, 0.1, {"varies": True, "share": 0.3}),
        (16, 0.0, {}),
        (256, 0.2, {}),
    ],
)
def test_bounds_hold_for_clusters_of_people(values: int, tv: float, how: dict[str, float]) -> None:
    rates, truth = leaky(values, tv), (1 + tv) / 2
    finite, both, bounds = [], [], []
    for seed in range(REPEATS):
        found = balanced_accuracy(Counts.of(*crowd(rates, 350, seed, **how)))
        assert found is not None
        finite.append(found.finite >= truth)
        both.append(found.value >= truth)
        bounds.append(found.value)
    assert holds(finite)
    assert holds(both)
    assert max(bounds) <= 1
    assert np.mean(bounds) < truth + 0.14  # and it says something


def test_the_asymptotic_bound_holds_where_it_is_exact() -> None:
    """Two values that are equally common: the Cauchy-Schwarz inequality is an equality there."""
    rates, found = np.array([[0.6, 0.4], [0.4, 0.6]]), []
    for seed in range(REPEATS):
        bound = balanced_accuracy(Counts.of(*crowd(rates, 800, seed)))
        assert bound is not None
        assert bound.asymptotic is not None
        found.append(bound.asymptotic >= 0.6)
    assert holds(found)
    assert np.mean(found) < 1  # the repeats do reach the bound


def test_bounds_given_labels_hold() -> None:
    """The leak is another in each stratum, and so are the shares of the classes."""
    both = [leaky(4, 0.3), leaky(4, 0.0)]
    within, above = [], []
    for seed in range(REPEATS):
        parts = [crowd(r, 200, 2 * seed + i, share=0.4 + 0.2 * i) for i, r in enumerate(both)]
        code, group, person = (
            np.concatenate((a, b + 1000 * (i == 2)))
            for i, (a, b) in enumerate(zip(*parts, strict=True))
        )
        label = np.repeat([0, 1], [len(part[0]) for part in parts])
        counts = Counts.of(code, group, person, label)
        bound, excess = within_labels(counts), excess_over_labels(counts)
        assert bound is not None
        assert excess is not None
        # The same 200 people in each stratum, of whom every fourth tells at TV .3.
        within.append(bound.value >= (1 + 0.15) / 2)
        shares = counts.sizes / counts.sizes.sum(0)
        scores = sum((shares[y, :, None] * both[y]).max(0).sum() for y in range(2)) / 2
        above.append(excess.value >= scores - shares.max(1).sum() / 2)
    assert holds(within)
    assert holds(above)


def test_the_plug_in_is_the_best_table_of_answers() -> None:
    code, group, person = crowd(leaky(4, 0.2), 60, 1)
    label = (code + person) % 2
    weight = 1 / np.bincount(person)[person]

    def reached(answers: tuple[int, ...], cell: NDArray[np.int64]) -> float:
        right = weight * (np.array(answers)[cell] == group)
        return float(np.mean([right[group == z].sum() / weight[group == z].sum() for z in (0, 1)]))

    found = balanced_accuracy(Counts.of(code, group, person))
    assert found is not None
    tables = list(product((0, 1), repeat=4))
    assert found.plug_in == pytest.approx(max(reached(t, code) for t in tables))
    counts = Counts.of(code, group, person, label)
    excess = excess_over_labels(counts)
    assert excess is not None
    cell = 2 * code + label
    best = max(reached(t, cell) for t in product((0, 1), repeat=8))
    floor = max(reached(t, label) for t in product((0, 1), repeat=2))
    assert excess.plug_in == pytest.approx(best - floor)
    within = within_labels(counts)
    assert within is not None
    expected = 0.0
    for y in (0, 1):
        mine, share = label == y, weight[label == y].sum() / weight.sum()
        own = [[weight[mine & (group == z) & (code == c)].sum() for c in range(4)] for z in (0, 1)]
        rates = np.array(own) / np.sum(own, 1, keepdims=True)
        expected += share * (1 + np.abs(rates[0] - rates[1]).sum() / 2) / 2
    assert within.plug_in == pytest.approx(expected)


def test_the_finite_bound_is_hoeffdings() -> None:
    code, group, person = crowd(leaky(4, 0.1), 300, 3)
    found = balanced_accuracy(Counts.of(code, group, person), error=0.02)
    assert found is not None
    ones = len(np.unique(person[group == 1]))
    slack = sqrt(log(2 / 0.02) / 2 * (1 / ones + 1 / (300 - ones))) / 2
    assert found.finite - found.plug_in == pytest.approx(slack)


def test_names_of_codes_classes_and_people_do_not_matter() -> None:
    code, group, person = crowd(leaky(16, 0.1), 400, 5)
    label = (code + group) % 3
    draw = np.random.default_rng(0)
    names = draw.permutation(1000)
    for make in (within_labels, excess_over_labels):
        one = make(Counts.of(code, group, person, label))
        # The order of people draws the folds, and stays.
        other = make(Counts.of(names[code], 1 - group, person + 7, 5 * label))
        assert one is not None
        assert other is not None
        assert vars(one) == pytest.approx(vars(other))


def test_a_code_that_is_the_attribute_is_certified_to_tell_all() -> None:
    _, group, person = crowd(leaky(2, 0.0), 400, 1)
    found = balanced_accuracy(Counts.of(group, group, person))
    assert found is not None
    assert (found.plug_in, found.value) == (1.0, 1.0)


def test_a_constant_code_has_the_smallest_bound_there_can_be() -> None:
    code, group, person = crowd(leaky(4, 0.1), 400, 1)
    other = balanced_accuracy(Counts.of(code, group, person))
    found = balanced_accuracy(Counts.of(np.zeros_like(code), group, person))
    assert found is not None
    assert other is not None
    assert found.plug_in == 0.5
    ones = len(np.unique(person[group == 1]))
    assert found.value == pytest.approx(0.5 + sqrt(log(40) / 2 * (1 / ones + 1 / (400 - ones))) / 2)
    assert found.form is Form.FINITE
    assert found.value < other.finite


def test_a_leak_that_hides_behind_the_label_is_seen_given_the_label() -> None:
    draw = np.random.default_rng(0)
    person = np.arange(2000)
    label, group = draw.integers(0, 2, (2, 2000))
    code = label ^ group
    plain = balanced_accuracy(Counts.of(code, group, person))
    counts = Counts.of(code, group, person, label)
    given, excess = within_labels(counts), excess_over_labels(counts)
    assert plain is not None
    assert given is not None
    assert excess is not None
    assert plain.value < 0.6
    assert given.value == 1.0
    assert excess.value > 0.4


def test_a_person_with_many_pictures_counts_once() -> None:
    code, group, person = crowd(leaky(4, 0.0), 400, 2)
    one = balanced_accuracy(Counts.of(code, group, person))
    many = 5000
    more = balanced_accuracy(
        Counts.of(
            np.r_[code, np.zeros(many, dtype=int)],
            np.r_[group, np.ones(many, dtype=int)],
            np.r_[person, np.full(many, 400)],
        )
    )
    assert one is not None
    assert more is not None
    assert more.value == pytest.approx(one.value, abs=0.01)


def test_too_few_people_of_a_class_are_not_certified() -> None:
    code, group, person = np.zeros(100, dtype=int), np.r_[np.ones(9), np.zeros(91)], np.arange(100)
    assert balanced_accuracy(Counts.of(code, group, person)) is None
    label = np.r_[np.zeros(50), np.ones(50)]
    group = np.r_[np.ones(25), np.zeros(70), np.ones(5)]
    found = within_labels(Counts.of(code, group, person, label))
    assert found is not None
    assert found.share == 0.5
    assert within_labels(Counts.of(code, person == 3, person, label)) is None


def test_several_classes_are_bounded_too() -> None:
    rates = np.array([[0.5, 0.3, 0.2], [0.3, 0.5, 0.2], [0.3, 0.3, 0.4]])
    truth, found = (0.5 + 0.5 + 0.4) / 3, []
    for seed in range(100):
        counts = Counts.of(*crowd(rates, 900, seed), number=3)
        bound = balanced_accuracy(counts)
        assert bound is not None
        found.append(bound.value >= truth)
        assert bound.asymptotic is not None
        assert bound.asymptotic >= truth - 0.03
        assert bound.plug_in == pytest.approx(truth, abs=0.08)
    assert holds(found)
    group = crowd(rates, 900, 0)[1]
    all_told = balanced_accuracy(Counts.of(group, group, np.arange(len(group)), number=3))
    assert all_told is not None
    assert (all_told.least, all_told.value) == (1 / 3, 1.0)


def test_nothing_follows_for_several_pictures_from_one() -> None:
    """Each picture alone tells nothing, two together all: class 1 shows a code twice."""
    draw = np.random.default_rng(0)
    group = draw.integers(0, 2, 600)
    first = draw.integers(0, 2, 600)
    code = np.stack((first, first ^ group), 1).ravel()
    person, group = np.repeat(np.arange(600), 2), np.repeat(group, 2)
    one = balanced_accuracy(Counts.of(code, group, person))
    two = balanced_accuracy(Counts.of(*multisets(code, group, person, 2)))
    assert one is not None
    assert two is not None
    assert one.value < 0.6
    assert two.value == 1.0


def test_sets_of_pictures_are_of_one_person_and_class() -> None:
    code = np.array([3, 1, 3, 1, 1, 3, 5, 5])
    group = np.array([0, 0, 0, 0, 0, 1, 1, 1])
    person = np.array([7, 7, 7, 8, 8, 8, 9, 9])
    number, which, who = multisets(code, group, person, 2)
    assert sorted(zip(who.tolist(), which.tolist(), strict=True)) == [
        *[(7, 0)] * 3,
        (8, 0),
        (9, 1),
    ]
    by_person = {p: sorted(number[who == p].tolist()) for p in (7, 8, 9)}
    assert len(set(by_person[7])) == 2  # {1, 3} twice, in either order, and {3, 3}
    assert not set(by_person[8]) & set(by_person[7])  # {1, 1}
    assert len(multisets(code, group, person, 4)[0]) == 0


def test_arrays_that_do_not_match_are_refused() -> None:
    with pytest.raises(ValueError, match="as many"):
        Counts.of([0, 1], [0], [0])
    with pytest.raises(ValueError, match="class"):
        Counts.of([0, 1], [0, 2], [0, 1])
    with pytest.raises(ValueError, match="labels are given"):
        balanced_accuracy(Counts.of([0, 1], [0, 1], [0, 1], [0, 1]))
