"""Shredder: noise on the features, learned so that the service bears as much of it as it can.

Mireshghallah, Taram, Ramrakhyani, Jalali, Tullsen and Esmaeilzadeh, "Shredder: Learning Noise
Distributions to Protect Inference Privacy" (ASPLOS 2020). O and C are trained for the service and
stay as they are; tensors of noise start from a Laplace distribution and minimise

    L(C) - weight * sum of |noise|.

It uses no private attribute and no adversary. Each message takes one of the tensors at random.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from deepobfuscator.core.errors import InputError
from deepobfuscator.data.table import Task
from deepobfuscator.defences.tail import TailDefence, served
from deepobfuscator.nn.vgg import Encoder
from deepobfuscator.training.objectives import Phase, Round, TrainConfig, stage, update


class LearnedNoise(nn.Module):
    """Adds one of several tensors to each picture's features, drawn anew at every query."""

    def __init__(self, features: tuple[int, ...], tensors: int, scale: float) -> None:
        super().__init__()
        start = torch.distributions.Laplace(0.0, scale).sample((tensors, *features))
        self.noise, self.stochastic = nn.Parameter(start), tensors > 1

    def forward(self, features: Tensor) -> Tensor:
        """(n, *features)."""
        each = features.flatten(1)[:, :1].float().expand(-1, len(self.noise))
        lots = torch.rand_like(each)  # not rand: exported, it would have a fixed number of pictures
        return features + self.noise[lots.argmax(1)]

    def size(self) -> Tensor:
        """Sum of absolute values of a tensor, mean over tensors."""
        return self.noise.flatten(1).abs().sum(1).mean()


@dataclass(frozen=True)
class Shredder(TailDefence):
    """The undefended networks as they are, with learned noise on the features."""

    name: ClassVar[str] = "shredder"
    contender: ClassVar[bool] = False
    assumptions: ClassVar[tuple[str, ...]] = (
        "The noise tensors are learned side by side, where the paper learns one after the other; "
        "its weight is constant, where the paper lets it fall once there is noise enough.",
    )

    tensors: int = 16
    """Number of noise tensors; each message takes one of them at random."""
    scale: float = 1.0
    """Scale of the Laplace distribution that the noise starts from, in units of the features."""
    weight: float = 1e-3
    """Weight of the noise's absolute values, summed over a tensor."""

    def __post_init__(self) -> None:
        if self.tensors < 1:
            raise InputError("--tensors must be at least 1")
        if self.scale <= 0:
            raise InputError("--scale must be above 0")
        if self.weight < 0:
            raise InputError("--weight must not be negative")

    def build_tail(self, encoder: Encoder, task: Task, config: TrainConfig) -> nn.Module:
        """The noise."""
        return LearnedNoise(encoder.features, self.tensors, self.scale)

    def phases(self, config: TrainConfig) -> list[Phase]:
        """Service without noise, then the noise alone."""
        learn = (stage("learn noise", update("T", loss=self.shred)),)
        return [
            *super().phases(config),
            Phase("learn noise", config.game_epochs, learn, steady=True),
        ]

    def shred(self, r: Round) -> Tensor:
        """L(C) less the weighted size of the noise."""
        tail = r.players["T"]
        assert isinstance(tail, LearnedNoise)
        r.noted["L_noise"] = tail.size()
        return served(r, r.output("T")) - self.weight * r.noted["L_noise"]
