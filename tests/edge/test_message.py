"""The message: golden bytes that another language can be held against, and hostile ones."""

import struct
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deepobfuscator_edge import Attribute, EdgeError, Manifest, MessageError, Wire
from deepobfuscator_edge.message import HEADER, decode, encode


def manifest(bits: int, shape: tuple[int, ...], *, zstd: bool = False) -> Manifest:
    scales = () if bits == 16 else ((-1.0,) * shape[0], (2 / (2**bits - 1),) * shape[0])
    return Manifest(
        name="m",
        model="a1b2c3d4e5f6",
        size=(8, 8),
        wire=Wire(bits, shape, *scales, zstd=zstd),
        attributes=(Attribute("A"),),
        edge="edge.onnx",
        files={"edge.onnx": ""},
    )


@pytest.mark.parametrize(
    ("bits", "features", "golden"),
    [
        (1, [[1, -1, 1, 1, -1, -1, -1, 1]], "444f 01 01 0100 a1b2c3d4e5f6 8d"),
        (1, [[1, -1, 1], [-1, -1, 1]], "444f 01 01 0200 a1b2c3d4e5f6 05 04"),
        (2, [[-1, -1 / 3, 1 / 3, 1, 1]], "444f 01 02 0100 a1b2c3d4e5f6 e4 03"),
        (4, [[-1, 1, -13 / 15]], "444f 01 04 0100 a1b2c3d4e5f6 f0 01"),
        (8, [[-1, 1, 0.0039]], "444f 01 08 0100 a1b2c3d4e5f6 00 ff 80"),
        (16, [[1, -2, 0.5]], "444f 01 10 0100 a1b2c3d4e5f6 003c 00c0 0038"),
    ],
)
def test_golden_bytes(bits: int, features: list[list[float]], golden: str) -> None:
    given = np.array(features, np.float32)
    found = manifest(bits, given.shape[1:])
    message = encode(found.wire.pack(given), found)
    assert message.hex() == golden.replace(" ", "")
    back = found.wire.features(decode(message, found))
    np.testing.assert_allclose(back, given, atol=1e-6 if bits < 8 else 0.01)


def test_a_compressed_message_is_a_plain_zstd_frame() -> None:
    found = manifest(8, (4, 8, 8), zstd=True)
    payload = np.zeros((2, 256), np.uint8)
    message = encode(payload, found)
    assert message[3] == 0x88
    assert zstandard.ZstdDecompressor().decompress(message[12:]) == bytes(512)
    np.testing.assert_array_equal(decode(message, found), payload)


def test_what_does_not_shrink_is_sent_as_it_is() -> None:
    found = manifest(8, (4, 8, 8), zstd=True)
    payload = np.random.default_rng(0).integers(0, 256, (1, 256), dtype=np.uint8)
    message = encode(payload, found)
    assert len(message) == HEADER.size + 256
    np.testing.assert_array_equal(decode(message, found), payload)


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("shape", [(5,), (3, 3, 3), (8,)])
def test_packing_goes_there_and_back(bits: int, shape: tuple[int, ...]) -> None:
    draw = np.random.default_rng(1)
    scales = () if bits == 16 else ((-0.5,) * shape[0], (0.25,) * shape[0])
    wire = Wire(bits, shape, *scales)
    levels = draw.integers(0, 2 ** min(bits, 8), (7, *shape)).astype(np.float32)
    features = levels * 0.25 - 0.5
    packed = wire.pack(features)
    assert packed.shape == (7, wire.bytes)
    np.testing.assert_array_equal(wire.features(packed), features)


def test_values_beyond_the_levels_are_clipped() -> None:
    wire = Wire(4, (1,), (0.0,), (1.0,))
    far = np.array([[-9.0], [99.0]], np.float32)
    np.testing.assert_array_equal(wire.features(wire.pack(far)), [[0], [15]])


