"""What an encoder gives, as one dense tensor of real numbers."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from deepobfuscator.core.errors import InputError
from deepobfuscator.core.registry import suggest


def choice(target: str, names: Sequence[str], output: str | None) -> str:
    """Which of the outputs ``names`` of ``target`` is meant; ``output`` None takes the only one.

    Raises:
        InputError: there are several and none is named, or none of that name.
    """
    if output is None and len(names) == 1:
        return names[0]
    if output is None:
        raise InputError(
            f"{target} has {len(names)} outputs ({', '.join(names) or 'none'}): name the one that "
            "leaves the device (--output NAME)"
        )
    if output not in names:
        raise InputError(f"{target} has no output {output!r}: {suggest(output, list(names))}")
    return output


def dense(target: str, answer: object, output: str | None = None) -> tuple[Tensor, int]:
    """``answer`` of ``target``: a tensor or array of any type and layout, or several by name or
    number, of which ``output`` is meant.

    Returns:
        Dense real numbers, float64 or float32, and the bytes of one as it left the encoder.

    Raises:
        InputError: it is nothing of the kind, or as `choice`.
    """
    if dataclasses.is_dataclass(answer) and not isinstance(answer, Mapping):
        answer = vars(answer)
    elif isinstance(answer, tuple | list):
        names = getattr(answer, "_fields", range(len(answer)))
        answer = {str(name): value for name, value in zip(names, answer, strict=True)}
    if isinstance(answer, Mapping):
        return dense(target, answer[choice(target, list(answer), output)])
    if output is not None:
        raise InputError(f"{target} has one output without a name: drop --output {output}")
    if not isinstance(answer, Tensor) and hasattr(answer, "__array__"):
        found = np.asarray(answer)  # torch takes the machine's byte order and steps forward alone
        answer = torch.from_numpy(np.array(found, found.dtype.newbyteorder("="), order="C"))
    if not isinstance(answer, Tensor):
        raise InputError(f"{target} gives a {type(answer).__name__}: let it give one tensor")
    width = answer.dtype.itemsize
    if answer.is_nested:
        answer = torch.stack(answer.unbind())
    elif answer.is_quantized:
        answer = answer.dequantize()
    elif answer.layout != torch.strided:
        answer = answer.to_dense()
    if answer.is_complex():
        answer, width = torch.view_as_real(answer.resolve_conj()), width // 2
    return (answer if answer.dtype == torch.float64 else answer.float()), width
