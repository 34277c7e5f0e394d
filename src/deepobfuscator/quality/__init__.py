"""How good a guess is: of a picture (`images`) or of an attribute (`attributes`)."""

from deepobfuscator.quality.attributes import (
    METRICS,
    Measured,
    best_threshold,
    measure,
    measure_mean,
)
from deepobfuscator.quality.images import (
    describe_ms_ssim,
    ms_ssim,
    psnr,
    scale_count,
    scale_weights,
    ssim,
)

__all__ = [
    "METRICS",
    "Measured",
    "best_threshold",
    "describe_ms_ssim",
    "measure",
    "measure_mean",
    "ms_ssim",
    "psnr",
    "scale_count",
    "scale_weights",
    "ssim",
]
