"""What the name of an encoder made elsewhere stands for, and what tells it from others."""

import contextlib
import hashlib
import importlib
import inspect
import operator
import os
import random
import re
import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import TypeAlias, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.jit import ScriptModule
from torch.jit._trace import TopLevelTracedModule
from torch.nn.parameter import is_lazy

from deepobfuscator.core.errors import InputError, in_one_line
from deepobfuscator.core.registry import suggest
from deepobfuscator.nn.intake import SIZE
from deepobfuscator.nn.onnx_file import is_onnx, onnx_digest

Function: TypeAlias = Callable[[Tensor], object]
"""Pictures (n, 3, H, W) in [0, 1] to n rows of features: a tensor or an array."""

Made: TypeAlias = nn.Module | ExportedProgram | Function
"""An encoder as an object."""

GIVEN: dict[str, Made] = {}
"""Encoders that are objects by now, by their `fingerprint`; nothing changes them."""

ASKED = 4
"""Pictures of noise that a function without readable source is known by."""


def fingerprint(
    target: str | Made, size: tuple[int, int] | None = None, name: str | None = None
) -> str:
    """Hexadecimal SHA-256 of an encoder.

    Of an ONNX file with the files that hold its weights, if any; of a torch module's name, layers,
    state, and the file that defines its class, though not of what that file imports; of a scripted
    or exported one's code and constants; of a function's name and source, and of its answers to
    noise of ``size`` (default: 64x64).

    Raises:
        InputError: ``target`` cannot be found, read or imported.
    """
    if isinstance(target, str):
        if is_onnx(target):
            return onnx_digest(target)
        return fingerprint(made(target), size, target.rpartition(":")[2])
    if isinstance(target, nn.Module):
        return _module_digest(settled(target, size), name or type(target).__qualname__, size)
    if isinstance(target, ExportedProgram):
        digest = hashlib.sha256(target.graph_module.code.encode())
        _add(digest, target.state_dict | target.constants)
        return digest.hexdigest()
    return _function_digest(target, size or SIZE)


@contextlib.contextmanager
def telling(name: str) -> Iterator[None]:
    """Say whatever an encoder raises as an InputError in one line."""
    try:
        yield
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        raise InputError(f"{name} cannot be opened ({in_one_line(error)}): fix it") from error


@contextlib.contextmanager
def seeded() -> Iterator[None]:
    """Draw the same every time, as an encoder may that is made here; then go on as before."""
    held = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        random.seed(0)
        np.random.seed(0)
        try:
            yield
        finally:
            random.setstate(held[0])
            np.random.set_state(held[1])


def settled(module: nn.Module, size: tuple[int, int] | None) -> nn.Module:
    """``module``, or where it has lazy layers, a copy whose weights are drawn for ``size``."""
    if not any(is_lazy(value) for value in (*module.parameters(), *module.buffers())):
        return module
    module = copied(module).eval()
    with seeded(), torch.no_grad():
        module(torch.zeros((1, 3, *(size or SIZE))))
    return module


def copied(module: nn.Module) -> nn.Module:
    """A copy of ``module``, since asking may change it; itself where it cannot be copied."""
    try:
        with torch.no_grad():  # else the copied weights of a scripted one hang on the first
            return deepcopy(module)
    except Exception:  # weights computed from others (weight norm), lazy buffers, open files
        return module


def _function_digest(function: Function, size: tuple[int, int]) -> str:
    digest = hashlib.sha256(called(function).encode())
    with contextlib.suppress(OSError, TypeError):
        digest.update(inspect.getsource(function).encode())
    _add_answers(digest, function, size)
    return digest.hexdigest()


def _add_answers(digest: "hashlib._Hash", function: Function, size: tuple[int, int]) -> None:
    draw = torch.Generator().manual_seed(0)
    # Its answers tell weights apart that are not in its source, unless it fails.
    with contextlib.suppress(Exception), torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        answer = function(torch.rand((ASKED, 3, *size), generator=draw))
        digest.update(np.ascontiguousarray(torch.as_tensor(answer).float().numpy()).tobytes())


def called(target: str | Made) -> str:
    """An encoder's name in messages and pages."""
    if isinstance(target, str):
        return target
    return str(getattr(target, "__qualname__", type(target).__qualname__))


def _module_digest(module: nn.Module, name: str, size: tuple[int, int] | None) -> str:
    digest = hashlib.sha256(f"{name} {module!r}".encode())
    with contextlib.suppress(OSError, TypeError):  # no file: defined by hand, or compiled
        digest.update(Path(inspect.getfile(type(module))).read_bytes())
    _add(digest, module.state_dict())
    # One that was traced in this process is named by its layers, as it always was.
    if isinstance(module, ScriptModule) and type(module) is not TopLevelTracedModule:
        constants, text = dict[str, object](), ""
        for layer in module.modules():
            with contextlib.suppress(RuntimeError, AttributeError):  # it has no forward pass
                code, held = cast(ScriptModule, layer).code_with_constants
                text += re.sub(r"___torch_mangle_\d+\.", "", code)
                constants |= held.const_mapping
        digest.update(text.encode())
        _add(digest, constants)
        if "MKLDNNTensor" in text:  # optimised for inference: these weights cannot be read
            _add_answers(digest, module.eval(), size or SIZE)
    return digest.hexdigest()


def _add(digest: "hashlib._Hash", state: dict[str, object]) -> None:
    """Take names and values of weights into a digest."""
    for name, value in state.items():
        digest.update(name.encode())
        if isinstance(value, Tensor) and not value.is_quantized:
            digest.update(f"{value.dtype} {tuple(value.shape)}".encode())
            if value.layout != torch.strided:
                value = value.to_dense()
            digest.update(value.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        else:
            digest.update(repr(value).encode())


def made(target: str) -> Made:
    """The encoder that ``module:attribute`` names, or that what it names gives when called.

    Raises:
        InputError: it cannot be imported, found or called, or is no encoder.
    """
    name, colon, attribute = target.partition(":")
    if not colon:
        raise InputError(f"{target} is no encoder: give a path ending in .onnx or MODULE:ATTRIBUTE")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    # An encoder may draw its weights when it is imported, when it is made, or both.
    with seeded():
        try:
            module = importlib.import_module(name)
        except (Exception, SystemExit) as error:
            raise InputError(
                f"{target}: importing {name} fails ({in_one_line(error)}): "
                "fix it, or start in the folder that it lies in"
            ) from error
    with telling(target), seeded():
        try:
            found = operator.attrgetter(attribute)(module)
        except AttributeError:
            known = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]
            raise InputError(f"{name} has no {attribute!r}: {suggest(attribute, known)}") from None
        if callable(found) and not isinstance(found, nn.Module | ExportedProgram):
            try:
                found = found()
            except (Exception, SystemExit) as error:
                raise InputError(
                    f"{target}: calling it without arguments fails ({in_one_line(error)}): name "
                    "an nn.Module, or a function that takes none and gives one"
                ) from error
    if not callable(found):
        raise InputError(
            f"{target} is of type {type(found).__name__}: "
            "name an nn.Module, or a function that gives one"
        )
    return cast(Made, found)
