"""Pages on paper and in a browser: nothing beyond the edge, nothing cut."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepobfuscator.report.view import ComparisonReport

pdfium = pytest.importorskip(
    "pypdfium2", reason="browser tests need pypdfium2: make test installs it"
)

MARGIN = 13 * 72 / 25.4
"""Of the style sheet's page, in points."""


@pytest.fixture
def pages(plant: Any, tmp_path: Path) -> Path:
    """A comparison of defences with long names and several private attributes."""
    private = ["Male", "Wearing_Lipstick", "High_Cheekbones", "5_o_Clock_Shadow"]
    for defence in ("undefended", "deepobfuscator", "narrow-code"):
        options = {} if defence == "undefended" else {"lambda1": 10.25, "lambda2": 0.125}
        plant(defence=defence, private=private, faces=True, options=options)
        plant(defence=defence, private=private, seed=1, options=options)
    ComparisonReport.read([tmp_path], "deepobfuscator report x").save(tmp_path / "all.html")
    return tmp_path / "all.html"


def test_nothing_is_printed_beyond_the_margin(chromium: Any, pages: Path) -> None:
    page = chromium.new_page()
    page.goto(f"file://{pages}")
    words = page.inner_text("h1")
    printed = pdfium.PdfDocument(io.BytesIO(page.pdf(prefer_css_page_size=True)))
    found = []
    for sheet in printed:
        text, (width, _) = sheet.get_textpage(), sheet.get_size()
        found.append(text.get_text_range())
        boxes = [text.get_charbox(i) for i in range(text.count_chars())]
        assert max(right for _, _, right, _ in boxes) <= width - MARGIN + 1
        assert min(left for left, *_ in boxes) >= MARGIN - 1
    assert words.split()[-1] in found[0]
    assert "".join(words.split()) in "".join("".join(found).split())
    assert "wire_bits" not in "".join(found)  # raw cards stay on the screen
    page.close()


def test_a_dark_screen_prints_as_a_light_one(chromium: Any, pages: Path) -> None:
    sheets = []
    for scheme in ("light", "dark"):
        page = chromium.new_page(color_scheme=scheme)
        page.goto(f"file://{pages}")
        printed = pdfium.PdfDocument(io.BytesIO(page.pdf(prefer_css_page_size=True)))
        sheets.append(printed[0].render().to_numpy())
        page.close()
    np.testing.assert_array_equal(*sheets)


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_is_as_wide_as_the_screen(chromium: Any, pages: Path, width: int) -> None:
    page = chromium.new_page(viewport={"width": width, "height": 900})
    page.goto(f"file://{pages}")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    small = page.evaluate(
        """[...document.querySelectorAll("svg")].filter(s => s.clientWidth).map(s =>
           12.5 * s.clientWidth / s.viewBox.baseVal.width)"""
    )
    assert min(small) >= (12 if width == 1280 else 9)
    names = "[...document.querySelectorAll('.matrix tbody th b')].map(b => b.clientHeight)"
    lines = "parseFloat(getComputedStyle(document.querySelector('.matrix tbody th b')).lineHeight)"
    assert max(page.evaluate(names)) < 1.5 * page.evaluate(lines) or width == 1280
    page.close()
