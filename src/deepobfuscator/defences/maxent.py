"""MaxEnt-ARL: O maximises the adversary's entropy, not its error.

Roy and Boddeti, "Mitigating Information Leakage in Image Representations: A Maximum Entropy
Approach" (CVPR 2019). Predictions that are always wrong can be inverted; those at maximum entropy
cannot.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from deepobfuscator.core.errors import InputError
from deepobfuscator.defences.base import SERVICE, NetworkDefence
from deepobfuscator.training.objectives import (
    INFER,
    Phase,
    Round,
    TrainConfig,
    cross_entropy,
    stage,
    update,
)


def entropy(logits: Tensor) -> Tensor:
    """Entropy in nats of Bernoulli variables of logits (n, K): summed over K, mean over n."""
    logits = logits.float()
    each = functional.softplus(logits) - logits * logits.sigmoid()
    return each.sum(1).mean()


def from_half(logits: Tensor) -> Tensor:
    """Cross-entropy in nats of the predictions of logits (n, K) against probability one half:
    summed over K, mean over n. Smallest where the entropy is largest; unlike it, its gradient does
    not vanish where a prediction is certain.
    """
    half = torch.full_like(logits, 0.5, dtype=torch.float32)
    return cross_entropy(logits, half)


@dataclass(frozen=True)
class MaxEntARL(NetworkDefence):
    """AC minimises L(AC); O and C minimise L(C) minus the entropy of AC's prediction."""

    name: ClassVar[str] = "maxent-arl"
    against_classifier: ClassVar[bool] = True
    contender: ClassVar[bool] = False
    assumptions: ClassVar[tuple[str, ...]] = (
        "O and C are trained for the service first, and the adversary on the frozen O, as for "
        "every defence here; then defender and adversary take turns, a batch each.",
    )

    lambda1: float = 1.0
    """α of the paper: weight of the entropy."""

    def __post_init__(self) -> None:
        if self.lambda1 < 0:
            raise InputError("--lambda1 must not be negative")

    def phases(self, config: TrainConfig) -> list[Phase]:
        """Service, adversary, then defender and adversary in turn."""
        attack = stage("attack", INFER)
        game = stage("defend", update("O", "C", loss=self.defend)), attack
        return [
            Phase("pre-train O, C", config.epochs, (SERVICE,), steady=True),
            Phase("pre-train AC", config.adversary_epochs, (attack,), steady=True),
            Phase("maximum-entropy game", config.game_epochs, game, anneal=False, steady=True),
        ]

    def defend(self, r: Round) -> Tensor:
        """L(C) - α H(AC)."""
        return r.L_C - self.lambda1 * entropy(r.private_logits)
