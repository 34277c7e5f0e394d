"""What a running process has: device, precision, folder, progress.

Of these, device, precision and the number of threads touch results; the run's card names them.
"""

import contextlib
import ctypes
import fcntl
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO, TypeVar

import torch
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from deepobfuscator.errors import InputError

M = TypeVar("M", bound=torch.nn.Module)

PRECISIONS = ("auto", "fp32", "bf16")


def prepare() -> None:
    """Tell glibc to keep freed memory: returning it costs up to a fifth of a training step."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            m_trim_threshold, m_top_pad, m_mmap_threshold = -1, -2, -3
            libc.mallopt(m_mmap_threshold, 2**30)
            libc.mallopt(m_trim_threshold, 2**31 - 1)
            libc.mallopt(m_top_pad, 2**26)


def resolve_device(name: str) -> torch.device:
    """``auto`` takes the GPU where there is one.

    Raises:
        InputError: torch cannot use the device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cudnn.deterministic = True
    try:
        device = torch.device(name)
        torch.empty(1, device=device).cpu()
    except (RuntimeError, AssertionError, ImportError):
        raise InputError(
            f"--device {name}: torch cannot use it here; take auto, cpu or cuda"
        ) from None
    return device


def resolve_precision(name: str, device: torch.device) -> str:
    """``auto`` takes bf16 only where the processor computes it natively."""
    if name not in PRECISIONS:
        raise InputError(f"--precision {name}: take one of {', '.join(PRECISIONS)}")
    if name != "auto":
        return name
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    capabilities = torch.backends.cpu.get_cpu_capability()
    native = bool(torch.cpu._is_avx512_bf16_supported()) if capabilities == "AVX512" else False
    return "bf16" if native else "fp32"


@dataclass
class Run:
    """One process at work on one folder."""

    folder: Path
    """Where everything is written."""
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    """Where networks compute."""
    precision: str = "fp32"
    """``fp32`` or ``bf16`` (autocast; weights and losses stay float32)."""
    console: Console = field(default_factory=lambda: Console(stderr=True))
    """Where progress goes; results go to standard output."""
    checkpoint_seconds: float = 30.0
    """Time between checkpoints; no result depends on it."""

    def autocast(self) -> AbstractContextManager[object]:
        """The context in which networks (not losses) compute."""
        if self.precision == "fp32":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def place(self, network: M) -> M:
        """``network`` on the device, channels last in memory, where convolutions are fastest."""
        for parameter in network.to(self.device).parameters():
            if parameter.dim() == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        return network

    @contextlib.contextmanager
    def progress(self, title: str, total: int, done: int = 0) -> Iterator["Bar"]:
        """A progress bar with the time left."""
        columns = (
            TextColumn("{task.description:<34}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        with Progress(*columns, console=self.console) as bars:
            task = bars.add_task(title, total=total, completed=done, note="")
            yield Bar(bars, task)

    def say(self, text: str) -> None:
        """A line for the person who waits."""
        self.console.print(text, highlight=False, soft_wrap=True)


@dataclass
class Bar:
    """A progress bar on show."""

    bars: Progress
    task: object

    def advance(self, note: str = "") -> None:
        """One step further."""
        self.bars.update(self.task, advance=1, note=note)  # type: ignore[arg-type]

    def at(self, done: int, total: int) -> None:
        """``done`` of ``total`` steps."""
        self.bars.update(self.task, completed=done, total=total)  # type: ignore[arg-type]


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold ``folder`` against a second process; a kill lets go of it.

    Raises:
        InputError: another process holds it, or it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file: TextIO = open(folder / ".lock", "w")  # noqa: SIM115
    except OSError as error:
        raise InputError(f"cannot use the folder {folder}: {error.strerror}") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError(
                f"{folder} is in use by another process: wait for it, or name another folder"
            ) from None
        for path in (*folder.glob(".*.part"), *folder.glob("audit/.*.part")):
            if path.is_file():  # left half-written by a process that was killed
                path.unlink(missing_ok=True)
        yield
