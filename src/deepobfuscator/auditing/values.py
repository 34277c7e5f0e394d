"""The values that an encoder's features take, if they are few enough to be counted."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepobfuscator.attacks.lookup import LEAST_INPUTS, MOST_VALUES, SURE, few_values
from deepobfuscator.attacks.threat import AttackerData
from deepobfuscator.auditing.fit import Audit
from deepobfuscator.training.bundle import apply

PARTS = ("attacker", "validation", "test")
"""The inputs on which they are counted: of people not used to train or tune the encoder."""


@dataclass(frozen=True)
class Codes:
    """The values that an encoder's features take on the held-out inputs."""

    number: NDArray[np.int64]
    """(n,) value number of each input of `PARTS`, in order of first appearance."""
    by_attacker: int
    """Number of values among the attacker's own inputs: they have the lowest numbers."""

    words: NDArray[np.float32]
    """(M, d) the values, in order of their numbers."""

    @cached_property
    def values(self) -> int:
        """M, the number of distinct values."""
        return int(self.number.max()) + 1


def codes_of(audit: Audit) -> Codes | str:
    """The values, or the reason why they cannot be counted.

    Two features are equal if all their bits are: rounded digits could carry information. For an
    encoder that flips bits at random, the code before flipping is counted: the flip probability is
    known.
    """
    encoder = audit.target.bundle.encoder
    if encoder.stochastic and not encoder.flip:
        return "its output is random at every query, and counts say nothing about that randomness"
    total = sum(len(audit.seen[name]) for name in PARTS)
    known, number, by_attacker = dict[bytes, int](), list[int](), 0
    for name in PARTS:
        data = audit.seen[name]
        for rows in data.chunks():
            for row in _seen(audit, data, rows).flatten(1).cpu().numpy():
                number.append(known.setdefault(row.tobytes(), len(known)))
            few = min(MOST_VALUES, total // LEAST_INPUTS)
            if len(known) > few or SURE <= len(number) == len(known):
                return _too_many(audit)
        by_attacker = by_attacker or len(known)
    words = np.frombuffer(b"".join(known), dtype=np.float32).reshape(len(known), -1)
    return Codes(np.array(number), by_attacker, words)


def _seen(audit: Audit, data: AttackerData, rows: NDArray[np.int64]) -> Tensor:
    """Features (m, *shape), or the code before bits are flipped."""
    encoder = audit.target.bundle.encoder
    if not encoder.flip:
        return data.features_of(rows)
    return apply(encoder.bits_of, torch.from_numpy(data.pictures(rows)), audit.target.context)


def _too_many(audit: Audit) -> str:
    """Why features of many values have no certificate."""
    if (nearly := few_values(audit.seen["attacker"])) is not None:
        return (
            f"its features take {len(nearly[0])} values to four digits and far more to the last "
            "bit, which leaves the device as well: let the encoder round what it sends"
        )
    return f"2^{audit.target.bundle.encoder.wire_bits:,} values"
