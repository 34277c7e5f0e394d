from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepobfuscator.core.errors import InputError
from deepobfuscator.survey.questions import Sheet, borders, draw, unlikeness


@pytest.mark.parametrize("mode", ["matched", "random"])
def test_nobody_is_on_two_options_of_a_study(faces: Any, mode: Any) -> None:
    for seed in range(10):
        drawn = draw(faces.pictures, faces.person, faces.looks, 20, mode, seed)
        assert len(set(faces.person[drawn.rows].ravel())) == 80
        assert set(drawn.answer) <= {0, 1, 2, 3}
        same = draw(faces.pictures, faces.person, faces.looks, 20, mode, seed)
        assert (same.rows == drawn.rows).all()
        assert (same.answer == drawn.answer).all()
        other = draw(faces.pictures, faces.person, faces.looks, 20, mode, seed + 1)
        assert (other.rows != drawn.rows).any()


def test_matched_options_share_looks_and_backgrounds(faces: Any) -> None:
    shared, near = {}, {}
    for mode in ("matched", "random"):
        looks, gaps = [], []
        for seed in range(5):
            drawn = draw(faces.pictures, faces.person, faces.looks, 5, mode, seed)  # type: ignore[arg-type]
            four = faces.looks[drawn.rows]
            agree = (four == four[:, :1]).all(axis=1)
            for q in range(5):
                assert agree[q, : drawn.agreed[q]].all()
                assert drawn.agreed[q] == 3 or not agree[q, drawn.agreed[q]]
            looks.append(agree[:, 0])
            border = np.stack([borders(faces.pictures[four]) for four in drawn.rows])
            gaps.append(unlikeness(border))
        shared[mode], near[mode] = np.mean(looks), np.mean(gaps)
    assert shared["matched"] == 1
    assert shared["random"] < 0.6
    assert near["matched"] < 0.6 * near["random"]


def test_looks_are_given_up_from_the_last_and_only_where_too_few_share_them() -> None:
    pictures = np.zeros((8, 8, 8, 3), np.uint8)
    looks = np.array([[0, 0]] * 4 + [[1, 0], [1, 0], [1, 1], [1, 1]], np.uint8)
    drawn = draw(pictures, np.arange(8), looks, 2, "matched", 0)
    groups = {
        frozenset(four): agreed for four, agreed in zip(drawn.rows, drawn.agreed, strict=True)
    }
    assert groups == {frozenset(range(4)): 2, frozenset(range(4, 8)): 1}


def test_which_option_is_rebuilt_cannot_be_told_from_the_options(faces: Any) -> None:
    """The most typical of the four backgrounds, say, is the answer one time in four."""
    right = []
    for seed in range(60):
        drawn = draw(faces.pictures, faces.person, faces.looks, 10, "matched", seed)
        border = np.stack([borders(faces.pictures[four]) for four in drawn.rows])
        far = np.square(border - border.mean(axis=1, keepdims=True)).sum(axis=(2, 3))
        right.append(far.argmin(axis=1) == drawn.answer)
    assert 0.19 < np.mean(right) < 0.31  # 600 draws: 0.25 +- 0.018


def test_no_looks_at_all_and_a_memory_map_do(faces: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "p.npy", faces.pictures)
    mapped = np.load(tmp_path / "p.npy", mmap_mode="r")
    drawn = draw(mapped, faces.person, faces.looks[:, :0], 5, "matched", 1)
    held = draw(faces.pictures, faces.person, faces.looks[:, :0], 5, "matched", 1)
    assert (drawn.rows == held.rows).all()
    assert (drawn.agreed == 0).all()


def test_unlikeness_is_the_root_mean_square_of_all_pairs() -> None:
    border = np.random.default_rng(0).uniform(0, 255, (1, 4, 3, 3))
    pairs = [np.mean((border[0, i] - border[0, j]) ** 2) for i in range(4) for j in range(i)]
    assert unlikeness(border)[0] == pytest.approx(np.sqrt(np.mean(pairs)))


def test_what_cannot_be_drawn_is_told(faces: Any) -> None:
    few = faces.pictures[:100], faces.person[:100], faces.looks[:100]
    with pytest.raises(InputError, match=r"^6 questions need 24 .* there are 20: ask at most 5"):
        draw(*few, 6, "matched", 0)
    with pytest.raises(InputError, match=r"^0 questions: give 1 to 200$"):
        draw(*few, 0, "matched", 0)


def test_a_sheet_comes_back_as_it_was(make_sheet: Callable[..., Sheet], tmp_path: Path) -> None:
    sheet = make_sheet()
    sheet.save(tmp_path / "deep" / "sheet.npz")
    back = Sheet.load(tmp_path / "deep" / "sheet.npz")
    assert back.key == sheet.key
    assert (back.defence, back.mode, back.seed, back.looks) == (
        sheet.defence, sheet.mode, sheet.seed, sheet.looks,
    )  # fmt: skip
    for name in ("rebuilt", "options", "answer", "agreed"):
        assert (getattr(back, name) == getattr(sheet, name)).all()
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["sheet.npz"]
    answers = (sheet.answer + 1) % 4
    assert make_sheet(answer=answers).key != sheet.key


def test_a_broken_sheet_is_told_in_one_line(
    make_sheet: Callable[..., Sheet], tmp_path: Path
) -> None:
    good = tmp_path / "good.npz"
    make_sheet().save(good)
    content = good.read_bytes()
    path = tmp_path / "sheet.npz"
    broken = [b"", b"PK\3\4", b"no archive", content[: len(content) // 2]]
    for at in (40, 200, len(content) // 2):
        broken.append(
            content[:at] + bytes(b ^ 255 for b in content[at : at + 9]) + content[at + 9 :]
        )
    for data in broken:
        path.write_bytes(data)
        with pytest.raises(InputError, match=r"sheet\.npz") as caught:
            Sheet.load(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="no such file"):
        Sheet.load(tmp_path / "none.npz")
    np.savez(path, defence=np.array([{}], dtype=object))
    with pytest.raises(InputError, match="no answer sheet"):
        Sheet.load(path)


@pytest.mark.parametrize(
    "change",
    [
        {"answer": np.array([0, 1, 2, 3, 4, 0])},
        {"agreed": np.zeros(5, np.int64)},
        {"mode": "other"},
        {"rebuilt": np.zeros((6, 9, 9, 3), np.uint8)},
        {"defence": ()},
    ],
    ids=lambda change: next(iter(change)),
)
def test_parts_that_do_not_fit_are_no_sheet(
    make_sheet: Callable[..., Sheet], change: dict[str, Any]
) -> None:
    with pytest.raises(InputError, match="do not fit together"):
        make_sheet(**change)
