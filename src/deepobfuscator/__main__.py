"""``python -m deepobfuscator``."""

import sys

from deepobfuscator.cli import main

sys.exit(main())
