import csv
import io
import math
import re
import xml.etree.ElementTree as ET
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepobfuscator.paper.render.exhibit import Column, Curve, Exhibit, Row
from deepobfuscator.paper.render.figures import as_files, dot_plots
from deepobfuscator.paper.render.latex import as_latex
from deepobfuscator.paper.render.page import (
    COMPARABLE,
    FAILS,
    HOLDS,
    UNKNOWN,
    headline,
    ordered,
    page,
    summary_markdown,
)
from deepobfuscator.paper.render.writing import as_csv, write_exhibit
from deepobfuscator.report.tables import Table

GOLDEN = Path(__file__).parent / "golden"
DRAWN = ("table3", "table4", "figure4", "figure6", "figure7")
EVIL = r"<b>&100%_#{x|y}$\^~[1]\"é"


def section(text: str, name: str) -> str:
    start = text.rindex("<section", 0, text.index(f'id="{name}">'))
    return text[start : text.index("</section>", start)] + "</section>\n"


def words_of(checked: Any, markup: str) -> str:
    return " ".join(str(checked(markup).words).split())


def test_the_same_exhibits_give_the_kept_bytes(made_up: Any) -> None:
    exhibits, claims, meta = made_up.exhibits, made_up.claims, made_up.meta
    drawn = page(list(exhibits.values()), claims, meta)
    tables = re.findall(r'<table class="grid-of-figures">.*?</table>', drawn, re.S)
    found = {
        **{f"{n}.csv": as_csv(exhibits[n]) for n in ("table1", "table3", "table4", "figure7")},
        **{f"{n}.tex": as_latex(e) for n, e in exhibits.items()},
        "tables.html": "\n".join(tables) + "\n",
        "claims.html": section(drawn, "claims"),
        "summary.md": summary_markdown(list(exhibits.values()), claims, meta),
    }
    assert {p.name for p in GOLDEN.iterdir()} == set(found)
    for name, text in found.items():
        assert text.encode() == (GOLDEN / name).read_bytes(), name


@pytest.mark.parametrize("field", [f.name for f in fields(Row)])
def test_every_field_of_a_line_reaches_the_csv_in_full(field: str) -> None:
    given = Row("p, q", 'r "s"', "Male", "accuracy", 1 / 3, 0.55, True, 0.1 + 0.2, 0.28, 0.32)
    given = replace(given, fresh=2 / 3, low=0.61, high=0.7123456, attacker="a\nb")
    given = replace(given, majority=1e-9, label_only=0.5, ceiling=0.97, seeds=3)
    (row,) = csv.DictReader(io.StringIO(as_csv(Exhibit("x", "X", "", (given,)))))
    value = getattr(given, field)
    assert row[field] == (repr(value) if isinstance(value, float) else str(value))


def test_figures_that_are_not_there_are_empty_in_csv_and_a_dash_elsewhere(
    checked: Any, made_up: Any
) -> None:
    nan = math.nan
    line = Row("", "row", "Male", "accuracy", nan, fresh=nan, low=nan, high=math.inf, majority=nan)
    curve = Curve("", "L_C", ((0.0, nan), (10.0, 0.5)), 0.0)
    odd = Exhibit("odd", "Odd", "Nothing.", (line,), (curve,))
    (row,) = csv.DictReader(io.StringIO(as_csv(odd)))
    assert {row[f] for f in ("published", "in_game", "fresh", "low", "high", "majority")} == {""}
    drawn = page([odd], (), made_up.meta)
    for text in (
        re.sub(r"<style>.*?</style>", "", drawn, flags=re.S),
        summary_markdown([odd], (), made_up.meta),
        as_latex(odd),
        re.sub(r"<style>.*?</style>", "", str(as_svg(odd)), flags=re.S),
    ):
        assert not re.search(r"\b(nan|None|inf)\b", text)
    assert "–" in checked(drawn).words


