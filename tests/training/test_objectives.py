"""The equations against NumPy, and who moves when."""

import copy
import math
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from deepobfuscator.core.errors import InputError
from deepobfuscator.core.runtime import Context
from deepobfuscator.data.batches import Batch, Labelled
from deepobfuscator.data.table import Task
from deepobfuscator.defences.base import SERVICE, Defence
from deepobfuscator.defences.cloak import PixelCloak
from deepobfuscator.defences.deepobfuscator import DeepObfuscator
from deepobfuscator.defences.narrow_code import NarrowCode
from deepobfuscator.training.loop import learning_rate, play, play_stage
from deepobfuscator.training.objectives import (
    INFER,
    RECONSTRUCT,
    Phase,
    Players,
    Round,
    Stage,
    TrainConfig,
    stage,
    update,
)

ATTACK = stage("attack", RECONSTRUCT, INFER)
TASK = Task(("A", "B"), ("P", "Q"))
SETTING = TrainConfig(
    size=(32, 32), width=1 / 32, batch_size=8, epochs=1, adversary_epochs=1, game_epochs=2
)


def faces(n: int = 24, seed: int = 0) -> Labelled:
    draw = np.random.default_rng(seed)
    coarse = draw.integers(0, 256, (n, 8, 8, 3), dtype=np.uint8)
    labels = draw.integers(0, 2, (2, n, 2), dtype=np.uint8)
    return Labelled(coarse.repeat(4, 1).repeat(4, 2), labels[0], labels[1], np.arange(n))


def a_run(folder: Path = Path("unused")) -> Context:
    run = Context(folder)
    run.console.quiet = True
    return run


def a_batch(n: int = 8) -> Batch:
    material = faces()
    return material.batch(np.arange(n), torch.device("cpu"), np.random.default_rng(0))


def the_game() -> tuple[Players, DeepObfuscator]:
    defence = DeepObfuscator(lambda1=0.7, lambda2=0.3)
    return defence.players(TASK, SETTING, a_run()), defence


@pytest.fixture(autouse=True)
def _values_only() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Converting a tensor with requires_grad=True")
        yield


def a_round(players: Players, moving: set[str]) -> Round:
    return Round(players, a_batch(), moving, a_run())


# -- equations ------------------------------------------------------------------------------------


def by_hand(logits: np.ndarray, labels: np.ndarray) -> float:
    chance = 1 / (1 + np.exp(-logits.astype(np.float64)))
    entropies = -(labels * np.log(chance) + (1 - labels) * np.log(1 - chance))
    return float(entropies.sum() / len(labels))


@pytest.mark.parametrize(
    ("loss", "logits", "labels"),
    [("L_C", "public_logits", "public"), ("L_AC", "private_logits", "private")],
)
def test_cross_entropies_are_equations_1_and_3(loss: str, logits: str, labels: str) -> None:
    players, _ = the_game()
    r = a_round(players, set())
    expected = by_hand(getattr(r, logits).detach().numpy(), getattr(r.batch, labels).numpy())
    assert float(getattr(r, loss)) == pytest.approx(expected, rel=1e-5)


def test_a_confident_wrong_answer_costs_its_logit() -> None:
    players, _ = the_game()
    r = a_round(players, set())
    r.__dict__["public_logits"] = torch.tensor([[50.0, 0.0]])
    r.batch.public = torch.tensor([[0.0, 1.0]])
    assert float(r.L_C) == pytest.approx(50 + math.log(2), rel=1e-6)


def ms_ssim_by_hand(x: np.ndarray, y: np.ndarray) -> float:
    """MS-SSIM of (3, 32, 32) pictures: two scales, their weights renormalised."""
    t = np.exp(-((np.arange(11) - 5.0) ** 2) / (2 * 1.5**2))
    window = np.outer(t, t) / t.sum() ** 2

    def blur(a: np.ndarray) -> np.ndarray:
        patches = np.lib.stride_tricks.sliding_window_view(a, (11, 11), axis=(1, 2))
        return np.einsum("chwij,ij->chw", patches, window)

    result = np.ones(3)
    for scale, weight in enumerate(np.array([0.0448, 0.2856]) / (0.0448 + 0.2856)):
        mx, my = blur(x), blur(y)
        vx, vy, cov = blur(x * x) - mx**2, blur(y * y) - my**2, blur(x * y) - mx * my
        term = (2 * cov + 0.03**2) / (vx + vy + 0.03**2)
        if scale == 1:
            term *= (2 * mx * my + 0.01**2) / (mx**2 + my**2 + 0.01**2)
        result *= term.mean((1, 2)) ** weight
        x, y = (a.reshape(3, 16, 2, 16, 2).mean((2, 4)) if scale == 0 else a for a in (x, y))
    return float(result.mean())


