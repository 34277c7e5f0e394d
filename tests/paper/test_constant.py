"""Reconstructions without features."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import deepobfuscator as do
from deepobfuscator.paper import constant
from deepobfuscator.paper.keys import MS_SSIM, PSNR, Measured
from deepobfuscator.paper.render.exhibit import Row


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[Measured, str], Row]:
    data = do.Data.synthetic(200, seed=3)
    trial = do.Trial.make(do.Undefended(), data, replace(do.TrainConfig(), size=(32, 32)))
    runner = do.Runner()
    context = runner.on(trial, tmp_path_factory.mktemp("run"))
    rows = constant.rows(runner, context, trial)
    return {(row.row.of, row.metric): row for row in rows}


def test_figures_against_numpy(found: dict[tuple[Measured, str], Row]) -> None:
    data = do.Data.synthetic(200, seed=3)
    trial = do.Trial.make(do.Undefended(), data, do.TrainConfig(size=constant.SIZE))
    runner = do.Runner()
    parts = runner.data(trial, runner.on(trial, Path("unused")))
    truth = parts.test.pictures / 255
    mean = (parts.attacker.pictures / 255).mean(0)
    for of, guess in ((Measured.MEAN_FACE, mean), (Measured.GREY, 0.5)):
        error = ((truth - guess) ** 2).mean((1, 2, 3))
        row = found[of, PSNR]
        assert row.fresh == pytest.approx((-10 * np.log10(error)).mean(), abs=1e-3)
        assert row.low is not None
        assert row.high is not None
        assert row.low < row.fresh < row.high
    assert found[Measured.MEAN_FACE, MS_SSIM].fresh > found[Measured.GREY, MS_SSIM].fresh
    assert found[Measured.STRANGER, MS_SSIM].fresh < 1


def test_strangers_are_others() -> None:
    people = np.random.default_rng(0).integers(0, 9, 60)
    other = constant.strangers(people)
    assert (people != people[other]).all()
    assert sorted(other) == list(range(60))
    with pytest.raises(do.InputError, match="more than half"):
        constant.strangers(np.array([1, 1, 1, 2]))
