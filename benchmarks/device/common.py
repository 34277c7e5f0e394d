"""What the parts share: figures that are on the disk as soon as they are known, and a stopwatch."""

import argparse
import json
import os
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, perf_counter
from typing import Any

import torch
from rich.console import Console

from deepobfuscator.core import runtime
from deepobfuscator.core.runtime import Context
from deepobfuscator.data.table import Task

TASK = Task(("Smiling",), ("Male",))


@dataclass
class Figures:
    """One part's figures: a JSON file, written anew with each of them."""

    path: Path
    seconds: float
    """Time that the part has."""
    rehearse: bool
    """Tiny sizes: whether everything runs, not how fast it is."""
    pictures: Path
    """Folder in CelebA's layout."""
    found: dict[str, Any] = field(default_factory=dict)
    began: float = field(default_factory=monotonic)

    @classmethod
    def of_command_line(cls) -> "Figures":
        """As ``main.py`` starts every part."""
        parser = argparse.ArgumentParser()
        parser.add_argument("--out", type=Path, required=True)
        parser.add_argument("--pictures", type=Path, required=True)
        parser.add_argument("--seconds", type=float, required=True)
        parser.add_argument("--rehearse", action="store_true")
        chosen = parser.parse_args()
        return cls(chosen.out, chosen.seconds, chosen.rehearse, chosen.pictures)

    @property
    def left(self) -> float:
        """Seconds left."""
        return self.seconds - (monotonic() - self.began)

    def put(self, name: str, value: Any) -> None:
        """Keep a figure and say it."""
        self.found[name] = value
        part = self.path.with_suffix(".part")
        part.write_text(json.dumps(self.found, indent=1) + "\n")
        os.replace(part, self.path)
        print(f"{self.path.stem}: {name}: {json.dumps(value)[:240]}", flush=True)

    def attempt(self, name: str, make: Callable[[], Any], least: float = 0) -> None:
        """Keep what ``make`` gives, or why it gave nothing; not begun with under ``least`` s."""
        if self.left < least:
            self.put(name, {"skipped": f"under {least:g} s were left"})
            return
        try:
            self.put(name, make())
        except (RuntimeError, torch.cuda.OutOfMemoryError) as error:
            self.put(name, {"failed": f"{type(error).__name__}: {str(error).splitlines()[0]}"})
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def context(device: torch.device, precision: str = "auto") -> Context:
    """A silent run on ``device``."""
    chosen = runtime.resolve_precision(precision, device)
    return Context(Path(), device, chosen, Console(quiet=True))


def wait(device: torch.device) -> None:
    """Until the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def timed(work: Callable[[], object], device: torch.device, repeats: int) -> float:
    """Median seconds of ``repeats`` calls, after one that is not counted."""
    work()
    taken = []
    for _ in range(repeats):
        wait(device)
        began = perf_counter()
        work()
        wait(device)
        taken.append(perf_counter() - began)
    return statistics.median(taken)
