"""Open Inference Protocol v2: requests for inference, in JSON and with binary tensors.

The binary extension: a JSON object of ``Inference-Header-Content-Length`` bytes, then the raw bytes
of every input that has a ``binary_data_size``, in their order; answers likewise.
"""

import json
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepobfuscator_edge.manifest import Manifest

PAYLOAD, SCORES = "payload", "scores"
"""The model's input and output."""
HEADER_LENGTH = "inference-header-content-length"
VERSION = "1"
EXTENSIONS = ["binary_tensor_data"]
DEEPEST = 16
"""Levels of a JSON request; more are refused before they are read."""


class RefusedError(Exception):
    """A request that cannot be answered."""

    def __init__(self, status: int, reason: str, **headers: str) -> None:
        super().__init__(reason)
        self.status = status
        """HTTP status."""
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        """To be sent with it."""


@dataclass(frozen=True)
class Asked:
    """One request for inference."""

    rows: NDArray[np.generic]
    """(n, columns) as the graph takes them."""
    id: str | None
    """The client's own name of the request."""
    binary: bool
    """Whether the scores are wanted as raw bytes."""


def datatype(manifest: Manifest) -> str:
    """The protocol's name of the payload's type."""
    return "FP16" if manifest.wire.bits == 16 else "UINT8"


def columns(manifest: Manifest) -> int:
    """Numbers of one picture's payload."""
    return manifest.wire.values if manifest.wire.bits == 16 else manifest.wire.bytes


def as_rows(payload: NDArray[np.uint8], manifest: Manifest) -> NDArray[np.generic]:
    """A payload (n, `Wire.bytes`) as the graph takes it."""
    return payload.view("<f2") if manifest.wire.bits == 16 else payload


def metadata(manifest: Manifest) -> dict[str, Any]:
    """Of the model."""
    return {
        "name": manifest.name,
        "versions": [VERSION],
        "platform": "onnxruntime_onnx",
        "inputs": [
            {
                "name": PAYLOAD,
                "datatype": datatype(manifest),
                "shape": [-1, columns(manifest)],
            }
        ],
        "outputs": [{"name": SCORES, "datatype": "FP32", "shape": [-1, manifest.columns]}],
        "parameters": {
            "model": manifest.model,
            "wire": manifest.wire.name,
            "attributes": [
                {"name": a.name, "classes": list(a.classes), "threshold": a.threshold}
                for a in manifest.attributes
            ],
        },
    }


