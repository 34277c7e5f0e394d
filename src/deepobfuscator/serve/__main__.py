"""``python -m deepobfuscator.serve SHIP``: the server without torch, as a container runs it."""

import argparse
import sys

from deepobfuscator.core.errors import InputError
from deepobfuscator.serve.options import serve_options
from deepobfuscator.serve.run import serve

parser = argparse.ArgumentParser(prog="python -m deepobfuscator.serve", description=__doc__)
serve_options(parser)
try:
    serve(parser.parse_args())
except InputError as error:
    print(f"deepobfuscator: error: {error}", file=sys.stderr)
    sys.exit(2)
