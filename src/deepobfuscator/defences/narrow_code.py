"""narrow-code: a few bits per picture leave the device, trained against the exact adversary.

The paper's features have ten times the raw picture's bytes, so a newly trained attacker finds what
the training adversary misses. A code of B bits has 2^B values, so that the best attacker of one
picture is known: it reads the table of how often each class has each value. The encoder reduces
the total variation distance between the codes of the private classes within each combination of
public labels, which is what certificates bound. Within the labels, because the code may tell what
the service may know.

With ``attacker_steps`` above 0 an adversary network plays in place of the counts.
"""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from deepobfuscator.core.config import LATER
from deepobfuscator.core.errors import InputError
from deepobfuscator.data.table import Task
from deepobfuscator.defences.base import SERVICE, Defence
from deepobfuscator.defences.maxent import from_half
from deepobfuscator.nn.narrow import HARD, NOISY, SOFT, NarrowEncoder
from deepobfuscator.nn.vgg import Encoder
from deepobfuscator.training.objectives import (
    INFER,
    Phase,
    Players,
    Round,
    TrainConfig,
    stage,
    update,
)

MOST_BITS = 12
MEMORY = 1024
"""Pictures after which a count of codes has decayed to 1/e: the encoder moves, and a longer memory
would lag behind it."""
STRATA = 1021
"""Most combinations of public labels that are counted apart (a prime: with more, combinations share
a count by their number modulo this)."""
FIRST, SHARPEST = 2.0, 8.0
"""Factors of logits in tanh, the mean of noisy bits: at first, and before signs replace them."""
NOISE_ENDS = 0.5
"""Fraction of the second phase in which bits are noisy."""
RISE = 0.25
"""Fraction of the second phase in which the weight of the distance rises from 0."""
RAREST = 0.02
"""Classes rarer than this are weighted as if they were as frequent."""


class Counts(nn.Module):
    """How often each class had each code lately: the exact adversary of a code of few values.

    It has no weights; its counts move as running statistics of batch norm do.
    """

    table: Tensor
    """(strata, K, 2, 2^B) decayed counts, by combination of public labels and private class."""
    classes: Tensor
    """(M, 2) decayed counts of the public classes."""
    places: Tensor
    """(M,) by which labels make the number of their combination."""
    weight = 0.0
    """In [0, 1]: how much of the distance's weight applies now; not part of the state."""

    def __init__(self, public: int, private: int, bits: int) -> None:
        super().__init__()
        strata = min(2**public, STRATA)
        self.register_buffer("table", torch.zeros(strata, private, 2, 2**bits))
        self.register_buffer("classes", torch.zeros(public, 2))
        places = torch.tensor([2**j % STRATA for j in range(public)])
        self.register_buffer("places", places, persistent=False)

    def forward(self, code: Tensor, public: Tensor, private: Tensor) -> Tensor:
        """Estimated distance for each private attribute (K,), in [0, 1]: total variation between
        the codes of its two classes within public labels, averaged over those. Its gradient is that
        of the batch's codes (n, B) against the counts.
        """
        number = (public.long() * self.places).sum(1) % len(self.table)
        present, inverse = torch.unique(number, return_inverse=True)
        stratum = functional.one_hot(inverse, len(present)).float()
        sides = torch.stack([1 - private, private], 2)
        seen = torch.einsum("nu,nkz,nc->ukzc", stratum, sides, words(code))
        with torch.no_grad():
            if self.training:
                self.table.mul_(1 - len(code) / MEMORY).index_add_(0, present, seen)
                ones = public.sum(0)
                now = torch.stack([len(code) - ones, ones], 1)
                self.classes.mul_(1 - len(code) / MEMORY).add_(now)
            known = self.table[present]
            total = known.sum(3, keepdim=True).clamp(min=1e-6)
            law = known / total
            gap = law[:, :, 1] - law[:, :, 0]
            error = (law / total).sum(2).sqrt()
            # The sign, softened where the counts cannot tell it: it would turn with every batch.
            witness = gap / (gap.abs() + error).clamp(min=1e-9)
            share = known[:, 0].sum((1, 2)) / self.table[:, 0].sum().clamp(min=1e-6)
            exact = gap.abs().sum(2)
        several = seen.sum(3)
        means = seen / several[..., None].clamp(min=1e-6)
        apart = (witness * (means[:, :, 1] - means[:, :, 0])).sum(2)
        apart = apart * (several > 0).all(2)
        moved = apart - apart.detach() + exact
        return (0.5 * share[:, None] * moved).sum(0)

    def balance(self, public: Tensor) -> Tensor:
        """Weights (n, M) under which both classes of each public attribute count equally."""
        shares = self.classes / self.classes.sum(1, keepdim=True).clamp(min=1e-6)
        weights = 0.5 / shares.clamp(min=RAREST)
        return torch.where(public > 0.5, weights[:, 1], weights[:, 0])


def words(code: Tensor) -> Tensor:
    """Probability of each of the 2^B values (n, 2^B), for bits (n, B) in [-1, 1] taken as
    independent with mean ``code``; the first bit is the most significant.
    """
    chance = (1 + code) / 2
    cells = torch.ones_like(code[:, :1])
    for bit in chance.unbind(1):
        cells = (cells[:, :, None] * torch.stack([1 - bit, bit], 1)[:, None]).flatten(1)
    return cells