def a_painter(r: Round, keep: float) -> np.ndarray:
    """Let AR paint a mixture of the truth and grey; gives it as NumPy."""
    truth = r.batch.pictures
    assert truth is not None
    r.__dict__["reconstruction"] = keep * truth + (1 - keep) * 0.5
    return r.reconstruction.double().numpy()


def test_l_ar1_is_equation_6() -> None:
    players, _ = the_game()
    r = a_round(players, set())
    guess = a_painter(r, 0.6)
    assert r.batch.pictures is not None
    truth = r.batch.pictures.double().numpy()
    by_numpy = np.mean([ms_ssim_by_hand(g, t) for g, t in zip(guess, truth, strict=True)])
    assert float(r.L_AR1) == pytest.approx(1 - by_numpy, abs=1e-5)


def test_l_ar2_is_equation_8() -> None:
    """With a noise image that hardly differs from grey, so that the terms stay positive."""
    players, _ = the_game()
    r = a_round(players, set())
    guess = a_painter(r, 0.02)
    torch.manual_seed(5)
    loss = float(r.L_AR2(0.4, 0.005))
    torch.manual_seed(5)
    noise = torch.clamp(0.4 + 0.005 * torch.randn(r.reconstruction.shape), 0, 1).double().numpy()
    by_numpy = np.mean([ms_ssim_by_hand(g, t) for g, t in zip(guess, noise, strict=True)])
    assert 0.2 < by_numpy < 1
    assert loss == pytest.approx(1 - by_numpy, abs=1e-4)


def test_the_noise_image_is_redrawn() -> None:
    players, _ = the_game()
    r = a_round(players, set())
    first, second = float(r.L_AR2(0.5, 0.25)), float(r.L_AR2(0.5, 0.25))
    assert first != second


def test_defender_objectives_are_equations_5_and_9() -> None:
    players, defence = the_game()
    r = a_round(players, {"O"})
    l_c, l_ac, l_ar1 = float(r.L_C), float(r.L_AC), float(r.L_AR1)
    assert float(defence.against_ac(r)) == pytest.approx(l_c - 0.7 * l_ac, rel=1e-5)
    torch.manual_seed(1)
    l_ar2 = float(r.L_AR2(defence.noise_mean, defence.noise_deviation))
    torch.manual_seed(1)
    assert float(defence.against_ar(r)) == pytest.approx(l_c + 0.3 * (l_ar2 - l_ar1), rel=1e-5)


def test_maximum_entropy_is_least_where_the_adversary_says_one_half() -> None:
    defence = NarrowCode(lambda1=2.0, attacker_steps=4)
    players = defence.players(TASK, SETTING, a_run())
    r = a_round(players, {"O", "C"})
    l_c = float(r.L_C)
    r.__dict__["private_logits"] = torch.zeros(8, 2)
    least = float(defence.against_network(r))
    assert least == pytest.approx(l_c + 2.0 * 2 * math.log(2), rel=1e-5)
    for sign in (-1, 1):
        r.__dict__["private_logits"] = torch.full((8, 2), sign * 1.5)
        assert float(defence.against_network(r)) > least


# -- who moves ------------------------------------------------------------------------------------


def changed(players: Players, before: Players) -> set[str]:
    return {
        name
        for name, player in players.items()
        for key, value in player.state_dict().items()
        if not torch.equal(value, before[name].state_dict()[key])
    }


def adams(players: Players) -> dict[str, torch.optim.Optimizer]:
    weights = {name: list(player.parameters()) for name, player in players.items()}
    return {name: torch.optim.Adam(some) for name, some in weights.items() if some}


def every_stage() -> list[tuple[Defence, Stage]]:
    defences = [kind() for kind in Defence.members().values() if kind.trains]
    return [
        (defence, s)
        for defence in (*defences, NarrowCode(attacker_steps=4))
        for phase in defence.phases(SETTING)
        for s in phase.stages
    ]


