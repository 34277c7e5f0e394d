"""No defence: the same architecture trained for the service alone (section 4.3); the ceiling."""

from dataclasses import dataclass
from typing import ClassVar

from deepobfuscator.defences._base import SERVICE, Defence
from deepobfuscator.game import Phase, Setting


@dataclass(frozen=True)
class Undefended(Defence):
    """O and C trained jointly, nothing else."""

    name: ClassVar[str] = "undefended"

    def phases(self, setting: Setting) -> list[Phase]:
        """The first phase of the game alone."""
        return [Phase("pre-train O, C", setting.epochs, (SERVICE,))]
