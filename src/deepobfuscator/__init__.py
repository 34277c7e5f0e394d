"""DeepObfuscator: train, attack and report on privacy-preserving image encoders."""

import os

# A spinning OpenMP team collapses when the cores are shared; it must be told before torch loads it.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

__version__ = "0.1.0"
