"""The encoder as an ExecuTorch program, for apps that run that rather than ONNX Runtime.

One picture at a time, float32, delegated to XNNPACK where it has the operator.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from deepobfuscator.core.errors import InputError, in_one_line
from deepobfuscator.exporting.graphs import plain, quiet
from deepobfuscator.nn.vgg import Encoder
from deepobfuscator_edge.manifest import Wire


class Device(nn.Module):
    """Pictures (1, 3, H, W), uint8, of the encoder's size, to payload (1, `Wire.bytes`), uint8, or
    (1, values), float16: what `payload.packing` does.
    """

    low: Tensor
    step: Tensor
    places: Tensor

    def __init__(self, encoder: nn.Module, wire: Wire) -> None:
        super().__init__()
        self.encoder, self.bits, self.rest = encoder, wire.bits, 0
        if wire.bits < 16:
            parts = 8 // wire.bits
            self.rest = wire.bytes * parts - wire.values
            for name, scale in zip(("low", "step"), wire.scales, strict=True):
                self.register_buffer(name, torch.from_numpy(scale))
            places = [2.0 ** (k * wire.bits) for k in range(parts)]
            self.register_buffer("places", torch.tensor(places))

    def forward(self, pictures: Tensor) -> Tensor:
        """The payload of one picture."""
        features = self.encoder(pictures.float() / 255)
        if self.bits == 16:
            return features.flatten(1).half()  # type: ignore[no-any-return]
        levels = ((features - self.low) / self.step).round().clamp(0, 2**self.bits - 1)
        padded = functional.pad(levels.flatten(1), (0, self.rest))
        groups = padded.reshape(1, -1, len(self.places))
        return (groups * self.places).sum(2).to(torch.uint8)


def program(encoder: Encoder, wire: Wire, size: tuple[int, int]) -> bytes:
    """The ``.pte`` of an encoder.

    Raises:
        InputError: the encoder draws noise, ExecuTorch is not installed, or cannot export it.
    """
    if encoder.stochastic:
        raise InputError(
            "--executorch: this encoder draws noise on the device, and ExecuTorch's generator is "
            "not seeded by the operating system: export it without --executorch"
        )
    try:
        with quiet():
            from executorch.backends.xnnpack.partition.xnnpack_partitioner import (
                XnnpackPartitioner,
            )
            from executorch.exir import to_edge_transform_and_lower
    except ImportError as error:
        raise InputError(
            f"--executorch needs {error.name}: pip install 'deepobfuscator[executorch]'"
        ) from error
    # Networks are trained in channels last, which the passes of XNNPACK do not take.
    network = plain(encoder).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    device = Device(network, wire).eval()
    picture = torch.zeros((1, 3, *size), dtype=torch.uint8)
    try:
        with quiet():
            exported = torch.export.export(device, (picture,), strict=True)
            lowered = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()])
            return bytes(lowered.to_executorch().buffer)
    except Exception as error:
        raise InputError(
            f"ExecuTorch cannot export this encoder ({in_one_line(error)}): leave --executorch out"
        ) from error


def payloads(made: bytes, pictures: NDArray[np.uint8]) -> NDArray[Any]:
    """What the program gives for pictures (n, H, W, 3), one after the other."""
    with quiet():
        from executorch.runtime import Runtime

        method = Runtime.get().load_program(made).load_method("forward")
    planes = torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2)))
    return np.concatenate([method.execute([picture[None]])[0].numpy() for picture in planes])
