"""The game as in the paper: players, losses, stages, phases.

Everything that trains is a list of phases, a phase is a cycle of stages, and a stage says which
players move and by which loss (equations 1 to 9).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from deepobfuscator.core.errors import InputError
from deepobfuscator.core.runtime import Context
from deepobfuscator.data.batches import Batch, Material
from deepobfuscator.metrics.images import ms_ssim

Players: TypeAlias = dict[str, nn.Module]
"""O, C, AC and AR by name, as far as a game has them."""


@dataclass(frozen=True)
class TrainConfig:
    """Training lengths and sizes: shared by all defences of a comparison."""

    size: tuple[int, int] = (64, 64)
    """Height and width of an input in px; from 32 up, and to train multiples of 4."""
    width: float = 0.25
    """Channel multiplier of every network; the paper's is 1."""
    batch_size: int = 64
    """Inputs per batch (section 4.1: 64), over all processes together."""
    learning_rate: float = 1e-3
    """Adam's peak learning rate, reached after the first 5 % of a phase."""
    epochs: float = 6.0
    """Passes over the defender's inputs for O and C together."""
    adversary_epochs: float = 2.0
    """Passes for AC and AR on the frozen O, before the game."""
    game_epochs: float = 12.0
    """Passes for the game itself, whose stages alternate batch by batch: a round of Algorithm 1's
    four stages takes four batches."""
    infer_epochs: float = 4.0
    """Passes over the attacker's inputs for each newly trained attribute attacker."""
    reconstruct_epochs: float = 5.0
    """Passes over the attacker's inputs for each newly trained reconstructor."""
    seed: int = 0
    """Seeds initial weights, batches and noise."""

    def __post_init__(self) -> None:
        if min(self.size) < 32:
            raise InputError(
                f"--size {self.size[0]}x{self.size[1]}: height and width must be at least 32"
            )
        for name in ("width", "learning_rate", "epochs", "infer_epochs", "reconstruct_epochs"):
            if not getattr(self, name) > 0:
                raise InputError(f"--{name.replace('_', '-')} must be above 0")
        for name in ("adversary_epochs", "game_epochs", "seed"):
            if getattr(self, name) < 0:
                raise InputError(f"--{name.replace('_', '-')} must not be negative")
        if self.batch_size < 2:
            raise InputError("--batch-size must be at least 2: batch norm needs company")

    def per_pass(self, inputs: int) -> int:
        """Batches in a pass over so many inputs; the last ones that fill no batch are left out."""
        return max(1, inputs // self.batch_size)


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Equations 1 and 3: summed over attributes, mean over the batch."""
    entropies = functional.binary_cross_entropy_with_logits(
        logits.float(), labels, reduction="none"
    )
    return entropies.sum(1).mean()


class Round:
    """One batch of the game; each property is computed once, and only if a loss uses it."""

    def __init__(
        self, players: Mapping[str, nn.Module], batch: Batch, moving: set[str], context: Context
    ) -> None:
        self.players, self.batch, self.moving, self.context = players, batch, moving, context
        self.noted: dict[str, Tensor] = {}

    @cached_property
    def features(self) -> Tensor:
        """O(I); without a graph if O does not move."""
        if self.batch.features is not None:
            return self.batch.features
        assert self.batch.pictures is not None
        with torch.set_grad_enabled("O" in self.moving), self.context.autocast():
            return self.players["O"](self.batch.pictures)  # type: ignore[no-any-return]

    def output(self, player: str, given: Tensor | None = None) -> Tensor:
        """Output of ``player`` for what is ``given``, or else for the features."""
        features = self.features if given is None else given
        with self.context.autocast():
            return self.players[player](features)  # type: ignore[no-any-return]

    @cached_property
    def public_logits(self) -> Tensor:
        """C(O(I)) before its sigmoid, (n, M)."""
        return self.output("C")

    @cached_property
    def private_logits(self) -> Tensor:
        """AC(O(I)) before its sigmoid, (n, K)."""
        return self.output("AC")

    @cached_property
    def reconstruction(self) -> Tensor:
        """I_r = AR(O(I)), (n, 3, H, W) in [0, 1]."""
        return self.output("AR")

    @cached_property
    def L_C(self) -> Tensor:  # noqa: N802
        """L(C), equation 1."""
        assert self.batch.public is not None
        return cross_entropy(self.public_logits, self.batch.public)

    @cached_property
    def L_AC(self) -> Tensor:  # noqa: N802
        """L(AC), equation 3."""
        assert self.batch.private is not None
        return cross_entropy(self.private_logits, self.batch.private)

    @cached_property
    def L_AR1(self) -> Tensor:  # noqa: N802
        """L(AR1) = 1 - MS-SSIM(I_o, I_r), equation 6."""
        assert self.batch.pictures is not None
        return 1 - ms_ssim(self.reconstruction, self.batch.pictures).mean()

    def L_AR2(self, mean: float, deviation: float) -> Tensor:  # noqa: N802
        """L(AR2) = 1 - MS-SSIM(I_noise, I_r), equation 8; one Gaussian image for each input,
        redrawn every batch and clipped to [0, 1].
        """
        noise = torch.randn(self.reconstruction.shape, device=self.reconstruction.device)
        noise = noise.mul_(deviation).add_(mean).clamp_(0, 1)
        loss = 1 - ms_ssim(self.reconstruction, noise).mean()
        self.noted["L_AR2"] = loss
        return loss

    def losses(self) -> dict[str, Tensor]:
        """The losses computed so far, by name."""
        found = {k: v for k, v in vars(self).items() if k.startswith("L_")} | self.noted
        return {k: v.detach() for k, v in found.items()}


Loss: TypeAlias = Callable[[Round], Tensor]


@dataclass(frozen=True)
class Update:
    """One optimiser step of ``movers`` down ``loss``."""

    movers: tuple[str, ...]
    loss: Loss


@dataclass(frozen=True)
class Stage:
    """The updates on one batch; ``repeat`` of them on the same features."""

    name: str
    updates: tuple[Update, ...]
    repeat: int = 1
    by_batch: bool = False
    """Whether batch norm of the players that do not move uses the batch's statistics, like that of
    the movers; else their running ones."""
    own_adam: bool = False
    """Whether the movers' Adam keeps separate moments for this stage; else stages share them."""

    @property
    def movers(self) -> set[str]:
        """Exactly the players that move in this stage."""
        return {name for u in self.updates for name in u.movers}

    def optimiser(self, mover: str) -> str:
        """Name of the optimiser that moves ``mover`` in this stage."""
        return f"{mover}, {self.name}" if self.own_adam else mover


@dataclass(frozen=True)
class Phase:
    """``stages`` in turn, one per batch, for ``epochs`` passes; the cycle runs on across epochs."""

    name: str
    epochs: float
    stages: tuple[Stage, ...]
    rate: float = 1.0
    """Learning rate, as a multiple of the setting's."""
    anneal: bool = True
    """Whether the learning rate decays along a cosine; else it stays at its peak."""
    score: Callable[[Players], float] | None = None
    """If given, the movers' state with the highest score at an epoch's end is kept."""
    watch: Callable[[int, Players], None] | None = None
    """If given, called after every batch with the number of batches of the phase so far and the
    players, which it must not change. A game resumed from a checkpoint repeats some calls."""
    schedule: Callable[[float, Players], None] | None = None
    """If given, called before every batch with the fraction of the phase that is done, in [0, 1),
    and the players, to set what changes on a schedule (buffers, never weights)."""
    prepare: Callable[[Players, Material, Context], None] | None = None
    """If given, called before the first batch with the players, which it may change, and what they
    are trained on; a game resumed from a checkpoint of that moment repeats the call."""
    rates: Mapping[str, float] = field(default_factory=dict)
    """Learning rate of single players, as a multiple of the phase's."""
    renew: Mapping[str, int] = field(default_factory=dict)
    """Players that start anew from random weights, and after how many rounds each time."""
    steady: bool = False
    """Whether a stage runs the same computation for every batch, regardless of history, so that a
    GPU may record it once and replay it; false for a loss with state or a schedule."""

    @property
    def movers(self) -> list[str]:
        """Every player that moves in this phase."""
        return sorted(set().union(*(s.movers for s in self.stages)))

    def renewed(self, batch: int) -> list[str]:
        """The players that start anew before the batch of this number, from 0."""
        each = len(self.stages)
        return [n for n, rounds in self.renew.items() if batch and batch % (rounds * each) == 0]

    def batches(self, per_pass: int) -> int:
        """Batches of the whole phase, if a pass over the inputs has ``per_pass``."""
        return max(1, math.ceil(self.epochs * per_pass)) if self.epochs else 0

    def rounds(self, per_pass: int) -> int:
        """Number of full cycles of the stages: Algorithm 1's iterations, the length by which games
        are compared; a pass has as many batches as the data, whatever the stages.
        """
        return self.batches(per_pass) // len(self.stages)


def update(*movers: str, loss: Loss) -> Update:
    """``movers`` take one step down ``loss``."""
    return Update(movers, loss)


def stage(name: str, *updates: Update, repeat: int = 1) -> Stage:
    """A stage, in the paper's notation."""
    return Stage(name, updates, repeat)


RECONSTRUCT = update("AR", loss=lambda r: r.L_AR1)
"""Equation 7."""
INFER = update("AC", loss=lambda r: r.L_AC)
"""Equation 4."""
