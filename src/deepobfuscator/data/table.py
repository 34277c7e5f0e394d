"""A table of labelled pictures, the task set on it, and its disjoint parts."""

import hashlib
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from deepobfuscator.core.errors import InputError
from deepobfuscator.core.registry import Family, suggest

TRAIN, VALIDATION, TEST = 0, 1, 2
"""Values of `AttributeTable.part`, as in CelebA's list_eval_partition.txt."""

UNKNOWN = 2
"""Value of `AttributeTable.values` where the list has an empty cell."""

PAPER_TRAIN_SHARE = 160_000 / 202_599
"""Section 4.1: 160K of CelebA's pictures for training, the rest (about 40K) for testing."""

VALIDATION_SHARE = 1 / 8
"""Part of the attacker's own pictures kept for choosing, where the data brings no such part."""

MOST_PUBLIC = 16
"""The label-only floor is a table with a cell for each combination of public labels."""

SMALLEST_PART = 8
"""Pictures that each part needs before any figure of it can mean something."""

Rows: TypeAlias = NDArray[np.int64]
"""(n,) row numbers in a table."""

Decoded: TypeAlias = tuple[NDArray[np.uint8], dict[str, str]]
"""Pictures (n, height, width, 3) in 0..255, and what is wrong with the unreadable, by name."""


@dataclass(frozen=True)
class AttributeTable:
    """Binary attributes of n pictures, and who is on them."""

    images: tuple[str, ...]
    """n distinct names; `Source.load` takes them."""
    attributes: tuple[str, ...]
    """Names of the k columns."""
    values: NDArray[np.uint8]
    """(n, k), 0, 1 or UNKNOWN."""
    identity: NDArray[np.int64] | None = None
    """(n,) person numbers; None where unknown."""
    part: NDArray[np.uint8] | None = None
    """(n,) TRAIN, VALIDATION or TEST as the data itself says; None where it says nothing."""
    others: Mapping[str, str] = field(default_factory=dict)
    """Columns that are no attribute, and why not."""
    amiss: str = ""
    """Which rows have no picture and which pictures no row, in words; they are not in the table."""
    left_out: int = 0
    """How many those are."""

    def __len__(self) -> int:
        return len(self.images)

    def columns(self, names: Sequence[str]) -> NDArray[np.uint8]:
        """(n, len(names)) values of the named attributes.

        Raises:
            InputError: a name is not in the table; the message says which are near, or why that
                column is no attribute.
        """
        for name in names:
            if name in self.others:
                raise InputError(self.others[name])
            if name not in self.attributes:
                raise InputError(
                    f"no attribute {name!r} in this data: {suggest(name, list(self.attributes))}"
                )
        return self.values[:, [self.attributes.index(name) for name in names]]

    def take(self, rows: Rows) -> Self:
        """The table of some rows."""
        return replace(
            self,
            images=tuple(self.images[i] for i in rows),
            values=self.values[rows],
            identity=None if self.identity is None else self.identity[rows],
            part=None if self.part is None else self.part[rows],
        )

    def usable(self, names: Sequence[str], skip_bad: bool) -> Self:
        """The table without the pictures that lack one of the named attributes.

        Raises:
            InputError: there are such pictures, or rows without a picture, or pictures without a
                row, and ``skip_bad`` does not leave them out.
        """
        problems = [self.amiss] if self.amiss else []
        blank = self.columns(names) == UNKNOWN
        if len(rows := np.flatnonzero(blank.any(1))):
            name = names[int(blank[rows[0]].argmax())]
            problems.append(
                f"{len(rows)} of {len(self)} pictures have an empty label, the first "
                f"{self.images[rows[0]]!r} ({name})"
            )
        if problems and not skip_bad:
            raise InputError(
                f"{'; '.join(problems)}: mend the list or the folder, or leave them out with "
                "--skip-bad"
            )
        kept = self.take(np.flatnonzero(~blank.any(1))) if len(rows) else self
        return replace(kept, amiss="", left_out=self.left_out + len(rows))

    def people(self) -> NDArray[np.int64]:
        """(n,) the cluster of each picture: its person, or itself where identities are unknown."""
        return np.arange(len(self)) if self.identity is None else self.identity

    def fingerprint(self) -> str:
        """Hash of every name, value, identity and part: the same table, the same hash."""
        digest = hashlib.sha256("\n".join((*self.images, *self.attributes)).encode())
        for array in (self.values, self.identity, self.part):
            digest.update(b"-" if array is None else np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:16]


