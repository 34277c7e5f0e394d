import json
import re
from pathlib import Path
from typing import Any

import pytest

from deepobfuscator.auditing.leakage import Status
from deepobfuscator.report.comparison import compare
from deepobfuscator.report.matrix import Cell, matrix_of
from deepobfuscator.report.pages import comparison_page
from deepobfuscator.report.runs import find_runs
from deepobfuscator.report.titles import title_of
from deepobfuscator.report.view import ComparisonReport


def title(folder: Path) -> str:
    return title_of(compare(find_runs(folder))[0])


def cells(folder: Path, defence: str = "narrow-code") -> dict[str, Cell]:
    """The cells of a defence by the name of their column."""
    matrix = matrix_of(compare(find_runs(folder))[0])
    (found,) = [of_row for c, of_row in matrix.rows if c.label == defence]
    return dict(zip([name for name, _ in matrix.headings], found, strict=True))


def page(folder: Path) -> str:
    return comparison_page(ComparisonReport.read([folder]))


@pytest.mark.parametrize(
    ("read", "undefended", "outcome"),
    [
        (0.60, 0.96, Status.LEAK),
        (0.563, 0.96, Status.LEAK),  # its excess begins just above 0
        (0.561, 0.96, Status.NO_LEAK),  # begins just below 0
        (0.50, 0.96, Status.NO_LEAK),
        (0.50, 0.561, Status.TOO_WEAK),  # even the undefended encoder does not clear the floor
        (0.60, 0.561, Status.LEAK),  # a leak stays one
    ],
)
def test_a_leak_needs_an_excess_whose_interval_is_above_zero(
    plant: Any, tmp_path: Path, read: float, undefended: float, outcome: Status
) -> None:
    # Images clear their floor's ceiling and leak nothing, so that the attribute decides.
    plant(defence="undefended", read=undefended, rebuilt=0.93)
    plant(defence="narrow-code", read=read, rebuilt=0.25)
    male = cells(tmp_path)["Male"]
    assert male.status is outcome
    assert (male.figure == "none found") == (outcome is Status.NO_LEAK)
    assert (
        title(tmp_path)
        == {
            Status.LEAK: "narrow-code leaks Male: "
            f"{100 * (read - 0.551) / 0.409:.0f}\xa0% of the undefended leak. "
            "narrow-code hides faces from these attackers"
            if undefended == 0.96
            else "narrow-code leaks Male. narrow-code hides faces from these attackers",
            Status.NO_LEAK: "narrow-code hides Male and faces from these attackers",
            Status.TOO_WEAK: "Male: inconclusive. narrow-code hides faces from these attackers",
        }[outcome]
    )


def test_nothing_is_ever_called_private_or_safe(plant: Any, tmp_path: Path) -> None:
    plant(defence="undefended", read=0.96)
    plant(defence="narrow-code", read=0.5, rebuilt=0.2)
    (lede,) = re.findall('<p class="lede">(.*?)</p>', page(tmp_path), re.DOTALL)
    told = [text for c in cells(tmp_path).values() for text in (c.figure, c.note, c.title)]
    said = " ".join([title(tmp_path), lede, *told]).lower()
    assert "private" not in said
    assert "safe" not in said
    assert "secure" not in said


def test_a_cell_is_the_share_of_the_undefended_leak_with_its_interval(
    plant: Any, tmp_path: Path
) -> None:
    plant(defence="undefended", read=0.951, floor=0.551)
    plant(defence="narrow-code", read=0.751, floor=0.551)
    male = cells(tmp_path)["Male"]
    assert male.figure == "50\xa0%"
    assert male.span is not None
    value, low, high = male.span
    # By simulation: excesses of .2 and .4, each with a standard error of .022 / 2 / 1.96.
    assert (value, low, high) == pytest.approx((0.5, 0.470, 0.532), abs=0.002)
    assert male.note == "leak, 47–53\xa0%"
    assert "balanced accuracy 75.1\xa0% (74.0–76.2)" in male.title
    assert "from the public labels alone 55.1\xa0%; without a defence 95.1\xa0%" in male.title
    assert cells(tmp_path, "undefended")["Male"].figure == "100\xa0%"


