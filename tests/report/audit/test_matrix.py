import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from deepobfuscator.auditing.leakage import Status
from deepobfuscator.report.comparison import compare
from deepobfuscator.report.matrix import Cell, matrix_of
from deepobfuscator.report.runs import find_runs, read_run
from deepobfuscator.report.titles import title_of
from deepobfuscator.report.view import ComparisonReport, publish


def cells(folder: Path, defence: str = "narrow-code") -> dict[str, Cell]:
    matrix = matrix_of(compare(find_runs(folder))[0])
    (found,) = [of_row for c, of_row in matrix.rows if c.label == defence]
    return dict(zip([name for name, _ in matrix.headings], found, strict=True))


@pytest.mark.parametrize(
    ("kind", "leaks", "others"), [("tight", 0, "0 of 12"), ("leaky", 1, "6 of 12")]
)
def test_identity_and_other_attributes_are_judged(
    plant_audit: Any, tmp_path: Path, kind: str, leaks: bool, others: str
) -> None:
    plant_audit(kind)
    told, said = cells(tmp_path), title_of(compare(find_runs(tmp_path))[0])
    assert told["identity"].status is (Status.LEAK if leaks else Status.NO_LEAK)
    assert told["other attributes"].figure == others
    assert ("leaks other attributes" in said) == leaks
    assert ("hides Male, Young, faces and identity" in said) != leaks


def test_a_leak_to_who_has_the_labels_is_one_and_says_so(plant_audit: Any, tmp_path: Path) -> None:
    path = plant_audit("tight") / "records.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for r in lines:
        if (r["subject"], r["metric"], r["given"]) == ("Male", "excess", "public labels"):
            r |= {"value": 0.05, "low": 0.03, "high": 0.07}
    path.write_text("".join(json.dumps(r) + "\n" for r in lines))
    male = cells(tmp_path)["Male"]
    assert male.status is Status.LEAK
    assert male.note == "leak given the public labels"
    assert "Leak given the public labels: +5.0 points (+3.0 to +7.0)" in male.title


def test_every_row_links_its_audit_page(plant_audit: Any, tmp_path: Path) -> None:
    run = plant_audit("leaky")
    report = ComparisonReport.read([tmp_path])
    page = tmp_path / "pages" / "all.html"
    page.parent.mkdir()
    report.save(page)
    assert "<a href" not in page.read_text().split("<tbody")[1].split("</tbody")[0]
    publish(read_run(run))
    report.save(page)
    (address,) = re.findall(r'<th scope="row".*?<a href="([^"]*)"', page.read_text(), re.DOTALL)
    assert os.path.normpath(page.parent / address) == str(run / "report.html")


def test_a_leak_among_equal_labels_is_a_share_of_the_same_figure(
    plant: Any, tmp_path: Path
) -> None:
    runs = {"narrow-code": (0.53, 0.51, 0.55), "undefended": (0.80, 0.79, 0.81)}
    for defence, (value, low, high) in runs.items():
        path = plant(defence=defence, read=0.951 if defence == "undefended" else 0.551, rebuilt=0.2)
        path /= "records.jsonl"
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        for r in [r for r in lines if (r["subject"], r["metric"]) == ("Male", "balanced_accuracy")]:
            if r["attack"] == "boosted":
                within = {"metric": "within_labels", "value": value, "low": low, "high": high}
                lines.append(r | within)
        path.write_text("".join(json.dumps(r) + "\n" for r in lines))
    male = cells(tmp_path)["Male"]
    assert male.status is Status.LEAK
    assert male.figure == "10\xa0%"  # .03 of .30
    assert male.note == "leak among pictures with equal public labels"
    assert "10\xa0%" in title_of(compare(find_runs(tmp_path))[0])
