"""Deep variational information bottleneck: noisy features that say little but the answer.

Alemi, Fischer, Dillon and Murphy, "Deep Variational Information Bottleneck" (ICLR 2017). It uses no
private attribute and no adversary. The encoder is stochastic, p(z|I) = N(mean(I), deviation(I)^2),
and O and C minimise, with r(z) = N(0, 1) (equation 17 of the paper),

    E over z of L(C) + beta KL(p(z|I) || r(z)).

beta KL bounds the mutual information of pictures and features from above, in nats.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from deepobfuscator.core.errors import InputError
from deepobfuscator.data.table import Task
from deepobfuscator.defences.tail import TailDefence, served
from deepobfuscator.nn.vgg import Encoder
from deepobfuscator.training.objectives import Phase, Round, TrainConfig, stage, update

OFFSET = 5.0
"""Subtracted before softplus, as by the authors: deviations start near 0."""


class Gaussian(nn.Module):
    """Draws features from a normal distribution whose mean and deviation depend on the features
    it is given: a 1x1 convolution of a map, a linear layer of a flat code.
    """

    stochastic = True

    def __init__(self, features: tuple[int, ...]) -> None:
        super().__init__()
        values = features[0]
        flat = len(features) == 1
        self.layer = nn.Linear(values, 2 * values) if flat else nn.Conv2d(values, 2 * values, 1)

    def posterior(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation, each of the features' shape, float32."""
        mean, raw = self.layer(features).float().chunk(2, 1)
        return mean, functional.softplus(raw - OFFSET)

    def forward(self, features: Tensor) -> Tensor:
        """One draw."""
        return drawn(*self.posterior(features))


def drawn(mean: Tensor, deviation: Tensor) -> Tensor:
    """A draw from N(mean, deviation^2)."""
    return mean + deviation * torch.randn_like(mean)


def divergence(mean: Tensor, deviation: Tensor) -> Tensor:
    """KL(N(mean, deviation^2) || N(0, 1)) in nats, of (n, ...): summed over values, mean over n."""
    each = (mean**2 + deviation**2 - 1) / 2 - deviation.log()
    return each.flatten(1).sum(1).mean()


@dataclass(frozen=True)
class VIB(TailDefence):
    """O draws its features, in use as in training; O and C minimise L(C) + beta KL."""

    name: ClassVar[str] = "vib"
    contender: ClassVar[bool] = False
    assumptions: ClassVar[tuple[str, ...]] = (
        "The bottleneck has the shape of the undefended features, where the paper's has 256 "
        "values; KL is summed over all of them.",
        "O and C are trained for the service first, with noise and beta = 0.",
    )

    beta: float = 1e-3
    """beta, weight of the KL divergence in nats per picture."""

    def __post_init__(self) -> None:
        if self.beta < 0:
            raise InputError("--beta must not be negative")

    def build_tail(self, encoder: Encoder, task: Task, config: TrainConfig) -> nn.Module:
        """Mean, deviation and draw."""
        return Gaussian(encoder.features)

    def phases(self, config: TrainConfig) -> list[Phase]:
        """Service, then service and divergence."""
        serve = (stage("service", update("O", "T", "C", loss=lambda r: served(r, r.output("T")))),)
        narrow = (stage("bottleneck", update("O", "T", "C", loss=self.bottleneck)),)
        return [
            Phase("pre-train O, C", config.epochs, serve, steady=True),
            Phase("information bottleneck", config.game_epochs, narrow, steady=True),
        ]

    def bottleneck(self, r: Round) -> Tensor:
        """L(C) + beta KL, of one draw."""
        tail = r.players["T"]
        assert isinstance(tail, Gaussian)
        with r.context.autocast():
            mean, deviation = tail.posterior(r.features)
        r.noted["L_KL"] = divergence(mean, deviation)
        return served(r, drawn(mean, deviation)) + self.beta * r.noted["L_KL"]
