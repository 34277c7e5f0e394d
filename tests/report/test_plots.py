import re
from pathlib import Path
from typing import Any

import pytest

from deepobfuscator.report.comparison import compare
from deepobfuscator.report.plots import LEFT, RIGHT, WIDTH, Row, curves, panel, phases
from deepobfuscator.report.runs import find_runs
from deepobfuscator.report.subjects import Role, Subject


def points(drawing: str) -> list[tuple[float, float]]:
    found = re.findall(r'points="([^"]*)"', drawing)
    return [(float(x), float(y)) for f in found for x, y in (p.split(",") for p in f.split())]


def test_marks_stand_where_their_figures_are(plant: Any, tmp_path: Path) -> None:
    plant(read=0.75, in_game=0.55, floor=0.6, ceiling=0.95)
    comparison = compare(find_runs(tmp_path))[0]
    male = Subject("Male", Role.PRIVATE)
    reading = comparison.reading(comparison.first, male)
    assert reading is not None
    drawing = str(panel(male, [Row("deepobfuscator", "hue0", [reading])]))
    ticks = re.findall(r'<text x="([\d.]+)" y="[\d.]+" class="tick"[^>]*>(\d+)<', drawing)
    scale = {int(words): float(x) for x, words in ticks}

    def at(percent: float) -> float:
        low, high = min(scale), max(scale)
        return scale[low] + (percent - low) / (high - low) * (scale[high] - scale[low])

    marks = dict(re.findall(r'<circle cx="([\d.]+)"[^>]*class="(\w+) hue0"', drawing))
    by_kind = {kind: float(x) for x, kind in marks.items()}
    assert by_kind["dot"] == pytest.approx(at(75), abs=0.2)
    assert by_kind["hollow"] == pytest.approx(at(55), abs=0.2)
    band = re.search(r'<rect x="([\d.]+)"[^>]* width="([\d.]+)"[^>]*class="floor"', drawing)
    assert band is not None
    assert float(band[1]) + float(band[2]) == pytest.approx(at(60), abs=0.2)
    ceiling = re.search(r'<line x1="([\d.]+)"[^>]*class="ceiling"', drawing)
    assert ceiling is not None
    assert float(ceiling[1]) == pytest.approx(at(95), abs=0.2)
    assert scale[100] == RIGHT
    assert min(scale.values()) == LEFT


def test_a_phase_begins_where_the_last_one_ended() -> None:
    history = [{"phase": p, "batch": b} for p, b in (("a", 10), ("a", 20), ("b", 30), ("a", 40))]
    assert phases(history) == [("a", 0), ("b", 20), ("a", 30)]


@pytest.mark.parametrize("length", [1, 2, 5000])
def test_curves_stay_on_the_sheet_and_stay_small(length: int) -> None:
    history = [
        {"phase": "p", "batch": b + 1, "losses": {"L_C": 1e6 if b == 7 else 0.3, "L_AR1": -0.5}}
        for b in range(length)
    ]
    drawing = str(curves(history, ["L_C", "L_AR1", "L_AC"], "training"))
    shown = points(drawing)
    assert all(0 <= x <= WIDTH and 0 <= y <= 170 for x, y in shown)
    assert len(shown) <= 2 * 250
    assert ">L_C<" in drawing
    assert ">L_AC<" not in drawing  # never measured
