"""The benchmarks: ``python benchmarks/run.py [NAME ...] [--quick]``.

Ratios measured side by side in one run, and how near each comes to a limit measured in the same
run; the table goes to standard output, the figures to ``runs/bench/results.json``.
"""

import argparse
import importlib
import json
import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

from harness import ROOT, Contender, Options, alternate, as_json, table

BENCHMARKS = ("game", "ms_ssim", "data", "audit", "scaling", "compiled", "edge", "service")
CELEBA = ROOT.parent / "shared" / "celeba20k"


def machine(side: int) -> Iterator[dict[str, Any]]:
    """A contender: what this machine is, and its peak of matrix products of ``side``."""
    import torch

    facts: dict[str, Any] = {
        "processor": processor(),
        "cores": os.cpu_count(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }
    while True:
        for name, kind in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
            x, y = torch.randn(side, side, dtype=kind), torch.randn(side, side, dtype=kind)
            times = []
            for _ in range(8):
                began = perf_counter()
                x @ y
                times.append(perf_counter() - began)
            facts[f"{name} GFLOP/s"] = round(2 * side**3 / min(times) / 1e9)
        yield facts


def processor() -> str:
    """Its model's name."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def main() -> None:
    """Run what was asked for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("benchmarks", nargs="*", metavar="|".join(BENCHMARKS))
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does it still run?")
    parser.add_argument(
        "--data",
        default=f"celeba:{CELEBA}" if CELEBA.is_dir() else "synthetic",
        help="celeba:PATH or synthetic (default: %(default)s)",
    )
    parser.add_argument("--batch", type=int, default=16, help="pictures a batch at 216x176")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "bench")
    chosen = parser.parse_args()
    for name in chosen.benchmarks:
        if name not in BENCHMARKS:
            parser.error(f"no benchmark {name!r}: take from {', '.join(BENCHMARKS)}")
    options = Options(chosen.data, chosen.out.absolute(), chosen.quick, chosen.batch)
    options.out.mkdir(parents=True, exist_ok=True)
    contender = Contender("run:machine", {"side": 256 if options.quick else 2048})
    facts = alternate({"": contender}, 1, options)[""][0]
    print(*(f"{name}: {value}" for name, value in facts.items()), sep="\n", end="\n\n", flush=True)
    rows = []
    for name in chosen.benchmarks or BENCHMARKS:
        print(f"{name} ...", file=sys.stderr, flush=True)
        rows += importlib.import_module(name).bench(options)
    print(table(rows))
    results = {"machine": facts, "quick": options.quick, "rows": as_json(rows)}
    (options.out / "results.json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
