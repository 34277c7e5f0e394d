"""Dynamic batching: requests wait a moment for others, and share one run of the graph."""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from time import monotonic

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.generic]
Scores = NDArray[np.float32]


class FullError(Exception):
    """There is no room in the queue for a request."""


@dataclass
class _Waiting:
    rows: Rows
    done: asyncio.Future[Scores]
    since: float = field(default_factory=monotonic)


class Batcher:
    """Runs one function of many rows on the rows of many requests.

    The oldest request waits at most ``latency`` seconds for others, none while ``batch`` rows are
    there; a request is never torn apart. At most ``depth`` rows wait.
    """

    def __init__(
        self, run: Callable[[Rows], Scores], *, batch: int, latency: float, depth: int
    ) -> None:
        self.run, self.batch, self.latency, self.depth = run, batch, latency, depth
        self.queue: deque[_Waiting] = deque()
        self.rows = 0
        """Rows that wait."""
        self.busy = False
        """Whether rows are being computed."""
        self.seen: Callable[[int], None] = lambda rows: None
        """Called with the rows of each run."""
        self._wake = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="graph")
        self._task: asyncio.Task[None] | None = None

    async def ask(self, rows: Rows) -> Scores:
        """What the function gives for ``rows``.

        Raises:
            FullError: too many rows wait already.
        """
        if self.rows + len(rows) > self.depth:
            raise FullError
        waiting = _Waiting(rows, asyncio.get_running_loop().create_future())
        self.queue.append(waiting)
        self.rows += len(rows)
        self._wake.set()
        return await waiting.done

    def start(self) -> None:
        """Begin to answer, on the running loop."""
        self._task = asyncio.create_task(self._answer())

    async def stop(self) -> None:
        """Answer what waits, then end."""
        while self.queue or self.busy:
            await asyncio.sleep(0.01)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._thread.shutdown()

    async def _answer(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            while not self.queue:
                self._wake.clear()
                await self._wake.wait()
            left = self.queue[0].since + self.latency - monotonic()
            if self.rows < self.batch and left > 0:
                self._wake.clear()
                try:
                    await asyncio.wait_for(self._wake.wait(), left)
                    continue
                except TimeoutError:
                    pass
            some = self._some()
            if not some:
                continue
            self.busy = True
            try:
                rows = np.concatenate([w.rows for w in some]) if len(some) > 1 else some[0].rows
                scores = await loop.run_in_executor(self._thread, self.run, rows)
                self.seen(len(rows))
                ends = np.cumsum([len(w.rows) for w in some])
                for waiting, part in zip(some, np.split(scores, ends[:-1]), strict=True):
                    if not waiting.done.done():
                        waiting.done.set_result(part)
            except Exception as error:
                for waiting in some:
                    if not waiting.done.done():
                        waiting.done.set_exception(error)
            finally:
                self.busy = False

    def _some(self) -> list[_Waiting]:
        """The next requests to compute: those that fit a batch, without disconnected clients."""
        some: list[_Waiting] = []
        rows = 0
        while self.queue and (not some or rows + len(self.queue[0].rows) <= self.batch):
            waiting = self.queue.popleft()
            self.rows -= len(waiting.rows)
            if not waiting.done.done():
                some.append(waiting)
                rows += len(waiting.rows)
        return some
