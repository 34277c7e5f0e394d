import dataclasses
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from deepobfuscator.auditing.gates import parse_gate
from deepobfuscator.auditing.leakage import Status
from deepobfuscator.core.errors import InputError
from deepobfuscator.core.records import EXCESS, ThreatKind
from deepobfuscator.report.runs import read_run
from deepobfuscator.report.view import AuditReport, ComparisonReport, finish


def report(folder: Path) -> AuditReport:
    return AuditReport.of(read_run(folder))


def test_a_subject_is_found_by_its_name(plant_audit: Any) -> None:
    found = report(plant_audit("leaky"))
    excess = found["Male"].excess
    assert excess is not None
    assert (excess.value, excess.low, excess.high) == pytest.approx((0.242, 0.231, 0.253))
    assert [s.name for s in found.subjects] == ["Smiling", "Male", "Young", "image", "identity"]
    with pytest.raises(InputError, match="did you mean Male"):
        found["Mael"]


def test_a_report_is_read_at_a_glance(plant_audit: Any) -> None:
    lines = repr(report(plant_audit("leaky"))).splitlines()
    assert lines[0].startswith("Attackers recover Male")
    male = next(line for line in lines if "Male:" in line)
    assert "79.3 (78.2–80.4), floor 55.1, ceiling 94.0" in male
    assert "excess +24.2 points (+23.1 to +25.3), leak" in male
    assert len(lines) == 1 + 5


def test_a_notebook_shows_a_fragment_that_loads_nothing(checked: Any, plant_audit: Any) -> None:
    text = report(plant_audit("leaky"))._repr_html_()
    parsed = checked(text)
    assert not parsed.open
    assert "<script" not in text
    assert "http" not in text
    assert text.count('class="track"') == 5
    assert "leak" in parsed.words


@pytest.mark.parametrize(
    ("how", "gates", "code"),
    [
        ({}, (), 0),
        ({}, ("Male.excess > 0.05",), 0),
        ({}, ("Male.excess > 0.001",), 3),
        ({"able": 0.555}, ("Male.excess > 0.05",), 4),
        ({"control": 0.6}, (), 4),  # a broken audit never ends well
        ({"control": 0.6}, ("Male.excess > 0.001",), 3),
    ],
)
def test_what_a_pipeline_is_told(
    plant_audit: Any, how: dict[str, Any], gates: tuple[str, ...], code: int
) -> None:
    folder = plant_audit("tight", **how)
    done = finish(folder, [parse_gate(text) for text in gates])
    assert done.exit_code == code
    assert [gate.rule for gate in done.gates] == list(gates)
    notes = json.loads((folder / "audit" / "notes.json").read_text())
    assert notes["gates"] == [dataclasses.asdict(gate) for gate in done.gates]
    assert json.loads((folder / "audit.json").read_text()) == done.to_json()
    assert done.verdict.title in (folder / "report.html").read_text()


def test_a_leak_found_only_by_averaging_is_said_so(plant_audit: Any) -> None:
    run = read_run(plant_audit("tight", private=["Male"]))
    mine = next(r for r in run.records if (r.given, r.metric) == (ThreatKind.LABELS, EXCESS))
    own = next(
        r
        for r in run.records
        if (r.given, r.metric, r.split) == (ThreatKind.LABELS, "balanced_accuracy", "validation")
    )
    averaged = {"given": ThreatKind.AVERAGED.value}
    more = (
        dataclasses.replace(mine, value=0.04, low=0.03, high=0.05, **averaged),
        dataclasses.replace(own, **averaged),
    )
    found = AuditReport.of(dataclasses.replace(run, records=(*run.records, *more)))
    assert found["Male"].status is Status.LEAK
    assert "Male +4.0 points (+3.0 to +5.0) from the average of 8 queries" in found.verdict.line


def test_a_comparison_is_its_table(checked: Any, study: Path) -> None:
    found = ComparisonReport.read([study])
    assert repr(found).startswith("| Subject | Defence | Seed |")
    parsed = checked(found._repr_html_())
    assert not parsed.open
    assert "79.3 (78.2–80.4)" in parsed.words


def test_a_frame_has_a_row_for_each_record(
    plant_audit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = report(plant_audit("leaky"))
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(InputError, match="pip install pandas"):
        found.to_frame()
    monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(DataFrame=list))
    frame = found.to_frame()
    assert len(frame) == len(found.run.records)
    assert frame[0]["attack"] == found.run.records[0].attack
