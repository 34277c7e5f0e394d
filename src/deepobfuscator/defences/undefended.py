"""No defence: the same architecture trained for the service alone (section 4.3); the ceiling."""

from dataclasses import dataclass
from typing import ClassVar

from deepobfuscator.defences.base import SERVICE, Defence
from deepobfuscator.training.objectives import Phase, TrainConfig


@dataclass(frozen=True)
class Undefended(Defence):
    """O and C trained jointly, nothing else."""

    name: ClassVar[str] = "undefended"

    def phases(self, setting: TrainConfig) -> list[Phase]:
        """The first phase of the game alone."""
        return [Phase("pre-train O, C", setting.epochs, (SERVICE,))]
