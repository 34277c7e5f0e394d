"""Defences that are layers after the undefended encoder, each on a case whose answer is known."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn import decomposition
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from torch import nn
from torch.distributions import Normal, kl_divergence
from torch.utils.flop_counter import FlopCounterMode

from deepobfuscator.core.errors import InputError
from deepobfuscator.core.runtime import Context
from deepobfuscator.data.batches import Batch, Labelled
from deepobfuscator.data.table import Task
from deepobfuscator.defences.answer_only import AnswerOnly
from deepobfuscator.defences.base import Defence
from deepobfuscator.defences.disco import ChannelFilter, Disco
from deepobfuscator.defences.leace import Eraser, Leace, Moments
from deepobfuscator.defences.pca import PCA, Components
from deepobfuscator.defences.shredder import LearnedNoise, Shredder
from deepobfuscator.defences.undefended import Undefended
from deepobfuscator.defences.vib import VIB, Gaussian, divergence
from deepobfuscator.nn.vgg import differentiable
from deepobfuscator.training.bundle import Bundle
from deepobfuscator.training.objectives import Loss, Players, Round, TrainConfig

TASK = Task(("A", "B"), ("P",))
SETTING = TrainConfig(size=(32, 32), width=1 / 32, batch_size=8, epochs=1, game_epochs=1)


def a_run() -> Context:
    run = Context(Path("unused"))
    run.console.quiet = True
    return run


def faces(n: int = 24) -> Labelled:
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 2, (n, 3), dtype=np.uint8)
    pictures = draw.integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)
    return Labelled(pictures, labels[:, :2], labels[:, 2:], np.arange(n))


def fitted(defence: Defence) -> Players:
    return defence.fit(TASK, faces(), SETTING, a_run())[0]


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


class Reader(nn.Module):
    """Logits that are four times one of the features."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return 4 * features[:, self.at : self.at + 1]


def learnt(tail: nn.Module, loss: Loss, steps: int = 150) -> None:
    """T alone, on features whose first value is the private label and whose second the public one,
    both -1 or 1, which AC and C read.
    """
    draw = torch.Generator().manual_seed(0)
    features = torch.randint(2, (64, 4), generator=draw).float() * 2 - 1
    labels = (features + 1) / 2
    optimiser = torch.optim.Adam(tail.parameters(), lr=0.05)
    players = {"T": tail, "AC": Reader(0), "C": Reader(1)}
    torch.manual_seed(0)
    for _ in range(steps):
        batch = Batch(features=features, private=labels[:, :1], public=labels[:, 1:2])
        optimiser.zero_grad()
        loss(Round(players, batch, {"T"}, a_run())).backward()
        optimiser.step()


# -- the answer alone -----------------------------------------------------------------------------


def test_the_answer_is_the_sign_of_what_the_undefended_networks_say() -> None:
    players, plain = fitted(AnswerOnly()), fitted(Undefended())
    whole, pictures = players["O"], torch.rand(32, 3, 32, 32)
    assert isinstance(players["C"], nn.Identity)
    assert (whole.features, whole.wire_bits) == ((2,), 2)
    with torch.no_grad():
        logits = plain["C"](plain["O"](pictures))
        bits = whole(pictures)
    assert torch.equal(bits, torch.where(logits >= 0, 1.0, -1.0))
    assert not any(module.training for module in whole.modules())


def test_the_device_pays_for_the_classifier() -> None:
    def operations(network: nn.Module, shape: tuple[int, ...]) -> int:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network.eval()(torch.zeros(1, *shape))
        return counter.get_total_flops()

    answer = AnswerOnly().players(TASK, SETTING, a_run())
    plain = Undefended().players(TASK, SETTING, a_run())
    encoder, classifier = plain["O"], plain["C"]
    both = operations(encoder, (3, 32, 32)) + operations(classifier, encoder.features)
    assert operations(answer["O"], (3, 32, 32)) == both > operations(encoder, (3, 32, 32))
    assert differentiable(answer["O"], (32, 32)), "white-box attackers have a gradient"


# -- variational information bottleneck -----------------------------------------------------------


def test_divergence_is_that_of_torch_and_0_for_the_prior() -> None:
    mean, deviation = torch.randn(5, 3, 2, 2), torch.rand(5, 3, 2, 2) + 0.1
    each = kl_divergence(Normal(mean, deviation), Normal(0.0, 1.0))
    expected = each.sum((1, 2, 3)).mean()
    torch.testing.assert_close(divergence(mean, deviation), expected)
    assert float(divergence(torch.zeros(2, 4), torch.ones(2, 4))) == 0


