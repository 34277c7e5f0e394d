"""A table of labelled pictures, and a task on it."""

import hashlib
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from deepobfuscator.core.config import LATER
from deepobfuscator.core.errors import InputError
from deepobfuscator.core.registry import Family, suggest
from deepobfuscator.data.classes import Categorical, categorical, column_names

TRAIN, VALIDATION, TEST = 0, 1, 2
"""Values of `AttributeTable.part`, as in CelebA's list_eval_partition.txt."""

UNKNOWN = 2
"""Value of `AttributeTable.values` where the list has an empty cell."""

MOST_PUBLIC = 16
"""Maximum number of public columns: the label-only floor has a cell per label combination."""

SMALLEST_PART = 8
"""Minimum number of pictures per part for meaningful figures."""

Rows: TypeAlias = NDArray[np.int64]
"""(n,) row numbers in a table."""

Decoded: TypeAlias = tuple[NDArray[np.uint8], dict[str, str]]
"""Pictures (n, height, width, 3) in 0..255, and the errors of unreadable ones, by name."""


@dataclass(frozen=True)
class AttributeTable:
    """Binary attributes and people of n pictures."""

    images: tuple[str, ...]
    """n distinct names, for `Source.load`."""
    attributes: tuple[str, ...]
    """Names of the k columns."""
    values: NDArray[np.uint8]
    """(n, k), 0, 1 or UNKNOWN."""
    identity: NDArray[np.int64] | None = None
    """(n,) person numbers; None where unknown."""
    part: NDArray[np.uint8] | None = None
    """(n,) TRAIN, VALIDATION or TEST from the data's own split; None if it has none."""
    others: Mapping[str, str] = field(default_factory=dict)
    """Columns that are not binary attributes, and why not."""
    texts: Mapping[str, NDArray[np.str_]] = field(default_factory=dict)
    """(n,) cells of columns that are not binary but may be a multi-class attribute."""
    amiss: str = ""
    """Messages about rows without a picture and pictures without a row, which are left out."""
    left_out: int = 0
    """Number of such rows and pictures."""

    def __len__(self) -> int:
        return len(self.images)

    def columns(self, names: Sequence[str]) -> NDArray[np.uint8]:
        """(n, len(names)) values of the named attributes.

        Raises:
            InputError: a name is not in the table; the message suggests similar ones, or says why
                that column is not an attribute.
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
            texts={name: cells[rows] for name, cells in self.texts.items()},
        )

    def categorical(self, name: str) -> Categorical | None:
        """The attribute ``name`` if it has several classes; None if it is binary or missing.

        Raises:
            InputError: the column cannot be interpreted as classes.
        """
        if name in self.attributes:
            return None
        try:
            return categorical(name, self.texts)
        except InputError as error:
            first = f"{self.others[name]}; as classes: " if name in self.others else ""
            raise InputError(f"{first}{error}") from None

    def expanded(self, classes: Mapping[str, tuple[str, ...]]) -> Self:
        """The table with a 0/1 column for each class of the named attributes.

        Raises:
            InputError: an attribute no longer has these classes.
        """
        names, blocks = self.attributes, [self.values]
        for name, wanted in classes.items():
            found = self.categorical(name)
            if found is None or found.classes != wanted:
                there = "none" if found is None else ", ".join(found.classes)
                raise InputError(
                    f"attribute {name!r} had the classes {', '.join(wanted)} and now has {there}: "
                    "bring the labels back, or name another --out folder"
                )
            names += column_names(name, wanted)
            blocks.append(found.columns(UNKNOWN))
        return replace(self, attributes=names, values=np.concatenate(blocks, 1))

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
                f"{'; '.join(problems)}: correct the list or the folder, or leave them out with "
                "--skip-bad"
            )
        kept = self.take(np.flatnonzero(~blank.any(1))) if len(rows) else self
        return replace(kept, amiss="", left_out=self.left_out + len(rows))

    def people(self) -> NDArray[np.int64]:
        """(n,) the cluster of each picture: its person, or itself if identities are unknown."""
        return np.arange(len(self)) if self.identity is None else self.identity

    def fingerprint(self) -> str:
        """Hash of every name, value, identity and part."""
        digest = hashlib.sha256("\n".join((*self.images, *self.attributes)).encode())
        for array in (self.values, self.identity, self.part):
            digest.update(b"-" if array is None else np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:16]


@dataclass(frozen=True)
class Task:
    """What the service predicts (Y in the paper) and what attackers must not learn (Z)."""

    public: tuple[str, ...]
    """Attributes that the service classifies (M of them)."""
    private: tuple[str, ...]
    """Attributes that an attacker must not infer (K of them)."""
    classes: tuple[tuple[str, tuple[str, ...]], ...] = field(default=(), metadata=LATER)
    """Class names of multi-class attributes; see `resolved`."""

    def __post_init__(self) -> None:
        for side, names in (("public", self.public), ("private", self.private)):
            if not names:
                raise InputError(f"no {side} attribute given: name at least one with --{side}")
            if len(set(names)) < len(names):
                raise InputError(f"a {side} attribute is named twice: {', '.join(names)}")
        if len(self.public) > MOST_PUBLIC:
            raise InputError(
                f"{len(self.public)} public attributes, each class counted: at most {MOST_PUBLIC} "
                "work"
            )
        both = sorted(set(self.public) & set(self.private))
        if both:
            raise InputError(
                f"{', '.join(both)} cannot be public and private at once: drop it from one"
            )

    @classmethod
    def of(cls, public: str | Sequence[str], private: str | Sequence[str]) -> Self:
        """The task of one name or several on each side."""
        one, other = ((s,) if isinstance(s, str) else tuple(s) for s in (public, private))
        return cls(one, other)

    def resolved(self, table: AttributeTable) -> Self:
        """The task with the classes of its attributes in ``table``.

        Raises:
            InputError: a column is neither binary nor multi-class.
        """
        found = [(name, table.categorical(name)) for name in (*self.public, *self.private)]
        return replace(self, classes=tuple((n, one.classes) for n, one in found if one is not None))

    def columns_of(self, name: str) -> tuple[str, ...]:
        """The 0/1 columns of one attribute: itself, or one per class."""
        classes = dict(self.classes).get(name)
        return (name,) if classes is None else column_names(name, classes)

    @property
    def columns(self) -> Self:
        """The task that networks learn: 0/1 attributes only, one per class."""
        public, private = (
            tuple(column for name in names for column in self.columns_of(name))
            for names in (self.public, self.private)
        )
        return type(self)(public, private)

    def place(self, name: str) -> int | slice:
        """An attribute's columns among those of its side: a number, or a slice of classes."""
        side = self.public if name in self.public else self.private
        start = sum(len(self.columns_of(other)) for other in side[: side.index(name)])
        if name not in dict(self.classes):
            return start
        return slice(start, start + len(self.columns_of(name)))

    def check(self, table: AttributeTable) -> None:
        """Raise InputError if ``table`` lacks an attribute or an attribute is constant."""
        everything = table.columns((*self.public, *self.private))
        if len(table):
            self._vary(everything, "on every picture: nothing to learn or hide")

    def check_part(self, part: str, public: NDArray[np.uint8], private: NDArray[np.uint8]) -> None:
        """Raise InputError if a part is too small or one of its attributes is constant."""
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


