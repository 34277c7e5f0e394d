"""One long game, looked at as it goes on."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import deepobfuscator as do
from deepobfuscator.data.synthetic import Synthetic
from deepobfuscator.paper import length
from deepobfuscator.paper.exhibits import BY_NAME_ONLY, needed, wanted
from deepobfuscator.paper.keys import MS_SSIM, Name
from deepobfuscator.paper.reproduce import Reproduction, reproduce
from deepobfuscator.paper.trials import Trials

ROUNDS = (1, 3)


@pytest.fixture(scope="module", autouse=True)
def short() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(length, "ROUNDS", ROUNDS)
        yield


def trials_in(out: Path) -> Trials:
    setting = replace(do.PRESETS["smoke"].config, adversary_epochs=0.5)
    return Trials.of(do.Trial(Synthetic(300), setting=setting), out=out)


def runner() -> do.Runner:
    return do.Runner(torch.device("cpu"))


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("length")


@pytest.fixture(scope="module")
def made(out: Path) -> Reproduction:
    return reproduce(runner(), trials_in(out), [Name.LENGTH])


def test_every_look_has_both_figures_of_both_attacks(made: Reproduction) -> None:
    (exhibit,) = made.exhibits
    assert exhibit.missing == ()
    assert {row.row.rounds for row in exhibit.rows} == set(ROUNDS)
    assert len(exhibit.rows) == 2 * len(ROUNDS)
    for row in exhibit.rows:
        assert row.in_game is not None
        assert row.fresh is not None
    early, late = (r for r in exhibit.rows if r.metric == MS_SSIM)
    assert early.in_game != late.in_game, "the game went on between them"


def test_the_last_look_is_a_game_of_that_length(
    made: Reproduction, out: Path, tmp_path: Path
) -> None:
    assert made.failed == {}
    trials = trials_in(out)
    last = length.specs(trials)[-1]
    runner().train(last.trial, tmp_path / "whole")
    for player in ("O", "C", "AC", "AR"):
        one, other = (
            load_file(folder / "bundle" / f"{player}.safetensors")
            for folder in (last.folder, tmp_path / "whole")
        )
        assert all(torch.equal(one[name], other[name]) for name in other), player


def test_a_look_that_is_missing_is_made_again_as_it_was(made: Reproduction, out: Path) -> None:
    assert made.failed == {}
    trials = trials_in(out)
    first = length.specs(trials)[0]
    path = first.folder / "bundle" / "O.safetensors"
    before = path.read_bytes()
    for kept in (first.folder / "bundle").iterdir():
        kept.unlink()
    (first.folder / "bundle").rmdir()
    length.play(runner(), trials)
    assert path.read_bytes() == before
    stamp = path.stat().st_mtime_ns
    length.play(runner(), trials)
    assert path.stat().st_mtime_ns == stamp


def test_it_is_made_where_it_is_named(tmp_path: Path) -> None:
    trials = trials_in(tmp_path)
    assert not set(wanted(trials, [])) & set(BY_NAME_ONLY)
    assert wanted(trials, ["length"]) == (Name.LENGTH,)
    folders = [spec.folder.name for spec in needed(trials, [Name.LENGTH])]
    assert sum(name.startswith("length-") for name in folders) == len(ROUNDS)
