"""The device: the exported encoder in int8, pictures to message, against torch eager in float32.

The product fits pictures to size, encodes and packs them, all in one graph; the reference has them
at their size and stops at the features.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper

from deepobfuscator.data.augment import as_input
from deepobfuscator.exporting import graphs, wires
from deepobfuscator.exporting import payload as payload_graphs
from deepobfuscator.exporting.int8 import as_planes, quantised
from deepobfuscator.exporting.parity import asked
from deepobfuscator.nn.vgg import Obfuscator, initialise, multiply_accumulates
from deepobfuscator_edge.edge import open_session
from deepobfuscator_edge.manifest import Attribute, Manifest, Wire
from deepobfuscator_edge.message import decode, encode
from harness import Contender, Options, Row, alternate, measurements

REPEATS = 5
"""Runs whose median is one measurement."""


def encoder(size: tuple[int, int], width: float) -> Obfuscator:
    """O at initial weights, norms included."""
    made = Obfuscator((size[0], size[1]), width)
    initialise(made, 0)
    return made.eval()


def drawn(size: tuple[int, int], count: int) -> np.ndarray:
    """Pictures (count, H, W, 3) in 0..255, smooth enough for zstd to have something to do."""
    coarse = np.random.default_rng(0).integers(0, 256, (count, 9, 8, 3), dtype=np.uint8)
    rows, columns = (np.arange(side) * n // side for side, n in zip(size, (9, 8), strict=True))
    return np.ascontiguousarray(coarse[:, rows][:, :, columns])


def eager(size: tuple[int, int], width: float, batch: int) -> Iterator[dict[str, float]]:
    """Torch, float32."""
    network, pictures = encoder(size, width), drawn(size, batch)

    def run() -> None:
        with torch.no_grad():
            network(as_input(pictures, torch.device("cpu")))

    while True:
        yield {"ms": timed(run)}


def product(size: tuple[int, int], width: float, batch: int) -> Iterator[dict[str, float]]:
    """The exported graph, and the message around its answer."""
    pictures, network = drawn(size, max(batch, 16)), encoder(size, width)
    plain = graphs.traced(network, (3, *size), "planes", graphs.FEATURES)
    int8 = quantised(plain, pictures)
    wire = wires.fitted(asked(int8)(as_planes(pictures)), 4, False)
    wire = Wire(wire.bits, wire.shape, wire.low, wire.step, zstd=True)
    height, width_ = size
    manifest = Manifest(
        *("bench", "0" * 12, (height, width_), wire, (Attribute("A"),), "e"), files={"e": ""}
    )
    with TemporaryDirectory() as folder:
        path = Path(folder) / "edge.onnx"
        graphs.saved(graphs.chained(graphs.intake(size), int8, payload_graphs.packing(wire)), path)
        session = open_session(path)
    some = {"pictures": pictures[:batch]}
    (payload,) = session.run(None, some)
    message = encode(payload, manifest)
    while True:
        yield {
            "ms": timed(partial(session.run, None, some)),
            "wire": timed(lambda: decode(encode(payload, manifest), manifest)),
            "bytes": len(message) / batch,
        }


def least(size: tuple[int, int], width: float) -> Iterator[dict[str, float]]:
    """The encoder's multiplications at the rate of a product of uint8 and int8 matrices that lie in
    the cache (those of O's third convolution at 216x176, the fastest of its four).
    """
    places, inputs, outputs = 9504, 576, 128
    draw = np.random.default_rng(0)
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["a", "b"], ["c"])],
        "product",
        [helper.make_tensor_value_info("a", TensorProto.UINT8, [places, inputs])],
        [helper.make_tensor_value_info("c", TensorProto.INT32, [places, outputs])],
        [numpy_helper.from_array(draw.integers(-127, 128, (inputs, outputs), dtype=np.int8), "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    given = {"a": draw.integers(0, 256, (places, inputs), dtype=np.uint8)}
    share = multiply_accumulates(encoder(size, width), size) / (places * inputs * outputs)
    while True:
        # The fastest: what is in the cache is what counts here, after all that waited meanwhile.
        runs = (timed(partial(session.run, None, given), 1) for _ in range(200))
        yield {"ms": share * min(runs)}


def timed(run: Any, repeats: int = REPEATS) -> float:
    """Median milliseconds."""
    times = []
    for _ in range(repeats):
        began = perf_counter()
        run()
        times.append(1000 * (perf_counter() - began))
    return median(times)


def bench(options: Options) -> list[Row]:
    """Two rows for each batch size: the encoder, and what the message adds."""
    size, width, turns, batches = (216, 176), 1.0, 5, (1, 16)
    if options.quick:
        size, width, turns, batches = (32, 32), 1 / 16, 1, (16,)
    rows = []
    for batch in batches:
        arguments = {"size": size, "width": width, "batch": batch}
        taken = alternate(
            {
                "product": Contender("edge:product", arguments),
                "reference": Contender("edge:eager", arguments),
                "limit": Contender("edge:least", {"size": size, "width": width}),
            },
            turns,
            options,
        )
        case = f"{size[0]}x{size[1]}, width {width:g}, batch {batch}"
        ours, message = (measurements(taken["product"], name) for name in ("ms", "wire"))
        theirs = measurements(taken["reference"], "ms")
        limit = batch * measurements(taken["limit"], "ms").median
        rows.append(Row("edge", case, "ms", ours, "torch eager fp32", theirs, limit))
        share = f"{message.median / ours.median:.0%} of the encoder"
        size_ = measurements(taken["product"], "bytes").median
        note = f"encode and decode, int4 and zstd; {share}; {size_:,.0f} bytes a picture"
        rows.append(Row("edge", f"{case}, message", "ms", message, note=note))
    return rows
