"""Requests share runs, in order, within bounds."""

import asyncio
from typing import Any

import numpy as np
import pytest

from deepobfuscator.serve.batching import Batcher, FullError


def run(coroutine: Any) -> Any:
    return asyncio.run(coroutine)


def test_requests_that_wait_share_a_run_and_get_their_own_rows() -> None:
    runs: list[int] = []

    def double(rows: Any) -> Any:
        runs.append(len(rows))
        return rows.astype(np.float32) * 2

    async def ask() -> list[Any]:
        batcher = Batcher(double, batch=8, latency=0.2, depth=100)
        batcher.start()
        parts = [np.full((1 + i % 3, 2), i) for i in range(12)]
        found = await asyncio.gather(*(batcher.ask(part) for part in parts))
        await batcher.stop()
        for part, got in zip(parts, found, strict=True):
            np.testing.assert_array_equal(got, 2 * part)
        return runs

    assert max(run(ask())) <= 8
    assert sum(runs) == 24
    assert len(runs) <= 5


def test_a_full_queue_refuses_and_a_failure_reaches_all_who_wait() -> None:
    def fail(rows: Any) -> Any:
        raise ValueError("broken")

    async def ask() -> None:
        batcher = Batcher(fail, batch=4, latency=0.05, depth=4)
        batcher.start()
        first = [asyncio.create_task(batcher.ask(np.zeros((2, 1)))) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(FullError):
            await batcher.ask(np.zeros((1, 1)))
        for task in first:
            with pytest.raises(ValueError, match="broken"):
                await task
        assert batcher.rows == 0
        with pytest.raises(ValueError, match="broken"):
            await batcher.ask(np.zeros((4, 1)))  # it goes on after a failure
        await batcher.stop()

    run(ask())


def test_whoever_left_is_not_computed() -> None:
    seen: list[int] = []

    def count(rows: Any) -> Any:
        seen.append(len(rows))
        return rows

    async def ask() -> None:
        batcher = Batcher(count, batch=4, latency=0.1, depth=8)
        batcher.start()
        left = asyncio.create_task(batcher.ask(np.zeros((3, 1))))
        await asyncio.sleep(0)
        left.cancel()
        await batcher.ask(np.zeros((1, 1)))
        await batcher.stop()

    run(ask())
    assert seen == [1]