@dataclass(frozen=True)
class NarrowCode(Defence):
    """A binary code, a small MLP in the cloud, and the exact adversary, or a game against AC."""

    name: ClassVar[str] = "narrow-code"
    against_classifier: ClassVar[bool] = True
    assumptions: ClassVar[tuple[str, ...]] = (
        "With the exact adversary both classes of a public attribute count equally in L(C); bits "
        "are soft (tanh) in the first phase, in the second drawn with less and less noise, and "
        "signs in its second half; the weight of the distance rises over its first quarter.",
        "Against a network the encoder is trained so that AC gives each private attribute "
        "probability one half (maximum entropy), not so that it errs: an error can be inverted.",
        "No reconstructor plays: the code is too narrow to hold a picture, which the audit checks.",
    )

    default_seeds: ClassVar[int] = 3

    bits: int = 2
    """B, transmission size in bits per picture: at least one for each public attribute."""
    lambda1: float = 2.0
    """Weight of the distance between the codes of the private classes, or of AC's cross-entropy
    against probability one half."""
    attacker_steps: int = 0
    """0: the exact adversary, for at most 12 bits; else steps of a network AC per defender step."""
    hidden: int = 128
    """Width of the two hidden layers of C and AC."""
    flip: float = field(default=0.0, metadata=LATER)
    """f, the probability that a bit is flipped, redrawn for every message (randomised response):
    local differential privacy of B ln((1 - f) / f), for any secret."""

    def __post_init__(self) -> None:
        for name in ("bits", "hidden"):
            if getattr(self, name) < 1:
                raise InputError(f"--{name} must be at least 1")
        for name in ("attacker_steps", "lambda1"):
            if getattr(self, name) < 0:
                raise InputError(f"--{name.replace('_', '-')} must not be negative")
        if self.bits > MOST_BITS and not self.attacker_steps:
            raise InputError(
                f"--bits {self.bits}: all 2^bits codes are counted, for at most {MOST_BITS} bits; "
                "for more, give --attacker-steps 4 --lambda1 1.5"
            )
        if not 0 <= self.flip < 0.5:
            raise InputError(f"--flip {self.flip:g}: the chance of a turned bit is in [0, 0.5)")

    def build_encoder(self, config: TrainConfig) -> Encoder:
        """The conv front of the paper's O, three more blocks, B signs."""
        return NarrowEncoder(config.size, config.width, self.bits, self.flip)

    def build_classifier(self, encoder: Encoder, labels: int, config: TrainConfig) -> nn.Module:
        """A small MLP on the code."""
        return nn.Sequential(
            nn.Linear(self.bits, self.hidden),
            nn.ReLU(),
            nn.Linear(self.hidden, self.hidden),
            nn.ReLU(),
            nn.Linear(self.hidden, labels),
        )

    def build_adversaries(self, encoder: Encoder, task: Task, config: TrainConfig) -> Players:
        """AC, or the counts T."""
        if self.attacker_steps:
            return super().build_adversaries(encoder, task, config)
        return {"T": Counts(len(task.public), len(task.private), self.bits)}

    def phases(self, config: TrainConfig) -> list[Phase]:
        """Service on soft bits, then service and distance on noisy bits and on signs; with AC
        service, AC, then defender and AC in turn, on hard bits throughout.
        """
        if self.attacker_steps:
            game = (
                stage("defend", update("O", "C", loss=self.against_network)),
                stage("attack", INFER, repeat=self.attacker_steps),
            )
            return [
                Phase("pre-train O, C", config.epochs, (SERVICE,)),
                Phase("pre-train AC", config.adversary_epochs, (stage("attack", INFER),)),
                Phase("maximum-entropy game", config.game_epochs, game),
            ]
        train = (stage("defend", update("O", "C", "T", loss=self.against_counts)),)
        return [
            Phase("pre-train O, C", config.epochs, train, schedule=at_first),
            Phase("reduce the distance", config.game_epochs, train, schedule=harden),
        ]

    def against_counts(self, r: Round) -> Tensor:
        """L(C) with balanced classes plus λ1 times the distance, summed over attributes."""
        counts = r.players["T"]
        assert isinstance(counts, Counts)
        assert r.batch.public is not None
        assert r.batch.private is not None
        distance: Tensor = counts(r.features, r.batch.public, r.batch.private).sum()
        entropies = functional.binary_cross_entropy_with_logits(
            r.public_logits.float(),
            r.batch.public,
            counts.balance(r.batch.public),
            reduction="none",
        )
        service = entropies.sum(1).mean()
        r.noted |= {"L_C": service, "L_TV": distance}
        return service + self.lambda1 * counts.weight * distance

    def against_network(self, r: Round) -> Tensor:
        """L(C) plus λ1 times AC's cross-entropy against one half, summed over attributes: an
        adversary that errs could be inverted.
        """
        return r.L_C + self.lambda1 * from_half(r.private_logits)


def at_first(done: float, players: Players) -> None:
    """Soft bits, no weight on the distance."""
    _schedule(players, SOFT)


def harden(done: float, players: Players) -> None:
    """Bits with less and less noise, then signs; a rising weight."""
    sharpness = FIRST + (SHARPEST - FIRST) * done / NOISE_ENDS
    form = NOISY if done < NOISE_ENDS else HARD
    _schedule(players, form, sharpness, min(1.0, done / RISE))


def _schedule(players: Players, form: str, sharpness: float = 1.0, weight: float = 0.0) -> None:
    encoder, counts = players["O"], players["T"]
    assert isinstance(encoder, NarrowEncoder)
    assert isinstance(counts, Counts)
    encoder.form, encoder.sharpness, counts.weight = form, sharpness, weight
