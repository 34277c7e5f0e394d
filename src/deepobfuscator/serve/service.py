"""What the server holds: the graph, the queue before it, keys, figures of its own work."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from deepobfuscator.core.errors import InputError
from deepobfuscator.serve.batching import Batcher, FullError
from deepobfuscator.serve.keys import Key, Keys, SpentError
from deepobfuscator.serve.options import Limits
from deepobfuscator.serve.protocol import RefusedError, as_rows
from deepobfuscator_edge.edge import open_session
from deepobfuscator_edge.errors import EdgeError
from deepobfuscator_edge.manifest import CLOUD, Manifest
from deepobfuscator_edge.message import largest

LOG = logging.getLogger("deepobfuscator.serve")

JSON_HEAD, JSON_NUMBER = 1 << 16, 5
"""Bytes of a JSON request beside its numbers, and of a number with comma and blank."""


class Figures:
    """Prometheus metrics; none holds anything of a picture."""

    def __init__(self, manifest: Manifest) -> None:
        self.registry = CollectorRegistry()
        labels = {"model": manifest.name, "version": manifest.model}
        names = list(labels)

        def made(kind: Any, name: str, text: str, *more: str, **how: Any) -> Any:
            found = kind(
                f"deepobfuscator_{name}", text, [*names, *more], registry=self.registry, **how
            )
            return found if more else found.labels(**labels)

        requests = made(Counter, "requests", "Requests answered.", "route", "status")
        self._requests, self._labels = requests, tuple(labels.values())
        self.pictures = made(Counter, "pictures", "Pictures answered.")
        self.seconds = made(Histogram, "request_seconds", "From request to answer.")
        self.batches = made(
            Histogram, "batch_pictures", "Pictures of one run.", buckets=[2**i for i in range(11)]
        )
        self.waiting = made(Gauge, "queue_pictures", "Pictures that wait.")
        self.ready = made(Gauge, "ready", "1 while requests are answered.")

    def count(self, route: str, status: int) -> None:
        """One request was answered."""
        self._requests.labels(*self._labels, route, status).inc()


class Service:
    """An exported classifier, ready to answer after `start`.

    Raises:
        InputError: no whole export in ``folder``.
    """

    def __init__(
        self, folder: Path, limits: Limits, keys: Keys | None = None, threads: int = 0
    ) -> None:
        try:
            self.manifest = Manifest.read(folder)
        except EdgeError as error:
            raise InputError(str(error)) from None
        self.folder, self.limits, self.keys, self.ready = folder, limits, keys, False
        self.session = open_session(folder / CLOUD, threads)
        self.figures = Figures(self.manifest)
        self.batcher = Batcher(
            self._run, batch=limits.batch, latency=limits.latency, depth=limits.queue
        )
        self.batcher.seen = self.figures.batches.observe
        self.figures.waiting.set_function(lambda: self.batcher.rows)
        self.held = 0
        """Bytes of requests that are being read or answered."""
        wire = self.manifest.wire
        self.largest_message = largest(wire, limits.batch)
        self.largest_request = JSON_HEAD + JSON_NUMBER * limits.batch * wire.bytes

    def _run(self, rows: NDArray[np.generic]) -> NDArray[np.float32]:
        (scores,) = self.session.run(None, {"payload": rows})
        return np.asarray(scores, np.float32)

    async def start(self) -> None:
        """Warm up; ready afterwards."""
        self.batcher.start()
        for pictures in (1, self.limits.batch):
            payload = np.zeros((pictures, self.manifest.wire.bytes), np.uint8)
            await self.batcher.ask(as_rows(payload, self.manifest))
        self.ready = True
        self.figures.ready.set(1)

    async def stop(self) -> None:
        """Answer what waits; take no more."""
        self.ready = False
        self.figures.ready.set(0)
        await self.batcher.stop()
        if self.keys is not None:
            self.keys.close()

    def admitted(self, authorization: str | None) -> Key | None:
        """Whose request it is; None where the service asks for no keys.

        Raises:
            RefusedError: it asks for one, and this is none or a revoked one.
        """
        if self.keys is None:
            return None
        scheme, _, sent = (authorization or "").partition(" ")
        key = self.keys.find(sent.strip()) if scheme.lower() == "bearer" else None
        if key is None:
            raise RefusedError(
                401,
                "this service needs an API key: Authorization: Bearer KEY",
                WWW_Authenticate="Bearer",
            )
        return key

    async def scores(self, rows: NDArray[np.generic], key: Key | None) -> NDArray[np.float32]:
        """Scores (n, columns) of n pictures, counted against the key's budget.

        Raises:
            RefusedError: the budget is spent, or the queue is full.
        """
        full = RefusedError(503, "the service is at its limit: try again", Retry_After="1")
        if not self.ready or self.batcher.rows + len(rows) > self.batcher.depth:
            raise full
        if key is not None and self.keys is not None:
            try:
                self.keys.spend(key, len(rows))
            except SpentError as error:
                raise RefusedError(429, str(error), Retry_After=str(error.wait)) from None
        try:
            found = await self.batcher.ask(rows)
        except FullError:
            raise full from None
        self.figures.pictures.inc(len(rows))
        return found

    def told(self, scores: NDArray[np.float32]) -> Sequence[dict[str, Any]]:
        """Answers in words."""
        return self.manifest.told(scores)
