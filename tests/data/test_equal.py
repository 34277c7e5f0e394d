"""Equal pictures: found pixel by pixel, and kept in one part, whole people each."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from deepobfuscator.core.files import cache_folder
from deepobfuscator.data import batches
from deepobfuscator.data.dataset import Data
from deepobfuscator.data.equal import equal, together
from deepobfuscator.data.splits import Splits


def test_groups_are_those_of_equal_pictures() -> None:
    draw = np.random.default_rng(0)
    first = draw.integers(0, 256, (5, 6, 4, 3), dtype=np.uint8)
    second = draw.integers(0, 256, (4, 6, 4, 3), dtype=np.uint8)
    second[0, 3], second[1], second[2], first[4] = first[0, 3], first[1], first[2], first[2]
    assert sorted(equal([first, second[:0], second])) == [[1, 6], [2, 4, 7]]
    assert equal([first[:0], second[:0]]) == []


@given(st.data())
def test_whatever_is_equal_ends_in_one_part_and_nothing_else_moves(data: st.DataObject) -> None:
    n = data.draw(st.integers(4, 40))
    people = np.array(data.draw(st.lists(st.integers(0, 15), min_size=n, max_size=n)))
    part_of = np.array(data.draw(st.lists(st.integers(0, 4), min_size=16, max_size=16)))
    parts = [np.flatnonzero(part_of[people] == k) for k in range(4)]  # people of 4 are not in use
    splits = Splits(*parts)
    rows = splits.rows().tolist()
    pairs = st.lists(st.sampled_from(rows), min_size=2, max_size=4, unique=True)
    groups = [np.array(g) for g in data.draw(st.lists(pairs, max_size=4))] if len(rows) > 4 else []
    better = together(splits, people, groups)
    assert better.rows().tolist() == rows
    where = {row: k for k, part in enumerate(vars(better).values()) for row in part.tolist()}
    for group in groups:
        assert len({where[row] for row in group.tolist()}) == 1
    for person in set(people[rows].tolist()):
        assert len({where[row] for row in rows if people[row] == person}) == 1
    linked = {p for group in groups for p in people[group].tolist()}
    for k, part in enumerate(parts):
        assert {where[r] for r in part.tolist() if people[r] not in linked} <= {k}


@pytest.mark.parametrize("split", [False, True])
def test_copies_under_other_names_and_formats_stay_together(tmp_path: Path, split: bool) -> None:
    draw = np.random.default_rng(1)
    rows = ["image,A,B,split" if split else "image,A,B"]
    for i in range(300):
        part = f",{('train', 'val', 'test')[i % 3]}" if split else ""
        picture = Image.fromarray(draw.integers(0, 256, (32, 32, 3), dtype=np.uint8))
        picture.save(tmp_path / f"{i}.png")
        rows.append(f"{i}.png,{i % 2},{i // 2 % 2}{part}")
        if i < 9:
            picture.save(tmp_path / f"again{i}.bmp")
            rows.append(f"again{i}.bmp,{i % 2},{i // 2 % 2}{',test' if split else ''}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    data = Data.folder(tmp_path, public="A", private="B")

    cold = batches.load(data, (32, 32))
    stores = sorted(cache_folder().glob("folder-*.npy"))
    batches.disjoint({name: getattr(cold, name) for name in cold.summary["pictures"]})
    assert sum(cold.summary["pictures"].values()) == 309, "none is lost"
    assert cold.summary["moved"] > 0
    assert cold.notes()[0].endswith("change their part, so that equal pictures stay together")
    warm = batches.load(data, (32, 32))
    assert warm.summary == cold.summary
    assert sorted(cache_folder().glob("folder-*.npy")) == stores, "nothing is decoded again"


def test_without_equal_pictures_nothing_is_said(tmp_path: Path) -> None:
    parts = batches.load(Data.synthetic(300), (32, 32))
    assert "moved" not in parts.summary
    assert parts.notes() == []
