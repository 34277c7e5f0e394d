from collections.abc import Sequence
from typing import Any

import pytest

from deepobfuscator.auditing.gates import Gate, Outcome, parse_gate
from deepobfuscator.core.errors import InputError
from deepobfuscator.core.records import CEILING, EXCESS, MAXIMUM, Record, ThreatKind
from deepobfuscator.report.runs import read_run


def find(records: Sequence[Record], **wanted: object) -> Record:
    (found,) = [r for r in records if all(getattr(r, k) == v for k, v in wanted.items())]
    return found


@pytest.mark.parametrize(
    ("text", "gate"),
    [
        ("Male.excess > 0.05", ("Male", EXCESS, 0.05)),
        ("  Male.excess>.05 ", ("Male", EXCESS, 0.05)),
        ("Wears St. hat.mcc > -1e-1", ("Wears St. hat", "mcc", -0.1)),
        ("image.psnr > 18", ("image", "psnr", 18)),
        ("identity.rank1 > 0", ("identity", "rank1", 0)),
    ],
)
def test_a_gate_is_read(text: str, gate: tuple[str, str, float]) -> None:
    assert parse_gate(text) == Gate(*gate)
    assert parse_gate(str(Gate(*gate))) == Gate(*gate)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("Male > 0.05", "write SUBJECT.METRIC > NUMBER"),
        ("Male.excess < 0.05", "write SUBJECT.METRIC > NUMBER"),
        ("", "write SUBJECT.METRIC > NUMBER"),
        ("Male.exces > 0.05", "did you mean excess"),
        ("Male.psnr > 18", "no metric 'psnr'"),
        ("image.balanced_accuracy > 0.5", "known are ms_ssim, ssim, psnr, excess"),
        ("identity.mcc > 0", "known are auc, rank1, excess"),
        ("Male.excess > five", "'five' is not a number"),
        ("Male.excess > nan", "'nan' is not a number"),
        ("Male.excess > inf", "'inf' is not a number"),
        ("Male.excess > 5", "write 5 % as 0.05"),
    ],
)
def test_a_gate_that_cannot_work_is_refused_in_one_line(text: str, complaint: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_gate(text)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_gate_acts_on_the_simultaneous_bound_of_the_maximum(plant_audit: Any) -> None:
    records = read_run(plant_audit("tight")).records
    for metric, limit in (("balanced_accuracy", 0.57), (EXCESS, 0.02)):
        upper = find(records, attack=MAXIMUM, subject="Male", metric=metric).high
        chosen = find(
            records, attack="resnet", subject="Male", metric=metric, split="test", given=""
        )
        assert chosen.high < limit < upper  # the headline alone would have passed
        outcome = parse_gate(f"Male.{metric} > {limit}").judge(records)
        assert outcome == Outcome(f"Male.{metric} > {limit}", upper, "exceeded")
        assert parse_gate(f"Male.{metric} > {upper}").judge(records).outcome == "passed"


def test_other_metrics_take_the_highest_end_of_any_common_attacker(plant_audit: Any) -> None:
    records = read_run(plant_audit("tight")).records
    common = [
        r
        for r in records
        if (r.subject, r.metric, r.split, r.given) == ("Male", "auc", "test", "")
        and r.attack != CEILING
    ]
    upper = max(r.high for r in common)
    assert parse_gate("Male.auc > 0.5").judge(records) == Outcome(
        "Male.auc > 0.5", upper, "exceeded"
    )


def test_who_is_given_the_labels_counts_for_an_excess(plant_audit: Any) -> None:
    records = list(read_run(plant_audit("tight")).records)
    given = find(records, subject="Male", metric=EXCESS, given=ThreatKind.LABELS)
    records[records.index(given)] = given = Record(**vars(given) | {"low": -0.01, "high": 0.2})
    outcome = parse_gate("Male.excess > 0.1").judge(records)
    assert (outcome.upper, outcome.outcome) == (0.2, "exceeded")


def test_the_negative_control_never_moves_a_bound(plant_audit: Any) -> None:
    def upper(control: float) -> float | None:
        records = read_run(plant_audit("tight", control=control, private=["Male"])).records
        assert any(r.given == ThreatKind.SHUFFLED for r in records)
        return parse_gate("Male.accuracy > 0.9").judge(records).upper

    assert upper(0.5) is not None
    assert upper(0.95) == upper(0.5)


@pytest.mark.parametrize(
    ("how", "outcome"),
    [
        ({}, "passed"),
        ({"able": 0.555}, "attack too weak"),  # the ceiling is no better than the labels
        ({"control": 0.6}, "attack too weak"),  # a broken audit vouches for nothing
    ],
)
def test_only_an_attack_that_could_have_found_it_lets_a_gate_pass(
    plant_audit: Any, how: dict[str, Any], outcome: str
) -> None:
    records = read_run(plant_audit("tight", **how)).records
    assert parse_gate("Male.excess > 0.05").judge(records).outcome == outcome


def test_a_weak_attack_that_still_exceeds_is_exceeded(plant_audit: Any) -> None:
    records = read_run(plant_audit("leaky", able=0.555)).records
    assert parse_gate("Male.excess > 0.05").judge(records).outcome == "exceeded"


def test_a_subject_that_nobody_attacked_does_not_pass(plant_audit: Any) -> None:
    records = [
        r
        for r in read_run(plant_audit("tight")).records
        if r.subject != "Male" or r.attack == "label-only"
    ]
    assert parse_gate("Male.excess > 0.05").judge(records) == Outcome(
        "Male.excess > 0.05", None, "attack too weak"
    )


def test_an_unknown_subject_names_what_was_audited() -> None:
    attacked = ["Male", "image", "Chubby"]
    for text, complaint in (
        ("Mael.excess > 0.05", "did you mean Male"),
        ("identity.auc > 0.6", "known are Male, image"),
        ("Smiling.accuracy > 0.5", "'Smiling' is not audited"),
    ):
        with pytest.raises(InputError, match=complaint) as caught:
            parse_gate(text).check(attacked)
        assert "\n" not in str(caught.value)