def test_without_an_undefended_encoder_no_leak_is_no_finding(plant: Any, tmp_path: Path) -> None:
    plant(defence="narrow-code", read=0.5, rebuilt=0.2)
    male = cells(tmp_path)["Male"]
    assert male.status is Status.TOO_WEAK
    assert "no undefended encoder was attacked for comparison" in male.title.lower()


def test_the_ceiling_kept_in_a_run_stands_in_for_an_undefended_run(
    plant: Any, tmp_path: Path
) -> None:
    plant(defence="narrow-code", read=0.5, ceiling=0.96)
    assert cells(tmp_path)["Male"].status is Status.NO_LEAK


def test_utility_is_told_against_the_undefended(plant: Any, tmp_path: Path) -> None:
    plant(defence="undefended", read=0.96, kept=0.903)
    plant(defence="narrow-code", read=0.793, kept=0.889)
    smiling = cells(tmp_path)["Smiling"]
    assert (smiling.figure, smiling.note) == ("88.9\xa0%", "−1.4 points against undefended")


def test_the_page_says_what_was_trained_and_attacked_on_what(plant: Any, tmp_path: Path) -> None:
    plant()
    (lede,) = re.findall('<p class="lede">(.*?)</p>', page(tmp_path), re.DOTALL)
    assert " ".join(lede.split()) == (
        "Each encoder was trained on 8,000 pictures of 2,710 people (synthetic, 64 × 64 px) so "
        "that a cloud service can predict Smiling while Male stays hidden. Attackers were then "
        "trained from scratch on 7,000 pictures of 2,380 people that the encoder never saw, and "
        "scored once on 3,000 test pictures of 1,012 people."
    )


def test_one_leaking_seed_is_a_leak(plant: Any, tmp_path: Path) -> None:
    plant(defence="undefended", read=0.96)
    for seed, read in enumerate((0.5, 0.5, 0.7)):
        plant(defence="narrow-code", seed=seed, read=read)
    assert cells(tmp_path)["Male"].status is Status.LEAK


def test_the_title_names_who_hides_what(plant: Any, tmp_path: Path) -> None:
    private = ["Male", "Young"]
    plant(defence="undefended", read=0.96, rebuilt=0.93, private=private)
    plant(defence="narrow-code", read=0.58, rebuilt=0.28, private=private)  # Young: 6 points lower
    plant(defence="pixel-noise", read=0.50, rebuilt=0.28, private=private)
    assert title(tmp_path) == (
        "pixel-noise hides Male from these attackers; narrow-code does not (7\xa0% of the "
        "undefended leak). narrow-code and pixel-noise hide Young and faces from these attackers"
    )


def test_a_useless_service_comes_first(plant: Any, tmp_path: Path) -> None:
    plant(defence="undefended", read=0.96, rebuilt=0.93)
    useless = plant(defence="narrow-code", read=0.5, rebuilt=0.2) / "records.jsonl"
    service = next(line for line in useless.read_text().splitlines() if '"service"' in line)
    measured = json.loads(service) | {"metric": "balanced_accuracy", "value": 0.5, "low": 0.49}
    useless.write_text(f"{useless.read_text()}{json.dumps(measured)}\n")
    assert title(tmp_path) == "The service is useless under narrow-code"
    assert cells(tmp_path)["Smiling"].note == "useless"
    plain = next(tmp_path.rglob("undefended*/records.jsonl"))
    plain.write_text(f"{plain.read_text()}{json.dumps(measured | {'defence': 'undefended'})}\n")
    assert title(tmp_path) == (
        "The service is useless under narrow-code, and without a defence too"
    )


def test_an_undefended_run_alone_is_no_defence(plant: Any, tmp_path: Path) -> None:
    plant(defence="undefended", read=0.961, rebuilt=0.93)
    assert title(tmp_path) == (
        "Without a defence, attackers reach Male at balanced accuracy 96.1\xa0% and faces at "
        "MS-SSIM .930"
    )
