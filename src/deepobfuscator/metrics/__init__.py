"""How good a guess is, of a picture (`images`), of an attribute (`attributes`) or of a person
(`identity`), and how sure that is (`bootstrap`, `sample`).
"""

from deepobfuscator.metrics.attributes import METRICS, best_threshold
from deepobfuscator.metrics.bootstrap import Bootstrap, measure, measure_mean
from deepobfuscator.metrics.identity import verification
from deepobfuscator.metrics.images import (
    describe_ms_ssim,
    ms_ssim,
    psnr,
    scale_count,
    scale_weights,
    ssim,
)
from deepobfuscator.metrics.sample import Measured, Sample, holm, p_above_zero, simultaneous

__all__ = [
    "METRICS",
    "Bootstrap",
    "Measured",
    "Sample",
    "best_threshold",
    "describe_ms_ssim",
    "holm",
    "measure",
    "measure_mean",
    "ms_ssim",
    "p_above_zero",
    "psnr",
    "scale_count",
    "scale_weights",
    "simultaneous",
    "ssim",
    "verification",
]
