"""An external encoder, audited as it is."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Self

from torch import nn

from deepobfuscator.core.config import LATER, MACHINE
from deepobfuscator.core.errors import InputError
from deepobfuscator.defences.base import Untrained
from deepobfuscator.nn.external import ExternalEncoder, open_encoder
from deepobfuscator.nn.onnx_file import exported, is_onnx
from deepobfuscator.nn.targets import GIVEN, Made, called, fingerprint, made, settled, telling
from deepobfuscator.nn.vgg import Encoder
from deepobfuscator.training.objectives import TrainConfig


@dataclass(frozen=True)
class External(Untrained):
    """An ONNX file or a torch module, identified by its content."""

    name: ClassVar[str] = "brought"
    assumptions: ClassVar[tuple[str, ...]] = (
        "The encoder takes RGB pictures in [0, 1]; whatever else it needs (mean, deviation, "
        "another range) is inside it.",
    )

    encoder: str = field(metadata=MACHINE)
    """Path of an ``.onnx`` file, MODULE:ATTRIBUTE, or the name of a Python object."""
    sha256: str
    """Its `fingerprint`."""
    output: str | None = field(default=None, metadata=LATER)
    """Which of several outputs leaves the device, by name or number."""

    @classmethod
    def of(
        cls,
        target: str | Made,
        size: tuple[int, int] | None = None,
        output: str | None = None,
    ) -> Self:
        """The encoder ``target`` for pictures of ``size`` (None: its own), in its current state.

        Raises:
            InputError: it cannot be found, read or imported.
        """
        if is_onnx(target):
            return cls(target, fingerprint(target), output)
        with telling(called(target)):
            # Built once: building it again might draw other weights.
            found = made(target) if isinstance(target, str) else target
            if isinstance(found, nn.Module):
                found = settled(found, size)
            name = target.rpartition(":")[2] if isinstance(target, str) else None
            digest = fingerprint(found, size, name)
        GIVEN[digest] = found
        return cls(called(target), digest, output)

    @property
    def exported(self) -> bool:
        """Whether it is the device's graph in a folder made by export."""
        return is_onnx(self.encoder) and exported(Path(self.encoder).parent) is not None

    def open(self, size: tuple[int, int] | None) -> ExternalEncoder:
        """The encoder, for pictures of ``size`` (None: its own).

        Raises:
            InputError: it changed, cannot be opened at ``size``, or was passed as an object in
                another process.
        """
        if self.sha256 not in GIVEN:
            if not is_onnx(self.encoder) and ":" not in self.encoder:
                raise InputError(
                    f"the encoder {self.encoder} was handed over as a Python object: audit it from "
                    "Python again, deepobfuscator.audit(encoder, data, out=...)"
                )
            if External.of(self.encoder, size).sha256 != self.sha256:
                raise InputError(
                    f"{self.encoder} is not what it was when this trial was begun (its SHA-256 "
                    "differs): bring that encoder back, or name another --out folder"
                )
        found = GIVEN.get(self.sha256, self.encoder)
        return open_encoder(found, size, output=self.output, name=self.encoder)

    def build_encoder(self, config: TrainConfig) -> Encoder:
        """O; raises as `open`."""
        return self.open(config.size)
