"""No defence: the same architecture trained for the service alone (section 4.3); the ceiling."""

from dataclasses import dataclass
from typing import ClassVar

from deepobfuscator.defences.base import SERVICE, Defence, NetworkDefence
from deepobfuscator.training.objectives import Phase, TrainConfig


@dataclass(frozen=True)
class Undefended(NetworkDefence):
    """O and C trained jointly, without a defence."""

    name: ClassVar[str] = "undefended"

    def phases(self, config: TrainConfig) -> list[Phase]:
        """The first phase of the game alone."""
        return [Phase("pre-train O, C", config.epochs, (SERVICE,), steady=True)]


def undefended(defence: Defence) -> Undefended:
    """The same networks without a defence: the ceiling of the leak of ``defence``."""
    if isinstance(defence, NetworkDefence):
        return Undefended(encoder=defence.encoder, classifier=defence.classifier)
    return Undefended()
