"""Encoders made elsewhere, opened as they are: ONNX files and torch modules."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray
from rich.markup import escape
from torch import Tensor, nn
from torch.export import ExportedProgram

from deepobfuscator.core.errors import InputError, in_one_line
from deepobfuscator.core.rows import evenly_spaced
from deepobfuscator.core.runtime import Context, free_memory
from deepobfuscator.nn.intake import SIZE, Intake, sole
from deepobfuscator.nn.onnx_file import is_onnx, open_onnx
from deepobfuscator.nn.outputs import dense
from deepobfuscator.nn.targets import Function, Made, called, copied, made, settled, telling
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

ANY = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
"""What a module may take that shows no weights, as one whose graph was frozen."""


class ExternalEncoder(Encoder):
    """An encoder that is asked, and never changed: no module in it is a child of this one."""

    differentiable: bool = False
    """Whether a gradient that is not zero everywhere reaches the picture."""
    one_at_a_time: bool = False
    """Whether it is asked one picture at a time, as on a device: it takes no more, or batches
    change answers."""

    def __init__(
        self,
        target: str,
        ask: Callable[[Intake, Tensor], object],
        takes: Sequence[Intake],
        output: str | None = None,
    ) -> None:
        """Measure ``target`` on noise.

        Args:
            target: its name, for messages.
            ask: asks it about pictures (n, 3, H, W) in the form of an intake.
            takes: what it may take, for one size; the first that works is kept. It is asked one at
                a time where it takes a fixed number or fails on two.
            output: which of several outputs is meant.

        Raises:
            InputError: as `answer`, of the first that it may take.
        """
        super().__init__()
        self.target, self.size, self.ask, self.output = target, takes[0].size, ask, output
        self.shape: tuple[int, ...] | None = None
        noise = torch.rand((2, 3, *self.size), generator=torch.Generator().manual_seed(0))
        failures = []
        for rows in (2, 1) if takes[0].batch is None else (1,):
            for self.intake in takes:
                self.one_at_a_time = rows == 1
                try:
                    with torch.no_grad():
                        answer, width = self.answer(noise[:rows])
                except InputError as error:
                    failures.append(error)
                    continue
                self.shape = tuple(answer.shape[1:])
                self.features = self.shape if len(self.shape) == 3 else (prod(self.shape),)
                self.wire_bits = 8 * width * prod(self.shape)
                return
        raise failures[0]

    def answer(self, pictures: Tensor) -> tuple[Tensor, int]:
        """The encoder's own answer for pictures (n, 3, H, W).

        Returns:
            Dense numbers (n, ...), float32 or float64, and the bytes of one as it was given.

        Raises:
            InputError: it fails, or gives anything but n rows of numbers, all of one shape.
        """
        shape = tuple(pictures.shape)
        try:
            found = self.ask(self.intake, pictures)
            answer, width = dense(self.target, found, self.output)
        except InputError:
            raise
        except (Exception, SystemExit) as error:
            raise InputError(
                f"{self.target} fails on pictures of shape {shape} ({in_one_line(error)}): "
                "fix it, or give the size that it takes (--size)"
            ) from error
        if self.one_at_a_time and (self.intake.batch or 0) > 1:
            answer = answer[:1]  # all are the same picture
        elif len(pictures) == 1 and answer.shape[:1] != (1,):
            answer = answer[None]  # it knows no batch, or drops one of a single picture
        if answer.shape[:1] != shape[:1] or not answer.numel():
            raise InputError(
                f"{self.target} gives shape {tuple(answer.shape)} for pictures of shape {shape}: "
                f"the first axis must be the batch, {shape[0]} here, and no axis 0"
            )
        if self.shape is not None and prod(self.shape) != prod(answer.shape[1:]):
            raise InputError(
                f"{self.target} gives shape {tuple(answer.shape[1:])} for one picture and "
                f"{self.shape} for another: let it give one shape for all"
            )
        return answer, width

    def forward(self, pictures: Tensor) -> Tensor:
        """(n, *features), float32."""
        parts = torch.split(pictures, 1 if self.one_at_a_time else len(pictures))
        answers = torch.cat([self.answer(part)[0] for part in parts]).to(pictures.device)
        return answers.reshape(len(pictures), *self.features).float()


def ask_module(module: nn.Module, intake: Intake, pictures: Tensor) -> object:
    """What a torch module gives, without autocast."""
    # A copy, since it may change its input in place; contiguous, since it may use `view`.
    copy = intake(pictures.float()).clone(memory_format=torch.contiguous_format)
    with torch.autocast(pictures.device.type, enabled=False):
        return module.to(pictures.device)(copy)


def ask_function(function: Function, intake: Intake, pictures: Tensor) -> object:
    """What any function of pictures gives."""
    with torch.autocast(pictures.device.type, enabled=False):
        return function(intake(pictures.float()).clone())


def open_encoder(
    target: str | Made,
    size: tuple[int, int] | None = None,
    *,
    output: str | None = None,
    name: str | None = None,
) -> ExternalEncoder:
    """The encoder that ``target`` names, in evaluation mode.

    Args:
        target: path of an ``.onnx`` file; ``module:attribute``, where the attribute is an
            ``nn.Module`` or gives one when called without arguments (the current folder is
            searched first); a module or exported program; or a function of pictures.
        size: height and width in px; None takes the declared one, else 64x64.
        output: which of several outputs leaves the device.
        name: how messages call it.

    Raises:
        InputError: it cannot be opened, or does not turn pictures (n, 3, H, W) into n features.
    """
    name = name or called(target)
    with torch.random.fork_rng(devices=[]):  # a noisy one draws when it is measured
        if isinstance(target, str) and is_onnx(target):
            intake, run = open_onnx(target, size, output)
            return ExternalEncoder(target, run, [intake]).eval()
        with telling(name):
            ask, takes = _opened(made(target) if isinstance(target, str) else target, size, name)
        encoder = ExternalEncoder(name, ask, takes, output).eval()
        encoder.differentiable = differentiable(encoder, encoder.size)
        return encoder


def _opened(
    found: Made, size: tuple[int, int] | None, name: str
) -> tuple[Callable[[Intake, Tensor], object], list[Intake]]:
    """What asks an encoder, and what it may take, the likeliest first."""
    intake = Intake(size or SIZE)
    if isinstance(found, ExportedProgram):
        named = found.graph_signature.user_inputs
        sole(name, [str(entry) for entry in named])
        (node,) = (n for n in found.graph.find_nodes(op="placeholder") if n.name in named)
        shape, dtype = node.meta["val"].shape, node.meta["val"].dtype
        takes = [Intake.declared(name, shape, dtype, size)]
        return partial(ask_module, copied(found.module())), takes
    if not isinstance(found, nn.Module):
        return partial(ask_function, found), [intake]
    module = copied(settled(found, size))
    with suppress(NotImplementedError):  # an exported one is as it was exported
        module.eval()
    weights = [*module.parameters(), *module.buffers()]
    if module is not found:  # else its owner may go on training it
        for weight in module.parameters():
            weight.requires_grad_(False)
    kernels = [w for w in weights if w.dim() == 4]
    takes = [
        replace(intake, dtype=dtype, grey=grey)
        for grey in ((False, True) if kernels and kernels[0].shape[1] == 1 else (False,))
        for dtype in dict.fromkeys([torch.float32, *(w.dtype for w in weights)] if weights else ANY)
        if dtype.is_floating_point
    ]
    return partial(ask_module, module), takes


@torch.no_grad()
def examine(encoder: Encoder, pictures: NDArray[np.uint8], context: Context) -> None:
    """Look at what an encoder makes of up to 64 of the pictures (n, H, W, 3) in 0..255.

    Sets ``stochastic`` where it answers differently when asked again, and ``one_at_a_time`` of a
    brought encoder whose answer depends on what else is in the batch; says what it takes.

    Raises:
        InputError: features that are NaN or infinite, or the same for every picture.
    """
    if isinstance(encoder, ExternalEncoder) and str(encoder.intake):
        context.say(escape(f"{encoder.target} is given the pictures made {encoder.intake}"))
    rows = evenly_spaced(len(pictures), LOOKED_AT)
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
            f"{len(shown)} pictures: fix it (a division by zero, float16 out of range?)"
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
    for need, what, remedy in (
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
                f"{what} takes {need / 2**30:.1f} GiB, and {free / 2**30:.1f} GiB are free: "
                f"{remedy}"
            )


def _rms(values: Tensor) -> float:
    return float(values.square().mean().sqrt())
