"""Upper bounds on how well any attacker can predict an attribute from a code of few values.

The optimal attacker knows the rates p_yz(c) of `Counts` exactly and answers with the class that
scores most. For weights w(y, z) of the classes, it reaches

    sum_{y, c} max_z w(y, z) p_yz(c),

which for K = 2 and equal weights is a function of the total variation distance (TV) between the
classes' distributions. Both bounds below are one-sided and hold with probability 1 - delta over the
people, whatever the attacker's architecture, data and knowledge of the rates.
"""

from dataclasses import dataclass
from enum import StrEnum
from math import log, sqrt

import numpy as np

from deepobfuscator.certificates.chi_square import chi_square
from deepobfuscator.certificates.counts import Counts, Floats
from deepobfuscator.certificates.noise import Noise

LEAST_PEOPLE = 10
"""Minimum weight of a class, in people, in each stratum, to be certified there."""

ERROR = 0.05
"""delta: a certificate is wrong with at most this probability."""


class Form(StrEnum):
    """Why a bound holds."""

    FINITE = "finite-sample bound"
    """For every number of people: Hoeffding's inequality."""
    ASYMPTOTIC = "asymptotic bound"
    """For many people: a chi-square approximation of a U-statistic."""


@dataclass(frozen=True)
class Bound:
    """A bound on the optimal attacker's score, in the unit of the function that computed it."""

    plug_in: float
    """The score on these pictures themselves; biased upwards."""
    finite: float
    """Upper bound at delta / 2, for every number of people."""
    asymptotic: float | None
    """Upper bound at delta / 2 for many people; None if it is not computed."""
    least: float
    """The score without the code."""
    most: float
    """The score if the code reveals everything."""
    share: float = 1.0
    """Fraction of the people's pictures that it covers."""

    @property
    def form(self) -> Form:
        """Which of the two bounds is used: the smaller, each at half the error probability."""
        asymptotic = self.asymptotic is not None and self.asymptotic < min(self.finite, self.most)
        return Form.ASYMPTOTIC if asymptotic else Form.FINITE

    @property
    def value(self) -> float:
        """The certificate: the smaller bound, clipped to the possible range."""
        found = self.asymptotic if self.form is Form.ASYMPTOTIC else self.finite
        assert found is not None
        return min(max(found, self.least), self.most)


def balanced_accuracy(
    counts: Counts, error: float = ERROR, noise: Noise | None = None
) -> Bound | None:
    """Balanced accuracy of the optimal attacker with one picture, 1/K .. 1.

    With one stratum (1/K) sum_c max_z p_z(c); (1 + TV) / 2 for K = 2. None if a class has a weight
    below `LEAST_PEOPLE`.
    """
    if counts.strata > 1:
        raise ValueError("public labels are given: within_labels is about them")
    found, k = within_labels(counts, error, noise), counts.classes
    if found is None:
        return None

    def scaled(value: float | None) -> float:
        return 1 / k + (1 - 1 / k) * (2 * (value or 0.0) - 1)

    rest = None if found.asymptotic is None else scaled(found.asymptotic)
    return Bound(scaled(found.plug_in), scaled(found.finite), rest, 1 / k, 1.0)


def within_labels(counts: Counts, error: float = ERROR, noise: Noise | None = None) -> Bound | None:
    """The same among pictures with equal public labels, scaled so that chance is 1/2 for any K.

    The mean over strata, by their pictures, of 1/2 + T_y / 2 with
    T_y = (sum_c max_z p_yz(c) - 1) / (K - 1), the TV where K = 2. A stratum that lacks people of a
    class is left out; None where all are.
    """
    used = (counts.sizes >= LEAST_PEOPLE).all(1)
    if not used.any():
        return None
    in_stratum = counts.sizes.sum(1)
    weights = np.where(used, in_stratum, 0.0) / in_stratum[used].sum()
    scores = np.repeat(weights[:, None], counts.classes, 1) / (counts.classes - 1)
    plug_in, slack = best_score(counts, scores, error / 2, noise)
    plug_in -= 1 / (counts.classes - 1)
    upper = chi_square(counts, weights, error / 2)
    finite = plug_in + slack
    if noise is not None:
        finite, upper = noise.after(finite, upper, counts.classes)
        plug_in = min(plug_in, finite)
    return Bound(
        (1 + plug_in) / 2,
        (1 + finite) / 2,
        None if upper is None else (1 + upper) / 2,
        0.5,
        1.0,
        float(in_stratum[used].sum() / in_stratum.sum()),
    )


