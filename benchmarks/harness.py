"""What the benchmarks share: contenders that take turns in processes of their own, and the table.

A contender is a generator function in one of these files: whatever it does before its first
``yield`` is set-up, and each value that it yields is one measurement. Every contender has a process
of its own, so that no allocator setting, thread pool or import of one reaches another; they measure
in turn, A B C A B C, so that a slow minute of the machine is every contender's; and whoever's turn
it is not is stopped, the workers of its data loader included.
"""

import contextlib
import importlib
import json
import os
import signal
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]

# A spinning OpenMP team collapses when cores are shared; every contender is spared that alike.
os.environ["GOMP_SPINCOUNT"] = "1000"


@dataclass(frozen=True)
class Options:
    """What the person at the keyboard chose."""

    data: str
    """``celeba:PATH`` or ``synthetic``."""
    out: Path = ROOT / "runs" / "bench"
    """Folder of everything that is written: results, caches, peers."""
    quick: bool = False
    """Tiny sizes: whether everything still runs, not how fast it is."""
    batch: int = 16
    """Pictures a batch at 216x176."""


@dataclass(frozen=True)
class Contender:
    """A generator function, as ``module:function``, and its keyword arguments (plain JSON)."""

    function: str
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Spread:
    """A median with the smallest and the largest measurement."""

    median: float
    low: float
    high: float

    @staticmethod
    def of(values: Sequence[float]) -> "Spread":
        """Of at least one value."""
        return Spread(statistics.median(values), min(values), max(values))

    def __str__(self) -> str:
        if self.high - self.low < 0.005 * self.median:
            return digits(self.median)
        return f"{digits(self.median)} ({digits(self.low)}..{digits(self.high)})"


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    benchmark: str
    case: str
    unit: str
    """Seconds-like (less is better), or a rate that ends with ``/s`` (more is better)."""
    product: Spread | None
    against: str = ""
    """The contender that the product is compared with."""
    theirs: Spread | None = None
    limit: float | None = None
    """What the machine's bare arithmetic or copying would reach, in ``unit``."""
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times better the product is than the other."""
        if self.product is None or self.theirs is None:
            return None
        return self._better(self.product.median, self.theirs.median)

    @property
    def fraction(self) -> float | None:
        """How much of the limit the product reaches."""
        if self.product is None or self.limit is None:
            return None
        return self._better(self.product.median, self.limit)

    def _better(self, one: float, other: float) -> float:
        return one / other if self.unit.endswith("/s") else other / one


def measurements(taken: Sequence[Mapping[str, Any]], name: str, scale: float = 1.0) -> Spread:
    """The spread of one named measurement over a contender's turns, times ``scale``."""
    return Spread.of([scale * one[name] for one in taken])


def digits(value: float) -> str:
    """Three significant digits."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:#.3g}".rstrip(".")


def alternate(
    contenders: Mapping[str, Contender], turns: int, options: Options, warm_up: int = 1
) -> dict[str, list[dict[str, Any]]]:
    """Measurements of each contender over ``turns`` turns; the first ``warm_up`` turns are dropped.

    Raises:
        RuntimeError: a contender failed; its traceback is on standard error.
    """
    taken: dict[str, list[dict[str, Any]]] = {name: [] for name in contenders}
    with contextlib.ExitStack() as stack:
        running = {
            name: stack.enter_context(_started(contender, options))
            for name, contender in contenders.items()
        }
        for _ in range(warm_up + turns):
            for name, process in running.items():
                assert process.stdin is not None
                assert process.stdout is not None
                os.killpg(process.pid, signal.SIGCONT)
                process.stdin.write("go\n")
                process.stdin.flush()
                answer = process.stdout.readline()
                if not answer:
                    raise RuntimeError(f"{contenders[name].function} failed")
                os.killpg(process.pid, signal.SIGSTOP)
                taken[name].append(json.loads(answer))
    return {name: values[warm_up:] for name, values in taken.items()}


@contextlib.contextmanager
def _started(contender: Contender, options: Options) -> Iterator[subprocess.Popen[str]]:
    environment = os.environ | {"DEEPOBFUSCATOR_CACHE": str(options.out / "cache")}
    process = subprocess.Popen(
        [sys.executable, __file__, contender.function, json.dumps(contender.arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        process_group=0,  # of its own: stopped and ended as one; should we die, the kernel ends it
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def _serve(function: str, arguments: str) -> None:
    """Be a contender: one measurement for each line on standard input."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not pass for an answer
    module, _, name = function.partition(":")
    turns = getattr(importlib.import_module(module), name)(**json.loads(arguments))
    for _ in sys.stdin:
        print(json.dumps(next(turns)), file=answers, flush=True)


COLUMNS = (
    "benchmark", "case", "unit", "product", "against", "theirs", "times better", "limit",
    "of limit", "note",
)  # fmt: skip


def table(rows: Sequence[Row]) -> str:
    """The rows in markdown."""
    lines = [COLUMNS, tuple("---" for _ in COLUMNS)]
    for row in rows:
        fraction = "" if row.fraction is None else f"{row.fraction:.0%}"
        lines.append(
            (
                *(row.benchmark, row.case, row.unit),
                "" if row.product is None else str(row.product),
                row.against,
                "" if row.theirs is None else str(row.theirs),
                "" if row.ratio is None else f"{row.ratio:.2f}",
                "" if row.limit is None else digits(row.limit),
                *(fraction, row.note),
            )
        )
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def as_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The rows with their ratios, as plain data."""
    return [asdict(row) | {"ratio": row.ratio, "fraction": row.fraction} for row in rows]


if __name__ == "__main__":
    _serve(*sys.argv[1:])
