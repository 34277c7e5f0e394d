"""An encoder's graph with convolutions in int8, calibrated on training pictures."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime import quantization

from deepobfuscator.core.rows import evenly_spaced
from deepobfuscator.exporting.graphs import quiet

CALIBRATION = 256
"""Training pictures whose activations are measured."""
BATCH = 16
QUANTISED = ["Conv", "MaxPool", "Relu"]
"""Operators that compute in int8; what is left (the linear layer of a code) is cheap."""


class _Pictures(quantization.CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, name: str, pictures: NDArray[np.uint8]) -> None:
        self.batches: Iterator[dict[str, Any]] = (
            {name: as_planes(pictures[start : start + BATCH])}
            for start in range(0, len(pictures), BATCH)
        )

    def get_next(self) -> dict[str, Any] | None:
        return next(self.batches, None)


def as_planes(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(n, H, W, 3) in 0..255 to (n, 3, H, W) in [0, 1]."""
    return np.ascontiguousarray(pictures.transpose(0, 3, 1, 2), np.float32) / np.float32(255)


def quantised(encoder: onnx.ModelProto, pictures: NDArray[np.uint8]) -> onnx.ModelProto:
    """``encoder`` with QuantizeLinear and DequantizeLinear around its convolutions.

    Args:
        encoder: from (n, 3, H, W) in [0, 1].
        pictures: (n, H, W, 3) training pictures in 0..255, fitted to its size.
    """
    rows = evenly_spaced(len(pictures), CALIBRATION)
    reader = _Pictures(encoder.graph.input[0].name, pictures[rows])
    with quiet(), TemporaryDirectory() as folder:  # it advises steps that are taken before
        made = Path(folder) / "int8.onnx"
        quantization.quantize_static(
            onnx.shape_inference.infer_shapes(encoder),
            made,
            reader,
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=QUANTISED,
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )
        return onnx.load(made)
