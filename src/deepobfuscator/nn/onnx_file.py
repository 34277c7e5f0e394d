"""ONNX files in onnxruntime."""

import hashlib
import json
import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
import torch
from torch import Tensor

from deepobfuscator.core.errors import InputError, in_one_line
from deepobfuscator.core.files import sha256
from deepobfuscator.nn.intake import Intake, sole
from deepobfuscator.nn.outputs import choice

if TYPE_CHECKING:
    from deepobfuscator_edge import Manifest, Wire

EXPORT = "deepobfuscator-export/"
"""How the format of an exported folder's manifest begins."""

TYPES = {"float": torch.float32, "double": torch.float64}
"""Types whose ONNX names are not torch's."""


def is_onnx(target: object) -> TypeGuard[str]:
    """Whether ``target`` is the path of an ONNX file."""
    return isinstance(target, str) and target.lower().endswith(".onnx")


def shipped(target: str) -> str:
    """The graph that devices run, where ``target`` is a folder made by export; else ``target``."""
    manifest = exported(Path(target))
    return target if manifest is None else str(Path(target) / manifest.edge)


def exported(folder: Path) -> "Manifest | None":
    """The manifest of an exported folder; None where the folder is none.

    Raises:
        InputError: it was altered, or the package that reads it is missing.
    """
    try:
        if not json.loads((folder / "manifest.json").read_text())["format"].startswith(EXPORT):
            return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    try:
        from deepobfuscator_edge import EdgeError, Manifest
    except ImportError:
        raise InputError(f"{folder} needs: pip install 'deepobfuscator[export]'") from None
    try:
        return Manifest.read(folder)
    except EdgeError as error:
        raise InputError(str(error)) from None


def onnx_digest(target: str) -> str:
    """Hexadecimal SHA-256 of an ONNX file with the files that hold its weights, if any.

    Raises:
        InputError: one of them cannot be read.
    """
    path = _file(target)
    try:
        model = path.read_bytes()
        digest = hashlib.sha256(model)
        for beside in sorted({path.parent / name for name in _locations(model)}):
            if beside.is_file():
                digest.update(sha256(beside).encode())
    except OSError as error:
        raise InputError(
            f"cannot read {error.filename or target}: {error.strerror}: let yourself read it, or "
            "copy the model again"
        ) from None
    return digest.hexdigest()


def open_onnx(
    target: str, size: tuple[int, int] | None, output: str | None
) -> tuple[Intake, Callable[[Intake, Tensor], Tensor]]:
    """What an ONNX file takes, and the function that asks it: on the processor, with as many
    threads as torch has. The graph of an exported folder gives what is left after the wire.

    Raises:
        InputError: onnxruntime or the file is missing, the file is no model it can run, or it does
            not take pictures alone (see `Intake`) or has several outputs and ``output`` is none.
    """
    manifest = exported(_file(target).parent)
    if manifest is not None and Path(target).name != manifest.edge:
        raise InputError(
            f"{target} is not what devices run: audit {manifest.edge} in the same folder"
        )
    try:
        import onnxruntime
    except ImportError:
        raise InputError(f"{target} needs onnxruntime: pip install -e '.[onnx]'") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4  # what goes wrong is raised, and said once
    onnxruntime.set_seed(0)  # a noisy file draws the same in every process
    try:
        session = onnxruntime.InferenceSession(target, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise InputError(
            f"{target} is no model that onnxruntime can run ({in_one_line(error)}): export it again"
        ) from error
    inputs = session.get_inputs()
    sole(target, [found.name for found in inputs])
    output = choice(target, [found.name for found in session.get_outputs()], output)
    kind = inputs[0].type.removeprefix("tensor(").removesuffix(")")
    dtype = TYPES.get(kind) or getattr(torch, kind, None)
    if not isinstance(dtype, torch.dtype) or dtype == torch.bfloat16:  # numpy has none
        raise InputError(f"{target} takes {kind}: export it for float32 pictures in [0, 1]")
    if manifest is not None:
        size = size or manifest.size
    intake = Intake.declared(target, inputs[0].shape, dtype, size)
    wire = manifest.wire if manifest is not None else None
    return intake, partial(_ask, session, inputs[0].name, output, wire)


def _ask(
    session: Any, name: str, output: str, wire: "Wire | None", intake: Intake, pictures: Tensor
) -> Tensor:
    given = intake(pictures.detach().float().cpu()).numpy()
    (answer,) = session.run([output], {name: given})
    if wire is not None:  # an exported one gives a payload: what a service sees is in it
        answer = wire.features(answer.view(np.uint8))
    return torch.from_numpy(answer).to(pictures.device)


def _file(target: str) -> Path:
    if not os.path.isfile(target):  # unlike Path.is_file, False in a folder that is closed to us
        raise InputError(f"there is no file {target}: give the path of an ONNX model")
    return Path(target)


def _locations(model: bytes) -> list[str]:
    """Names of the files that hold an ONNX model's weights, beside it.

    Read from the bytes of its entries (key "location", value), since onnxruntime does not tell.
    """
    names = []
    for entry in re.finditer(rb"\n\x08location\x12([\x80-\xff]?[\x01-\x7f])", model):
        length = sum((byte & 127) << 7 * i for i, byte in enumerate(entry[1]))
        names.append(os.fsdecode(model[entry.end() : entry.end() + length]))
    return [name for name in names if "\0" not in name]
