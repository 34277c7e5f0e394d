"""Attribute inference: the paper's AC and other attackers on the same features."""

from dataclasses import dataclass
from math import prod
from typing import ClassVar

from torch import Tensor, nn

from deepobfuscator.attacks.base import BRIEF
from deepobfuscator.attacks.threat import Threat
from deepobfuscator.attacks.trained import InferenceAttack
from deepobfuscator.nn.resnet import residual_classifier
from deepobfuscator.nn.vgg import Classifier


@dataclass(frozen=True)
class AdversaryClassifier(InferenceAttack):
    """AC of Table 1, the architecture used in the game."""

    name: ClassVar[str] = "ac"
    suite: ClassVar[str] = BRIEF

    def network(self, threat: Threat) -> nn.Module:
        """The paper's AC at the setting's width."""
        return Classifier(threat.features, threat.labels, threat.size, threat.setting.width)


class Standardised(nn.Module):
    """Flattened features, standardised to mean 0 and deviation 1, into a head."""

    def __init__(self, values: int, head: nn.Module) -> None:
        super().__init__()
        self.norm, self.head = nn.BatchNorm1d(values, affine=False), head

    def forward(self, features: Tensor) -> Tensor:
        """(n, *shape) to (n, K) logits."""
        return self.head(self.norm(features.flatten(1)))  # type: ignore[no-any-return]


@dataclass(frozen=True)
class LinearProbe(InferenceAttack):
    """One linear layer on all features."""

    name: ClassVar[str] = "linear"
    rate: ClassVar[float] = 10.0
    seeds: ClassVar[tuple[int, ...]] = (1, 1, 1, 1)

    def network(self, threat: Threat) -> nn.Module:
        """Logistic regression."""
        values = prod(threat.features)
        return Standardised(values, nn.Linear(values, threat.labels))


@dataclass(frozen=True)
class MLP(InferenceAttack):
    """Two hidden layers on all features."""

    name: ClassVar[str] = "mlp"
    suite: ClassVar[str] = BRIEF
    hidden: int = 256
    """Width of both hidden layers."""
    dropout: float = 0.5
    """Dropout rate of the hidden layers."""

    def network(self, threat: Threat) -> nn.Module:
        """A multilayer perceptron."""
        values, h = prod(threat.features), self.hidden
        layers: list[nn.Module] = []
        for width in (values, h):
            layers += [nn.Linear(width, h), nn.ReLU(), nn.Dropout(self.dropout)]
        return Standardised(values, nn.Sequential(*layers, nn.Linear(h, threat.labels)))


@dataclass(frozen=True)
class ResidualNet(InferenceAttack):
    """Three residual blocks and global average pooling: far fewer weights than AC."""

    name: ClassVar[str] = "resnet"
    suite: ClassVar[str] = BRIEF
    channels: int = 256
    """Channels of the last block at width 1; the first two have half."""

    def network(self, threat: Threat) -> nn.Module:
        """A small residual network; halves the feature map between blocks while possible."""
        width = threat.setting.width
        return residual_classifier(threat.features, threat.labels, width, self.channels)
