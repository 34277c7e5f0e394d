"""Multi-class attributes: one 0/1 column per class.

``NAME`` is an attribute whose column holds a few different words or numbers, ``NAME:4`` one whose
numbers are cut into four bins with about as many pictures each.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepobfuscator.core.errors import InputError

MOST_CLASSES = 20
"""A column with more distinct values is a number or a name, not a class."""

FEWEST_PICTURES = 8
"""A value on fewer pictures is taken for a typing error, not a class."""

MISSING = frozenset(("", "nan", "na", "n/a", "null", "none", "?"))
"""Cells without a value, in lower case."""


@dataclass(frozen=True)
class Categorical:
    """One attribute of several classes."""

    classes: tuple[str, ...]
    """Their names, in order of numbers or of the alphabet."""
    number: NDArray[np.int64]
    """(n,) the class of each picture; -1 where the cell is empty."""

    def columns(self, unknown: int) -> NDArray[np.uint8]:
        """(n, classes) one-hot, or ``unknown`` where the cell is empty."""
        found = np.asarray(self.number[:, None] == np.arange(len(self.classes)), dtype=np.uint8)
        found[self.number < 0] = unknown
        return found


def column_names(name: str, classes: Iterable[str]) -> tuple[str, ...]:
    """Names of the columns of an attribute's classes."""
    return tuple(f"{name}={one}" for one in classes)


def categorical(name: str, texts: Mapping[str, NDArray[np.str_]]) -> Categorical | None:
    """The attribute ``name`` (or ``COLUMN:BINS``) of the columns ``texts``; None without such a
    column.

    Raises:
        InputError: too many distinct values, too few pictures of one, or bins of a column that is
            not numeric.
    """
    if name in texts:
        return _words(name, texts[name])
    column, _, bins = name.rpartition(":")
    if column in texts and bins.isdecimal():
        return _bins(name, texts[column], int(bins))
    return None


def _words(name: str, cells: NDArray[np.str_]) -> Categorical:
    known = np.array([cell.lower() not in MISSING for cell in cells.tolist()], dtype=bool)
    values, counts = np.unique(cells[known], return_counts=True)
    if len(values) > MOST_CLASSES:
        how = f"write {name}:4 for four bins" if _numbers(values) is not None else "group them"
        raise InputError(
            f"attribute {name!r} has {len(values)} different values, at most {MOST_CLASSES} work "
            f"as classes: {how}"
        )
    if len(values) < 2:
        raise InputError(f"attribute {name!r} is the same on every picture: nothing to learn")
    if counts.min() < FEWEST_PICTURES:
        rare = values[counts.argmin()]
        raise InputError(
            f"{name} is {str(rare)!r} on {counts.min()} of {known.sum()} pictures, and a class "
            f"needs {FEWEST_PICTURES}: correct or group the labels"
        )
    numbers = _numbers(values)
    order = np.argsort(values if numbers is None else numbers, kind="stable")
    place = np.empty(len(values), dtype=np.int64)
    place[order] = np.arange(len(values))
    number = np.full(len(cells), -1, dtype=np.int64)
    number[known] = place[np.searchsorted(values, cells[known])]
    return Categorical(tuple(values[order].tolist()), number)


def _bins(name: str, cells: NDArray[np.str_], bins: int) -> Categorical:
    if not 2 <= bins <= MOST_CLASSES:
        raise InputError(f"attribute {name!r}: between 2 and {MOST_CLASSES} bins work")
    known = np.array([cell.lower() not in MISSING for cell in cells.tolist()], dtype=bool)
    values = _numbers(cells[known])
    if values is None or not len(values):
        raise InputError(f"attribute {name!r}: not every cell is a number: leave the bins out")
    edges = np.quantile(values, np.arange(1, bins) / bins, method="higher")
    number = np.full(len(cells), -1, dtype=np.int64)
    number[known] = np.searchsorted(edges, values, side="right")
    members = [values[number[known] == k] for k in range(bins)]
    if min(map(len, members)) < FEWEST_PICTURES:
        raise InputError(
            f"attribute {name!r}: too many equal numbers, or too few pictures, for {bins} bins: "
            "ask for fewer"
        )
    return Categorical(tuple(f"{m.min():g} to {m.max():g}" for m in members), number)


def _numbers(values: Sequence[str] | NDArray[np.str_]) -> NDArray[np.float64] | None:
    """Cells as finite numbers; None if any is not one."""
    try:
        found = np.asarray(values).astype(np.float64)
    except ValueError:
        return None
    return found if np.isfinite(found).all() else None
