"""Nearest neighbours on pooled features; no training, only the attacker's stored inputs."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepobfuscator.attacks.base import STANDARD, Attack, Fitted
from deepobfuscator.attacks.threat import Threat
from deepobfuscator.attacks.trees import pooled, table
from deepobfuscator.core.runtime import Context

PAIRS = 2**23
"""Number of distances computed at a time: 32 MiB."""
PLAIN, NEARER = WEIGHTS = ("plain", "nearer")
"""Neighbour weights: equal, or the inverse of the distance."""


@dataclass(frozen=True)
class Neighbours(Attack):
    """The fraction of positives among the nearest of the attacker's inputs, by standardised
    pooled features.
    """

    name: ClassVar[str] = "knn"
    target: ClassVar[str] = "attributes"
    suite: ClassVar[str] = STANDARD

    counts: tuple[int, ...] = (1, 5, 15, 45, 135)
    """Candidate numbers of neighbours; chosen on validation for each label, together with the
    neighbour weights."""

    def fit(
        self, threat: Threat, context: Context, checkpoint: Path | None = None, title: str = ""
    ) -> Fitted:
        """Store all inputs; choose the number of neighbours and their weights."""
        known = torch.from_numpy(table(threat.own))
        labels = torch.from_numpy(threat.own.labelled.private).float()
        centre, spread = known.mean(0), known.std(0, correction=0)
        # A constant value carries no information, and a deviation near 0 would amplify it.
        scale = torch.where(spread > 1e-6 * centre.abs().clamp(min=1e-6), 1 / spread, 0.0)
        known = (known - centre) * scale
        overall = (labels.sum(0) + 0.5) / (len(labels) + 1)
        options = [(count, how) for count in self.counts for how in WEIGHTS]

        def near(columns: NDArray[np.float32], count: int) -> tuple[Tensor, Tensor]:
            """Distances and rows of the nearest inputs, (n, count) each, nearest first."""
            asked = (torch.from_numpy(columns) - centre) * scale
            found = [
                torch.cdist(some, known).topk(min(count, len(known)), largest=False)
                for some in torch.split(asked, max(1, PAIRS // len(known)))
            ]
            return torch.cat([f.values for f in found]), torch.cat([f.indices for f in found])

        def vote(distances: Tensor, rows: Tensor, count: int, how: str) -> Tensor:
            """(n, K) log-odds; one pseudo-vote at the overall rate keeps them finite."""
            rows, weights = rows[:, :count], torch.ones_like(distances[:, :count])
            if how == NEARER:
                # Relative to the farthest, capped at 100 times its weight: ties are common.
                far = distances[:, :count].amax(1, keepdim=True).clamp(min=1e-12)
                weights = 1 / (distances[:, :count] / far).clamp(min=0.01)
                weights = weights * (rows.shape[1] / weights.sum(1, keepdim=True))
            positive = torch.stack([(weights * own[rows]).sum(1) for own in labels.unbind(1)], 1)
            return torch.logit((positive + overall) / (rows.shape[1] + 1))

        seen = near(table(threat.validation), max(self.counts))
        truth = torch.from_numpy(threat.validation.labelled.private).float()
        losses = torch.stack([self.losses(vote(*seen, *option), truth) for option in options])
        best = [options[int(at)] for at in losses.argmin(0)]
        most = max(count for count, _ in best)

        def guess(features: Tensor) -> Tensor:
            found = near(pooled(features), most)
            logits = {option: vote(*found, *option) for option in set(best)}
            return torch.stack([logits[option][:, k] for k, option in enumerate(best)], 1)

        return Fitted(guess)

    @staticmethod
    def losses(logits: Tensor, truth: Tensor) -> Tensor:
        """(K,) cross-entropy of each label."""
        return torch.nn.functional.binary_cross_entropy_with_logits(
            logits, truth, reduction="none"
        ).mean(0)
