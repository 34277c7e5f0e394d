"""Certificates of planted encoders, end to end: counting, records, gates, page."""

from dataclasses import replace
from math import log10
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import deepobfuscator as do
from deepobfuscator.auditing.certify import certified
from deepobfuscator.auditing.config import AuditConfig, Target
from deepobfuscator.auditing.fit import Audit
from deepobfuscator.auditing.gates import UNCERTIFIED, parse_gate
from deepobfuscator.cli import main
from deepobfuscator.core.records import (
    ANY,
    CERTIFIED,
    CERTIFIED_EXCESS,
    IDENTITY,
    IMAGE,
    PLUG_IN,
    Record,
    ThreatKind,
    read_jsonl,
    select,
)
from deepobfuscator.core.runtime import Context
from deepobfuscator.data.batches import Labelled, Parts
from deepobfuscator.data.table import Task
from deepobfuscator.defences.undefended import Undefended
from deepobfuscator.nn.narrow import NarrowEncoder
from deepobfuscator.nn.vgg import Encoder
from deepobfuscator.training.bundle import Bundle
from deepobfuscator.training.objectives import TrainConfig

SIZE = 32


def part(people: int, seed: int, each: int = 6) -> Labelled:
    """Noise pictures of people; A (public) in pixel (0, 0), P (private) in (0, 1): P is a person's
    and A a picture's own.
    """
    draw = np.random.default_rng(seed)
    person = np.repeat(np.arange(people), each)
    private = draw.integers(0, 2, people, dtype=np.uint8)[person]
    public, further = draw.integers(0, 2, (2, len(person)), dtype=np.uint8)
    pictures = draw.integers(0, 256, (len(person), SIZE, SIZE, 3), dtype=np.uint8)
    pictures[:, 0, 0] = 255 * public[:, None]
    pictures[:, 0, 1] = 255 * private[:, None]
    columns = public[:, None], private[:, None]
    return Labelled(pictures, *columns, person + 10_000 * seed, further[:, None])


