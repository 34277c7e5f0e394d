"""A lower bound on the squared error of every decoder of a code of few values."""

from dataclasses import dataclass
from math import inf, log, log10, sqrt

import numpy as np
from numpy.typing import ArrayLike

from deepobfuscator.certificates.attributes import ERROR
from deepobfuscator.certificates.counts import Floats


@dataclass(frozen=True)
class Error:
    """Mean squared error per value of pictures in [0, 1]; each person has equal weight."""

    codebook: float
    """Error of the best codebook for these very pictures; biased downwards."""
    least: float
    """Lower bound on the optimal decoder's error, with probability 1 - delta."""

    @property
    def psnr(self) -> float:
        """The PSNR in dB of `least`: an upper bound on -10 log10 of the error."""
        return inf if self.least <= 0 else -10 * log10(self.least)


def squared_error(losses: ArrayLike, largest: float, error: float = ERROR) -> Error:
    """Lower bound on the error of every decoder.

    A decoder gives one picture g(c) in [0, 1] for each code c; the best one, g*, is the mean of all
    pictures with that code. The codebook g^ of means over the given pictures has the least error on
    them, P l(g) = P l(g^) + r^2 with r^2 = P |g(c) - g^(c)|^2. By the empirical Bernstein
    inequality (Maurer and Pontil 2009, theorem 4), of g*, which is fixed, and n people,

        E l(g*) >= P l(g*) - k sd(l(g*)) - 7 L / (3 (n - 1)),  k^2 = 2 L / n,  L = ln(2 / delta)

    with probability 1 - delta. Of the standard deviation of g* it is known that
    sd(l(g)) <= sd(l(g^)) + b r, b = sqrt(n / (n - 1)) (2 e + 1), since the losses of a picture
    differ by at most |g - g^| (2 |x - g^| + |g - g^|), with e the largest |x - g^| of all pictures
    (root mean squares, so at most 1). The worst r, k b / 2, leaves

        E l(g*) >= P l(g^) - k sd(l(g^)) - (k b)^2 / 4 - 7 L / (3 (n - 1)).

    Args:
        losses: (n,) of each person, the mean over own pictures of |x - g^(c)|^2, in [0, 1].
        largest: e, in [0, 1].
        error: delta.
    """
    loss: Floats = np.asarray(losses, dtype=np.float64)
    n, mean = len(loss), float(loss.mean())
    if n < 2:
        return Error(mean, 0.0)
    level = log(2 / error)
    k, b = sqrt(2 * level / n), sqrt(n / (n - 1)) * (2 * largest + 1)
    slack = k * float(loss.std(ddof=1)) + (k * b) ** 2 / 4 + 7 * level / (3 * (n - 1))
    return Error(mean, max(0.0, mean - slack))