@pytest.mark.parametrize(("defence", "current"), every_stage(), ids=lambda v: v.name)
def test_a_stage_changes_exactly_its_own_players_buffers_included(
    defence: Defence, current: Stage
) -> None:
    players = defence.parts(defence.players(TASK, SETTING, a_run()))
    if isinstance(cloak := players.get("T"), PixelCloak):  # at first it replaces no pixel
        cloak.rho.data[:, 0] = 2.0
    before = copy.deepcopy(players)
    play_stage(current, a_batch(), players, adams(players), a_run())
    assert changed(players, before) == current.movers


@pytest.mark.parametrize("number", range(4))
def test_batch_statistics_of_frozen_players_move_nobody_else(number: int) -> None:
    defence = DeepObfuscator(frozen_norm="batch")
    players = defence.players(TASK, SETTING, a_run())
    current = defence.phases(SETTING)[-1].stages[number]
    before = copy.deepcopy(players)
    play_stage(current, a_batch(), players, adams(players), a_run())
    assert changed(players, before) == current.movers


def test_a_frozen_player_normalises_by_the_batch_if_told_to() -> None:
    players, _ = the_game()
    batch, seen = a_batch(), {}
    with torch.no_grad():
        features = players["O"].eval()(batch.pictures)
        running = players["C"].eval()(features)
        other = copy.deepcopy(players["C"])
        for norm in other.modules():
            if isinstance(norm, nn.BatchNorm2d):  # dropout stays off
                norm.train()
        by_batch = other(features)
    for told in (False, True):
        found: list[torch.Tensor] = []

        def loss(r: Round, found: list[torch.Tensor] = found) -> torch.Tensor:
            r.batch.features = features
            found.append(r.public_logits.detach())
            return r.L_AC

        current = Stage("look", (update("AC", loss=loss),), by_batch=told)
        optimisers = {"AC": torch.optim.Adam(players["AC"].parameters())}
        play_stage(current, a_batch(), players, optimisers, a_run())
        seen[told] = found[0]
    torch.testing.assert_close(seen[False], running)
    torch.testing.assert_close(seen[True], by_batch)
    assert not torch.allclose(running, by_batch)


@pytest.mark.parametrize("own", [False, True])
def test_adam_of_its_own_does_not_hear_other_stages(own: bool) -> None:
    """A steep stage, then a flat one that pulls the other way: shared moments go on as before."""

    class One(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(1))

    one, trail = One(), list[float]()

    def pull(slope: float) -> Stage:
        def loss(r: Round) -> torch.Tensor:
            trail.append(float(one.weight))
            return slope * one.weight.sum()

        return Stage(f"pull {slope:g}", (update("X", loss=loss),), own_adam=own)

    phase = Phase("tug", 2, (pull(1000.0), pull(-0.001)), anneal=False)
    play({"X": one}, [phase], faces(24), SETTING, a_run())
    assert len(trail) == 6, "two passes of three batches"
    steps = np.diff([*trail, float(one.weight)])
    assert steps[0] < 0
    assert (steps[1] > 0) == own


def test_a_mean_over_attributes_weighs_the_cross_entropies_less() -> None:
    players, _ = the_game()
    r = a_round(players, {"O"})
    l_c, l_ac = float(r.L_C), float(r.L_AC)
    mean = DeepObfuscator(lambda1=0.7, lambda2=0.3, reduction="mean")
    assert float(mean.against_ac(r)) == pytest.approx(l_c / 2 - 0.7 * l_ac / 2, rel=1e-5)
    torch.manual_seed(1)
    unlike = float(r.L_AR2(mean.noise_mean, mean.noise_deviation)) - float(r.L_AR1)
    torch.manual_seed(1)
    assert float(mean.against_ar(r)) == pytest.approx(l_c / 2 + 0.3 * unlike, rel=1e-4)


def test_a_phase_has_its_own_learning_rate_and_is_watched() -> None:
    seen = list[int]()
    moved = {}
    for rate in (1.0, 0.1):
        players, _ = the_game()
        before = copy.deepcopy(players["C"].state_dict())
        only_c = stage("c", update("C", loss=lambda r: r.L_C))
        watch = lambda batch, now: seen.append(batch)  # noqa: E731
        phase = Phase("one step", 1 / 3, (only_c,), rate=rate, watch=watch)
        play(players, [phase], faces(24), SETTING, a_run())
        after = players["C"].state_dict()
        weights = [n for n, v in before.items() if v.is_floating_point() and "running" not in n]
        moved[rate] = max(float((after[n] - before[n]).abs().max()) for n in weights)
    assert moved[0.1] == pytest.approx(moved[1.0] / 10, rel=1e-3), "Adam's first step is its rate"
    assert seen == [1, 1]