def header(**changed: object) -> bytes:
    parts = {
        "magic": b"DO",
        "version": 1,
        "encoding": 8,
        "count": 1,
        "model": b"\xa1\xb2\xc3\xd4\xe5\xf6",
    }
    return struct.pack("<2sBBH6s", *(parts | changed).values())


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (b"", "too few for a header"),
        (header()[:11], "too few for a header"),
        (header(magic=b"PK") + bytes(256), "must begin with DO"),
        (header(version=2) + bytes(256), "version 2 of the message is unknown: use 1"),
        (header(model=bytes(6)) + bytes(256), "for model 000000000000, this is a1b2c3d4e5f6"),
        (header(encoding=4) + bytes(128), "not that of this model, int8"),
        (header(encoding=0x48) + bytes(256), "not that of this model, int8"),
        (header(count=0), "0 pictures"),
        (header(count=65535) + bytes(256), "65535 pictures: a message holds 1 to 16"),
        (header() + bytes(255), "255 bytes of payload: 1 pictures have 256"),
        (header() + bytes(257), "257 bytes of payload"),
        (header(encoding=0x88) + bytes(99), "no zstd frame"),
        (header(encoding=0x88) + bytes(256), "must be smaller than a plain one"),
    ],
)
def test_bad_messages_are_refused_with_a_reason(message: bytes, says: str) -> None:
    with pytest.raises(MessageError, match=says):
        decode(message, manifest(8, (4, 8, 8)), 16)


def test_a_bomb_is_refused_before_it_unfolds() -> None:
    found = manifest(8, (4, 8, 8))
    frame = zstandard.ZstdCompressor(level=19).compress(bytes(100_000_000))
    assert len(frame) < 65_536
    big = replace(found, wire=Wire(8, (65536,), (0.0,) * 65536, (1.0,) * 65536))
    tracemalloc.start()
    with pytest.raises(MessageError, match="declare its content size, 65536 bytes"):
        decode(header(encoding=0x88) + frame, big)
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()


def test_a_frame_that_does_not_declare_its_size_or_has_another_after_it_is_refused() -> None:
    found = manifest(8, (4, 8, 8))
    silent = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(256))
    with pytest.raises(MessageError, match="declare its content size"):
        decode(header(encoding=0x88) + silent, found)
    frame = zstandard.ZstdCompressor().compress(bytes(256))
    with pytest.raises(MessageError, match="no zstd frame"):
        decode(header(encoding=0x88) + frame + frame, found)


def test_numbers_that_are_none_are_refused() -> None:
    found = manifest(16, (3,))
    for bad in (np.nan, np.inf):
        body = np.array([1, bad, 2], "<f2").tobytes()
        with pytest.raises(MessageError, match="NaN or infinite"):
            decode(header(encoding=16) + body, found)


def outcome(message: bytes, found: Manifest) -> object:
    try:
        return decode(message, found, 8).shape
    except MessageError as error:
        return str(error)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=600), st.integers(0, 20), st.integers(0, 255), st.booleans())
def test_any_bytes_are_decoded_or_refused(noise: bytes, at: int, byte: int, flip: bool) -> None:
    """A good message with a byte changed, or anything at all."""
    found = manifest(8, (4, 8, 8), zstd=True)
    message = bytearray(encode(np.zeros((2, 256), np.uint8), found) if flip else noise)
    if at < len(message):
        message[at] = byte
    got = outcome(bytes(message), found)
    if isinstance(got, str):
        assert "\n" not in got
    else:
        assert got in [(n, 256) for n in range(1, 9)]


def test_a_manifest_with_a_wrong_field_is_refused() -> None:
    good = manifest(8, (4, 8, 8)).as_json()
    assert Manifest.from_json(good) == replace(
        manifest(8, (4, 8, 8)), wire=Wire(8, (4, 8, 8), (-1.0,) * 4, (2 / 255,) * 4)
    )
    for changed in (
        {"format": "other"},
        {"model": "xyz"},
        {"attributes": []},
        {"wire": {"bits": 3, "shape": [4]}},
        {"wire": {"bits": 8, "shape": [1 << 30], "low": [0], "step": [1]}},
        {"size": "big"},
        {"more": 1},
    ):
        with pytest.raises(EdgeError):
            Manifest.from_json(good | changed)
