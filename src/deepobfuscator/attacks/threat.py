"""What an attacker is handed: pictures of its own, what the encoder makes of them, a budget."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deepobfuscator.core.runtime import free_memory
from deepobfuscator.data.augment import as_input, flipped
from deepobfuscator.data.batches import Batch, Labelled
from deepobfuscator.nn.fit import Shape
from deepobfuscator.training.bundle import CHUNK
from deepobfuscator.training.loop import derive_seed
from deepobfuscator.training.objectives import Players, TrainConfig

Rows = NDArray[np.int64]
Guess = Callable[[Tensor], Tensor]
"""A frozen attacker: features (n, *shape) to logits, pictures in [0, 1], or embeddings."""


@dataclass
class AttackerData:
    """Labelled pictures with the features they give; a `Material`."""

    labelled: Labelled
    query: Callable[[NDArray[np.uint8], int], Tensor] | None
    """Features (n, *shape), float32, of pictures (n, H, W, 3) in 0..255: what the attacker sees
    when it queries with them. The number seeds what a noisy encoder draws."""
    features: Shape
    """Shape of one picture's features, with whatever stands beside them."""
    salt: int = 0
    """Sets apart what a noisy encoder draws here from what it draws elsewhere."""
    stochastic: bool = False
    """Whether the encoder is noisy: then every batch is queried anew."""
    queries: int = 1
    """Queries of one picture that are averaged."""
    beside: "Callable[[AttackerData, Rows, bool, int], Tensor] | None" = None
    """Gives more values of the rows, (n, k) or (n, k, h, w), joined to the features."""
    kept: dict[bool, Tensor] = field(default_factory=dict)
    """Features known so far, of the pictures and of the mirrored pictures; complete without a
    ``query``. Views of the same pictures share them."""

    def __len__(self) -> int:
        return len(self.labelled)

    def pictures(self, rows: Rows, mirrored: bool = False) -> NDArray[np.uint8]:
        """(len(rows), H, W, 3) of the given rows, left and right exchanged if ``mirrored``."""
        pictures = self.labelled.pictures[rows]
        return flipped(pictures) if mirrored else pictures

    def features_of(self, rows: Rows, mirrored: bool = False, turn: int = 0) -> Tensor:
        """What the attacker knows of the given rows, (len(rows), *features).

        ``turn`` tells one query from the next where the encoder is noisy.
        """
        seen = self.answers(rows, mirrored, turn)
        if self.beside is None:
            return seen
        more = self.beside(self, rows, mirrored, turn).to(seen.device)
        if more.dim() < seen.dim():
            more = more[:, :, None, None].expand(-1, -1, *seen.shape[2:])
        return torch.cat((seen, more), 1)

    def answers(self, rows: Rows, mirrored: bool = False, turn: int = 0) -> Tensor:
        """The encoder's features; queried once where they stay the same and fit in memory."""
        if mirrored not in self.kept:
            assert self.query is not None
            if self.stochastic or not self.fits:
                pictures = self.pictures(rows, mirrored)
                seeds = [
                    derive_seed(self.salt, turn, int(rows[0]), int(mirrored), *([i] if i else []))
                    for i in range(self.queries)
                ]
                return torch.stack([self.query(pictures, seed) for seed in seeds]).mean(0)
            everything = np.arange(len(self))
            self.kept[mirrored] = self.query(self.pictures(everything, mirrored), 0)
        kept = self.kept[mirrored]
        return kept[torch.from_numpy(rows).to(kept.device)]

    @cached_property
    def fits(self) -> bool:
        """Whether half of the memory holds the features of all pictures and their mirrored ones."""
        assert self.query is not None
        first = self.query(self.pictures(np.arange(1)), 0)
        return 2 * 2 * first.nbytes * len(self) < free_memory(first.device)

    @cached_property
    def person(self) -> NDArray[np.int64]:
        """(n,) people, numbered from 0."""
        return np.unique(self.labelled.people, return_inverse=True)[1].astype(np.int64)

    def chunks(self) -> list[Rows]:
        """All rows, in pieces that fit in memory."""
        return np.array_split(np.arange(len(self)), -(-len(self) // CHUNK))

    def joined(
        self, values: int, beside: "Callable[[AttackerData, Rows, bool, int], Tensor]"
    ) -> "AttackerData":
        """A view in which ``beside`` gives ``values`` more channels (or values) of a picture."""
        return replace(
            self, features=(self.features[0] + values, *self.features[1:]), beside=beside
        )

    def labelled_by(self, private: NDArray[np.uint8]) -> "AttackerData":
        """A view whose labels to learn are ``private`` (n, k)."""
        return replace(self, labelled=replace(self.labelled, private=private))

    def only(self, rows: Rows) -> "AttackerData":
        """The given rows alone."""
        old = self.labelled
        others = None if old.undeclared is None else old.undeclared[rows]
        some = Labelled(
            *(old.pictures[rows], old.public[rows], old.private[rows], old.people[rows], others)
        )
        kept = {m: f[torch.from_numpy(rows).to(f.device)] for m, f in self.kept.items()}
        return replace(self, labelled=some, kept=kept)

    def batch(
        self,
        rows: Rows,
        device: torch.device,
        draw: np.random.Generator,
        part: slice = slice(None),
    ) -> Batch:
        """A `Material`'s batch: features instead of an encoder, of half the pictures mirrored."""
        turned, turn = draw.random(len(rows))[part] < 0.5, int(draw.integers(1, 2**31))
        rows = rows[part]
        rows = np.concatenate((rows[turned], rows[~turned]))
        halves = ((rows[: turned.sum()], True), (rows[turned.sum() :], False))
        pictures = np.concatenate([self.pictures(r, m) for r, m in halves])
        features = [self.features_of(r, m, turn) for r, m in halves if len(r)]
        return Batch(
            pictures=as_input(pictures, device),
            private=torch.from_numpy(self.labelled.private[rows]).to(device).float(),
            features=torch.cat(features).to(device),
            people=torch.from_numpy(self.person[rows]).to(device),
        )


@dataclass
class Threat:
    """All that an attacker is handed; the test part is not in it."""

    own: AttackerData
    """Pictures to train on."""
    validation: AttackerData
    """Pictures to choose on."""
    size: tuple[int, int]
    """Height and width of a picture in px."""
    setting: TrainConfig
    """Batch size, learning rate, lengths, width, seed: the budget."""
    mirror: Callable[[], nn.Module | None] | None = None
    """Declared knowledge of the encoder's architecture: builds its reverse; None is a black box."""
    encoder: nn.Module | None = None
    """White box: the encoder itself, where a gradient passes through it."""
    games: Callable[[int], Players] | None = None
    """Knows the defence: the players of the game, 0 as it was played, others played anew on the
    attacker's own pictures."""
    decoder: Callable[[], Guess] | None = None
    """A reconstructor of these features that was fitted already."""

    @property
    def features(self) -> Shape:
        """Shape of one picture's features."""
        return self.own.features

    @property
    def labels(self) -> int:
        """Number of labels to learn."""
        return len(self.own.labelled.private[0])
