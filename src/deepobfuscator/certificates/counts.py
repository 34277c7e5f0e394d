"""Counts of a code's values by class and public labels, with equal weight for every person.

A person is drawn uniformly and then one of that person's pictures. Person i has the share a_i(y, z)
of own pictures with public labels y and class z, and among these the distribution f_i(. | y, z) of
codes. With A(y, z) = sum_i a_i(y, z), the rate of code c is

    p_yz(c) = sum_i a_i(y, z) f_i(c | y, z) / A(y, z).

Certificates bound functions of its expectation, given who has which labels on how many pictures
(the design). If class and labels are constant within each person, that is the distribution of the
population; if they vary within people, it is that of a population that mixes them as these people
do.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from math import comb
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SUBSETS = 32
"""Maximum number of sets of k pictures per person; more add next to nothing."""


@dataclass(frozen=True)
class Counts:
    """n pictures by person, code, class and public labels, each numbered from 0."""

    person: Ints
    """(n,)"""
    code: Ints
    """(n,)"""
    label: Ints
    """(n,) the stratum: the combination of public labels; 0 where they are not given."""
    group: Ints
    """(n,) the class."""
    classes: int
    """K."""

    @classmethod
    def of(
        cls,
        codes: ArrayLike,
        classes: ArrayLike,
        people: ArrayLike,
        labels: ArrayLike | None = None,
        number: int = 2,
    ) -> Self:
        """Counts of n pictures.

        Args:
            codes: (n,) any numbers; only equality matters.
            classes: (n,) in 0 .. number - 1.
            people: (n,) any numbers.
            labels: (n,) combinations of public labels; None: one for all.
            number: K, the number of classes.

        Raises:
            ValueError: arrays of different lengths, empty arrays, or a class out of range.
        """
        group = np.asarray(classes, dtype=np.int64)
        found = [codes, people, np.zeros(len(group)) if labels is None else labels]
        code, person, label = (np.unique(np.asarray(x), return_inverse=True)[1] for x in found)
        if not len(group) or {group.shape} != {x.shape for x in (code, person, label)}:
            raise ValueError("codes, classes, people and labels must be as many, and some")
        if group.min() < 0 or group.max() >= number:
            raise ValueError(f"a class is not in 0 .. {number - 1}")
        return cls(person, code, label, group, number)

    @property
    def people(self) -> int:
        """n, the number of pictures."""
        return int(self.person.max()) + 1

    @property
    def codes(self) -> int:
        """M, the number of distinct codes."""
        return int(self.code.max()) + 1

    @property
    def strata(self) -> int:
        """S, the number of distinct combinations of public labels."""
        return int(self.label.max()) + 1

    @cached_property
    def weight(self) -> Floats:
        """(n,) weights: one divided by the number of the person's pictures."""
        return np.asarray(1 / np.bincount(self.person)[self.person])

    @cached_property
    def sizes(self) -> Floats:
        """A (S, K): the weight of each class and stratum, in people."""
        cell = self.label * self.classes + self.group
        found = np.bincount(cell, self.weight, minlength=self.strata * self.classes)
        return np.asarray(found.reshape(self.strata, self.classes), dtype=np.float64)

    @cached_property
    def rates(self) -> Floats:
        """Rates p (S, K, M) of the codes; 0 where a stratum lacks a class."""
        cell = (self.label * self.classes + self.group) * self.codes + self.code
        length = self.strata * self.classes * self.codes
        found = np.bincount(cell, self.weight, minlength=length)
        shape = (self.strata, self.classes, self.codes)
        return found.reshape(shape) / np.maximum(self.sizes, 1e-300)[:, :, None]

    def blocks(self, used: NDArray[np.bool_], cells: int) -> Iterator[tuple[slice, Floats]]:
        """Each person's contribution to the rates of the ``used`` strata, (b, s, K, M), b people at
        a time, such that an array has about ``cells`` cells.
        """
        place = np.cumsum(used) - 1
        mine = used[self.label]
        order = np.flatnonzero(mine)[np.argsort(self.person[mine], kind="stable")]
        person, label, group = self.person[order], self.label[order], self.group[order]
        value = self.weight[order] / self.sizes[label, group]
        shape = (int(used.sum()), self.classes, self.codes)
        cell = (place[label] * self.classes + group) * self.codes + self.code[order]
        many = max(1, cells // int(np.prod(shape)))
        for start in range(0, self.people, many):
            end = min(start + many, self.people)
            rows = slice(*np.searchsorted(person, (start, end)))
            at = (person[rows] - start) * int(np.prod(shape)) + cell[rows]
            found = np.bincount(at, value[rows], minlength=(end - start) * int(np.prod(shape)))
            yield slice(start, end), np.asarray(found.reshape(-1, *shape), dtype=np.float64)


def multisets(
    codes: ArrayLike, classes: ArrayLike, people: ArrayLike, k: int, seed: int = 0
) -> tuple[Ints, Ints, Ints]:
    """Sets of ``k`` pictures of one person and one class, as codes, classes and people of `Counts`.

    The code of a set is the multiset of its pictures' codes: all that an attacker has who sees k
    pictures without an order. At most `SUBSETS` sets per person and class are drawn; a person with
    fewer than k pictures has none.
    """
    code = np.unique(np.asarray(codes), return_inverse=True)[1]
    group, person = np.asarray(classes, dtype=np.int64), np.asarray(people)
    draw = np.random.default_rng(seed)
    order = np.lexsort((group, person))
    edges = (np.diff(person[order]) != 0) | (np.diff(group[order]) != 0)
    words, who, which = [], [], []
    for rows in np.split(order, np.flatnonzero(edges) + 1):
        if len(rows) < k:
            continue
        if comb(len(rows), k) <= SUBSETS:
            chosen = np.array(list(combinations(rows.tolist(), k)))
        else:
            chosen = np.stack([draw.choice(rows, k, replace=False) for _ in range(SUBSETS)])
        words.append(np.sort(code[chosen], axis=1))
        who += [person[rows[0]]] * len(chosen)
        which += [group[rows[0]]] * len(chosen)
    if not words:
        none = np.zeros(0, dtype=np.int64)
        return none, none, none
    _, number = np.unique(np.concatenate(words), axis=0, return_inverse=True)
    return number.ravel(), np.array(which), np.array(who)
