"""What an attacker is handed, and how any network becomes a fresh attacker."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deepobfuscator.bundle import CHUNK, apply
from deepobfuscator.data.batches import Batch, Labelled, as_input, mirror
from deepobfuscator.game import (
    INFER,
    RECONSTRUCT,
    Phase,
    Setting,
    cross_entropy,
    stage,
)
from deepobfuscator.nn.fit import Shape
from deepobfuscator.nn.vgg import initialise
from deepobfuscator.play import play, stream
from deepobfuscator.quality import ms_ssim
from deepobfuscator.registry import Family
from deepobfuscator.runtime import Run, free_memory


@dataclass
class Own:
    """Pictures of the attacker's own with their private labels, and the features they give."""

    labelled: Labelled
    query: Callable[[NDArray[np.uint8], int], Tensor] | None
    """Features (n, *shape), float32, of pictures (n, H, W, 3) in 0..255: what the attacker sees
    when it queries with them. The number seeds what a noisy encoder draws."""
    features: Shape
    """Shape of one picture's features."""
    salt: int = 0
    """Sets apart what a noisy encoder draws here from what it draws elsewhere."""
    draws: bool = False
    """Whether the encoder is noisy: then every batch is queried anew."""
    kept: dict[bool, Tensor] = field(default_factory=dict)
    """Features known so far, of the pictures and of the mirrored pictures; complete without a
    ``query``."""

    def __len__(self) -> int:
        return len(self.labelled)

    def pictures(self, rows: NDArray[np.int64], mirrored: bool = False) -> NDArray[np.uint8]:
        """(len(rows), H, W, 3) of the given rows, left and right exchanged if ``mirrored``."""
        pictures = self.labelled.pictures[rows]
        return mirror(pictures) if mirrored else pictures

    def features_of(self, rows: NDArray[np.int64], mirrored: bool = False, turn: int = 0) -> Tensor:
        """Features of the given rows; queried once where they stay the same and fit in memory.

        ``turn`` tells one query from the next where the encoder is noisy.
        """
        if mirrored not in self.kept:
            assert self.query is not None
            if self.draws or not self.fits:
                seed = stream(self.salt, turn, int(rows[0]), int(mirrored))
                return self.query(self.pictures(rows, mirrored), seed)
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

    def chunks(self) -> list[NDArray[np.int64]]:
        """All rows, in pieces that fit in memory."""
        return np.array_split(np.arange(len(self)), -(-len(self) // CHUNK))

    def batch(
        self,
        rows: NDArray[np.int64],
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
        )


@dataclass
class Threat:
    """All that an attacker is handed; the test part is not in it."""

    own: Own
    """Pictures to train on."""
    validation: Own
    """Pictures to choose on."""
    size: tuple[int, int]
    """Height and width of a picture in px."""
    setting: Setting
    """Batch size, learning rate, lengths, width, seed: the budget."""
    mirror: Callable[[], nn.Module | None] | None = None
    """Declared knowledge of the encoder's architecture: builds its reverse; None is a black box."""

    @property
    def features(self) -> Shape:
        """Shape of one picture's features."""
        return self.own.features

    @property
    def labels(self) -> int:
        """Number of private attributes."""
        return len(self.own.labelled.private[0])


class Attack(Family):
    """A frozen dataclass whose fields are the attack's hyperparameters.

    `fit` gives a frozen network from features to logits (``target`` attributes) or pictures
    (``target`` image). The audit scores it: an attack cannot grade itself.
    """

    target: ClassVar[str]
    """``attributes`` or ``image``."""
    rate: ClassVar[float] = 1.0
    """Learning rate relative to the setting's."""
    share: ClassVar[float] = 1.0
    """Passes relative to the setting's."""

    @abstractmethod
    def network(self, threat: Threat) -> nn.Module:
        """A network for these features, at any weights."""

    @abstractmethod
    def phase(self, threat: Threat, run: Run) -> Phase:
        """How it trains and on what it chooses its best epoch."""

    def fit(
        self,
        threat: Threat,
        run: Run,
        checkpoint: Path | None = None,
        title: str = "attack by ",
    ) -> nn.Module:
        """A fresh attacker: initial weights from the seed, trained on the attacker's own pictures,
        kept at the epoch that was best on the attacker's own validation pictures.
        """
        network = self.network(threat)
        seed = stream(threat.setting.seed, *self.name.encode())
        initialise(network, seed)
        run.place(network)
        role = "AC" if self.target == "attributes" else "AR"
        phase = self.phase(threat, run)
        setting = replace(threat.setting, learning_rate=self.rate * threat.setting.learning_rate)
        play({role: network}, [phase], threat.own, setting, run, checkpoint, title)
        return network


class InferenceAttack(Attack):
    """Trains as AC does (equation 4)."""

    target: ClassVar[str] = "attributes"

    def phase(self, threat: Threat, run: Run) -> Phase:
        """L(AC) on the attacker's pictures; the epoch of least L(AC) on validation is kept."""
        validation = threat.validation
        labels = torch.from_numpy(validation.labelled.private).float()

        def score(players: dict[str, nn.Module]) -> float:
            logits = [
                apply(players["AC"], validation.features_of(rows), run)
                for rows in validation.chunks()
            ]
            return -float(cross_entropy(torch.cat(logits).cpu(), labels))

        epochs = self.share * threat.setting.infer_epochs
        return Phase(self.name, epochs, (stage("attack", INFER),), score=score)


class ReconstructionAttack(Attack):
    """Trains as AR does (equation 7)."""

    target: ClassVar[str] = "image"
    rate: ClassVar[float] = 8.0

    def phase(self, threat: Threat, run: Run) -> Phase:
        """L(AR1) on the attacker's pictures; the epoch of highest MS-SSIM on validation is kept."""
        validation = threat.validation

        def score(players: dict[str, nn.Module]) -> float:
            total = 0.0
            for rows in validation.chunks():
                guess = apply(players["AR"], validation.features_of(rows), run)
                truth = as_input(validation.pictures(rows), run.device)
                total += float(ms_ssim(guess, truth).sum())
            return total / len(validation)

        epochs = self.share * threat.setting.reconstruct_epochs
        return Phase(self.name, epochs, (stage("attack", RECONSTRUCT),), score=score)
