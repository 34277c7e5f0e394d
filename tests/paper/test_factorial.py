"""The factorial's design and its effects."""

from itertools import combinations

import numpy as np
import pytest

from deepobfuscator.data.synthetic import Synthetic
from deepobfuscator.experiments.presets import PRESETS
from deepobfuscator.experiments.trial import Trial
from deepobfuscator.paper.factorial import CELLS, FACTORS, MEANS, SEEDS, effects, shifts, specs
from deepobfuscator.paper.keys import Set
from deepobfuscator.paper.trials import Trials

SIGNS = 2 * np.array(CELLS, dtype=int) - 1


def test_main_effects_are_clear_of_each_other_and_of_pairs() -> None:
    assert len(set(CELLS)) == 8
    assert (SIGNS.sum(0) == 0).all()
    for i, j in combinations(range(4), 2):
        assert SIGNS[:, i] @ SIGNS[:, j] == 0
        for k in range(4):
            assert k in (i, j) or SIGNS[:, i] * SIGNS[:, j] @ SIGNS[:, k] == 0


def test_a_planted_effect_is_found_beside_interactions_and_noise() -> None:
    draw = np.random.default_rng(0)
    held, both = {}, {}
    for cell in CELLS:
        told = np.array(cell, dtype=float)
        mean = 60 + 8 * told[1] + 5 * told[0] * told[2]
        held[cell] = [tuple(mean + draw.normal(0, 0.5, 5)) for _ in range(SEEDS)]
    for means in (False, True):
        both[means] = [tuple(70 - 3 * means + draw.normal(0, 0.3, 5)) for _ in range(SEEDS)]
    table = effects(held, both)
    assert len(table.rows) == len(FACTORS) + 1
    found = [float(row[1].split()[0].replace("−", "-")) for row in table.rows]
    # A pair's interaction counts half for each of its factors, and nothing for the others.
    assert found == pytest.approx([2.5, 8, 2.5, 0, -3], abs=0.6)
    low, high = table.rows[3 + 1][1].split("(")[1].rstrip(")").replace("−", "-").split(" to ")
    assert float(low) < -3 < float(high)
    assert float(high) < 0


def test_an_interval_is_students_over_seeds() -> None:
    one, other = [(1.0,) * 5, (3.0,) * 5], [(6.0,) * 5, (8.0,) * 5]
    wide = 4.302653 * (2 * (1 / 2 + 1 / 2)) ** 0.5  # two degrees of freedom, variance 2
    expected = f"+5.0 ({5 - wide:+.1f} to {5 + wide:+.1f})".replace("-", "−")
    assert shifts({False: [one], True: [other]})[0] == expected
    assert shifts({False: [one], True: []})[0] == "–"


def test_a_cell_changes_what_it_says_and_shares_its_ceiling() -> None:
    trials = Trials.of(Trial(Synthetic(300), setting=PRESETS["smoke"].config))
    plain = specs(trials, Set.A, [])
    every = specs(trials, Set.A, FACTORS)
    assert len(plain) == len(every) == SEEDS
    assert {spec.ceiling for spec in (*plain, *every)} == {plain[0].ceiling}
    changed = every[0].trial.defence, every[0].trial.setting
    for factor in FACTORS:
        for where, of in zip(changed, (factor.defence, factor.setting), strict=True):
            assert all(getattr(where, name) == value for name, value in of)
    assert len({spec.folder for spec in (*plain, *every)}) == 2 * SEEDS
    (mean,) = {spec.trial.defence for spec in specs(trials, Set.F, [MEANS])}
    assert mean.reduction == "mean"  # type: ignore[attr-defined]