def parse(body: bytes, header_length: str | None, manifest: Manifest, most: int) -> Asked:
    """What a request asks for, of at most ``most`` pictures.

    Raises:
        RefusedError: it is not of the protocol, or not for this model.
    """
    head, binary = _parts(body, header_length)
    try:
        if _depth(head) > DEEPEST:
            raise RefusedError(400, f"the request is nested deeper than {DEEPEST} levels")
        request = json.loads(head, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise RefusedError(400, f"the request is no JSON ({str(error)[:100]})") from None
    if not isinstance(request, dict):
        raise RefusedError(400, "the request must be a JSON object")
    name = request.get("id")
    if name is not None and not isinstance(name, str):
        raise RefusedError(400, "id must be a string")
    inputs = request.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise RefusedError(400, f"inputs must be a list of one object, {PAYLOAD!r}")
    rows = _rows(inputs[0], binary, manifest, most)
    return Asked(rows, name, _wants_binary(request))


def _parts(body: bytes, header_length: str | None) -> tuple[bytes, bytes | None]:
    if header_length is None:
        return body, None
    if not (header_length.isascii() and header_length.isdecimal()) or len(header_length) > 12:
        raise RefusedError(400, f"{HEADER_LENGTH} must be a number of bytes")
    if (length := int(header_length)) > len(body):
        raise RefusedError(400, f"{HEADER_LENGTH} is {length}, the body has {len(body)} bytes")
    return body[:length], body[length:]


def _depth(text: bytes) -> int:
    """Brackets that are open at once, at most; those within strings count too."""
    marks = np.frombuffer(text, np.uint8)
    opened = ((marks == 0x5B) | (marks == 0x7B)).astype(np.int32)
    closed = ((marks == 0x5D) | (marks == 0x7D)).astype(np.int32)
    return int(np.cumsum(opened - closed).max(initial=0))


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is no number")


def _rows(
    given: dict[str, Any], binary: bytes | None, manifest: Manifest, most: int
) -> NDArray[np.generic]:
    kind, width = datatype(manifest), columns(manifest)
    if given.get("name") != PAYLOAD:
        raise RefusedError(400, f"the model has no such input: its only one is {PAYLOAD!r}")
    if given.get("datatype") != kind:
        raise RefusedError(400, f"{PAYLOAD} must be of datatype {kind}")
    shape = given.get("shape")
    if not isinstance(shape, list) or [type(side) for side in shape] != [int, int]:
        raise RefusedError(400, f"{PAYLOAD} must be of shape [n, {width}]")
    if shape[1] != width or not 1 <= shape[0] <= most:
        raise RefusedError(400, f"{PAYLOAD} must be of shape [n, {width}], n from 1 to {most}")
    parameters = given.get("parameters", {})
    if not isinstance(parameters, dict):
        raise RefusedError(400, "parameters must be an object")
    dtype = np.dtype("<f2") if kind == "FP16" else np.dtype(np.uint8)
    if (size := parameters.get("binary_data_size")) is not None:
        need = prod(shape) * dtype.itemsize
        if type(size) is not int or size != need or binary is None or len(binary) != need:
            have = 0 if binary is None else len(binary)
            raise RefusedError(
                400,
                f"shape {shape} of {kind} has {need} bytes: binary_data_size and what follows the "
                f"JSON ({have} bytes) must be as many",
            )
        rows = np.frombuffer(binary, dtype).reshape(shape)
    elif binary:
        raise RefusedError(400, "binary data without a binary_data_size")
    elif kind == "FP16":
        raise RefusedError(400, "FP16 has no form in JSON: send binary data")
    else:
        rows = _numbers(given.get("data"), shape)
    if kind == "FP16" and not np.isfinite(rows).all():
        raise RefusedError(400, f"{PAYLOAD} holds NaN or infinite values")
    return rows


def _numbers(data: Any, shape: list[int]) -> NDArray[np.uint8]:
    flat = data
    if isinstance(data, list) and data and isinstance(data[0], list):
        if any(not isinstance(row, list) or len(row) != shape[1] for row in data):
            raise RefusedError(400, f"data must be flat, or rows of {shape[1]} numbers")
        flat = [number for row in data for number in row]
    if not isinstance(flat, list) or len(flat) != prod(shape):
        raise RefusedError(400, f"data must be a list of {prod(shape)} numbers")
    if any(type(number) is not int or not 0 <= number <= 255 for number in flat):
        raise RefusedError(400, "data must be whole numbers from 0 to 255")
    return np.array(flat, np.uint8).reshape(shape)


def _wants_binary(request: dict[str, Any]) -> bool:
    parameters, outputs = request.get("parameters", {}), request.get("outputs", [])
    if not isinstance(parameters, dict) or not isinstance(outputs, list):
        raise RefusedError(400, "parameters must be an object, outputs a list")
    binary = parameters.get("binary_data_output", False)
    for output in outputs:
        if not isinstance(output, dict) or output.get("name") != SCORES:
            raise RefusedError(400, f"the model has no such output: its only one is {SCORES!r}")
        own = output.get("parameters", {})
        if not isinstance(own, dict) or "classification" in own:
            raise RefusedError(400, "an output takes the parameter binary_data alone")
        binary = own.get("binary_data", binary)
    return binary is True


def answered(
    asked: Asked, scores: NDArray[np.float32], manifest: Manifest
) -> tuple[bytes, dict[str, str]]:
    """Body and headers of an answer."""
    output: dict[str, Any] = {"name": SCORES, "datatype": "FP32", "shape": list(scores.shape)}
    raw = scores.astype("<f4").tobytes() if asked.binary else b""
    if asked.binary:
        output["parameters"] = {"binary_data_size": len(raw)}
    else:
        output["data"] = [float(score) for score in scores.ravel()]
    answer: dict[str, Any] = {"model_name": manifest.name, "model_version": VERSION}
    if asked.id is not None:
        answer["id"] = asked.id
    head = json.dumps(answer | {"outputs": [output]}).encode()
    if not asked.binary:
        return head, {"Content-Type": "application/json"}
    kind = {"Content-Type": "application/octet-stream", HEADER_LENGTH: str(len(head))}
    return head + raw, kind
