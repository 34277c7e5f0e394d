import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from deepobfuscator.core.config import field_docs
from deepobfuscator.core.errors import InputError
from deepobfuscator.core.records import (
    IMAGE,
    REFERENCES,
    Record,
    ThreatKey,
    ThreatKind,
    group,
    headline,
    read_jsonl,
    select,
    write_jsonl,
)

PROMISED = ["trial", "defence", "attack", "subject", "metric", "value", "low", "high", "floor"]
PROMISED += ["n", "n_people", "split", "seed", "detail", "given"]


def record(attack: str, value: float, split: str = "test", **changed: object) -> Record:
    plain = Record(
        trial="0123456789ab",
        defence="deepobfuscator",
        attack=attack,
        subject="Male",
        metric="balanced_accuracy",
        value=value,
        low=value - 0.01,
        high=value + 0.01,
        floor=0.58,
        n=2000,
        n_people=400,
        split=split,
        seed=1,
    )
    return replace(plain, **changed)


AUDITED = [
    record("ac", 0.70, "validation"),
    record("ac", 0.66),
    record("mlp", 0.68, "validation"),
    record("mlp", 0.71),
    record("linear", 0.99, "validation"),
    record("ac", 0.95, "validation", subject="Young"),
    record("resnet", 0.97, metric="auc"),
    record("resnet", 0.99, "validation", metric="auc"),
] + [r for name in REFERENCES for r in (record(name, 0.98, "validation"), record(name, 0.98))]
"""linear was never scored on test; references are not attacks."""


def test_records_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "records.jsonl"
    records = [
        record("ac", 0.7),
        record("mirror", 21.5, subject=IMAGE, metric="psnr", floor=None, n_people=None),
        record("mirror", -0.1, subject="a\u2028line\nbreak", detail="scales 3, »window« 11"),
    ]
    write_jsonl(path, records)
    assert read_jsonl(path) == records


def test_a_line_has_the_promised_fields_in_order(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    write_jsonl(path, [record("ac", 0.7, floor=None), record("mlp", 0.6)])
    lines = path.read_text().splitlines()
    assert [list(json.loads(line)) for line in lines] == [PROMISED, PROMISED]
    assert json.loads(lines[0])["floor"] is None
    assert json.loads(lines[1])["value"] == 0.6


def test_every_field_is_explained() -> None:
    assert list(field_docs(Record)) == PROMISED


def test_select_and_group_keep_the_order() -> None:
    assert select(AUDITED, attack="ac", split="test") == [AUDITED[1]]
    assert select(AUDITED) == AUDITED
    groups = group(AUDITED[:5], lambda r: r.attack)
    assert list(groups) == ["ac", "mlp", "linear"]
    assert groups["mlp"] == AUDITED[2:4]


def test_the_headline_is_chosen_on_validation_alone() -> None:
    chosen = headline(AUDITED, "Male", "balanced_accuracy")
    assert (chosen.attack, chosen.split, chosen.value) == ("ac", "test", 0.66)
    for value in (0.0, 0.5, 1.0):
        swayed = [replace(r, value=value) if r.split == "test" else r for r in AUDITED]
        assert headline(swayed, "Male", "balanced_accuracy").attack == "ac"


def test_references_are_no_attackers() -> None:
    references = [r for r in AUDITED if r.attack in REFERENCES]
    with pytest.raises(KeyError, match="no fresh attacker on Male by balanced_accuracy"):
        headline(references, "Male", "balanced_accuracy")
    with pytest.raises(KeyError, match="Bald"):
        headline(AUDITED, "Bald", "balanced_accuracy")


@pytest.mark.parametrize("field", ["value", "low", "high", "floor"])
@pytest.mark.parametrize("figure", [math.nan, math.inf, -math.inf])
def test_a_figure_that_is_not_finite_is_never_written(
    tmp_path: Path, field: str, figure: float
) -> None:
    path = tmp_path / "records.jsonl"
    write_jsonl(path, [record("ac", 0.7)])
    before = path.read_bytes()
    with pytest.raises(ValueError, match="not a finite figure"):
        write_jsonl(path, [record("ac", 0.5), replace(record("mlp", 0.5), **{field: figure})])
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda line: line[: len(line) // 2], "not a record"),
        (lambda line: b"", "not a record"),
        (lambda line: b"\0" * len(line), "not a record"),
        (lambda line: line.replace(b"Male", b"Ma\xffe"), "not a record"),
        (lambda line: line.replace(b"0.58", b"NaN"), "not a record"),
        (lambda line: b"[]", "expected an object"),
        (
            lambda line: line.replace(b'"metric"', b'"metrik"'),
            "unknown field 'metrik': did you mean metric",
        ),
        (lambda line: line.replace(b'"seed": 1, ', b""), "field 'seed' is missing"),
        (lambda line: line.replace(b"2000", b"20.5"), "n: expected int, found 20.5"),
    ],
)
def test_a_damaged_line_is_named(tmp_path: Path, damage: type, complaint: str) -> None:
    path = tmp_path / "records.jsonl"
    write_jsonl(path, [record("ac", 0.7), record("mlp", 0.6), record("resnet", 0.5)])
    lines = path.read_bytes().splitlines()
    lines[1] = damage(lines[1])
    path.write_bytes(b"\n".join(lines) + b"\n")
    with pytest.raises(InputError) as caught:
        read_jsonl(path)
    message = str(caught.value)
    assert message.startswith(f"{path}, line 2")
    assert complaint in message
    assert "\n" not in message


@pytest.mark.parametrize("kind", ThreatKind)
def test_a_threat_is_read_as_it_is_written(kind: ThreatKind) -> None:
    key = ThreatKey(kind, count=50 * (kind is ThreatKind.BUDGET))
    assert ThreatKey.read(str(key)) == key
