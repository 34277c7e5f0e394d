"""DeepObfuscator: train, attack and report on privacy-preserving image encoders.

``import deepobfuscator as do``: the public names stand in ``__init__.pyi`` and are imported when
they are first used.
"""

import os

import lazy_loader

# A spinning OpenMP team collapses when the cores are shared; it must be told before torch loads it.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
