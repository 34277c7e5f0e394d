"""A GPU's batches, recorded: Python then starts one graph instead of a thousand kernels."""

from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import fields

import torch
from torch import Tensor

from deepobfuscator.core.runtime import Context
from deepobfuscator.data.batches import Batch

Step = Callable[[Batch], dict[str, Tensor]]
"""Plays one batch on the GPU; gives the losses."""

EAGER = 3
"""Batches of a step that are played as usual, so that libraries have made their choices."""


class Recorder:
    """Plays steps; on a GPU of its own it records each once and replays it from then on."""

    def __init__(self, context: Context, steady: bool) -> None:
        self.records = steady and context.device.type == "cuda" and context.ranks == 1
        self.played: Counter[Hashable] = Counter()
        self.recorded: dict[Hashable, tuple[torch.cuda.CUDAGraph, Batch, dict[str, Tensor]]] = {}
        self.pool = torch.cuda.graph_pool_handle() if self.records else None

    def play(self, name: Hashable, step: Step, batch: Batch) -> dict[str, Tensor]:
        """Play ``batch`` by the step of that name, which computes the same whatever came before.

        The losses stand until the next batch is played.
        """
        self.played[name] += 1
        if not self.records:
            return step(batch)
        if self.played[name] <= EAGER:
            aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                losses = step(batch)
            torch.cuda.current_stream().wait_stream(aside)
            return losses
        if name not in self.recorded and not self._record(name, step, batch):
            return step(batch)
        graph, own, losses = self.recorded[name]
        for field in fields(Batch):
            if (value := getattr(batch, field.name)) is not None:
                getattr(own, field.name).copy_(value)
        graph.replay()
        return losses

    def _record(self, name: Hashable, step: Step, batch: Batch) -> bool:
        """Record a step; False where it does what no graph can hold, such as wait for a number."""
        given = {field.name: getattr(batch, field.name) for field in fields(Batch)}
        kept = {key: None if value is None else value.clone() for key, value in given.items()}
        own = Batch(**kept)
        graph = torch.cuda.CUDAGraph()
        torch.cuda.synchronize()
        try:
            with torch.cuda.graph(graph, pool=self.pool):
                losses = step(own)
        except RuntimeError:
            self.records = False
            torch.cuda.synchronize()
            return False
        self.recorded[name] = graph, Batch(**kept), losses
        return True
