"""Defences that add layers to the undefended encoder, on the device, and train them apart."""

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deepobfuscator.core.runtime import Context
from deepobfuscator.data.table import Task
from deepobfuscator.defences.base import NetworkDefence
from deepobfuscator.defences.undefended import undefended
from deepobfuscator.nn.vgg import Encoder, Tailed
from deepobfuscator.training.bundle import apply
from deepobfuscator.training.loop import derive_seed
from deepobfuscator.training.objectives import Phase, Players, Round, TrainConfig, cross_entropy


@dataclass(frozen=True)
class TailDefence(NetworkDefence):
    """Base: O is the undefended encoder and a tail. In `phases`, O is the undefended encoder alone
    and T the tail: ``r.features`` are what the tail is given, ``r.output("T")`` what leaves the
    device.
    """

    @abstractmethod
    def build_tail(self, encoder: Encoder, task: Task, config: TrainConfig) -> nn.Module:
        """T: features (n, *encoder.features) to what leaves the device."""

    def players(self, task: Task, config: TrainConfig, context: Context) -> Players:
        """As the undefended's, O with its tail."""
        players = super().players(task, config, context)
        encoder = players["O"]
        assert isinstance(encoder, Encoder)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(config.seed, *b"T"))
            tail = context.place(self.build_tail(encoder, task, config))
        return players | {"O": Tailed(encoder, tail)}

    def parts(self, players: Players) -> Players:
        """O and T apart."""
        encoder = players["O"]
        assert isinstance(encoder, Tailed)
        return players | {"O": encoder.front, "T": encoder.tail}

    def phases(self, config: TrainConfig) -> list[Phase]:
        """The undefended's: O and C for the service, without the tail."""
        return undefended(self).phases(config)


def frozen(players: Players, pictures: NDArray[np.uint8], context: Context) -> Tensor:
    """O(I) of pictures (n, H, W, 3) in 0..255 as they are, not augmented: (n, ...), float32."""
    return apply(players["O"].eval(), torch.from_numpy(np.ascontiguousarray(pictures)), context)


def served(r: Round, sent: Tensor) -> Tensor:
    """L(C) of what left the device."""
    return _entropy(r, "C", sent, r.batch.public)


def inferred(r: Round, sent: Tensor) -> Tensor:
    """L(AC) of what left the device."""
    return _entropy(r, "AC", sent, r.batch.private)


def _entropy(r: Round, player: str, sent: Tensor, labels: Tensor | None) -> Tensor:
    assert labels is not None
    loss = r.noted[f"L_{player}"] = cross_entropy(r.output(player, sent), labels)
    return loss