def excess_over_labels(
    counts: Counts, error: float = ERROR, noise: Noise | None = None
) -> Bound | None:
    """Balanced accuracy of the optimal attacker with public labels and code, minus that of the
    optimal one with the labels alone; 0 if the code reveals nothing beyond the labels.

    With s_z(y) = A(y, z) / sum_y A(y, z) it is (1/K) sum_y (sum_c max_z s_z(y) p_yz(c) -
    max_z s_z(y)): the labels' shares are those of these people. Paired, since both attackers meet
    the same people. For K = 2 a stratum adds at most min_z s_z(y) T_y / 2 (where s_1 >= s_0:
    sum_c max(s_1 p_1, s_0 p_0) - s_1 = sum_c (s_0 p_0 - s_1 p_1)_+ <= s_0 TV), which gives the
    asymptotic form.
    """
    sizes, k = counts.sizes, counts.classes
    if (sizes.sum(0) < LEAST_PEOPLE).any():
        return None
    shares = sizes / sizes.sum(0)
    floor = float(shares.max(1).sum() / k)
    plug_in, slack = best_score(counts, shares / k, error / 2, noise)
    upper = None
    if k == 2:
        used = (sizes >= LEAST_PEOPLE).all(1)
        rarer = shares.min(1)
        known = chi_square(counts, np.where(used, rarer, 0.0), error / 2)
        if noise is not None and known is not None:
            known *= noise.contraction
        upper = None if known is None else (known + float(rarer[~used].sum())) / 2
    return Bound(plug_in - floor, plug_in - floor + slack, upper, 0.0, 1 - floor)


def best_score(
    counts: Counts, scores: Floats, error: float, noise: Noise | None = None
) -> tuple[float, float]:
    """The optimal attacker's score on these pictures, and how far it may lie below the true one.

    Let d be the rule (y, c) -> z that is best for the true rates; it is fixed, not chosen from the
    data. In the data, the best rule does at least as well as d, so that the plug-in may only be too
    small by as much as the score of d is: a sum over independent people of
    sum_yz w(y, z) a_i(y, z) / A(y, z) f_i(d(y, .) = z), each within an interval as wide as
    c_i = sum_yz w(y, z) a_i(y, z) / A(y, z). By Hoeffding (1963, theorem 2) the true score is above
    plug-in + sqrt(ln(1 / error) / 2 * sum_i c_i^2) with probability at most ``error``, and by
    Jensen sum_i c_i^2 <= sum_yz w(y, z)^2 / A(y, z), which is used. That is an equality where class
    and labels do not vary within people; where they do, the difference is what the choice of the
    people adds to the design. (Bounded differences of the plug-in, McDiarmid 1989 and Devroye,
    Györfi and Lugosi 1996, chapter 9, give the same width; no bias has to be known.)

    If the code goes through a known channel, the rates are those of its messages, and a person's
    contribution changes by at most the channel's contraction.

    Args:
        counts: the pictures.
        scores: w (S, K), the weight of a correct answer; 0 where a stratum lacks a class.
        error: probability.
        noise: the channel that the code passes before an attacker sees it.

    Returns:
        sum_{y, c} max_z w p of the data, and the slack.
    """
    rates = counts.rates if noise is None or noise.channel is None else counts.rates @ noise.channel
    width = 1.0 if noise is None or noise.channel is None else noise.contraction
    plug_in = float((scores[:, :, None] * rates).max(1).sum())
    there = counts.sizes > 0
    spread = float((scores[there] ** 2 / counts.sizes[there]).sum())
    return plug_in, width * sqrt(log(1 / error) / 2 * spread)
