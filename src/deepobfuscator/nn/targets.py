"""What the name of an encoder made elsewhere stands for: an ONNX file or a torch module."""

import contextlib
import hashlib
import importlib
import inspect
import os
import re
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from deepobfuscator.core.errors import InputError
from deepobfuscator.core.files import sha256
from deepobfuscator.core.registry import suggest

Function: TypeAlias = Callable[[Tensor], object]
"""Pictures (n, 3, H, W) in [0, 1] to n rows of features: a tensor or an array."""

SIZE = (64, 64)
"""Height and width in px that an encoder is given where nobody names a size."""

GIVEN: dict[str, nn.Module | Function] = {}
"""Encoders that were handed over as objects, by their `fingerprint`."""

ASKED = 4
"""Pictures of noise that a function without readable source is known by."""


def fingerprint(target: str | nn.Module | Function, size: tuple[int, int] | None = None) -> str:
    """Hexadecimal SHA-256 of an encoder.

    Of an ONNX file with the files that hold its weights, if any; of a torch module's name, layers,
    state, and the file that defines its class, though not of what that file imports; of a
    function's name and source, and of its answers to noise of ``size`` (default: 64x64).

    Raises:
        InputError: ``target`` cannot be found or imported.
    """
    if isinstance(target, nn.Module):
        return _module_digest(target, type(target).__qualname__)
    if not isinstance(target, str):
        return _function_digest(target, size or SIZE)
    if target.endswith(".onnx"):
        path = _file(target)
        model = path.read_bytes()
        digest = hashlib.sha256(model)
        for beside in sorted({path.parent / name for name in _locations(model)}):
            if beside.is_file():
                digest.update(sha256(beside).encode())
        return digest.hexdigest()
    return _module_digest(torch_module(target), target.rpartition(":")[2])


def _function_digest(function: Function, size: tuple[int, int]) -> str:
    digest = hashlib.sha256(called(function).encode())
    with contextlib.suppress(OSError, TypeError):
        digest.update(inspect.getsource(function).encode())
    draw = torch.Generator().manual_seed(0)
    # Its answers tell weights apart that are not in its source, unless it fails.
    with contextlib.suppress(Exception), torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        answer = function(torch.rand((ASKED, 3, *size), generator=draw))
        digest.update(np.ascontiguousarray(torch.as_tensor(answer).float().numpy()).tobytes())
    return digest.hexdigest()


def called(target: str | nn.Module | Function) -> str:
    """An encoder's name in messages and pages."""
    if isinstance(target, str):
        return target
    return str(getattr(target, "__qualname__", type(target).__qualname__))