@pytest.mark.parametrize(
    "wrong", [{"frozen_norm": "none"}, {"adam": "two"}, {"reduction": "max"}, {"game_rate": 0.0}]
)
def test_a_reading_of_the_game_that_there_is_not_is_refused(wrong: dict[str, object]) -> None:
    (name,) = wrong
    with pytest.raises(InputError, match=f"^--{name.replace('_', '-')} "):
        DeepObfuscator(**wrong)  # type: ignore[arg-type]


def test_algorithm_1_goes_round_its_four_stages_as_printed() -> None:
    *_, game = DeepObfuscator().phases(SETTING)
    movers = [(s.name, s.movers) for s in game.stages]
    assert movers == [
        ("defend against AR", {"O"}),
        ("defend against AC", {"O"}),
        ("attack", {"AR", "AC"}),
        ("recover C", {"C"}),
    ]


@pytest.mark.parametrize(
    ("defence", "players", "stages"),
    [
        (DeepObfuscator(lambda2=0), {"O", "C", "AC"}, ["defend against AC", "attack", "recover C"]),
        (DeepObfuscator(lambda1=0), {"O", "C", "AR"}, ["defend against AR", "attack", "recover C"]),
    ],
)
def test_a_one_sided_defence_is_a_stage_left_out(
    defence: DeepObfuscator, players: set[str], stages: list[str]
) -> None:
    assert set(defence.players(TASK, SETTING, a_run())) == players
    *_, game = defence.phases(SETTING)
    assert [s.name for s in game.stages] == stages
    assert game.movers == sorted(players)


def test_the_turn_of_stages_runs_on_across_epochs() -> None:
    seen: list[str] = []

    def noting(name: str) -> Stage:
        def loss(r: Round) -> torch.Tensor:
            seen.append(name)
            return r.L_C

        return stage(name, update("C", loss=loss))

    players, _ = the_game()
    phase = Phase("turns", 4, tuple(noting(n) for n in "abcd"))
    play(players, [phase], faces(24), SETTING, a_run())  # three batches an epoch
    assert "".join(seen) == "abcdabcdabcd"


def test_frozen_encoder_gets_no_graph() -> None:
    players, _ = the_game()
    assert not a_round(players, {"AC", "AR"}).features.requires_grad
    assert a_round(players, {"O"}).features.requires_grad


class UnevenC(torch.nn.Module):
    """Logits (n, 2) of pooled features, with a frozen layer and one that is never used."""

    def __init__(self, values: int) -> None:
        super().__init__()
        self.frozen = torch.nn.Linear(values, 8).requires_grad_(False)
        self.head, self.unused = torch.nn.Linear(8, 2), torch.nn.Linear(8, 2)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.head(self.frozen(features.flatten(2).mean(2)))  # type: ignore[no-any-return]


def test_unused_and_frozen_parameters_stay_and_the_others_learn() -> None:
    players, _ = the_game()
    players = {"O": players["O"], "C": UnevenC(a_round(players, set()).features.shape[1])}
    for p in list(players["O"].parameters())[:2]:
        p.requires_grad_(False)
    before = copy.deepcopy(players)
    play(players, [Phase("learn", 2, (SERVICE,))], faces(), SETTING, a_run())
    for name in ("O", "C"):
        old = dict(before[name].named_parameters())
        for key, p in players[name].named_parameters():
            stays = not p.requires_grad or key.startswith("unused")
            assert torch.equal(p, old[key]) is stays, key


# -- playing --------------------------------------------------------------------------------------


def test_the_service_learns_what_is_there_to_learn() -> None:
    material = faces(64)
    material.public[:, 0] = (np.arange(64) % 2).astype(np.uint8)
    material.public[:, 1] = material.public[:, 0]
    material.pictures[:] = 90 + 80 * material.public[:, 0][:, None, None, None]
    setting = TrainConfig(size=(32, 32), width=1 / 16, batch_size=16)
    players = Defence.find("undefended")().players(TASK, setting, a_run())
    history = play(players, [Phase("learn", 8, (SERVICE,))], material, setting, a_run())
    assert history[-1]["losses"]["L_C"] < 0.3 * history[0]["losses"]["L_C"]


