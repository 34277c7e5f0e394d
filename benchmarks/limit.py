"""What the machine cannot go below: the bare convolutions and matrix products, each timed alone.

A stage cannot avoid, once each: the forward pass of every network that its losses touch; the
gradient to the input of every layer that has a moving parameter upstream; the gradient to the
weights of the movers' layers. Each such product is timed alone, in bf16 and float32, channels last
and first, and in every equivalent form (of stride 1, a transposed convolution is a plain one with
flipped weights, and so is the gradient to either's input); the fastest counts. Batch norm,
activations, pooling, MS-SSIM, Adam and the pictures themselves count for nothing.
"""

import itertools
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from deepobfuscator.core import runtime
from deepobfuscator.core.runtime import Context
from deepobfuscator.data.batches import Batch
from deepobfuscator.data.table import Task
from deepobfuscator.defences.deepobfuscator import DeepObfuscator
from deepobfuscator.experiments.presets import preset
from deepobfuscator.training.objectives import Players, Round, Stage
from harness import Contender

KEPT = 2
"""Forms of an operation that go on after the first turn, which times all of them."""
REPEATS = 3
"""Calls of a form that goes on, a turn, after one that is not counted."""


class Operation(NamedTuple):
    """One product: ``kind`` is forward, input, weight (of a convolution) or product."""

    kind: str
    shape: tuple[int, ...]
    """Convolution: pictures, inputs, outputs, height, width, kernel. Product: (a, b) x (b, c)."""


def needed(
    stage: Stage, players: Players, batch: Batch, run: Context, size: int
) -> Counter[Operation]:
    """What ``stage`` cannot avoid on a batch of ``size``, found by playing it on a small batch.

    All players are in training mode, where every layer runs as itself.
    """
    found: Counter[Operation] = Counter()

    def note(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        weight, given = layer.weight, inputs[0]
        back, moves = given.requires_grad, weight.requires_grad
        if isinstance(layer, nn.Linear):
            i, o = layer.in_features, layer.out_features
            for wanted, shape in (
                (True, (size, i, o)),
                (back, (size, o, i)),
                (moves, (o, size, i)),
            ):
                found[Operation("product", shape)] += wanted
            return
        if layer.stride != (1, 1) or tuple(given.shape[-2:]) != tuple(output.shape[-2:]):
            raise NotImplementedError(f"no limit for {layer}")
        shape = (size, given.shape[1], *output.shape[1:], layer.kernel_size[0])
        for kind, wanted in (("forward", True), ("input", back), ("weight", moves)):
            found[Operation(kind, shape)] += wanted

    for name, player in players.items():
        player.train().requires_grad_(name in stage.movers)
    layers = [
        layer
        for player in players.values()
        for layer in player.modules()
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear)
    ]
    hooks = [layer.register_forward_hook(note) for layer in layers]
    round_ = Round(players, batch, stage.movers, run)
    for update in stage.updates:
        update.loss(round_)
    for hook in hooks:
        hook.remove()
    return +found


def arithmetic(operation: Operation) -> int:
    """Floating-point operations: two for each product of two numbers."""
    if operation.kind == "product":
        a, b, c = operation.shape
        return 2 * a * b * c
    n, inputs, outputs, height, width, kernel = operation.shape
    return 2 * n * inputs * outputs * height * width * kernel**2


Form = Callable[[], object]


def forms(operation: Operation) -> dict[str, Form]:
    """Every way to compute ``operation``, by name."""
    make = _product if operation.kind == "product" else _convolution
    return {
        f"{str(kind).removeprefix('torch.')} {name}": form
        for kind in (torch.bfloat16, torch.float32)
        for name, form in make(operation, kind)
    }


def _product(operation: Operation, kind: torch.dtype) -> Iterator[tuple[str, Form]]:
    a, b, c = operation.shape
    lefts = {"x": torch.ones(a, b, dtype=kind), "x.T": torch.ones(b, a, dtype=kind).T}
    rights = {"y": torch.ones(b, c, dtype=kind), "y.T": torch.ones(c, b, dtype=kind).T}
    for (left, x), (right, y) in itertools.product(lefts.items(), rights.items()):
        yield f"{left} @ {right}", partial(torch.matmul, x, y)


