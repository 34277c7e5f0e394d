"""narrow-code: the exact adversary against counts made otherwise, and a planted leak removed."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from deepobfuscator.core.config import from_json, to_json
from deepobfuscator.core.errors import InputError
from deepobfuscator.core.runtime import Context
from deepobfuscator.data.batches import Labelled
from deepobfuscator.data.table import Task
from deepobfuscator.defences.base import Defence
from deepobfuscator.defences.narrow_code import STRATA, Counts, NarrowCode, words
from deepobfuscator.training.objectives import TrainConfig

TASK = Task(("Public",), ("Private",))


def labels(n: int, *columns: int, seed: int = 0) -> list[torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return [(torch.rand(n, c, generator=draw) < 0.4).float() for c in columns]


def test_words_are_the_products_of_their_bits() -> None:
    code = torch.tensor([[0.2, -0.6, 1.0]])
    chance = (1 + code[0]) / 2
    for number, bits in enumerate(product((0, 1), repeat=3)):
        each = [c if b else 1 - c for b, c in zip(bits, chance, strict=True)]
        assert words(code)[0, number] == pytest.approx(float(torch.stack(each).prod()))


def test_the_distance_is_total_variation_within_public_labels() -> None:
    public, private, dice = labels(600, 2, 2, 3)
    code = torch.where(dice + 0.5 * private[:, :1] * public[:, 1:] > 0.45, 1.0, -1.0)
    counts = Counts(2, 2, 3).train()
    found = counts(code, public, private)
    values = (code > 0).numpy() @ np.array([4, 2, 1])
    stratum, hidden = public.numpy() @ np.array([1, 2]), private.numpy()
    for k in range(2):
        expected = 0.0
        for y in range(4):
            rows = stratum == y
            laws = [
                np.bincount(values[rows & (hidden[:, k] == z)], minlength=8)
                / (rows & (hidden[:, k] == z)).sum()
                for z in (0, 1)
            ]
            expected += rows.mean() * 0.5 * np.abs(laws[1] - laws[0]).sum()
        assert float(found[k]) == pytest.approx(expected, rel=1e-4)
    weights = counts.balance(public)
    for column in range(2):
        sides = [weights[public[:, column] == z, column].sum() for z in (0, 1)]
        assert float(sides[0]) == pytest.approx(float(sides[1]), rel=1e-4)


def test_a_step_down_the_distance_reduces_it() -> None:
    public, private = labels(400, 1, 1)
    logits = private - 0.5 + torch.randn(400, 2, generator=torch.Generator().manual_seed(1)) / 2
    counts = Counts(1, 1, 2).train()
    found = []
    logits.requires_grad_()
    for _ in range(40):
        distance = counts(torch.tanh(logits), public, private).sum()
        found.append(float(distance.detach()))
        (slope,) = torch.autograd.grad(distance, logits)
        logits = (logits - 20 * slope).detach().requires_grad_()
    new = float(Counts(1, 1, 2).train()(torch.tanh(logits.detach()), public, private))
    assert found[0] > 0.3
    assert new < found[0] / 5


def test_many_public_labels_share_their_counts() -> None:
    counts = Counts(12, 1, 1).train()
    assert len(counts.table) == STRATA
    public, private, dice = labels(64, 12, 1, 1)
    assert 0 <= float(counts(2 * dice - 1, public, private)) <= 1


def planted(n: int, seed: int) -> Labelled:
    """Upper half bright for the public label (28 %), with noise, so that the private label, which
    the lower half shows and which goes with the public one, helps the service.
    """
    draw = np.random.default_rng(seed)
    public = draw.random(n) < 0.28
    private = draw.random(n) < np.where(public, 0.3, 0.85)
    pictures = draw.integers(60, 100, (n, 32, 32, 3))
    upper = 70 * public + draw.normal(0, 30, n)
    pictures[:, :16] += upper.astype(int)[:, None, None, None]
    pictures[:, 16:] += 120 * private[:, None, None, None]

    def column(values: NDArray[np.bool_]) -> NDArray[np.uint8]:
        return values[:, None].astype(np.uint8)

    pictures = pictures.clip(0, 255).astype(np.uint8)
    return Labelled(pictures, column(public), column(private), np.arange(n))


def test_rare_labels_are_learned_and_the_planted_leak_is_removed(tmp_path: Path) -> None:
    context = Context(tmp_path)
    context.console.quiet = True
    test, distance = planted(600, 1), {}
    for lambda1, passes in ((0.0, 2), (2.0, 8)):
        setting = TrainConfig(size=(32, 32), width=1 / 16, epochs=3, game_epochs=passes)
        defence = NarrowCode(lambda1=lambda1)
        players, _ = defence.fit(TASK, planted(1280, 0), setting, context)
        with torch.no_grad():
            code = players["O"](torch.from_numpy(test.pictures).permute(0, 3, 1, 2).float() / 255)
            said = (players["C"](code)[:, 0] > 0).numpy()
        assert set(code.unique().tolist()) <= {-1.0, 1.0}
        truth = test.public[:, 0] > 0
        assert np.mean([(said == truth)[truth == side].mean() for side in (False, True)]) > 0.8
        public, private = (torch.from_numpy(x).float() for x in (test.public, test.private))
        distance[lambda1] = float(Counts(1, 1, 2).train()(code, public, private))
    assert distance[0.0] > 0.25, "the leak is there to be removed"
    assert distance[2.0] < 0.12


def test_runs_of_the_network_adversary_stay_what_they_were() -> None:
    earlier = {"name": "narrow-code", "bits": 8, "lambda1": 1.5, "attacker_steps": 4, "hidden": 128}
    defence = from_json(Defence, earlier)
    assert to_json(defence) == earlier
    assert [p.name for p in defence.phases(TrainConfig())][-1] == "maximum-entropy game"
    assert set(defence.players(TASK, TrainConfig(), Context(None))) == {"O", "C", "AC"}


def test_codes_too_wide_to_count_need_the_network() -> None:
    with pytest.raises(InputError, match="--attacker-steps 4"):
        NarrowCode(bits=16)
    assert NarrowCode(bits=16, attacker_steps=4).bits == 16
