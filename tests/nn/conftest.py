"""Encoders made elsewhere, written for a test: ONNX files and Python modules."""

import itertools
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

SIZE = (32, 36)
UNIQUE = itertools.count()


@pytest.fixture
def weights() -> list[NDArray[np.float32]]:
    """Kernel and bias of a convolution from 3 to 4 channels."""
    draw = np.random.default_rng(0)
    return [draw.normal(size=shape).astype(np.float32) for shape in ((4, 3, 3, 3), (4,))]


@pytest.fixture
def onnx_file(tmp_path: Path, weights: list[NDArray[np.float32]]) -> Callable[..., str]:
    """Writes an ONNX file of some nodes from x to y, by default a convolution and ReLU."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    kinds = {np.dtype(k): v for k, v in ((np.float32, 1), (np.uint8, 2), (np.float16, 10))}
    kinds |= {
        np.dtype(k): v for k, v in ((np.int8, 3), (np.int32, 6), (np.bool_, 9), (np.float64, 11))
    }
    conv = [("Conv", ["x", "w", "b"], ["c"], {"pads": [1] * 4}), ("Relu", ["c"], ["y"], {})]

    def write(
        nodes: list[tuple[str, list[str], list[str], dict[str, Any]]] = conv,
        shape: tuple[int | str | None, ...] = ("n", 3, *SIZE),
        dtype: type = np.float32,
        inputs: tuple[str, ...] = ("x",),
        outputs: tuple[str, ...] = ("y",),
        gives: int = 1,
        constants: dict[str, NDArray[Any]] | None = None,
        ir_version: int = 8,
        **save: Any,
    ) -> str:
        helper = onnx.helper
        arrays = dict(zip("wb", weights, strict=True)) if constants is None else constants
        graph = helper.make_graph(
            [helper.make_node(op, i, o, **more) for op, i, o, more in nodes],
            "encoder",
            [helper.make_tensor_value_info(i, kinds[np.dtype(dtype)], shape) for i in inputs],
            [helper.make_tensor_value_info(o, gives, None) for o in outputs],
            [onnx.numpy_helper.from_array(a, name) for name, a in arrays.items()],
        )
        opsets = [helper.make_opsetid("", 17)]
        path = tmp_path / f"encoder{next(UNIQUE)}.onnx"
        onnx.save(
            helper.make_model(graph, opset_imports=opsets, ir_version=ir_version), path, **save
        )
        return str(path)

    return write


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Writes a Python module into the current folder; gives its name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p != str(tmp_path)])

    def write(code: str) -> str:
        name = f"theirs{next(UNIQUE)}"
        header = "import torch\nfrom torch import nn\n"
        (tmp_path / f"{name}.py").write_text(header + textwrap.dedent(code))
        return name

    return write


@pytest.fixture
def theirs(module: Callable[[str], str]) -> Callable[[str], str]:
    """Writes a torch module with the given forward pass of x; gives the target that names it."""

    def write(body: str) -> str:
        name = module(f"class E(nn.Module):\n    def forward(self, x):\n        {body}")
        return f"{name}:E"

    return write