def _convolution(operation: Operation, kind: torch.dtype) -> Iterator[tuple[str, Form]]:
    n, inputs, outputs, height, width, kernel = operation.shape
    pad = kernel // 2
    for where, layout in (("last", torch.channels_last), ("first", torch.contiguous_format)):
        x, gradient, plain, flipped = (
            torch.ones(shape, dtype=kind).contiguous(memory_format=layout)
            for shape in (
                (n, inputs, height, width),
                (n, outputs, height, width),
                (outputs, inputs, kernel, kernel),
                (inputs, outputs, kernel, kernel),
            )
        )
        if operation.kind == "forward":
            yield f"{where} conv", partial(functional.conv2d, x, plain, padding=pad)
            yield f"{where} deconv", partial(functional.conv_transpose2d, x, flipped, padding=pad)
            continue
        if operation.kind == "input":
            yield f"{where} flipped", partial(functional.conv2d, gradient, flipped, padding=pad)
        mask = [operation.kind == "input", operation.kind == "weight", False]
        for name, transposed, weights in (("conv", False, plain), ("deconv", True, flipped)):
            yield (
                f"{where} backward of {name}",
                partial(
                    torch.ops.aten.convolution_backward,
                    *(gradient, x, weights, None, [1, 1], [pad, pad], [1, 1]),
                    *(transposed, [0, 0], 1, mask),
                ),
            )


def seconds(form: Form, repeats: int) -> list[float]:
    """Of ``repeats`` calls after one that is not counted."""
    form()
    taken = []
    for _ in range(repeats):
        began = perf_counter()
        form()
        taken.append(perf_counter() - began)
    return taken


@torch.no_grad()
def bare(operations: Iterable[tuple[str, tuple[int, ...]]]) -> Iterator[dict[str, Any]]:
    """A contender: ``[operation, form, [seconds]]`` for each; from the second turn on the best."""
    runtime.prepare()  # freed memory returned to the kernel would count against the arithmetic
    left = {Operation(kind, tuple(shape)): None for kind, shape in operations}
    kept: dict[Operation, list[str]] = {}
    while True:
        taken = []
        for operation in left:
            ways = forms(operation)
            names = kept.get(operation, list(ways))
            times = {
                name: seconds(ways[name], REPEATS if operation in kept else 1) for name in names
            }
            best = sorted(names, key=lambda name: statistics.median(times[name]))
            kept.setdefault(operation, best[:KEPT])
            taken += [[operation, name, times[name]] for name in names]
        yield {"taken": taken}


def contender(needs: Iterable[Mapping[Operation, int]]) -> Contender:
    """A contender that times each distinct operation of all ``needs``."""
    distinct = sorted(set().union(*needs))
    return Contender("limit:bare", {"operations": distinct})


def fastest(turns: Iterable[Mapping[str, Any]]) -> dict[Operation, float]:
    """Median seconds of each operation in its fastest form."""
    times: dict[Operation, dict[str, list[float]]] = {}
    for turn in turns:
        for (kind, shape), name, taken in turn["taken"]:
            operation = Operation(kind, tuple(shape))
            times.setdefault(operation, {}).setdefault(name, []).extend(taken)
    return {o: min(statistics.median(t) for t in forms.values()) for o, forms in times.items()}


def total(need: Mapping[Operation, int], best: Mapping[Operation, float]) -> float:
    """Seconds that ``need`` takes at least."""
    return sum(count * best[operation] for operation, count in need.items())


def main() -> None:
    """Print the arithmetic of the limit: GFLOP a picture in each stage, and a whole paper run."""
    task, defence = Task(("public",), ("private",)), DeepObfuscator()
    for name in ("small", "paper"):
        setting = preset(name).config
        height, width = setting.size
        run = Context(Path())
        players = defence.players(task, setting, run)
        batch = Batch(torch.rand(2, 3, height, width), torch.zeros(2, 1), torch.zeros(2, 1))
        print(f"{name}: {height}x{width}, width {setting.width:g}")
        whole = 0.0
        for phase in defence.phases(setting):
            each = {
                stage.name: sum(
                    n * arithmetic(o) for o, n in needed(stage, players, batch, run, 1).items()
                )
                for stage in phase.stages
            }
            mean = sum(each.values()) / len(each)
            whole += phase.epochs * mean
            print(f"  {phase.name}, {phase.epochs:g} passes: {mean / 1e9:.2f} GFLOP a picture")
            for stage, operations in each.items():
                print(f"    {stage}: {operations / 1e9:.2f}")
        print(f"  all passes: {whole / 1e12:.2f} TFLOP for each of the defender's pictures")


if __name__ == "__main__":
    main()
