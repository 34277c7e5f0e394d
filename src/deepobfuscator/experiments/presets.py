"""Common trials by name."""

from dataclasses import dataclass

from deepobfuscator.core.errors import InputError
from deepobfuscator.core.registry import suggest
from deepobfuscator.training.objectives import TrainConfig


@dataclass(frozen=True)
class Preset:
    """Default values for the command line."""

    purpose: str
    """When to use it."""
    config: TrainConfig
    """Lengths, width, size and batch size."""
    limit: int | None = None
    """As in `Trial`."""
    protocol: str = "own"
    """As in `Trial`."""
    many: "Preset | None" = None
    """Used instead when dozens of trials are run for one report."""

    def lasts(self, epochs: float, game_epochs: float) -> bool:
        """Whether it trains for at least so many passes, before the game and in it."""
        return epochs <= self.config.epochs and game_epochs <= self.config.game_epochs


PRESETS = {
    "smoke": Preset(
        "seconds: does everything run? Its figures mean nothing",
        TrainConfig(
            size=(32, 32),
            width=1 / 32,
            batch_size=16,
            epochs=1.0,
            adversary_epochs=1.0,
            game_epochs=1.0,
            infer_epochs=1.0,
            reconstruct_epochs=1.0,
        ),
        limit=400,
    ),
    "small": Preset(
        "a useful run on two processor cores (the default)",
        TrainConfig(),
        many=Preset(
            "the same for many trials",
            TrainConfig(epochs=5.0, adversary_epochs=1.0, infer_epochs=4.0, reconstruct_epochs=4.0),
            limit=8000,
        ),
    ),
    "paper": Preset(
        "the paper's setting: 216x176, width 1, batch 64, λ1 = λ2 = 1, 160K : 40K; for GPUs",
        TrainConfig(
            size=(216, 176),
            width=1.0,
            learning_rate=1e-4,
            epochs=10.0,
            adversary_epochs=5.0,
            game_epochs=40.0,
            infer_epochs=10.0,
            reconstruct_epochs=10.0,
        ),
        protocol="paper",
    ),
}


def preset(name: str, many: bool = False) -> Preset:
    """The preset of that name, or its replacement for ``many`` trials.

    Raises:
        InputError: unknown name.
    """
    if name not in PRESETS:
        raise InputError(f"unknown preset {name!r}: {suggest(name, list(PRESETS))}")
    found = PRESETS[name]
    return (found.many or found) if many else found
