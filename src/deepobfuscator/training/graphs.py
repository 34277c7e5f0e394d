"""CUDA graphs of training steps: Python launches one graph instead of a thousand kernels."""

from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from deepobfuscator.core.runtime import Context
from deepobfuscator.data.batches import Batch

Step = Callable[[Batch], dict[str, Tensor]]
"""Trains on one batch on the GPU; returns the losses."""

EAGER = 3
"""Number of warm-up batches per step without a graph, so that libraries have chosen kernels."""


class Recorder:
    """Runs steps; on a single GPU it records each once and then replays it."""

    def __init__(self, context: Context, steady: bool) -> None:
        self.records = steady and context.device.type == "cuda" and context.ranks == 1
        self.played: Counter[Hashable] = Counter()
        self.recorded: dict[Hashable, _Recording | None] = {}

    def play(self, name: Hashable, step: Step, batch: Batch) -> dict[str, Tensor]:
        """Train on ``batch`` with the named step, whose computation does not depend on history.

        The losses are valid until the next call.
        """
        if not self.records:
            return step(batch)
        self.played[name] += 1
        if self.played[name] <= EAGER:
            aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                losses = step(batch)
            torch.cuda.current_stream().wait_stream(aside)
            return losses
        if name not in self.recorded:
            self.recorded[name] = _record(step, batch)
        recording = self.recorded[name]
        return step(batch) if recording is None else recording.replay(batch)


def adam(
    player: nn.Module, recorded: bool, state: dict[str, Any] | None = None
) -> torch.optim.Adam:
    """Adam in ``state``; its learning rate is set for each batch. If ``recorded``, a graph reads it
    from the GPU.
    """
    parameters = list(player.parameters())
    optimiser = torch.optim.Adam(parameters, fused=True, capturable=recorded)
    if state is not None:
        optimiser.load_state_dict(state)
    rate = torch.zeros((), device=parameters[0].device) if recorded else 0.0
    optimiser.param_groups[0].update(lr=rate, capturable=recorded)
    return optimiser


def set_rate(optimiser: torch.optim.Optimizer, rate: float, anew: bool = False) -> None:
    """Set the learning rate, and if ``anew`` moments and steps to 0; in place if a graph reads
    them.
    """
    for state in optimiser.state.values() if anew else ():
        for value in state.values():
            value.zero_()
    group = optimiser.param_groups[0]
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(rate)
    else:
        group["lr"] = rate


@dataclass(frozen=True)
class _Recording:
    """A graph with its input and output tensors."""

    graph: torch.cuda.CUDAGraph
    inputs: dict[str, Tensor]
    losses: dict[str, Tensor]

    def replay(self, batch: Batch) -> dict[str, Tensor]:
        for name, tensor in self.inputs.items():
            tensor.copy_(getattr(batch, name))
        self.graph.replay()
        return self.losses


def _record(step: Step, batch: Batch) -> _Recording | None:
    """A step as a graph; None if it cannot be captured, because it synchronises, for example."""
    inputs = {n: v.clone() for n, v in vars(batch).items() if v is not None}
    graph, stream = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
    try:
        with torch.cuda.graph(graph):
            losses = step(Batch(**inputs))
    except RuntimeError:
        # Left over from a failed capture: its stream, and a generator that waits for it.
        torch.cuda.set_stream(stream)
        torch.cuda.synchronize()
        fresh = torch.Generator(stream.device).graphsafe_get_state()
        torch.cuda.default_generators[stream.device.index].graphsafe_set_state(fresh)
        return None
    return _Recording(graph, inputs, losses)
