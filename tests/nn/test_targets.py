"""What the name of an encoder stands for, and what is said where it stands for nothing usable."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepobfuscator.core.errors import InputError
from deepobfuscator.nn.external import open_encoder
from deepobfuscator.nn.targets import fingerprint

SIZE = (32, 36)


def one_line(error: pytest.ExceptionInfo[InputError]) -> str:
    message = str(error.value)
    assert "\n" not in message
    assert ": " in message, "a cause, then how to fix it"
    return message


RELU = [("Relu", ["x"], ["y"], {})]
TWO = [*RELU, ("Relu", ["x"], ["z"], {})]
SAME = [("Identity", ["x"], ["y"], {})]
FLAT = ("Reshape", ["x", "s"], ["y"], {})


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({"inputs": ("x", "noise")}, "has 2 inputs (x, noise)"),
        ({"nodes": TWO, "outputs": ("y", "z")}, "has 2 outputs (y, z): name the one"),
        ({"dtype": np.int8, "gives": 3, "nodes": SAME}, "takes torch.int8"),
        ({"dtype": np.bool_, "gives": 9, "nodes": SAME}, "takes torch.bool"),
        ({"nodes": RELU, "shape": ("n", 3 * 32 * 36)}, "takes shape (n, 3456)"),
        ({"nodes": RELU, "shape": ("n", 4, *SIZE)}, "takes shape (n, 4, 32, 36)"),
        ({"shape": ("n", 3, 32, None)}, "takes pictures of 32x?, not 64x36: give --size 32x36"),
        ({"shape": ("n", 3, 64, 32)}, "takes pictures of 64x32, not 64x36: give --size 64x32"),
        ({"nodes": RELU, "ir_version": 99}, "Unsupported model IR version: 99"),
        ({"nodes": [("Nonsense", ["x"], ["y"], {})]}, "No Op registered for Nonsense"),
        (
            {"nodes": [FLAT], "constants": {"s": np.array([7, 345])}},
            "fails on pictures of shape (2, 3, 64, 36)",
        ),
        (
            {"nodes": [("SequenceConstruct", ["x"], ["y"], {})], "gives": 1},
            "is no model that onnxruntime can run",
        ),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_what_is_wrong_with_an_onnx_file_is_said(
    onnx_file: Callable[..., str], written: dict[str, Any], said: str
) -> None:
    target = onnx_file(**({"shape": ("n", 3, 64, 36)} | written))
    with pytest.raises(InputError) as error:
        open_encoder(target, (64, 36))
    assert said in one_line(error)
    assert target in str(error.value)


@pytest.mark.parametrize("content", [None, b"", b"no model" * 99])
def test_a_file_that_is_no_onnx_model_is_refused(tmp_path: Path, content: bytes | None) -> None:
    pytest.importorskip("onnxruntime")
    path = tmp_path / "encoder.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as error:
        open_encoder(str(path))
    said = "there is no file" if content is None else "is no model that onnxruntime can run"
    assert said in one_line(error)


def test_a_missing_onnxruntime_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "encoder.onnx"
    path.write_bytes(b"")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError) as error:
        open_encoder(str(path))
    assert "needs onnxruntime: pip install -e '.[onnx]'" in one_line(error)


@pytest.mark.parametrize(
    ("code", "attribute", "said"),
    [
        ("raise ValueError('no GPU\\nhere')", "E", "importing {} fails (ValueError: no GPU here)"),
        ("import nowhere_to_be_found", "E", "No module named 'nowhere_to_be_found'"),
        ("import sys; sys.exit(3)", "E", "importing {} fails (SystemExit: 3)"),
        ("class Encoder(nn.Module): pass", "encodr", "{} has no 'encodr': did you mean Encoder?"),
        ("E = 3", "E", "{}:E is of type int"),
        ("def E(): return 'weights'", "E", "{}:E is of type str"),
        ("def E(path): return nn.Identity()", "E", "calling it without arguments fails"),
        ("E = nn.Sequential(nn.LazyLinear(3), nn.Linear(4, 4))", "E", "mat1 and mat2 shapes"),
        ("class E(nn.Module):\n  def eval(self): raise OSError('no disk')", "E", "no disk"),
    ],
)
def test_what_is_wrong_with_a_torch_encoder_is_said(
    module: Callable[[str], str], code: str, attribute: str, said: str
) -> None:
    name = module(code)
    with pytest.raises(InputError) as error:
        open_encoder(f"{name}:{attribute}", SIZE)
    assert said.format(name) in one_line(error)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return x @ x", "fails on pictures of shape (2, 3, 32, 36) (RuntimeError"),
        ("return x, x", "has 2 outputs (0, 1): name the one that leaves the device (--output"),
        ("return 'features'", "gives a str: let it give one tensor"),
        ("raise ValueError", "(ValueError: raise ValueError, line 5)"),
        ("raise ValueError('because ' + 'so ' * 999 + 'it\\nwas')", "so so it was)"),
        ("import sys; sys.exit(3)", "(SystemExit: 3)"),
        ("return x[:, :0]", "gives shape (2, 0, 32, 36)"),
    ],
)
def test_what_is_wrong_with_features_is_said(
    theirs: Callable[[str], str], body: str, said: str
) -> None:
    with pytest.raises(InputError) as error:
        open_encoder(theirs(body), SIZE)
    assert said in one_line(error)


@pytest.mark.usefixtures("module")
@pytest.mark.parametrize("target", ["encoder.pt", "no_such_module_at_all:E", ":E"])
def test_a_target_that_names_nothing_is_refused(target: str) -> None:
    with pytest.raises(InputError) as error:
        open_encoder(target)
    assert target in one_line(error)


def test_weights_beside_an_onnx_file_count(onnx_file: Callable[..., str], tmp_path: Path) -> None:
    path = onnx_file(save_as_external_data=True, location="weights.bin", size_threshold=0)
    before = fingerprint(path)
    open_encoder(path)
    data = bytearray((tmp_path / "weights.bin").read_bytes())
    data[0] ^= 1
    (tmp_path / "weights.bin").write_bytes(data)
    assert fingerprint(path) != before


def test_a_torch_fingerprint_is_of_class_and_state(module: Callable[[str], str]) -> None:
    weights = "def E(): return {}\n"
    layer = "nn.{}(3, 3, 1, dtype=torch.{})"
    prints = [
        fingerprint(f"{module(weights.format(layer.format(kind, dtype)))}:E")
        for kind, dtype in (
            ("Conv2d", "float32"),
            ("Conv2d", "float32"),
            ("Conv2d", "bfloat16"),
            ("ConvTranspose2d", "float32"),
        )
    ]
    assert prints[0] == prints[1], "weights drawn at random are drawn alike"
    assert len(set(prints)) == 3
    scaled = "def E():\n    e = nn.Conv2d(3, 3, 1)\n    e.bias.data[0] += 1\n    return e\n"
    assert fingerprint(f"{module(scaled)}:E") not in prints