class Planted(Encoder):
    """What a planted encoder makes of A and P."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self.what, self.features, self.wire_bits = what, (2,), 64
        self.stochastic = what in ("noisy", "turned")
        self.flip = 0.1 if what == "turned" else 0.0

    def bits_of(self, pictures: Tensor) -> Tensor:
        return 2 * torch.stack((pictures[:, 0, 0, 1], (pictures[:, 0, 8, 8] > 0.5).float()), 1) - 1

    def forward(self, pictures: Tensor) -> Tensor:
        a, p = pictures[:, 0, 0, 0], pictures[:, 0, 0, 1]
        other = (pictures[:, 0, 8, 8] > 0.5).float()
        return {
            "bit": torch.stack((a, other), 1),
            "private": torch.stack((p, other), 1),
            "hidden": torch.stack((a + 1e-6 * p, other), 1),
            "behind": torch.stack(((a - p).abs(), other), 1),
            "values": pictures[:, 0, 8, 8:10],
            "nearly": torch.stack((a, other), 1) + 1e-6 * pictures[:, 0, 8, 8:10],
            "noisy": torch.stack((a, other), 1) + torch.randn(len(a), 2),
        }[self.what]


def audit_of(what: str, folder: Path, people: int = 400) -> Audit:
    parts = part(8, 1), part(people, 2), part(people // 4, 3), part(people // 2, 4)
    context = Context(folder)
    context.console.quiet = True
    target = Target(
        key="key",
        defence=Undefended(),
        task=Task(("A",), ("P",)),
        setting=TrainConfig(size=(SIZE, SIZE)),
        bundle=Bundle({"O": Planted(what)}, {}),
        data=Parts(*parts, summary={}, known_people=True, undeclared=("U",)),
        context=context,
    )
    return Audit(target, AuditConfig())


def one(records: tuple[Record, ...], subject: str, metric: str, given: str = "") -> Record:
    (found,) = select(records, subject=subject, metric=metric, given=given)
    return found


def test_a_code_that_holds_the_label_alone_is_certified(tmp_path: Path) -> None:
    found, _ = certified(audit_of("bit", tmp_path))
    assert (found.values, found.pictures, found.people) == (4, 4200, 700)
    for subject in ("P", "U"):
        plain, seen = (one(found.records, subject, m) for m in (CERTIFIED, PLUG_IN))
        given = one(found.records, subject, CERTIFIED, ThreatKind.LABELS)
        excess = one(found.records, subject, CERTIFIED_EXCESS, ThreatKind.LABELS)
        assert 0.5 <= seen.value < plain.value < 0.57
        assert given.value < 0.58
        assert excess.value < 0.05
        assert (plain.n, plain.n_people, plain.attack, plain.split) == (4200, 700, ANY, "held-out")
    several = one(found.records, "P", CERTIFIED, ThreatKind.PERSON)
    assert 0.5 < several.value < 0.65
    assert several.detail.startswith("5 pictures")
    assert found["P"] == one(found.records, "P", CERTIFIED)


@pytest.mark.parametrize("what", ["private", "hidden"])
def test_a_leak_is_certified_as_one_to_the_last_bit(tmp_path: Path, what: str) -> None:
    found, _ = certified(audit_of(what, tmp_path))
    assert found["P"].value == 1.0
    assert found["U"].value < 0.6


def test_a_leak_behind_the_label_is_seen(tmp_path: Path) -> None:
    found, _ = certified(audit_of("behind", tmp_path))
    assert found["P"].value < 0.6
    assert one(found.records, "P", CERTIFIED, ThreatKind.LABELS).value == 1.0
    assert one(found.records, "P", CERTIFIED_EXCESS, ThreatKind.LABELS).value > 0.4


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("values", "2^64 values"),
        ("nearly", "let the encoder round what it sends"),
        ("noisy", "random at every query"),
    ],
)
def test_what_cannot_be_counted_is_not_certified(tmp_path: Path, what: str, why: str) -> None:
    found, sheet = certified(audit_of(what, tmp_path))
    assert why in found.why_not
    assert (found.records, found.values, sheet) == ((), None, {})
    with pytest.raises(do.InputError, match="not certifiable"):
        found["P"]
    gate = parse_gate("P.certified > 0.99")
    assert gate.judge(found.records).outcome == UNCERTIFIED


def test_turned_bits_are_certified_by_their_chance(tmp_path: Path) -> None:
    found, _ = certified(audit_of("turned", tmp_path))
    # Without noise P is read from one bit with certainty; two bits turned with chance .1 have
    # opposite words .8 apart, and the bit itself is right in .9.
    assert found["P"].value == pytest.approx(0.9)
    assert found["U"].value < 0.55
    assert found.epsilon == pytest.approx(2 * np.log(9))
    averaged = one(found.records, "P", CERTIFIED, ThreatKind.AVERAGED)
    assert 0.99 < averaged.value < 1
    assert one(found.records, IDENTITY, CERTIFIED).value == pytest.approx(1.8**2 / 200)


def test_the_codebook_is_the_mean_of_each_value_and_bounds_every_decoder(tmp_path: Path) -> None:
    audit = audit_of("private", tmp_path)
    found, sheet = certified(audit)
    parts = [audit.seen[name].labelled for name in ("attacker", "validation", "test")]
    pictures = np.concatenate([p.pictures for p in parts]) / 255
    private = np.concatenate([p.private[:, 0] for p in parts])
    cell = 2 * private + (pictures[:, 8, 8, 0] > 0.5)
    means = np.stack([pictures[cell == c].mean(0) for c in range(4)])  # all have six pictures
    assert sheet["share"].sum() == pytest.approx(1)
    order = np.argsort(-np.bincount(cell), kind="stable")
    assert sheet["codebook"] == pytest.approx(255 * means[order], abs=0.51)
    image = one(found.records, IMAGE, CERTIFIED)
    in_sample = ((pictures - means[cell]) ** 2).mean()
    assert -10 * log10(in_sample) < image.value < -10 * log10(in_sample) + 1.2


def test_people_are_named_no_better_than_by_the_number_of_values(tmp_path: Path) -> None:
    audit = audit_of("bit", tmp_path)
    found, _ = certified(audit)
    # Nobody of the 300 people beyond the attacker's own shows another value: the rule of three.
    expected = 4 / 200 + 1 - 0.05 ** (1 / 300)
    assert one(found.records, IDENTITY, CERTIFIED).value == pytest.approx(expected)
    audit.target.bundle.encoder.wire_bits = 2
    found, _ = certified(audit)
    assert one(found.records, IDENTITY, CERTIFIED).value == 4 / 200
    data = replace(audit.target.data, known_people=False)
    found, _ = certified(Audit(replace(audit.target, data=data), AuditConfig()))
    assert not select(found.records, subject=IDENTITY)
    assert not select(found.records, given=ThreatKind.PERSON)
    assert found["P"].n_people is None


def test_a_narrow_code_is_one_of_its_values_to_the_last_bit() -> None:
    encoder = NarrowEncoder((32, 32), 1 / 32, 3).eval()
    pictures = torch.rand(64, 3, 32, 32, requires_grad=True)
    code = encoder(pictures)
    assert set(code.detach().numpy().ravel().tolist()) <= {-1.0, 1.0}
    code.sum().backward()
    assert pictures.grad is not None
    assert pictures.grad.abs().sum() > 0


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """150 people, two pictures each, bright on the left where A is and on the right where B is."""
    folder = tmp_path_factory.mktemp("crowd")
    draw = np.random.default_rng(1)
    rows = ["image,A,B,Other,identity"]
    for person in range(150):
        a, b = draw.integers(0, 2, 2)
        for shot in range(2):
            pixels = draw.integers(0, 120, (32, 32, 3), dtype=np.uint8)
            pixels[1:, :16] += np.uint8(100 * a)  # the first row is noise
            pixels[1:, 16:] += np.uint8(100 * b)
            Image.fromarray(pixels).save(folder / f"{person}-{shot}.png")
            rows.append(f"{person}-{shot}.png,{a},{b},{draw.integers(0, 2)},{person}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def two_bits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ONNX file with four values: is the left half bright, is a pixel of noise?"""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    numbers = {
        "from": np.array([0, 0, 0, 0]),
        "half": np.array([1, 3, 32, 16]),
        "pixel": np.array([1, 1, 1, 1]),
        "axes": np.array([1, 2, 3]),
        "flat": np.array([-1, 1]),
        "bright": np.array(0.35, dtype=np.float32),
    }
    nodes = [helper.make_node("Shape", ["x"], ["shape"])]
    batch = [("batch", "half"), ("spot", "pixel")]
    numbers["first"] = np.array([0])
    nodes.append(helper.make_node("Gather", ["shape", "first"], ["n"]))
    for name, box in batch:
        numbers[f"{name}-box"] = numbers.pop(box)[1:]
        nodes += [
            helper.make_node("Concat", ["n", f"{name}-box"], [f"{name}-end"], axis=0),
            helper.make_node("Slice", ["x", "from", f"{name}-end"], [f"{name}-cut"]),
            helper.make_node(
                "ReduceMean", [f"{name}-cut"], [f"{name}-mean"], axes=[1, 2, 3], keepdims=0
            ),
            helper.make_node("Greater", [f"{name}-mean", "bright"], [f"{name}-is"]),
            helper.make_node("Cast", [f"{name}-is"], [f"{name}-bit"], to=1),
            helper.make_node("Reshape", [f"{name}-bit", "flat"], [f"{name}-column"]),
        ]
    nodes.append(helper.make_node("Concat", ["batch-column", "spot-column"], ["y"], axis=1))
    del numbers["axes"]
    graph = helper.make_graph(
        nodes,
        "two bits",
        [helper.make_tensor_value_info("x", 1, ("n", 3, 32, 32))],
        [helper.make_tensor_value_info("y", 1, ("n", 2))],
        [numpy_helper.from_array(value, name) for name, value in numbers.items()],
    )
    path = tmp_path_factory.mktemp("onnx") / "two-bits.onnx"
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    return path


