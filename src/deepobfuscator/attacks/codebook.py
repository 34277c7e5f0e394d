"""One picture per code value: the best reconstruction possible from a code of few values."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from deepobfuscator.attacks.base import STANDARD, Attack, Fitted
from deepobfuscator.attacks.lookup import TOO_MANY, coded, few_values
from deepobfuscator.attacks.threat import Guess, Threat
from deepobfuscator.attacks.trained import mean_ms_ssim
from deepobfuscator.core.runtime import Context, free_memory
from deepobfuscator.data.augment import as_input

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Codebook(Attack):
    """The mean of the attacker's own pictures with the same code, which minimises squared error,
    shrunk towards the overall mean where that improves MS-SSIM.
    """

    name: ClassVar[str] = "codebook"
    target: ClassVar[str] = "image"
    suite: ClassVar[str] = STANDARD

    strengths: tuple[float, ...] = (0.0, 1.0, 4.0, 16.0)
    """Candidate shrinkage: copies of the mean picture added to each value; chosen on validation."""

    def lacks(self, threat: Threat) -> str:
        """Needs a code of few values, and memory for one picture per value."""
        found = few_values(threat.own)
        if found is None:
            return TOO_MANY
        height, width = threat.size
        needed = 4 * 3 * height * width * (len(found[0]) + 1)
        return "" if 2 * needed < free_memory(CPU) else "the pictures of all values do not fit"

    def fit(
        self, threat: Threat, context: Context, checkpoint: Path | None = None, title: str = ""
    ) -> Fitted:
        """Average the pictures of each value; choose how strongly rare values are shrunk."""
        own = threat.own
        values, places = coded(own)
        sums = torch.zeros(len(values) + 1, 3, *threat.size)
        for rows in own.chunks():
            pictures = as_input(own.pictures(rows), CPU)
            sums.index_add_(0, torch.from_numpy(places[rows]), pictures.contiguous())
        counts = torch.from_numpy(np.bincount(places, minlength=len(values) + 1)).float()
        mean = sums.sum(0) / len(own)
        counts[-1], sums[-1] = 1, mean  # for unseen values: index -1 is the last row

        def paint(features: Tensor, strength: float) -> Tensor:
            at = torch.from_numpy(values.places(features))
            total = counts[at][:, None, None, None] + strength
            pictures = (sums[at] + strength * mean) / total
            return pictures.clamp(0, 1).to(features.device)

        def painter(strength: float) -> Guess:
            return lambda features: paint(features, strength)

        scores = list[float]()
        with context.progress(f"{title}{self.label}", len(self.strengths)) as bar:
            for strength in self.strengths:
                scores.append(mean_ms_ssim(painter(strength), threat.validation, context))
                bar.advance()
        return Fitted(painter(self.strengths[int(np.argmax(scores))]))
