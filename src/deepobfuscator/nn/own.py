"""Networks that a user chose in place of the paper's (section 3.2: any architecture may be)."""

from collections.abc import Callable
from math import prod
from typing import TypeAlias

import torch
from torch import Tensor, nn

from deepobfuscator.core.errors import InputError
from deepobfuscator.nn.fit import Shape
from deepobfuscator.nn.vgg import Encoder

EncoderBuilder: TypeAlias = Callable[[tuple[int, int], int], nn.Module]
"""((height, width) in px, input channels) to a module, which turns (n, channels, height, width) in
[0, 1] into features (n, c, h, w) or (n, ...)."""

ClassifierBuilder: TypeAlias = Callable[[Shape, int], nn.Module]
"""(shape of one sample's features, labels) to a module from (n, *shape) to logits (n, labels)."""


class OwnEncoder(Encoder):
    """A user's encoder as O; features that are no map are flattened."""

    own = True

    def __init__(self, build: EncoderBuilder, size: tuple[int, int]) -> None:
        super().__init__()
        self.module = built(build, size, 3)
        found = tried(self.module, build, (3, *size))
        self.features = found if len(found) == 3 else (prod(found),)
        self.wire_bits = 32 * prod(found)

    def forward(self, pictures: Tensor) -> Tensor:
        """(n, 3, H, W) in [0, 1] to (n, *features)."""
        features: Tensor = self.module(pictures)
        return features.reshape(len(pictures), *self.features)


def own_classifier(build: ClassifierBuilder, features: Shape, labels: int) -> nn.Module:
    """A user's network as C or AC; InputError unless it gives one logit for each label."""
    module = built(build, features, labels)
    if (found := tried(module, build, features)) != (labels,):
        raise InputError(
            f"{name_of(build)} gives shape {found} for one sample: it must give {labels} logits"
        )
    module.own = True  # type: ignore[assignment]
    return module


def built(build: Callable[..., nn.Module], *arguments: object) -> nn.Module:
    """The module that ``build`` makes; InputError where it fails or makes something else."""
    try:
        module = build(*arguments)
    except Exception as error:
        raise InputError(
            f"{name_of(build)}{arguments} fails ({type(error).__name__}: {error}): it must build a "
            "module from these arguments"
        ) from error
    if not isinstance(module, nn.Module):
        raise InputError(f"{name_of(build)} gives a {type(module).__name__}, not an nn.Module")
    return module


@torch.no_grad()
def tried(module: nn.Module, build: Callable[..., nn.Module], shape: Shape) -> Shape:
    """Shape of what ``module`` gives for one sample of ``shape``; InputError where it fails."""
    training = module.training
    try:
        answer = module.eval()(torch.zeros((2, *shape)))
    except Exception as error:
        raise InputError(
            f"the module of {name_of(build)} fails on shape {(2, *shape)} "
            f"({type(error).__name__}: {error})"
        ) from error
    module.train(training)
    if not isinstance(answer, Tensor) or answer.dim() < 2 or len(answer) != 2:
        raise InputError(
            f"the module of {name_of(build)} must give one tensor whose first axis is the batch"
        )
    return tuple(answer.shape[1:])


def name_of(build: Callable[..., nn.Module]) -> str:
    """How messages call a builder."""
    return str(getattr(build, "__qualname__", build))
