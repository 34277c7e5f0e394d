"""How well people are told apart by embeddings of their pictures."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepobfuscator.core.errors import InputError
from deepobfuscator.metrics.attributes import Floats
from deepobfuscator.metrics.bootstrap import Bootstrap
from deepobfuscator.metrics.sample import Sample, Share

LEVELS = 512
"""Most thresholds on the ROC: quantiles of the mates' similarities, all of them if no more."""

DECIMALS = 9
"""Of a similarity. Equal embeddings must tie, whatever the order in which they are summed."""


def verification(
    bootstrap: Bootstrap,
    probes: ArrayLike,
    gallery: ArrayLike,
    probe_people: ArrayLike,
    gallery_people: ArrayLike,
) -> dict[str, Sample]:
    """Probes against a gallery by cosine similarity; a probe's mate is its person's picture there.

    ``auc`` is the share of other people in the gallery who are less similar than the mate, ties for
    one half, mean over probes. ``rank1`` is the share of probes whose mate is the most similar, a
    tie of k for 1 / k; guessing gives 1 / N. ``eer`` is the rate at which as many pairs of two
    people pass as pairs of one person fail, all pairs (probe, gallery) pooled, interpolated.

    The probes' people are resampled and the gallery is held fixed: the intervals are for this
    gallery. For ``eer`` a draw weighs the probes' own error counts at fixed thresholds, so that no
    pair is left out; more than `LEVELS` distinct mates' similarities are thinned to as many, which
    moves it by less than 1 / `LEVELS`.

    Args:
        bootstrap: over ``probe_people``.
        probes: (n, d) finite embeddings; one of length 0 is equally similar to all.
        gallery: (N, d) embeddings, one a person.
        probe_people: (n,) who is on the probes.
        gallery_people: (N,) who is in the gallery, everyone once.

    Raises:
        InputError: fewer than two people in the gallery.
        ValueError: an embedding that is not finite, a person twice in the gallery or a probe's not
            in it, arrays that do not match.
    """
    person, known = np.asarray(probe_people), np.asarray(gallery_people)
    if len(known) < 2:
        raise InputError(
            f"{len(known)} people to tell apart: give pictures of at least 2, two of each"
        )
    order = np.argsort(known)
    place = np.minimum(np.searchsorted(known[order], person), len(known) - 1)
    mate = order[place]
    if len(np.unique(known)) < len(known) or not np.array_equal(known[mate], person):
        raise ValueError("not every probe's person is in the gallery exactly once")
    similar = np.round(_unit(probes) @ _unit(gallery).T, DECIMALS)
    if similar.shape != (len(person), len(known)):
        raise ValueError(f"similarities {similar.shape}, people {len(person)} and {len(known)}")
    rows = np.arange(len(person))
    genuine = similar[rows, mate]
    higher = (similar > genuine[:, None]).sum(1)
    equal = (similar == genuine[:, None]).sum(1) - 1
    others = len(known) - 1
    return {
        "auc": bootstrap.mean(1 - (higher + equal / 2) / others, kind=Share),
        "rank1": bootstrap.mean((higher == 0) / (1 + equal), kind=Share),
        "eer": _equal_error_rate(bootstrap, genuine, similar),
    }


def _unit(embeddings: ArrayLike) -> NDArray[np.float64]:
    """(n, d) of length 1, or 0."""
    vectors = np.asarray(embeddings, dtype=np.float64)
    if vectors.ndim != 2 or not np.isfinite(vectors).all():
        raise ValueError(f"embeddings {vectors.shape} are not finite rows")
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(length > 0, length, 1)


def _equal_error_rate(bootstrap: Bootstrap, genuine: Floats, similar: Floats) -> Sample:
    levels = np.unique(genuine)
    if len(levels) > LEVELS:
        levels = levels[np.linspace(0, len(levels) - 1, LEVELS).round().astype(int)]
    # At a mate's similarity and just above it: between two of them no mate is lost.
    cuts = np.r_[-np.inf, np.stack([levels, np.nextafter(levels, np.inf)], 1).ravel()]
    fails = (genuine[:, None] < cuts).astype(np.float64)
    passes = np.stack([len(row) - np.searchsorted(row, cuts) for row in np.sort(similar, axis=1)])
    passes = (passes - (1 - fails)) / (similar.shape[1] - 1)
    order = np.argsort(bootstrap.person, kind="stable")
    probes = np.bincount(bootstrap.person).astype(np.float64)
    starts = np.r_[0, np.cumsum(probes[:-1])].astype(np.int64)
    failing, passing = (np.add.reduceat(errors[order], starts) for errors in (fails, passes))

    def statistic(weights: Floats) -> Floats:
        total = (weights @ probes)[:, None]
        fail, gap = weights @ failing / total, weights @ (failing - passing) / total
        # The first cut at which more mates fail than others pass; the crossing lies before it.
        after = np.maximum(1, (gap >= 0).argmax(1))
        draw = np.arange(len(gap))
        before = after - 1
        part = -gap[draw, before] / (gap[draw, after] - gap[draw, before])
        return np.asarray(fail[draw, before] * (1 - part) + fail[draw, after] * part)

    return Share(*bootstrap.replicates(statistic), bootstrap.count)
