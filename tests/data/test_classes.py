"""Attributes of several classes: what a column means, and what networks are given of it."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from deepobfuscator.core.errors import InputError
from deepobfuscator.data import batches
from deepobfuscator.data.classes import MISSING, categorical
from deepobfuscator.data.dataset import Data
from deepobfuscator.data.table import UNKNOWN, AttributeTable, Task

WORDS = ["happy", "sad", "angry", "fear"]


def cells(*groups: tuple[str, int]) -> dict[str, np.ndarray]:
    """A column ``x`` with each word so many times."""
    return {"x": np.array([word for word, count in groups for _ in range(count)])}


def test_words_are_classes_in_the_order_of_the_alphabet() -> None:
    found = categorical("x", cells(("b", 9), ("a", 8), ("", 2), ("c", 10)))
    assert found is not None
    assert found.classes == ("a", "b", "c")
    assert found.number.tolist() == [1] * 9 + [0] * 8 + [-1] * 2 + [2] * 10
    columns = found.columns(UNKNOWN)
    assert columns[0].tolist() == [0, 1, 0]
    assert columns[17].tolist() == [UNKNOWN] * 3


def test_numbers_are_classes_in_their_own_order() -> None:
    found = categorical("x", cells(("10", 8), ("9", 8), ("-2", 8)))
    assert found is not None
    assert found.classes == ("-2", "9", "10")


@pytest.mark.parametrize("bins", [2, 4, 5])
def test_bins_hold_about_as_many_each(bins: int) -> None:
    draw = np.random.default_rng(0)
    ages = draw.integers(1, 90, 500)
    found = categorical(f"age:{bins}", {"age": ages.astype(str)})
    assert found is not None
    counts = np.bincount(found.number)
    assert len(counts) == bins
    assert counts.min() > 500 / bins * 0.85
    for number, name in enumerate(found.classes):
        low, high = map(int, name.split(" to "))
        mine = ages[found.number == number]
        assert (mine.min(), mine.max()) == (low, high)
        assert not ((ages >= low) & (ages <= high) & (found.number != number)).any()


@pytest.mark.parametrize(
    ("name", "column", "message"),
    [
        ("x", cells(("a", 30), ("b", 7)), "'b' on 7 of 37 pictures, and a class needs 8"),
        ("x", cells(*((str(i), 9) for i in range(21))), r"21 different values.* write x:4"),
        ("x", cells(*((f"w{i}", 9) for i in range(21))), "21 different values.* group them"),
        ("x", cells(("a", 30), ("", 7)), "the same on every picture"),
        ("x:4", cells(("a", 30), ("b", 30)), "not every cell is a number"),
        ("x:1", cells(("1", 30), ("2", 30)), "between 2 and 20 bins"),
        ("x:3", cells(("1", 30), ("2", 30)), "too many equal numbers"),
    ],
)
def test_a_column_that_is_no_classes(
    name: str, column: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        categorical(name, column)


@given(
    words=st.lists(st.text(max_size=3), max_size=60),
    again=st.integers(1, 9),
    name=st.sampled_from(("x", "x:2", "x:7", "y", "x:", "x:²")),
)
def test_any_column_is_classes_or_one_line(words: list[str], again: int, name: str) -> None:
    column = np.array(words * again, dtype=np.str_)
    try:
        found = categorical(name, {"x": column})
    except InputError as error:
        found, said = None, str(error)
    else:
        said = ""
    if said:
        assert "\n" not in said
        return
    if found is None:
        assert name not in ("x", "x:2", "x:7")
        return
    known = np.array([w.lower() not in MISSING for w in column.tolist()])
    assert ((found.number >= 0) == known).all()
    assert len(set(found.classes)) == len(found.classes)
    if name == "x":
        assert [found.classes[k] for k in found.number[known]] == column[known].tolist()


def table(**texts: np.ndarray) -> AttributeTable:
    n = len(next(iter(texts.values())))
    return AttributeTable(
        images=tuple(map(str, range(n))),
        attributes=("A", "B"),
        values=np.tile(np.array([[0, 1], [1, 0]], dtype=np.uint8), (n // 2, 1)),
        others={name: f"line 1: {name} is odd" for name in texts},
        texts=texts,
    )


def test_a_task_knows_its_columns() -> None:
    labelled = table(emotion=np.repeat(WORDS, 10))
    task = Task(("A", "emotion"), ("B",)).resolved(labelled)
    assert task.classes == (("emotion", tuple(sorted(WORDS))),)
    names = tuple(f"emotion={word}" for word in sorted(WORDS))
    assert task.columns == Task(("A", *names), ("B",))
    assert (task.place("A"), task.place("emotion"), task.place("B")) == (0, slice(1, 5), 0)
    wide = labelled.expanded(dict(task.classes))
    assert wide.columns(names).sum(1).tolist() == [1] * 40
    assert wide.take(np.arange(10)).columns(["emotion=happy"]).all()
    assert Task(("A",), ("B",)).resolved(labelled).classes == ()


def test_a_slip_of_the_pen_is_still_named_with_its_place() -> None:
    words = np.array(["1", "0"] * 20, dtype="<U9")
    words[4] = "maybe"
    with pytest.raises(InputError, match=r"line 1: x is odd; as classes: .*'maybe' on 1 of 40"):
        Task(("A",), ("x",)).resolved(table(x=words))


def test_other_classes_than_before_are_refused() -> None:
    task = Task(("A",), ("x",)).resolved(table(x=np.repeat(["a", "b"], 10)))
    with pytest.raises(InputError, match="had the classes a, b and now has a, c"):
        table(x=np.repeat(["a", "c"], 10)).expanded(dict(task.classes))


def test_public_classes_count() -> None:
    texts = {name: np.repeat([f"{i}" for i in range(2, 11)], 10) for name in ("x", "y")}
    with pytest.raises(InputError, match="18 public attributes, each class counted"):
        Task(("x", "y"), ("A",)).resolved(table(**texts)).columns  # noqa: B018


def picture(shades: tuple[int, ...], noise: np.random.Generator) -> np.ndarray:
    """Four quarters of given shades."""
    quarters = np.kron(np.array(shades).reshape(2, 2), np.ones((20, 20)))[..., None]
    return np.clip(quarters + noise.integers(0, 9, (40, 40, 3)), 0, 255).astype(np.uint8)


def test_labels_without_classes_are_not_read_to_look_for_some() -> None:
    nowhere = Path("there", "is", "nothing", "here")
    for make in (Data.celeba, Data.lfw):
        data = make(nowhere, public="Smiling", private="Male")
        assert data.resolved() == data
    with pytest.raises(InputError, match="cannot read"):
        Data.folder(nowhere, public="Smiling", private="Male").resolved()


def test_fairface(tmp_path: Path) -> None:
    """Two lists with no name of their own, ages as words, empty cells left out on request."""
    draw = np.random.default_rng(0)
    for part, count in (("train", 160), ("val", 60)):
        (tmp_path / part).mkdir()
        rows = ["file,age,gender,race,service_test"]
        for i in range(count):
            Image.fromarray(picture((i % 200, 9, 40, 90), draw)).save(tmp_path / part / f"{i}.jpg")
            age, race = ("0-2", "3-9", "more than 70")[i % 3], ("White", "Black")[i % 2]
            rows.append(f"{part}/{i}.jpg,{age},{'Female' if i % 4 else 'Male'},{race},{i % 2 == 0}")
        (tmp_path / f"fairface_label_{part}.csv").write_text("\n".join(rows))
    data = Data.folder(tmp_path, public="race", private=["age", "gender"]).resolved()
    parts = batches.load(data, (40, 40))
    assert dict(data.task.classes)["age"] == ("0-2", "3-9", "more than 70")
    assert parts.attacker.public.shape[1:] == (2,)
    assert parts.attacker.private.shape[1:] == (5,)
    assert len(parts.test) == 60
    assert parts.undeclared == ("service_test",)


def test_utkface_with_pixels(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    shades = draw.integers(0, 250, (80, 4))
    rows = ["age,ethnicity,gender,img_name,pixels"]
    for i, values in enumerate(shades):
        pixels = " ".join(map(str, picture(tuple(values), draw)[..., 0].ravel()))
        rows.append(f"{1 + i},{i % 5},{i % 2},{i}.jpg,{pixels}")
    (tmp_path / "age_gender.csv").write_text("\n".join(rows))
    data = Data.folder(tmp_path, public="gender", private=["ethnicity", "age:2"]).resolved()
    assert data.task.classes == (
        ("ethnicity", ("0", "1", "2", "3", "4")),
        ("age:2", ("1 to 40", "41 to 80")),
    )
    labelled = data.source.read()
    found, bad = data.source.load(labelled.images, (40, 40))
    assert not bad
    assert np.abs(found[:, 5, 5, 0].astype(int) - shades[:, 0]).max() <= 9
    assert np.abs(found[:, 35, 35, 2].astype(int) - shades[:, 3]).max() <= 9
    odd = (tmp_path / "age_gender.csv").read_text().replace("\n3,2,0,2.jpg,", "\n3,2,0,2.jpg,x ")
    (tmp_path / "age_gender.csv").write_text(odd)
    _, bad = data.source.load(labelled.images, (40, 40))
    assert list(bad) == [labelled.images[2]]


def test_arrays_keep_the_words_that_the_task_names() -> None:
    images = np.random.default_rng(0).integers(0, 255, (60, 16, 16, 3), dtype=np.uint8)
    labels = {
        "A": [i % 2 for i in range(60)],
        "mood": [WORDS[i % 4] for i in range(60)],
        "note": [f"n{i}" for i in range(60)],
        "age": [float(i) for i in range(60)],
    }
    data = Data.from_arrays(images, labels, public="A", private=["mood", "age:3"])
    assert [len(classes) for _, classes in data.task.classes] == [4, 3]
    assert set(data.source.read().texts) == {"mood", "age"}
    plain = Data.from_arrays(images, labels, public="A", private="mood")
    assert plain.source != data.source
    with pytest.raises(InputError, match="60 different values"):
        Data.from_arrays(images, labels, public="A", private="note")
    with pytest.raises(InputError, match="no attribute 'moods'"):
        batches.load(Data.from_arrays(images, labels, public="A", private="moods"), (16, 16))
