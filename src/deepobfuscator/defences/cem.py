"""CEM: noisy features from which the picture stays uncertain.

Xia, Yu, Yang, Ding, Chen, Duan, Kot and Jiang, "Theoretical Insights in Model Inversion Robustness
and Conditional Entropy Maximization for Collaborative Inference Systems" (CVPR 2025). It uses no
private attribute and no adversary. Features leave with Gaussian noise, z = O(I) + N(0, sigma^2).
With O(I) taken for a mixture of Gaussians of shares pi_i and diagonal variances v_i, O and C
minimise

    L(C) + weight (H(pi) + sum_i pi_i / 2 sum_d log(1 + v_id / sigma^2)).

The bracket bounds the mutual information of picture and features from above, in nats, if the
mixture is right; so the conditional entropy of the picture is kept up, which bounds the error of
every reconstruction. Of a mixture that is only fitted it is an estimate, not a certificate.
"""

from dataclasses import dataclass
from math import prod
from typing import ClassVar

import torch
from torch import Tensor, nn

from deepobfuscator.core.errors import InputError
from deepobfuscator.data.table import Task
from deepobfuscator.defences.tail import TailDefence, served
from deepobfuscator.nn.vgg import Encoder
from deepobfuscator.training.objectives import Phase, Round, TrainConfig, stage, update

RATE = 0.1
"""By which centres and shares follow a batch."""
LEAST = 1e-6
"""Share of a component that is never drawn, under the logarithm."""


class NoisyMixture(nn.Module):
    """Adds noise to features, and follows them by a mixture of Gaussians while it is trained."""

    stochastic = True
    centres: Tensor
    """(k, d), of the features without noise, flat."""
    shares: Tensor
    """(k,); their sum is 0 before the first batch, then 1."""

    def __init__(self, features: tuple[int, ...], components: int, sigma: float) -> None:
        super().__init__()
        self.sigma = sigma
        self.register_buffer("centres", torch.zeros(components, prod(features)))
        self.register_buffer("shares", torch.zeros(components))

    def forward(self, features: Tensor) -> Tensor:
        """(n, *features)."""
        return features + self.sigma * torch.randn_like(features)

    def information(self, features: Tensor) -> Tensor:
        """The bound in nats, of features (n, *features) without noise."""
        flat = features.flatten(1).float()
        nearest = self.follow(flat.detach())
        counts = nearest.sum(0)
        apart = (flat - nearest @ self.centres) ** 2
        spread = (nearest.T @ apart) / counts.clamp(min=1)[:, None]
        told = (spread / self.sigma**2).log1p().sum(1) / 2
        shares = self.shares
        return (counts / len(flat) * told).sum() - (shares * (shares + LEAST).log()).sum()

    @torch.no_grad()
    def follow(self, flat: Tensor) -> Tensor:
        """Move centres and shares to a batch; gives who belongs to which, one-hot (n, k)."""
        k = len(self.centres)
        if not self.shares.any():
            self.centres.copy_(flat[torch.arange(k, device=flat.device) % len(flat)])
            self.shares.fill_(1 / k)
        index = torch.cdist(flat, self.centres).argmin(1)
        nearest = nn.functional.one_hot(index, k).to(flat.dtype)
        if self.training:
            counts = nearest.sum(0)
            means = (nearest.T @ flat) / counts.clamp(min=1)[:, None]
            moved = torch.where((counts > 0)[:, None], means, self.centres)
            self.centres.lerp_(moved, RATE)
            self.shares.lerp_(counts / len(flat), RATE)
        return nearest


@dataclass(frozen=True)
class CEM(TailDefence):
    """O and C minimise L(C) and what noisy features can tell of the picture, by a mixture."""

    name: ClassVar[str] = "cem"
    contender: ClassVar[bool] = False
    assumptions: ClassVar[tuple[str, ...]] = (
        "The mixture follows the batches (components by nearest centre, diagonal variances of a "
        "batch), where the authors fit it to all pictures every few passes.",
        "O and C are trained for the service first, with noise and without the bound.",
    )

    sigma: float = 0.5
    """Standard deviation of the noise, in units of the features."""
    weight: float = 1e-3
    """Weight of the information, in nats per picture."""
    components: int = 16
    """Of the mixture."""

    def __post_init__(self) -> None:
        if self.sigma <= 0:
            raise InputError("--sigma must be above 0")
        if self.weight < 0:
            raise InputError("--weight must not be negative")
        if self.components < 1:
            raise InputError("--components must be at least 1")

    def build_tail(self, encoder: Encoder, task: Task, config: TrainConfig) -> nn.Module:
        """Noise and mixture."""
        return NoisyMixture(encoder.features, self.components, self.sigma)

    def phases(self, config: TrainConfig) -> list[Phase]:
        """Service, then service and information."""
        serve = (stage("service", update("O", "C", loss=lambda r: served(r, r.output("T")))),)
        hide = (stage("hide", update("O", "C", "T", loss=self.hide)),)
        return [
            Phase("pre-train O, C", config.epochs, serve, steady=True),
            Phase("conditional entropy", config.game_epochs, hide),
        ]

    def hide(self, r: Round) -> Tensor:
        """L(C) + weight * information."""
        tail = r.players["T"]
        assert isinstance(tail, NoisyMixture)
        r.noted["L_MI"] = tail.information(r.features)
        return served(r, r.output("T")) + self.weight * r.noted["L_MI"]
