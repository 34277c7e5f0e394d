"""Gradient-boosted trees on pooled features: an attacker that is not a neural network."""

from dataclasses import dataclass
from itertools import islice
from math import isqrt
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from torch import Tensor
from torch.nn import functional

from deepobfuscator.attacks.base import QUICK, Attack, Fitted
from deepobfuscator.attacks.threat import AttackerData, Threat
from deepobfuscator.core.runtime import Context

COLUMNS = 256
"""Approximate number of values per input that the trees get: more are slow."""


@dataclass(frozen=True)
class Trees(Attack):
    """Gradient-boosted trees on averages and maxima of the feature map."""

    name: ClassVar[str] = "trees"
    target: ClassVar[str] = "attributes"
    suite: ClassVar[str] = QUICK

    rounds: int = 100
    """Maximum number of trees; the number that is best on validation is kept."""
    leaves: int = 15
    """Leaves per tree."""

    def fit(
        self, threat: Threat, context: Context, checkpoint: Path | None = None, title: str = ""
    ) -> Fitted:
        """One ensemble per label, truncated where its validation loss is lowest."""
        columns, own = table(threat.own), threat.own.labelled.private
        chosen, truth = table(threat.validation), threat.validation.labelled.private
        models: list[tuple[HistGradientBoostingClassifier | None, int]] = []
        curve = np.zeros(round(self.passes * self.rounds))
        with context.progress(f"{title}{self.label}", own.shape[1]) as bar:
            for k in range(own.shape[1]):
                bar.advance()
                if own[:, k].min() == own[:, k].max():
                    models.append((None, 0))
                    continue
                model = HistGradientBoostingClassifier(
                    max_iter=len(curve),
                    max_leaf_nodes=self.leaves,
                    learning_rate=0.1,
                    early_stopping=False,
                    random_state=threat.setting.seed % 2**31 + self.seed,
                ).fit(columns, own[:, k])
                staged = np.stack([s.ravel() for s in model.staged_decision_function(chosen)])
                losses = np.logaddexp(0, np.where(truth[:, k], -staged, staged)).mean(1)
                curve -= losses / own.shape[1]
                models.append((model, int(losses.argmin())))

        def guess(features: Tensor) -> Tensor:
            seen = pooled(features)
            return torch.from_numpy(np.stack([at(seen, *m) for m in models], 1)).float()

        return Fitted(guess, tuple(float(s) for s in curve[9::10]))


def at(
    columns: NDArray[np.float32], model: HistGradientBoostingClassifier | None, rounds: int
) -> NDArray[np.float64]:
    """(n,) logits after the given number of rounds; zeros for a constant label."""
    if model is None:
        return np.zeros(len(columns))
    staged = model.staged_decision_function(columns)
    return np.asarray(next(islice(staged, rounds, None)), dtype=np.float64).ravel()


def table(own: AttackerData) -> NDArray[np.float32]:
    """Pooled features of all inputs."""
    return np.concatenate([pooled(own.features_of(rows)) for rows in own.chunks()])


def pooled(features: Tensor) -> NDArray[np.float32]:
    """(n, *shape) to (n, about `COLUMNS`): maxima of channels, means on a grid."""
    features = features.float().cpu()
    if features.dim() == 2:
        shorter = functional.adaptive_avg_pool1d(features[:, None], min(COLUMNS, features.shape[1]))
        return np.asarray(shorter[:, 0])
    side = max(1, isqrt(COLUMNS // features.shape[1]))
    grid = (min(side, features.shape[2]), min(side, features.shape[3]))
    means = functional.adaptive_avg_pool2d(features, grid).flatten(1)
    return np.asarray(torch.cat((means, features.amax((2, 3))), 1))