def test_same_seed_same_game_another_seed_another() -> None:
    def played(seed: int) -> list[dict[str, object]]:
        setting = TrainConfig(size=(32, 32), width=1 / 32, batch_size=8, seed=seed)
        defence = DeepObfuscator()
        players = defence.players(TASK, setting, a_run())
        phases = [Phase(p.name, 1, p.stages) for p in defence.phases(setting)]
        torch.randn(seed + 3)  # whatever ran before must not matter
        return play(players, phases, faces(), setting, a_run())

    assert played(1) == played(1)
    assert played(1) != played(2)


class StoppedError(Exception):
    pass


@pytest.mark.parametrize("stop_at", [1, 4, 7])
def test_resumed_at_any_batch_a_game_ends_as_if_never_stopped(tmp_path: Path, stop_at: int) -> None:
    phases = [
        Phase("service", 1, (SERVICE,)),
        Phase(
            *("attack", 2, (ATTACK,)),
            score=lambda p: float(next(p["AC"].parameters()).sum()),
            renew={"AR": 2},
            rates={"AC": 0.5},
        ),
    ]

    def game(run: Context, checkpoint: Path | None, stop: int | None) -> tuple[Players, object]:
        players = DeepObfuscator().players(TASK, SETTING, run)
        material = faces()
        if stop is not None:

            class Stopping(Labelled):
                count = 0

                def batch(self, *a: object) -> Batch:
                    type(self).count += 1
                    if type(self).count > stop:
                        raise StoppedError
                    return super().batch(*a)  # type: ignore[arg-type]

            material = Stopping(**vars(material))
        return players, play(players, phases, material, SETTING, run, checkpoint)

    whole, whole_history = game(a_run(), None, None)
    run = a_run()
    run.checkpoint_seconds = 0
    checkpoint = tmp_path / "game.ckpt"
    with pytest.raises(StoppedError):
        game(run, checkpoint, stop_at)
    resumed, resumed_history = game(run, checkpoint, None)
    assert resumed_history == whole_history
    assert not changed(resumed, whole)


def test_the_best_epoch_is_kept_not_the_last() -> None:
    players, _ = the_game()
    scores = iter([1.0, 3.0, 2.0])
    states: list[dict[str, torch.Tensor]] = []

    def score(p: Players) -> float:
        states.append({k: v.clone() for k, v in p["C"].state_dict().items()})
        return next(scores)

    phase = Phase("recover", 3, (stage("c", update("C", loss=lambda r: r.L_C)),), score=score)
    play(players, [phase], faces(), SETTING, a_run())
    kept = players["C"].state_dict()
    assert all(torch.equal(kept[k], states[1][k]) for k in kept)
    assert not all(torch.equal(kept[k], states[2][k]) for k in kept)


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    checkpoint = tmp_path / "game.ckpt"
    checkpoint.write_bytes(b"half a file")
    players, _ = the_game()
    with pytest.raises(InputError, match=r"game\.ckpt .*: delete it"):
        play(players, [Phase("s", 1, (SERVICE,))], faces(), SETTING, a_run(), checkpoint)


def test_divergence_is_said() -> None:
    players, _ = the_game()
    broken = stage("broken", update("C", loss=lambda r: r.L_C * math.inf))
    for parameter in players["C"].parameters():
        nn.init.constant_(parameter, math.nan)
    with pytest.raises(InputError, match="training diverged: L_C is nan"):
        play(players, [Phase("p", 1, (broken,))], faces(), SETTING, a_run())


def test_learning_rate_rises_then_falls_to_a_hundredth() -> None:
    rates = [learning_rate(2.0, b, 100) for b in range(100)]
    assert rates[0] == pytest.approx(0.4)
    assert max(rates) == rates[4] == rates[5] == 2.0
    assert rates[5:] == sorted(rates[5:], reverse=True)
    assert rates[-1] == pytest.approx(0.02, rel=0.05)
    assert {learning_rate(2.0, b, 100, anneal=False) for b in range(5, 100)} == {2.0}


def test_bf16_stays_near_fp32() -> None:
    def losses(precision: str) -> dict[str, float]:
        players, _ = the_game()
        run = Context(Path("unused"), precision=precision)
        run.console.quiet = True
        setting = TrainConfig(size=(32, 32), width=1 / 32, batch_size=8)
        return play(players, [Phase("a", 2, (ATTACK,))], faces(), setting, run)[-1]["losses"]

    exact, rough = losses("fp32"), losses("bf16")
    assert exact.keys() == rough.keys()
    for name in exact:
        assert rough[name] == pytest.approx(exact[name], rel=0.05)
