"""Labelled pictures for training, and all the data that a trial needs."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any, Protocol

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from deepobfuscator.core.errors import InputError
from deepobfuscator.core.runtime import free_memory
from deepobfuscator.data import cache
from deepobfuscator.data.augment import as_input, augment, augment_there, draw_moves
from deepobfuscator.data.dataset import Data
from deepobfuscator.data.equal import equal, kept_together
from deepobfuscator.data.lists import note
from deepobfuscator.data.splits import split
from deepobfuscator.data.table import UNKNOWN, AttributeTable, Rows, Source


@dataclass
class Batch:
    """The input of one round: n pictures and what is known about them."""

    pictures: Tensor | None = None
    """(n, 3, H, W) in [0, 1]."""
    public: Tensor | None = None
    """(n, M) labels y, 0 or 1."""
    private: Tensor | None = None
    """(n, K) labels z, 0 or 1."""
    features: Tensor | None = None
    """Features of a frozen O, if already computed."""
    people: Tensor | None = None
    """(n,) the person on each picture, numbered from 0 within the part."""


class Material(Protocol):
    """The source of a game's batches."""

    def __len__(self) -> int: ...

    def batch(
        self, rows: Rows, device: torch.device, draw: Generator, part: slice = slice(None)
    ) -> Batch:
        """This rank's ``part`` of the batch of some rows; ``draw`` seeds the augmentation, which is
        the same for a picture on any rank.
        """
        ...


@dataclass(frozen=True)
class Labelled:
    """One part's pictures with their labels; a `Material`."""

    pictures: NDArray[np.uint8]
    """(n, H, W, 3) in 0..255, usually memory-mapped."""
    public: NDArray[np.uint8]
    """(n, M) labels."""
    private: NDArray[np.uint8]
    """(n, K) labels."""
    people: NDArray[np.int64]
    """(n,) the person on each picture, or a unique number if identities are unknown."""
    undeclared: NDArray[np.uint8] | None = None
    """(n, U) the attributes that are neither public nor private."""

    resident: dict[torch.device, Tensor] = field(default_factory=dict, repr=False, compare=False)
    """The pictures on a GPU, if they fit in half of its free memory."""

    def __len__(self) -> int:
        return len(self.pictures)

    def batch(
        self, rows: Rows, device: torch.device, draw: Generator, part: slice = slice(None)
    ) -> Batch:
        """Augmented pictures in [0, 1], channels last in memory, and both kinds of labels."""
        moves = draw_moves(len(rows), self.pictures.shape[1:3], draw)
        rows, moves = rows[part], moves[part]
        if device.type == "cpu":
            pictures = as_input(augment(self.pictures[rows], moves), device)
        else:
            pictures = augment_there(self.on(device, rows), moves)
        return Batch(
            pictures=pictures,
            public=torch.from_numpy(self.public[rows]).to(device).float(),
            private=torch.from_numpy(self.private[rows]).to(device).float(),
        )

    def on(self, device: torch.device, rows: Rows) -> Tensor:
        """The given rows (n, H, W, 3) in 0..255 on a GPU; all pictures stay there if they fit."""
        if device not in self.resident and 2 * self.pictures.nbytes < free_memory(device):
            self.resident[device] = torch.from_numpy(np.array(self.pictures)).to(device)
        if device in self.resident:
            return self.resident[device][torch.from_numpy(rows).to(device)]
        return torch.from_numpy(self.pictures[rows]).to(device)


@dataclass(frozen=True)
class Parts:
    """The four disjoint parts, ready to train and to score on."""

    defender: Labelled
    """Training data of the defence."""
    attacker: Labelled
    """Training data of the attackers."""
    validation: Labelled
    """The attacker's own pictures for selecting attackers and thresholds."""
    test: Labelled
    """Data for the final, single evaluation."""
    summary: dict[str, Any]
    """Fingerprint, pictures and people of each part, pictures skipped, pictures moved to the part
    of their duplicates; for the card."""
    known_people: bool
    """Whether the data has identities."""
    undeclared: tuple[str, ...] = ()
    """Names of the attributes that are neither public nor private and vary in every part."""

    def notes(self) -> list[str]:
        """Lines for the user about skipped and moved pictures."""
        said = {
            "skipped": "are left out: missing, unreadable or unlabelled",
            "moved": "change their part, so that equal pictures stay together",
        }
        counts = {what: self.summary.get(what) for what in said}
        return [f"{count} pictures {said[what]}" for what, count in counts.items() if count]