def test_an_onnx_file_with_four_values_is_certified(
    two_bits: Path, crowd: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = ("--data", f"folder:{crowd}", "--public", "A", "--private", "B")
    lengths = ("--width", ".03125", "--infer-epochs", "1", "--reconstruct-epochs", ".1")
    gates = ("--fail-if", "B.certified > 0.7", "--fail-if", "identity.certified > 0.5")
    arguments = (*task, *lengths, "--suite", "brief", "--out", str(tmp_path / "out"))
    assert main(["audit", str(two_bits), *arguments, *gates]) == 0
    records = read_jsonl(tmp_path / "out" / "records.jsonl")
    for subject in ("B", "Other"):
        for given in ("", ThreatKind.LABELS):
            found = select(records, attack=ANY, metric=CERTIFIED, subject=subject, given=given)
            assert len(found) == 1
            assert found[0].n_people == 150
            assert 0.5 < found[0].value < 0.72
    folder = str(tmp_path / "out")
    assert main(["audit", folder, "--fail-if", "B.certified > 0.55"]) == 3
    assert "exceeded: B.certified > 0.55" in capsys.readouterr().out
    report = do.audit(folder)
    assert report["B"].certified == select(records, subject="B", metric=CERTIFIED, given="")[0]
    summary = report.to_json()["certified"]
    assert (summary["values"], summary["why_not"]) == (4, "")
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "Certified: what any attacker of one picture can learn" in page
    assert "What this encoder was trained on is not" in page
    assert page.count('alt="value ') == 4
    report.save(tmp_path / "shown.html", faces=False)
    assert 'alt="value ' not in (tmp_path / "shown.html").read_text("utf-8")
    data = do.Data.folder(crowd, public="A", private="B")
    again = do.certify(str(two_bits), data, out=tmp_path / "certified")
    assert [r.value for r in again.records] == [r.value for r in records if r.attack == ANY]
    assert not (tmp_path / "certified" / "records.jsonl").exists()


def test_a_brought_module_of_many_values_says_so_on_its_page(crowd: Path, tmp_path: Path) -> None:
    data = do.Data.folder(crowd, public="A", private="B", size=(32, 32))
    short = do.TrainConfig(width=1 / 64, infer_epochs=0.5, reconstruct_epochs=0.1)
    module = torch.nn.AvgPool2d(8)
    report = do.audit(
        module,
        data,
        suite="brief",
        config=short,
        fail_if=[do.Gate("B", "certified", 0.9)],
        out=tmp_path / "out",
    )
    assert report.exit_code == 4
    assert [g.outcome for g in report.gates] == [UNCERTIFIED]
    assert report["B"].certified is None
    assert "Not certifiable: 2^1,536 values" in (tmp_path / "out" / "report.html").read_text()