def test_a_csv_holds_one_table() -> None:
    curve = Curve("(a)", "L_C", ((10.0, 0.1), (20.0, np.float64(0.3))), 10.0)
    table = Table(("a", "b"), (("1", "2"), ("3", "4")))
    whole = Exhibit("x", "X", "", (Row("", "r", "Male", "accuracy"),), (curve,))
    whole = replace(whole, tables=(("T", table),))
    assert as_csv(whole).startswith("panel,row,subject,")
    assert as_csv(replace(whole, rows=())) == (
        "panel,name,batch,loss\n(a),L_C,10.0,0.1\n(a),L_C,20.0,0.3\n"
    )
    assert as_csv(replace(whole, rows=(), curves=())) == (
        "table,row,column,text\nT,1,a,1\nT,1,b,2\nT,2,a,3\nT,2,b,4\n"
    )
    assert as_csv(Exhibit("x", "X", "")) == ",".join(f.name for f in fields(Row)) + "\n"


@pytest.mark.parametrize(
    ("metric", "values", "written"),
    [
        ("accuracy", (0.111, 0.222, 0.333, 0.444, 0.555, 0.666, 0.777, 0.888),
         ("11.1", "22.2", "33.3 (44.4–55.5)", "66.6", "77.7", "88.8")),
        ("ms_ssim", (0.111, 0.222, 0.333, 0.444, 0.555, 0.666, 0.777, 0.888),
         (".111", ".222", ".333 (.444–.555)", ".666", ".777", ".888")),
        ("psnr", (1.11, 2.22, 3.33, 4.44, 5.55, 6.66, 7.77, 28.88),
         ("1.11 dB", "2.2 dB", "3.3 dB (4.4–5.5)", "6.7 dB", "7.8 dB", "28.9 dB")),
    ],
)  # fmt: skip
def test_every_figure_of_a_line_reaches_every_table(
    checked: Any, made_up: Any, metric: str, values: tuple[float, ...], written: tuple[str, ...]
) -> None:
    published, in_game, fresh, low, high, majority, label_only, ceiling = values
    line = Row("(z) part", "the row", "Male", metric, published, in_game=in_game, fresh=fresh)
    line = replace(line, low=low, high=high, attacker="someone", majority=majority)
    line = replace(line, label_only=label_only, ceiling=ceiling, seeds=7)
    exhibit = Exhibit("x", "X", "", (line,))
    cells = (*written, "the row", "someone", "(z) part", "7")
    html = words_of(checked, section(page([exhibit], (), made_up.meta), "x"))
    for cell in cells:
        assert cell in html
        assert cell in summary_markdown([exhibit], (), made_up.meta)
        assert cell.replace("–", "--") in as_latex(exhibit)


def plain_tex(text: str) -> str:
    """Text as LaTeX would print it; None of LaTeX's own characters may stand bare in it."""
    named = {r"\textbackslash{}": "\\", r"\textasciitilde{}": "~", r"\textasciicircum{}": "^",
             r"\textbar{}": "|", r"\textless{}": "<", r"\textgreater{}": ">", "{[}": "[",
             "{]}": "]", "{*}": "*", "''": '"'}  # fmt: skip
    tokens = re.findall(
        r"\\[a-z]+\{\}|\{[\[\]*]\}|''|\\[%&#_{}$]|\$[^$]*\$|.", text, flags=re.DOTALL
    )
    assert not {"%", "&", "#", "_", "{", "}", "^", "~", "\\", "|", "[", "]"} & set(tokens)
    return "".join(named.get(t, t.removeprefix("\\")) for t in tokens)


def test_latex_prints_names_as_they_are() -> None:
    evil = EVIL + " σλ − ×"
    table = Table((evil,), ((evil,),))
    exhibit = Exhibit("x", "X", evil, tables=(("T", table),), notes=(evil,), missing=(evil,))
    found = as_latex(exhibit)
    cell = re.search(r"\\midrule\n(.*) \\\\\n", found)
    assert cell is not None
    maths = r"$\sigma$$\lambda$ $-$ $\times$"
    assert plain_tex(cell[1]) == f"{EVIL} {maths}"
    assert found.count(maths) == 5


