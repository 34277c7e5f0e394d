"""How good a guess is, of a picture (`images`), of an attribute (`attributes`) or of a person
(`identity`), and how sure that is (`bootstrap`, `sample`). Only `images` imports torch.
"""

from deepobfuscator.metrics.attributes import ATTRIBUTE_METRICS, METRICS, best_threshold
from deepobfuscator.metrics.bootstrap import Bootstrap, measure
from deepobfuscator.metrics.identity import verification
from deepobfuscator.metrics.sample import (
    Measured,
    Sample,
    holm,
    p_above_zero,
    simultaneous,
    wilson,
)

__all__ = [
    "ATTRIBUTE_METRICS",
    "METRICS",
    "Bootstrap",
    "Measured",
    "Sample",
    "best_threshold",
    "holm",
    "measure",
    "p_above_zero",
    "simultaneous",
    "verification",
    "wilson",
]
