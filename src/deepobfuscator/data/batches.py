"""Pictures with labels as training sees them, and everything a trial needs of its data."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepobfuscator.data import cache
from deepobfuscator.data.table import Source, Task, split


@dataclass
class Batch:
    """What one round is played on; n pictures and what is known of them."""

    pictures: Tensor | None = None
    """(n, 3, H, W) in [0, 1]."""
    public: Tensor | None = None
    """(n, M) labels y, 0 or 1."""
    private: Tensor | None = None
    """(n, K) labels z, 0 or 1."""
    features: Tensor | None = None
    """Features of a frozen O, where they are known already."""


class Material(Protocol):
    """What a game draws its batches from."""

    def __len__(self) -> int: ...

    def batch(
        self, rows: NDArray[np.int64], device: torch.device, draw: np.random.Generator
    ) -> Batch:
        """The batch of the given rows; ``draw`` decides how they are augmented."""
        ...


@dataclass(frozen=True)
class Labelled:
    """One part's pictures with their labels; a `Material`."""

    pictures: NDArray[np.uint8]
    """(n, H, W, 3) in 0..255, memory-mapped as a rule."""
    public: NDArray[np.uint8]
    """(n, M) labels."""
    private: NDArray[np.uint8]
    """(n, K) labels."""
    people: NDArray[np.int64]
    """(n,) the person on each picture, or a number of its own where identities are unknown."""

    def __len__(self) -> int:
        return len(self.pictures)

    def batch(
        self, rows: NDArray[np.int64], device: torch.device, draw: np.random.Generator
    ) -> Batch:
        """Augmented pictures in [0, 1], channels last in memory, and both kinds of labels."""
        return Batch(
            pictures=as_input(augment(self.pictures[rows], draw), device),
            public=torch.from_numpy(self.public[rows]).to(device).float(),
            private=torch.from_numpy(self.private[rows]).to(device).float(),
        )


def augment(pictures: NDArray[np.uint8], draw: np.random.Generator) -> NDArray[np.uint8]:
    """Mirror half of the pictures and shift each by up to a sixteenth of its sides.

    Edges are repeated. (n, H, W, 3) in 0..255, in and out.
    """
    n, height, width, _ = pictures.shape
    y, x = height // 16, width // 16
    padded = np.pad(pictures, ((0, 0), (y, y), (x, x), (0, 0)), mode="edge")
    result = np.empty_like(pictures)
    offsets = draw.integers(0, (2 * y + 1, 2 * x + 1, 2), (n, 3))
    for i, (top, left, mirrored) in enumerate(offsets.tolist()):
        shifted = padded[i, top : top + height, left : left + width]
        result[i] = shifted[:, ::-1] if mirrored else shifted
    return result


def as_input(pictures: NDArray[np.uint8], device: torch.device) -> Tensor:
    """(n, H, W, 3) in 0..255 to (n, 3, H, W) in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(pictures)).to(device).permute(0, 3, 1, 2) / 255


@dataclass(frozen=True)
class Data:
    """The four disjoint parts, ready to train and to score on."""

    defender: Labelled
    """What the defence trains on."""
    attacker: Labelled
    """What fresh attackers train on."""
    validation: Labelled
    """What fresh attackers choose on."""
    test: Labelled
    """What everything is scored on, once."""
    summary: dict[str, Any]
    """Fingerprint, pictures and people of each part, pictures skipped; for the card."""
    known_people: bool
    """Whether the data says who is on a picture."""


def load(
    source: Source,
    task: Task,
    size: tuple[int, int],
    limit: int | None,
    seed: int,
    protocol: str,
    skip_bad: bool,
    progress: Callable[[int, int], None] | None = None,
) -> Data:
    """Read the labels, cut the parts and decode (once) the pictures in use.

    Raises:
        InputError: whatever is wrong with the labels, the task or a picture.
    """
    table = source.read()
    task.check(table)
    parts: dict[str, Labelled] = {}
    skipped = decoded = 0
    splits = split(table, limit, seed, protocol)
    everything = len(splits.rows())

    def report(done: int, _: int) -> None:
        if progress is not None:
            progress(decoded + done, everything)

    for name, rows in vars(splits).items():
        images = [table.images[i] for i in rows]
        # A store for each part: whoever is handed one part cannot reach another's pictures.
        pictures, bad = cache.pictures(source, images, size, skip_bad, report)
        decoded += len(images)
        if bad:
            whole = np.array([image not in bad for image in images])
            pictures, rows = pictures[whole], rows[whole]
            skipped += len(bad)
        public, private = table.columns(task.public)[rows], table.columns(task.private)[rows]
        task.check_part(name, public, private)
        parts[name] = Labelled(pictures, public, private, table.people()[rows])
    summary = {
        "fingerprint": table.fingerprint(),
        "pixels": hashlib.sha256(b"".join(map(_sample, parts.values()))).hexdigest()[:16],
        "pictures": {name: len(part) for name, part in parts.items()},
        "people": None
        if table.identity is None
        else {name: len(np.unique(part.people)) for name, part in parts.items()},
        "skipped": skipped,
    }
    return Data(**parts, summary=summary, known_people=table.identity is not None)


def _sample(part: Labelled) -> bytes:
    """Up to 64 of a part's pictures: enough to notice that they were replaced."""
    rows = np.linspace(0, len(part) - 1, 64).round().astype(np.int64)
    pixels: bytes = part.pictures[rows].tobytes()
    return pixels
