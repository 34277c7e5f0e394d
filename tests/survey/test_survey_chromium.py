"""People's own way: a real browser, narrow and wide, with clicks, keys, and without scripts."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from deepobfuscator.survey.questions import Sheet

pytest.importorskip(
    "uvicorn",
    reason="browser tests need playwright and the extra [survey]: make test installs both",
)

PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}


def fits(page: Any) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def whole(page: Any) -> list[bool]:
    """Of each picture, whether it is loaded and shown in its own proportions."""
    found = page.evaluate(
        """[...document.images].map(i => i.complete && i.naturalWidth > 0 && i.width > 40
           && Math.abs(i.width / i.height - i.naturalWidth / i.naturalHeight) < 0.03)"""
    )
    return list(found)


@pytest.mark.parametrize("way", ["clicks on a phone", "keys at a desk", "no script on a phone"])
def test_a_sheet_is_answered(
    chromium: Any, serving: Callable[..., Any], make_sheet: Callable[..., Sheet], way: str
) -> None:
    phone, keys = "phone" in way, "keys" in way
    served = serving(make_sheet())
    context = chromium.new_context(
        viewport=PHONE if phone else DESK,
        has_touch=phone,
        is_mobile=phone,
        java_script_enabled="no script" not in way,
    )
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    page.goto(f"http://127.0.0.1:{served.port}/")
    assert fits(page)
    page.click("button")  # without consent: the browser itself asks for it
    assert served.store.started() == 0
    page.check("input[name=agree]")
    with page.expect_navigation():
        page.click("button")
    chosen = []
    for n in range(6):
        assert f"{n + 1} of 6" in page.inner_text("header")
        assert fits(page)
        assert whole(page) == [True] * 5
        boxes = [b.bounding_box() for b in page.locator(".options label").all()]
        assert all(box["width"] > 44 and box["height"] > 44 for box in boxes)
        end = max(box["y"] + box["height"] for box in boxes)
        assert end < page.locator("button").bounding_box()["y"] + 1
        with page.expect_navigation():
            if not keys:
                page.locator(".options label").nth(n % 4).click()
                chosen.append(page.eval_on_selector(":checked", "e => e.value"))
                page.click("button")
            else:
                press = (
                    ["3", "Enter"] if n % 2 else ["ArrowRight", "ArrowDown", "ArrowLeft", "Enter"]
                )
                for key in press[:-1]:
                    page.keyboard.press(key)
                chosen.append(page.eval_on_selector(":checked", "e => e.value"))
                assert page.eval_on_selector(":checked ~ span", "e => e.textContent") == (
                    "3" if n % 2 else "1"
                )
                page.keyboard.press(press[-1])
    assert "Thank you" in page.inner_text("h1")
    page.go_back()
    assert "Thank you" in page.inner_text("h1")
    kept = served.store.answers()
    marks = {served.store.mark("picture", a.participant, a.question, a.choice) for a in kept}
    assert marks == set(chosen)
    assert len(kept) == 6
    assert not errors
    context.close()


@pytest.mark.parametrize("viewport", [PHONE, DESK], ids=["phone", "desk"])
def test_the_owners_page_fits(
    chromium: Any,
    serving: Callable[..., Any],
    make_sheet: Callable[..., Sheet],
    viewport: dict[str, int],
) -> None:
    served = serving(make_sheet())
    draw = np.random.default_rng(0)
    for _ in range(12):
        me = served.store.participant(served.store.begin()).id
        for q in range(6):
            served.store.answer(me, q, int(draw.integers(4)), 3.0)
    context = chromium.new_context(viewport=viewport, color_scheme="dark")
    page = context.new_page()
    errors: list[str] = []
    page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    page.goto(f"http://127.0.0.1:{served.port}/owner?token={served.token}")
    assert served.token not in page.url
    assert fits(page)
    assert "12" in page.inner_text(".stats")
    assert page.locator("tbody .strip").count() == 1 + 2 * 3
    broken = page.evaluate(
        """[...document.querySelectorAll(".five span, .five figure:first-child figcaption")]
           .filter(e => e.scrollWidth > e.clientWidth
             || e.clientHeight > 1.5 * e.textContent.split(" ").length
                  * parseFloat(getComputedStyle(e).lineHeight)).map(e => e.textContent)"""
    )
    assert broken == []
    assert not errors
    context.close()
