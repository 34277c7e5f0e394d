"""Lists of labels as people write them: read right, or refused in one clear line."""

import csv
import json
import logging
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deepobfuscator.core.errors import InputError
from deepobfuscator.data.lists import labels, read_sheet
from deepobfuscator.data.table import UNKNOWN

PAIRS = ("1 0", "1 -1", "true false", "True FALSE", "yes no", "Y N", "1.0 0.0", "+1 -1.0", "t f")
texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=6)
names = texts.map(str.strip).filter(bool)


def told(cells: list[str]) -> list[int] | str:
    """What a column means, or the line that refuses it."""
    try:
        return labels("A", cells, [f"line {i}" for i in range(len(cells))]).tolist()
    except InputError as error:
        return str(error)


@pytest.mark.parametrize("pair", PAIRS)
def test_a_spelling_of_yes_and_no(pair: str) -> None:
    yes, no = pair.split()
    assert told([yes, no, no, f" {yes} "]) == [1, 0, 0, 1]
    assert told([yes, "", "nan"]) == [1, UNKNOWN, UNKNOWN]


@pytest.mark.parametrize("odd", ["2", "maybe", "0.5", "inf", "1 0", "-", "²"])
def test_any_other_cell_is_named_with_its_place(odd: str) -> None:
    line = told(["1", "0", odd])
    assert isinstance(line, str)
    assert line.startswith(f"line 2: A is {odd!r}; a label is 1 or 0, 1 or -1, true or false")


def test_minus_one_and_zero_side_by_side_say_nothing() -> None:
    assert "line 2: A is -1 here and 0 elsewhere" in told(["1", "0", "-1"])
    assert "empty in every row" in told(["", " "])


@given(st.lists(texts, min_size=1))
@example(["1e0", "0"])
def test_a_column_of_anything_is_read_or_refused(cells: list[str]) -> None:
    found = told(cells)
    assert "\n" not in found if isinstance(found, str) else set(found) <= {0, 1, UNKNOWN}


@given(
    rows=st.lists(st.tuples(names, st.sampled_from(("1", "0")), texts), min_size=1, max_size=8),
    separator=st.sampled_from(",;\t|"),
    ending=st.sampled_from(("\n", "\r\n")),
    blanks=st.booleans(),
    bom=st.booleans(),
)
def test_a_table_comes_back_whatever_separates_it(
    tmp_path: Path,
    rows: list[tuple[str, str, str]],
    separator: str,
    ending: str,
    blanks: bool,
    bom: bool,
) -> None:
    file = tmp_path / "labels.csv"
    table = [("image", "A", "note"), *rows]
    with open(file, "w", encoding="utf-8-sig" if bom else "utf-8", newline="") as out:
        csv.writer(
            out, delimiter=separator, quoting=csv.QUOTE_ALL, lineterminator=ending
        ).writerows([[cell + "  " * blanks for cell in row] for row in table])
    sheet = read_sheet(file)
    assert sheet.columns["image"] == [name.strip() for name, _, _ in rows]
    assert sheet.columns["note"] == [note.strip() for _, _, note in rows]
    assert sheet.labels("A").tolist() == [int(cell) for _, cell, _ in rows]
    assert sheet.places[-1] == f"{file}, line {1 + len(rows)}"


@given(content=st.one_of(st.text(), st.binary().map(lambda b: b.decode("latin-1"))))
@example(content='image,A\n"a.png\n')
@example(content="image,image\n")
@example(content=",,\n")
@example(content="image,A\na,1,2\n")
@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl"])
def test_any_text_is_read_or_refused_in_one_line(tmp_path: Path, ending: str, content: str) -> None:
    file = tmp_path / f"labels.{ending}"
    file.write_bytes(content.encode("utf-8", "surrogatepass"))
    refused = ""
    try:
        sheet = read_sheet(file)
    except InputError as error:
        refused = str(error)
    if refused:
        assert str(file) in refused
        assert "\n" not in refused
    else:
        assert {len(cells) for cells in sheet.columns.values()} == {len(sheet.places)}


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("image,A\na.png,1\n", {"image": ["a.png"], "A": ["1"]}),
        ("Image;A ; B\n a.png ; 1;x,y\n", {"image": ["a.png"], "A": ["1"], "B": ["x,y"]}),
        ("file_name\tA\n'a'.png\t-1\n", {"image": ["'a'.png"], "A": ["-1"]}),
        (
            ',image_id,A\n0,"a,b.png" ,1 \n,,\n',
            {"column 1": ["0"], "image": ["a,b.png"], "A": ["1"]},
        ),
        ("A,File Name,Split\n1,a.png,Val\n", {"A": ["1"], "image": ["a.png"], "split": ["Val"]}),
        ("image,file,A\na.png,b.png,1\n", {"image": ["a.png"], "file": ["b.png"], "A": ["1"]}),
    ],
)
def test_headers_as_programs_write_them(
    tmp_path: Path, text: str, columns: dict[str, list[str]]
) -> None:
    (tmp_path / "x.csv").write_text(text)
    assert read_sheet(tmp_path / "x.csv").columns == columns


def test_json_lines(tmp_path: Path) -> None:
    rows = [
        {"file_name": "a.png", "A": True, "age": 31, "objects": {"id": [1, 2]}},
        {"file_name": "b.png", "A": False, "age": None},
    ]
    (tmp_path / "x.jsonl").write_text("\n\n".join(map(json.dumps, rows)))
    sheet = read_sheet(tmp_path / "x.jsonl")
    assert sheet.columns["image"] == ["a.png", "b.png"]
    assert sheet.labels("A").tolist() == [1, 0]
    assert sheet.columns["age"] == ["31", ""]
    assert sheet.places[1] == f"{tmp_path}/x.jsonl, line 3"


def test_values_that_are_no_labels_leave_the_others_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from deepobfuscator.data.folder_csv import Folder

    (tmp_path / "labels.csv").write_text("image,A,age,B\na.png,yes,31,-1\nb.png,no,,1\n")
    for name in "ab":
        np.save(tmp_path / f"{name}.png", np.zeros(1))
        (tmp_path / f"{name}.png.npy").rename(tmp_path / f"{name}.png")
    with caplog.at_level(logging.WARNING):
        table = Folder(tmp_path).read()
        Folder(tmp_path).read()
    assert table.attributes == ("A", "B")
    assert table.values.tolist() == [[1, 0], [0, 1]]
    assert [r.message for r in caplog.records] == [
        f"{tmp_path}/labels.csv: left out unless named, since not every cell is a label: age"
    ], "once"
    with pytest.raises(InputError, match=r"line 2: age is '31'; a label is 1 or 0"):
        table.columns(["A", "age"])
