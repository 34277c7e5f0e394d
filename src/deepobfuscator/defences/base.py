"""What a defence is: players and the phases they play."""

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch

from deepobfuscator.core.registry import Family
from deepobfuscator.core.runtime import Context
from deepobfuscator.data.batches import Labelled
from deepobfuscator.data.table import Task
from deepobfuscator.nn.vgg import Classifier, Encoder, Obfuscator, initialise
from deepobfuscator.training.loop import derive_seed, play
from deepobfuscator.training.objectives import Phase, Players, TrainConfig, stage, update

SERVICE = stage("service", update("O", "C", loss=lambda r: r.L_C))
"""Equation 2: O and C together, without a thought of privacy."""


class Defence(Family):
    """A frozen dataclass whose fields are the method's hyperparameters.

    A member sets ``name`` and gives `phases`; it overrides `encoder`, `classifier` or `adversaries`
    where it brings other networks than the paper's.
    """

    assumptions: ClassVar[tuple[str, ...]] = ()
    """What the method takes for granted where its source is silent; sentences for the card."""
    trains: ClassVar[bool] = True
    """Whether there is anything to train; else it stands in an audit alone."""
    contender: ClassVar[bool] = True
    """Whether a comparison that names no defences has it."""
    default_seeds: ClassVar[int] = 1
    """Seeds in a comparison that names none; a method that claims protection shows several."""

    def encoder(self, setting: TrainConfig) -> Encoder:
        """O."""
        return Obfuscator(setting.size, setting.width)

    def classifier(self, encoder: Encoder, labels: int, setting: TrainConfig) -> torch.nn.Module:
        """C, or AC: features to one logit per label."""
        return Classifier(encoder.features, labels, setting.size, setting.width)

    def adversaries(self, encoder: Encoder, task: Task, setting: TrainConfig) -> Players:
        """The game's own AC and AR, as far as the method plays against them."""
        return {}

    @abstractmethod
    def phases(self, setting: TrainConfig) -> list[Phase]:
        """What is played, in order."""

    def players(self, task: Task, setting: TrainConfig, context: Context) -> Players:
        """Every player at initial weights drawn from ``setting.seed``, on ``context.device``."""
        encoder = self.encoder(setting)
        players: Players = {"O": encoder, "C": self.classifier(encoder, len(task.public), setting)}
        players |= self.adversaries(encoder, task, setting)
        for name, player in players.items():
            initialise(player, derive_seed(setting.seed, *name.encode()))
            context.place(player)
        return players

    def fit(
        self,
        task: Task,
        material: Labelled,
        setting: TrainConfig,
        context: Context,
        checkpoint: Path | None = None,
    ) -> tuple[Players, Sequence[dict[str, Any]]]:
        """Train the players on ``material``; gives them frozen, and the training curves."""
        players = self.players(task, setting, context)
        history = play(players, self.phases(setting), material, setting, context, checkpoint)
        return players, history
