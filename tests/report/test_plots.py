import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from deepobfuscator.report.comparison import compare
from deepobfuscator.report.figures import COLOURS, Plot, save_plots
from deepobfuscator.report.plots import LEFT, RIGHT, WIDTH, Row, curves, panel, phases
from deepobfuscator.report.runs import find_runs
from deepobfuscator.report.subjects import Role, Subject


def drawn(plot: Plot) -> str:
    return plot.__html__()


def marks(drawing: str) -> dict[str, float]:
    """Where each mark with words of its own stands, in pixels from the left."""
    found = re.findall(r'<g><title>([^<]*)</title>.*?<use [^>]*x="([\d.]+)"', drawing)
    return {unescape(words): float(x) for words, x in found}


def scale(drawing: str) -> dict[float, float]:
    """Where each tick's label stands."""
    found = re.findall(r'text-anchor: middle[^>]* x="([\d.]+)"[^>]*>([−.\d]+)<', drawing)
    return {float(words.replace("−", "-")): float(x) for x, words in found}


def at(drawing: str, value: float) -> Any:
    ticks = scale(drawing)
    low, high = min(ticks), max(ticks)
    share = (value - low) / (high - low)
    return pytest.approx(ticks[low] + share * (ticks[high] - ticks[low]), abs=0.3)


def verticals(drawing: str) -> list[float]:
    """Positions of vertical lines in the colour of floors and ceilings."""
    found = re.findall(r'd="M ([\d.]+) [\d.]+ L ([\d.]+) [^"]*"[^>]*var\(--soft\)', drawing)
    return [float(a) for a, b in found if a == b]


def male(plant: Any, tmp_path: Path) -> str:
    plant(read=0.75, in_game=0.55, floor=0.6, ceiling=0.95)
    comparison = compare(find_runs(tmp_path))[0]
    subject = Subject("Male", Role.PRIVATE)
    reading = comparison.reading(comparison.first, subject)
    assert reading is not None
    return drawn(panel(subject, [Row("deepobfuscator", "hue0", [reading])]))


def test_marks_stand_where_their_figures_are(plant: Any, tmp_path: Path) -> None:
    drawing = male(plant, tmp_path)
    found = marks(drawing)
    assert found["75.0 (73.9–76.1)"] == at(drawing, 75)
    assert found["training adversary"] == at(drawing, 55)
    assert verticals(drawing) == [at(drawing, 60), at(drawing, 95)]  # floor and ceiling
    assert scale(drawing)[100] == RIGHT
    assert min(scale(drawing).values()) == LEFT


def test_a_drawing_is_in_the_pages_colours_and_says_its_figures(plant: Any, tmp_path: Path) -> None:
    drawing = male(plant, tmp_path)
    assert not re.search("#[0-9a-f]{6}", drawing)
    assert set(re.findall(r"var\(--(\w+)\)", drawing)) <= set(COLOURS)
    (label,) = re.findall('aria-label="([^"]*)"', drawing)
    assert "Male, balanced accuracy" in label
    assert "deepobfuscator 75.0 (73.9–76.1)" in label
    assert not re.search(r'id="(?!m|p)', drawing)  # nothing that a page's other plots have too
    sizes = {float(size) for size in re.findall(r"font-size: ([\d.]+)px", drawing)}
    assert min(sizes) >= 12


def test_a_name_is_text_and_neither_markup_nor_formula() -> None:
    evil = "<b>$x^2$ & \"'"
    history = [{"phase": "p", "batch": b, "losses": {evil: 0.5}} for b in (1, 2)]
    drawing = drawn(curves(history, [evil], evil))
    assert "<b>" not in drawing
    words = [unescape(w) for w in re.findall(r"<text[^>]*>([^<]*)<", drawing)]
    assert evil in words


def test_a_phase_begins_where_the_last_one_ended() -> None:
    history = [{"phase": p, "batch": b} for p, b in (("a", 10), ("a", 20), ("b", 30), ("a", 40))]
    assert phases(history) == [("a", 0), ("b", 20), ("a", 30)]


@pytest.mark.parametrize("length", [1, 2, 5000])
def test_curves_stay_on_the_sheet_and_stay_small(length: int) -> None:
    history = [
        {"phase": "p", "batch": b + 1, "losses": {"L_C": 1e6 if b == 7 else 0.3, "L_AR1": -0.5}}
        for b in range(length)
    ]
    plot = curves(history, ["L_C", "L_AR1", "L_AC"], "training")
    drawing = drawn(plot)
    paths = re.findall(r' d="([^"]*)"', drawing)
    points = [p for path in paths for p in re.findall(r"[ML] ([-\d.]+) ([-\d.]+)", path)]
    assert all(0 <= float(x) <= WIDTH and 0 <= float(y) <= plot.height for x, y in points)
    assert len(points) <= 2 * 250 + 40
    assert ">L_C<" in drawing
    assert ">L_AC<" not in drawing  # never measured


def test_a_file_for_a_paper_is_whole_and_the_same_every_time(plant: Any, tmp_path: Path) -> None:
    history = [{"phase": "p", "batch": b, "losses": {"L_C": 0.5}} for b in (1, 2)]
    plots = [[curves(history, ["L_C"], "left"), curves(history, ["L_C"], "right")]]
    text, pdf = save_plots(plots, "Losses & more")
    assert "var(" not in text
    assert "<title>Losses &amp; more</title>" in text
    assert text.count("L_C</text>") == 2
    assert pdf.startswith(b"%PDF")
    assert save_plots(plots, "Losses & more") == (text, pdf)
