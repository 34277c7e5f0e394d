"""The server as a process: listening, TLS, logs, draining."""

import argparse
import asyncio
import json
import logging
import signal
import socket
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from deepobfuscator.core.errors import InputError
from deepobfuscator.serve.app import create_app
from deepobfuscator.serve.demo import ADDRESS, with_demo
from deepobfuscator.serve.keys import Keys
from deepobfuscator.serve.onnxruntime_web import runtime
from deepobfuscator.serve.options import Limits
from deepobfuscator.serve.service import LOG, Service
from deepobfuscator_edge.errors import EdgeError

DRAIN = 30
"""Seconds that requests have to end after SIGTERM."""
HEAD_SECONDS = 10.0
"""For a request line and its headers to arrive."""


class Impatient(H11Protocol):
    """Closes a connection whose headers are too slow."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a request."""
        super().connection_made(transport)
        self._timer: asyncio.TimerHandle | None = self.loop.call_later(HEAD_SECONDS, self._late)

    def data_received(self, data: bytes) -> None:
        """Take what came; wait for the rest of a request that only began."""
        super().data_received(data)
        begun = self.conn.their_state is h11.IDLE
        if not begun and self._timer is not None:
            self._timer.cancel()
            self._timer = None
        elif begun and self._timer is None:
            self._timer = self.loop.call_later(HEAD_SECONDS, self._late)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        super().connection_lost(exc)
        if self._timer is not None:
            self._timer.cancel()

    def _late(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()


class _Lines(logging.Formatter):
    """JSON lines."""

    def format(self, record: logging.LogRecord) -> str:
        """One record."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {"time": at, "level": record.levelname.lower()}
        line["event"] = record.getMessage()
        line |= getattr(record, "fields", {})
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__
        return json.dumps(line, separators=(",", ":"))


def serve(options: argparse.Namespace) -> None:
    """Serve until SIGTERM or SIGINT; answer what was asked by then.

    Raises:
        InputError: no export, one whose audit does not stand though it must, no keys, an address
            or certificate that cannot be used.
    """
    given = {f.name for f in fields(Limits)} & set(vars(options))
    limits = Limits(**{name: getattr(options, name) for name in given})
    if (options.tls_cert is None) != (options.tls_key is None):
        raise InputError("--tls-cert and --tls-key belong together")
    keys = Keys(options.keys) if options.keys else None
    if options.more and not options.demo:
        raise InputError("one SHIP is served: several are for --demo")
    services = [
        Service(folder, limits, keys, options.threads) for folder in (options.folder, *options.more)
    ]
    if options.require_audit:
        for service in services:
            try:
                service.manifest.passed(service.folder)
            except EdgeError as error:
                raise InputError(str(error)) from None
    service = services[0]
    app = with_demo(services, runtime()) if options.demo else create_app(service)
    config = uvicorn.Config(
        app,
        http=Impatient,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=limits.connections,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=DRAIN,
        h11_max_incomplete_event_size=16 << 10,
        ssl_certfile=options.tls_cert,
        ssl_keyfile=options.tls_key,
    )
    listener = bound(options.host, options.port)
    try:
        _logged()
        try:
            config.load()
        except OSError as error:  # ssl.SSLError is one
            raise InputError(f"cannot use the certificate: {error.strerror or error}") from None
        scheme = "https" if options.tls_cert else "http"
        host = f"[{options.host}]" if ":" in options.host else options.host
        manifest = service.manifest
        print(
            f"{manifest.name} {manifest.model} at {scheme}://{host}:{listener.getsockname()[1]}",
            flush=True,
        )
        if options.demo:
            print(f"demo at {scheme}://{host}:{listener.getsockname()[1]}{ADDRESS}", flush=True)
        # uvicorn drains, then raises the signal again for the previous handler.
        signal.signal(signal.SIGTERM, lambda *_: None)
        uvicorn.Server(config).run(sockets=[listener])
    except KeyboardInterrupt:
        pass
    finally:
        listener.close()


def bound(host: str, port: int) -> socket.socket:
    """A socket that takes connections at that address.

    Raises:
        InputError: the address is taken, not this machine's, or none.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=2048)
        # Connections inherit it. asyncio sets it on sockets that it opened alone; without it, the
        # body of an answer waits for the client to acknowledge its head: 40 ms.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    except (OSError, OverflowError) as error:
        raise InputError(f"cannot listen at {host} port {port}: {error}; try --port") from error


def _logged() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(_Lines())
    for name in (LOG.name, "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
    LOG.setLevel(logging.INFO)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)


def keys(options: argparse.Namespace) -> None:
    """Make, list or revoke keys.

    Raises:
        InputError: no name, no such key, or a file that cannot be used.
    """
    if (options.action == "list") != (options.name is None):
        raise InputError(f"keys {options.action} takes {'no' if options.name else 'a'} NAME")
    book = Keys(options.file, make=options.action == "add")
    try:
        if options.action == "add":
            print(book.add(options.name, options.per_minute, options.per_day))
        elif options.action == "revoke":
            if not (count := book.revoke(options.name)):
                raise InputError(f"no good key of {options.name!r} in {options.file}")
            print(f"revoked: {count}")
        else:
            for key, today in book.all():
                limits = f"{key.per_minute or '-'} a minute, {key.per_day or '-'} a day"
                state = f"revoked {key.revoked}" if key.revoked else f"{today} today"
                print(f"{key.name}  {limits}  {state}")
    finally:
        book.close()
