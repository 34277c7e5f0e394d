"""Common trials by name."""

from dataclasses import dataclass, field
from typing import Any

from deepobfuscator.core.errors import InputError
from deepobfuscator.core.registry import suggest
from deepobfuscator.training.objectives import TrainConfig


@dataclass(frozen=True)
class Preset:
    """Values of trial and setting fields, taken where the command line says nothing."""

    purpose: str
    """When to take it."""
    setting: dict[str, Any]
    """Fields of `TrainConfig`."""
    trial: dict[str, Any]
    """Fields of `Trial`."""
    many_setting: dict[str, Any] = field(default_factory=dict)
    """Fields of `TrainConfig` that change where dozens of trials are run for one report."""
    many_trial: dict[str, Any] = field(default_factory=dict)
    """Fields of `Trial` that change there."""

    @property
    def config(self) -> TrainConfig:
        """Lengths, width, size and batch size."""
        return TrainConfig(**self.setting)


PRESETS = {
    "smoke": Preset(
        "seconds: does everything run? Its figures mean nothing",
        {
            "size": (32, 32),
            "width": 1 / 32,
            "batch_size": 16,
            "epochs": 1.0,
            "adversary_epochs": 1.0,
            "game_epochs": 1.0,
            "infer_epochs": 1.0,
            "reconstruct_epochs": 1.0,
        },
        {"limit": 400},
    ),
    "small": Preset(
        "a useful run on two processor cores (the default)",
        {},
        {},
        {
            "epochs": 5.0,
            "adversary_epochs": 1.0,
            "infer_epochs": 4.0,
            "reconstruct_epochs": 4.0,
        },
        {"limit": 8000},
    ),
    "paper": Preset(
        "the paper's setting: 216x176, width 1, batch 64, λ1 = λ2 = 1, 160K : 40K; for GPUs",
        {
            "size": (216, 176),
            "width": 1.0,
            "batch_size": 64,
            "learning_rate": 1e-4,
            "epochs": 10.0,
            "adversary_epochs": 5.0,
            "game_epochs": 40.0,
            "infer_epochs": 10.0,
            "reconstruct_epochs": 10.0,
        },
        {"protocol": "paper"},
    ),
}


def preset(name: str) -> Preset:
    """The preset of that name.

    Raises:
        InputError: there is none.
    """
    if name not in PRESETS:
        raise InputError(f"unknown preset {name!r}: {suggest(name, list(PRESETS))}")
    return PRESETS[name]
