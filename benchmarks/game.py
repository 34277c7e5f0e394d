"""Algorithm 1 with its pictures: images a second of product, reference and limit."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import torch
from rich.console import Console

import limit
import pictures
import reference
from deepobfuscator.core import runtime
from deepobfuscator.core.runtime import Context
from deepobfuscator.data.batches import Batch
from deepobfuscator.defences.deepobfuscator import DeepObfuscator
from deepobfuscator.nn.vgg import parameter_count
from deepobfuscator.training.loop import play
from deepobfuscator.training.objectives import TrainConfig
from harness import Contender, Options, Row, alternate, measurements

LIMIT = 4000
"""Pictures of the training pool; the defender has half of them."""


def product_run(precision: str = "auto") -> Context:
    """A silent run of the product, with all that its command line does before one."""
    runtime.prepare()
    device = runtime.resolve_device("cpu")
    chosen = runtime.resolve_precision(precision, device)
    return Context(Path(), device, chosen, Console(quiet=True))


def product(
    where: str,
    size: tuple[int, int],
    width: float,
    batch: int,
    cycles: int,
    limit: int,
    compiled: bool = False,
) -> Iterator[dict[str, float]]:
    """Images a second of `play`, itself in charge of data, optimisers and bookkeeping."""
    run, size = product_run(), (size[0], size[1])
    setting = TrainConfig(size=size, width=width, batch_size=batch)
    defence = DeepObfuscator()
    material = pictures.load(where, size, limit).defender
    players = defence.players(pictures.TASK, setting, run)
    if compiled:
        for player in players.values():
            player.compile()
    # Half a batch less, so that rounding cannot add one.
    epochs = (4 * cycles - 0.5) / (len(material) // batch)
    phase = replace(defence.phases(setting)[-1], epochs=epochs)
    while True:
        began = perf_counter()
        play(players, [phase], material, setting, run)
        yield {"rate": 4 * cycles * batch / (perf_counter() - began)}


def plain(
    where: str, size: tuple[int, int], width: float, batch: int, cycles: int, limit: int
) -> Iterator[dict[str, float]]:
    """Images a second of the reference."""
    files = pictures.files(where, "defender", limit)
    size = (size[0], size[1])
    dataset = reference.Pictures(files.paths, files.public, files.private, size)
    batches = reference.endless(reference.loader(dataset, batch))
    game = reference.Game(size, width)
    while True:
        began = perf_counter()
        for _ in range(cycles):
            game.cycle(batches)
        yield {"rate": 4 * cycles * batch / (perf_counter() - began)}


def needs(size: tuple[int, int], width: float, batch: int) -> dict[str, Counter[limit.Operation]]:
    """What each of the four stages cannot avoid."""
    run, setting = Context(Path()), TrainConfig(size=size, width=width)
    defence = DeepObfuscator()
    players = defence.players(pictures.TASK, setting, run)
    small = Batch(torch.rand(2, 3, *size), torch.zeros(2, 1), torch.zeros(2, 1))
    return {
        stage.name: limit.needed(stage, players, small, run, batch)
        for stage in defence.phases(setting)[-1].stages
    }


def same_networks(size: tuple[int, int], width: float) -> dict[str, tuple[int, int]]:
    """Parameters of each network in the product and in the reference.

    Raises:
        AssertionError: they differ, so that a comparison would mean nothing.
    """
    setting = TrainConfig(size=size, width=width)
    ours = DeepObfuscator().players(pictures.TASK, setting, Context(Path()))
    theirs = reference.Game(size, width).networks
    counts = {n: (parameter_count(ours[n]), parameter_count(theirs[n])) for n in theirs}
    assert all(one == other for one, other in counts.values()), counts
    return counts


def bench(options: Options) -> list[Row]:
    """Both sizes, and each stage's part of the limit."""
    # Cycles of the product and of the reference a turn: about as long as each other.
    cases = [((64, 64), 0.25, 64, (12, 4), 5), ((216, 176), 0.5, options.batch, (4, 1), 3)]
    if options.quick:
        cases = [((32, 32), 1 / 16, 8, (1, 1), 1)]
    pool = 240 if options.quick else LIMIT
    where = pictures.folder(options, pool)
    rows = []
    for size, width, batch, cycles, turns in cases:
        same_networks(size, width)
        need = needs(size, width, batch)
        arguments = {
            "where": where,
            "size": size,
            "width": width,
            "batch": batch,
            "limit": pool,
        }
        taken = alternate(
            {
                "product": Contender("game:product", {**arguments, "cycles": cycles[0]}),
                "reference": Contender("game:plain", {**arguments, "cycles": cycles[1]}),
                "limit": limit.contender(need.values()),
            },
            turns,
            options,
        )
        ours, theirs = (measurements(taken[name], "rate") for name in ("product", "reference"))
        best = limit.fastest(taken["limit"])
        least = {stage: limit.total(counted, best) for stage, counted in need.items()}
        whole = sum(least.values())
        case = f"{size[0]}x{size[1]}, width {width:g}, batch {batch}"
        reached = theirs.median / (4 * batch / whole)
        rows.append(
            Row(
                *("game", case, "images/s", ours, "reference", theirs, 4 * batch / whole),
                f"limit {1000 * whole:.0f} ms a cycle ("
                + ", ".join(f"{s} {1000 * t:.0f}" for s, t in least.items())
                + f"); the reference reaches {reached:.0%} of it",
            )
        )
    return rows
