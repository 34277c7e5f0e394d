"""The field's defences, each on a case whose answer is known."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from scipy.spatial.distance import cdist
from scipy.stats import bernoulli

from deepobfuscator.core.errors import InputError
from deepobfuscator.core.runtime import Context
from deepobfuscator.data.batches import Batch
from deepobfuscator.data.table import Task
from deepobfuscator.defences.base import Defence
from deepobfuscator.defences.coarse import Blur, Pixelate, blurred, pixelated
from deepobfuscator.defences.feature_noise import FeatureNoise
from deepobfuscator.defences.gradient_reversal import GradientReversal
from deepobfuscator.defences.maxent import MaxEntARL, entropy
from deepobfuscator.defences.nopeek import NoPeek, distance_correlation
from deepobfuscator.defences.quantised import Quantised, quantised
from deepobfuscator.defences.undefended import Undefended
from deepobfuscator.training.objectives import Players, Round, TrainConfig

TASK = Task(("A",), ("P", "Q"))
SETTING = TrainConfig(size=(32, 32), width=1 / 32, batch_size=8)


def a_round(defence: Defence) -> tuple[Players, Round]:
    """Eight random pictures, players in evaluation mode so that no dropout is drawn."""
    context = Context(Path("unused"))
    players = defence.players(TASK, SETTING, context)
    draw = torch.Generator().manual_seed(0)
    batch = Batch(
        pictures=torch.rand((8, 3, 32, 32), generator=draw),
        public=torch.randint(2, (8, 1), generator=draw).float(),
        private=torch.randint(2, (8, 2), generator=draw).float(),
    )
    for player in players.values():
        player.eval()
    return players, Round(players, batch, {"O", "C", "AC"}, context)


def slopes(loss: torch.Tensor, players: Players, name: str) -> list[torch.Tensor]:
    parameters = list(players[name].parameters())
    return list(torch.autograd.grad(loss, parameters, retain_graph=True, materialize_grads=True))


# -- adversaries ----------------------------------------------------------------------------------


def test_a_reversed_gradient_is_that_of_l_c_less_l_ac_in_o_and_of_l_ac_in_ac() -> None:
    defence = GradientReversal(lambda1=0.7)
    players, r = a_round(defence)
    both = defence.both(r)
    assert float(both.detach()) == pytest.approx(float((r.L_C + r.L_AC).detach()), rel=1e-5)
    wanted = {"O": r.L_C - 0.7 * r.L_AC, "AC": r.L_AC, "C": r.L_C}
    for name, loss in wanted.items():
        found = zip(slopes(both, players, name), slopes(loss, players, name), strict=True)
        for mine, theirs in found:
            torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-5)
    assert any(float(s.abs().max()) > 1e-4 for s in slopes(both, players, "O"))


def test_entropy_is_scipys_and_highest_at_one_half() -> None:
    logits = torch.tensor([[0.0, 3.0], [-2.0, 0.5], [40.0, -40.0]])
    expected = bernoulli.entropy(torch.sigmoid(logits.double()).numpy()).sum(1).mean()
    assert float(entropy(logits)) == pytest.approx(float(expected), rel=1e-5)
    assert float(entropy(torch.zeros(5, 2))) == pytest.approx(2 * np.log(2))
    assert float(entropy(torch.full((1, 1), 0.1))) < np.log(2)


def test_maxent_pays_o_for_an_adversary_that_knows_nothing() -> None:
    defence = MaxEntARL(lambda1=2.0)
    _, r = a_round(defence)
    l_c = float(r.L_C.detach())
    for logits, told in ((torch.zeros(8, 2), 2 * np.log(2)), (torch.full((8, 2), 30.0), 0.0)):
        r.__dict__["private_logits"] = logits
        assert float(defence.defend(r).detach()) == pytest.approx(l_c - 2 * told, rel=1e-4)


# -- distance correlation -------------------------------------------------------------------------


def by_definition(x: np.ndarray, y: np.ndarray) -> float:
    """Székely, Rizzo and Bakirov (2007), definitions 3 to 5."""
    centred = []
    for samples in (x, y):
        d = cdist(samples, samples)
        centred.append(d - d.mean(0) - d.mean(1, keepdims=True) + d.mean())
    a, b = centred
    return float(np.sqrt((a * b).mean() / np.sqrt((a * a).mean() * (b * b).mean())))


def test_distance_correlation_is_that_of_the_definition() -> None:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(40, 5))
    for y in (x[:, :2] ** 2, draw.normal(size=(40, 3)), x @ draw.normal(size=(5, 7))):
        found = float(distance_correlation(torch.from_numpy(x), torch.from_numpy(y)))
        assert found == pytest.approx(by_definition(x, y), abs=1e-4)


def test_distance_correlation_of_a_turned_and_shifted_copy_is_one() -> None:
    draw = np.random.default_rng(1)
    x = draw.normal(size=(60, 4))
    turned = 3 * x @ np.linalg.qr(draw.normal(size=(4, 4)))[0] + 5
    alike = float(distance_correlation(torch.from_numpy(x), torch.from_numpy(turned)))
    other = torch.from_numpy(draw.normal(size=(60, 4)))
    assert alike == pytest.approx(1, abs=1e-4)
    assert float(distance_correlation(torch.from_numpy(x), other)) < 0.6 * alike


def test_nopeek_lowers_what_features_and_pictures_share() -> None:
    defence = NoPeek(weight=1.0)
    players, r = a_round(defence)
    optimiser = torch.optim.Adam(players["O"].parameters(), lr=0.01)
    seen = []
    for _ in range(30):
        features = players["O"](r.batch.pictures)
        shared = distance_correlation(r.batch.pictures, features)
        seen.append(float(shared.detach()))
        optimiser.zero_grad()
        shared.backward()
        optimiser.step()
    assert np.isfinite(seen).all()
    assert seen[-1] < seen[0] - 0.05
    told = float(defence.defend(r).detach())
    assert told == pytest.approx(float(r.L_C.detach()) + float(r.noted["L_dCor"].detach()))


# -- without an adversary -------------------------------------------------------------------------


def test_noise_on_features_has_its_deviation_and_is_drawn_anew() -> None:
    encoder = FeatureNoise(sigma=0.3).build_encoder(SETTING).eval()
    plain = Undefended().build_encoder(SETTING).eval()
    plain.load_state_dict(encoder.state_dict())
    pictures = torch.rand(64, 3, 32, 32)
    with torch.no_grad():
        one, other, clean = encoder(pictures), encoder(pictures), plain(pictures)
    assert encoder.stochastic
    assert float((one - clean).std()) == pytest.approx(0.3, rel=0.05)
    assert float((one - other).std()) == pytest.approx(0.3 * 2**0.5, rel=0.05)


@pytest.mark.parametrize("size", [(32, 32), (33, 30)])
def test_squares_hold_the_mean_of_their_pixels(size: tuple[int, int]) -> None:
    pictures = torch.rand(2, 3, *size)
    coarse = pixelated(pictures, 8)
    assert coarse.shape == pictures.shape
    for top in range(0, size[0], 8):
        for left in range(0, size[1], 8):
            part = (..., slice(top, top + 8), slice(left, left + 8))
            mean = pictures[part].mean((-2, -1), keepdim=True)
            torch.testing.assert_close(coarse[part], mean.expand_as(coarse[part]))


def test_a_blur_is_scipys() -> None:
    pictures = torch.rand(2, 3, 40, 36, dtype=torch.float64)
    expected = gaussian_filter(
        pictures.numpy(), sigma=(0, 0, 2.0, 2.0), mode="mirror", truncate=3.0
    )
    np.testing.assert_allclose(blurred(pictures, 2.0).numpy(), expected, atol=1e-6)
    grey = torch.full((1, 3, 32, 32), 0.4)
    torch.testing.assert_close(blurred(grey, 4.0), grey)
    assert torch.isfinite(blurred(torch.rand(1, 3, 32, 32), 50.0)).all(), "wider than the picture"


@pytest.mark.parametrize("defence", [Pixelate(block=8), Blur(sigma=3.0)])
def test_a_coarse_encoder_sees_no_fine_detail(defence: Undefended) -> None:
    encoder = defence.build_encoder(SETTING).eval()
    plain = Undefended().build_encoder(SETTING).eval()
    plain.load_state_dict(encoder.state_dict())
    pictures = torch.full((1, 3, 32, 32), 0.5)
    checks = torch.ones(32, 32)
    checks[::2, ::2] = checks[1::2, 1::2] = -1
    with torch.no_grad():
        moved, shown = (
            float((net(pictures + 0.3 * checks) - net(pictures)).abs().max())
            for net in (encoder, plain)
        )
    assert moved < 0.05 * shown


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_levels_are_as_many_as_bits_allow_and_the_nearest(bits: int) -> None:
    features = torch.linspace(-1, 3, 401, requires_grad=True)
    found = quantised(features, bits, 2.0)
    assert len(torch.unique(found)) == 2**bits
    error = (found - features.clamp(0, 2)).abs().max()
    assert float(error.detach()) <= 2 / (2**bits - 1) / 2 + 1e-6
    (slope,) = torch.autograd.grad(found.sum(), features)
    inside = (features > 0) & (features < 2)
    assert (slope[inside] == 1).all()
    assert (slope[(features < 0) | (features > 2)] == 0).all()
    encoder = Quantised(bits=bits).build_encoder(SETTING)
    assert encoder.wire_bits == bits * np.prod(encoder.features)


@pytest.mark.parametrize(
    ("defence", "fields"),
    [
        (GradientReversal, {"lambda1": -1.0}),
        (MaxEntARL, {"lambda1": -1.0}),
        (NoPeek, {"weight": -1.0}),
        (FeatureNoise, {"sigma": -1.0}),
        (Pixelate, {"block": 1}),
        (Blur, {"sigma": 0.0}),
        (Quantised, {"bits": 0}),
        (Quantised, {"most": 0.0}),
    ],
)
def test_a_field_out_of_range_is_named(defence: type, fields: dict[str, float]) -> None:
    (name,) = fields
    with pytest.raises(InputError, match=f"^--{name}"):
        defence(**fields)
