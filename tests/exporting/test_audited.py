"""The audit of an exported folder stands in it, until something changes."""

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import deepobfuscator as do
from deepobfuscator import api
from deepobfuscator.cli import main
from deepobfuscator.defences.external import External
from deepobfuscator.experiments.runner import Runner
from deepobfuscator.exporting.folder import attach
from deepobfuscator_edge import Edge, EdgeError, Manifest
from deepobfuscator_edge.manifest import MANIFEST, SUMS

from ..serve.conftest import make_export

GATE = "Smiling.excess > 0.05"


def summary(folder: Path, outcome: str = "passed") -> Path:
    """What is read of an audit's summary."""
    gate = {"rule": GATE, "upper": 0.03, "outcome": outcome}
    told = {"suite": "quick", "verdict": {"line": "No leak found."}, "gates": [gate]}
    path = folder / "audit.json"
    path.write_text(json.dumps(told))
    return path


@pytest.fixture
def ship(tmp_path: Path) -> Path:
    make_export(tmp_path / "ship")
    return tmp_path / "ship"


def encoder(ship: Path) -> External:
    return External.of(str(ship / "edge.onnx"))


def resummed(ship: Path) -> None:
    """SHA256SUMS made again, as by somebody who changed a file on purpose."""
    names = [line.split("  ")[1] for line in (ship / SUMS).read_text().splitlines()]
    digests = [hashlib.sha256((ship / name).read_bytes()).hexdigest() for name in names]
    pairs = zip(digests, names, strict=True)
    (ship / SUMS).write_text("".join(f"{digest}  {name}\n" for digest, name in pairs))


def test_it_stands_in_manifest_card_and_sums(ship: Path, tmp_path: Path) -> None:
    (ship / "mine.txt").write_text("kept")
    with pytest.raises(EdgeError, match="was not audited since its export"):
        Manifest.read(ship).passed(ship)
    attach(encoder(ship), summary(tmp_path), True)
    found = Manifest.read(ship).passed(ship)
    assert found.sha256 == hashlib.sha256((tmp_path / "audit.json").read_bytes()).hexdigest()
    assert found.gates == {GATE: "passed"}
    card = (ship / "README.md").read_text()
    assert found.sha256 in card
    assert f"`{GATE}`: passed" in card
    listed = (ship / SUMS).read_text()
    assert "audit.json" in listed
    assert "mine.txt" not in listed
    assert (ship / "mine.txt").read_text() == "kept"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["audit.json", "ship"]
    assert Edge(ship).manifest.audit == found


def test_a_failed_audit_and_what_changed_since_do_not_stand(ship: Path, tmp_path: Path) -> None:
    attach(encoder(ship), summary(tmp_path, "exceeded"), False)
    with pytest.raises(
        EdgeError, match=r"did not pass its audit \(Smiling\.excess > 0\.05: exceed"
    ):
        Manifest.read(ship).passed(ship)
    assert "did not pass" in (ship / "README.md").read_text()
    attach(encoder(ship), summary(tmp_path), True)
    audit = ship / "audit.json"
    audit.write_text(audit.read_text().replace("0.03", "0.01"))
    with pytest.raises(EdgeError, match=r"audit\.json does not match SHA256SUMS"):
        Manifest.read(ship)
    resummed(ship)
    with pytest.raises(EdgeError, match="not what the audit wrote"):
        Manifest.read(ship).passed(ship)


def test_other_graphs_are_not_those_that_were_audited(ship: Path, tmp_path: Path) -> None:
    before = encoder(ship)
    attach(before, summary(tmp_path), True)
    told = json.loads((ship / MANIFEST).read_text())
    graph = ship / "edge.onnx"
    graph.write_bytes((ship / "cloud.onnx").read_bytes())
    told["files"][graph.name] = hashlib.sha256(graph.read_bytes()).hexdigest()
    (ship / MANIFEST).write_text(json.dumps(told))
    resummed(ship)
    with pytest.raises(EdgeError, match="not those that were audited"):
        Manifest.read(ship).passed(ship)
    with pytest.raises(do.InputError, match="exported anew while it was audited"):
        attach(before, summary(tmp_path), True)


def test_an_audit_from_the_command_line_is_noted(
    ship: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The attackers themselves, seconds of training, are tried elsewhere."""

    def finish(folder: Path, gates: Any, page: Any, faces: bool) -> Any:
        summary(folder, "exceeded")
        line = SimpleNamespace(line="A leak.")
        return SimpleNamespace(folder=folder, verdict=line, gates=(), exit_code=3)

    monkeypatch.setattr(Runner, "audit", lambda *given: None)
    monkeypatch.setattr(api, "finish", finish)
    words = ["--data", "synthetic:600", "--public", "Male", "--private", "Smiling", "--limit"]
    words += ["112", "--fail-if", GATE, "--out", str(tmp_path / "audit")]
    assert main(["audit", str(ship), *words]) == 3
    assert f"noted: {ship / 'manifest.json'}" in capsys.readouterr().out
    found = Manifest.read(ship).audit
    assert found is not None
    assert not found.passed
    assert found.gates == {GATE: "exceeded"}
    assert (ship / "audit.json").read_bytes() == (tmp_path / "audit" / "audit.json").read_bytes()
