"""Wire settings: levels fitted to features, and the smallest that keeps the service's worth."""

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from math import prod

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deepobfuscator.core.errors import InputError
from deepobfuscator.core.registry import suggest
from deepobfuscator_edge.manifest import BITS, Wire
from deepobfuscator_edge.message import HEADER, frame

AUTO = "auto"
NAMES = {("float16" if bits == 16 else f"int{bits}"): bits for bits in BITS}
"""Settings that can be asked for, as bits of one value."""
RANGES = (1.0, 0.8, 0.6, 0.45, 0.35, 0.25, 0.18, 0.12, 0.08)
"""Shares of a channel's range that levels may cover; what lies outside is clipped."""
FITTED_ON = 1 << 14
"""Values of a channel that its levels are fitted to."""
COSTS = 0.005
"""Balanced accuracy that a setting chosen by ``auto`` may cost on validation."""
HELPS = 0.95
"""Share of its size that a compressed message may have at most, for compression to be on."""

Floats = NDArray[np.float32]


def parse(name: str) -> int | None:
    """Bits of one value; None for ``auto``.

    Raises:
        InputError: no such setting.
    """
    if name == AUTO:
        return None
    if name not in NAMES:
        raise InputError(f"--wire {name}: {suggest(name, [AUTO, *NAMES])}")
    return NAMES[name]


def fitted(features: Floats, bits: int, leveled: bool) -> Wire:
    """Levels for features (n, *shape): of each channel those with the smallest squared error; of
    what the encoder has ``leveled`` itself, evenly, its own.
    """
    shape = features.shape[1:]
    if bits == 16:
        return Wire(16, shape)
    if leveled:
        lowest, highest = float(features.min()), float(features.max())
        between = (highest - lowest) / (2**bits - 1) or 1.0
        return Wire(bits, shape, (lowest,) * shape[0], (between,) * shape[0])
    channels = np.moveaxis(features, 1, 0).reshape(shape[0], -1)
    rows = np.linspace(0, channels.shape[1] - 1, min(FITTED_ON, channels.shape[1]))
    values = channels[:, rows.astype(np.int64)].astype(np.float64)
    middle = np.median(values, 1, keepdims=True)
    ends = [np.asarray(f(channels, axis=1, keepdims=True), np.float64) for f in (np.min, np.max)]
    best = np.full((shape[0], 1), np.inf)
    lows, steps = np.zeros_like(best), np.ones_like(best)
    for share in RANGES if bits < 8 else RANGES[:1]:
        low, high = (middle + share * (end - middle) for end in ends)
        step = (high - low) / (2**bits - 1)
        step[step <= 0] = 1.0
        levels = np.clip(np.rint((values - low) / step), 0, 2**bits - 1)
        error = np.square(levels * step + low - values).sum(1, keepdims=True)
        better = error < best
        best, lows = np.where(better, error, best), np.where(better, low, lows)
        steps = np.where(better, step, steps)
    low_, step_ = (tuple(map(float, np.float32(v).ravel())) for v in (lows, steps))
    return Wire(bits, shape, low_, step_)


def choose(
    features: Floats,
    wanted: int | None,
    wire_bits: int,
    loses: Callable[[Wire], float],
) -> Wire:
    """The setting that was asked for, or the one of fewest bytes that loses at most `COSTS`.

    Args:
        features: (n, *shape) of training pictures, to fit levels to.
        wanted: bits of one value; None chooses.
        wire_bits: of one picture, as the encoder declares them.
        loses: what the service's worth on validation pictures falls by with a setting.

    Raises:
        InputError: a setting was asked for that a code does not need; none is good enough.
    """
    bits_each = wire_bits / prod(features.shape[1:])
    leveled = bits_each in BITS[:-1]
    if leveled and wanted not in (None, bits_each):
        raise InputError(f"the encoder gives {bits_each:g} bits a value: leave --wire at auto")
    lost: dict[str, float] = {}
    tried = (int(bits_each),) if leveled else BITS if wanted is None else (wanted,)
    for bits in tried:
        wire = fitted(features, bits, leveled)
        if wanted is not None:
            return wire
        lost[wire.name] = loses(wire)
        if lost[wire.name] <= COSTS:
            return wire
    told = ", ".join(f"{name} {100 * value:.1f}" for name, value in lost.items())
    raise InputError(
        f"every wire setting costs more than {100 * COSTS:.1f} points of balanced accuracy on "
        f"validation ({told}): name one with --wire to take it all the same"
    )


def compressed(wire: Wire, payload: NDArray[np.uint8]) -> Wire:
    """``wire`` with compression where that helps messages of one picture, as of ``payload``."""
    frames = sum(min(len(frame(row.tobytes())), wire.bytes) for row in payload)
    return replace(wire, zstd=frames < HELPS * len(payload) * wire.bytes)


def sizes(wire: Wire, payload: NDArray[np.uint8], pictures: NDArray[np.uint8]) -> dict[str, float]:
    """Mean bytes of a picture: as a message of its own, in messages of 16 with its share of the
    header, as PNG and as JPEG of quality 75.
    """

    def message(rows: NDArray[np.uint8]) -> int:
        body = rows.tobytes()
        return HEADER.size + min(len(body), len(frame(body)) if wire.zstd else len(body))

    def encoded(form: str, **how: int) -> float:
        total = 0
        for picture in pictures:
            Image.fromarray(picture).save(file := BytesIO(), form, **how)
            total += len(file.getvalue())
        return round(total / len(pictures), 1)

    whole = payload[: len(payload) // 16 * 16].reshape(-1, 16, wire.bytes)
    many = [message(rows) / 16 for rows in whole]
    return {
        "message": round(sum(message(row[None]) for row in payload) / len(payload), 1),
        "message_of_16": round(sum(many) / len(many), 2) if many else float("nan"),
        "png": encoded("PNG", optimize=True),
        "jpeg75": encoded("JPEG", quality=75),
    }
