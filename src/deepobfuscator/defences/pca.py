"""Principal components: a linear bottleneck after the undefended encoder.

Pearson, "On lines and planes of closest fit to systems of points in space" (1901). Of the features
x, the device sends the k numbers V' (x - E[x]), with V the first k principal components; the cloud
goes on from E[x] + V V' (x - E[x]). It uses no private attribute and no adversary.
"""

from dataclasses import dataclass
from math import prod
from typing import ClassVar

import torch
from torch import Tensor, nn

from deepobfuscator.core.errors import InputError
from deepobfuscator.core.rows import evenly_spaced
from deepobfuscator.core.runtime import Context
from deepobfuscator.data.batches import Labelled, Material
from deepobfuscator.data.table import Task
from deepobfuscator.defences.tail import TailDefence, frozen, served
from deepobfuscator.nn.vgg import Encoder, Tailed
from deepobfuscator.training.objectives import Phase, Players, Round, TrainConfig, stage, update

PICTURES = 2048
"""Most pictures whose features are decomposed."""
VALUES = 1 << 27
"""Most of their values: 1 GB in float64."""
LEAST = 1e-10
"""Share of the largest variance below which a component is none."""


class Components(nn.Module):
    """Features to their first k principal components and back."""

    mean: Tensor
    basis: Tensor

    def __init__(self, features: tuple[int, ...], k: int) -> None:
        super().__init__()
        self.features = features
        self.register_buffer("mean", torch.zeros(prod(features)))
        self.register_buffer("basis", torch.zeros(prod(features), k))

    def settle(self, samples: Tensor) -> None:
        """Take the components of samples (n, ...).

        Raises:
            InputError: they have fewer than k.
        """
        flat, k = samples.flatten(1).double(), self.basis.shape[1]
        mean = flat.mean(0)
        away = flat - mean
        # Of fewer samples than values: the products of samples have the same eigenvalues.
        variances, vectors = torch.linalg.eigh(away @ away.T)
        there = int((variances > LEAST * variances[-1]).sum())
        if k > there:
            raise InputError(
                f"--components {k}: the features of {len(samples):,} pictures have only {there}"
            )
        first = vectors[:, -k:].flip(1)
        self.mean.copy_(mean)
        self.basis.copy_(away.T @ first / variances[-k:].flip(0).sqrt())

    def forward(self, features: Tensor) -> Tensor:
        """(n, ...) to (n, k), float32."""
        return (features.float().flatten(1) - self.mean) @ self.basis

    def restored(self, code: Tensor) -> Tensor:
        """(n, k) to features (n, ...)."""
        return (self.mean + code.float() @ self.basis.T).reshape(-1, *self.features)


class Restoring(nn.Module):
    """A classifier of features that is sent their components."""

    def __init__(self, components: Components, classifier: nn.Module) -> None:
        super().__init__()
        self.components, self.classifier = components, classifier

    def forward(self, code: Tensor) -> Tensor:
        """(n, k) to (n, labels) logits."""
        return self.classifier(self.components.restored(code))  # type: ignore[no-any-return]


@dataclass(frozen=True)
class PCA(TailDefence):
    """Principal components of the undefended features; C is trained on what they restore."""

    name: ClassVar[str] = "pca"
    contender: ClassVar[bool] = False
    assumptions: ClassVar[tuple[str, ...]] = (
        "The components are those of the features of at most 2,048 of the defender's pictures, "
        "evenly spaced and not augmented.",
    )

    components: int = 8
    """k, the number of values that leave the device, as float32."""

    def __post_init__(self) -> None:
        if self.components < 1:
            raise InputError("--components must be at least 1")

    def build_tail(self, encoder: Encoder, task: Task, config: TrainConfig) -> nn.Module:
        """The projection."""
        return Components(encoder.features, self.components)

    def players(self, task: Task, config: TrainConfig, context: Context) -> Players:
        """O gives components; C restores features of them first."""
        players = super().players(task, config, context)
        encoder = players["O"]
        assert isinstance(encoder, Tailed)
        assert isinstance(encoder.tail, Components)
        encoder.features, encoder.wire_bits = (self.components,), 32 * self.components
        # One module in both: what is settled on the device is settled in the cloud.
        return players | {"C": Restoring(encoder.tail, players["C"])}

    def parts(self, players: Players) -> Players:
        """O, T and the classifier of whole features."""
        cloud = players["C"]
        assert isinstance(cloud, Restoring)
        return super().parts(players) | {"C": cloud.classifier}

    def phases(self, config: TrainConfig) -> list[Phase]:
        """Service of whole features, then C alone on what is restored."""
        recover = (stage("recover C", update("C", loss=self.recover)),)
        return [
            *super().phases(config),
            Phase("recover C", config.game_epochs, recover, prepare=self.decompose, steady=True),
        ]

    def decompose(self, players: Players, material: Material, context: Context) -> None:
        """Settle T on the frozen O's features."""
        tail = players["T"]
        assert isinstance(material, Labelled)
        assert isinstance(tail, Components)
        most = max(2, min(PICTURES, VALUES // len(tail.mean)))
        rows = evenly_spaced(len(material), most)
        tail.settle(frozen(players, material.pictures[rows], context))

    def recover(self, r: Round) -> Tensor:
        """L(C) of restored features."""
        tail = r.players["T"]
        assert isinstance(tail, Components)
        return served(r, tail.restored(r.output("T")))
