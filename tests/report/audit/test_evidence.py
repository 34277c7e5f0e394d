import dataclasses
from pathlib import Path
from typing import Any

import pytest

from deepobfuscator.auditing.leakage import Status, Weakness, evidence, worst
from deepobfuscator.core.records import (
    CEILING,
    EXCESS,
    GAIN,
    REFERENCES,
    WITHIN,
    Record,
    ThreatKind,
)
from deepobfuscator.report.runs import RunResult, read_run

Change = tuple[dict[str, Any], float | None]
"""Which records, and the value their intervals are moved to; None drops them."""

ABOVE = {"given": ThreatKind.LABELS, "metric": EXCESS}
CONTROL = {"given": ThreatKind.SHUFFLED, "metric": "balanced_accuracy"}
AT_CEILING = {"attack": CEILING, "metric": EXCESS}


def changed(run: RunResult, *changes: Change) -> list[Record]:
    records = list(run.records)
    for wanted, value in changes:
        hit = [all(getattr(r, k) == v for k, v in wanted.items()) for r in records]
        assert any(hit)
        if value is None:
            records = [r for r, h in zip(records, hit, strict=True) if not h]
        else:
            moved = {"value": value, "low": value - 0.01, "high": value + 0.01}
            records = [
                dataclasses.replace(r, **moved) if h else r
                for r, h in zip(records, hit, strict=True)
            ]
    return records


@pytest.mark.parametrize(
    ("changes", "raw", "outcome"),
    [
        ([], False, Status.NO_LEAK),
        ([({"attack": "resnet", "metric": EXCESS, "given": ""}, 0.011)], False, Status.LEAK),
        ([({"attack": "resnet", "metric": EXCESS, "given": ""}, 0.009)], False, Status.NO_LEAK),
        # Only the attacker chosen on validation decides: a rival that is lucky on test does not.
        ([({"attack": "ensemble", "metric": EXCESS}, 0.3)], False, Status.NO_LEAK),
        ([(ABOVE, 0.011)], False, Status.LEAK),
        ([(AT_CEILING, 0.009)], False, Status.TOO_WEAK),
        ([(AT_CEILING, 0.009)], True, Status.CANNOT_TELL),
        ([(AT_CEILING, None)], False, Status.TOO_WEAK),
        ([(AT_CEILING, 0.009), (ABOVE, 0.011)], False, Status.LEAK),
        ([(CONTROL, 0.517)], False, Status.BROKEN),
        ([(CONTROL, 0.511)], False, Status.NO_LEAK),
        ([(CONTROL, 0.517), (ABOVE, 0.011)], False, Status.BROKEN),
    ],
)
def test_the_rule(plant_audit: Any, changes: list[Change], raw: bool, outcome: str) -> None:
    run = read_run(plant_audit("tight"))
    assert evidence(changed(run, *changes), "Male", raw_ceiling=raw).status == outcome


def test_what_is_read_among_equal_labels_is_a_leak(plant_audit: Any) -> None:
    """Intervals are .01 to a side; five private attributes widen them by 1.31."""
    run = read_run(plant_audit("tight"))
    assert evidence(run.records, "Male").within_labels is None

    def among_equals(value: float) -> list[Record]:
        moved = {"value": value, "low": value - 0.01, "high": value + 0.01, "metric": WITHIN}
        figures = [r for r in run.records if (r.subject, r.metric) == ("Male", "balanced_accuracy")]
        return [*run.records, *(dataclasses.replace(r, **moved) for r in figures)]

    assert evidence(among_equals(0.511), "Male").status is Status.LEAK
    assert evidence(among_equals(0.509), "Male").status is Status.NO_LEAK
    assert evidence(among_equals(0.511), "Male", private=5).status is Status.NO_LEAK
    found = evidence(among_equals(0.514), "Male", private=5)
    assert found.status is Status.LEAK
    assert found.leak == found.within_labels


@pytest.mark.parametrize(
    ("added", "value", "weakness"),
    [
        ({"metric": EXCESS, "given": str(ThreatKind.RAW)}, 1.99, None),
        ({"metric": EXCESS, "given": str(ThreatKind.RAW)}, 2.01, Weakness.LITTLE),
        ({"metric": GAIN}, 0.019, None),
        ({"metric": GAIN}, 0.021, Weakness.SHORT),
    ],
)
def test_the_positive_control(
    plant_audit: Any, added: dict[str, str], value: float, weakness: Weakness | None
) -> None:
    """Raw pictures tell so many times what the ceiling does; twice the budget gains so much."""
    run = read_run(plant_audit("tight"))
    at = next(
        r for r in run.records if (r.attack, r.metric, r.subject) == (CEILING, EXCESS, "Male")
    )
    value *= at.value if added["metric"] == EXCESS else 1
    record = dataclasses.replace(at, value=value, low=value - 0.01, high=value + 0.01, **added)
    found = evidence([*run.records, record], "Male")
    assert found.ceiling == at
    assert found.weakness is weakness
    assert found.status is (Status.TOO_WEAK if weakness else Status.NO_LEAK)
    leaking = [*changed(run, (ABOVE, 0.011)), record]
    assert evidence(leaking, "Male").status is Status.LEAK


@pytest.mark.parametrize("kind", [ThreatKind.PERSON, ThreatKind.INSIDER, ThreatKind.AVERAGED])
def test_other_threats_count(plant_audit: Any, kind: ThreatKind) -> None:
    """Chosen on validation among those of one threat model, like the common attackers."""
    run = read_run(plant_audit("tight"))
    figures = [r for r in run.records if r.subject == "Male" and r.attack == "resnet"]
    beyond = [dataclasses.replace(r, given=str(kind)) for r in figures if not r.given]

    def moved(value: float) -> list[Record]:
        excess = {"value": value, "low": value - 0.01, "high": value + 0.01}
        return [dataclasses.replace(r, **excess) if r.metric == EXCESS else r for r in beyond]

    assert evidence([*run.records, *moved(0.009)], "Male").status is Status.NO_LEAK
    if kind is ThreatKind.PERSON:  # without the floor of all labels, it was held against one
        assert evidence([*run.records, *moved(0.011)], "Male").status is Status.NO_LEAK
        beyond.append(dataclasses.replace(beyond[0], attack="label-only"))
    found = evidence([*run.records, *moved(0.011)], "Male")
    assert found.status is Status.LEAK
    assert found.leak is not None
    assert found.leak.threat.kind is kind


def test_references_alone_are_no_attack(plant_audit: Any) -> None:
    run = read_run(plant_audit("leaky"))
    left = [r for r in run.records if r.attack in REFERENCES]
    assert {evidence(left, s).status for s in ("Male", "image", "identity")} == {
        Status.NOT_ATTACKED
    }


def test_an_undefended_run_beside_is_the_ceiling_where_the_run_has_none(
    plant_audit: Any, tmp_path: Path
) -> None:
    run, plain = read_run(plant_audit("tight")), read_run(plant_audit("leaky"))
    without = changed(run, (AT_CEILING, None))
    assert evidence(without, "Male").status == Status.TOO_WEAK
    assert evidence(without, "Male", undefended=plain.records).status == Status.NO_LEAK


def test_the_worst_outcome_counts() -> None:
    assert worst([Status.NO_LEAK, Status.TOO_WEAK, Status.LEAK]) == Status.LEAK
    assert worst([Status.LEAK, Status.BROKEN]) == Status.BROKEN
    assert worst([Status.NO_LEAK, Status.TOO_WEAK]) == Status.TOO_WEAK
    assert worst([]) == Status.NOT_ATTACKED
