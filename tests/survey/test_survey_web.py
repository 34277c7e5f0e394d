import io
import re
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from PIL import Image

from deepobfuscator.survey.pages import LEAST
from deepobfuscator.survey.questions import Sheet

pytest.importorskip("starlette", reason="needs the extra [survey]")
pytest.importorskip("uvicorn", reason="needs the extra [survey]")

Serve = Callable[..., Any]


@pytest.fixture
def sheet(make_sheet: Callable[..., Sheet]) -> Sheet:
    return make_sheet()


def take_part(browser: Any, pick: int = 0) -> None:
    browser.begin()
    while True:
        hidden, choices = browser.form()
        if not hidden:
            return
        browser.post("/question", **hidden, choice=choices[pick])


def which(sheet: Sheet, png: bytes) -> tuple[int, int]:
    """Question and number of a picture, 4 for the rebuilt one."""
    pixels = np.asarray(Image.open(io.BytesIO(png)))
    for q in range(len(sheet)):
        for number, picture in enumerate([*sheet.options[q], sheet.rebuilt[q]]):
            if (picture == pixels).all():
                return q, number
    raise AssertionError("a picture that is not on the sheet")


def test_a_participant_goes_from_consent_to_thanks(serving: Serve, sheet: Sheet) -> None:
    served = serving(sheet, contact="Ada <ada@example.org>")
    me = served.browser()
    start = me.get("/").text
    assert "Ada &lt;ada@example.org&gt;" in start
    for word in ("real people", "research data", "stop at any time", "no IP address", "Begin"):
        assert word.lower() in start.lower()
    assert me.get("/question").headers["location"] == "/"
    assert me.post("/", agree="no").headers["location"] == "/"
    assert not me.cookies
    assert me.begin().headers["location"] == "/question"
    for n in range(6):
        text = me.get("/question").text
        assert f"<b>{n + 1}</b> of 6" in text
        hidden, choices = me.form()
        chosen = which(sheet, me.get(f"/picture/{choices[n % 4]}").body)
        assert me.post("/question", **hidden, choice=choices[n % 4]).status == 303
        assert [(a.question, a.choice) for a in served.store.answers()].count(chosen) == 1
    assert me.get("/question").headers["location"] == "/thanks"
    assert "Thank you" in me.get("/thanks").text
    # Beginning again with the same cookie makes no second participant.
    assert me.begin().headers["location"] == "/question"
    assert served.store.started() == 1


def test_a_question_is_answered_once_and_only_from_its_own_form(
    serving: Serve, sheet: Sheet
) -> None:
    served = serving(sheet)
    me, other = served.browser(), served.browser()
    me.begin(), other.begin()
    hidden, choices = me.form()
    assert me.post("/question", **hidden, choice="").headers["location"] == "/question"
    assert me.post("/question", **hidden, choice=other.form()[1][0]).status == 303
    assert served.store.answers() == []
    assert other.post("/question", **hidden, choice=choices[0]).status == 403
    assert me.post("/question", **(hidden | {"proof": "0" * 32}), choice=choices[0]).status == 403
    assert me.post("/question", **(hidden | {"shown": "1"}), choice=choices[0]).status == 403
    assert me.post("/question", choice="é").status == 403
    for choice in (choices[1], choices[2], choices[1]):
        assert me.post("/question", **hidden, choice=choice).status == 303
    (kept,) = served.store.answers()
    assert me.form()[0]["question"] != hidden["question"]
    assert 0 <= kept.seconds < 60


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 303),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({}, 303),
    ],
)
def test_forms_of_other_sites_are_refused(
    serving: Serve, sheet: Sheet, headers: dict[str, str], status: int
) -> None:
    me = serving(sheet).browser()
    assert me.send("POST", "/", {"agree": "yes"}, headers).status == status
    assert (
        me.send("POST", "/", {"agree": "yes"}, {"Origin": f"http://127.0.0.1:{me.port}"}).status
        == 303
    )
    assert me.send("POST", "/", {"agree": "x" * 5000}).status == 413


def test_nothing_a_participant_can_fetch_tells_the_answer(serving: Serve, sheet: Sheet) -> None:
    served = serving(sheet)
    seen: list[list[str]] = []
    orders: list[list[tuple[int, ...]]] = []
    for _ in range(4):
        me = served.browser()
        me.begin()
        (cookie,) = me.send("GET", "/").cookies or [None]
        assert cookie is None
        addresses: list[str] = []
        order: list[tuple[int, ...]] = []
        for _ in range(len(sheet)):
            page = me.get("/question")
            told = (page.text + str(page.headers)).lower()
            for word in ('answer"', "right", "deepobfuscator", "undefended", "identity", "seed"):
                assert word not in told, word
            pictures = re.findall(r'src="/picture/([^"]+)"', page.text)
            assert len(set(pictures)) == 5
            assert all(re.fullmatch("[0-9a-f]{32}", address) for address in pictures)
            shown = []
            for address in pictures:
                reply = me.get(f"/picture/{address}")
                assert set(reply.headers) <= {
                    "cache-control", "content-length", "content-security-policy", "content-type",
                    "date", "referrer-policy", "server", "x-content-type-options", "x-robots-tag",
                }  # fmt: skip
                assert reply.headers["cache-control"] == "no-store"
                assert chunks(reply.body) <= {b"IHDR", b"IDAT", b"IEND"}
                shown.append(which(sheet, reply.body))
            q = shown[0][0]
            assert shown[0][1] == 4
            assert {number for _, number in shown[1:]} == {0, 1, 2, 3}
            assert {question for question, _ in shown} == {q}
            addresses += pictures
            order.append((q, *(number for _, number in shown[1:])))
            hidden, choices = me.form()
            me.post("/question", **hidden, choice=choices[0])
            # A question that is over has no pictures any more.
            assert me.get(f"/picture/{pictures[0]}").status == 404
        seen.append(addresses)
        orders.append(order)
        thanks = me.get("/thanks").text
        assert not re.search(r"\b\d+ of \d+\b|%", thanks)
    assert len({address for addresses in seen for address in addresses}) == 4 * 6 * 5
    assert len({tuple(q for q, *_ in order) for order in orders}) > 1
    assert len({tuple(sorted(order)) for order in orders}) == 4


