"""Two parts as one, read row by row."""

import numpy as np
import pytest

from deepobfuscator.core.errors import InputError
from deepobfuscator.data.batches import Labelled
from deepobfuscator.data.joined import joined


def part(n: int, seed: int, side: int = 4, private: int = 2, undeclared: bool = True) -> Labelled:
    draw = np.random.default_rng(seed)
    pictures = draw.integers(0, 256, (n, side, 5, 3), dtype=np.uint8)
    labels = draw.integers(0, 2, (n, 4), dtype=np.uint8)
    more = labels[:, 3:] if undeclared else None
    return Labelled(pictures, labels[:, :1], labels[:, 1 : 1 + private], np.arange(n), more)


def test_rows_of_two_parts_are_those_of_both_in_turn() -> None:
    one, other = part(7, 1), part(5, 2)
    both = joined(one, other)
    whole = np.concatenate((one.pictures, other.pictures))
    assert len(both) == 12
    assert both.pictures.shape == whole.shape
    for rows in (np.array([11, 0, 6, 7, 7]), np.arange(3), np.arange(7, 12), np.arange(0)):
        assert np.array_equal(both.pictures[rows], whole[rows])
    for name in ("public", "private", "people", "undeclared"):
        expected = np.concatenate((getattr(one, name), getattr(other, name)))
        assert np.array_equal(getattr(both, name), expected)
    assert joined(one, part(5, 2, undeclared=False)).undeclared is None


@pytest.mark.parametrize("changed", [{"side": 6}, {"private": 1}])
def test_parts_that_do_not_match_are_refused(changed: dict[str, int]) -> None:
    with pytest.raises(InputError, match="cannot be joined"):
        joined(part(7, 1), part(5, 2, **changed))
