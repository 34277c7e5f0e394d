"""DISCO: channels that tell of private attributes are pruned, chosen anew for each picture.

Singh, Chopra, Garza, Zhang, Vepakomma, Sharma and Raskar, "DISCO: Dynamic and Invariant Sensitive
Channel Obfuscation for Deep Neural Networks" (CVPR 2021). A filter scores the channels of O's
features, and those of the lowest scores become 0. O and C minimise L(C); the adversary minimises
L(AC); the filter alone plays against it and minimises (1 - weight) L(C) - weight L(AC).
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from deepobfuscator.core.errors import InputError
from deepobfuscator.data.table import Task
from deepobfuscator.defences.tail import TailDefence, inferred, served
from deepobfuscator.nn.fit import straight_through
from deepobfuscator.nn.vgg import Encoder
from deepobfuscator.training.objectives import Phase, Round, TrainConfig, stage, update

TEMPERATURE = 1 / 30
"""Of the sigmoid whose gradient the pruning has, as the authors'."""


class ChannelFilter(nn.Module):
    """Zeroes the ``pruned`` channels of the lowest scores, which a small network gives for each
    picture from the channels' means.
    """

    def __init__(self, channels: int, pruned: int) -> None:
        super().__init__()
        self.pruned = pruned
        self.scores = nn.Sequential(
            nn.Linear(channels, channels), nn.ReLU(), nn.Linear(channels, channels)
        )

    def forward(self, features: Tensor) -> Tensor:
        """(n, c, ...) to the same shape."""
        scores = self.scores(features.flatten(2).mean(2) if features.dim() > 2 else features)
        kept = self.kept(scores.float()).to(features.dtype)
        return features * kept.reshape(*kept.shape, *[1] * (features.dim() - 2))

    def kept(self, scores: Tensor) -> Tensor:
        """1 for the channels to keep and 0 for the others, of scores (n, c); gradients pass as
        those of a sigmoid around the lowest score that is kept.
        """
        lowest = scores.sort(1).values[:, self.pruned].unsqueeze(1)
        soft = torch.sigmoid((scores - lowest) / TEMPERATURE)
        return straight_through((scores >= lowest).to(scores.dtype), soft)


@dataclass(frozen=True)
class Disco(TailDefence):
    """O and C serve; a filter prunes channels, against an adversary classifier."""

    name: ClassVar[str] = "disco"
    against_classifier: ClassVar[bool] = True
    contender: ClassVar[bool] = False
    assumptions: ClassVar[tuple[str, ...]] = (
        "The filter is two linear layers on the channels' means; the authors' is the rest of a "
        "ResNet-18, which has no place on a device.",
        "O and C are trained for the service first, and the adversary on the pruned features, as "
        "for every defence here; then the three take turns, a batch each.",
    )

    ratio: float = 0.6
    """Share of channels that are pruned; at least one stays."""
    weight: float = 0.5
    """Weight of the adversary's loss in what the filter minimises, against that of the service."""

    def __post_init__(self) -> None:
        if not 0 <= self.ratio < 1:
            raise InputError("--ratio must be in [0, 1)")
        if not 0 <= self.weight <= 1:
            raise InputError("--weight must be in [0, 1]")

    def build_tail(self, encoder: Encoder, task: Task, config: TrainConfig) -> nn.Module:
        """The filter."""
        channels = encoder.features[0]
        return ChannelFilter(channels, int(channels * self.ratio))

    def phases(self, config: TrainConfig) -> list[Phase]:
        """Service without the filter, adversary, then service, filter and adversary in turn."""
        attack = stage("attack", update("AC", loss=lambda r: inferred(r, r.output("T"))))
        game = (
            stage("serve", update("O", "C", loss=lambda r: served(r, r.output("T")))),
            stage("prune", update("T", loss=self.prune)),
            attack,
        )
        return [
            *super().phases(config),
            Phase("pre-train AC", config.adversary_epochs, (attack,), steady=True),
            Phase("channel pruning", config.game_epochs, game, anneal=False, steady=True),
        ]

    def prune(self, r: Round) -> Tensor:
        """(1 - weight) L(C) - weight L(AC)."""
        pruned = r.output("T")
        return (1 - self.weight) * served(r, pruned) - self.weight * inferred(r, pruned)