def chunks(png: bytes) -> set[bytes]:
    found, at = set(), 8
    while at < len(png):
        size = int.from_bytes(png[at : at + 4], "big")
        body = png[at + 4 : at + 8 + size]
        assert zlib.crc32(body) == int.from_bytes(png[at + 8 + size : at + 12 + size], "big")
        found.add(body[:4])
        at += 12 + size
    return found


def test_pictures_are_for_their_own_participant(serving: Serve, sheet: Sheet) -> None:
    served = serving(sheet)
    me, other = served.browser(), served.browser()
    me.begin(), other.begin()
    address = me.form()[1][0]
    assert me.get(f"/picture/{address}").status == 200
    assert other.get(f"/picture/{address}").status == 404
    assert served.browser().get(f"/picture/{address}").status == 404
    for path in ("/owner/0/0", "/owner", "/owner.csv", "/survey.sqlite", "/pages.py", "/picture/0"):
        assert me.get(path).status in (403, 404), path


def test_cookie_and_headers_are_strict(serving: Serve, sheet: Sheet) -> None:
    me = serving(sheet).browser()
    (cookie,) = me.begin().cookies
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    for path in ("/", "/question", "/nowhere"):
        headers = me.get(path).headers
        assert "unsafe" not in headers["content-security-policy"]
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"


def test_the_owners_page_needs_its_token(serving: Serve, sheet: Sheet) -> None:
    served = serving(sheet, token="geheim-é", machines={"embedding": list(sheet.answer)})
    for number in range(1, LEAST + 1):
        take_part(served.browser(), number % 4)
    owner = served.browser()
    for path in ("/owner", "/owner?token=", "/owner?token=wrong", "/owner.csv", "/owner/0/4"):
        assert owner.get(path).status == 403, path
    assert owner.get("/owner?token=geheim-%C3%A9").headers["location"] == "/owner"
    page = owner.get("/owner").text
    assert f"{LEAST}</b><span>people have finished, of {LEAST} who started" in page
    assert "machine: embedding" in page
    assert "machine: pixels" in page
    assert "machine: background" in page
    right = sum(a.choice == sheet.answer[a.question] for a in served.store.answers())
    assert f"People pick the right face {100 * right / (6 * LEAST):.0f} % of the time" in page
    assert which(sheet, owner.get("/owner/2/4").body) == (2, 4)
    assert owner.get("/owner/6/0").status == owner.get("/owner/0/5").status == 404
    table = owner.get("/owner.csv")
    assert table.headers["content-type"].startswith("text/csv")
    assert len(table.text.splitlines()) == 1 + 6 * LEAST
    for cookie in owner.cookies.values():
        assert "geheim" not in cookie


def test_an_empty_study_says_so(serving: Serve, sheet: Sheet) -> None:
    served = serving(sheet)
    owner = served.browser()
    assert len(served.token) == 32
    owner.get(f"/owner?token={served.token}")
    assert f"Nobody of at least {LEAST} participants has finished" in owner.get("/owner").text


def test_nothing_is_claimed_from_few_people(serving: Serve, sheet: Sheet) -> None:
    served = serving(sheet)
    take_part(served.browser(), 1)
    owner = served.browser()
    owner.get(f"/owner?token={served.token}")
    page = owner.get("/owner").text
    assert f"1 of at least {LEAST} participants has finished" in page
    assert "People pick the right face" not in page
    assert "95 % interval for other people" not in page
    assert '<th scope="row">people</th>' not in page


def test_answers_can_be_withdrawn(serving: Serve, sheet: Sheet) -> None:
    served = serving(sheet)
    me = served.browser()
    take_part(me)
    assert "You have given 6" in me.get("/stop").text
    assert len(served.store.answers()) == 6
    assert "deleted" in me.post("/stop").text
    assert served.store.answers() == []
    assert me.get("/question").headers["location"] == "/"


def test_hundreds_at_once_lose_and_double_nothing(serving: Serve, sheet: Sheet) -> None:
    served = serving(sheet)

    def impatient(number: int) -> list[tuple[int, str]]:
        me = served.browser()
        me.begin()
        sent = []
        for n in range(len(sheet)):
            hidden, choices = me.form()
            wanted = choices[(number + n) % 4]
            for choice in (wanted, choices[(number + n + 1) % 4])[: 1 + (n % 3 == 0)]:
                assert me.post("/question", **hidden, choice=choice).status == 303
            sent.append((n, wanted))
        assert me.get("/thanks").status == 200
        return sent

    with ThreadPoolExecutor(100) as pool:
        sent = list(pool.map(impatient, range(200)))
    answers = served.store.answers()
    assert served.store.started() == 200
    assert len(answers) == 1200
    assert all(answer.counts for answer in answers)
    kept = {served.store.mark("picture", a.participant, a.question, a.choice) for a in answers}
    assert kept == {choice for person in sent for _, choice in person}
