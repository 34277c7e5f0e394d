"""Auditing an encoder that was made elsewhere, from the command line: figures, gates, bad input."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepobfuscator.cli import main
from deepobfuscator.core.records import headline, read_jsonl, select

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

SIZE = 32
LENGTHS = ("--width", ".03125", "--batch-size", "16", "--infer-epochs", "2")
LENGTHS += ("--reconstruct-epochs", ".5", "--learning-rate", ".003")


def crowd(folder: Path, people: range, seed: int) -> Path:
    """Pictures, two a person, whose left half is bright where A is and whose right where B is."""
    folder.mkdir()
    draw = np.random.default_rng(seed)
    rows = ["image,A,B,Other,identity"]
    for person in people:
        a, b = draw.integers(0, 2, 2)
        for shot in range(2):
            pixels = draw.integers(0, 120, (SIZE, SIZE, 3), dtype=np.uint8)
            pixels[4:28, :16] += np.uint8(100 * a)
            pixels[4:28, 16:, 1:] += np.uint8(100 * b)
            name = f"{person}-{shot}.png"
            Image.fromarray(pixels).save(folder / name)
            rows.append(f"{name},{a},{b},{draw.integers(0, 2)},{person}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return crowd(tmp_path_factory.mktemp("data") / "crowd", range(150), 1)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A convolution and a pooling."""
    draw = np.random.default_rng(0)
    helper = onnx.helper
    kernel = onnx.numpy_helper.from_array(draw.normal(size=(4, 3, 3, 3)).astype(np.float32), "w")
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1] * 4),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("AveragePool", ["r"], ["y"], kernel_shape=[4, 4], strides=[4, 4]),
    ]
    graph = helper.make_graph(
        nodes,
        "encoder",
        [helper.make_tensor_value_info("x", 1, ("n", 3, SIZE, SIZE))],
        [helper.make_tensor_value_info("y", 1, None)],
        [kernel],
    )
    path = tmp_path_factory.mktemp("onnx") / "encoder.onnx"
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    return path


def audit(target: Path, pictures: Path, out: Path, *more: str) -> int:
    task = ("--data", f"folder:{pictures}", "--public", "A", "--private", "B")
    return main(["audit", str(target), *task, *LENGTHS, "--out", str(out), *more])


