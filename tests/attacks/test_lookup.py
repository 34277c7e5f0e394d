"""Attackers on codes of few values, and neighbours, against leaks that were planted."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from deepobfuscator.attacks.base import Fitted
from deepobfuscator.attacks.codebook import Codebook
from deepobfuscator.attacks.infer import LinearProbe
from deepobfuscator.attacks.knn import Neighbours
from deepobfuscator.attacks.lookup import TOO_MANY, Lookup, few_values
from deepobfuscator.attacks.threat import AttackerData, Threat
from deepobfuscator.attacks.trained import outputs
from deepobfuscator.core.runtime import Context
from deepobfuscator.data.batches import Labelled
from deepobfuscator.training.objectives import TrainConfig

SIZE = (32, 32)
RATES = np.array([0.04, 0.1, 0.25, 0.45, 0.55, 0.7, 0.88, 0.97])
"""Share of positives of each of eight code words."""


def run(folder: Path) -> Context:
    context = Context(folder)
    context.console.quiet = True
    return context


def seen(features: Tensor, labels: np.ndarray, pictures: np.ndarray | None = None) -> AttackerData:
    """Inputs of which the attacker sees ``features``; their pictures do not matter by default."""
    n = len(labels)
    if pictures is None:
        pictures = np.zeros((n, *SIZE, 3), dtype=np.uint8)
    labels = labels.astype(np.uint8)
    labelled = Labelled(pictures, labels[:, :1], labels, np.arange(n))
    return AttackerData(
        labelled, None, tuple(features.shape[1:]), kept={False: features, True: features}
    )


def threat(own: AttackerData, validation: AttackerData) -> Threat:
    setting = TrainConfig(size=SIZE, width=1 / 64, infer_epochs=5, learning_rate=1e-2)
    return Threat(own, validation, SIZE, setting)


def bits(words: np.ndarray) -> Tensor:
    """Three signs a word, not exactly 1 and -1, as a straight-through code is."""
    signs = torch.from_numpy((words[:, None] >> np.arange(3) & 1) * 2 - 1).float()
    return signs * (1 + 3e-7 * torch.rand(signs.shape))


def coded(n: int, seed: int) -> AttackerData:
    draw = np.random.default_rng(seed)
    words = draw.integers(0, 8, n)
    labels = draw.random((n, 2)) < np.stack((RATES[words], RATES[7 - words]), 1)
    return seen(bits(words), labels)


def balanced(guess: np.ndarray, truth: np.ndarray) -> float:
    return float((guess[truth == 1].mean() + 1 - guess[truth == 0].mean()) / 2)


def test_lookup_finds_the_log_odds_of_each_value(tmp_path: Path) -> None:
    n = 16_000
    fitted = Lookup().fit(threat(coded(n, 1), coded(1000, 2)), run(tmp_path))
    words = np.arange(8)
    found = fitted(bits(words)).numpy()
    truth = np.log(RATES / (1 - RATES))
    # Standard error of a log-odds: 1 / sqrt(n p (1 - p)); smoothing adds little to it.
    error = 1 / np.sqrt(n / 8 * RATES * (1 - RATES))
    assert (np.abs(found[:, 0] - truth) < 4 * error + 0.05).all()
    assert (np.abs(found[:, 1] - truth[::-1]) < 4 * error[::-1] + 0.05).all()


def test_lookup_reaches_the_bayes_balanced_accuracy(tmp_path: Path) -> None:
    fitted = Lookup().fit(threat(coded(8000, 1), coded(1000, 2)), run(tmp_path))
    test = coded(8000, 3)
    guess = outputs(fitted, test, run(tmp_path)).numpy()
    truth = test.labelled.private
    # The best rule calls a word positive where its likelihood ratio is above 1.
    overall = RATES.mean()
    called, others = overall < RATES, 1 - RATES
    best = ((RATES * called).sum() / RATES.sum() + (others * ~called).sum() / others.sum()) / 2
    for k in range(2):
        threshold = np.log(overall / (1 - overall))
        reached = balanced(guess[:, k] > threshold, truth[:, k])
        assert reached == pytest.approx(best, abs=0.02)  # four standard errors


def test_a_value_never_seen_has_the_overall_rate(tmp_path: Path) -> None:
    own, validation = coded(4000, 1), coded(500, 2)
    fitted = Lookup().fit(threat(own, validation), run(tmp_path))
    rate = own.labelled.private.mean(0)
    found = torch.sigmoid(fitted(torch.full((1, 3), 0.5)))[0].numpy()
    assert found == pytest.approx(rate, abs=1e-3)


def test_rare_values_are_smoothed_more_where_validation_says_so(tmp_path: Path) -> None:
    """Words that say nothing: what four inputs of each happen to show is noise."""
    draw = np.random.default_rng(0)

    def noise(n: int) -> AttackerData:
        words = torch.from_numpy(draw.integers(0, 400, n)).float()
        return seen(words[:, None], draw.random((n, 1)) < 0.5)

    fitted = Lookup().fit(threat(noise(1600), noise(1600)), run(tmp_path))
    logits = fitted(torch.arange(400.0)[:, None])
    assert logits.abs().max() < 0.5


def test_only_codes_of_few_values_have_a_table() -> None:
    draw = torch.Generator().manual_seed(0)
    labels = np.arange(2000)[:, None] % 2

    def lacks(features: Tensor) -> str:
        data = seen(features, labels[: len(features)])
        assert Codebook().lacks(threat(data, data)) == Lookup().lacks(threat(data, data))
        return Lookup().lacks(threat(data, data))

    assert lacks(torch.randn(2000, 5, generator=draw)) == TOO_MANY, "continuous"
    assert lacks(torch.randn(60, 5, generator=draw)) == TOO_MANY, "continuous, few inputs"
    assert lacks(torch.randint(0, 1500, (2000, 1), generator=draw).float()) == TOO_MANY
    assert not lacks(torch.randint(0, 300, (2000, 1), generator=draw).float())
    assert not lacks(torch.randint(0, 2, (2000, 2, 2, 2), generator=draw).float()), "a map"
    assert not lacks(torch.zeros(2000, 4)), "one value"


def test_values_are_told_apart_by_more_than_rounding() -> None:
    words = np.arange(64) % 8
    data = seen(bits(words), np.zeros((64, 1)))
    found = few_values(data)
    assert found is not None
    values, places = found
    assert len(values) == 8
    assert all(len(np.unique(places[words == w])) == 1 for w in range(8))
    assert values.places(-bits(np.array([0]))) == places[7], "all signs turned"
    assert values.places(torch.zeros(1, 3)) == -1


def painted(n: int, seed: int) -> tuple[AttackerData, np.ndarray]:
    """Noise pictures around one base picture for each of eight words."""
    draw = np.random.default_rng(seed)
    bases = np.random.default_rng(0).integers(40, 216, (8, *SIZE, 3))
    words = draw.integers(0, 8, n)
    pictures = (bases[words] + draw.integers(-40, 40, (n, *SIZE, 3))).astype(np.uint8)
    return seen(bits(words), words[:, None] % 2, pictures), words


def test_a_codebook_holds_the_mean_picture_of_each_value(tmp_path: Path) -> None:
    own, words = painted(400, 1)
    threat_ = threat(own, painted(100, 2)[0])
    fitted = Codebook(strengths=(0.0,)).fit(threat_, run(tmp_path))
    found = fitted(bits(np.arange(8)))
    pictures = own.labelled.pictures.astype(np.float64) / 255
    for word in range(8):
        mean = torch.from_numpy(pictures[words == word].mean(0)).permute(2, 0, 1).float()
        torch.testing.assert_close(found[word], mean, atol=1e-5, rtol=0)
    everyone = torch.from_numpy(pictures.mean(0)).permute(2, 0, 1).float()
    torch.testing.assert_close(fitted(torch.zeros(1, 3))[0], everyone, atol=1e-5, rtol=0)
    assert torch.equal(Codebook().fit(threat_, run(tmp_path))(bits(words)), fitted(bits(words)))


def test_a_codebook_of_words_that_say_nothing_is_shrunk(tmp_path: Path) -> None:
    draw = np.random.default_rng(3)
    base = np.random.default_rng(0).integers(60, 196, (*SIZE, 3))

    def noise(n: int) -> AttackerData:
        pictures = (base + draw.integers(-60, 60, (n, *SIZE, 3))).astype(np.uint8)
        words = torch.from_numpy(draw.integers(0, 40, (n, 1))).float()
        return seen(words, np.zeros((n, 1)), pictures)

    own, validation = noise(200), noise(100)
    fitted = Codebook().fit(threat(own, validation), run(tmp_path))
    plain = Codebook(strengths=(0.0,)).fit(threat(own, validation), run(tmp_path))
    words = torch.arange(40.0)[:, None]
    assert fitted(words).var(0).mean() < 0.2 * plain(words).var(0).mean()


def parity(n: int, seed: int) -> AttackerData:
    """The label is whether two of four noisy values have the same sign."""
    draw = np.random.default_rng(seed)
    features = draw.standard_normal((n, 4)) * [5, 0.1, 0.5, 0.5]
    label = (features[:, 0] > 0) ^ (features[:, 1] > 0)
    return seen(torch.from_numpy(features).float(), label[:, None])


def accuracy(fitted: Fitted, test: AttackerData, context: Context) -> float:
    guess = outputs(fitted, test, context).numpy()[:, 0] > 0
    return balanced(guess, test.labelled.private[:, 0])


def test_neighbours_find_a_parity_that_no_linear_reader_does(tmp_path: Path) -> None:
    """Values on different scales count alike."""
    context, given, test = run(tmp_path), threat(parity(2000, 1), parity(300, 2)), parity(600, 3)
    assert abs(accuracy(LinearProbe().fit(given, context), test, context) - 0.5) < 0.1
    for counts in ((15,), Neighbours.counts, (10**6,)):
        assert accuracy(Neighbours(counts=counts).fit(given, context), test, context) > 0.85


def test_neighbours_in_pieces_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given, test = threat(parity(500, 1), parity(100, 2)), parity(200, 3)
    whole = outputs(Neighbours().fit(given, run(tmp_path)), test, run(tmp_path))
    monkeypatch.setattr("deepobfuscator.attacks.knn.PAIRS", 700)
    pieces = outputs(Neighbours().fit(given, run(tmp_path)), test, run(tmp_path))
    torch.testing.assert_close(whole, pieces, atol=1e-3, rtol=1e-3)


def test_neighbours_of_constant_features_know_the_rate_alone(tmp_path: Path) -> None:
    labels = (np.random.default_rng(0).random((400, 1)) < 0.3).astype(np.uint8)
    own = seen(torch.full((400, 3), 7.0), labels)
    fitted = Neighbours().fit(threat(own, own), run(tmp_path))
    logits = fitted(torch.full((5, 3), 7.0))
    assert torch.isfinite(logits).all()
    assert (logits == logits[0]).all()
