"""Two parts as one, without copying their pictures, which may not fit in memory."""

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from deepobfuscator.core.errors import InputError
from deepobfuscator.data.batches import Labelled
from deepobfuscator.data.table import Rows


@dataclass(frozen=True)
class Pictures:
    """Pictures (n + m, H, W, 3) of two arrays, the first's before the second's; rows are read
    lazily.
    """

    first: NDArray[np.uint8]
    """(n, H, W, 3) in 0..255."""
    second: NDArray[np.uint8]
    """(m, H, W, 3) in 0..255."""

    @property
    def shape(self) -> tuple[int, ...]:
        """As of an array."""
        return (len(self), *self.first.shape[1:])

    def __len__(self) -> int:
        return len(self.first) + len(self.second)

    def __getitem__(self, rows: Rows) -> NDArray[np.uint8]:
        """The given rows, (len(rows), H, W, 3)."""
        found = np.empty((len(rows), *self.first.shape[1:]), dtype=np.uint8)
        late = rows >= len(self.first)
        found[~late] = self.first[rows[~late]]
        found[late] = self.second[rows[late] - len(self.first)]
        return found


def joined(one: Labelled, other: Labelled) -> Labelled:
    """All inputs of ``one``, then all of ``other``; pictures can be read by rows only.

    Raises:
        InputError: pictures of two sizes, or labels of two tasks.
    """

    def both(name: str) -> NDArray[np.uint8]:
        return np.concatenate((getattr(one, name), getattr(other, name)))

    if one.pictures.shape[1:] != other.pictures.shape[1:]:
        raise InputError("parts with pictures of different sizes cannot be joined")
    if any(getattr(one, s).shape[1] != getattr(other, s).shape[1] for s in ("public", "private")):
        raise InputError("parts with labels of different tasks cannot be joined")
    known = one.undeclared is not None and other.undeclared is not None
    return Labelled(
        pictures=cast(NDArray[np.uint8], Pictures(one.pictures, other.pictures)),
        public=both("public"),
        private=both("private"),
        people=np.concatenate((one.people, other.people)),
        undeclared=both("undeclared") if known else None,
    )