@pytest.mark.parametrize("shape", [(6,), (6, 2, 3)])
def test_features_are_drawn_with_their_mean_and_deviation(shape: tuple[int, ...]) -> None:
    tail, features = Gaussian(shape), torch.randn(1, *shape).expand(4000, *shape)
    with torch.no_grad():
        mean, deviation = tail.posterior(features[:1])
        drawn = tail(features)
    assert (deviation > 0).all()
    torch.testing.assert_close(drawn.std(0), deviation[0], rtol=0.1, atol=0)
    torch.testing.assert_close(drawn.mean(0), mean[0], rtol=0, atol=0.01)


def test_the_bottleneck_costs_beta_times_the_divergence() -> None:
    defence = VIB(beta=0.5)
    players = defence.players(TASK, SETTING, a_run())
    assert players["O"].stochastic
    parts = defence.parts(players)
    batch = Batch(pictures=torch.rand(8, 3, 32, 32), public=torch.ones(8, 2))
    r = Round({n: p.eval() for n, p in parts.items()}, batch, {"O", "T", "C"}, a_run())
    loss = defence.bottleneck(r)
    noted = {name: float(value) for name, value in r.losses().items()}
    assert float(loss.detach()) == pytest.approx(noted["L_C"] + 0.5 * noted["L_KL"], rel=1e-5)


# -- LEACE ----------------------------------------------------------------------------------------


def correlated(shape: tuple[int, ...], n: int = 400) -> tuple[torch.Tensor, torch.Tensor]:
    """Features (n, *shape) that tell of both labels (n, 2), which depend on each other."""
    draw = torch.Generator().manual_seed(1)
    first = torch.randint(2, (n, 1), generator=draw)
    turned = torch.rand((n, 1), generator=draw) < 0.3
    labels = torch.cat((first, torch.where(turned, 1 - first, first)), 1)
    values = int(np.prod(shape))
    mixed = torch.randn((n, values), generator=draw) @ torch.randn((values, values), generator=draw)
    told = labels.float() @ torch.randn((2, values), generator=draw) * 3
    return (mixed + told + 2).reshape(n, *shape), labels