def test_latex_is_balanced(made_up: Any) -> None:
    evil = replace(made_up.exhibits["figure7"], name="evil", caption=EVIL, notes=(EVIL,))
    for exhibit in (*made_up.exhibits.values(), evil):
        text = "\n".join(re.sub(r"(?<!\\)%.*", "", line) for line in as_latex(exhibit).splitlines())
        depth = 0
        for token in re.findall(r"\\.|[{}]", text):
            depth += {"{": 1, "}": -1}.get(token, 0)
            assert depth >= 0
        assert depth == 0
        open_: list[str] = []
        for verb, name in re.findall(r"\\(begin|end)\{(\w+\*?)\}", text):
            if verb == "begin":
                open_.append(name)
            else:
                assert open_.pop() == name
        assert not open_
        assert text.count("$") % 2 == text.count(r"\$") % 2
        for spec, body in re.findall(r"\\begin\{tabular\}\{([lr]+)\}(.*?)\\bottomrule", text, re.S):
            for row in re.split(r"\\\\\n", body):
                if "&" in re.sub(r"\\&", "", row):
                    assert len(re.findall(r"(?<!\\)&", row)) == len(spec) - 1


def as_svg(exhibit: Exhibit, faces: bool = True) -> str | None:
    files = as_files(exhibit, faces)
    return files and files[0]


def inside(drawing: str) -> int:
    """Checks that every mark is on the sheet; returns how many there are."""
    root = ET.fromstring(drawing)
    _, _, width, height = (float(v) for v in root.attrib["viewBox"].split())
    marks = 0
    for element in root.iter():
        tag, points = element.tag.rpartition("}")[2], list[tuple[str, str]]()
        if tag in ("use", "text"):
            points = [(element.attrib["x"], element.attrib["y"])]
        elif tag == "path" and "id" not in element.attrib:
            points = re.findall(r"[ML] ([-\d.]+) ([-\d.]+)", element.attrib["d"])
        marks += bool(points)
        for x, y in points:
            assert -0.2 <= float(x) <= width + 0.2
            assert -0.2 <= float(y) <= height + 0.2
    return marks


@pytest.mark.parametrize("name", DRAWN)
def test_every_mark_lies_on_the_drawing(made_up: Any, name: str) -> None:
    drawing = as_svg(made_up.exhibits[name])
    assert drawing is not None
    assert ET.fromstring(drawing).tag == "{http://www.w3.org/2000/svg}svg"
    assert inside(drawing) > 30
    assert set(re.findall(r"https?://[^\"' ]*", drawing)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
        "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd",
    }  # nothing is loaded
    assert "var(" not in drawing


def test_an_odd_figure_stays_on_the_drawing() -> None:
    lines = tuple(
        Row("", EVIL * 4, "image", m, published=-0.3, in_game=0.0, fresh=v, low=v, high=v + 40 * e)
        for m, v, e in (("psnr", 61.0, 1), ("ms_ssim", -0.21, 0), ("eer", 0.02, 0))
    )
    curves = (Curve("", "L_AR2", tuple((float(b), math.sin(b)) for b in range(999)), 5000.0),)
    short = Curve("", "L_C", ((7.0, 1e9),), -1.0)
    for exhibit in (
        Exhibit("x", EVIL, "", lines),
        Exhibit("x", EVIL, "", curves=curves),
        Exhibit("x", EVIL, "", curves=(*curves, short)),
        Exhibit("x", EVIL, "", curves=(replace(short, points=()),), rows=lines[:1]),
    ):
        assert inside(str(as_svg(exhibit)))
    assert "lower = more leakage" in str(as_svg(Exhibit("x", "", "", lines[2:])))