@dataclass(frozen=True)
class Task:
    """What the service must tell (Y in the paper) and what nobody should learn (Z)."""

    public: tuple[str, ...]
    """Attributes that the service classifies (M of them)."""
    private: tuple[str, ...]
    """Attributes that an attacker must not infer (K of them)."""

    def __post_init__(self) -> None:
        for side, names in (("public", self.public), ("private", self.private)):
            if not names:
                raise InputError(f"no {side} attribute given: name at least one with --{side}")
            if len(set(names)) < len(names):
                raise InputError(f"a {side} attribute is named twice: {', '.join(names)}")
        if len(self.public) > MOST_PUBLIC:
            raise InputError(f"{len(self.public)} public attributes: at most {MOST_PUBLIC} work")
        both = sorted(set(self.public) & set(self.private))
        if both:
            raise InputError(
                f"{', '.join(both)} cannot be public and private at once: drop it from one"
            )

    @classmethod
    def of(cls, public: str | Sequence[str], private: str | Sequence[str]) -> Self:
        """The task of one name or several on each side."""
        return cls(*((s,) if isinstance(s, str) else tuple(s) for s in (public, private)))

    def check(self, table: AttributeTable) -> None:
        """Raise InputError where ``table`` lacks an attribute or holds it at one constant value."""
        everything = table.columns((*self.public, *self.private))
        if len(table):
            self._vary(everything, "on every picture: nothing to learn or hide")

    def check_part(self, part: str, public: NDArray[np.uint8], private: NDArray[np.uint8]) -> None:
        """Raise InputError where a part is too small or one of its attributes is constant."""
        if len(public) < SMALLEST_PART:
            raise InputError(
                f"too few pictures: {len(public)} for the part {part!r}, {SMALLEST_PART} needed; "
                "give more pictures or a larger --limit"
            )
        self._vary(
            np.concatenate((public, private), 1),
            f"on every picture of the part {part!r}: take another --split-seed, a larger "
            "--limit or more pictures",
        )

    def _vary(self, values: NDArray[np.uint8], where: str) -> None:
        for name, column in zip((*self.public, *self.private), values.T, strict=True):
            if column.min() == column.max():
                raise InputError(f"attribute {name!r} is {column[0]} {where}")


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
    """Cut ``table`` into disjoint parts, by person where persons are known.

    The training pool is halved between the defender and the attacker.

    Args:
        table: the labelled pictures.
        limit: pictures of the training pool (whole people, so up to one person fewer); validation
            and test shrink in proportion. None takes all.
        seed: draws people.
        protocol: ``own`` keeps the data's own partition where it has one; ``paper`` draws the
            paper's 160K : 40K anew (section 4.1).
        defended: whether a defence is trained; else the defender's half is the attacker's too.

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
                    f"person {shared[0]} is in two parts of the data's own split "
                    f"({len(shared)} such): mend the split, or draw another with --protocol paper"
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
        test, _ = _cut(test, people, round(share * len(test)), draw)
    defender, attacker = _cut(pool, people, len(pool) // 2 if defended else 0, draw)
    if not len(validation):
        validation, attacker = _cut(attacker, people, round(VALIDATION_SHARE * len(attacker)), draw)
    return Splits(defender, attacker, validation, test)


def _cut(
    rows: Rows, people: NDArray[np.int64], count: int, draw: np.random.Generator
) -> tuple[Rows, Rows]:
    """Whole people drawn until one more would pass ``count`` pictures, and the rest."""
    if not len(rows):
        return rows, rows
    clusters, cluster, sizes = np.unique(people[rows], return_inverse=True, return_counts=True)
    order = draw.permutation(len(clusters))
    taken = np.zeros(len(clusters), dtype=bool)
    taken[order[np.cumsum(sizes[order]) <= count]] = True
    return rows[taken[cluster]], rows[~taken[cluster]]


def person_number(name: str) -> int:
    """A number for an identity's name, the same wherever it is read."""
    if name.isdecimal() and len(name) < 16:
        return int(name)
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big")


class Source(Family):
    """Where labelled pictures come from; members are frozen dataclasses, ``KIND:REST`` on the
    command line.
    """

    @classmethod
    @abstractmethod
    def parse(cls, rest: str) -> Self:
        """The source that ``KIND:rest`` names; raises InputError for another form."""

    @abstractmethod
    def read(self) -> AttributeTable:
        """Read the labels (not the pictures).

        Raises:
            InputError: a missing folder or file, a list not of the format, a picture with two rows
                or outside the folder. Rows without a picture and pictures without a row are told
                by the table; see `AttributeTable.usable`.
        """

    @abstractmethod
    def load(self, images: Sequence[str], size: tuple[int, int]) -> Decoded:
        """Decode pictures; an unreadable one's place is black.

        A picture at most 4 px larger than ``size`` on a side is cropped about its centre without
        resampling; any other is cropped to the aspect ratio of ``size`` about its centre and
        resampled with antialiasing.
        """

    @abstractmethod
    def stamp(self, images: Sequence[str]) -> str:
        """Changes whenever the pixels that `load` would give change (file sizes and times)."""


def parse_source(text: str) -> Source:
    """``celeba:PATH``, ``lfw:PATH``, ``folder:PATH``, ``synthetic`` or ``synthetic:COUNT``."""
    kind, _, rest = text.partition(":")
    return Source.find(kind).parse(rest)
