import numpy as np
import pytest

from deepobfuscator.metrics.attributes import METRICS
from deepobfuscator.metrics.bootstrap import Bootstrap
from deepobfuscator.metrics.sample import Sample, Share, holm, p_above, simultaneous, wilson


def attackers(draw: np.random.Generator, count: int, accuracy: float = 0.7) -> list[Sample]:
    """Accuracies of equally good attackers on the same 150 people, who share half their luck."""
    right = np.random.default_rng(0).normal(size=100_000)
    limit = np.quantile(right, accuracy)
    common = draw.normal(size=150)
    bootstrap = Bootstrap(np.arange(150), draws=300)
    luck = [(common + draw.normal(size=150)) / np.sqrt(2) for _ in range(count)]
    return [bootstrap.mean(own < limit, kind=Share) for own in luck]


def test_simultaneous_bounds_hold_and_those_of_the_best_attacker_do_not() -> None:
    draw = np.random.default_rng(0)
    below, above, naive = 0, 0, 0
    for _ in range(200):
        samples = attackers(draw, 6)
        found = simultaneous(samples)
        assert found.value == max(s.value for s in samples)
        below += found.low <= 0.7
        above += found.high >= 0.7
        best = max(samples, key=lambda s: s.value).interval()
        naive += best.low <= 0.7 <= best.high
    assert above >= 190
    assert below >= 184
    assert naive < 184


def test_simultaneous_bound_of_one_is_its_own_interval() -> None:
    for seed in range(20):
        (sample,) = attackers(np.random.default_rng(seed), 1)
        own, found = sample.interval(), simultaneous([sample])
        assert found.low == pytest.approx(own.low, abs=0.015)
        assert found.high == pytest.approx(own.high, abs=0.015)
        assert found.low <= own.low
        assert own.high <= found.high


def test_simultaneous_bound_grows_with_the_attackers_but_not_for_copies() -> None:
    samples = attackers(np.random.default_rng(3), 12)
    one = simultaneous(samples[:1])
    assert simultaneous(samples[:1] * 6) == one
    first = samples[0].interval()
    # Each lies farther from its own value than alone, the first included.
    other = simultaneous([samples[0], *(Sample(-9, s.draws - 10, 150) for s in samples[1:])])
    assert other.value == first.value
    assert other.low < first.low - 0.005
    assert other.high > first.high + 0.005


def test_simultaneous_bound_of_figures_that_never_vary_has_width() -> None:
    bootstrap = Bootstrap(np.arange(100), draws=100)
    perfect, half = (bootstrap.mean(v, kind=Share) for v in (np.ones(100), np.arange(100) % 2))
    found = simultaneous([perfect, perfect])
    assert (found.value, found.high) == (1, 1)
    assert 0.94 < found.low < 0.98
    assert simultaneous([perfect, half]).low == pytest.approx(found.low, abs=0.02)
    with pytest.raises(ValueError, match="no figures"):
        simultaneous([])


@pytest.mark.parametrize("metric", METRICS)
def test_an_attacker_is_no_better_than_itself_yet_that_is_no_certainty(metric: str) -> None:
    draw = np.random.default_rng(4)
    labels = np.arange(100) % 2
    bootstrap = Bootstrap(np.arange(100), draws=100)
    for scores in (labels + draw.normal(size=100), labels, 1 - labels):
        sample = bootstrap.attribute(metric, scores, labels)
        difference = sample - sample
        assert difference.value == 0
        assert (difference.draws == 0).all()
        found = difference.interval()
        assert found.low == -found.high < -0.01
        assert p_above(difference) == 0.5


def test_difference_of_unrelated_figures_has_the_sum_of_their_variances() -> None:
    draw = np.random.default_rng(5)
    bootstrap = Bootstrap(np.arange(400), draws=2000)
    one, other = (bootstrap.mean(draw.normal(size=400)) for _ in range(2))
    assert (one - other).se == pytest.approx(np.hypot(one.se, other.se), rel=0.1)
    assert (one - one).interval().high == 0
    with pytest.raises(ValueError, match="not paired"):
        one - Bootstrap(np.arange(400), draws=10).mean(np.ones(400))


def test_p_is_below_a_fortieth_exactly_where_the_interval_excludes_zero() -> None:
    draw = np.random.default_rng(6)
    outcomes = set()
    for people in (4, 40):
        for shift in np.linspace(-1.5, 1.5, 41):
            sample = Bootstrap(np.arange(people), draws=100).mean(draw.normal(shift, size=people))
            above = sample.interval().low > 0
            assert (p_above(sample) < 0.025) == above
            outcomes.add(above)
    assert outcomes == {True, False}
    sure = [Sample(v, np.full(10, float(v)), 5) for v in (-1, 0, 1)]
    assert [p_above(s) for s in sure] == [1, 0.5, 0]


def test_p_of_no_difference_is_uniform() -> None:
    draw = np.random.default_rng(7)
    p = [
        p_above(Bootstrap(np.arange(60), draws=200).mean(draw.normal(size=60))) for _ in range(400)
    ]
    for level in (0.05, 0.25, 0.5, 0.75, 0.95):
        assert np.mean(np.less(p, level)) == pytest.approx(level, abs=0.07)


def test_holm_rejects_as_its_definition_does() -> None:
    draw = np.random.default_rng(8)
    for _ in range(50):
        p = list(np.round(draw.random(7) ** 3, 2))
        adjusted = holm(p)
        for level in (0.01, 0.05, 0.1, 0.5, 0.9):
            # Step down: reject the smallest while p <= level / (hypotheses that are left).
            rejected, left = set(), sorted(range(7), key=lambda i: p[i])
            while left and p[left[0]] * len(left) <= level:
                rejected.add(left.pop(0))
            assert {i for i in range(7) if adjusted[i] <= level} == rejected
    assert holm([0.5, 0.9, 0.01]) == pytest.approx([1, 1, 0.03])
    assert holm([]) == []


def test_interval_of_few_people_is_students() -> None:
    for people, quantile in ((2, 12.7062), (3, 4.3027), (10, 2.2622), (1000, 1.9623)):
        assert Sample(0.0, np.zeros(2), people).critical == pytest.approx(quantile, abs=1e-4)


def test_wilson_bounds_are_the_published_ones_and_hold_the_share() -> None:
    # Newcombe (1998), table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
    for right, of, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        assert wilson(right / of, of, 1.959964) == pytest.approx((low, high), abs=5e-5)
    assert wilson(1.0, 7, 2.5)[1] == 1
