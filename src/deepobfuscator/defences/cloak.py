"""Cloak: noise on the picture, learned for each pixel; those that bear most are replaced.

Mireshghallah, Taram, Jalali, Elthakeb, Tullsen and Esmaeilzadeh, "Not All Features Are Equal:
Discovering Essential Features for Preserving Prediction Privacy" (WWW 2021). It uses no private
attribute and no adversary. O and C are trained for the service and stay as they are; deviations
sigma of each pixel's noise minimise

    weight * L(C) - log(mean of sigma^2).

Pixels whose sigma is above a threshold then give way to constants, which minimise L(C); the others
keep their noise.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from deepobfuscator.core.errors import InputError
from deepobfuscator.core.runtime import Context
from deepobfuscator.data.table import Task
from deepobfuscator.defences.base import NetworkDefence
from deepobfuscator.defences.tail import served
from deepobfuscator.defences.undefended import undefended
from deepobfuscator.defences.vib import drawn
from deepobfuscator.nn.vgg import Encoder
from deepobfuscator.training.objectives import Phase, Players, Round, TrainConfig, stage, update

RATE = 30.0
"""Learning rate of noise and constants, as a multiple of the setting's: they have far to go."""
START = -2.0
"""Of rho, where sigma = most (1 + tanh rho) / 2: sigma begins at 1.8 % of its most."""


class PixelCloak(nn.Module):
    """Pictures (n, 3, H, W) with learned noise, some pixels of which are constants."""

    def __init__(self, size: tuple[int, int], most: float, threshold: float) -> None:
        super().__init__()
        self.most, self.threshold = most, threshold
        self.rho = nn.Parameter(torch.full((3, *size), START))
        self.constants = nn.Parameter(torch.full((3, *size), 0.5))

    @property
    def sigma(self) -> Tensor:
        """Deviations of the noise (3, H, W)."""
        return self.most * (1 + self.rho.tanh()) / 2

    def noisy(self, pictures: Tensor) -> Tensor:
        """Noise alone."""
        return drawn(pictures, self.sigma)

    def forward(self, pictures: Tensor) -> Tensor:
        """Noise and constants, of which only these learn."""
        sigma = self.sigma.detach()
        kept = sigma <= self.threshold * self.most
        return torch.where(kept, drawn(pictures, sigma), self.constants)


class Cloaked(Encoder):
    """An encoder of cloaked pictures."""

    stochastic = True

    def __init__(self, front: Encoder, cloak: PixelCloak) -> None:
        super().__init__()
        self.front, self.cloak = front, cloak
        self.features, self.wire_bits = front.features, front.wire_bits

    def forward(self, pictures: Tensor) -> Tensor:
        """(n, 3, H, W) to (n, *features)."""
        return self.front(self.cloak(pictures))  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Cloak(NetworkDefence):
    """The undefended networks as they are, on pictures with learned noise and constants."""

    name: ClassVar[str] = "cloak"
    contender: ClassVar[bool] = False
    assumptions: ClassVar[tuple[str, ...]] = (
        "The authors send the cloaked picture; here the undefended encoder runs on it, as for "
        "every defence, and its features leave.",
        "Noise and constants are learned for half of the passes each.",
    )

    most: float = 1.0
    """Largest standard deviation of the noise, for pictures in [0, 1]."""
    weight: float = 1.0
    """Weight of the service's loss against the noise."""
    threshold: float = 0.5
    """Pixels are replaced whose deviation is above this part of the largest."""

    def __post_init__(self) -> None:
        if self.most <= 0:
            raise InputError("--most must be above 0")
        if self.weight < 0:
            raise InputError("--weight must not be negative")
        if not 0 < self.threshold <= 1:
            raise InputError("--threshold must be above 0 and at most 1")

    def players(self, task: Task, config: TrainConfig, context: Context) -> Players:
        """As the undefended's, O with its cloak."""
        players = super().players(task, config, context)
        encoder = players["O"]
        assert isinstance(encoder, Encoder)
        cloak = context.place(PixelCloak(config.size, self.most, self.threshold))
        return players | {"O": Cloaked(encoder, cloak)}

    def parts(self, players: Players) -> Players:
        """The encoder as O, and its cloak T."""
        encoder = players["O"]
        assert isinstance(encoder, Cloaked)
        return players | {"O": encoder.front, "T": encoder.cloak}

    def phases(self, config: TrainConfig) -> list[Phase]:
        """Service on plain pictures, then the noise, then the constants."""
        half = config.game_epochs / 2
        perturb = (stage("learn noise", update("T", loss=self.perturb)),)
        suppress = (stage("learn constants", update("T", loss=self.suppress)),)
        return [
            *undefended(self).phases(config),
            Phase("learn noise", half, perturb, RATE, steady=True),
            Phase("learn constants", half, suppress, RATE, steady=True),
        ]

    def perturb(self, r: Round) -> Tensor:
        """L(C) of noisy pictures, weighted, less the logarithm of the noise."""
        cloak, pictures = _cloak(r)
        r.noted["L_noise"] = -(cloak.sigma**2).mean().log()
        return self.weight * served(r, r.output("O", cloak.noisy(pictures))) + r.noted["L_noise"]

    def suppress(self, r: Round) -> Tensor:
        """L(C) of pictures with noise and constants; the deviations stay."""
        cloak, pictures = _cloak(r)
        return served(r, r.output("O", cloak(pictures)))


def _cloak(r: Round) -> tuple[PixelCloak, Tensor]:
    cloak, pictures = r.players["T"], r.batch.pictures
    assert isinstance(cloak, PixelCloak)
    assert pictures is not None
    return cloak, pictures
