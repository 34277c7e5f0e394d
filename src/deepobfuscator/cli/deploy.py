"""`export`, `serve`, `keys` and `classify` on the command line: from a run to a service."""

import argparse
import contextlib
import json
import os
import shlex
from collections.abc import Callable, Iterator

from deepobfuscator.cli.options import Parser
from deepobfuscator.core.errors import InputError
from deepobfuscator.core.files import expanded
from deepobfuscator.data.table import parse_source
from deepobfuscator.serve.options import keys_options, serve_options

EXPORT = """Export a trained run: graphs for devices and for a server, manifest, model card.

Every graph is held against torch while it is made; a difference fails the export. Validation
pictures choose the wire setting, training pictures calibrate int8.
"""

CLASSIFY = """Encode pictures here and ask a service about them: a line of JSON for each.

Only what the encoder gives leaves this computer.
"""

KEY = "DEEPOBFUSCATOR_KEY"
"""Variable that holds an API key: a word on a command line is seen by every process."""


@contextlib.contextmanager
def extra(name: str) -> Iterator[None]:
    """Say which extra is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise InputError(
            f"this needs {error.name}: pip install 'deepobfuscator[{name}]'"
        ) from error


def export_options(parser: Parser) -> None:
    """Options of `export`."""
    parser.description = EXPORT
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("folder", type=expanded, metavar="RUN", help="folder made by train")
    parser.add_argument("out", type=expanded, metavar="SHIP", help="folder to write")
    parser.add_argument("--name", help="of the model (default: that of the run folder)")
    parser.add_argument(
        "--wire",
        default="auto",
        help="int1, int2, int4, int8 or float16, what each value becomes; auto takes the smallest "
        "that costs at most half a point of balanced accuracy on validation (default: auto)",
    )
    parser.add_argument("--no-int8", action="store_true", help="devices run float32 convolutions")
    parser.add_argument(
        "--executorch",
        action="store_true",
        help="add the encoder as edge.pte, an ExecuTorch program with XNNPACK (float32)",
    )
    parser.add_argument(
        "--triton",
        type=expanded,
        metavar="DIR",
        help="add the classifier to this model repository of Triton, with a manifest for KServe",
    )
    parser.add_argument(
        "--attacker",
        action="store_true",
        help="train a reconstructor on what leaves the device and export it, for serve --demo",
    )
    parser.add_argument(
        "--data", type=parse_source, help="the run's pictures, where they lie elsewhere by now"
    )


def export(options: argparse.Namespace, command: str) -> None:
    """Write the folder and say what leaves the device."""
    with extra("export"):
        from deepobfuscator.exporting.ship import export as ship
        from deepobfuscator.exporting.triton import repository
    manifest = ship(
        options.folder,
        options.out,
        name=options.name,
        wire=options.wire,
        int8=not options.no_int8,
        executorch=options.executorch,
        attacker=options.attacker,
        source=options.data,
        device=options.device,
        command=command,
    )
    size, folder = manifest.about["measured"]["bytes"], shlex.quote(str(options.out))
    print(
        f"wire: {manifest.wire.name}, {size['message']:g} bytes a picture (in messages of 16: "
        f"{size['message_of_16']:g}; as PNG: {size['png']:g}, as JPEG: {size['jpeg75']:g})\n"
        f"exported: {options.out}\nnext: deepobfuscator serve {folder}"
        f"{' --demo' if options.attacker else ''}"
    )
    if options.triton is not None:
        version = repository(options.triton, options.out, manifest)
        print(f"triton: {options.triton / manifest.name}, version {version}")


def serve(options: argparse.Namespace, command: str) -> None:
    """Serve until told to stop."""
    with extra("serve"):
        from deepobfuscator.serve.run import serve as run
    run(options)


def keys(options: argparse.Namespace, command: str) -> None:
    """Make, list or revoke keys."""
    with extra("serve"):
        from deepobfuscator.serve.run import keys as run
    run(options)


def classify_options(parser: Parser) -> None:
    """Options of `classify`."""
    parser.description = CLASSIFY
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("folder", type=expanded, metavar="SHIP", help="folder made by export")
    parser.add_argument("pictures", nargs="+", metavar="PICTURE", type=expanded, help="files")
    parser.add_argument("--server", required=True, metavar="URL", help="as http://localhost:8000")
    parser.add_argument("--timeout", type=float, default=10.0, help="seconds (default: 10)")


def classify(options: argparse.Namespace, command: str) -> None:
    """Print an answer for each picture."""
    with extra("serve"):
        from deepobfuscator_edge import Client, Edge, EdgeError
    try:
        edge, key = Edge(options.folder), os.environ.get(KEY)
        with Client(options.server, edge, key=key, timeout=options.timeout) as client:
            answers = client.classify_all(options.pictures)
    except EdgeError as error:
        raise InputError(str(error)) from None
    for picture, answer in zip(options.pictures, answers, strict=True):
        print(json.dumps({"picture": str(picture), **answer}))


COMMANDS: dict[str, tuple[str, Callable[[argparse.Namespace, str], None], Callable[..., None]]] = {
    "export": ("Export a run for devices and a server.", export, export_options),
    "serve": ("Serve an exported classifier.", serve, serve_options),
    "classify": ("Encode pictures here, ask a server about them.", classify, classify_options),
    "keys": ("API keys of a server.", keys, keys_options),
}
"""By name: what the command does, in a line and in code; its options."""