def _module_digest(module: nn.Module, name: str) -> str:
    digest = hashlib.sha256(f"{name} {module!r}".encode())
    with contextlib.suppress(OSError, TypeError):  # no file: defined by hand, or compiled
        digest.update(Path(inspect.getfile(type(module))).read_bytes())
    for name, value in module.state_dict().items():
        digest.update(name.encode())
        if isinstance(value, Tensor) and not value.is_quantized:
            digest.update(f"{value.dtype} {tuple(value.shape)}".encode())
            digest.update(value.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        else:
            digest.update(repr(value).encode())
    return digest.hexdigest()


def in_one_line(error: BaseException) -> str:
    """Type and message of an exception, on one line of at most 300 characters."""
    return textwrap.shorten(f"{type(error).__name__}: {error}", 300)


def onnx_session(target: str) -> Any:
    """An ``onnxruntime.InferenceSession`` on the processor, with as many threads as torch has.

    Raises:
        InputError: onnxruntime or the file is missing, or the file is no model it can run.
    """
    _file(target)
    try:
        import onnxruntime
    except ImportError:
        raise InputError(
            f"{target} needs onnxruntime: pip install 'deepobfuscator[onnx]'"
        ) from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4  # what goes wrong is raised, and said once
    onnxruntime.set_seed(0)  # a noisy file draws the same in every process
    try:
        return onnxruntime.InferenceSession(target, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise InputError(
            f"{target} is no model that onnxruntime can run ({in_one_line(error)}): export it again"
        ) from error


def declared_size(session: Any, target: str, size: tuple[int, int] | None) -> tuple[int, int]:
    """Height and width in px of the pictures that an ONNX model takes.

    Raises:
        InputError: it has not exactly one input of float32 (n, 3, height, width), n free, and
            exactly one output; or the size is not ``size``.
    """
    inputs = session.get_inputs()
    for found, what in (
        (inputs, "inputs ({}): export it with one, the pictures"),
        (session.get_outputs(), "outputs ({}): export it with one, what leaves the device"),
    ):
        if len(found) != 1:
            names = ", ".join(f.name for f in found) or "none"
            raise InputError(f"{target} has {len(found)} {what.format(names)}")
    kind = inputs[0].type.removeprefix("tensor(").removesuffix(")")
    if kind != "float":
        raise InputError(f"{target} takes {kind}: export it for float32 pictures in [0, 1]")
    shape = inputs[0].shape
    shown = f"({', '.join('?' if side is None else str(side) for side in shape)})"
    if len(shape) != 4 or shape[1] != 3:
        raise InputError(f"{target} takes shape {shown}: export it for pictures (n, 3, H, W)")
    if isinstance(shape[0], int):
        raise InputError(
            f"{target} takes shape {shown}, batches of {shape[0]} alone: "
            "export it with the first axis dynamic"
        )
    height, width = shape[2:]
    if not (isinstance(height, int) and isinstance(width, int)):
        raise InputError(f"{target} takes shape {shown}: export it with a fixed height and width")
    if size is not None and size != (height, width):
        raise InputError(
            f"{target} takes pictures of {height}x{width}, not {size[0]}x{size[1]}: "
            f"give --size {height}x{width}, or export it for the other size"
        )
    return height, width


def torch_module(target: str) -> nn.Module:
    """The torch module that ``module:attribute`` names, or that what it names gives when called.

    Raises:
        InputError: it cannot be imported, found or called, or is no ``nn.Module``.
    """
    name, colon, attribute = target.partition(":")
    if not colon:
        raise InputError(f"{target} is no encoder: give a path ending in .onnx or MODULE:ATTRIBUTE")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)  # an encoder may draw its weights when it is made
        try:
            module = importlib.import_module(name)
        except (Exception, SystemExit) as error:
            raise InputError(
                f"{target}: importing {name} fails ({in_one_line(error)}): "
                "mend it, or start in the folder that it lies in"
            ) from error
        if not hasattr(module, attribute):
            known = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]
            raise InputError(f"{name} has no {attribute!r}: {suggest(attribute, known)}")
        found = getattr(module, attribute)
        if callable(found) and not isinstance(found, nn.Module):
            try:
                found = found()
            except (Exception, SystemExit) as error:
                raise InputError(
                    f"{target}: calling it without arguments fails ({in_one_line(error)}): name "
                    "an nn.Module, or a function that takes none and gives one"
                ) from error
    if not isinstance(found, nn.Module):
        raise InputError(
            f"{target} is of type {type(found).__name__}: "
            "name an nn.Module, or a function that gives one"
        )
    return found


def _file(target: str) -> Path:
    path = Path(target)
    if not path.is_file():
        raise InputError(f"there is no file {target}: give the path of an ONNX model")
    return path


def _locations(model: bytes) -> list[str]:
    """Names of the files that hold an ONNX model's weights, beside it.

    Read from the bytes of its entries (key "location", value), since onnxruntime does not tell.
    """
    names = []
    for entry in re.finditer(rb"\n\x08location\x12([\x80-\xff]?[\x01-\x7f])", model):
        length = sum((byte & 127) << 7 * i for i, byte in enumerate(entry[1]))
        names.append(os.fsdecode(model[entry.end() : entry.end() + length]))
    return [name for name in names if "\0" not in name]