def test_marks_stand_where_their_figures_are() -> None:
    line = Row("", "r", "Male", "accuracy", in_game=0.55, fresh=0.75, low=0.7, high=0.8)
    line = replace(line, majority=0.6, label_only=0.65, ceiling=0.95)
    (plot,) = dot_plots(Exhibit("x", "X", "", (line,)))
    drawing = plot.__html__()
    ticks = re.findall(r'text-anchor: middle[^>]* x="([\d.]+)"[^>]*>(\d+)<', drawing)
    scale = {int(words): float(x) for x, words in ticks}

    def at(percent: float) -> Any:
        low, high = min(scale), max(scale)
        per_point = (scale[high] - scale[low]) / (high - low)
        return pytest.approx(scale[low] + (percent - low) * per_point, abs=0.3)

    tips = re.findall(r'<g><title>([^<]*)</title>.*?<use [^>]*x="([\d.]+)"', drawing)
    marks = {words: float(x) for words, x in tips}
    assert marks["r: 75.0 (70.0–80.0)"] == at(75)
    assert marks["r, training adversary: 55.0"] == at(55)
    paths = re.findall(r'd="M ([\d.]+) [\d.]+ L ([\d.]+) [^"]*"[^>]*var\(--(\w+)\)', drawing)
    ends = [(float(a), float(b), of) for a, b, of in paths]
    assert [a for a, b, of in ends if of == "soft" and a == b] == [at(60), at(65), at(95)]
    (interval,) = [(a, b) for a, b, of in ends if of == "alarm"]
    assert interval == (at(70), at(80))


def test_a_cut_loss_is_marked_and_explained_and_a_whole_one_is_not(made_up: Any) -> None:
    cut = str(as_svg(made_up.exhibits["figure6"]))
    assert "beyond" in cut
    calm = Curve("", "L_C", tuple((float(b), 0.5) for b in range(100)), 40.0)
    whole = str(as_svg(Exhibit("x", "", "", curves=(calm,))))
    assert "beyond" not in whole
    assert cut.count("<use ") == whole.count("<use ") + 6  # one a panel


