"""Encoders made elsewhere, opened as they are: ONNX files and torch modules."""

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deepobfuscator.core.errors import InputError
from deepobfuscator.core.runtime import Context, free_memory
from deepobfuscator.nn.targets import (
    SIZE,
    Function,
    called,
    declared_size,
    in_one_line,
    onnx_session,
    torch_module,
)
from deepobfuscator.nn.vgg import FRONT, Encoder, differentiable, scaled

LOOKED_AT = 64
"""Pictures that `examine` asks an encoder about."""
ALONE = 8
"""Of these, how many it also asks about one at a time."""
ROUNDING = 1e-3
"""What answers may differ by and still be the same, in deviations of the features over the
pictures; both as root mean squares.
"""
HIDDEN = 256
"""Values to which the widest attacker on a map of features connects every single one."""


class ExternalEncoder(Encoder):
    """An encoder that is asked, and never changed: no module in it is a child of this one."""

    differentiable: bool = False
    """Whether a gradient that is not zero everywhere reaches the picture."""
    one_at_a_time: bool = False
    """Whether it is asked one picture at a time, as on a device, since batches change answers."""

    def __init__(
        self,
        target: str | nn.Module | Function,
        size: tuple[int, int],
        ask: Callable[[Tensor], object],
    ) -> None:
        """Take ``ask``, whatever ``target`` itself gives for pictures (n, 3, H, W) of ``size``."""
        super().__init__()
        self.target, self.size, self.ask = called(target), size, ask
        noise = torch.rand((2, 3, *size), generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            answer = self.answer(noise)
        shape = tuple(answer.shape[1:])
        self.features = shape if len(shape) == 3 else (prod(shape),)
        self.wire_bits = 8 * answer.element_size() * prod(shape)

    def answer(self, pictures: Tensor) -> Tensor:
        """The encoder's own (n, ...) of any type for pictures (n, 3, H, W).

        Raises:
            InputError: it fails, or gives anything but n rows of numbers.
        """
        shape = tuple(pictures.shape)
        try:
            answer = self.ask(pictures)
        except Exception as error:
            raise InputError(
                f"{self.target} fails on pictures of shape {shape} ({in_one_line(error)}): "
                "mend it, or give the size that it takes (--size)"
            ) from error
        if not isinstance(answer, Tensor) or answer.is_complex():
            kind = answer.dtype if isinstance(answer, Tensor) else f"a {type(answer).__name__}"
            raise InputError(f"{self.target} gives {kind}: let it give one tensor of real numbers")
        if answer.shape[:1] != shape[:1] or not answer.numel():
            raise InputError(
                f"{self.target} gives shape {tuple(answer.shape)} for pictures of shape {shape}: "
                f"the first axis must be the batch, {shape[0]} here, and no axis 0"
            )
        return answer

    def forward(self, pictures: Tensor) -> Tensor:
        """(n, *features), float32."""
        parts = torch.split(pictures, 1 if self.one_at_a_time else len(pictures))
        answers = torch.cat([self.answer(part) for part in parts])
        return answers.reshape(len(pictures), *self.features).float()


def ask_onnx(session: Any, pictures: Tensor) -> Tensor:
    """The one output of an ONNX file in onnxruntime, on the processor."""
    batch = pictures.detach().float().cpu().contiguous().numpy()
    (answer,) = session.run(None, {session.get_inputs()[0].name: batch})
    return torch.from_numpy(answer).to(pictures.device)


def ask_module(module: nn.Module, pictures: Tensor) -> object:
    """What a torch module gives in full precision."""
    # A copy, since it may change its input in place; contiguous, since it may use `view`.
    copy = pictures.float().clone(memory_format=torch.contiguous_format)
    with torch.autocast(pictures.device.type, enabled=False):
        return module.to(pictures.device)(copy)


def ask_function(function: Function, pictures: Tensor) -> object:
    """What any function of pictures gives, a tensor or an array."""
    with torch.autocast(pictures.device.type, enabled=False):
        answer = function(pictures.float().clone())
    if isinstance(answer, np.ndarray):
        answer = torch.from_numpy(answer)
    return answer.to(pictures.device) if isinstance(answer, Tensor) else answer


def open_encoder(
    target: str | nn.Module | Function, size: tuple[int, int] | None = None
) -> ExternalEncoder:
    """The encoder that ``target`` names, in evaluation mode.

    Args:
        target: path of an ``.onnx`` file; ``module:attribute``, where the attribute is an
            ``nn.Module`` or gives one when called without arguments (the current folder is
            searched first); a module; or a function of pictures.
        size: height and width in px; None takes the one an ONNX file declares, else 64x64.

    Raises:
        InputError: it cannot be opened, or does not turn pictures (n, 3, H, W) into n features.
    """
    with torch.random.fork_rng(devices=[]):  # a noisy one draws when it is measured
        if isinstance(target, str) and target.endswith(".onnx"):
            session = onnx_session(target)
            size = declared_size(session, target, size)
            return ExternalEncoder(target, size, partial(ask_onnx, session)).eval()
        if isinstance(target, str | nn.Module):
            # A module that was handed over stays as its owner left it.
            module = torch_module(target) if isinstance(target, str) else deepcopy(target)
            ask = partial(ask_module, module.eval().requires_grad_(False))
        else:
            ask = partial(ask_function, target)
        encoder = ExternalEncoder(target, size or SIZE, ask).eval()
        encoder.differentiable = differentiable(encoder, encoder.size)
        return encoder


@torch.no_grad()
def examine(encoder: Encoder, pictures: NDArray[np.uint8], context: Context) -> None:
    """Look at what an encoder makes of up to 64 of the pictures (n, H, W, 3) in 0..255.

    Sets ``stochastic`` where it answers differently when asked again, and ``one_at_a_time`` of a
    brought encoder whose answer depends on what else is in the batch.

    Raises:
        InputError: features that are NaN or infinite, or the same for every picture.
    """
    rows = np.unique(np.linspace(0, len(pictures) - 1, LOOKED_AT).round().astype(np.int64))
    shown = torch.from_numpy(pictures[rows]).to(context.device).permute(0, 3, 1, 2).float() / 255
    with torch.random.fork_rng(devices=[context.device] if context.device.type == "cuda" else []):
        torch.manual_seed(1)
        first = encoder(shown)
        torch.manual_seed(2)
        again = encoder(shown)
        alone = torch.cat([encoder(picture) for picture in torch.split(shown[:ALONE], 1)])
    finite = torch.isfinite(first + again).flatten(1).all(1)
    if not finite.all():
        raise InputError(
            f"the encoder gives NaN or infinite features for {int((~finite).sum())} of "
            f"{len(shown)} pictures: mend it (a division by zero, float16 out of range?)"
        )
    if len(shown) > 1 and (first == first[0]).all():
        raise InputError(
            f"the encoder gives the same features for all of {len(shown)} pictures: "
            "check its weights, and that it takes pixels in [0, 1]"
        )
    rounding = ROUNDING * _rms(first - first.mean(0))
    encoder.stochastic = _rms(first - again) > rounding
    together = encoder.stochastic or _rms(first[:ALONE] - alone) <= rounding
    if isinstance(encoder, ExternalEncoder) and not together:
        encoder.one_at_a_time = True


def check_memory(encoder: ExternalEncoder, batch_size: int, width: float, context: Context) -> None:
    """Make sure that what an audit cannot do without fits in the memory of ``context.device``.

    Attackers train on ``batch_size`` pictures at a time and have the width multiplier ``width``.

    Raises:
        InputError: a batch with its features, or the weights of the largest fully connected
            layer on them with gradient and Adam's two moments, does not fit.
    """
    values, (height, columns) = prod(encoder.features), encoder.size
    units = HIDDEN
    if len(encoder.features) == 1:  # AC and AR lift a flat code to a map, each by such a layer
        largest = max(8 * 8, -(-height // 16) * -(-columns // 16))
        units = max(units, scaled(FRONT[1], width) * largest)
    free = free_memory(context.device)
    for need, what, mend in (
        (
            4 * batch_size * (values + 3 * height * columns),
            f"a batch of {batch_size} pictures with {values} features each",
            "lower --batch-size, or pool the features in the encoder",
        ),
        (
            16 * values * units,
            f"an attacker with {units} units on {values} features",
            "pool the features in the encoder, or lower --width",
        ),
    ):
        if need > free:
            raise InputError(
                f"{what} takes {need / 2**30:.1f} GiB, and {free / 2**30:.1f} GiB are free: {mend}"
            )


def _rms(values: Tensor) -> float:
    return float(values.square().mean().sqrt())
