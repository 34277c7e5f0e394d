"""An encoder made elsewhere, audited as it is."""

from dataclasses import dataclass, field
from typing import ClassVar, Self

from torch import nn

from deepobfuscator.core.config import MACHINE
from deepobfuscator.core.errors import InputError
from deepobfuscator.defences.base import Untrained
from deepobfuscator.nn.external import ExternalEncoder, open_encoder
from deepobfuscator.nn.targets import GIVEN, Function, called, fingerprint
from deepobfuscator.nn.vgg import Encoder
from deepobfuscator.training.objectives import TrainConfig


@dataclass(frozen=True)
class External(Untrained):
    """An ONNX file or a torch module, named by what is in it."""

    name: ClassVar[str] = "brought"
    assumptions: ClassVar[tuple[str, ...]] = (
        "The encoder takes RGB pictures in [0, 1]; whatever else it needs (mean, deviation, "
        "another range) is inside it.",
    )

    encoder: str = field(metadata=MACHINE)
    """Path of an ``.onnx`` file, MODULE:ATTRIBUTE, or the name of what was handed over."""
    sha256: str
    """Its `fingerprint`."""

    @classmethod
    def of(cls, target: str | nn.Module | Function, size: tuple[int, int] | None = None) -> Self:
        """The encoder ``target`` for pictures of ``size`` (None: its own), as it is now.

        Raises:
            InputError: it cannot be found or imported.
        """
        digest = fingerprint(target, size)
        if not isinstance(target, str):
            GIVEN[digest] = target
        return cls(called(target), digest)

    def open(self, size: tuple[int, int] | None) -> ExternalEncoder:
        """The encoder, for pictures of ``size`` (None: its own).

        Raises:
            InputError: it changed, cannot be opened at ``size``, or was handed over as an object in
                another process.
        """
        if self.sha256 in GIVEN:
            return open_encoder(GIVEN[self.sha256], size)
        if not self.encoder.endswith(".onnx") and ":" not in self.encoder:
            raise InputError(
                f"the encoder {self.encoder} was handed over as a Python object: audit it from "
                "Python again, deepobfuscator.audit(encoder, data, out=...)"
            )
        if fingerprint(self.encoder) != self.sha256:
            raise InputError(
                f"{self.encoder} is not what it was when this trial was begun (its SHA-256 "
                "differs): bring that encoder back, or name another --out folder"
            )
        return open_encoder(self.encoder, size)

    def build_encoder(self, config: TrainConfig) -> Encoder:
        """O; raises as `open`."""
        return self.open(config.size)