def test_nothing_to_draw_gives_no_file_and_an_old_one_goes(made_up: Any, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    faces_only = replace(made_up.exhibits["figure4"], rows=())
    write_exhibit(faces_only, folder)
    assert {p.name for p in folder.iterdir()} == {
        f"figure4.{ending}" for ending in ("csv", "tex", "svg", "pdf")
    }
    write_exhibit(faces_only, folder, faces=False)
    assert {p.name for p in folder.iterdir()} == {"figure4.csv", "figure4.tex"}
    assert (folder / "figure4.csv").read_text() == as_csv(faces_only)


def test_without_faces_there_is_no_picture_anywhere(made_up: Any) -> None:
    exhibits, claims, meta = list(made_up.exhibits.values()), made_up.claims, made_up.meta

    def pictures(text: str | None) -> int:
        return len(re.findall(r"<img|<image|data:image", str(text)))

    assert pictures(page(exhibits, claims, meta)) == 2 * 4 * 4
    assert "shows pictures of people" in page(exhibits, claims, meta)
    assert pictures(as_svg(made_up.exhibits["figure4"])) == 2 * 4 * 4
    hidden = page(exhibits, claims, replace(meta, with_faces=False))
    assert pictures(hidden) == 0
    assert "shows pictures of people" not in hidden
    assert "made without pictures of people" in hidden
    assert pictures(as_svg(made_up.exhibits["figure4"], faces=False)) == 0
    assert pictures(summary_markdown(exhibits, claims, meta)) == 0


def test_the_page_loads_nothing_and_its_tags_close(checked: Any, made_up: Any) -> None:
    text = page(list(made_up.exhibits.values()), made_up.claims, made_up.meta)
    parsed = checked(text)
    assert not parsed.open
    assert not re.search(r"https?:|@import|url\((?!#)", text)
    assert not {tag for tag, _ in parsed.tags} & {"script", "link", "iframe", "object", "base"}
    ids = {attributes["id"] for _, attributes in parsed.tags if "id" in attributes}
    sections = {a["id"] for tag, a in parsed.tags if tag == "section" and "id" in a}
    for _, attributes in parsed.tags:
        for name in ("src", "srcset", "data"):
            assert (attributes.get(name) or "data:").startswith("data:")
        href = attributes.get("href")
        assert href is None or href.removeprefix("#") in ids
    assert sections == {*made_up.exhibits, "claims"}
    assert text == page(list(made_up.exhibits.values()), made_up.claims, made_up.meta)


def test_names_are_escaped_wherever_they_stand(checked: Any, made_up: Any) -> None:
    line = Row(EVIL, EVIL, EVIL, "accuracy", fresh=0.7, low=0.6, high=0.8, attacker=EVIL)
    column = Column(EVIL, EVIL, np.zeros((1, 8, 8, 3), np.uint8))
    exhibit = Exhibit("x", EVIL, EVIL, (line,), faces=(column,), missing=(EVIL,), notes=(EVIL,))
    claim = replace(made_up.claims[0], claim=EVIL, why=EVIL)
    text = page([exhibit], [claim], made_up.meta)
    assert "<b>&100" not in text
    assert EVIL in checked(text).words
    ET.fromstring(str(as_svg(exhibit)))
    assert "<b>" not in summary_markdown([exhibit], [claim], made_up.meta)


def test_a_smoke_test_has_a_banner(checked: Any, made_up: Any) -> None:
    meta = replace(made_up.meta, warning="Its figures mean nothing.")
    exhibits = list(made_up.exhibits.values())
    assert "Its figures mean nothing." in words_of(checked, page(exhibits, (), meta))
    assert "Its figures mean nothing." in summary_markdown(exhibits, (), meta)
    assert 'class="banner"' not in page(exhibits, (), made_up.meta)


def test_what_is_missing_is_said(checked: Any, made_up: Any) -> None:
    exhibit = made_up.exhibits["figure5"]
    (reason,) = exhibit.missing
    drawn = page([exhibit], made_up.claims, made_up.meta)
    assert reason in words_of(checked, section(drawn, "figure5"))
    assert "not complete" in drawn
    assert reason in summary_markdown([exhibit], (), made_up.meta)
    assert reason.replace("_", r"\_") in as_latex(exhibit)
    assert as_svg(exhibit) is None


def test_what_does_not_hold_is_said_first(checked: Any, made_up: Any) -> None:
    claims = made_up.claims
    assert [c.verdict for c in ordered(claims)] == [FAILS, FAILS, UNKNOWN, HOLDS]
    words = words_of(checked, page([], claims, made_up.meta))
    failed, fine = claims[0], claims[1]
    assert words.index(failed.claim) < words.index(fine.claim)
    for claim in claims:
        for part in (claim.claim, claim.published, claim.measured, claim.verdict, claim.why):
            assert part in words
            assert part in summary_markdown([], claims, made_up.meta)
    assert COMPARABLE in words


@pytest.mark.parametrize(
    ("verdicts", "said"),
    [
        ((FAILS, HOLDS), "1 of 2 claims of the paper does not hold at this scale"),
        ((FAILS, FAILS), "2 of 2 claims of the paper do not hold at this scale"),
        ((UNKNOWN, HOLDS), "1 of 2 claims of the paper is inconclusive at this scale"),
        ((HOLDS,), "The 1 claim of the paper that was tested holds at this scale"),
        ((HOLDS, HOLDS), "All 2 claims of the paper that were tested hold at this scale"),
        ((), ""),
    ],
)
def test_the_headline_tells_the_worst(made_up: Any, verdicts: tuple[str, ...], said: str) -> None:
    claims = [replace(made_up.claims[0], verdict=v) for v in verdicts]
    assert headline(claims) == said
    assert page([], claims, made_up.meta)
