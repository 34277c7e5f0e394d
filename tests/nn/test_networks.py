"""Shapes and sizes of the networks, against Table 1 and Table 2 written out here as lists."""

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from deepobfuscator.nn.decoders import Decoder, deconv, mirror, resrec, urec1, urec2
from deepobfuscator.nn.narrow import NarrowEncoder
from deepobfuscator.nn.vgg import (
    Classifier,
    Obfuscator,
    conv,
    initialise,
    multiply_accumulates,
    parameter_count,
)

PAPER = (216, 176)
"""Height and width of the paper's pictures in px."""
THIN = 0.05
"""A width at which every network is quick."""
DECODERS = [mirror, urec1, urec2, resrec]


def normed(*channels: int) -> int:
    """Numbers in a chain of 3x3 convolutions without bias, each with batch norm's two a channel."""
    return sum(9 * i * o + 2 * o for i, o in pairwise(channels))


def biased(side: int, inputs: int, outputs: int) -> int:
    """Numbers in one side x side convolution with a bias; side 1 is a fully connected layer too."""
    return side * side * inputs * outputs + outputs


TABLE_1_O = normed(3, 64, 64, 128, 128)
TABLE_1_C = (
    normed(128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
    + biased(1, 512 * (54 // 8) * (44 // 8), 4096)
    + biased(1, 4096, 4096)
    + biased(1, 4096, 1)
)
TABLE_1_AR = normed(128, 128, 64, 64) + biased(3, 64, 3)
TABLE_2 = {
    mirror: TABLE_1_AR,
    urec1: normed(128, *[64] * 3, *[128] * 3, *[256] * 3) + biased(3, 256, 3) + biased(1, 3, 3),
    urec2: normed(128, *[64] * 2, *[128] * 2, *[256] * 2) + biased(3, 256, 3) + biased(1, 3, 3),
    resrec: normed(128, *[64] * 10) + biased(1, 128, 64) + biased(1, 64, 3),
}
"""ResRec's first block changes its channels, so that its skip is a 1x1 convolution."""

FEATURES = {
    "O's map": lambda size: Obfuscator(size, THIN).features,
    "one value": lambda size: (1,),
    "eight values": lambda size: (8,),
    "a 1x1 map": lambda size: (4, 1, 1),
    "a picture": lambda size: (3, *size),
    "odd sides": lambda size: (5, 7, 9),
}
shapes = pytest.mark.parametrize("features", FEATURES.values(), ids=FEATURES)
sizes = pytest.mark.parametrize("size", [(32, 32), (36, 64), (64, 64), PAPER], ids="{0[0]}".format)


def on_meta(build: Callable[[], nn.Module]) -> nn.Module:
    """A network with shapes and without numbers."""
    with torch.device("meta"):
        return build()


def meta(*shape: int) -> Tensor:
    return torch.empty(shape, device="meta")


def draw(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def gradients(network: nn.Module, inputs: Tensor) -> dict[str, Tensor | None]:
    """Gradients of a random functional of the outputs, by the parameter's name."""
    initialise(network, 1)
    outputs = network.train()(inputs)
    (outputs * draw(*outputs.shape)).sum().backward()
    return {name: p.grad for name, p in network.named_parameters()}


def assert_all_reached(network: nn.Module, inputs: Tensor) -> None:
    found = gradients(network, inputs)
    assert found
    assert not [name for name, g in found.items() if g is None or not g.abs().max() > 0]
    assert all(bool(torch.isfinite(g).all()) for g in found.values() if g is not None)


def test_the_papers_networks_have_the_papers_shapes() -> None:
    encoder = on_meta(lambda: Obfuscator(PAPER))
    assert isinstance(encoder, Obfuscator)
    assert encoder.features == (128, 54, 44)
    assert encoder.wire_bits == 128 * 54 * 44 * 32
    features = encoder(meta(2, 3, *PAPER))
    assert features.shape == (2, 128, 54, 44)
    assert on_meta(lambda: Classifier((128, 54, 44), 1, PAPER))(features).shape == (2, 1)
    for build in DECODERS:
        decoder = on_meta(lambda build=build: build((128, 54, 44), PAPER))
        assert decoder(features).shape == (2, 3, *PAPER)


def test_uncropped_celeba_gives_the_same_features() -> None:
    encoder = on_meta(lambda: Obfuscator((218, 178)))
    assert encoder.features == (128, 54, 44)
    assert encoder(meta(1, 3, 218, 178)).shape == (1, 128, 54, 44)


def test_table_1_is_built_to_the_last_number() -> None:
    assert parameter_count(on_meta(lambda: Obfuscator(PAPER))) == TABLE_1_O
    for labels in (1, 7):
        classifier = on_meta(lambda n=labels: Classifier((128, 54, 44), n, PAPER))
        assert parameter_count(classifier) == TABLE_1_C + (labels - 1) * 4097


@pytest.mark.parametrize("build", DECODERS)
def test_decoders_are_built_to_the_last_number(build: Callable[..., Decoder]) -> None:
    assert parameter_count(on_meta(lambda: build((128, 54, 44), PAPER))) == TABLE_2[build]


@pytest.mark.parametrize("width", [0.25, 0.5])
def test_the_width_scales_every_channel(width: float) -> None:
    def thinner(*channels: int) -> list[int]:
        return [round(width * c) for c in channels]

    encoder = Obfuscator((64, 64), width)
    assert encoder.features == (round(128 * width), 16, 16)
    assert parameter_count(encoder) == normed(3, *thinner(64, 64, 128, 128))
    decoder = mirror(encoder.features, (64, 64), width)
    expected = normed(*thinner(128, 128, 64, 64)) + biased(3, round(64 * width), 3)
    assert parameter_count(decoder) == expected


@shapes
@sizes
def test_decoders_paint_pictures_from_any_features(
    size: tuple[int, int], features: Callable[[tuple[int, int]], tuple[int, ...]]
) -> None:
    shape = features(size)
    for build in DECODERS:
        decoder = build(shape, size, THIN)
        initialise(decoder, 0)
        with torch.no_grad():
            pictures = decoder(10 * draw(2, *shape))
        assert pictures.shape == (2, 3, *size)
        assert 0 <= pictures.min() < pictures.max() <= 1


@shapes
@sizes
def test_classifiers_read_any_features(
    size: tuple[int, int], features: Callable[[tuple[int, int]], tuple[int, ...]]
) -> None:
    shape = features(size)
    classifier = Classifier(shape, 5, size, THIN)
    with torch.no_grad():
        assert classifier(draw(3, *shape)).shape == (3, 5)
        assert classifier.eval()(draw(1, *shape)).shape == (1, 5)


@shapes
@pytest.mark.parametrize("build", [*DECODERS, Classifier])
def test_gradients_reach_every_parameter(
    build: Callable[..., nn.Module],
    features: Callable[[tuple[int, int]], tuple[int, ...]],
) -> None:
    size = (32, 32)
    shape = features(size)
    classifies = (2,) if build is Classifier else ()
    assert_all_reached(build(shape, *classifies, size, width=0.1), draw(6, *shape))


def test_gradients_reach_every_parameter_of_o() -> None:
    assert_all_reached(Obfuscator((32, 32), 0.1), draw(6, 3, 32, 32))


@pytest.mark.parametrize("size", [(32, 32), (36, 64)])
@pytest.mark.parametrize("bits", [1, 8])
def test_a_narrow_code_is_signs_and_trains_straight_through(
    size: tuple[int, int], bits: int
) -> None:
    encoder = NarrowEncoder(size, 0.1, bits)
    assert encoder.features == (bits,)
    assert encoder.wire_bits == bits
    pictures = draw(12, 3, *size)
    assert_all_reached(encoder, pictures)
    learning, frozen = encoder.train()(pictures), encoder.eval()(pictures)
    assert learning.shape == frozen.shape == (12, bits)
    assert set(learning.unique().tolist()) == {-1.0, 1.0}
    assert set(frozen.unique().tolist()) <= {-1.0, 1.0}


def test_the_straight_through_gradient_is_that_of_tanh() -> None:
    size, bits = (32, 32), 3
    encoder = NarrowEncoder(size, 0.1, bits).eval()
    initialise(encoder, 0)
    pictures, weights = draw(4, 3, *size), draw(4, bits)
    (given,) = torch.autograd.grad((encoder(pictures) * weights).sum(), encoder.code.weight)
    maps = encoder.blocks(encoder.front(pictures)).flatten(1).detach()
    soft = torch.tanh(encoder.norm(maps @ encoder.code.weight.T))
    (expected,) = torch.autograd.grad((soft * weights).sum(), encoder.code.weight)
    torch.testing.assert_close(given, expected)


@pytest.mark.parametrize("size", [(32, 32), (36, 64), PAPER])
def test_the_reverse_of_a_narrow_encoder_paints_pictures(size: tuple[int, int]) -> None:
    decoder = NarrowEncoder(size, THIN, 8).mirror(size, THIN)
    assert decoder is not None
    assert_all_reached(decoder, draw(4, 8).sign())
    pictures = decoder(draw(4, 8).sign())
    assert pictures.shape == (4, 3, *size)
    assert 0 <= pictures.min() < pictures.max() <= 1


def test_a_plain_encoder_has_no_reverse_of_its_own() -> None:
    assert Obfuscator((32, 32), THIN).mirror((32, 32), THIN) is None


def test_initial_weights_come_from_the_seed_alone() -> None:
    def weights(seed: int, elsewhere: int) -> dict[str, Tensor]:
        torch.manual_seed(elsewhere)
        network = nn.ModuleList(
            [Classifier((5, 7, 9), 2, (32, 32), THIN), resrec((8,), (32, 32), THIN)]
        )
        before = torch.get_rng_state()
        initialise(network, seed)
        assert torch.equal(torch.get_rng_state(), before)
        return network.state_dict()

    one, again, two = weights(1, elsewhere=0), weights(1, elsewhere=5), weights(2, elsewhere=0)
    assert all(torch.equal(one[name], again[name]) for name in one)
    differ = [name for name in one if not torch.equal(one[name], two[name])]
    drawn = [n for n, v in one.items() if n.endswith("weight") and v.dim() > 1]
    assert differ == drawn


@pytest.mark.parametrize(
    ("layer", "inputs"),
    [
        (nn.Conv2d(64, 32, 3), 64 * 9),
        (nn.ConvTranspose2d(64, 32, 3), 64 * 9),
        (nn.Linear(500, 100), 500),
    ],
    ids=["convolution", "transposed convolution", "linear"],
)
def test_weights_have_hes_deviation(layer: nn.Module, inputs: int) -> None:
    """He et al. (2015): deviation sqrt(2 / n) for the n numbers that one output is summed over."""
    initialise(layer, 0)
    assert isinstance(layer.weight, Tensor)
    assert layer.weight.std().item() == pytest.approx(math.sqrt(2 / inputs), rel=0.02)
    assert isinstance(layer.bias, Tensor)
    assert not layer.bias.any()


def test_a_decoder_can_paint_a_pattern_for_either_value_of_a_label() -> None:
    """What the floor from labels alone and every flat code rest on: without a bias from place to
    place, label 0 could only be painted flat.
    """
    coarse = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)).round()
    targets = coarse.repeat_interleave(16, 2).repeat_interleave(16, 3)
    decoder = mirror((1,), (128, 128), 1 / 16)
    initialise(decoder, 0)
    optimiser = torch.optim.Adam(decoder.parameters(), lr=0.02)
    for _ in range(60):
        errors = (decoder(torch.tensor([[0.0], [1.0]])) - targets).square().mean((1, 2, 3))
        optimiser.zero_grad()
        errors.sum().backward()
        optimiser.step()
    assert errors.max().item() < 0.17  # a flat picture is off by .25


@pytest.mark.parametrize("build", [conv, deconv])
def test_a_frozen_norm_is_folded_without_a_change(build: Callable[[int, int], nn.Module]) -> None:
    layer = build(5, 7)
    initialise(layer, 3)
    with torch.no_grad():
        layer.norm.weight.uniform_(0.5, 2)
        layer.norm.bias.uniform_(-1, 1)
    for seed in range(3):  # moves the running statistics
        layer(3 * torch.randn(4, 5, 8, 9, generator=torch.Generator().manual_seed(seed)) + 1)
    layer.eval()
    x = torch.randn(4, 5, 8, 9, generator=torch.Generator().manual_seed(9)).requires_grad_()
    plain = torch.relu(layer.norm(layer.convolution(x)))
    torch.testing.assert_close(layer(x), plain, atol=1e-5, rtol=1e-4)
    (ours,) = torch.autograd.grad(layer(x).square().sum(), x)
    (theirs,) = torch.autograd.grad(plain.square().sum(), x)
    torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-4)


def test_multiply_accumulates_are_kernel_times_channels_times_places() -> None:
    front = [(3, 8, 32 * 48), (8, 8, 32 * 48), (8, 16, 16 * 24), (16, 16, 16 * 24)]
    expected = sum(9 * inputs * outputs * places for inputs, outputs, places in front)
    assert multiply_accumulates(Obfuscator((32, 48), 1 / 8).eval(), (32, 48)) == expected
    assert multiply_accumulates(nn.Flatten(), (32, 48)) == 0
