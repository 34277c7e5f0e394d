"""Colour channels that a reconstructor inverts: a local optimum of MS-SSIM."""

import torch
from torch import Tensor

from deepobfuscator.attacks.threat import AttackerData, Guess
from deepobfuscator.core.runtime import Context
from deepobfuscator.data.augment import as_input
from deepobfuscator.training.bundle import apply

LOOKED_AT = 256
"""Number of inputs on which inverted channels are detected."""
INVERTED = -0.25
"""A channel is inverted if its correlation with the true one is below this; a badly learned one is
near 0."""
BEHIND = 0.4
"""A channel whose correlation lags the best one's by this much was inverted too and has recovered
halfway."""


def correlations(rebuilt: Tensor, truth: Tensor) -> Tensor:
    """(3,) Pearson's correlation of each channel of images (n, 3, H, W) over all their pixels; 0
    where one of them is constant.
    """
    one, other = (x.double().transpose(0, 1).flatten(1) for x in (rebuilt, truth))
    one, other = one - one.mean(1, keepdim=True), other - other.mean(1, keepdim=True)
    scale = one.square().sum(1).sqrt() * other.square().sum(1).sqrt()
    return torch.where(scale > 1e-9, (one * other).sum(1) / scale.clamp(min=1e-9), 0.0)


def any_inverted(guess: Guess, own: AttackerData, context: Context) -> bool:
    """Whether ``guess`` inverts a colour channel of the attacker's inputs, or reconstructs it far
    worse than another.
    """
    rows = own.chunks()[0][:LOOKED_AT]
    rebuilt = apply(guess, own.features_of(rows), context)
    found = correlations(rebuilt, as_input(own.pictures(rows), context.device))
    return float(found.min()) < max(INVERTED, float(found.max()) - BEHIND)