@pytest.fixture(scope="module")
def audited(encoder: Path, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("audits") / "fp32"
    assert audit(encoder, pictures, out) == 0
    return out


def test_a_brought_encoder_gets_a_whole_report(audited: Path) -> None:
    records = read_jsonl(audited / "records.jsonl")
    found = headline(records, "B", "balanced_accuracy")
    assert found.value > 0.9
    assert select(records, attack="ceiling", subject="B", metric="excess")[0].low > 0
    assert not select(records, attack="service")
    assert headline(records, "Other", "balanced_accuracy").value < 0.7
    summary = json.loads((audited / "audit.json").read_text())
    assert summary["ceiling"]["name"] == "raw" if isinstance(summary["ceiling"], dict) else True
    assert summary["target"]["kind"] == "onnx"
    assert summary["data"]["parts"]["defender"] is None
    hashes = {summary["data"]["parts"][p]["sha256"] for p in ("attacker", "validation", "test")}
    assert len(hashes) == 3
    page = (audited / "report.html").read_text()
    assert "unknown" in page
    assert "encoder.onnx" in page
    assert "is private" not in page


def test_a_quantised_encoder_has_its_own_figures(
    encoder: Path, audited: Path, pictures: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from onnxruntime import quantization

    quantised = tmp_path / "encoder-int8.onnx"
    with caplog.at_level(logging.ERROR):
        quantization.quantize_dynamic(encoder, quantised, weight_type=quantization.QuantType.QUInt8)
    assert audit(quantised, pictures, tmp_path / "int8") == 0
    mine, theirs = (
        [
            (r.attack, r.value)
            for r in select(read_jsonl(out / "records.jsonl"), subject="B", metric="auc")
            if r.attack in ("ac", "linear", "mlp", "resnet")
        ]
        for out in (tmp_path / "int8", audited)
    )
    assert len(mine) == len(theirs)
    assert mine != theirs


def test_a_converted_input_and_a_named_output_are_on_the_page(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    helper = onnx.helper
    nodes = [
        helper.make_node("AveragePool", ["x"], ["y"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("ReduceMean", ["x"], ["z"], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "encoder",
        [helper.make_tensor_value_info("x", 1, (1, 1, SIZE, SIZE))],
        [helper.make_tensor_value_info(name, 1, None) for name in "yz"],
    )
    opset = [helper.make_opsetid("", 17)]
    path = tmp_path / "grey.ONNX"
    path.write_bytes(
        helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()
    )
    assert audit(path, pictures, tmp_path / "out", "--suite", "brief") == 2
    assert "--output NAME" in capsys.readouterr().err
    out = tmp_path / "out"
    assert audit(path, pictures, out, "--suite", "brief", "--output", "y", "-o", f"{out}.html") == 0
    assert "is given the pictures made grey" in capsys.readouterr().err.replace("\n", " ")
    target = json.loads((out / "audit.json").read_text())["target"]
    assert (target["takes"], target["one_at_a_time"]) == ("grey", True)
    assert "the pictures made grey" in Path(f"{out}.html").read_text("utf-8")
    assert audit(path, pictures, out, "--suite", "brief", "--output", "z") == 2, "another trial"


def test_gates_decide_on_the_upper_bound(audited: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stamp = (audited / "records.jsonl").stat().st_mtime_ns
    folder = str(audited)
    assert main(["audit", folder, "--fail-if", "B.excess > 0.05"]) == 3
    assert "exceeded: B.excess > 0.05" in capsys.readouterr().out
    assert main(["audit", folder, "--fail-if", "B.excess > 0.99"]) == 0
    assert main(["audit", folder, "--fail-if", "Other.excess > 0.9"]) == 4, "raw tells it no more"
    both = ("--fail-if", "Other.excess > 0.9", "--fail-if", "B.auc > 0.5")
    assert main(["audit", folder, *both]) == 3
    assert (audited / "records.jsonl").stat().st_mtime_ns == stamp, "nothing is done twice"
    gates = json.loads((audited / "audit.json").read_text())["gates"]
    assert [g["outcome"] for g in gates] == ["attack too weak", "exceeded"]


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("B.exces > 0.1", "did you mean excess"),
        ("C.excess > 0.1", "'C' is not audited"),
        ("A.excess > 0.1", "'A' is not audited"),
        ("B.excess", "SUBJECT.METRIC > NUMBER"),
        ("B.excess > 5", "0.05"),
    ],
)
def test_a_gate_that_cannot_be_is_refused_first(
    audited: Path, capsys: pytest.CaptureFixture[str], rule: str, said: str
) -> None:
    assert main(["audit", str(audited), "--fail-if", rule]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert len(err.strip().splitlines()) == 1


def test_the_defenders_own_pictures_are_kept_apart(
    encoder: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known = ("--defender-data", f"folder:{pictures}")
    assert audit(encoder, pictures, tmp_path / "same", *known) == 2
    assert "150 people" not in capsys.readouterr().out
    strangers = crowd(tmp_path / "strangers", range(149, 160), 3)
    assert audit(encoder, pictures, tmp_path / "one", "--defender-data", f"folder:{strangers}") == 2
    err = capsys.readouterr().err
    assert "1 people are both in" in err
    assert not (tmp_path / "one" / "records.jsonl").exists()


def test_what_an_audit_of_a_brought_encoder_refuses(
    encoder: Path,
    audited: Path,
    pictures: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def said(*arguments: str) -> str:
        assert main(["audit", *arguments]) == 2
        *bars, line = capsys.readouterr().err.strip().splitlines()
        assert all("left" in bar for bar in bars)
        return line

    assert "no run folder" in said("nowhere")
    assert "--data" in said(str(audited), "--data", "synthetic")
    assert "--suite quik: did you mean quick" in said(str(audited), "--suite", "quik")
    data = ("--data", f"folder:{pictures}", "--public", "A", "--private", "B")
    assert "missing.onnx" in said("missing.onnx", *data)
    assert "give --private" in said(str(encoder), *data[:-2])
    assert "64x64" in said(str(encoder), *data, "--size", "64x64")
    assert "has no output 'page.html'" in said(str(encoder), *data, "--output", "page.html")
    assert "the page is --page" in said(str(audited), "--output", "page.html")
    assert "did you mean" in said(str(encoder), *data[:-1], "Oter")
