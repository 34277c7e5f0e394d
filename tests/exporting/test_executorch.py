"""The encoder for ExecuTorch gives what the ONNX graph gives."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import deepobfuscator as do
from deepobfuscator.cli import main
from deepobfuscator.core.files import sha256
from deepobfuscator.exporting import executorch, graphs, payload, wires
from deepobfuscator.exporting.int8 import as_planes
from deepobfuscator.exporting.parity import asked
from deepobfuscator.nn.narrow import NarrowEncoder
from deepobfuscator.nn.vgg import Encoder, Obfuscator, initialise
from deepobfuscator_edge.manifest import PTE, Manifest, Wire

SIZE = (32, 32)

pytestmark = pytest.mark.filterwarnings("ignore")  # of packages that executorch imports


@pytest.fixture
def installed() -> None:
    pytest.importorskip("executorch", reason="needs ExecuTorch: pip install '.[executorch]'")


@pytest.mark.parametrize(
    ("encoder", "bits"),
    [
        (Obfuscator(SIZE, 1 / 16), 4),
        (Obfuscator(SIZE, 1 / 16), 16),
        (NarrowEncoder(SIZE, 0.1, 3), 1),
    ],
    ids=["int4", "float16", "code"],
)
def test_payloads_are_those_of_the_graph(installed: None, encoder: Encoder, bits: int) -> None:
    initialise(encoder, 0)
    encoder.eval()
    pictures = np.random.default_rng(0).integers(0, 256, (6, *SIZE, 3), dtype=np.uint8)
    plain = graphs.traced(encoder, (3, *SIZE), "planes", graphs.FEATURES)
    wire = wires.fitted(asked(plain)(as_planes(pictures)), bits, bits == 1)
    expected = asked(graphs.chained(plain, payload.packing(wire)))(as_planes(pictures))
    found = executorch.payloads(executorch.program(encoder, wire, SIZE), pictures)
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    np.testing.assert_allclose(
        wire.features(found.view(np.uint8)), wire.features(expected.view(np.uint8)), atol=2e-3
    )


def test_an_export_has_the_program_and_its_hash(
    installed: None, trained: Callable[[do.Defence], do.Run], tmp_path: Path
) -> None:
    run = trained(do.Undefended()).folder
    words = ["export", str(run), str(tmp_path / "ship"), "--executorch", "--no-int8"]
    assert main([*words, "--wire", "int8", "--device", "cpu"]) == 0
    manifest = Manifest.read(tmp_path / "ship")
    assert manifest.files[PTE] == sha256(tmp_path / "ship" / PTE)
    assert manifest.about["measured"]["agreement"][PTE] >= 0.95
    assert f"| `{PTE}` |" in (tmp_path / "ship" / "README.md").read_text()


def test_noise_on_the_device_is_refused_and_a_missing_package_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("executorch", "executorch.backends.xnnpack.partition.xnnpack_partitioner"):
        monkeypatch.setitem(sys.modules, name, None)
    wire = Wire(1, (2,), (-1.0,) * 2, (2.0,) * 2)
    with pytest.raises(do.InputError, match="draws noise on the device"):
        executorch.program(NarrowEncoder(SIZE, 0.1, 2, 0.1), wire, SIZE)
    with pytest.raises(do.InputError, match=r"pip install 'deepobfuscator\[executorch\]'"):
        executorch.program(NarrowEncoder(SIZE, 0.1, 2), wire, SIZE)
