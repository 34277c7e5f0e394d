"""Duplicate pictures (equal pixels) go to one part: else test pictures would be in training."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from deepobfuscator.core.files import write_atomic
from deepobfuscator.data import cache
from deepobfuscator.data.splits import Splits
from deepobfuscator.data.table import AttributeTable, Rows, Source


def equal(pictures: Sequence[NDArray[np.uint8]]) -> list[list[int]]:
    """Groups of equal pictures, two or more each.

    Args:
        pictures: arrays (n, H, W, 3).

    Returns:
        Indices into the concatenation of all arrays.
    """
    everything = [picture for part in pictures for picture in part]

    def alike(places: Iterable[int], told: slice) -> list[list[int]]:
        found: dict[bytes, list[int]] = defaultdict(list)
        for i in places:
            rows = np.ascontiguousarray(everything[i][told])
            found[blake2b(rows.data, digest_size=16).digest()].append(i)
        return [group for group in found.values() if len(group) > 1]

    if not everything:
        return []
    # One row distinguishes nearly all pictures, and reads one page of each from the disk.
    middle = len(everything[0]) // 2
    near = alike(range(len(everything)), slice(middle, middle + 1))
    return [group for places in near for group in alike(places, slice(None))]


def together(splits: Splits, people: NDArray[np.int64], groups: Sequence[Rows]) -> Splits:
    """``splits`` with equal pictures in one part, and still whole people in each.

    People who share a picture go to the part with most of their pictures; ties go to the first.

    Args:
        splits: the parts.
        people: (n,) who is on each picture.
        groups: row numbers, in use, of equal pictures; two or more each.
    """
    if not groups:
        return splits
    _, person = np.unique(people, return_inverse=True)
    one = np.concatenate([np.repeat(person[rows[:1]], len(rows)) for rows in groups])
    other = np.concatenate([person[rows] for rows in groups])
    shape = (len(person), len(person))
    _, cluster = connected_components(coo_matrix((np.ones(len(one)), (one, other)), shape))
    parts = vars(splits)
    counts = np.zeros((len(person), len(parts)), dtype=np.int64)
    for number, rows in enumerate(parts.values()):
        np.add.at(counts, (cluster[person[rows]], number), 1)
    rows = splits.rows()
    part = counts.argmax(1)[cluster[person[rows]]]
    return Splits(*(rows[part == number] for number in range(len(parts))))


def kept_together(
    source: Source,
    table: AttributeTable,
    splits: Splits,
    size: tuple[int, int],
    store: Callable[[Rows], tuple[NDArray[np.uint8], Rows]],
) -> Splits:
    """``splits`` with equal pictures in one part; computed once, then read from the cache.

    ``store`` returns the readable pictures of some rows, and which rows those are.
    """
    images = [table.images[i] for i in splits.rows()]
    kept = cache.path(source, images, size).with_suffix(".equal.json")
    try:
        groups = [np.array(rows) for rows in json.loads(kept.read_text())]
        return together(splits, table.people(), groups)
    except (OSError, ValueError):
        found = [store(rows) for rows in vars(splits).values()]
    rows = np.concatenate([whole for _, whole in found])
    groups = [rows[places] for places in equal([pictures for pictures, _ in found])]
    write_atomic(kept, json.dumps([rows.tolist() for rows in groups]).encode())
    better = together(splits, table.people(), groups)
    for old, new in zip(vars(splits).values(), vars(better).values(), strict=True):
        if not np.array_equal(old, new):  # this store is not used again
            cache.path(source, [table.images[i] for i in old], size).unlink(missing_ok=True)
    return better
