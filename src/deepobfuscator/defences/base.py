"""The definition of a defence: players and the phases they play."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import torch
from torch import nn

from deepobfuscator.core.config import LATER
from deepobfuscator.core.registry import Family
from deepobfuscator.core.runtime import Context
from deepobfuscator.data.batches import Labelled
from deepobfuscator.data.table import Task
from deepobfuscator.nn.own import (
    ClassifierBuilder,
    EncoderBuilder,
    OwnEncoder,
    own_classifier,
)
from deepobfuscator.nn.vgg import Classifier, Encoder, Obfuscator, initialise, is_own
from deepobfuscator.training.loop import derive_seed, play
from deepobfuscator.training.objectives import Phase, Players, TrainConfig, stage, update

E = TypeVar("E", bound=Encoder)

SERVICE = stage("service", update("O", "C", loss=lambda r: r.L_C))
"""Equation 2: O and C jointly, for the service alone."""


class Defence(Family):
    """A frozen dataclass whose fields are the method's hyperparameters.

    A member sets ``name`` and defines `phases`; it overrides `build_encoder`, `build_classifier` or
    `build_adversaries` to use other networks than the paper's.
    """

    assumptions: ClassVar[tuple[str, ...]] = ()
    """Assumptions where the method's source is silent; sentences for the card."""
    trains: ClassVar[bool] = True
    """Whether there is anything to train; else it can only be audited."""
    contender: ClassVar[bool] = True
    """Whether a comparison that names no defences includes it."""
    against_classifier: ClassVar[bool] = False
    """Whether an AC like C plays."""
    default_seeds: ClassVar[int] = 1
    """Default number of seeds in a comparison; a method that claims protection needs several."""

    def build_encoder(self, config: TrainConfig) -> Encoder:
        """O."""
        return Obfuscator(config.size, config.width)

    def build_classifier(self, encoder: Encoder, labels: int, config: TrainConfig) -> nn.Module:
        """C, or AC: features to one logit per label."""
        return Classifier(encoder.features, labels, config.size, config.width)

    def build_adversaries(self, encoder: Encoder, task: Task, config: TrainConfig) -> Players:
        """The game's own AC and AR, as far as the method uses them."""
        if not self.against_classifier:
            return {}
        return {"AC": self.build_classifier(encoder, len(task.private), config)}

    @abstractmethod
    def phases(self, config: TrainConfig) -> list[Phase]:
        """The phases of the game, in order."""

    def players(self, task: Task, config: TrainConfig, context: Context) -> Players:
        """Every player with initial weights seeded by ``config.seed``, on ``context.device``."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(config.seed, *b"own"))
            encoder = self.build_encoder(config)
            classifier = self.build_classifier(encoder, len(task.public), config)
            adversaries = self.build_adversaries(encoder, task, config)
        players: Players = {"O": encoder, "C": classifier, **adversaries}
        for name, player in players.items():
            if not is_own(player):  # a user's network keeps its own initial weights
                initialise(player, derive_seed(config.seed, *name.encode()))
            context.place(player)
        return players

    def parts(self, players: Players) -> Players:
        """The networks that `phases` names: the players, or what they are made of."""
        return players

    def fit(
        self,
        task: Task,
        material: Labelled,
        config: TrainConfig,
        context: Context,
        checkpoint: Path | None = None,
    ) -> tuple[Players, Sequence[dict[str, Any]]]:
        """Train the players on ``material``; returns the frozen players and training curves."""
        players = self.players(task, config, context)
        parts, phases = self.parts(players), self.phases(config)
        history = play(parts, phases, material, config, context=context, checkpoint=checkpoint)
        for player in players.values():
            player.eval()  # the parts are; a player around them is not among these
        return players, history


class Untrained(Defence):
    """Base of an existing encoder: it can only be audited."""

    trains: ClassVar[bool] = False

    def players(self, task: Task, config: TrainConfig, context: Context) -> Players:
        """O only."""
        return {"O": self.build_encoder(config).eval()}

    def phases(self, config: TrainConfig) -> list[Phase]:
        """Nothing is trained."""
        return []


@dataclass(frozen=True)
class NetworkDefence(Defence):
    """A defence that works with any encoder and any classifier (section 3.2)."""

    encoder: EncoderBuilder | None = field(default=None, kw_only=True, metadata=LATER)
    """O's architecture, MODULE:NAME of a function of ((height, width), channels)."""
    classifier: ClassifierBuilder | None = field(default=None, kw_only=True, metadata=LATER)
    """C's and AC's architecture, MODULE:NAME of a function of (features' shape, labels)."""

    def build_encoder(self, config: TrainConfig) -> Encoder:
        """O of Table 1, or the user's."""
        return self.either(config, Obfuscator, OwnEncoder)

    def either(
        self,
        config: TrainConfig,
        paper: Callable[[tuple[int, int], float], E],
        own: Callable[[EncoderBuilder, tuple[int, int]], E],
    ) -> E:
        """What ``paper`` makes of O's size and width, or ``own`` of the user's encoder."""
        if self.encoder is None:
            return paper(config.size, config.width)
        return own(self.encoder, config.size)

    def build_classifier(self, encoder: Encoder, labels: int, config: TrainConfig) -> nn.Module:
        """C of Table 1, or the user's."""
        if self.classifier is None:
            return super().build_classifier(encoder, labels, config)
        return own_classifier(self.classifier, encoder.features, labels)
