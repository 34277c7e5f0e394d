"""Encoders as people export them: each kind is audited as it is, or refused in one line."""

import random
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor, nn
from torch.nn import functional

from deepobfuscator.core.errors import InputError
from deepobfuscator.core.runtime import Context
from deepobfuscator.defences.external import External
from deepobfuscator.nn.external import ExternalEncoder, examine, open_encoder
from deepobfuscator.nn.targets import GIVEN, fingerprint

SIZE = (32, 36)
PICTURES = np.random.default_rng(1).integers(0, 256, (9, *SIZE, 3), dtype=np.uint8)
BATCH = torch.from_numpy(PICTURES).permute(0, 3, 1, 2).float() / 255
LUMA = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
ENCODER = """
import warnings
warnings.simplefilter("ignore")  # torch.jit is deprecated, and in use
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 4, 4)
        self.norm = nn.BatchNorm2d(4)
    def forward(self, x):
        return torch.relu(self.norm(self.conv(x)))
def made():
    net = Net().eval()
    with torch.no_grad():
        net.conv.weight.copy_(torch.linspace(-1, 1, 192).view(4, 3, 4, 4))
        net.conv.bias.fill_(0.1)
    return net
"""


def reference(batch: Tensor) -> Tensor:
    kernel = torch.linspace(-1, 1, 192).view(4, 3, 4, 4)
    return functional.conv2d(batch, kernel, torch.full((4,), 0.1), 4).div(1.00001**0.5).relu()


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test is a process of its own, as far as encoders go that were opened."""
    GIVEN.clear()


@pytest.fixture(autouse=True)
def torch_says() -> Any:
    with warnings.catch_warnings():
        for said in (".*torch.jit.*", ".*sparse.*", ".*nested.*", ".*quant.*", ".*lazy.*"):
            warnings.filterwarnings("ignore", said)
        warnings.filterwarnings("ignore", module="torch")
        yield


def opened(target: str, **more: Any) -> ExternalEncoder:
    """As an audit does: named, opened, looked at; then once more, as a later process does."""
    external = External.of(target, SIZE, **more)
    encoder = external.open(SIZE)
    examine(encoder, PICTURES, Context(Path(), console=Console(quiet=True)))
    GIVEN.clear()
    again = external.open(SIZE)
    torch.testing.assert_close(again(BATCH), encoder(BATCH))
    return encoder


@pytest.mark.parametrize(
    ("code", "alone"),
    [
        ("def E(): return torch.jit.script(made())", False),
        ("def E(): return torch.jit.freeze(torch.jit.script(made()))", False),
        ("def E(): return torch.jit.optimize_for_inference(torch.jit.script(made()))", False),
        ("def E(): return torch.jit.trace(made(), torch.rand(1, 3, 32, 36))", False),
        ("def E(): return torch.export.export(made(), (torch.rand(1, 3, 32, 36),))", True),
        ("def E(): return torch.export.export(made(), (torch.rand(5, 3, 32, 36),))", True),
        (
            "b = torch.export.Dim('b')\n"
            "def E():\n"
            "    x = (torch.rand(2, 3, 32, 36),)\n"
            "    return torch.export.export(made(), x, dynamic_shapes=({0: b},))",
            False,
        ),
        (
            "def E(): return torch.export.export(made(), (torch.rand(1, 3, 32, 36),)).module()",
            True,
        ),
        ("def E(): return torch.fx.symbolic_trace(made())", False),
        ("def E(): return nn.DataParallel(made())", False),
        ("class zoo: best = made()\nE = zoo", False),
        ("def E():\n    net = made()\n    return lambda x: net(x).detach().numpy()", False),
        (
            "def E():\n    import io, torch.package as p\n    file = io.BytesIO()\n"
            "    with p.PackageExporter(file) as out:\n"
            "        out.intern(__name__)\n        out.extern('**')\n"
            "        out.save_pickle('net', 'net.pkl', made())\n"
            "    file.seek(0)\n    return p.PackageImporter(file).load_pickle('net', 'net.pkl')",
            False,
        ),
    ],
)
def test_a_module_of_any_kind_gives_what_it_gives(
    module: Callable[[str], str], code: str, alone: bool
) -> None:
    encoder = opened(f"{module(ENCODER + code)}:E{'.best' if 'zoo' in code else ''}")
    assert encoder.features == (4, 8, 9)
    assert encoder.one_at_a_time is alone
    torch.testing.assert_close(encoder(BATCH), reference(BATCH), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("make", ["torch.jit.script", "torch.jit.freeze", "optimize", "export"])
def test_other_weights_or_code_have_another_name(
    module: Callable[[str], str], make: str, forgotten: None
) -> None:
    built = {
        "torch.jit.script": "torch.jit.script(net)",
        "torch.jit.freeze": "torch.jit.freeze(torch.jit.script(net))",
        "optimize": "torch.jit.optimize_for_inference(torch.jit.script(net))",
        "export": "torch.export.export(net, (torch.rand(1, 3, 32, 36),))",
    }[make]
    relu = ENCODER + "def E():\n    net = made()\n    {}\n    return " + built
    same, weights = relu.format("pass"), relu.format("net.conv.weight.data[3, 0, 0, 0] += 1")
    code = same.replace("torch.relu", "torch.tanh")
    prints = [fingerprint(f"{module(text)}:E", SIZE) for text in (same, same, weights, code)]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3


@pytest.mark.parametrize(
    ("dtype", "close"), [("float16", 2e-2), ("bfloat16", 2e-1), ("float64", 1e-5)]
)
@pytest.mark.parametrize("freeze", [False, True])
def test_a_module_of_another_precision_is_asked_in_it(
    module: Callable[[str], str], dtype: str, close: float, freeze: bool
) -> None:
    net = f"made().to(torch.{dtype})"
    net = f"torch.jit.freeze(torch.jit.script({net}))" if freeze else net
    encoder = opened(f"{module(f'{ENCODER}def E(): return {net}')}:E")
    assert encoder.wire_bits == torch.finfo(getattr(torch, dtype)).bits * 4 * 8 * 9
    torch.testing.assert_close(encoder(BATCH), reference(BATCH), atol=close, rtol=close)


def test_a_grey_module_is_given_grey(module: Callable[[str], str]) -> None:
    encoder = opened(f"{module('def E(): return nn.Conv2d(1, 4, 4, 4)')}:E")
    assert str(encoder.intake) == "grey"
    assert encoder.features == (4, 8, 9)


@pytest.mark.parametrize(
    "layers",
    [
        "nn.LazyConv2d(8, 4, 4)",
        "nn.LazyConv2d(8, 4, 4), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(5)",
    ],
)
def test_lazy_layers_are_drawn_once_and_alike(
    module: Callable[[str], str], layers: str, theirs: Callable[[str], str]
) -> None:
    encoder = opened(f"{module(f'def E(): return nn.Sequential({layers})')}:E")
    assert encoder(BATCH).std() > 0.01


def test_a_lazy_module_that_is_handed_over_stays_lazy() -> None:
    lazy = nn.Sequential(nn.LazyConv2d(8, 4, 4))
    external = External.of(lazy, SIZE)
    assert torch.equal(external.open(SIZE)(BATCH), external.open(SIZE)(BATCH))
    assert lazy[0].has_uninitialized_params()


def test_what_cannot_be_copied_is_asked_itself(module: Callable[[str], str]) -> None:
    net = "nn.utils.weight_norm(nn.Conv2d(3, 4, 4, 4))"
    assert opened(f"{module(f'def E(): return {net}')}:E").features == (4, 8, 9)
    owned = nn.utils.weight_norm(nn.Conv2d(3, 4, 4, 4))
    open_encoder(owned, SIZE)
    assert all(weight.requires_grad for weight in owned.parameters())


@pytest.mark.parametrize(
    "draw",
    ["torch.randn(4, 3)", "torch.from_numpy(np.random.randn(4, 3))", "random.random() + P"],
)
@pytest.mark.parametrize("attribute", ["first", "build"])
def test_weights_drawn_at_import_and_when_made_are_drawn_alike(
    module: Callable[[str], str], draw: str, attribute: str
) -> None:
    name = module(
        f"""
        import random
        import numpy as np
        P = torch.linspace(-1, 1, 12).view(4, 3)
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.register_buffer("w", ({draw}).float())
            def forward(self, x):
                return torch.einsum("nchw,oc->nohw", x, self.w)
        first = Net()
        def build():
            return Net()
        """
    )
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    encoder = External.of(f"{name}:{attribute}", SIZE)
    again = External.of(f"{name}:{attribute}", SIZE)
    assert encoder == again
    assert torch.equal(encoder.open(SIZE)(BATCH), again.open(SIZE)(BATCH))
    assert states[0] == random.getstate()
    assert states[1] == np.random.get_state()[1].tolist()
    assert torch.equal(states[2], torch.get_rng_state())


def test_weights_that_no_seed_fixes_are_drawn_once(module: Callable[[str], str]) -> None:
    code = """
    import numpy as np
    def E():
        net = nn.Conv2d(3, 4, 4, 4)
        draw = np.random.default_rng()
        net.weight.data = torch.from_numpy(draw.normal(size=(4, 3, 4, 4))).float()
        return net
    """
    external = External.of(f"{module(code)}:E", SIZE)
    assert torch.equal(external.open(SIZE)(BATCH), external.open(SIZE)(BATCH))
    GIVEN.clear()
    with pytest.raises(InputError, match="is not what it was"):
        external.open(SIZE)


POOLED = "nn.functional.avg_pool2d(x, 4)"


@pytest.mark.parametrize(
    ("given", "bits"),
    [
        ("{z}.to_sparse()", 32),
        ("{z}.flatten(1).to_sparse_csr()", 32),
        ("torch.quantize_per_tensor({z}, 1 / 255, 0, torch.quint8)", 8),
        ("torch.nested.nested_tensor(list({z}), layout=torch.strided)", 32),
        ("{z}.to_mkldnn()", 32),
        ("{z}.to(torch.bfloat16)", 16),
        ("({z} * 255).to(torch.uint16)", 16),
        ("({z} > 0.5)", 8),
        ("{z}.squeeze()", 32),
        ("{z}.transpose(0, 1)", 32),
        ("{z}.permute(0, 2, 3, 1)", 32),
        ("({z},)", 32),
        ("[[{z}]]", 32),
        ("dict(z={z})", 32),
        ("{z}.numpy()[::-1][::-1, ..., ::-1]", 32),
        ("{z}.numpy().astype('>f4')", 32),
        ("{z}.view(1, -1) if len(x) == 1 else 1 / 0", 32),
    ],
)
def test_features_of_any_type_and_layout_become_dense_floats(
    theirs: Callable[[str], str], given: str, bits: int
) -> None:
    encoder = opened(theirs(f"return {given.format(z=POOLED)}"))
    answer = encoder(BATCH)
    assert answer.dtype == torch.float32
    assert answer.shape == (9, *encoder.features)
    assert answer[0].numel() == 3 * 8 * 9
    assert encoder.wire_bits == bits * 3 * 8 * 9
    assert torch.equal(answer[4:5], encoder(BATCH[4:5]))


def test_complex_features_are_their_two_parts(theirs: Callable[[str], str]) -> None:
    encoder = opened(theirs(f"return torch.fft.fft({POOLED}).conj()"))
    expected = torch.view_as_real(torch.fft.fft(functional.avg_pool2d(BATCH, 4)).conj_physical())
    torch.testing.assert_close(encoder(BATCH), expected.flatten(1))
    assert encoder.wire_bits == 64 * 3 * 8 * 9


def test_features_that_are_not_of_one_shape_are_said(theirs: Callable[[str], str]) -> None:
    encoder = open_encoder(theirs("return x[:, :, : 2 + int(x[0, 0, 0, 0] > 0.5)]"), SIZE)
    bright, dark = torch.ones(1, 3, *SIZE), torch.zeros(1, 3, *SIZE)
    with pytest.raises(InputError, match="let it give one shape for all"):
        (encoder(bright), encoder(dark))


@pytest.mark.parametrize(
    ("body", "output", "said"),
    [
        ("return x[:, :1], x[:, 1:]", "1", None),
        ("return {'code': x[:, 1:], 'logits': x[:, :1]}", "code", None),
        ("return {'code': x[:, 1:], 'logits': x[:, :1]}", "cod", "did you mean code?"),
        ("return x[:, 1:]", "code", "has one output without a name: drop --output code"),
    ],
)
def test_one_of_several_outputs_of_a_module_is_named(
    theirs: Callable[[str], str], body: str, output: str, said: str | None
) -> None:
    if said is None:
        assert torch.equal(opened(theirs(body), output=output)(BATCH), BATCH[:, 1:])
        return
    with pytest.raises(InputError, match=said):
        opened(theirs(body), output=output)


# -- ONNX -----------------------------------------------------------------------------------------

LAST = ("Transpose", ["x"], ["t"], {"perm": [0, 3, 1, 2]})
CONV = ("Conv", ["t", "w", "b"], ["y"], {"pads": [1] * 4})
SCALED = [("Cast", ["x"], ["c"], {"to": 1}), ("Div", ["c", "s"], ["t"], {})]
S255 = np.float32(255)


def grey(batch: Tensor) -> Tensor:
    return (batch * LUMA).sum(1, keepdim=True)


@pytest.mark.parametrize(
    ("written", "said", "alone"),
    [
        ({"shape": ("n", *SIZE, 3), "nodes": [LAST, CONV]}, "channels last", False),
        ({"shape": (1, *SIZE, 3), "nodes": [LAST, CONV]}, "channels last", True),
        ({"dtype": np.uint8, "nodes": [*SCALED, CONV]}, "uint8, 0 to 255", False),
        ({"dtype": np.int32, "nodes": [*SCALED, CONV]}, "int32, 0 to 255", False),
        (
            {"dtype": np.float16, "nodes": [SCALED[0], ("Mul", ["c", "one"], ["t"], {}), CONV]},
            "float16",
            False,
        ),
        (
            {"dtype": np.float64, "nodes": [SCALED[0], ("Mul", ["c", "one"], ["t"], {}), CONV]},
            "float64",
            False,
        ),
        ({"shape": (1, 3, *SIZE)}, "", True),
        ({"shape": (8, 3, *SIZE)}, "", True),
        ({"shape": ("n", 3, "h", "w")}, "", False),
        ({"shape": (None, None, None, None)}, "", False),
        ({"shape": (None, None, None, 3), "nodes": [LAST, CONV]}, "channels last", False),
        ({"shape": (3, *SIZE), "nodes": [("Unsqueeze", ["x", "zero"], ["t"], {}), CONV]}, "", True),
    ],
)
def test_an_onnx_file_is_given_what_it_takes(
    onnx_file: Callable[..., str],
    weights: list[NDArray[np.float32]],
    written: dict[str, Any],
    said: str,
    alone: bool,
) -> None:
    constants = dict(zip("wb", weights, strict=True))
    constants |= {"s": S255, "one": np.float32(1), "zero": np.array([0])}
    relu = [("Relu", ["y"], ["z"], {})]
    nodes = [*written.get("nodes", [("Identity", ["x"], ["t"], {}), CONV]), *relu]
    target = onnx_file(**(written | {"nodes": nodes, "constants": constants, "outputs": ("z",)}))
    encoder = opened(target)
    assert str(encoder.intake) == said
    assert encoder.one_at_a_time is alone
    kernel, bias = map(torch.from_numpy, weights)
    expected = functional.conv2d(BATCH, kernel, bias, padding=1).relu()
    close = 1e-2 if said == "float16" else 1e-5
    torch.testing.assert_close(encoder(BATCH), expected, atol=close, rtol=close)


@pytest.mark.parametrize("shape", [("n", 1, *SIZE), ("n", *SIZE, 1), (1, *SIZE)])
def test_a_grey_onnx_file_is_given_grey(
    onnx_file: Callable[..., str], shape: tuple[int | str, ...]
) -> None:
    encoder = opened(onnx_file([("Relu", ["x"], ["y"], {})], shape=shape, constants={}))
    assert str(encoder.intake).startswith("grey")
    torch.testing.assert_close(encoder(BATCH).flatten(), grey(BATCH).flatten())


def test_a_batch_of_one_within_the_graph_is_noticed(onnx_file: Callable[..., str]) -> None:
    flat = [("Reshape", ["x", "s"], ["y"], {})]
    for one in (-1, 3 * SIZE[0] * SIZE[1]):
        encoder = opened(onnx_file(flat, constants={"s": np.array([1, one])}))
        assert encoder.one_at_a_time
        assert torch.equal(encoder(BATCH), BATCH.flatten(1))


def test_free_sides_take_the_size_that_is_asked_for(onnx_file: Callable[..., str]) -> None:
    target = onnx_file(shape=("n", 3, "h", "w"))
    assert open_encoder(target).size == (64, 64)
    assert open_encoder(target, (40, 48)).size == (40, 48)
    assert open_encoder(onnx_file(shape=("n", 3, 40, "w"))).size == (40, 40)


def test_one_of_several_onnx_outputs_is_named(onnx_file: Callable[..., str]) -> None:
    nodes = [("Relu", ["x"], ["y"], {}), ("Neg", ["x"], ["z"], {})]
    target = onnx_file(nodes, outputs=("y", "z"), constants={})
    with pytest.raises(InputError, match=r"has 2 outputs \(y, z\): name the one"):
        External.of(target).open(SIZE)
    assert torch.equal(opened(target, output="z")(BATCH), -BATCH)
    with pytest.raises(InputError, match="has no output 'x': known are y, z"):
        External.of(target, output="x").open(SIZE)


def test_weights_beside_an_onnx_file_that_are_missing_are_named(
    onnx_file: Callable[..., str], tmp_path: Path
) -> None:
    target = onnx_file(save_as_external_data=True, location="weights.bin", size_threshold=0)
    opened(target)
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(InputError, match=r"weights\.bin"):
        open_encoder(target)


def test_a_file_that_may_not_be_read_is_said(
    onnx_file: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    target = onnx_file()
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(InputError, match=r"cannot read .*\.onnx: Permission denied: "):
        External.of(target)


def test_what_it_is_given_is_said_to_whoever_waits(
    onnx_file: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    target = onnx_file([("Relu", ["x"], ["y"], {})], shape=("n", 1, *SIZE), constants={})
    examine(open_encoder(target), PICTURES, Context(Path()))
    assert f"{Path(target).name} is given the pictures made grey" in capsys.readouterr().err
