"""What an attacker is handed: inputs of its own, what the encoder makes of them, a budget."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeAlias

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

Rows: TypeAlias = NDArray[np.int64]
Guess: TypeAlias = Callable[[Tensor], Tensor]
"""A frozen attacker: features (n, *shape) to logits, images in [0, 1], or embeddings."""
Beside: TypeAlias = "Callable[[AttackerData, Rows, bool, int], Tensor]"
"""Of the data, rows, whether they are flipped, and the turn: what else the attacker knows of each
row, (n, k) or (n, k, h, w)."""


@dataclass
class AttackerData:
    """Labelled inputs of the attacker's own with the features they give; a `Material`.

    Whoever writes an attack reads features by `features_of`, labels from ``labelled`` and people
    from `person`, in `chunks` of rows. The encoder is reached by queries alone.
    """

    labelled: Labelled
    """n inputs (n, H, W, 3) in 0..255 with their public, private (n, K) and further labels."""
    query: Callable[[NDArray[np.uint8], int], Tensor] | None
    """Features (n, *shape), float32, of inputs (n, H, W, 3) in 0..255: what the attacker sees
    when it queries with them. The number seeds what a noisy encoder draws."""
    features: Shape
    """Shape of one input's features, with whatever stands beside them."""
    salt: int = 0
    """Sets apart what a noisy encoder draws here from what it draws elsewhere."""
    stochastic: bool = False
    """Whether the encoder is noisy: then every batch is queried anew."""
    queries: int = 1
    """Queries of one input that are averaged."""
    beside: "Beside | None" = None
    """Gives more values of the rows, joined to the features."""
    kept: dict[bool, Tensor] = field(default_factory=dict)
    """Features known so far, of the inputs (False) and of the flipped inputs (True); complete
    without a ``query``. Views of the same inputs share them."""

    def __len__(self) -> int:
        return len(self.labelled)

    def pictures(self, rows: Rows, flip: bool = False) -> NDArray[np.uint8]:
        """Inputs (len(rows), H, W, 3) in 0..255, left and right exchanged if ``flip``."""
        inputs = self.labelled.pictures[rows]
        return flipped(inputs) if flip else inputs

    def features_of(self, rows: Rows, flip: bool = False, turn: int = 0) -> Tensor:
        """What the attacker knows of the given rows, (len(rows), *features), float32.

        Args:
            rows: (m,) numbers in [0, n).
            flip: exchange left and right of the inputs first.
            turn: tells one query from the next where the encoder is noisy.
        """
        seen = self.answers(rows, flip, turn)
        if self.beside is None:
            return seen
        more = self.beside(self, rows, flip, turn).to(seen.device)
        if more.dim() < seen.dim():
            more = more[:, :, None, None].expand(-1, -1, *seen.shape[2:])
        return torch.cat((seen, more), 1)

    def answers(self, rows: Rows, flip: bool = False, turn: int = 0) -> Tensor:
        """The encoder's features; queried once where they stay the same and fit in memory."""
        if flip not in self.kept:
            assert self.query is not None
            if self.stochastic or not self.fits:
                inputs = self.pictures(rows, flip)
                place = (self.salt, turn, int(rows[0]), int(flip))
                seeds = [derive_seed(*place, *([i] if i else [])) for i in range(self.queries)]
                return torch.stack([self.query(inputs, seed) for seed in seeds]).mean(0)
            self.kept[flip] = self.query(self.pictures(np.arange(len(self)), flip), 0)
        kept = self.kept[flip]
        return kept[torch.from_numpy(rows).to(kept.device)]

    @cached_property
    def fits(self) -> bool:
        """Whether half of the memory holds the features of all inputs and their flipped ones."""
        assert self.query is not None
        first = self.query(self.pictures(np.arange(1)), 0)
        return 2 * 2 * first.nbytes * len(self) < free_memory(first.device)

    @cached_property
    def person(self) -> NDArray[np.int64]:
        """(n,) people, numbered from 0."""
        return np.unique(self.labelled.people, return_inverse=True)[1].astype(np.int64)

    def chunks(self, rows: Rows | None = None) -> list[Rows]:
        """The given rows, all by default, in pieces that fit in memory."""
        rows = np.arange(len(self)) if rows is None else rows
        return np.array_split(rows, -(-len(rows) // CHUNK))

    def joined(self, values: int, beside: Beside) -> "AttackerData":
        """A view in which ``beside`` gives ``values`` more channels (or values) of an input."""
        features = (self.features[0] + values, *self.features[1:])
        return replace(self, features=features, beside=beside)

    def labelled_by(self, private: NDArray[np.uint8]) -> "AttackerData":
        """A view whose labels to learn are ``private`` (n, k)."""
        return replace(self, labelled=replace(self.labelled, private=private))

    def only(self, rows: Rows) -> "AttackerData":
        """The given rows alone."""
        old = self.labelled
        some = Labelled(
            pictures=old.pictures[rows],
            public=old.public[rows],
            private=old.private[rows],
            people=old.people[rows],
            undeclared=None if old.undeclared is None else old.undeclared[rows],
        )
        kept = {flip: f[torch.from_numpy(rows).to(f.device)] for flip, f in self.kept.items()}
        return replace(self, labelled=some, kept=kept)

    def batch(
        self,
        rows: Rows,
        device: torch.device,
        draw: np.random.Generator,
        part: slice = slice(None),
    ) -> Batch:
        """A `Material`'s batch: features instead of an encoder, of half the inputs flipped."""
        turned, turn = draw.random(len(rows))[part] < 0.5, int(draw.integers(1, 2**31))
        rows = rows[part]
        halves = ((rows[turned], True), (rows[~turned], False))
        features = [self.features_of(r, flip, turn) for r, flip in halves if len(r)]
        inputs = np.concatenate([self.pictures(r, flip) for r, flip in halves])
        rows = np.concatenate([r for r, _ in halves])
        return Batch(
            pictures=as_input(inputs, device),
            private=torch.from_numpy(self.labelled.private[rows]).to(device).float(),
            features=torch.cat(features).to(device),
            people=torch.from_numpy(self.person[rows]).to(device),
        )


@dataclass
class Threat:
    """All that an attacker is handed; the test part is not in it.

    An attack uses what is here and nothing else. Fields that may be None are knowledge that not
    every attacker has; an attack that needs one says so in `Attack.lacks`.
    """

    own: AttackerData
    """Inputs to train on."""
    validation: AttackerData
    """Inputs to choose on, of other people."""
    size: tuple[int, int]
    """Height and width of an input in px."""
    setting: TrainConfig
    """Batch size, learning rate, lengths, width, seed: the budget."""
    mirror: Callable[[], nn.Module | None] | None = None
    """Declared knowledge of the encoder's architecture: builds its reverse, features to images;
    None is a black box."""
    encoder: nn.Module | None = None
    """White box: the encoder itself, images (n, 3, H, W) in [0, 1] to features, where a gradient
    passes through it. It is in evaluation mode and stays as it is."""
    games: Callable[[int], Players] | None = None
    """Knows the defence: the players of the game, 0 as it was played, others played anew on the
    attacker's own inputs."""
    decoder: Callable[[], Guess] | None = None
    """A reconstructor of these features that was fitted already: features to images."""
    strongest: Callable[[], Guess] | None = None
    """The one that was best on validation of all trained reconstructors of these features."""

    @property
    def features(self) -> Shape:
        """Shape of one input's features."""
        return self.own.features

    @property
    def labels(self) -> int:
        """Number of labels to learn, K."""
        return len(self.own.labelled.private[0])

    def player(self, name: str, game: int = 0) -> nn.Module | None:
        """A player of a known game; None where no game is known or nobody played by that name."""
        return self.games(game).get(name) if self.games else None
