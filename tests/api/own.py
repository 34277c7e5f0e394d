"""A defence, an attack and networks as in a third-party package: public names only."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn

import deepobfuscator as do


@dataclass(frozen=True)
class Pooled(do.Defence):
    """O and C trained on pictures that were averaged over squares first."""

    name: ClassVar[str] = "pooled"
    contender: ClassVar[bool] = False

    side: int = 4
    """Side of a square in px."""

    def build_encoder(self, config: do.TrainConfig) -> do.Encoder:
        """Averages, then the encoder of the paper."""
        return PooledEncoder(super().build_encoder(config), self.side)

    def phases(self, config: do.TrainConfig) -> list[do.Phase]:
        """The service alone."""
        service = do.stage("service", do.update("O", "C", loss=lambda r: r.L_C))
        return [do.Phase("train O, C", config.epochs, (service,))]


class PooledEncoder(do.Encoder):
    """An encoder behind averages over squares."""

    def __init__(self, encoder: do.Encoder, side: int) -> None:
        super().__init__()
        self.encoder, self.side = encoder, side
        self.features, self.wire_bits = encoder.features, encoder.wire_bits

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """(n, 3, H, W) to features."""
        coarse = nn.functional.avg_pool2d(pictures, self.side)
        return self.encoder(nn.functional.interpolate(coarse, pictures.shape[2:]))


@dataclass(frozen=True)
class Centroid(do.Attack):
    """Who is nearer to the mean of one class than to that of the other."""

    name: ClassVar[str] = "centroid"
    target: ClassVar[str] = "attributes"
    suite: ClassVar[str] = do.EXHAUSTIVE

    def fit(
        self,
        threat: do.Threat,
        context: do.Context,
        checkpoint: Any = None,
        title: str = "attack by ",
    ) -> do.Fitted:
        """Means of both classes on the attacker's own inputs."""
        own = threat.own
        features = torch.cat([own.features_of(rows).flatten(1).cpu() for rows in own.chunks()])
        labels = torch.from_numpy(own.labelled.private).float()
        present = labels.T @ features / labels.sum(0)[:, None]
        absent = (1 - labels).T @ features / (1 - labels).sum(0)[:, None]
        slope, middle = present - absent, (present + absent) / 2

        def guess(seen: torch.Tensor) -> torch.Tensor:
            flat = seen.flatten(1).float().cpu()
            return flat @ slope.T - (slope * middle).sum(1)

        return do.Fitted(guess)


class OwnEncoder(nn.Module):
    """A user's encoder: ((height, width), channels) to features of half the side."""

    def __init__(self, size: tuple[int, int], channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(channels, 4, 3, stride=2, padding=1), nn.ReLU())
        self.idle = nn.Linear(2, 2)  # a part that nothing uses must not stop training

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """(n, 3, H, W) to (n, 4, H / 2, W / 2)."""
        return self.layers(pictures)


class OwnClassifier(nn.Sequential):
    """A user's classifier: (features' shape, labels) to logits."""

    def __init__(self, features: tuple[int, ...], labels: int) -> None:
        super().__init__(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(16 * features[0], labels))
