"""Figures of a method rather than of one network: several seeds, scored on the same people.

A network's interval says what other test people would change. Training again changes the figure,
too; both belong into what is said of a method.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit

from deepobfuscator.metrics.sample import Sample


@dataclass(frozen=True)
class MethodFigure:
    """A mean over seeds, or a difference of two such means, with its 95 % interval."""

    value: float
    low: float
    high: float
    p: float
    """Two-sided, of the true value being 0."""


def over_seeds(one: Sequence[Sample], other: Sequence[Sample] = ()) -> MethodFigure:
    """The mean of ``one`` over its seeds, minus that of ``other`` where there is one.

    Its variance has two parts. That of the people comes from the bootstrap: all samples of one
    draw resample the same people, so that what the methods share cancels. That of the seeds is the
    sample variance between them, divided by their number. Degrees of freedom are Satterthwaite's
    (1946); what a seed's figure owes to these people is in both parts, so that the interval is
    rather too wide.

    Raises:
        ValueError: fewer than two seeds, or samples of other numbers of draws.
    """
    groups = [list(group) for group in (one, other) if group]
    if min(map(len, groups)) < 2 or len({len(s.draws) for g in groups for s in g}) > 1:
        raise ValueError("a method needs two seeds at least, all with the same draws of people")
    means = [float(np.mean([s.value for s in group])) for group in groups]
    draws = [np.mean([s.draws for s in group], axis=0) for group in groups]
    value = means[0] - (means[1] if other else 0.0)
    moved = draws[0] - (draws[1] if other else 0.0)
    people = min(s.people for group in groups for s in group)
    unseen = sum(float(np.mean([s.unseen for s in group])) / len(group) for group in groups)
    parts = [(float(np.nanvar(moved)) * people / max(1, people - 1) + unseen, people - 1)]
    for group in groups:
        spread = float(np.var([s.value for s in group], ddof=1))
        parts.append((spread / len(group), len(group) - 1))
    variance = sum(v for v, _ in parts)
    if variance == 0:
        return MethodFigure(value, value, value, float(value == 0))
    freedom = variance**2 / sum(v**2 / max(1, n) for v, n in parts)
    half = float(stdtrit(freedom, 0.975)) * math.sqrt(variance)
    p = 2 * float(stdtr(freedom, -abs(value) / math.sqrt(variance)))
    return MethodFigure(value, value - half, value + half, p)