def covariance(features: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    flat, z = features.flatten(1).double(), labels.double()
    return (flat - flat.mean(0)).T @ (z - z.mean(0)) / len(z)


def erased(features: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    tail, moments = Eraser(tuple(features.shape[1:]), labels.shape[1]), Moments()
    assert torch.equal(tail(features), features), "nothing is settled yet"
    for rows in torch.arange(len(features)).split(150):
        moments.add(features[rows], labels[rows])
    tail.settle(moments)
    return tail(features)


def test_leace_is_the_map_of_the_theorem() -> None:
    features, labels = correlated((12,))
    x = features.double().numpy()
    away = x - x.mean(0)
    values, vectors = np.linalg.eigh(away.T @ away / len(x))
    whiten = vectors @ np.diag(values**-0.5) @ vectors.T
    told = whiten @ covariance(features, labels).numpy()
    onto = told @ np.linalg.pinv(told)
    expected = x - away @ (np.linalg.inv(whiten) @ onto @ whiten).T
    found = erased(features, labels).numpy()
    assert np.abs(found - expected).max() < 0.01 * np.abs(x - expected).max()


@pytest.mark.parametrize("shape", [(12,), (3, 2, 2)])
def test_no_linear_reader_beats_a_constant_one(shape: tuple[int, ...]) -> None:
    features, labels = correlated(shape)
    clean = erased(features, labels)
    before, after = covariance(features, labels), covariance(clean, labels)
    assert after.abs().max() < 1e-5 * before.abs().max()
    for column in labels.T.numpy():
        constant = log_loss(column, np.full(len(column), column.mean()))
        losses = []
        for read in (features, clean):
            rows = read.flatten(1).numpy()
            told = LogisticRegression(C=1e4, max_iter=2000).fit(rows, column)
            losses.append(log_loss(column, told.predict_proba(rows)))
        assert losses[0] < 0.8 * constant
        assert losses[1] == pytest.approx(constant, abs=1e-4)


def test_one_label_twice_is_erased_as_well() -> None:
    features, labels = correlated((5,))
    twice = labels[:, :1].repeat(1, 2)
    assert covariance(erased(features, twice), twice).abs().max() < 1e-4


def test_a_trained_encoder_keeps_nothing_linear_of_the_defenders_pictures() -> None:
    data, run = faces(), a_run()
    private = torch.from_numpy(data.private)
    plain, clean = (
        covariance(Bundle(fitted(d), {}).encode(data.pictures, run), private).abs().max()
        for d in (Undefended(), Leace())
    )
    assert clean < 1e-3 * plain


# -- principal components -------------------------------------------------------------------------


def test_components_are_those_of_scikit_learn_and_restore_what_they_span() -> None:
    draw = torch.Generator().manual_seed(2)
    flat = torch.randn((40, 3), generator=draw) @ torch.randn((3, 12), generator=draw) + 1
    samples = flat.reshape(40, 3, 2, 2)
    tail = Components((3, 2, 2), 3)
    tail.settle(samples)
    expected = decomposition.PCA(3).fit(flat.numpy())
    alike = np.abs(expected.components_ @ tail.basis.numpy())
    np.testing.assert_allclose(alike, np.eye(3), atol=1e-4)
    torch.testing.assert_close(tail.restored(tail(samples)), samples, rtol=0, atol=1e-4)
    with pytest.raises(InputError, match="--components 4: the features of 40 pictures have only 3"):
        Components((3, 2, 2), 4).settle(samples)


def test_a_projection_sends_k_numbers_and_the_cloud_restores_them() -> None:
    players, data = fitted(PCA(components=5)), faces()
    assert (players["O"].features, players["O"].wire_bits) == ((5,), 160)
    code = Bundle(players, {}).encode(data.pictures, a_run())
    assert code.mean(0).abs().max() < 1e-4 * code.std(0).max()
    spread = code.var(0)
    assert (spread.diff() <= 0).all(), "the first tells most"
    products = code.T @ code
    assert (products - products.diag().diag()).abs().max() < 1e-4 * products.max()
    tail = players["O"].tail
    assert players["C"].components is tail
    with torch.no_grad():
        logits = players["C"](code)
        torch.testing.assert_close(logits, players["C"].classifier(tail.restored(code)))


# -- DISCO ----------------------------------------------------------------------------------------


def test_channels_of_the_lowest_scores_are_pruned() -> None:
    tail = ChannelFilter(4, 2)
    scores = torch.tensor([[0.1, 0.9, 0.5, 0.3], [4.0, 3.0, 2.0, 1.0]], requires_grad=True)
    kept = tail.kept(scores)
    assert kept.tolist() == [[0, 1, 1, 0], [1, 1, 0, 0]]
    (slope,) = torch.autograd.grad(kept[0, 0], scores)
    assert slope[0, 0] > 0
    assert slope[0, 2] < 0, "the lowest score that is kept is what the others are held against"
    features = torch.rand(3, 4, 2, 2) + 0.1
    there = (tail(features) != 0).flatten(2)
    assert (there.all(2) == there.any(2)).all(), "a channel is kept whole"
    assert (there.any(2).sum(1) == 2).all()


def test_the_filter_prunes_the_channel_that_the_adversary_reads() -> None:
    torch.manual_seed(3)
    tail = ChannelFilter(4, 3)  # three of four: one channel is left
    learnt(tail, Disco(weight=0.5).prune)
    features = torch.randint(2, (32, 4)).float() * 2 - 1
    kept = tail.kept(tail.scores(features))
    assert (kept.argmax(1) == 1).float().mean() > 0.9, "the public channel stays"


# -- Shredder -------------------------------------------------------------------------------------


def test_noise_grows_where_the_service_does_not_read() -> None:
    torch.manual_seed(0)
    tail = LearnedNoise((4,), tensors=3, scale=0.1)
    learnt(tail, Shredder(weight=0.1).shred)
    size = tail.noise.detach().abs().mean(0)
    assert size[1] < 1, "the service bears no more"
    assert (size[[0, 2, 3]] > 5).all()


def test_each_message_takes_one_of_the_learned_tensors() -> None:
    tail, features = LearnedNoise((2, 3, 3), tensors=4, scale=1.0), torch.rand(200, 2, 3, 3)
    added = (tail(features) - features).flatten(1)
    apart = torch.cdist(added, tail.noise.flatten(1)).detach()
    assert apart.min(1).values.max() < 1e-2
    counts = torch.bincount(apart.argmin(1), minlength=4)
    assert (counts > 20).all()
    assert tail.size().item() == pytest.approx(tail.noise.abs().sum().item() / 4, rel=1e-5)
    assert not LearnedNoise((2,), tensors=1, scale=1.0).stochastic


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: VIB(beta=-1.0), "beta"),
        (lambda: PCA(components=0), "components"),
        (lambda: Disco(ratio=1.0), "ratio"),
        (lambda: Disco(weight=1.5), "weight"),
        (lambda: Shredder(tensors=0), "tensors"),
        (lambda: Shredder(scale=0.0), "scale"),
        (lambda: Shredder(weight=-1.0), "weight"),
    ],
)
def test_a_field_out_of_range_is_named(make: Callable[[], Defence], name: str) -> None:
    with pytest.raises(InputError, match=f"^--{name} must"):
        make()
