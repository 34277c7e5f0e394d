"""The context of a running process: device, precision, folder, progress.

Of these, device, precision and the number of threads affect results; they are on the run's card.
"""

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, TextIO, TypeVar

import torch
from rich.console import Console
from torch import Tensor, distributed

from deepobfuscator.core.errors import InputError, in_one_line
from deepobfuscator.core.files import lock
from deepobfuscator.core.progress import NotebookBar, TerminalBar, progress

M = TypeVar("M", bound=torch.nn.Module)
T = TypeVar("T")

PRECISIONS = ("auto", "fp32", "bf16")

TORCHRUN = ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
"""Variables that torchrun sets for each process, beside WORLD_SIZE."""


def prepare() -> None:
    """Make glibc keep freed memory: returning it costs up to a fifth of a training step."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            m_trim_threshold, m_top_pad, m_mmap_threshold = -1, -2, -3
            libc.mallopt(m_mmap_threshold, 2**30)
            libc.mallopt(m_trim_threshold, 2**31 - 1)
            libc.mallopt(m_top_pad, 2**26)


def resolve_device(name: str) -> torch.device:
    """``auto`` selects the GPU if there is one.

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
    """``auto`` selects bf16 only if the processor supports it natively."""
    if name not in PRECISIONS:
        raise InputError(f"--precision {name}: take one of {', '.join(PRECISIONS)}")
    if name != "auto":
        return name
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    in_use = torch.backends.cpu.get_cpu_capability() == "AVX512"
    return "bf16" if in_use and torch.cpu._is_avx512_bf16_supported() else "fp32"


class RankLostError(Exception):
    """Another process of a distributed training is gone; shown to the user as one line."""


@contextlib.contextmanager
def lost_ranks() -> Iterator[None]:
    """Turn a failed collective into a readable error."""
    try:
        yield
    except RuntimeError as error:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # torchrun's, while this one says why
        raise RankLostError(
            "another process of this training is gone (its own message, if it had time for one, is "
            "above): the same command resumes from the last checkpoint"
        ) from error


def join_ranks(device: str) -> tuple[torch.device, int, int]:
    """Join the processes that torchrun started; returns the device, this rank and the world size.

    Raises:
        InputError: torch cannot use the device, or variables of torchrun are missing.
    """
    ranks = os.environ.get("WORLD_SIZE", "1")
    if ranks in ("", "1"):
        return resolve_device(device), 0, 1
    if lacking := [name for name in TORCHRUN if not os.environ.get(name)]:
        raise InputError(
            f"WORLD_SIZE is {ranks} without {', '.join(lacking)}: start with torchrun, or unset it"
        )
    if device == "cuda" or (device == "auto" and torch.cuda.is_available()):
        device = f"cuda:{os.environ['LOCAL_RANK']}"
    there = resolve_device(device)
    if there.type == "cuda":
        torch.cuda.set_device(there)
    try:
        distributed.init_process_group("nccl" if there.type == "cuda" else "gloo")
    except (ValueError, RuntimeError) as error:
        raise InputError(
            f"the processes cannot meet ({in_one_line(error)}): start with torchrun, or unset "
            "WORLD_SIZE"
        ) from error
    signal.signal(signal.SIGTERM, _told_to_stop)
    return there, distributed.get_rank(), distributed.get_world_size()


def alone() -> None:
    """Raise InputError if torchrun started several of this process."""
    if os.environ.get("RANK") and os.environ.get("WORLD_SIZE", "1") != "1":
        raise InputError(
            "torchrun is for train: start other commands once; compare --jobs N spreads its trials"
        )


def _told_to_stop(*_: object) -> NoReturn:
    # torchrun sends this to the remaining ranks when one has died, possibly twice.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise RankLostError("told to stop: the same command resumes from the last checkpoint")


def leave_ranks() -> None:
    """Leave the process group, together with all other ranks."""
    if distributed.is_initialized():
        distributed.barrier()  # without it some processes abort at exit
        distributed.destroy_process_group()


def free_memory(device: torch.device) -> int:
    """Bytes of free memory on ``device``."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(x.split()[1]) for x in lines if x.startswith("MemAvailable:")) * 1024
    except (OSError, StopIteration):  # not Linux
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


@dataclass
class Context:
    """One process working on one folder."""

    folder: Path
    """Output folder."""
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    """Device of the networks."""
    precision: str = "fp32"
    """``fp32`` or ``bf16`` (autocast; weights and losses stay float32)."""
    console: Console = field(default_factory=lambda: Console(stderr=True))
    """Console for progress; results go to standard output."""
    checkpoint_seconds: float = 30.0
    """Interval between checkpoints; no result depends on it."""
    rank: int = 0
    """Rank of this process in distributed training; rank 0 writes."""
    ranks: int = 1
    """World size."""

    @property
    def part(self) -> slice:
        """This rank's share of a batch."""
        return slice(self.rank, None, self.ranks)

    def divisible(self, batch: int) -> int:
        """The batch size; raises InputError unless it splits evenly over the ranks, with at least
        two pictures each.
        """
        if self.ranks > 1 and (batch % self.ranks or batch < 2 * self.ranks):
            raise InputError(
                f"{self.ranks} processes cannot share batches of {batch}: make --batch-size a "
                "multiple of their number, with at least two pictures each"
            )
        return batch

    def average(self, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        """The mean of each tensor over the ranks; RankLostError if another rank is gone."""
        if self.ranks == 1 or not tensors:
            return tensors
        joined = torch.cat([t.reshape(-1) for t in tensors])
        with lost_ranks():
            distributed.all_reduce(joined)
        parts = torch.split(joined / self.ranks, [t.numel() for t in tensors])
        return [part.view_as(t) for part, t in zip(parts, tensors, strict=True)]

    def share(self, make: Callable[[], T]) -> T:
        """The result of ``make``, run on rank 0 only; RankLostError if another rank is gone."""
        if self.ranks == 1:
            return make()
        box: list[Any] = [make() if self.rank == 0 else None]
        with lost_ranks():
            distributed.broadcast_object_list(box, 0)
        made: T = box[0]
        return made

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
        if self.ranks > 1 and self.device.type == "cuda":
            network = torch.nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        return network

    def progress(
        self, title: str, total: int, done: int = 0, whole: bool = False
    ) -> AbstractContextManager[TerminalBar | NotebookBar]:
        """A progress bar with the time left; see `progress.progress`."""
        return progress(self.console, title, total, done, whole)

    def say(self, text: str) -> None:
        """Print a line of progress."""
        self.console.print(text, highlight=False, soft_wrap=True)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock ``folder`` against a second process; a kill releases the lock.

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
            held = lock(file, wait=False)
        except BlockingIOError:
            raise InputError(
                f"{folder} is in use by another process: wait for it, or name another folder"
            ) from None
        for path in (*folder.glob(".*.part"), *folder.glob("audit/.*.part")):
            if held and path.is_file():  # left half-written by a process that was killed
                path.unlink(missing_ok=True)
        yield
