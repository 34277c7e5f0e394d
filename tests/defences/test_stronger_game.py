"""The paper's game made stronger, field by field; at their defaults the game is the paper's."""

import copy
from collections.abc import Callable
from math import log
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from deepobfuscator.core.config import from_json, to_json
from deepobfuscator.core.errors import InputError
from deepobfuscator.core.runtime import Context
from deepobfuscator.data.batches import Batch, Labelled
from deepobfuscator.data.table import Task
from deepobfuscator.defences.base import SERVICE, Defence
from deepobfuscator.defences.deepobfuscator import DeepObfuscator
from deepobfuscator.nn.vgg import renew
from deepobfuscator.training.loop import derive_seed, play
from deepobfuscator.training.objectives import (
    INFER,
    RECONSTRUCT,
    Phase,
    Players,
    Round,
    TrainConfig,
    stage,
    update,
)

TASK = Task(("A",), ("P", "Q"))
SETTING = TrainConfig(
    size=(32, 32), width=1 / 32, batch_size=8, epochs=1, adversary_epochs=1, game_epochs=2
)


def a_run() -> Context:
    run = Context(Path("unused"))
    run.console.quiet = True
    return run


def noise(n: int = 24) -> Labelled:
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 2, (n, 3), dtype=np.uint8)
    pictures = draw.integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)
    return Labelled(pictures, labels[:, :1], labels[:, 1:], np.arange(n))


def played(phases: list[Phase]) -> tuple[Players, object]:
    players = DeepObfuscator().players(TASK, SETTING, a_run())
    return players, play(players, phases, noise(), SETTING, a_run())


def test_at_the_defaults_the_game_is_algorithm_1_step_for_step() -> None:
    attack = stage("attack", RECONSTRUCT, INFER)
    by_hand = [
        Phase("pre-train O, C", 1, (SERVICE,)),
        Phase("pre-train AC, AR", 1, (attack,)),
        Phase(
            "algorithm 1",
            2,
            (
                stage("AR", update("O", loss=lambda r: r.L_C + (r.L_AR2(0.5, 0.25) - r.L_AR1))),
                stage("AC", update("O", loss=lambda r: r.L_C - r.L_AC)),
                attack,
                stage("recover C", update("C", loss=lambda r: r.L_C)),
            ),
            anneal=False,
        ),
    ]
    (mine, curves), (theirs, expected) = (
        played(phases) for phases in (DeepObfuscator().phases(SETTING), by_hand)
    )
    assert curves == expected
    for name, player in mine.items():
        for key, value in player.state_dict().items():
            assert torch.equal(value, theirs[name].state_dict()[key]), (name, key)


def test_at_the_defaults_the_fields_are_not_on_disk() -> None:
    new = {"ac_goal", "attacker_steps", "attacker_rate", "renew_every"}
    assert not new & set(to_json(DeepObfuscator()))
    strong = DeepObfuscator(ac_goal="entropy", attacker_steps=3, attacker_rate=2.0, renew_every=50)
    assert new <= set(to_json(strong))
    assert from_json(Defence, to_json(strong)) == strong


def test_attackers_take_their_steps_in_the_game_alone() -> None:
    _, before, game = DeepObfuscator(attacker_steps=3).phases(SETTING)
    assert [s.repeat for s in before.stages] == [1]
    assert [s.repeat for s in game.stages] == [1, 1, 3, 1]


def test_entropy_is_sought_with_the_weight_of_the_error() -> None:
    defence = DeepObfuscator(ac_goal="entropy", lambda1=0.7)
    players = {name: p.eval() for name, p in defence.players(TASK, SETTING, a_run()).items()}
    batch = Batch(torch.rand(8, 3, 32, 32), torch.ones(8, 1), torch.ones(8, 2))
    r = Round(players, batch, {"O"}, a_run())
    for logit, told in ((0.0, 2 * log(2)), (30.0, 2 * 15.0), (-30.0, 2 * 15.0)):
        r.__dict__["private_logits"] = torch.full((8, 2), logit)
        expected = float(r.L_C.detach()) + 0.7 * told
        assert float(defence.against_ac(r).detach()) == pytest.approx(expected, rel=1e-5)


def moved(before: dict[str, Tensor], after: dict[str, Tensor], names: list[str]) -> float:
    return max(float((after[n] - before[n]).abs().max()) for n in names)


def test_attackers_have_a_learning_rate_of_their_own() -> None:
    *_, game = DeepObfuscator(attacker_rate=0.1).phases(SETTING)
    assert dict(game.rates) == {"AC": 0.1, "AR": 0.1}
    players = DeepObfuscator().players(TASK, SETTING, a_run())
    before = {n: copy.deepcopy(p.state_dict()) for n, p in players.items()}
    once = Phase("once", 1, (stage("attack", INFER, RECONSTRUCT),), rates={"AC": 0.1})
    play(players, [once], noise(8), SETTING, a_run())
    for name, rate in (("AC", 1e-4), ("AR", 1e-3)):
        weights = [n for n, _ in players[name].named_parameters()]
        # The first step of Adam is the learning rate, whatever the gradient.
        change = moved(before[name], players[name].state_dict(), weights)
        assert change == pytest.approx(rate, rel=0.01)


def test_attackers_start_anew_after_their_rounds() -> None:
    *_, game = DeepObfuscator(renew_every=5).phases(SETTING)
    assert dict(game.renew) == {"AC": 5, "AR": 5}
    seen: dict[int, dict[str, Tensor]] = {}

    def look(number: int, players: Players) -> None:
        seen[number] = copy.deepcopy(players["AC"].state_dict())

    players = DeepObfuscator().players(TASK, SETTING, a_run())
    fresh = copy.deepcopy(players["AC"])
    weights = [n for n, _ in fresh.named_parameters()]
    phase = Phase("game", 2, (stage("attack", INFER),), renew={"AC": 2}, anneal=False, watch=look)
    play(players, [phase], noise(), SETTING, a_run())
    renew(fresh, derive_seed(SETTING.seed, 0, 2, 3))
    # Batch 3 begins with new weights and an Adam that has seen nothing.
    assert moved(fresh.state_dict(), seen[3], weights) == pytest.approx(1e-3, rel=0.01)
    assert moved(seen[2], seen[3], weights) > 0.1
    assert moved(seen[3], seen[4], weights) < 2e-3
    norms = {k: v for k, v in seen[3].items() if k.endswith("num_batches_tracked")}
    assert all(int(v) == 1 for v in norms.values())


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: DeepObfuscator(ac_goal="chance"), "--ac-goal chance: take one of error, entropy"),
        (lambda: DeepObfuscator(attacker_steps=0), "--attacker-steps must be at least 1"),
        (lambda: DeepObfuscator(attacker_rate=0.0), "--attacker-rate must be above 0"),
        (lambda: DeepObfuscator(renew_every=-1), "--renew-every must not be negative"),
    ],
)
def test_wrong_values_get_one_line(make: Callable[[], object], says: str) -> None:
    with pytest.raises(InputError, match=says):
        make()