def person_number(name: str) -> int:
    """A number for an identity's name, the same on every machine."""
    if name.isdecimal() and len(name) < 16:
        return int(name)
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big")


class Source(Family):
    """A source of labelled pictures; members are frozen dataclasses, ``KIND:REST`` on the command
    line.
    """

    binary: ClassVar[bool] = False
    """Whether all attributes are binary, so that nothing must be read to find classes."""

    @classmethod
    @abstractmethod
    def parse(cls, rest: str) -> Self:
        """The source of ``KIND:rest``; raises InputError if malformed."""

    @abstractmethod
    def read(self) -> AttributeTable:
        """Read the labels (not the pictures).

        Raises:
            InputError: a missing folder or file, a malformed list, a picture with two rows or
                outside the folder. Rows without a picture and pictures without a row are listed in
                the table; see `AttributeTable.usable`.
        """

    @abstractmethod
    def load(self, images: Sequence[str], size: tuple[int, int]) -> Decoded:
        """Decode pictures; unreadable ones are black.

        A picture at most 4 px larger than ``size`` on a side is cropped about its centre without
        resampling; any other is cropped to the aspect ratio of ``size`` about its centre and
        resampled with antialiasing.
        """

    @abstractmethod
    def stamp(self, images: Sequence[str]) -> str:
        """Changes whenever the pixels that `load` returns change (file sizes and times)."""


def parse_source(text: str) -> Source:
    """``celeba:PATH``, ``lfw:PATH``, ``folder:PATH``, ``synthetic`` or ``synthetic:COUNT``."""
    kind, _, rest = text.partition(":")
    return Source.find(kind).parse(rest)
