"""From a thousand to a million pictures: speed, memory, time to the first step at 64x64.

Drawing a million faces would take hours, so a thousand are laid end to end in the files that the
product's cache would open; everything else is the product's own path. The limit is the speed on
the smallest number of pictures: it should not fall as they grow in number.
"""

import json
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from time import perf_counter

import numpy as np

import pictures
from deepobfuscator.data import batches, cache
from deepobfuscator.data.dataset import Data
from deepobfuscator.data.splits import split
from deepobfuscator.data.synthetic import Synthetic
from deepobfuscator.defences.base import SERVICE
from deepobfuscator.defences.undefended import Undefended
from deepobfuscator.training.loop import play
from deepobfuscator.training.objectives import Phase, TrainConfig
from game import product_run
from harness import Contender, Options, Row, Spread, alternate, measurements
from memory import status

DRAWN = 1000


def lay_down(count: int, size: tuple[int, int], drawn: int) -> Iterator[dict[str, float]]:
    """Fill the cache for ``synthetic:count``."""
    source, size = Synthetic(count), (size[0], size[1])
    labels = source.read()
    faces, _ = Synthetic(drawn).load(Synthetic(drawn).read().images, size)
    cache.cache_folder().mkdir(parents=True, exist_ok=True)
    for rows in vars(split(labels, None, 0)).values():
        path = cache.path(source, [labels.images[row] for row in rows], size)
        with open(path, "wb") as file:
            shape = (len(rows), *size, 3)
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            for start in range(0, len(rows), drawn):
                some = rows[start : start + drawn]
                block = faces[: len(some)].copy()
                # Its number in one corner makes each a picture of its own: equal ones would all
                # be moved to one part.
                corner = np.ascontiguousarray(some.astype(np.uint32)).view(np.uint8)
                block.reshape(len(some), -1)[:, :4] = corner.reshape(-1, 4)
                file.write(block.data)
        path.with_suffix(".json").write_text(json.dumps({}))
    yield {}


class Peak:
    """The most memory since it was made: anonymous, and with mapped files."""

    def __init__(self) -> None:
        self.before = status("RssAnon", "VmRSS")
        self.most = list(self.before)
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            now = status("RssAnon", "VmRSS")
            self.most = [max(pair) for pair in zip(self.most, now, strict=True)]
            time.sleep(0.005)


def product(
    count: int, size: tuple[int, int], width: float, batch: int, steps: int, turns: int
) -> Iterator[dict[str, float]]:
    """Load, one step, then ``turns`` times ``steps`` steps of the service's training."""
    run, size = product_run(), (size[0], size[1])
    setting = TrainConfig(size=size, width=width, batch_size=batch)
    players = Undefended().players(pictures.TASK, setting, run)
    peak = Peak()
    began = perf_counter()
    data = batches.load(Data(Synthetic(count), pictures.TASK), size)
    loaded = perf_counter() - began
    per_epoch = len(data.defender) // batch
    phase = Phase("service", 0.5 / per_epoch, (SERVICE,))
    play(players, [phase], data.defender, setting, run)
    first = perf_counter() - began
    phase = replace(phase, epochs=(steps - 0.5) / per_epoch)
    rates = []
    for turn in range(turns):
        began = perf_counter()
        play(players, [phase], data.defender, replace(setting, seed=turn), run)
        rates.append(steps * batch / (perf_counter() - began))
    yield {
        "rates": rates,
        "load": loaded,
        "first": first,
        "anonymous": (peak.most[0] - peak.before[0]) / 2**20,
        "total": peak.most[1] / 2**20,
    }


def bench(options: Options) -> list[Row]:
    """Three rows for each number of pictures, in a fresh process and a fresh cache each."""
    counts, size, width, batch = (1_000, 10_000, 100_000, 999_999), (64, 64), 0.25, 64
    steps, turns, drawn = 100, 3, DRAWN
    if options.quick:
        counts, size, width, batch = (1_000,), (32, 32), 1 / 16, 16
        steps, turns, drawn = 2, 1, 100
    rows: list[Row] = []
    base: dict[str, float] = {}
    apart = replace(options, out=options.out / "scaling")
    for count in counts:
        shape = {"count": count, "size": size}
        try:
            alternate(
                {"": Contender("scaling:lay_down", {**shape, "drawn": drawn})}, 1, apart, warm_up=0
            )
            asked = {**shape, "width": width, "batch": batch, "steps": steps, "turns": turns}
            taken = alternate({"": Contender("scaling:product", asked)}, 1, apart, warm_up=0)[""]
        finally:
            shutil.rmtree(apart.out, ignore_errors=True)
        figures = {
            "images/s": Spread.of(taken[0]["rates"]),
            "s to the first step": measurements(taken, "first"),
            "MiB anonymous": measurements(taken, "anonymous"),
        }
        notes = {
            "s to the first step": f"of these {taken[0]['load']:.2f} s to load",
            "MiB anonymous": f"at its peak, above the libraries; "
            f"{taken[0]['total']:,.0f} MiB with libraries and mapped files",
        }
        for unit, spread in figures.items():
            limit = base.setdefault(unit, spread.median) if unit == "images/s" else None
            rows.append(
                Row("scaling", f"{count:,}", unit, spread, limit=limit, note=notes.get(unit, ""))
            )
    return rows
