"""TIPRDC: features that tell much of the picture and nothing of the private attributes.

Li, Duan, Yang, Chen and Yang, "TIPRDC: Task-Independent Privacy-Respecting Data Crowdsourcing
Framework for Deep Learning with Anonymized Intermediate Representations" (KDD 2020). O knows no
public attribute. With u the private labels and I' another picture, O and the estimator M minimise

    -weight L(AC) - (1 - weight) (E[-softplus(-M(I, z, u))] - E[softplus(M(I', z, u))]),

whose second term is the Jensen-Shannon estimate of the mutual information of I and z = O(I) given
u. AC minimises L(AC). C is trained on the finished O.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from deepobfuscator.core.errors import InputError
from deepobfuscator.data.table import Task
from deepobfuscator.defences.base import NetworkDefence
from deepobfuscator.nn.vgg import Classifier, Encoder, Obfuscator
from deepobfuscator.training.objectives import (
    INFER,
    Phase,
    Players,
    Round,
    TrainConfig,
    stage,
    update,
)

WIDE = 32
"""Values that M reads from the picture, and from the features."""


class Pairing(nn.Module):
    """M: whether picture (n, 3, H, W) and features (n, ...) belong together, given private labels
    (n, K); one number each, (n,).
    """

    def __init__(self, encoder: Encoder, private: int, config: TrainConfig) -> None:
        super().__init__()
        front = Obfuscator(config.size, config.width)
        self.picture = nn.Sequential(
            front, Classifier(front.features, WIDE, config.size, config.width)
        )
        self.features = Classifier(encoder.features, WIDE, config.size, config.width)
        self.both = nn.Sequential(
            nn.Linear(2 * WIDE + private, WIDE), nn.ReLU(), nn.Linear(WIDE, 1)
        )

    def forward(self, pictures: Tensor, features: Tensor, private: Tensor) -> Tensor:
        """(n,)."""
        told = self.picture(pictures), self.features(features), private.to(features.dtype)
        return self.both(torch.cat(told, 1)).squeeze(1)  # type: ignore[no-any-return]


def jensen_shannon(together: Tensor, apart: Tensor) -> Tensor:
    """A lower bound, from M's numbers for pairs that belong together and for pairs that do not, on
    2 JSD - 2 log 2 in nats: at best -2 log 2 where the two are alike, 0 where nothing is in both.
    """
    kept, drawn = together.float(), apart.float()
    return -functional.softplus(-kept).mean() - functional.softplus(drawn).mean()


@dataclass(frozen=True)
class TIPRDC(NetworkDefence):
    """O keeps what it can of the picture but the private attributes; C comes afterwards."""

    name: ClassVar[str] = "tiprdc"
    against_classifier: ClassVar[bool] = True
    contender: ClassVar[bool] = False
    assumptions: ClassVar[tuple[str, ...]] = (
        "I' is the next picture of the batch; O with M, and AC, take turns, a batch each.",
        "As by the authors, O is first trained with AC, to tell the private attributes.",
    )

    weight: float = 0.5
    """lambda of the paper, in [0, 1]: weight of the adversary's loss against the information."""

    def __post_init__(self) -> None:
        if not 0 <= self.weight <= 1:
            raise InputError("--weight must be in [0, 1]")

    def build_adversaries(self, encoder: Encoder, task: Task, config: TrainConfig) -> Players:
        """AC, and the estimator M."""
        adversaries = super().build_adversaries(encoder, task, config)
        return {**adversaries, "M": Pairing(encoder, len(task.private), config)}

    def phases(self, config: TrainConfig) -> list[Phase]:
        """O and AC, then O with M against AC, then C."""
        first = (stage("tell", update("O", "AC", loss=lambda r: r.L_AC)),)
        game = stage("extract", update("O", "M", loss=self.extract)), stage("attack", INFER)
        serve = (stage("serve", update("C", loss=lambda r: r.L_C)),)
        return [
            Phase("pre-train O, AC", config.adversary_epochs, first, steady=True),
            Phase("information game", config.game_epochs, game, anneal=False, steady=True),
            Phase("train C", config.epochs, serve, steady=True),
        ]

    def extract(self, r: Round) -> Tensor:
        """-weight L(AC) - (1 - weight) information."""
        pictures, private = r.batch.pictures, r.batch.private
        assert pictures is not None
        assert private is not None
        estimate, features = r.players["M"], r.features
        with r.context.autocast():
            together = estimate(pictures, features, private)
            apart = estimate(pictures.roll(1, 0), features, private)
        r.noted["L_MI"] = -jensen_shannon(together, apart)
        return (1 - self.weight) * r.noted["L_MI"] - self.weight * r.L_AC
