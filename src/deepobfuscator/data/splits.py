"""Disjoint parts of a table: defender, attacker, validation, test; no person is in two."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepobfuscator.core.errors import InputError
from deepobfuscator.data.table import TEST, TRAIN, VALIDATION, AttributeTable, Rows

PAPER_TRAIN_SHARE = 160_000 / 202_599
"""Section 4.1: 160K of CelebA's pictures for training, the rest (about 40K) for testing."""

VALIDATION_SHARE = 1 / 8
"""Fraction of the attacker's own pictures held out for validation, if the data has no such part."""


@dataclass(frozen=True)
class Splits:
    """Row numbers, ascending, of the four `Parts`, which share no picture and no person."""

    defender: Rows
    attacker: Rows
    validation: Rows
    test: Rows

    def rows(self) -> Rows:
        """All rows in use, ascending."""
        return np.sort(np.concatenate((self.defender, self.attacker, self.validation, self.test)))


def split(
    table: AttributeTable,
    limit: int | None,
    seed: int,
    protocol: str = "own",
    defended: bool = True,
) -> Splits:
    """Split ``table`` into disjoint parts, by person if identities are known.

    The training pool is halved between the defender and the attacker.

    Args:
        table: the labelled pictures.
        limit: pictures of the training pool (whole people, so up to one person fewer); validation
            shrinks in proportion; the test part stays whole, since it determines the width of
            intervals. None uses all.
        seed: seeds the choice of people.
        protocol: ``own`` keeps the data's own partition if it has one; ``paper`` draws a new
            160K : 40K split (section 4.1).
        defended: whether a defence is trained; else the attacker gets the defender's half too.

    Raises:
        InputError: too few pictures, or a person in two of the data's own parts.
    """
    draw = np.random.default_rng(seed)
    people = table.people()
    everything = np.arange(len(table))
    if protocol == "own" and table.part is not None:
        pool, validation, test = (everything[table.part == p] for p in (TRAIN, VALIDATION, TEST))
        for one, other in ((pool, validation), (pool, test), (validation, test)):
            shared = np.intersect1d(people[one], people[other])
            if len(shared):
                raise InputError(
                    f"person {shared[0]} is in two parts of the data's own split ({len(shared)} "
                    "such): correct the split, or draw another with --protocol paper"
                )
    else:
        pool, test = _cut(everything, people, round(PAPER_TRAIN_SHARE * len(table)), draw)
        validation = everything[:0]
    if limit is not None:
        if limit > len(pool):
            raise InputError(f"--limit {limit}: the training pool holds only {len(pool)} pictures")
        share = limit / len(pool)
        pool, _ = _cut(pool, people, limit, draw)
        validation, _ = _cut(validation, people, round(share * len(validation)), draw)
    defender, attacker = _cut(pool, people, len(pool) // 2 if defended else 0, draw)
    if not len(validation):
        validation, attacker = _cut(attacker, people, round(VALIDATION_SHARE * len(attacker)), draw)
    return Splits(defender, attacker, validation, test)


def _cut(
    rows: Rows, people: NDArray[np.int64], count: int, draw: np.random.Generator
) -> tuple[Rows, Rows]:
    """Randomly drawn whole people with at most ``count`` pictures together, and the rest."""
    if not len(rows):
        return rows, rows
    clusters, cluster, sizes = np.unique(people[rows], return_inverse=True, return_counts=True)
    order = draw.permutation(len(clusters))
    taken = np.zeros(len(clusters), dtype=bool)
    taken[order[np.cumsum(sizes[order]) <= count]] = True
    return rows[taken[cluster]], rows[~taken[cluster]]
