"""Encoders made elsewhere: what is audited is what they give, as they give it."""

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor
from torch.nn import functional

from deepobfuscator.core.config import from_json, key, to_json
from deepobfuscator.core.errors import InputError
from deepobfuscator.core.runtime import Context
from deepobfuscator.data.table import Task
from deepobfuscator.defences.base import Defence
from deepobfuscator.defences.external import External
from deepobfuscator.defences.raw import Raw
from deepobfuscator.nn import external as brought
from deepobfuscator.nn.external import check_memory, examine, open_encoder
from deepobfuscator.nn.vgg import initialise
from deepobfuscator.training import bundle as bundles
from deepobfuscator.training.bundle import Bundle
from deepobfuscator.training.objectives import TrainConfig

SIZE = (32, 36)
TASK = Task(("A",), ("P",))
PICTURES = np.random.default_rng(1).integers(0, 256, (70, *SIZE, 3), dtype=np.uint8)
PICTURES[::2] = PICTURES[::2] * 0.7  # dynamic quantisation scales by the brightest in the batch


def as_batch(pictures: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255


@pytest.fixture
def reference(weights: list[NDArray[np.float32]]) -> Callable[[Tensor], Tensor]:
    """What the default ONNX file computes, by torch."""
    kernel, bias = map(torch.from_numpy, weights)
    return lambda batch: functional.conv2d(batch, kernel, bias, padding=1).relu()


@pytest.fixture
def run(tmp_path: Path) -> Context:
    return Context(tmp_path, console=Console(quiet=True))


def test_an_onnx_encoder_gives_what_torch_gives_with_the_same_weights(
    onnx_file: Callable[..., str],
    reference: Callable[[Tensor], Tensor],
) -> None:
    encoder = open_encoder(onnx_file())
    batch = as_batch(PICTURES)
    torch.testing.assert_close(encoder(batch), reference(batch), atol=1e-5, rtol=1e-5)
    assert encoder.features == (4, *SIZE)
    assert encoder.wire_bits == 32 * 4 * SIZE[0] * SIZE[1]
    assert encoder.size == SIZE
    assert not encoder.differentiable
    assert not encoder.training
    # Laid out channels last, as the pictures of a table are, it is the same batch.
    strided = batch.contiguous(memory_format=torch.channels_last)
    assert torch.equal(encoder(strided), encoder(batch))


def test_a_quantised_encoder_is_audited_as_itself_one_picture_at_a_time(
    onnx_file: Callable[..., str],
    reference: Callable[[Tensor], Tensor],
    run: Context,
    caplog: pytest.LogCaptureFixture,
) -> None:
    plain = onnx_file()
    quantization = pytest.importorskip("onnxruntime.quantization")
    quantised = plain.replace(".onnx", "-int8.onnx")
    with caplog.at_level(logging.ERROR):
        quantization.quantize_dynamic(plain, quantised, weight_type=quantization.QuantType.QUInt8)
    encoder = open_encoder(quantised, SIZE)
    batch = as_batch(PICTURES)
    error = (encoder(batch) - reference(batch)).abs().max()
    assert 1e-3 < error < 0.5, "near the float encoder, not the same"

    assert not torch.allclose(encoder(batch)[:1], encoder(batch[:1]), atol=1e-3)
    examine(encoder, PICTURES, run)
    assert encoder.one_at_a_time
    assert not encoder.stochastic
    assert torch.equal(encoder(batch)[3:4], encoder(batch[3:4]))
    examine(encoder, PICTURES, run)
    assert encoder.one_at_a_time, "a second look, one picture at a time, does not take it back"
    assert torch.equal(encoder(batch)[:5], encoder(batch[:5]))

    ordinary = open_encoder(plain)
    examine(ordinary, PICTURES, run)
    assert not ordinary.one_at_a_time
    assert not ordinary.stochastic


@pytest.mark.parametrize(
    ("kind", "bits"), [(1, 32), (3, 8), (9, 8), (10, 16), (11, 64)], ids=lambda x: str(x)
)
def test_wire_bits_are_those_of_the_type_that_leaves_the_device(
    onnx_file: Callable[..., str], kind: int, bits: int
) -> None:
    encoder = open_encoder(
        onnx_file([("Cast", ["x"], ["y"], {"to": kind})], gives=kind, constants={})
    )
    assert encoder.wire_bits == bits * 3 * SIZE[0] * SIZE[1]
    assert encoder(torch.ones(2, 3, *SIZE)).dtype == torch.float32
    assert encoder(torch.ones(2, 3, *SIZE)).unique().tolist() == [1]


@pytest.mark.parametrize(
    ("body", "features"),
    [
        ("return x[:, :2, ::4, ::4]", (2, 8, 9)),
        ("return x.mean((2, 3))", (3,)),
        ("return x.mean((1, 2, 3))", (1,)),
        ("return x[:, 0, :4]", (4 * SIZE[1],)),
        ("return x[:, None, :, :2, :2]", (12,)),
    ],
)
def test_features_are_a_map_or_flat(
    theirs: Callable[[str], str], body: str, features: tuple[int, ...]
) -> None:
    encoder = open_encoder(theirs(body), SIZE)
    assert encoder.features == features
    answer = encoder(as_batch(PICTURES[:3]))
    assert answer.shape == (3, *features)
    assert encoder.wire_bits == 32 * answer[0].numel()


def test_a_torch_encoder_is_an_instance_or_what_a_callable_gives(
    module: Callable[[str], str],
) -> None:
    name = module(
        """
        def build(side=8):
            return nn.Sequential(nn.AvgPool2d(side), nn.Dropout(0.5))
        made = build()
        """
    )
    batch = torch.rand(2, 3, 64, 64)
    for attribute in ("made", "build"):
        encoder = open_encoder(f"{name}:{attribute}")
        assert encoder.size == (64, 64)
        assert torch.equal(encoder(batch), functional.avg_pool2d(batch, 8)), "no dropout"


@pytest.mark.parametrize(
    ("body", "differentiable"),
    [
        ("return x[:, :, ::2]", True),
        ("return torch.softmax(x.flatten(1), 1)", True),
        ("return torch.sign(x - 0.5)", False),
        ("return (x > 0.5).to(torch.int8)", False),
        ("return x.detach()", False),
        ("return torch.from_numpy(x.numpy()) * 2", False),
    ],
)
def test_differentiable_means_that_a_gradient_reaches_the_picture(
    theirs: Callable[[str], str], body: str, differentiable: bool
) -> None:
    encoder = open_encoder(theirs(body), SIZE)
    assert encoder.differentiable is differentiable
    with torch.no_grad():
        assert encoder(as_batch(PICTURES[:2])).isfinite().all()


def test_whatever_handles_players_leaves_a_brought_encoder_as_it_is(
    module: Callable[[str], str], run: Context
) -> None:
    name = module(
        """
        class E(nn.Module):
            def __init__(self):
                super().__init__()
                self.first = nn.Conv2d(3, 3, 3, padding=1)
                self.second = nn.Conv2d(3, 3, 3, padding=1)
                self.second.weight = self.first.weight
                self.norm = nn.BatchNorm2d(3)

            def forward(self, x):
                x.sub_(0.5)
                return self.norm(self.second(self.first(x))).view(len(x), -1)
        """
    )
    defence = External.of(f"{name}:E")
    setting = TrainConfig(size=SIZE)
    batch = as_batch(PICTURES[:4])
    kept = batch.clone()
    before = open_encoder(f"{name}:E", SIZE)(batch)
    assert torch.equal(batch, kept)

    players = defence.players(TASK, setting, run)
    initialise(run.place(players["O"]), 5)
    Bundle(players, {"key": "k"}).save(run.folder / "bundle")
    loaded = bundles.load(run.folder / "bundle", defence.players(TASK, setting, run), run)
    for encoder in (players["O"].train(), loaded.encoder):
        assert torch.equal(encoder(batch), before)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(encoder(batch), before)
        assert not any(p.requires_grad for p in encoder.ask.args[0].parameters())
    examine(loaded.encoder, PICTURES, run)
    assert not loaded.encoder.stochastic


def test_noise_is_noticed_in_torch_and_in_onnx(
    theirs: Callable[[str], str], onnx_file: Callable[..., str], run: Context
) -> None:
    noisy = "return x + 0.01 * torch.randn_like(x)"
    seeded = "torch.manual_seed(3); return x + torch.randn_like(x)"
    nodes = [("RandomNormalLike", ["x"], ["r"], {}), ("Add", ["x", "r"], ["y"], {})]
    file = onnx_file(nodes, constants={})
    state = torch.get_rng_state()
    for target, stochastic in (
        (theirs(noisy), True),
        (theirs(seeded), False),
        (file, True),
    ):
        encoder = open_encoder(target, SIZE)
        examine(encoder, PICTURES, run)
        assert encoder.stochastic is stochastic
        assert not (stochastic and encoder.one_at_a_time)
    assert torch.equal(torch.get_rng_state(), state), "whoever asks keeps its random stream"
    batch = as_batch(PICTURES[:2])
    one, other = (open_encoder(file)(batch) for _ in range(2))
    assert torch.equal(one, other), "opened again, a noisy file draws the same"


@pytest.mark.parametrize("noise", ["", " + torch.randn_like(x)"])
def test_features_that_are_no_numbers_are_counted(
    theirs: Callable[[str], str], run: Context, noise: str
) -> None:
    body = f"return torch.where(x.mean((1, 2, 3), keepdim=True) > 0.4, x / 0, x){noise}"
    encoder = open_encoder(theirs(body), SIZE)
    with pytest.raises(InputError) as error:
        examine(encoder, PICTURES[:10], run)
    assert "5 of 10 pictures" in str(error.value)


def test_the_same_features_for_every_picture_are_refused_unless_there_is_noise(
    theirs: Callable[[str], str], run: Context
) -> None:
    constant = open_encoder(theirs("return x[:, :1] * 0 + 3"), SIZE)
    with pytest.raises(InputError) as error:
        examine(constant, PICTURES, run)
    assert "the same features for all of 64 pictures" in str(error.value)
    noise = open_encoder(theirs("return torch.randn_like(x)"), SIZE)
    examine(noise, PICTURES, run)
    assert noise.stochastic
    nearly = "return 1e4 + 1e-3 * x.double()"
    examine(open_encoder(theirs(nearly), SIZE), PICTURES, run)


def test_memory_that_cannot_do_is_noticed_before_it_is_taken(
    theirs: Callable[[str], str], run: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = open_encoder(theirs("return x"), SIZE)
    code = open_encoder(theirs("return x.flatten(1)"), SIZE)
    values = 3 * SIZE[0] * SIZE[1]
    batch, widest, lift = 4 * 2000 * 2 * values, 16 * values * 256, 16 * values * 64 * 64
    for encoder, free, remedy in (
        (grid, batch - 1, "lower --batch-size"),
        (grid, batch, None),
        (grid, widest - 1, "lower --batch-size"),
        (code, lift - 1, "pool the features"),
        (code, lift, None),
    ):
        monkeypatch.setattr(brought, "free_memory", lambda device, free=free: free)
        if remedy is None:
            check_memory(encoder, 2000, 0.5, run)
            continue
        with pytest.raises(InputError) as error:
            check_memory(encoder, 2000, 0.5, run)
        assert remedy in str(error.value)
        assert "GiB are free" in str(error.value)
    monkeypatch.setattr(brought, "free_memory", lambda device: widest - 1)
    with pytest.raises(InputError, match="pool the features in the encoder, or lower --width"):
        check_memory(grid, 8, 0.5, run)


def test_a_brought_defence_is_named_by_what_is_in_the_file(
    onnx_file: Callable[..., str], reference: Callable[[Tensor], Tensor], run: Context
) -> None:
    path = Path(onnx_file())
    defence = External.of(str(path))
    assert defence.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert from_json(Defence, to_json(defence)) == defence
    moved = path.rename(path.with_name("moved.onnx"))
    assert key(External.of(str(moved))) == key(defence), "where it lies does not count"

    moved.rename(path)
    setting = TrainConfig(size=SIZE)
    players = defence.players(TASK, setting, run)
    assert list(players) == ["O"]
    assert defence.phases(setting) == []
    Bundle(players, {"key": "k"}).save(run.folder / "bundle")
    loaded = bundles.load(run.folder / "bundle", defence.players(TASK, setting, run), run)
    torch.testing.assert_close(
        loaded.encode(PICTURES, run), reference(as_batch(PICTURES)), atol=1e-5, rtol=1e-5
    )

    other = Path(
        onnx_file(constants={"w": np.ones((4, 3, 3, 3), np.float32), "b": np.zeros(4, np.float32)})
    )
    other.rename(path)
    with pytest.raises(InputError) as error:
        defence.players(TASK, setting, run)
    assert "is not what it was" in str(error.value)


def test_the_raw_defence_sends_the_pictures(run: Context) -> None:
    defence = Raw()
    assert from_json(Defence, to_json(defence)) == defence
    players = defence.players(TASK, TrainConfig(size=SIZE), run)
    bundle = Bundle(players, {})
    assert list(players) == ["O"]
    assert torch.equal(bundle.encode(PICTURES, run), as_batch(PICTURES))
    assert bundle.encoder.features == (3, *SIZE)
    assert bundle.encoder.wire_bits == 8 * PICTURES[0].nbytes
    examine(bundle.encoder, PICTURES, run)
    assert not bundle.encoder.stochastic
