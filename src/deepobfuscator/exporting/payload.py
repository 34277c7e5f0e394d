"""Features to the payload of a message and back, as ONNX graphs; see `Wire`."""

import onnx
from onnx import numpy_helper, parser

from deepobfuscator.exporting.graphs import FEATURES, HEAD, PAYLOAD
from deepobfuscator_edge.manifest import Wire


def packing(wire: Wire) -> onnx.ModelProto:
    """``features`` (n, *shape) to ``payload`` (n, `Wire.bytes`), uint8, or (n, values), float16."""
    shape = ", ".join(map(str, wire.shape))
    if wire.bits == 16:
        return parser.parse_model(f"""{HEAD}
packing (float[n, {shape}] {FEATURES}) => (float16[n, {wire.values}] {PAYLOAD}) {{
  flat = Flatten ({FEATURES})
  {PAYLOAD} = Cast <to = 10> (flat)
}}""")
    parts, rest = 8 // wire.bits, wire.bytes * 8 // wire.bits - wire.values
    # Steps and scalars: a product with a row of places takes as long as a convolution.
    weighed = "".join(
        f"""
  first_{k} = Constant <value = int64[1] {{{k}}}> ()
  part_{k} = Slice (padded, first_{k}, end, axis, stride)
  place_{k} = Constant <value = float {{{2 ** (k * wire.bits)}}}> ()
  weighed_{k} = Mul (part_{k}, place_{k})"""
        for k in range(parts)
    )
    model = parser.parse_model(f"""{HEAD}
packing (float[n, {shape}] {FEATURES}) => (uint8[n, {wire.bytes}] {PAYLOAD})
<float none = {{0}}> {{
  above = Sub ({FEATURES}, low)
  measured = Div (above, step)
  rounded = Round (measured)
  highest = Constant <value = float {{{2**wire.bits - 1}}}> ()
  levels = Clip (rounded, none, highest)
  flat = Flatten (levels)
  pads = Constant <value = int64[4] {{0, 0, 0, {rest}}}> ()
  padded = Pad (flat, pads)
  end = Constant <value = int64[1] {{{wire.bytes * parts}}}> ()
  axis = Constant <value = int64[1] {{1}}> ()
  stride = Constant <value = int64[1] {{{parts}}}> (){weighed}
  joined = Sum ({", ".join(f"weighed_{k}" for k in range(parts))})
  {PAYLOAD} = Cast <to = 2> (joined)
}}""")
    model.graph.initializer.extend(_scales(wire))
    return model


def unpacking(wire: Wire) -> onnx.ModelProto:
    """The inverse of `packing`, to the nearest level."""
    shape = ", ".join(map(str, wire.shape))
    if wire.bits == 16:
        return parser.parse_model(f"""{HEAD}
unpacking (float16[n, {wire.values}] {PAYLOAD}) => (float[n, {shape}] {FEATURES}) {{
  flat = Cast <to = 1> ({PAYLOAD})
  shape = Constant <value = int64[{1 + len(wire.shape)}] {{0, {shape}}}> ()
  {FEATURES} = Reshape (flat, shape)
}}""")
    parts = 8 // wire.bits
    model = parser.parse_model(f"""{HEAD}
unpacking (uint8[n, {wire.bytes}] {PAYLOAD}) => (float[n, {shape}] {FEATURES}) {{
  bytes = Cast <to = 6> ({PAYLOAD})
  last = Constant <value = int64[1] {{-1}}> ()
  columns = Unsqueeze (bytes, last)
  places = Constant <value = int32[{parts}] {{{_places(wire)}}}> ()
  moved = Div (columns, places)
  levels_there = Constant <value = int32 {{{2**wire.bits}}}> ()
  levels = Mod (moved, levels_there)
  padded = Flatten (levels)
  first = Constant <value = int64[1] {{0}}> ()
  end = Constant <value = int64[1] {{{wire.values}}}> ()
  axis = Constant <value = int64[1] {{1}}> ()
  flat = Slice (padded, first, end, axis)
  numbers = Cast <to = 1> (flat)
  shape = Constant <value = int64[{1 + len(wire.shape)}] {{0, {shape}}}> ()
  shaped = Reshape (numbers, shape)
  stretched = Mul (shaped, step)
  {FEATURES} = Add (stretched, low)
}}""")
    model.graph.initializer.extend(_scales(wire))
    return model


def _places(wire: Wire) -> str:
    return ", ".join(str(2**shift) for shift in range(0, 8, wire.bits))


def _scales(wire: Wire) -> list[onnx.TensorProto]:
    names = ("low", "step")
    return [numpy_helper.from_array(v, name) for v, name in zip(wire.scales, names, strict=True)]
