"""An encoder made elsewhere, audited as it is."""

from dataclasses import dataclass, field
from typing import ClassVar, Self

from deepobfuscator.core.config import MACHINE
from deepobfuscator.core.errors import InputError
from deepobfuscator.core.runtime import Context
from deepobfuscator.data.table import Task
from deepobfuscator.defences.base import Defence
from deepobfuscator.nn.external import open_encoder
from deepobfuscator.nn.targets import fingerprint
from deepobfuscator.training.objectives import Phase, Players, TrainConfig


@dataclass(frozen=True)
class External(Defence):
    """An ONNX file or a torch module, named by what is in it."""

    name: ClassVar[str] = "brought"
    trains: ClassVar[bool] = False
    assumptions: ClassVar[tuple[str, ...]] = (
        "The encoder takes RGB pictures in [0, 1]; whatever else it needs (mean, deviation, "
        "another range) is inside it.",
    )

    encoder: str = field(metadata=MACHINE)  # type: ignore[assignment]  # nothing builds this one
    """Path of an ``.onnx`` file, or MODULE:ATTRIBUTE."""
    sha256: str
    """Its `fingerprint`."""

    @classmethod
    def of(cls, target: str) -> Self:
        """The encoder that ``target`` names, as it is now.

        Raises:
            InputError: it cannot be found or imported.
        """
        return cls(target, fingerprint(target))

    def players(self, task: Task, setting: TrainConfig, context: Context) -> Players:
        """O alone.

        Raises:
            InputError: it changed, or cannot be opened at ``setting.size``.
        """
        if fingerprint(self.encoder) != self.sha256:
            raise InputError(
                f"{self.encoder} is not what it was when this trial was begun (its SHA-256 "
                "differs): bring that encoder back, or name another --out folder"
            )
        return {"O": open_encoder(self.encoder, setting.size)}

    def phases(self, setting: TrainConfig) -> list[Phase]:
        """Nothing is trained."""
        return []
