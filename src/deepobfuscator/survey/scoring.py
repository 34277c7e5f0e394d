"""How often a study's participants are right, how sure that is, and whether chance does as well."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtrc, ndtri, stdtrit

from deepobfuscator import wilson
from deepobfuscator.survey.questions import OPTIONS

CHANCE = 1 / OPTIONS
"""Share of right answers of who does not look."""


@dataclass(frozen=True)
class Right:
    """A share of right answers; low <= share <= high."""

    answers: int
    right: int
    low: float
    """Lower end of the 95 % interval."""
    high: float
    """Its upper end."""
    p: float
    """One-sided exact binomial test: how often ``answers`` independent guesses do as well."""

    @property
    def share(self) -> float:
        """Right answers per answer."""
        return self.right / self.answers


def share_right(right: ArrayLike, clusters: ArrayLike) -> Right:
    """Share of right answers with Wilson's 95 % interval and an exact test against chance.

    Answers of one cluster (a participant, or a question) are no independent evidence. They count as
    many independent ones as would vary as the clusters do, never as more than there are, with
    Student's quantile for the number of clusters. A single cluster shows no variation between
    clusters: its interval is of its own answers alone. ``right`` are (n,) truth values, n >= 1,
    ``clusters`` (n,) names.
    """
    hit = np.asarray(right, dtype=bool)
    _, cluster = np.unique(np.asarray(clusters), return_inverse=True)
    n, groups = len(hit), int(cluster.max()) + 1
    share = float(hit.mean())
    trials, errors = float(n), float(ndtri(0.975))
    if 1 < groups < n:
        residual = np.bincount(cluster, hit - share)
        variance = groups / (groups - 1) * float(residual @ residual) / n**2
        trials = min(trials, share * (1 - share) / variance) if variance else trials
        errors = float(stdtrit(groups - 1, 0.975))
    low, high = wilson(share, trials, errors)
    k = int(hit.sum())
    p = float(bdtrc(k - 1, n, CHANCE)) if k else 1.0
    return Right(answers=n, right=k, low=low, high=high, p=p)


def p_by_draw(votes: NDArray[np.int64], right: int) -> float:
    """One-sided exact test that the rebuilt pictures tell nothing, whomever people favour.

    Participants may all favour the same face, so their answers are not independent guesses. But
    which of the four was rebuilt was drawn evenly; so, votes given, each question brings the votes
    of one of its options at random. For a single participant this is the binomial test. ``votes``
    (q, 4) are how often each option was chosen.
    """
    total = np.ones(1)
    for question in votes:
        brings = np.bincount(question) / OPTIONS
        total = np.convolve(total, brings)
    return float(min(1.0, total[right:].sum()))
