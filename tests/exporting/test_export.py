"""A trained run becomes a folder that answers as torch does, without torch."""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image

import deepobfuscator as do
from deepobfuscator.data.files_source import fit
from deepobfuscator.defences.answer_only import AnswerOnly
from deepobfuscator.defences.base import Defence
from deepobfuscator.defences.external import External
from deepobfuscator.exporting import graphs, wires
from deepobfuscator.exporting import payload as payload_graphs
from deepobfuscator.exporting.parity import Service, asked
from deepobfuscator.exporting.ship import attributes, unclaimed
from deepobfuscator.metrics.images import ms_ssim
from deepobfuscator.nn.onnx_file import shipped as shipped_graph
from deepobfuscator_edge import Edge, Manifest, Wire

Train = Callable[[do.Defence], do.Run]


def cloud(folder: Path, payload: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(folder / "cloud.onnx")
    return np.asarray(session.run(None, {"payload": payload})[0])


def test_the_same_answers_as_torch_on_200_pictures(shipped: tuple[do.Run, Path]) -> None:
    run, out = shipped
    source = run.trial.source
    table = source.read()
    pictures, _ = source.load(table.images[:200], (32, 32))
    with torch.no_grad():
        given = torch.from_numpy(pictures).permute(0, 3, 1, 2) / 255
        logits = run.classifier(run.encoder(given))
    expected = logits.sigmoid().numpy()
    exact = cloud(out, Edge(out, graph="edge.onnx", threads=1).payload(list(pictures)))
    assert np.abs(exact - expected).max() < 0.02  # what eight bits on the wire cost
    int8 = cloud(out, Edge(out, threads=1).payload(list(pictures)))
    assert ((int8 >= 0.5) == (expected >= 0.5)).mean() >= 0.95
    assert Edge(out).manifest.edge == "edge.int8.onnx"


def test_the_folder_is_whole_and_says_nothing_of_this_machine(
    shipped: tuple[do.Run, Path],
) -> None:
    _, out = shipped
    names = {
        "edge.onnx",
        "edge.int8.onnx",
        "cloud.onnx",
        "manifest.json",
        "README.md",
        "Containerfile",
        "SHA256SUMS",
    }
    assert {p.name for p in out.iterdir()} == names
    for line in (out / "SHA256SUMS").read_text().splitlines():
        digest, _, name = line.partition("  ")
        assert hashlib.sha256((out / name).read_bytes()).hexdigest() == digest
    for path in out.iterdir():
        content = path.read_bytes()
        assert str(Path.home()).encode() not in content or Path.home() == Path("/")
        assert b"site-packages" not in content
        assert b".py" not in content
    manifest = Manifest.read(out)
    measured = manifest.about["measured"]
    assert measured["agreement"]["edge.int8.onnx"] >= 0.95
    assert max(measured["float_difference"].values()) <= 1e-4
    front = (out / "README.md").read_text().split("---")[1]
    assert json.loads(front.split("tags: ")[1].splitlines()[0])[-1] == "undefended"
    for file in manifest.files:
        model = onnx.load(out / file)
        assert {entry.domain for entry in model.opset_import} == {""}
        assert "BatchNormalization" not in {node.op_type for node in model.graph.node}


def test_the_classifier_is_in_the_repository_of_triton(shipped: tuple[do.Run, Path]) -> None:
    _, out = shipped
    model = out.with_name("models") / "undefended"
    assert (model / "1" / "model.onnx").read_bytes() == (out / "cloud.onnx").read_bytes()
    assert (model / "config.pbtxt").is_file()


def test_exporting_again_replaces_and_another_run_is_refused(
    shipped: tuple[do.Run, Path], tmp_path: Path
) -> None:
    run, out = shipped
    unclaimed(out, run.trial)
    other = replace(run.trial, split_seed=5)
    with pytest.raises(do.InputError, match="holds the export of another run"):
        unclaimed(out, other)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(do.InputError, match="exists and is no export"):
        do.export(run, tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_bad_input_is_told(shipped: tuple[do.Run, Path], tmp_path: Path) -> None:
    run, _ = shipped
    with pytest.raises(do.InputError, match="--wire int9: did you mean int"):
        do.export(run, tmp_path / "x", wire="int9")
    with pytest.raises(do.InputError, match="--name a b"):
        do.export(run, tmp_path / "x", name="a b")
    with pytest.raises(do.InputError, match="holds no run"):
        do.export(tmp_path, tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_an_altered_graph_is_refused(shipped: tuple[do.Run, Path], tmp_path: Path) -> None:
    copy = shutil.copytree(shipped[1], tmp_path / "copy")
    path = copy / "edge.int8.onnx"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(Exception, match="cut short or altered"):
        Edge(copy)


def test_a_code_leaves_as_bits(trained: Train, tmp_path: Path) -> None:
    run = trained(do.NarrowCode(bits=12))
    manifest = do.export(run, tmp_path / "ship", int8=False, attacker=True, device="cpu")
    assert (manifest.wire.name, manifest.wire.bytes) == ("int1", 2)
    pictures, _ = run.trial.source.load(run.trial.source.read().images[:32], (32, 32))
    payload = Edge(tmp_path / "ship", threads=1).payload(list(pictures))
    with torch.no_grad():
        code = run.encoder(torch.from_numpy(pictures).permute(0, 3, 1, 2) / 255).numpy()
    np.testing.assert_array_equal(np.packbits(code > 0, axis=1, bitorder="little"), payload)
    np.testing.assert_array_equal(manifest.wire.features(payload), code)
    model = onnx.load(tmp_path / "ship" / "attacker.onnx")
    rebuilt = asked(model)(payload)
    assert (rebuilt.dtype, rebuilt.shape) == (np.uint8, pictures.shape)
    found, truth = (torch.from_numpy(p).permute(0, 3, 1, 2) / 255 for p in (rebuilt, pictures))
    told = manifest.about["measured"]["attacker"]
    assert float(ms_ssim(found, truth).mean()) == pytest.approx(told["ms_ssim"], abs=0.1)
    assert told["attack"] == "mirror"
    assert "attacker.onnx" in (tmp_path / "ship" / "README.md").read_text()


def test_an_answer_leaves_as_one_bit_and_is_certified(trained: Train, tmp_path: Path) -> None:
    run = trained(AnswerOnly())
    manifest = do.export(run, tmp_path / "ship", int8=False, device="cpu")
    assert (manifest.wire.name, manifest.wire.bytes) == ("int1", 1)
    pictures, _ = run.trial.source.load(run.trial.source.read().images[:32], (32, 32))
    payload = Edge(tmp_path / "ship", threads=1).payload(list(pictures))
    with torch.no_grad():
        answer = run.encoder(torch.from_numpy(pictures).permute(0, 3, 1, 2) / 255).numpy()
    np.testing.assert_array_equal(payload, answer > 0)
    scores = cloud(tmp_path / "ship", payload)
    np.testing.assert_array_equal(scores >= 0.5, answer > 0)
    proved = do.certify(run, device="cpu")
    assert not proved.why_not
    assert proved.values is not None
    assert proved.values <= 2
    assert 0.5 <= proved["Smiling"].value <= 1


def test_noise_is_drawn_on_the_device(trained: Train, tmp_path: Path) -> None:
    run = trained(do.PixelNoise(sigma=0.1))
    manifest = do.export(run, tmp_path / "ship", wire="float16", int8=False, device="cpu")
    assert manifest.stochastic
    picture = np.full((32, 32, 3), 128, np.uint8)
    first, second = (Edge(tmp_path / "ship", threads=1).payload([picture]) for _ in range(2))
    assert (first != second).mean() > 0.1


@pytest.mark.parametrize(
    ("had", "wanted"),
    [((218, 178), (216, 176)), ((64, 64), (64, 64)), ((300, 200), (64, 64)), ((90, 200), (64, 48)),
     ((40, 40), (64, 64)), ((66, 65), (64, 64)), ((69, 64), (64, 64))],
)  # fmt: skip
def test_pictures_are_fitted_as_pillow_fits_them(
    had: tuple[int, int], wanted: tuple[int, int]
) -> None:
    draw = np.random.default_rng(0)
    coarse = draw.integers(0, 256, (had[0] // 8, had[1] // 8, 3), dtype=np.uint8)
    picture = Image.fromarray(coarse).resize(had[::-1], Image.Resampling.BICUBIC)
    want = np.asarray(fit(picture, wanted), np.float32).transpose(2, 0, 1) / 255
    (got,) = asked(graphs.intake(wanted))(np.asarray(picture)[None])
    assert np.abs(got - want).mean() < (0.01 if had[0] > 100 else 0.02)
    if 0 <= had[0] - wanted[0] <= 4 and 0 <= had[1] - wanted[1] <= 4:
        np.testing.assert_allclose(got, want, atol=1e-6)  # cropped alone


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("shape", [(5,), (3, 3, 3)])
def test_graphs_pack_as_the_wire_says(bits: int, shape: tuple[int, ...]) -> None:
    scales = () if bits == 16 else ((-0.5,) * shape[0], (0.3,) * shape[0])
    wire = Wire(bits, shape, *scales)
    features = np.random.default_rng(0).normal(size=(4, *shape)).astype(np.float32)
    payload = asked(payload_graphs.packing(wire))(features)
    np.testing.assert_array_equal(payload.view(np.uint8), wire.pack(features))
    back = asked(payload_graphs.unpacking(wire))(payload)
    np.testing.assert_allclose(back, wire.features(wire.pack(features)), rtol=1e-6)


def test_levels_fit_their_channels() -> None:
    draw = np.random.default_rng(0)
    features = draw.gamma(1.0, 1.0, (64, 3, 8, 8)).astype(np.float32)
    features *= np.array([1, 10, 0], np.float32)[:, None, None]
    for bits, most in ((8, 0.02), (4, 0.2), (2, 0.6)):
        wire = wires.fitted(features, bits, False)
        error = np.abs(wire.features(wire.pack(features)) - features).mean((0, 2, 3))
        assert error[0] < most
        assert error[1] < 10 * most
        assert error[2] == 0


def test_auto_takes_the_fewest_bytes_that_are_good_enough() -> None:
    features = np.random.default_rng(0).normal(size=(32, 2, 4, 4)).astype(np.float32)
    lost = {1: 0.2, 2: 0.006, 4: 0.005, 8: 0.0, 16: 0.0}
    wire = wires.choose(features, None, 32 * 32, lambda wire: lost[wire.bits])
    assert wire.bits == 4
    with pytest.raises(do.InputError, match=r"int1 20\.0, int2 20\.0"):
        wires.choose(features, None, 32 * 32, lambda wire: 0.2)


def test_worth_is_balanced_accuracy_and_classes_are_told_by_the_highest() -> None:
    task = do.Task(("Hair", "Old"), ("Male",), (("Hair", ("black", "red", "white")),))
    labels = np.array([[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 1, 1], [1, 0, 0, 0]], np.uint8)
    scores = np.array(
        [[0.9, 0.8, 0, 0.6], [0.1, 0.2, 0, 0.4], [0.3, 0.2, 0.1, 0.4], [0.2, 0.3, 0, 0.4]],
        np.float32,
    )
    found = Service(task, labels).worth(scores)
    assert found["Hair"] == pytest.approx((0.5 + 1 + 0) / 3)
    assert found["Old"] == pytest.approx((0.5 + 1) / 2)
    trial = do.Trial(task=task)
    assert [a.columns for a in attributes(trial)] == [3, 1]


def test_an_audit_of_the_folder_attacks_what_is_left_after_the_wire(
    shipped: tuple[do.Run, Path],
) -> None:
    run, out = shipped
    encoder = External.of(shipped_graph(str(out))).open(None)
    assert encoder.size == (32, 32)
    assert encoder.features == run.encoder.features
    pictures, _ = run.trial.source.load(run.trial.source.read().images[:8], (32, 32))
    given = torch.from_numpy(pictures).permute(0, 3, 1, 2) / 255
    edge = Edge(out, threads=1)
    wanted = edge.manifest.wire.features(edge.payload(list(pictures)))
    np.testing.assert_array_equal(encoder(given).numpy(), wanted)
    with pytest.raises(do.InputError, match=r"audit edge\.int8\.onnx in the same folder"):
        External.of(str(out / "edge.onnx")).open(None)


ENCODERS = [n for n, kind in Defence.members().items() if kind.trains and n in (
    "undefended", "narrow-code", "quantised", "pixelate", "blur", "pixel-noise", "feature-noise",
    "vib", "leace", "pca", "disco", "shredder", "cem", "cloak",
)]  # fmt: skip
"""Those with an encoder of their own; the others have that of undefended."""


@pytest.mark.parametrize("name", ENCODERS)
def test_every_defence_has_an_encoder_that_exports(name: str) -> None:
    config, task = do.TrainConfig(size=(32, 32), width=1 / 32), do.Task(("A",), ("P",))
    players = Defence.find(name)().players(task, config, do.Context(Path("unused")))
    encoder = players["O"].eval()
    assert isinstance(encoder, do.Encoder)
    for key, buffer in encoder.named_buffers():
        if "tail" in key:  # of an eraser and a projection that nothing has settled
            buffer.normal_(0, 0.1)
    given = torch.rand(3, 3, 32, 32)
    found = asked(graphs.traced(encoder, (3, 32, 32), "planes", "features"))(given.numpy())
    with torch.no_grad():
        wanted = encoder(given).numpy()
    assert found.shape == wanted.shape
    if encoder.stochastic:
        assert 0.5 < found.std() / wanted.std() < 2
    else:
        np.testing.assert_allclose(found, wanted, atol=1e-4)
