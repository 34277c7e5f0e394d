"""The message that leaves the device: a header of 12 bytes and a payload (docs/wire.md).

Decoding is for bytes that anybody may have sent: what they may hold at most is known from the
manifest, and nothing larger is ever allocated.
"""

import struct

import numpy as np
import zstandard
from numpy.typing import NDArray

from deepobfuscator_edge.errors import MessageError
from deepobfuscator_edge.manifest import Manifest, Wire

HEADER = struct.Struct("<2sBBH6s")
"""Magic, version, encoding, pictures, model id."""
MAGIC, VERSION = b"DO", 1
COMPRESSED = 0x80
"""Bit of the encoding that says that the payload is a zstd frame; the rest are bits a value."""
MOST = 0xFFFF
"""Pictures that a header can count."""
LEVEL = 3
"""Of zstd."""
WINDOW = 1 << 23
"""Bytes of history that a decoder must keep, as RFC 8878 advises it to support."""


def encode(payload: NDArray[np.uint8], manifest: Manifest) -> bytes:
    """A message of the payload (n, `Wire.bytes`) of n pictures.

    Raises:
        MessageError: no picture, too many, or a payload of another shape.
    """
    wire = manifest.wire
    if payload.dtype != np.uint8 or payload.shape[1:] != (wire.bytes,):
        raise MessageError(f"a payload must be uint8 of shape (n, {wire.bytes})")
    if not 1 <= len(payload) <= MOST:
        raise MessageError(f"a message holds 1 to {MOST} pictures, not {len(payload)}")
    body, encoding = payload.tobytes(), wire.bits
    if wire.zstd:
        smaller = frame(body)
        if len(smaller) < len(body):
            body, encoding = smaller, encoding | COMPRESSED
    model = bytes.fromhex(manifest.model)
    return HEADER.pack(MAGIC, VERSION, encoding, len(payload), model) + body


def frame(body: bytes) -> bytes:
    """A zstd frame, which declares its content size."""
    return zstandard.ZstdCompressor(level=LEVEL, write_checksum=False).compress(body)


def largest(wire: Wire, pictures: int) -> int:
    """Bytes that a message of so many pictures may have: a compressed one is never larger."""
    return HEADER.size + pictures * wire.bytes


def decode(message: bytes, manifest: Manifest, most: int = MOST) -> NDArray[np.uint8]:
    """The payload (n, `Wire.bytes`) of a message with at most ``most`` pictures.

    Raises:
        MessageError: it is cut short, too long, of another model or format, or not what its
            header says.
    """
    wire = manifest.wire
    if len(message) < HEADER.size:
        raise MessageError(f"{len(message)} bytes are too few for a header of {HEADER.size}")
    magic, version, encoding, count, model = HEADER.unpack_from(message)
    if magic != MAGIC:
        raise MessageError("this is no message: it must begin with DO")
    if version != VERSION:
        raise MessageError(f"version {version} of the message is unknown: use {VERSION}")
    if model.hex() != manifest.model:
        raise MessageError(f"the message is for model {model.hex()}, this is {manifest.model}")
    if encoding & ~COMPRESSED != wire.bits:
        raise MessageError(f"encoding {encoding:#04x} is not that of this model, {wire.name}")
    if not 1 <= count <= most:
        raise MessageError(f"{count} pictures: a message holds 1 to {most}")
    size = count * wire.bytes
    body = memoryview(message)[HEADER.size :]
    if encoding & COMPRESSED:
        body = memoryview(_expanded(body, size))
    if len(body) != size:
        raise MessageError(f"{len(body)} bytes of payload: {count} pictures have {size}")
    payload = np.frombuffer(body, np.uint8).reshape(count, wire.bytes)
    if wire.bits == 16 and not np.isfinite(payload.view("<f2")).all():
        raise MessageError("the payload holds NaN or infinite values")
    return payload


def _expanded(packed: memoryview, size: int) -> bytes:
    """The ``size`` bytes of a zstd frame."""
    if len(packed) >= size:
        raise MessageError("a compressed payload must be smaller than a plain one")
    try:
        found = zstandard.get_frame_parameters(packed)
        if found.content_size != size:
            raise MessageError(f"the frame must declare its content size, {size} bytes")
        if found.dict_id or found.window_size > WINDOW:
            raise MessageError("the frame needs a dictionary or too large a window")
        decompressor = zstandard.ZstdDecompressor()
        return decompressor.decompress(packed, max_output_size=size, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise MessageError(f"the payload is no zstd frame ({error})") from None
