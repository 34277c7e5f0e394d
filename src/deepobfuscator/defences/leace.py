"""LEACE: what a linear reader could tell of private attributes is erased from the features.

Belrose, Schneider-Joseph, Ravfogel, Cotterell, Raff and Biderman, "LEACE: Perfect linear concept
erasure in closed form" (NeurIPS 2023), theorem 4.3: with covariances S_xx of features and S_xz of
features and labels,

    r(x) = x - S_xz (S_xz' S_xx^-1 S_xz)^+ S_xz' S_xx^-1 (x - E[x]),

which is the form of the theorem multiplied out. Covariance with the labels is then 0, and no
linear classifier has a lower loss than a constant one, for any convex loss (theorem 3.1). S_xx only
decides how little the features are moved; that covariance is 0 for any invertible matrix in its
place. A map's S_xx is that of the channels within each position, since one over all its values
(304,128 at the paper's size) has no room; a flat code's is whole.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from deepobfuscator.core.errors import InputError
from deepobfuscator.core.runtime import Context
from deepobfuscator.data.batches import Labelled, Material
from deepobfuscator.data.table import Task
from deepobfuscator.defences.tail import TailDefence, frozen, served
from deepobfuscator.nn.vgg import Encoder
from deepobfuscator.training.bundle import CHUNK
from deepobfuscator.training.objectives import Phase, Players, TrainConfig, stage, update

RIDGE = 1e-4
"""Added to the diagonal of S_xx, as a share of its mean: a channel may be constant."""
RANK = 1e-9
"""Eigenvalues below this share of the largest are 0: labels may depend on each other."""
MOST = 8192
"""Values within a position, whose covariance must have room."""


class Moments:
    """Means and covariances of features (n, c, ...) and labels (n, K), by position, float64."""

    def __init__(self) -> None:
        self.n = 0
        self.sums: list[Tensor] = []

    def add(self, features: Tensor, labels: Tensor) -> None:
        """Count more samples."""
        x, z = features.double().flatten(2 if features.dim() > 2 else 1), labels.double()
        x = x.reshape(len(x), features.shape[1], -1).permute(2, 0, 1)  # position, sample, channel
        new = [x.sum(1), z.sum(0), x.transpose(1, 2) @ x, x.transpose(1, 2) @ z]
        self.sums = [a + b for a, b in zip(self.sums, new, strict=True)] if self.n else new
        self.n += len(features)

    def eraser(self) -> tuple[Tensor, Tensor, Tensor]:
        """E[x] (P, c), and (P, c, K) S_xz (S_xz' S_xx^-1 S_xz)^+ and S_xx^-1 S_xz."""
        mean, labels, xx, xz = (s / self.n for s in self.sums)
        xx = xx - mean[:, :, None] * mean[:, None]
        xz = xz - mean[:, :, None] * labels
        ridge = RIDGE * xx.diagonal(dim1=1, dim2=2).mean() + torch.finfo(torch.float32).tiny
        right = torch.linalg.solve(xx + ridge * torch.eye(xx.shape[1], device=xx.device), xz)
        told = torch.einsum("pck,pcl->kl", xz, right)
        return mean, xz @ torch.linalg.pinv(told, rtol=RANK, hermitian=True), right


class Eraser(nn.Module):
    """x - left (right' (x - mean)); the identity until it is settled."""

    mean: Tensor
    left: Tensor
    right: Tensor

    def __init__(self, features: tuple[int, ...], labels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        for name in ("left", "right"):
            self.register_buffer(name, torch.zeros(*features, labels))

    def settle(self, moments: Moments) -> None:
        """Erase what these moments say that a linear reader could tell."""
        mean, left, right = moments.eraser()
        self.mean.copy_(mean.T.reshape(self.mean.shape))
        for own, new in ((self.left, left), (self.right, right)):
            own.copy_(new.transpose(0, 1).reshape(own.shape))

    def forward(self, features: Tensor) -> Tensor:
        """(n, ...) to the same shape, float32."""
        away = (features.float() - self.mean).flatten(1)
        left, right = (m.flatten(0, -2) for m in (self.left, self.right))
        return features.float() - ((away @ right) @ left.T).reshape(features.shape)


@dataclass(frozen=True)
class Leace(TailDefence):
    """The undefended encoder with the private labels erased from its features; C is trained on."""

    name: ClassVar[str] = "leace"
    contender: ClassVar[bool] = False
    assumptions: ClassVar[tuple[str, ...]] = (
        "Means and covariances are those of the defender's pictures, not augmented; the covariance "
        "of a map's values is that of the channels within each position, with a ridge of 1e-4 of "
        "its mean diagonal.",
        "The theorem is about linear readers and the pictures counted; it says nothing of others.",
    )

    def build_tail(self, encoder: Encoder, task: Task, config: TrainConfig) -> nn.Module:
        """The eraser."""
        if encoder.features[0] > MOST:
            raise InputError(
                f"leace needs the covariance of {encoder.features[0]:,} values, more than "
                f"{MOST:,}: let the encoder give a map (channels, height, width)"
            )
        return Eraser(encoder.features, len(task.private))

    def phases(self, config: TrainConfig) -> list[Phase]:
        """Service, then C alone on what is left."""
        recover = (stage("recover C", update("C", loss=lambda r: served(r, r.output("T")))),)
        return [
            *super().phases(config),
            Phase("recover C", config.game_epochs, recover, prepare=self.erase, steady=True),
        ]

    def erase(self, players: Players, material: Material, context: Context) -> None:
        """Settle T on the frozen O's features of all pictures."""
        assert isinstance(material, Labelled)
        moments = Moments()
        for start in range(0, len(material), CHUNK):
            some = slice(start, start + CHUNK)
            labels = torch.from_numpy(material.private[some]).to(context.device)
            moments.add(frozen(players, material.pictures[some], context), labels)
        tail = players["T"]
        assert isinstance(tail, Eraser)
        tail.settle(moments)
