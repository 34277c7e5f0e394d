"""What an export brings for other servers: a Containerfile, a model repository of Triton."""

import importlib.util
import json
import re
import subprocess
import sys
import tomllib
from argparse import ArgumentParser
from dataclasses import replace
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import tritonclient
from google.protobuf import text_format

import deepobfuscator as do
from deepobfuscator.exporting.container import NEEDS
from deepobfuscator.exporting.folder import finish
from deepobfuscator.exporting.triton import inference_service, repository
from deepobfuscator.serve.options import serve_options
from deepobfuscator.serve.protocol import metadata
from deepobfuscator_edge.manifest import CLOUD, SUMS, Manifest, Wire

from ..serve.conftest import make_export, needed

ROOT = Path(__file__).parents[2]


@pytest.fixture
def ship(tmp_path: Path) -> Path:
    finish(tmp_path / "ship", make_export(tmp_path / "ship", "Tiny.1"))
    return tmp_path / "ship"


def instructions(ship: Path) -> dict[str, list[str]]:
    """The arguments of each instruction, by its name."""
    found: dict[str, list[str]] = {}
    text = (ship / "Containerfile").read_text().replace("\\\n", " ")
    for line in text.splitlines():
        if not line.startswith("#"):
            name, _, rest = line.partition(" ")
            found.setdefault(name, []).append(rest)
    return found


def test_the_container_has_the_export_alone_and_no_rights(ship: Path) -> None:
    (ship / "keys.sqlite").write_text("secret")
    found = instructions(ship)
    assert set(found) == {"FROM", "ENV", "RUN", "COPY", "USER", "EXPOSE", "ENTRYPOINT"}
    (user,), (copied,) = found["USER"], found["COPY"]
    assert all(int(part) > 0 for part in user.split(":"))
    mode, *names, target = copied.split()
    assert (mode, target) == ("--chmod=0444", "/ship/")
    listed = [line.split("  ")[1] for line in (ship / SUMS).read_text().splitlines()]
    assert sorted(names) == sorted([*listed, SUMS])
    for words in (*found["ENV"], *found["RUN"]):
        assert not re.search("key|token|secret|passw", words, re.IGNORECASE)


def test_the_container_runs_the_documented_command(ship: Path) -> None:
    (entry,) = instructions(ship)["ENTRYPOINT"]
    words = json.loads(entry)
    assert f"`{' '.join(words)}`" in (ROOT / "docs" / "deploy.md").read_text()
    assert words[:3] == ["python", "-m", "deepobfuscator.serve"]
    parser = ArgumentParser()
    serve_options(parser)
    options = parser.parse_args(words[3:])
    assert (options.folder, options.host) == (Path("/ship"), "0.0.0.0")
    assert instructions(ship)["EXPOSE"] == [str(options.port)]


def test_the_container_installs_what_the_server_imports() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {"lazy_loader>=0.4", *project["optional-dependencies"]["serve"]}
    assert set(NEEDS) == wanted
    assert "lazy_loader>=0.4" in project["dependencies"]
    allowed = needed(list(NEEDS), {"deepobfuscator"})
    named = {
        name: {owner.lower().replace("_", "-") for owner in owners}
        for name, owners in packages_distributions().items()
    }
    others = sorted(name for name, owners in named.items() if not owners & allowed)
    assert {"torch", "scipy", "onnx"} <= set(others)
    code = (
        "import sys; sys.modules.update(dict.fromkeys(sys.argv[1:]));"  # None: not installed
        "import deepobfuscator.serve.run"
    )
    subprocess.run([sys.executable, "-c", code, *others], check=True)


def model_config(text: str) -> Any:
    """``text`` as Triton reads it; tritonclient.grpc itself needs grpc to be imported."""
    path = Path(tritonclient.__path__[0]) / "grpc" / "model_config_pb2.py"
    spec = importlib.util.spec_from_file_location("model_config_pb2", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return text_format.Parse(text, module.ModelConfig())


def test_triton_gets_the_tensors_of_our_own_server(ship: Path, tmp_path: Path) -> None:
    manifest, out = Manifest.read(ship), tmp_path / "models"
    assert repository(out, ship, manifest) == 1
    config = model_config((out / "Tiny.1" / "config.pbtxt").read_text())
    assert (config.name, config.backend, config.max_batch_size) == ("Tiny.1", "onnxruntime", 64)
    types = type(config).DESCRIPTOR.file.enum_types_by_name["DataType"]
    graph = onnxruntime.InferenceSession(out / "Tiny.1" / "1" / "model.onnx")
    told = metadata(manifest)
    for mine, theirs, run in (
        (config.input, told["inputs"], graph.get_inputs()),
        (config.output, told["outputs"], graph.get_outputs()),
    ):
        (tensor,), (about,), (node,) = mine, theirs, run
        assert tensor.name == about["name"] == node.name
        assert types.values_by_number[tensor.data_type].name == f"TYPE_{about['datatype']}"
        assert list(tensor.dims) == about["shape"][1:] == node.shape[1:]
    assert config.dynamic_batching.max_queue_delay_microseconds == 2000
    assert config.version_policy.HasField("all")


def test_another_graph_is_another_version_and_other_tensors_are_refused(
    ship: Path, tmp_path: Path
) -> None:
    manifest, out = Manifest.read(ship), tmp_path / "models"
    assert [repository(out, ship, manifest) for _ in range(2)] == [1, 1]
    graph = ship / CLOUD
    graph.write_bytes(graph.read_bytes().replace(b"white", b"snowy"))
    later = replace(manifest, files={**manifest.files, CLOUD: "other"})
    assert repository(out, ship, later) == 2
    assert (out / "Tiny.1" / "2" / "model.onnx").read_bytes() == graph.read_bytes()
    assert repository(out, ship, manifest) == 1
    wider = replace(manifest, wire=Wire(16, (3,)))
    with pytest.raises(do.InputError, match="a model with other tensors: take another --name"):
        repository(out, ship, wider)
    assert "TYPE_FP16" not in (out / "Tiny.1" / "config.pbtxt").read_text()


@pytest.mark.parametrize(
    ("name", "label"), [("Tiny.1", "tiny-1"), ("0_b", "model-0-b"), ("a" * 64, "a" * 63)]
)
def test_kserve_gets_a_name_that_kubernetes_takes(name: str, label: str) -> None:
    lines = inference_service(name).splitlines()
    assert lines[:3] == [
        "apiVersion: serving.kserve.io/v1beta1",
        "kind: InferenceService",
        "metadata:",
    ]
    assert lines[3] == f"  name: {label}"
    assert all(re.fullmatch(r"( {2})*[A-Za-z]+:( [^ ].*)?", line) for line in lines)
