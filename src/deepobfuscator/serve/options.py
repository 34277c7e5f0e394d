"""What the server takes on, and its options; nothing that the extra [serve] brings is needed."""

import argparse
from dataclasses import dataclass

from deepobfuscator.core.errors import InputError
from deepobfuscator.core.files import expanded


@dataclass(frozen=True)
class Limits:
    """What the server takes on."""

    batch: int = 64
    """Pictures of one request, and of one run of the graph."""
    latency: float = 0.002
    """Seconds that a request waits for others, at most."""
    queue: int = 1024
    """Pictures that wait, at most; then requests get 503."""
    body_seconds: float = 10.0
    """For a request's body to arrive."""
    held: int = 256 << 20
    """Bytes of all requests that are being read or answered, at most; then requests get 503."""
    connections: int = 1024
    """At once."""

    def __post_init__(self) -> None:
        if self.batch < 1 or self.queue < self.batch:
            raise InputError("--batch must be at least 1, and --queue at least --batch")


def serve_options(parser: argparse.ArgumentParser) -> None:
    """Options of the server."""
    limits = Limits()
    parser.add_argument("folder", type=expanded, metavar="SHIP", help="folder made by export")
    parser.add_argument(
        "more", nargs="*", type=expanded, metavar="SHIP", help="other models for the page of --demo"
    )
    parser.add_argument(
        "--demo",
        action="store_true",
        help="serve a page at /demo/ whose encoder runs in the browser; npm fetches what it needs",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at; 0.0.0.0 for all")
    parser.add_argument("--port", type=int, default=8000, help="port; 0 for any (default: 8000)")
    parser.add_argument(
        "--keys", type=expanded, help="file of API keys (default: none are asked for)"
    )
    parser.add_argument(
        "--require-audit",
        action="store_true",
        help="refuse an export without an audit, changed since, or that exceeded a --fail-if",
    )
    parser.add_argument("--tls-cert", type=expanded, help="certificate chain, PEM")
    parser.add_argument("--tls-key", type=expanded, help="its private key, PEM")
    parser.add_argument("--threads", type=int, default=0, help="of the graph (default: one a core)")
    parser.add_argument(
        "--batch",
        type=int,
        default=limits.batch,
        help="pictures of a request, and of one run of the graph (default: %(default)s)",
    )
    parser.add_argument(
        "--latency",
        type=float,
        default=limits.latency,
        help="seconds a request waits for others, at most (default: %(default)s)",
    )
    parser.add_argument(
        "--queue",
        type=int,
        default=limits.queue,
        help="pictures that wait, at most (default: %(default)s)",
    )


def keys_options(parser: argparse.ArgumentParser) -> None:
    """Options of the keys."""
    parser.add_argument("file", type=expanded, metavar="FILE", help="file of keys, made if need be")
    parser.add_argument("action", choices=("add", "list", "revoke"), help="what to do")
    parser.add_argument("name", nargs="?", help="whose key")
    parser.add_argument("--per-minute", type=int, metavar="N", help="pictures a minute")
    parser.add_argument("--per-day", type=int, metavar="N", help="pictures a day (UTC)")
