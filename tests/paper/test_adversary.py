"""The game's own adversaries, re-estimated, tuned and trained on."""

from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import deepobfuscator as do
from deepobfuscator.data.synthetic import Synthetic
from deepobfuscator.paper import adversary
from deepobfuscator.paper.keys import ACCURACY, MS_SSIM, Measured
from deepobfuscator.paper.render.exhibit import Row


@pytest.fixture(scope="module")
def runner() -> do.Runner:
    return do.Runner(torch.device("cpu"))


@pytest.fixture(scope="module")
def folder(runner: do.Runner, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("adversary") / "run"
    trial = do.Trial(Synthetic(520), defence=do.DeepObfuscator(), setting=SMOKE)
    runner.train(trial, out)
    return out


SMOKE = do.PRESETS["smoke"].config


@pytest.fixture(scope="module")
def rows(runner: do.Runner, folder: Path) -> dict[tuple[Measured, str], Row]:
    found = adversary.rows(runner, folder, "Male")
    return {(row.row.of, row.metric): row for row in found}


def test_every_state_of_both_adversaries(rows: dict[tuple[Measured, str], Row]) -> None:
    states = {Measured.AS_ENDED, Measured.RE_ESTIMATED, *adversary.STEPS}
    assert {of for of, metric in rows if metric == MS_SSIM} == states
    assert {of for of, metric in rows if metric == ACCURACY} == states | {Measured.TUNED}
    for (of, _), row in rows.items():
        value = row.in_game if of is Measured.AS_ENDED else row.fresh
        assert value is not None
        assert row.low is not None
        assert row.high is not None
        assert row.low <= value <= row.high


def test_as_ended_is_the_bundles_own_adversary(
    rows: dict[tuple[Measured, str], Row], runner: do.Runner, folder: Path
) -> None:
    audit = runner.opened(folder)
    test, players = audit.seen["test"], audit.target.bundle.players
    features = test.features_of(np.arange(len(test)))
    with torch.no_grad():
        told = (players["AC"](features)[:, 0] >= 0).numpy()
        rebuilt = players["AR"](features)
        truth = do.as_input(test.labelled.pictures.copy(), torch.device("cpu"))
        quality = float(do.ms_ssim(rebuilt, truth).mean())
    right = float((told == test.labelled.private[:, 0]).mean())
    assert rows[Measured.AS_ENDED, ACCURACY].in_game == pytest.approx(right)
    assert rows[Measured.AS_ENDED, MS_SSIM].in_game == pytest.approx(quality, abs=1e-5)


def test_more_steps_rebuild_better(rows: dict[tuple[Measured, str], Row]) -> None:
    few, many = (rows[Measured[f"AFTER_{n}"], MS_SSIM].fresh for n in (10, 250))
    assert few is not None
    assert many is not None
    assert many > few


def test_re_estimated_statistics_are_those_of_the_attackers_pictures(
    runner: do.Runner, folder: Path
) -> None:
    frozen = adversary._Frozen.of(runner, folder)
    network = frozen.re_estimated(deepcopy(frozen.players["AC"]))
    first = next(m for m in network.modules() if isinstance(m, nn.BatchNorm2d))
    convolution = next(m for m in network.modules() if isinstance(m, nn.Conv2d))
    with torch.no_grad():
        maps = convolution(frozen.own.features_of(np.arange(len(frozen.own))))
    torch.testing.assert_close(first.running_mean, maps.mean((0, 2, 3)), atol=1e-4, rtol=1e-3)
    assert not network.training


def test_figures_are_kept_and_broken_ones_named(runner: do.Runner, folder: Path) -> None:
    adversary.rows(runner, folder, "Male")
    path = folder / "adversary.json"
    stamp = path.stat().st_mtime_ns
    adversary.rows(runner, folder, "Male")
    assert path.stat().st_mtime_ns == stamp
    before = path.read_bytes()
    path.write_bytes(before[:-20])
    with pytest.raises(do.InputError, match="delete it to make it again"):
        adversary.rows(runner, folder, "Male")
    path.write_bytes(before)
