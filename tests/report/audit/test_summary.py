import dataclasses
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from deepobfuscator.core.records import CEILING, EXCESS
from deepobfuscator.report.runs import RunResult, read_run
from deepobfuscator.report.view import AuditReport

GOLDEN = Path(__file__).parent / "golden.json"
KINDS = ("leaky", "tight", "brought", "noisy")

SCHEMA = json.loads((files("deepobfuscator.report") / "schema.json").read_text())


def summarise(run: RunResult) -> dict[str, Any]:
    return AuditReport.of(run).to_json()


def subject(summary: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [s for s in summary["subjects"] if s["name"] == name]
    return dict(found)


def few_records(run: RunResult) -> RunResult:
    """Enough for every field, little enough to be read."""
    subjects = ("Smiling", "Male", "image", "Chubby")
    left_out = ("ac", "ac seed=1", "mlp", "trees", "residual")
    kept = [r for r in run.records if r.subject in subjects and r.attack not in left_out]
    return dataclasses.replace(run, records=tuple(kept))


def test_the_same_records_give_the_same_json(plant_audit: Any, tmp_path: Path) -> None:
    run = few_records(read_run(plant_audit("leaky", private=["Male"])))
    AuditReport.of(run).save(tmp_path / "audit.json")
    assert (tmp_path / "audit.json").read_text() == GOLDEN.read_text()


@pytest.mark.parametrize("kind", KINDS)
def test_the_summary_holds_to_its_schema(plant_audit: Any, kind: str) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    validator = jsonschema.Draft202012Validator(SCHEMA)
    summary = json.loads(json.dumps(summarise(read_run(plant_audit(kind)))))
    validator.validate(summary)
    for broken in (
        summary | {"format": "deepobfuscator-audit/2"},
        {k: v for k, v in summary.items() if k != "not_tried"},
        summary | {"subjects": [{**summary["subjects"][-1], "status": "safe"}]},
    ):
        assert not validator.is_valid(broken)


def test_the_schema_and_the_summary_name_the_same_fields(plant_audit: Any) -> None:
    summary = summarise(read_run(plant_audit("leaky")))
    assert set(summary) == set(SCHEMA["required"]) == set(SCHEMA["properties"])
    for name, kind in (("Smiling", "public"), ("Male", "attacked")):
        assert set(subject(summary, name)) == set(SCHEMA["$defs"][kind]["required"])


def test_nothing_is_ever_called_private_or_safe(plant_audit: Any) -> None:
    for kind in KINDS:
        verdict = summarise(read_run(plant_audit(kind)))["verdict"]
        said = f"{verdict['title']} {verdict['line']}".lower()
        assert not [word for word in ("private", "safe", "secure", "protect") if word in said]


def test_the_verdict_tells_what_was_tested_what_leaked_and_what_was_not_tried(
    plant_audit: Any,
) -> None:
    line = summarise(read_run(plant_audit("leaky")))["verdict"]["line"]
    assert "12 newly trained attackers of the quick suite" in line
    assert "on 3,000 test pictures of 1,012 people" in line
    assert "Male +24.2 points (+23.1 to +25.3), balanced accuracy 79.3\xa0%" in line
    assert "faces +.131 (+.120 to +.142), MS-SSIM .412" in line
    assert "identity +.280" in line
    assert "6 leak; most of all Big_Lips, +12.0 points" in line
    assert "Not run: white-box inversion." in line


@pytest.mark.parametrize(
    ("kind", "how", "status", "said"),
    [
        (
            "tight",
            {},
            "no leak found",
            "These attackers found no leak of Male (at most +3.0",
        ),
        ("tight", {"able": 0.555}, "attack too weak to tell", "from the undefended encoder either"),
        (
            "tight",
            {"able": 0.555, "ceiling": "raw"},
            "cannot tell",
            "from raw pictures either",
        ),
        ("tight", {"control": 0.6}, "audit broken", "no figure of this audit counts"),
        ("leaky", {"control": 0.6}, "audit broken", "faces +.131"),
        ("leaky", {"able": 0.555}, "leak", "Male +24.2 points"),
    ],
)
def test_each_outcome_is_said(
    plant_audit: Any, kind: str, how: dict[str, Any], status: str, said: str
) -> None:
    verdict = summarise(read_run(plant_audit(kind, **how)))["verdict"]
    assert verdict["status"] == status
    assert said in verdict["line"]


def test_without_a_ceiling_it_is_said_that_nobody_knows(plant_audit: Any) -> None:
    run = read_run(plant_audit("tight"))
    kept = tuple(r for r in run.records if r.attack != CEILING)
    verdict = summarise(dataclasses.replace(run, records=kept))["verdict"]
    assert "no undefended encoder was attacked for comparison" in verdict["line"]


def test_the_headline_is_chosen_on_validation_and_the_maximum_stands_beside(
    plant_audit: Any,
) -> None:
    male = subject(summarise(read_run(plant_audit("leaky"))), "Male")
    assert male["headline"]["attack"] == "resnet"
    highest = max(
        a["figures"]["balanced_accuracy"]["value"] for a in male["attackers"] if not a["given"]
    )
    assert male["maximum"]["value"] == highest > male["headline"]["value"]
    assert male["maximum"]["detail"] == "ensemble"
    assert male["excess"]["value"] == pytest.approx(
        male["headline"]["value"] - male["floors"]["label-only"]["value"]
    )


def test_budgets_end_with_all_of_the_attackers_pictures(plant_audit: Any) -> None:
    male = subject(summarise(read_run(plant_audit("leaky"))), "Male")
    assert [p["pictures"] for p in male["budget"]] == [50, 200, 1000, 7000]
    few = {p["attack"] for p in male["budget"][:-1]}
    everything = male["budget"][-1]
    assert everything["attack"] in few, "more pictures are not to be mistaken for other attackers"
    mine = next(
        a for a in male["attackers"] if (a["name"], a["given"]) == (everything["attack"], "")
    )
    assert everything["figure"] == mine["figures"]["balanced_accuracy"]
    assert not [
        a for a in male["attackers"] if "pictures" in a["given"] and a["given"][0].isdigit()
    ]


def test_undeclared_attributes_are_ranked_and_leak_by_holm(plant_audit: Any) -> None:
    ranked = summarise(read_run(plant_audit("noisy")))["undeclared"]
    excesses = [u["excess"]["value"] for u in ranked]
    assert excesses == sorted(excesses, reverse=True)
    assert [u["leaks"] for u in ranked] == [
        u["p_holm"] < 0.05 and u["excess"]["value"] > 0 for u in ranked
    ]
    assert {u["leaks"] for u in ranked} == {True, False}
    names = {u["name"] for u in ranked}
    assert not names & {"Smiling", "Male", "Young", "image", "identity"}


def test_a_brought_encoder_has_no_service_no_game_and_unknown_parts(plant_audit: Any) -> None:
    summary = summarise(read_run(plant_audit("brought")))
    assert summary["data"]["parts"]["defender"] is None
    assert subject(summary, "Smiling")["service"] is None
    male = subject(summary, "Male")
    assert male["in_game"] is None
    assert male["excess_over_service"] is None
    assert male["headline"]["n_people"] is None
    assert "identity" not in {s["name"] for s in summary["subjects"]}


def test_a_leak_found_only_with_the_labels_is_said_so(plant_audit: Any) -> None:
    run = read_run(plant_audit("tight", private=["Male"]))
    moved = tuple(
        dataclasses.replace(r, value=0.04, low=0.03, high=0.05)
        if (r.given, r.metric) == ("public labels", EXCESS)
        else r
        for r in run.records
    )
    line = summarise(dataclasses.replace(run, records=moved))["verdict"]["line"]
    assert "Male +4.0 points (+3.0 to +5.0) given the public labels" in line
    assert "given too, to" not in line, "the headline is of attackers without the labels"
