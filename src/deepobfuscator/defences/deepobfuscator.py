"""The paper's defence: a game against a classifier and a reconstructor at once (Algorithm 1)."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import ClassVar

from torch import Tensor, nn

from deepobfuscator.core.config import LATER
from deepobfuscator.core.errors import InputError
from deepobfuscator.data.table import Task
from deepobfuscator.defences.base import SERVICE, NetworkDefence
from deepobfuscator.defences.maxent import from_half
from deepobfuscator.nn.decoders import mirror
from deepobfuscator.nn.resnet import residual_classifier
from deepobfuscator.nn.vgg import Classifier, Encoder
from deepobfuscator.training.objectives import (
    INFER,
    RECONSTRUCT,
    Phase,
    Players,
    Round,
    Stage,
    TrainConfig,
    stage,
    update,
)

VGG = "vgg"
ERROR, ENTROPY = "error", "entropy"
NETWORKS: dict[str, Callable[[Encoder, int, TrainConfig], nn.Module]] = {
    VGG: lambda o, labels, s: Classifier(o.features, labels, s.size, s.width),
    "resnet": lambda o, labels, s: residual_classifier(o.features, labels, s.width),
}
"""Architectures of C and of AC."""

CHOICES = {
    "service_network": tuple(NETWORKS),
    "adversary_network": tuple(NETWORKS),
    "frozen_norm": ("running", "batch"),
    "adam": ("shared", "own"),
    "reduction": ("sum", "mean"),
    "ac_goal": (ERROR, ENTROPY),
}
"""Options of a few words: what the paper leaves open, with its possible readings, and `ac_goal`."""


@dataclass(frozen=True)
class DeepObfuscator(NetworkDefence):
    """Algorithm 1; with one λ at 0, its stage and its adversary are left out (section 4.2)."""

    name: ClassVar[str] = "deepobfuscator"
    assumptions: ClassVar[tuple[str, ...]] = (
        "The noise image of equation 8 is Gaussian, drawn anew for every picture and batch with "
        "the card's mean and deviation, and clipped to [0, 1].",
        "The learning rate stays at its peak in the game. Were it to fall, O would slow down and "
        "the game's own adversaries would end far above chance.",
        "The turn of the four stages, one batch each, runs on across epochs.",
    )

    lambda1: float = 1.0
    """λ1, weight of the adversary classifier in equation 5; 0 leaves it out of the game."""
    lambda2: float = 1.0
    """λ2, weight of the adversary reconstructor in equation 9; 0 leaves it out of the game."""
    noise_mean: float = 0.5
    """Mean of the noise image of equation 8."""
    noise_deviation: float = 0.25
    """Standard deviation of the noise image of equation 8, before clipping to [0, 1]."""
    service_network: str = VGG
    """C's architecture: ``vgg`` (Table 1) or ``resnet`` (section 3.2: any may be chosen)."""
    adversary_network: str = VGG
    """AC's architecture in the game: ``vgg`` or ``resnet`` (section 3.3)."""

    game_rate: float = field(default=1.0, kw_only=True, metadata=LATER)
    """Learning rate of the game relative to that of the pre-training."""
    frozen_norm: str = field(default="running", kw_only=True, metadata=LATER)
    """Batch norm of the players that do not move in a stage: ``running`` statistics, or those of
    the ``batch``."""
    adam: str = field(default="shared", kw_only=True, metadata=LATER)
    """Adam's moments of O, which several stages move: ``shared``, or ``own`` for each stage."""
    reduction: str = field(default="sum", kw_only=True, metadata=LATER)
    """Reduction over attributes in the losses that move O: ``sum``, as in equations 1 and 3, or
    ``mean``."""

    ac_goal: str = field(default=ERROR, kw_only=True, metadata=LATER)
    """What O seeks of AC: its ``error``, as in equation 5, which an attacker may invert, or that it
    says one half, the most ``entropy`` (Roy and Boddeti, CVPR 2019)."""
    attacker_steps: int = field(default=1, kw_only=True, metadata=LATER)
    """k, steps of AC and AR on each of their batches in the game; the paper takes one."""
    attacker_rate: float = field(default=1.0, kw_only=True, metadata=LATER)
    """Learning rate of AC and AR in the game relative to O's and C's (two time scales)."""
    renew_every: int = field(default=0, kw_only=True, metadata=LATER)
    """n, rounds of the game after which AC and AR start anew from random weights, again and again;
    0: never, as in the paper."""

    def __post_init__(self) -> None:
        for name, known in CHOICES.items():
            if (value := getattr(self, name)) not in known:
                option = name.replace("_", "-")
                raise InputError(f"--{option} {value}: take one of {', '.join(known)}")
        for name in ("game_rate", "attacker_rate"):
            if getattr(self, name) <= 0:
                raise InputError(f"--{name.replace('_', '-')} must be above 0")
        if self.attacker_steps < 1:
            raise InputError("--attacker-steps must be at least 1")
        if self.renew_every < 0:
            raise InputError("--renew-every must not be negative")
        if min(self.lambda1, self.lambda2) < 0 or self.lambda1 + self.lambda2 == 0:
            raise InputError("--lambda1 and --lambda2 must not be negative, nor both 0")
        if self.noise_deviation <= 0:
            raise InputError("--noise-deviation must be above 0")
        for name in ("service_network", "adversary_network"):
            if self.classifier is not None and getattr(self, name) != VGG:
                option = name.replace("_", "-")
                raise InputError(f"--{option} and --classifier exclude each other: drop one")

    def build_classifier(self, encoder: Encoder, labels: int, config: TrainConfig) -> nn.Module:
        """C."""
        return self._network(self.service_network, encoder, labels, config)

    def _network(self, name: str, encoder: Encoder, labels: int, config: TrainConfig) -> nn.Module:
        if self.classifier is not None:
            return super().build_classifier(encoder, labels, config)
        return NETWORKS[name](encoder, labels, config)

    def build_adversaries(self, encoder: Encoder, task: Task, config: TrainConfig) -> Players:
        """AC, like C by default (section 3.3); AR, the mirror of O (section 3.4)."""
        players: Players = {}
        if self.lambda1:
            labels = len(task.private)
            players["AC"] = self._network(self.adversary_network, encoder, labels, config)
        if self.lambda2:
            players["AR"] = mirror(encoder.features, config.size, config.width)
        return players

    def phases(self, config: TrainConfig) -> list[Phase]:
        """Section 3.5: joint pre-training, then the adversaries', then Algorithm 1."""
        weights = {"AR": self.lambda2, "AC": self.lambda1}
        turn = self.turn(*(adversary for adversary, weight in weights.items() if weight))
        attack = (replace(turn[-2], repeat=1),)
        return [
            Phase("pre-train O, C", config.epochs, (SERVICE,), steady=True),
            Phase("pre-train AC, AR", config.adversary_epochs, attack, steady=True),
            self.game("algorithm 1", config, turn),
        ]

    def game(self, title: str, config: TrainConfig, turn: tuple[Stage, ...]) -> Phase:
        """The game's phase, cycling through ``turn``."""
        adversaries = sorted(turn[-2].movers)
        return Phase(
            title,
            config.game_epochs,
            turn,
            rate=self.game_rate,
            rates=dict.fromkeys(adversaries, self.attacker_rate),
            renew=dict.fromkeys(adversaries, self.renew_every) if self.renew_every else {},
            anneal=False,
            steady=True,
        )

    def turn(self, *adversaries: str) -> tuple[Stage, ...]:
        """The stages of a game against some of AR and AC, in the order of Algorithm 1."""
        game = {"AR": (self.against_ar, RECONSTRUCT), "AC": (self.against_ac, INFER)}
        stages = (
            *(stage(f"defend against {a}", update("O", loss=game[a][0])) for a in adversaries),
            stage("attack", *(game[a][1] for a in adversaries), repeat=self.attacker_steps),
            stage("recover C", update("C", loss=lambda r: r.L_C)),
        )
        by_batch, own = self.frozen_norm == "batch", self.adam == "own"
        return tuple(replace(one, by_batch=by_batch, own_adam=own) for one in stages)

    def reduced(self, loss: Tensor, logits: Tensor) -> Tensor:
        """L(C) or L(AC) of ``logits`` (n, K), with O's reduction over attributes."""
        return loss / logits.shape[1] if self.reduction == "mean" else loss

    def against_ar(self, r: Round) -> Tensor:
        """Equation 9: L(C) + λ2 (L(AR2) - L(AR1))."""
        unlike = r.L_AR2(self.noise_mean, self.noise_deviation) - r.L_AR1
        return self.reduced(r.L_C, r.public_logits) + self.lambda2 * unlike

    def against_ac(self, r: Round) -> Tensor:
        """Equation 5: L(C) - λ1 L(AC); or L(C) + λ1 times AC's cross-entropy against one half."""
        if self.ac_goal == ENTROPY:
            unsure = self.reduced(from_half(r.private_logits), r.private_logits)
            return self.reduced(r.L_C, r.public_logits) + self.lambda1 * unsure
        told = self.reduced(r.L_AC, r.private_logits)
        return self.reduced(r.L_C, r.public_logits) - self.lambda1 * told
