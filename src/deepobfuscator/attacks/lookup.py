"""A lookup table: for codes of few values, all there is to learn is a rate for each value."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepobfuscator.attacks.base import QUICK, Attack, Fitted
from deepobfuscator.attacks.threat import AttackerData, Rows, Threat
from deepobfuscator.core.runtime import Context

MOST_VALUES = 4096
"""Maximum number of distinct features in a table."""
LEAST_INPUTS = 4
"""Minimum average number of inputs per value for a table."""
RESOLUTION = 1e-4
"""Features that differ by less, relative to the largest, are one value: a code of -1 and 1 that was
computed in floating point is not exactly that."""
SURE = 512
"""If this many inputs are all different, there are too many values: among `MOST_VALUES` equally
common ones, two of these inputs would coincide except with probability e^-32."""
TOO_MANY = (
    f"the features take more than {MOST_VALUES:,} values, or fewer than {LEAST_INPUTS} inputs have "
    "the same on average"
)


@dataclass
class Values:
    """The distinct features that the attacker has seen, numbered from 0."""

    step: float
    """Features are rounded to multiples of this before they are compared."""
    known: dict[bytes, int] = field(default_factory=dict)
    """The number of each value."""

    def keys(self, features: Tensor) -> list[bytes]:
        """Dictionary keys of the values of features (n, *shape)."""
        steps = (features.detach().float().flatten(1).cpu() / self.step).round()
        return [row.tobytes() for row in steps.clamp(-(2**30), 2**30).int().numpy()]

    def places(self, features: Tensor) -> Rows:
        """(n,) the number of each row's value, -1 for an unseen one."""
        return np.array([self.known.get(key, -1) for key in self.keys(features)], dtype=np.int64)

    def __len__(self) -> int:
        return len(self.known)


def few_values(own: AttackerData) -> tuple[Values, Rows] | None:
    """The values of the attacker's own features, and each input's value number; None if there are
    more than `MOST_VALUES`, or fewer than `LEAST_INPUTS` inputs per value on average.
    """
    most = min(MOST_VALUES, len(own) // LEAST_INPUTS)
    values, places, looked = Values(0.0), list[Rows](), 0
    for rows in own.chunks():
        features = own.features_of(rows)
        if not values.step:
            values.step = RESOLUTION * max(float(features.abs().max()), 1e-30)
        for key in values.keys(features):
            values.known.setdefault(key, len(values))
        looked += len(rows)
        if len(values) > most or SURE <= looked == len(values):
            return None
        places.append(values.places(features))
    return values, np.concatenate(places)


def coded(own: AttackerData) -> tuple[Values, Rows]:
    """As `few_values`, for features that passed `Attack.lacks`."""
    found = few_values(own)
    assert found is not None
    return found


@dataclass(frozen=True)
class Lookup(Attack):
    """Smoothed log-odds of each value of the code; unseen values get the overall log-odds.

    With enough inputs per value, no attacker does better on such a code.
    """

    name: ClassVar[str] = "lookup"
    target: ClassVar[str] = "attributes"
    suite: ClassVar[str] = QUICK

    strengths: tuple[float, ...] = (0.5, 2.0, 8.0, 32.0)
    """Candidate smoothing: pseudo-inputs at the overall rate added to each value; chosen on
    validation for each label."""

    def lacks(self, threat: Threat) -> str:
        """Needs a code of few values."""
        return "" if few_values(threat.own) else TOO_MANY

    def fit(
        self, threat: Threat, context: Context, checkpoint: Path | None = None, title: str = ""
    ) -> Fitted:
        """Count, and choose how strongly rates are shrunk towards the overall rate."""
        values, places = coded(threat.own)
        labels = threat.own.labelled.private.astype(np.float64)
        counts = np.bincount(places, minlength=len(values))[:, None]
        positive = np.zeros((len(values), labels.shape[1]))
        np.add.at(positive, places, labels)
        overall = (labels.sum(0) + 0.5) / (len(labels) + 1)

        def table(strength: float) -> NDArray[np.float64]:
            """(values + 1, K) log-odds; the last row, index -1, is for unseen values."""
            rates = (positive + strength * overall) / (counts + strength)
            rates = np.concatenate((rates, overall[None]))
            return np.asarray(np.log(rates) - np.log1p(-rates))

        data, tables = threat.validation, {s: table(s) for s in self.strengths}
        seen = np.concatenate([values.places(data.features_of(rows)) for rows in data.chunks()])
        truth = data.labelled.private

        def loss(strength: float) -> NDArray[np.float64]:
            logits = tables[strength][seen]
            return np.asarray(np.logaddexp(0, np.where(truth, -logits, logits)).mean(0))

        best = np.argmin([loss(strength) for strength in self.strengths], 0)
        columns = [tables[self.strengths[at]][:, k] for k, at in enumerate(best)]
        chosen = torch.from_numpy(np.stack(columns, 1)).float()
        return Fitted(lambda features: chosen[torch.from_numpy(values.places(features))])
