from pathlib import Path
from typing import Any

import pytest

from deepobfuscator.report.comparison import compare
from deepobfuscator.report.formatting import number
from deepobfuscator.report.runs import find_runs
from deepobfuscator.report.tables import (
    Table,
    as_markdown,
    comparison_attacks,
    utility_and_leakage,
    wire,
)


def rows(folder: Path) -> list[dict[str, str]]:
    table = utility_and_leakage(compare(find_runs(folder)))
    return [dict(zip(table.headers, row, strict=True)) for row in table.rows]


@pytest.mark.parametrize(
    ("metric", "value", "written"),
    [
        ("balanced_accuracy", 0.5921, "59.2"),
        ("accuracy", 1.0, "100.0"),
        ("ms_ssim", 0.3124, ".312"),
        ("ms_ssim", -0.0124, "−.012"),
        ("ms_ssim", 1.0, "1.000"),
        ("auc", 0.87, ".870"),
        ("psnr", 22.07, "22.1 dB"),
        ("psnr", 10.04, "10.0 dB"),
        ("psnr", None, "–"),
    ],
)
def test_figures_are_written_in_the_units_of_their_metric(
    metric: str, value: float | None, written: str
) -> None:
    assert number(metric, value) == written


def test_the_headline_is_chosen_on_validation_and_not_on_test(plant: Any, tmp_path: Path) -> None:
    plant(read=0.793)  # the rival is 1.2 points better on test, and worse on validation
    row = next(r for r in rows(tmp_path) if r["Subject"].startswith("Male"))
    assert (row["Measured"], row["By"]) == ("79.3 (78.2–80.4)", "boosted")
    assert row["Maximum"] == "80.5"


def test_floors_ceiling_and_the_games_figure_stand_beside(plant: Any, tmp_path: Path) -> None:
    plant(defence="undefended", read=0.961, kept=0.903)
    plant(defence="deepobfuscator", in_game=0.512, in_game_rebuilt=0.121)
    found = {(r["Subject"].split()[0], r["Defence"]): r for r in rows(tmp_path)}
    male = found["Male", "deepobfuscator"]
    assert [male[k] for k in ("Training adversary", "Majority", "Label-only", "Ceiling")] == [
        "51.2",
        "50.0",
        "55.1",
        "96.1",
    ]
    image = found["image", "deepobfuscator"]
    assert [image[k] for k in ("Training adversary", "Majority", "Label-only")] == [
        ".121",
        ".233",
        ".281",
    ]
    assert found["Smiling", "deepobfuscator"]["Ceiling"] == "90.3"
    assert found["Male", "undefended"]["Training adversary"] == "–"


def test_seeds_make_a_mean_and_a_row_each(study: Path) -> None:
    mine = [
        r
        for r in rows(study)
        if r["Subject"].startswith("Male") and r["Defence"] == "deepobfuscator"
    ]
    assert [r["Seed"] for r in mine] == ["mean of 3", "0", "1", "2"]
    seeds = [float(r["Measured"].split()[0]) for r in mine[1:]]
    mean, span = mine[0]["Measured"].split()
    assert float(mean) == pytest.approx(sum(seeds) / 3, abs=0.1)
    assert span == f"[{min(seeds):.1f}–{max(seeds):.1f}]"


def test_several_settings_are_told_apart(plant: Any, tmp_path: Path) -> None:
    plant(private=["Male"])
    plant(private=["Young"], defence="pixel-noise")
    settings = {r["Setting"] for r in rows(tmp_path)}
    assert settings == {'task.private=["Male"]', 'task.private=["Young"]'}


def test_every_attacker_is_in_the_full_tables(plant: Any, tmp_path: Path) -> None:
    plant(in_game=0.51)
    comparison = compare(find_runs(tmp_path))[0]
    of_attributes, of_images = comparison_attacks(comparison)
    by = {row[3] for row in of_attributes.rows if row[0] == "Male"}
    assert by == {
        "boosted (headline)",
        "lucky",
        "linear",
        "in-game",
        "maximum",
        "majority",
        "label-only",
    }
    images = {row[3]: row[4:7] for row in of_images.rows}
    assert images["mirror (headline)"] == (".412 (.401–.423)", "–", "17.8 dB (17.5–18.0)")


def test_the_wire_is_told_in_bits_and_against_the_raw_picture(plant: Any, tmp_path: Path) -> None:
    plant(defence="narrow-code", bits=8)
    plant(defence="undefended", bits=262_144)
    assert wire(compare(find_runs(tmp_path))[0]).rows == (
        ("undefended", "16 × 16 × 32", "262,144", "32.0 KiB", "2.67", "–"),
        ("narrow-code", "1", "8", "1 byte", "1/12,288", "–"),
    )


def test_markdown_keeps_its_columns() -> None:
    text = as_markdown(Table(("a|b", "c"), (("1\n2", "x|y"),)))
    assert text == "| a\\|b | c |\n| --- | --- |\n| 1 2 | x\\|y |\n"
