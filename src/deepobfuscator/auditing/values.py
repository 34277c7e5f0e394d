"""The values that an encoder's features take, where they are few enough to be counted."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from deepobfuscator.attacks.lookup import LEAST_INPUTS, MOST_VALUES, SURE, few_values
from deepobfuscator.auditing.fit import Audit

PARTS = ("attacker", "validation", "test")
"""The inputs on which they are counted: of people that trained or tuned nothing of the encoder."""


@dataclass(frozen=True)
class Codes:
    """The values that an encoder's features take on the held-out inputs."""

    number: NDArray[np.int64]
    """(n,) of each input of `PARTS`, in order; numbered as they were first met."""
    by_attacker: int
    """How many the attacker's own inputs take: the first so many numbers."""

    @cached_property
    def values(self) -> int:
        """M, different ones."""
        return int(self.number.max()) + 1


def codes_of(audit: Audit) -> Codes | str:
    """The values, or in words why they cannot be counted.

    Two features are equal where all their bits are: what is rounded away could tell something.
    """
    encoder = audit.target.bundle.encoder
    if encoder.stochastic:
        return "its answers are drawn anew for every query, and counting says nothing of the draw"
    total = sum(len(audit.seen[name]) for name in PARTS)
    known, number, by_attacker = dict[bytes, int](), list[int](), 0
    for name in PARTS:
        data = audit.seen[name]
        for rows in data.chunks():
            for row in data.features_of(rows).flatten(1).cpu().numpy():
                number.append(known.setdefault(row.tobytes(), len(known)))
            few = min(MOST_VALUES, total // LEAST_INPUTS)
            if len(known) > few or SURE <= len(number) == len(known):
                return _too_many(audit)
        by_attacker = by_attacker or len(known)
    return Codes(np.array(number), by_attacker)


def _too_many(audit: Audit) -> str:
    """Why features of many values have no certificate."""
    if (nearly := few_values(audit.seen["attacker"])) is not None:
        return (
            f"its features take {len(nearly[0])} values to four digits and far more to the last "
            "bit, which leaves the device as well: let the encoder round what it sends"
        )
    return f"2^{audit.target.bundle.encoder.wire_bits:,} values"
