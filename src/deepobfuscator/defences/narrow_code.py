"""narrow-code: a few bits per picture leave the device, and the game is played on them.

The paper's features have ten times the raw picture's bytes, so a newly trained attacker finds what
the training adversary misses. Eight bits contain little, and an adversary on eight bits is cheap
enough to be kept near its optimum while the encoder moves.
"""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from deepobfuscator.core.config import LATER
from deepobfuscator.core.errors import InputError
from deepobfuscator.defences.base import SERVICE, Defence
from deepobfuscator.defences.maxent import from_half
from deepobfuscator.nn.decoders import Decoder, deconv, mirror
from deepobfuscator.nn.fit import Lift, Resize
from deepobfuscator.nn.vgg import Encoder, Obfuscator, conv, scaled
from deepobfuscator.training.objectives import (
    INFER,
    Phase,
    Round,
    TrainConfig,
    stage,
    update,
)

BLOCKS = (256, 256, 256)
"""Widths of the three additional blocks (conv3, maxpool) between the front and the code."""


def signs(soft: Tensor) -> Tensor:
    """The signs of values, -1 or 1; gradients pass as those of the values (straight through)."""
    hard = torch.where(soft >= 0, 1.0, -1.0)
    return hard + (soft - soft.detach())  # exactly hard: a sum with soft would be inexact


class NarrowEncoder(Encoder):
    """(n, 3, H, W) in [0, 1] to (n, bits) of -1 and 1."""

    def __init__(self, size: tuple[int, int], width: float, bits: int, flip: float = 0.0) -> None:
        super().__init__()
        self.front = Obfuscator(size, width)
        channels, *grid = self.front.features
        layers: list[nn.Module] = []
        self.maps: list[tuple[int, int, int]] = []
        for block in BLOCKS:
            self.maps.append((channels, grid[0], grid[1]))
            layers.append(conv(channels, scaled(block, width)))
            channels = scaled(block, width)
            if min(grid) >= 2:
                layers.append(nn.MaxPool2d(2))
                grid = [grid[0] // 2, grid[1] // 2]
        self.blocks = nn.Sequential(*layers)
        self.last = (channels, grid[0], grid[1])
        self.code = nn.Linear(channels * grid[0] * grid[1], bits, bias=False)
        self.norm = nn.BatchNorm1d(bits)
        self.features = (bits,)
        self.wire_bits = bits
        self.flip, self.stochastic = flip, flip > 0

    def forward(self, pictures: Tensor) -> Tensor:
        """The code, each bit flipped with probability ``flip``, redrawn at every query."""
        code = self.bits_of(pictures)
        if not self.flip:
            return code
        return torch.where(torch.rand_like(code) < self.flip, -code, code)

    def bits_of(self, pictures: Tensor) -> Tensor:
        """The sign of each value; gradients pass as if it were tanh (straight through)."""
        soft = torch.tanh(
            self.norm(self.code(self.blocks(self.front(pictures)).flatten(1)).float())
        )
        return signs(soft)

    def mirror(self, size: tuple[int, int], width: float) -> nn.Module | None:
        """Code to map, the three blocks reversed, then the mirror of the front (Table 1)."""
        layers: list[nn.Module] = [Lift(self.features[0], self.last)]
        channels = self.last[0]
        for outputs, *grid in reversed(self.maps):
            layers += [Resize((grid[0], grid[1])), deconv(channels, outputs)]
            channels = outputs
        return Decoder(*layers, *mirror(self.front.features, size, width))


@dataclass(frozen=True)
class NarrowCode(Defence):
    """A binary code, a small MLP in the cloud, and a maximum-entropy game on the code."""

    name: ClassVar[str] = "narrow-code"
    against_classifier: ClassVar[bool] = True
    assumptions: ClassVar[tuple[str, ...]] = (
        "The encoder is trained so that the game's adversary gives each private attribute "
        "probability one half (maximum entropy), not so that it errs: an error can be inverted.",
        "No reconstructor plays: the code is too narrow to hold a picture, which the audit checks.",
    )

    default_seeds: ClassVar[int] = 3

    bits: int = 8
    """B, transmission size in bits per picture."""
    lambda1: float = 1.5
    """Weight of the adversary's cross-entropy against probability one half."""
    attacker_steps: int = 4
    """Adversary steps per defender step."""
    hidden: int = 128
    """Width of the two hidden layers of C and AC."""
    flip: float = field(default=0.0, metadata=LATER)
    """f, the probability that a bit is flipped, redrawn for every message (randomised response):
    local differential privacy of B ln((1 - f) / f), for any secret."""

    def __post_init__(self) -> None:
        for name in ("bits", "attacker_steps", "hidden"):
            if getattr(self, name) < 1:
                raise InputError(f"--{name.replace('_', '-')} must be at least 1")
        if self.lambda1 < 0:
            raise InputError("--lambda1 must not be negative")
        if not 0 <= self.flip < 0.5:
            raise InputError(f"--flip {self.flip:g}: the chance of a turned bit is in [0, 0.5)")

    def build_encoder(self, config: TrainConfig) -> Encoder:
        """The conv front of the paper's O, three more blocks, B signs."""
        return NarrowEncoder(config.size, config.width, self.bits, self.flip)

    def build_classifier(self, encoder: Encoder, labels: int, config: TrainConfig) -> nn.Module:
        """A small MLP on the code; C and AC alike."""
        return nn.Sequential(
            nn.Linear(self.bits, self.hidden),
            nn.ReLU(),
            nn.Linear(self.hidden, self.hidden),
            nn.ReLU(),
            nn.Linear(self.hidden, labels),
        )

    def phases(self, config: TrainConfig) -> list[Phase]:
        """Service, adversary, then defender and adversary in turn."""
        return [
            Phase("pre-train O, C", config.epochs, (SERVICE,)),
            Phase("pre-train AC", config.adversary_epochs, (stage("attack", INFER),)),
            Phase(
                "maximum-entropy game",
                config.game_epochs,
                (
                    stage("defend", update("O", "C", loss=self.defend)),
                    stage("attack", INFER, repeat=self.attacker_steps),
                ),
            ),
        ]

    def defend(self, r: Round) -> Tensor:
        """L(C) plus λ1 times the adversary's cross-entropy against one half, summed over
        attributes.
        """
        return r.L_C + self.lambda1 * from_half(r.private_logits)
