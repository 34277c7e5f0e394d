"""NoPeek: features that depend on the picture as little as the service allows.

Vepakomma, Singh, Gupta and Raskar, "NoPeek: Information leakage reduction to share activations in
distributed deep learning" (2020). It uses no private attribute and no adversary: the distance
correlation of Székely, Rizzo and Bakirov (2007) between pictures and features is minimised.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from deepobfuscator.core.errors import InputError
from deepobfuscator.defences.base import SERVICE, NetworkDefence
from deepobfuscator.training.objectives import Phase, Round, TrainConfig, stage, update

LEAST = 1e-9
"""Added under square roots and to denominators."""


def distance_correlation(x: Tensor, y: Tensor) -> Tensor:
    """Distance correlation of n paired samples (n, ...), in [0, 1]; the biased estimator of Székely
    et al. (2007, definition 5): 0 in the limit for independent x and y, 1 if they are equal
    up to shift, scale and rotation.
    """
    a, b = centred(x), centred(y)
    both, one, other = (a * b).mean(), (a * a).mean(), (b * b).mean()
    return (both.clamp(min=0) / (one * other + LEAST).sqrt() + LEAST).sqrt()


def centred(samples: Tensor) -> Tensor:
    """Distances (n, n) of samples (n, ...), centred by row and column means."""
    flat = samples.flatten(1).float()
    squared = flat.square().sum(1)
    apart = squared[:, None] + squared[None] - 2 * flat @ flat.T
    distance = (apart.clamp(min=0) + LEAST).sqrt() * (1 - torch.eye(len(flat), device=flat.device))
    return distance - distance.mean(0) - distance.mean(1, keepdim=True) + distance.mean()


@dataclass(frozen=True)
class NoPeek(NetworkDefence):
    """O and C minimise L(C) plus the distance correlation of pictures and features."""

    name: ClassVar[str] = "nopeek"
    contender: ClassVar[bool] = False
    assumptions: ClassVar[tuple[str, ...]] = (
        "The distance correlation is that of a batch, whose estimator is biased upward; O and C "
        "are trained for the service first.",
    )

    weight: float = 1.0
    """Weight of the distance correlation."""

    def __post_init__(self) -> None:
        if self.weight < 0:
            raise InputError("--weight must not be negative")

    def phases(self, config: TrainConfig) -> list[Phase]:
        """Service, then service and distance correlation."""
        hide = (stage("hide", update("O", "C", loss=self.defend)),)
        return [
            Phase("pre-train O, C", config.epochs, (SERVICE,), steady=True),
            Phase("distance correlation", config.game_epochs, hide, steady=True),
        ]

    def defend(self, r: Round) -> Tensor:
        """L(C) + weight · dCor(I, O(I))."""
        assert r.batch.pictures is not None
        correlation = distance_correlation(r.batch.pictures, r.features)
        r.noted["L_dCor"] = correlation
        return r.L_C + self.weight * correlation
