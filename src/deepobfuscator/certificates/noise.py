"""The effect of random bit flips on a code: randomised response on each of B bits."""

from dataclasses import dataclass
from functools import cached_property
from math import log

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binom

from deepobfuscator.certificates.counts import Floats


@dataclass(frozen=True)
class Flips:
    """Each of B bits is flipped with probability f, independently of all else."""

    words: Floats
    """(M, B) of -1 and 1: the code words that were counted, in the order of `Counts.code`."""
    flip: float
    """f, above 0 and below 1/2."""

    @classmethod
    def of(cls, words: ArrayLike, flip: float) -> "Flips":
        """Arguments as the fields.

        Raises:
            ValueError: words with values other than -1 and 1, or a probability out of range.
        """
        found = np.asarray(words, dtype=np.float64)
        if found.ndim != 2 or not np.isin(found, (-1.0, 1.0)).all() or not 0 < flip < 0.5:
            raise ValueError("flips need words (M, B) of -1 and 1 and a chance in (0, 1/2)")
        return cls(found, flip)

    @property
    def bits(self) -> int:
        """B."""
        return int(self.words.shape[1])

    @property
    def epsilon(self) -> float:
        """ε of local differential privacy for one message: B ln((1 - f) / f) (Warner 1965)."""
        return self.bits * log((1 - self.flip) / self.flip)

    @cached_property
    def channel(self) -> Floats:
        """Probabilities (M, 2^B) of every message, given the code word."""
        every = 1 - 2.0 * (np.arange(1 << self.bits)[:, None] >> np.arange(self.bits) & 1)
        turned = (self.bits - self.words @ every.T) / 2
        return np.asarray(self.flip**turned * (1 - self.flip) ** (self.bits - turned))

    def contraction(self, messages: int = 1) -> float:
        """The exact maximum total variation distance between messages of two code words.

        It is reached by opposite words: the number of flipped bits is a sufficient statistic and
        binomial, so the distance is P(X <= n/2) - P(Y <= n/2) for n = B ``messages`` bits, X with
        flip probability f and Y with 1 - f. No two secrets' messages are further apart, and the
        distance between the codes shrinks at least by that factor (Dobrushin 1956).
        """
        n = self.bits * messages
        half = (n - 1) // 2
        return float(binom.cdf(half, n, self.flip) - binom.cdf(half, n, 1 - self.flip))

    @property
    def values(self) -> float:
        """(2 (1 - f))^B, the effective number of values for guessing a secret: the sum over
        messages of the largest probability, 2^(maximal leakage).
        """
        return float((2 * (1 - self.flip)) ** self.bits)


@dataclass(frozen=True)
class Noise:
    """The exactly known channel that a code passes before an attacker sees it."""

    contraction: float
    """The maximum total variation distance between two codes' messages."""
    channel: Floats | None = None
    """Probabilities (M, messages) given the code; None if only the contraction is used."""

    def after(self, finite: float, upper: float | None, classes: int) -> tuple[float, float | None]:
        """Both bounds on T after the noise: never above the contraction, whatever the data.

        For two classes the distance of the codes shrinks by that factor, unless ``finite`` is
        already about the messages.
        """
        if self.channel is None and classes == 2:
            finite *= self.contraction
        if upper is not None:
            upper = upper * self.contraction if classes == 2 else None
        return min(finite, self.contraction), upper
