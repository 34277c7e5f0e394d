"""Upper bound on the distance between the classes' distributions of a code, for many people."""

from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import chndtrinc

from deepobfuscator.certificates.counts import Counts, Floats

LEAST_NORMAL = 100
"""Minimum weight of the rarest class, in people, for the asymptotic bound."""

MOST_CELLS = 1024
"""Maximum of (classes - 1) x strata x codes for the asymptotic bound: beyond, it is no better than
the other bound."""

FOLDS = 5
"""Number of folds of the people; the rates that weight a pair come from other folds."""

BLOCK = 2_000_000
"""Numbers held in memory at once while iterating over people."""


def chi_square(counts: Counts, weights: Floats, error: float) -> float | None:
    """Upper limit of sum_y w_y T_y for many people; None if it is not computed.

    By the Cauchy-Schwarz inequality, for any q_y > 0 with sum_c q_y(c) = 1,

        sum_y w_y T_y <= sqrt(W D),  W = sum_y w_y,
        D = sum_y w_y / (K (K - 1)) sum_{z, c} (p_yz(c) - mean_z p_yz(c))^2 / q_y(c),

    for K = 2 and one stratum TV <= sqrt(sum_c (p_1 - p_0)^2 / q) / 2. D is estimated without bias
    from pairs of different people (a U-statistic, Hoeffding 1948), with q from the people of other
    folds, so that rare codes do not contribute their noise. With residuals r_i by person,
    estimate + sum_i |r_i|^2 is the squared length of a nearly normal vector; its distribution is
    that of a unit times a noncentral chi-square with the same mean, degrees of freedom after
    Satterthwaite (1946). The unit is the larger of sum <r_i, r_j>^2 / sum |r_i|^2 and of the
    variance in the direction of the difference, which errs towards a high variance. The limit
    is the D under which an estimate this low has probability ``error``; a negative estimate counts
    as 0.

    Args:
        counts: the pictures.
        weights: w (S,); 0 leaves a stratum out.
        error: probability.
    """
    k, m, used = counts.classes, counts.codes, weights > 0
    if not used.any() or counts.sizes[used].sum(0).min() < LEAST_NORMAL:
        return None
    if (k - 1) * int(used.sum()) * m > MOST_CELLS:
        return None
    fold = np.random.default_rng(0).permutation(counts.people) % FOLDS
    w = weights[used] / (k * (k - 1))
    sums = np.zeros((FOLDS, len(w), k, m))
    own = np.zeros((FOLDS, len(w), k, k, m))
    alone = np.zeros((len(w), k, k))
    for rows, added in counts.blocks(used, BLOCK):
        which = np.eye(FOLDS)[fold[rows]]
        sums += np.einsum("nf,nsam->fsam", which, added)
        own += np.einsum("nf,nsam,nsbm->fsabm", which, added, added)
        u = added.sum(3)
        alone += np.einsum("nsa,nsb->sab", u, u)
    prior = (1 / counts.sizes[used]).mean(1) / 2  # half a person for each code

    folds = sums.sum(2) / k
    everyone = folds.sum(0) + prior[:, None]

    def inverse(*left_out: int) -> Floats:
        """Weights over q (used strata, M), with q from all but some folds."""
        q = everyone - folds[list(set(left_out))].sum(0)
        return np.asarray(w[:, None] * q.sum(1, keepdims=True) / q)

    total = np.zeros_like(alone)
    for i in range(FOLDS):
        total -= np.einsum("sabm,sm->sab", own[i], inverse(i))
        for j in range(FOLDS):
            total += np.einsum("sam,sbm,sm->sab", sums[i], sums[j], inverse(i, j))
    centre = np.eye(k) - 1 / k
    estimate = float((centre * total / (1 - alone)).sum())
    noise, pairs, along = _spread(counts, used, np.sqrt(inverse()))
    if noise <= 1e-12 * float(weights.sum()):
        return None  # no variation between people: no error can be estimated
    unit = max(along, pairs / noise)
    degrees = noise / unit
    upper = unit * float(chndtrinc(max(0.0, estimate) / unit + degrees, degrees, error))
    return sqrt(upper * float(weights.sum()))


def _spread(counts: Counts, used: NDArray[np.bool_], scale: Floats) -> tuple[float, float, float]:
    """sum_i |r_i|^2, sum_{i != j} <r_i, r_j>^2 and sum_i <r_i, delta>^2 / |delta|^2, where r_i is
    the difference of person i's rates from those of all, in orthonormal contrasts of the classes.
    """
    k = counts.classes
    # Rows orthonormal and orthogonal to 1, (K - 1, K).
    contrasts = np.linalg.svd(np.eye(k) - 1 / k)[2][: k - 1]
    scaled = contrasts[None, :, :, None] * scale[:, None, None, :]
    rates = counts.rates[used]
    delta = (scaled * rates[:, None]).sum(2).ravel()
    moments = np.zeros((len(delta), len(delta)))
    norms, along = list[Floats](), list[Floats]()
    for _, added in counts.blocks(used, BLOCK):
        gap = added - added.sum(3, keepdims=True) * rates
        r = np.einsum("nsam,skam->nskm", gap, scaled).reshape(-1, len(delta))
        moments += r.T @ r
        norms.append((r**2).sum(1))
        along.append(r @ delta)
    norm = np.concatenate(norms)
    pairs = max(0.0, float((moments**2).sum() - (norm**2).sum()))
    direction = max(float((delta**2).sum()), 1e-300)
    return float(norm.sum()), pairs, float((np.concatenate(along) ** 2).sum()) / direction
