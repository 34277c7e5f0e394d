"""What an attacker is given: inputs of its own, the encoder's features of them, a budget."""

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
"""(data, rows, flipped, turn) to additional knowledge about each row, (n, k) or (n, k, h, w)."""


@dataclass
class AttackerData:
    """The attacker's own labelled inputs and their features; a `Material`.

    An attack gets features from `features_of`, labels from ``labelled`` and people from `person`,
    in `chunks` of rows. The encoder is accessible through queries only.
    """

    labelled: Labelled
    """n inputs (n, H, W, 3) in 0..255 with their public, private (n, K) and other labels."""
    query: Callable[[NDArray[np.uint8], int], Tensor] | None
    """Inputs (n, H, W, 3) in 0..255 to features (n, *shape), float32: one query per input. The
    integer seeds a noisy encoder's random draws."""
    features: Shape
    """Shape of one input's features, including what ``beside`` adds."""
    salt: int = 0
    """Salt that makes a noisy encoder's draws here independent of those elsewhere."""
    stochastic: bool = False
    """Whether the encoder is noisy: then every batch is queried again."""
    queries: int = 1
    """Number of queries per input that are averaged."""
    beside: "Beside | None" = None
    """Additional values per row, concatenated to the features."""
    kept: dict[bool, Tensor] = field(default_factory=dict)
    """Cached features of the inputs (False) and of the flipped inputs (True); complete if there is
    no ``query``. Views of the same inputs share them."""

    def __len__(self) -> int:
        return len(self.labelled)

    def pictures(self, rows: Rows, flip: bool = False) -> NDArray[np.uint8]:
        """Inputs (len(rows), H, W, 3) in 0..255, mirrored horizontally if ``flip``."""
        inputs = self.labelled.pictures[rows]
        return flipped(inputs) if flip else inputs

    def features_of(self, rows: Rows, flip: bool = False, turn: int = 0) -> Tensor:
        """What the attacker knows of the given rows, (len(rows), *features), float32.

        Args:
            rows: (m,) numbers in [0, n).
            flip: mirror the inputs horizontally first.
            turn: distinguishes repeated queries to a noisy encoder.
        """
        seen = self.answers(rows, flip, turn)
        if self.beside is None:
            return seen
        more = self.beside(self, rows, flip, turn).to(seen.device)
        if more.dim() < seen.dim():
            more = more[:, :, None, None].expand(-1, -1, *seen.shape[2:])
        return torch.cat((seen, more), 1)

    def answers(self, rows: Rows, flip: bool = False, turn: int = 0) -> Tensor:
        """The encoder's features; queried once if they are deterministic and fit in memory."""
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
        """Whether the features of all inputs, plain and flipped, fit in half of the memory."""
        assert self.query is not None
        first = self.query(self.pictures(np.arange(1)), 0)
        return 2 * 2 * first.nbytes * len(self) < free_memory(first.device)

    @cached_property
    def person(self) -> NDArray[np.int64]:
        """(n,) people, numbered from 0."""
        return np.unique(self.labelled.people, return_inverse=True)[1].astype(np.int64)

    def chunks(self, rows: Rows | None = None) -> list[Rows]:
        """The given rows, all by default, in chunks that fit in memory."""
        rows = np.arange(len(self)) if rows is None else rows
        return np.array_split(rows, -(-len(rows) // CHUNK))

    def joined(self, values: int, beside: Beside) -> "AttackerData":
        """A view in which ``beside`` adds ``values`` channels (or values) to each input."""
        features = (self.features[0] + values, *self.features[1:])
        return replace(self, features=features, beside=beside)

    def labelled_by(self, private: NDArray[np.uint8]) -> "AttackerData":
        """A view whose target labels are ``private`` (n, k)."""
        return replace(self, labelled=replace(self.labelled, private=private))

    def only(self, rows: Rows) -> "AttackerData":
        """A view of the given rows only."""
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
        """A `Material`'s batch: precomputed features; half of the inputs are flipped."""
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
    """Everything an attacker is given; it does not contain the test part.

    An attack uses nothing else. Optional fields are knowledge that not every attacker has; an
    attack that needs one declares it in `Attack.lacks`.
    """

    own: AttackerData
    """Training inputs."""
    validation: AttackerData
    """Validation inputs, of other people."""
    size: tuple[int, int]
    """Height and width of an input in px."""
    setting: TrainConfig
    """Batch size, learning rate, lengths, width, seed: the budget."""
    mirror: Callable[[], nn.Module | None] | None = None
    """Knowledge of the encoder's architecture: builds its reverse, features to images; None is a
    black box."""
    encoder: nn.Module | None = None
    """White box: the differentiable encoder itself, images (n, 3, H, W) in [0, 1] to features. It
    is in evaluation mode and must not be changed."""
    games: Callable[[int], Players] | None = None
    """Knows the defence: the players of the game; 0 is the original game, others are retrained on
    the attacker's own inputs."""
    decoder: Callable[[], Guess] | None = None
    """An already trained reconstructor of these features: features to images."""
    strongest: Callable[[], Guess] | None = None
    """The trained reconstructor of these features that was best on validation."""

    @property
    def features(self) -> Shape:
        """Shape of one input's features."""
        return self.own.features

    @property
    def labels(self) -> int:
        """Number of target labels, K."""
        return len(self.own.labelled.private[0])

    def player(self, name: str, game: int = 0) -> nn.Module | None:
        """A player of a known game; None if no game is known or it has no such player."""
        return self.games(game).get(name) if self.games else None