def load(
    data: Data,
    size: tuple[int, int],
    defended: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Parts:
    """Read the labels, cut the parts and decode (once) the pictures in use.

    Args:
        data: source, task and split options.
        size: height and width in px; ``data.size`` is ignored.
        defended: whether a defence is trained; else the attacker gets the defender's half too.
        progress: called with (pictures done, total).

    Raises:
        InputError: invalid labels, task or picture.
    """
    source, task = data.source, data.task.columns
    named = (*task.public, *task.private)
    table = source.read().expanded(dict(data.task.classes)).usable(named, data.skip_bad)
    task.check(table)
    splits = split(table, data.limit, data.split_seed, data.protocol, defended)
    used = [name for name in vars(splits) if defended or name != "defender"]
    everything, decoded = len(splits.rows()), 0

    def check(name: str, rows: Rows) -> None:
        task.check_part(name, table.columns(task.public)[rows], table.columns(task.private)[rows])

    def report(done: int, _: int) -> None:
        if progress is not None:
            progress(decoded + done, everything)

    def store(asked: Rows) -> tuple[NDArray[np.uint8], Rows]:
        nonlocal decoded
        images = [table.images[i] for i in asked]
        pictures, whole = cache.pictures(source, images, size, data.skip_bad, report)
        decoded += len(images)
        return pictures, asked[whole]

    for name in used:  # before minutes of decoding
        check(name, getattr(splits, name))
    drawn, splits = splits, kept_together(source, table, splits, size, store)
    parts: dict[str, Labelled] = {}
    rows: dict[str, Rows] = {}
    decoded = 0
    for name, asked in vars(splits).items():
        # One store per part: code that is given one part cannot reach another's pictures.
        pictures, rows[name] = store(asked)
        kept = rows[name]
        if name in used:
            check(name, kept)
        public, private = table.columns(task.public)[kept], table.columns(task.private)[kept]
        parts[name] = Labelled(pictures, public, private, table.people()[kept])
    report(0, 0)
    undeclared = tuple(a for a in table.attributes if a not in named)
    if gaps := [a for a in undeclared if (table.columns([a]) == UNKNOWN).any()]:
        note(f"left out, since some of their cells are empty: {', '.join(gaps)}")
        undeclared = tuple(a for a in undeclared if a not in gaps)
    others = [table.columns(undeclared)[kept] for kept in rows.values() if len(kept)]
    varies = np.all([np.ptp(values, 0) > 0 for values in others], 0)
    undeclared = tuple(a for a, both in zip(undeclared, varies, strict=True) if both)
    for name, part in parts.items():
        parts[name] = replace(part, undeclared=table.columns(undeclared)[rows[name]])
    known = table.identity is not None
    summary = {
        "fingerprint": table.fingerprint(),
        "pixels": hashlib.sha256(b"".join(map(_sample, parts.values()))).hexdigest()[:16],
        "pictures": {name: len(part) for name, part in parts.items()},
        "people": {name: len(np.unique(part.people)) for name, part in parts.items()}
        if known
        else None,
        "sha256": {name: _names(table, kept) for name, kept in rows.items()},
        "skipped": table.left_out + everything - sum(map(len, rows.values())),
    }
    pairs = zip(vars(splits).values(), vars(drawn).values(), strict=True)
    if moved := sum(len(np.setdiff1d(new, old)) for new, old in pairs):
        summary["moved"] = moved
    return Parts(**parts, summary=summary, known_people=known, undeclared=undeclared)


def unlabelled(
    source: Source,
    own: Source,
    size: tuple[int, int],
    *,
    skip_bad: bool,
    most: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Labelled:
    """Pictures of another source, regardless of the task's labels.

    Its people are distinct from those of ``own``, unless both are of the same kind and so share
    person numbers.

    Raises:
        InputError: an invalid source or picture.
    """
    table = source.read().usable((), skip_bad)
    chosen = np.linspace(0, len(table) - 1, min(most or len(table), len(table))).astype(np.int64)
    images = [table.images[i] for i in chosen]
    pictures, whole = cache.pictures(source, images, size, skip_bad, progress)
    people = table.people()[chosen[whole]]
    if table.identity is None or type(source) is not type(own):
        people = -1 - people
    nothing = np.zeros((len(people), 1), dtype=np.uint8)
    return Labelled(pictures, nothing, nothing, people)


def trained_on(
    data: Parts, source: Source, own: Source, size: tuple[int, int], *, skip_bad: bool
) -> Parts:
    """``data`` with the pictures of ``source`` as the defender's part."""
    table = source.read().usable((), skip_bad)
    there = unlabelled(source, own, size, skip_bad=skip_bad)
    summary = {k: dict(v) if isinstance(v, dict) else v for k, v in data.summary.items()}
    summary["pictures"]["defender"] = len(there)
    summary["sha256"]["defender"] = _names(table, np.arange(len(table)))
    if summary["people"] is not None:
        known = table.identity is not None
        summary["people"]["defender"] = len(np.unique(there.people)) if known else None
    return replace(data, defender=there, summary=summary)


def _names(table: AttributeTable, rows: Rows) -> str:
    """SHA-256 of a part: the names and people of its pictures."""
    people = table.people()
    lines = "".join(f"{table.images[i]} {people[i]}\n" for i in rows)
    return hashlib.sha256(lines.encode()).hexdigest()


def _sample(part: Labelled) -> bytes:
    """Hash of up to 64 of a part's pictures: enough to detect that they were replaced."""
    if not len(part):
        return b""
    rows = np.linspace(0, len(part) - 1, 64).round().astype(np.int64)
    return bytes(part.pictures[rows])


def disjoint(parts: Mapping[str, Labelled]) -> None:
    """Raise InputError if a person or a picture is in two parts.

    Such train-test leakage would invalidate every figure.
    """
    for (one, a), (other, b) in combinations(parts.items(), 2):
        if len(shared := np.intersect1d(a.people, b.people)):
            raise InputError(
                f"{len(shared)} people are both in the part {one!r} and in {other!r}: leave them "
                "out of one, or give different people different identities"
            )
        places = equal([a.pictures, b.pictures])
        if found := sum(group[0] < len(a) <= group[-1] for group in places):
            raise InputError(
                f"{found} pictures of the part {one!r} are also in {other!r}, pixel by pixel: "
                "drop the duplicates, or give them one identity, so that they stay together"
            )
