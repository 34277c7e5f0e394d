"""Gradient reversal: O and its adversary move at once, O up the gradient of the adversary's loss.

Ganin and Lempitsky, "Unsupervised Domain Adaptation by Backpropagation" (2015); against private
attributes, Edwards and Storkey, "Censoring Representations with an Adversary" (2016).
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from deepobfuscator.core.errors import InputError
from deepobfuscator.defences.base import SERVICE, NetworkDefence
from deepobfuscator.training.objectives import (
    Phase,
    Round,
    TrainConfig,
    cross_entropy,
    stage,
    update,
)


class Reversed(torch.autograd.Function):
    """The identity, whose gradient is reversed and weighted."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: float) -> Tensor:
        """``features`` unchanged."""
        ctx.weight = weight
        return features.view_as(features)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, None]:
        """Minus ``weight`` times the gradient."""
        return -ctx.weight * slopes[0], None


def reverse(features: Tensor, weight: float) -> Tensor:
    """`Reversed` as a function."""
    return Reversed.apply(features, weight)  # type: ignore[no-any-return, no-untyped-call]


@dataclass(frozen=True)
class GradientReversal(NetworkDefence):
    """O, C and AC minimise L(C) + L(AC), with the gradient of L(AC) reversed before O."""

    name: ClassVar[str] = "gradient-reversal"
    against_classifier: ClassVar[bool] = True
    contender: ClassVar[bool] = False
    assumptions: ClassVar[tuple[str, ...]] = (
        "The weight of the reversed gradient is constant; Ganin and Lempitsky let it rise.",
        "O and C are trained for the service first, as for every defence here.",
    )

    lambda1: float = 1.0
    """Weight of the reversed gradient."""

    def __post_init__(self) -> None:
        if self.lambda1 < 0:
            raise InputError("--lambda1 must not be negative")

    def phases(self, config: TrainConfig) -> list[Phase]:
        """Service, then all three players at once."""
        game = (stage("reverse", update("O", "C", "AC", loss=self.both)),)
        return [
            Phase("pre-train O, C", config.epochs, (SERVICE,), steady=True),
            Phase("gradient reversal", config.game_epochs, game),
        ]

    def both(self, r: Round) -> Tensor:
        """L(C) + L(AC) of reversed features."""
        assert r.batch.private is not None
        with r.context.autocast():
            logits = r.players["AC"](reverse(r.features, self.lambda1))
        told = cross_entropy(logits, r.batch.private)
        r.noted["L_AC"] = told
        return r.L_C + told
