"""Pictures a second of an epoch: augmented float batches of 64 on the CPU, files to tensors.

Cold decodes into an empty cache and then runs an epoch; warm opens the cache and runs an epoch; in
memory the cache was read before. (The files themselves are in the kernel's memory for everybody.)
The limit of cold is bare decoding on all cores, without fitting or writing; that of the others is
one pass that turns bytes into floats.
"""

import os
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

import pictures
import reference
from deepobfuscator.data import cache
from deepobfuscator.data.batches import Labelled
from deepobfuscator.data.celeba import Celeba
from game import product_run
from harness import Contender, Options, Row, alternate, measurements

BATCH = 64


def epoch(pixels: NDArray[np.uint8], files: pictures.Files) -> int:
    """One pass as `play` makes it; pictures delivered."""
    part = Labelled(pixels, files.public, files.private, np.arange(len(pixels)))
    draw = np.random.default_rng(0)
    order, delivered = draw.permutation(len(part)), 0
    for start in range(0, len(part) - BATCH + 1, BATCH):
        batch = part.batch(np.sort(order[start : start + BATCH]), torch.device("cpu"), draw)
        assert batch.pictures is not None
        delivered += len(batch.pictures)
    return delivered


def product(where: str, size: tuple[int, int], limit: int) -> Iterator[dict[str, float]]:
    """Cold, warm and in memory."""
    product_run()
    size = (size[0], size[1])
    source, files = Celeba(Path(where)), pictures.files(where, "defender", limit)
    names = [Path(path).name for path in files.paths]
    while True:
        with tempfile.TemporaryDirectory(dir=os.environ["DEEPOBFUSCATOR_CACHE"]) as empty:
            kept = os.environ["DEEPOBFUSCATOR_CACHE"]
            os.environ["DEEPOBFUSCATOR_CACHE"] = empty
            times = [perf_counter()]
            delivered = 0
            for _ in ("cold", "warm"):
                pixels, _ = cache.pictures(source, names, size)
                delivered = epoch(pixels, files)
                times.append(perf_counter())
            memory = np.array(pixels)
            times.append(perf_counter())
            epoch(memory, files)
            times.append(perf_counter())
            os.environ["DEEPOBFUSCATOR_CACHE"] = kept
        cold, warm, _, held = np.diff(times)
        yield {"cold": delivered / cold, "warm": delivered / warm, "memory": delivered / held}


def plain(where: str, size: tuple[int, int], limit: int) -> Iterator[dict[str, float]]:
    """The reference's data loader."""
    files = pictures.files(where, "defender", limit)
    size = (size[0], size[1])
    dataset = reference.Pictures(files.paths, files.public, files.private, size)
    batches = reference.loader(dataset, BATCH)
    while True:
        began = perf_counter()
        delivered = sum(len(batch[0]) for batch in batches)
        yield {"rate": delivered / (perf_counter() - began)}


def bare(where: str, size: tuple[int, int], limit: int) -> Iterator[dict[str, float]]:
    """Both limits."""
    paths = pictures.files(where, "defender", limit).paths

    def decode(path: str) -> None:
        with Image.open(path) as file:
            file.load()

    some = np.random.default_rng(0).integers(0, 256, (8 * BATCH, *size, 3), dtype=np.uint8)
    while True:
        began = perf_counter()
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(decode, paths))
        decoded = perf_counter()
        for start in range(0, len(some), BATCH):
            torch.from_numpy(some[start : start + BATCH]).float()
        copied = perf_counter() - decoded
        yield {"decoding": len(paths) / (decoded - began), "copying": len(some) / copied}


def bench(options: Options) -> list[Row]:
    """Three rows for each size."""
    sizes: Sequence[tuple[int, int]] = [(64, 64), (216, 176)]
    limit, turns = 4000, 3
    if options.quick:
        sizes, limit, turns = [(32, 32)], 240, 1
    where = pictures.folder(options, limit)
    (options.out / "cache").mkdir(parents=True, exist_ok=True)
    rows = []
    for size in sizes:
        arguments = {"where": where, "size": size, "limit": limit}
        taken = alternate(
            {
                "product": Contender("data:product", arguments),
                "reference": Contender("data:plain", arguments),
                "limit": Contender("data:bare", arguments),
            },
            turns,
            options,
        )
        theirs = measurements(taken["reference"], "rate")
        for name, ceiling in (("cold", "decoding"), ("warm", "copying"), ("memory", "copying")):
            rows.append(
                Row(
                    *("data", f"{size[0]}x{size[1]}, {name}", "pictures/s"),
                    measurements(taken["product"], name),
                    *("Pillow in a DataLoader, 2 workers", theirs),
                    *(measurements(taken["limit"], ceiling).median, f"limit: bare {ceiling}"),
                )
            )
    return rows
