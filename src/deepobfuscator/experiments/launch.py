"""Parallel trials: one process each, started locally or by SLURM, both through submitit.

A job writes its run folder exactly as a single process would, so after any interruption the same
command resumes. submitit is imported only if jobs are requested.
"""

import contextlib
import os
import signal
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Thread
from time import sleep
from typing import TYPE_CHECKING, Any

import torch
from rich.markup import escape

from deepobfuscator.auditing.run import finished
from deepobfuscator.core.errors import InputError
from deepobfuscator.core.files import lock
from deepobfuscator.core.runtime import Context, prepare, resolve_device
from deepobfuscator.experiments.runner import Runner, RunSpec

if TYPE_CHECKING:
    import submitit

KINDS = ("local", "slurm")
MINUTES = {"local": 365 * 24 * 60, "slurm": 24 * 60}
"""A job's time limit; a SLURM job that reaches it is requeued and resumes."""
REQUEUES = 100
"""Maximum number of times a SLURM job is requeued at its limit."""
LISTS = ("setup", "teardown", "srun_args")
"""Options that submitit takes as lists."""
GPUS = "CUDA_VISIBLE_DEVICES"
POLL_SECONDS = 0.3


@dataclass(frozen=True)
class Job:
    """One trial, trained and audited as in a run without jobs."""

    work: RunSpec
    """The work and its folder."""
    device: str
    """As `resolve_device` takes it."""
    command: str
    """The command line, for the card."""
    logs: Path
    """Its log folder."""
    parent: int | None = None
    """Process whose end also ends the job; None keeps it running."""
    threads: int | None = None
    """Number of threads; None keeps the process's default."""
    gpus: str | None = None
    """The visible GPUs; None keeps the process's default."""

    def __call__(self) -> str | None:
        """Run the trial; returns None, or a one-line error."""
        if self.parent is not None:
            Thread(target=end_with, args=(self.parent,), daemon=True).start()
        if self.gpus is not None:
            os.environ[GPUS] = self.gpus
        if self.threads is not None:
            torch.set_num_threads(self.threads)
        prepare()
        try:
            with open(self.logs / ".lock", "w") as file:
                # A killed command may have left this very job on SLURM: wait for it to end.
                lock(file, wait=True)
                Runner(resolve_device(self.device), self.command).do(self.work)
        except InputError as error:
            return str(error)
        except Exception as error:
            traceback.print_exc()
            return traceback.format_exception_only(error)[-1].strip()
        return None

    def done(self) -> bool:
        """Whether the work is done; a folder that cannot be read is left to the job."""
        try:
            return finished(self.work.folder, self.work.config, self.work.trial.source) is not None
        except InputError:
            return False

    def checkpoint(self) -> "submitit.helpers.DelayedSubmission":
        """What submitit requeues when SLURM preempts the job or its time is up."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


@dataclass(frozen=True)
class Cluster:
    """Where jobs run, and how many in parallel."""

    jobs: int
    """Number of parallel jobs."""
    kind: str = "local"
    """``local`` or ``slurm``."""
    options: tuple[str, ...] = ()
    """KEY=VALUE for SLURM, by submitit's names."""

    def __post_init__(self) -> None:
        if self.jobs < 1:
            raise InputError("--jobs must be at least 1")
        if self.options and self.kind != "slurm":
            raise InputError("--slurm needs --cluster slurm")

    def run(self, shop: Runner, works: Sequence[RunSpec], out: Path) -> None:
        """Train and audit all trials; ceilings before the trials that need them.

        Args:
            shop: its device and command become the jobs'.
            works: the trials and their folders.
            out: gets the folder ``jobs`` with a log folder per trial.

        Raises:
            InputError: submitit or SLURM is missing or rejects an option, or a job failed; all
                other jobs have finished by then.
        """
        logs = out / "jobs"
        self.executor(logs)  # rejects wrong options early
        device, command = str(shop.device), shop.command
        jobs = [Job(work, device, command, logs / work.folder.name) for work in works]
        left = [job for job in jobs if not job.done()]
        run, failed = Context(out), set[Path]()
        with run.progress("jobs", len(jobs), len(jobs) - len(left)) as bar:
            first = [job for job in left if job.work.ceiling is None]
            for batch in (first, [job for job in left if job.work.ceiling is not None]):
                able = [job for job in batch if job.work.ceiling not in failed]
                for job, wrong in self.ends(able):
                    bar.advance()
                    if wrong is not None:
                        failed.add(job.work.folder)
                        run.say(escape(f"{job.work.folder.name} failed: {wrong}"))
        if failed:
            raise InputError(
                f"{len(failed)} of {len(jobs)} jobs failed, as the lines above say: fix that, and "
                "the same command resumes"
            )

    def ends(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, str | None]]:
        """Run ``jobs``; yields each as it ends, with a one-line error or None."""
        waiting, free = list(jobs), list(range(self.jobs))
        running: dict[int, tuple[Job, submitit.Job[str | None]]] = {}
        try:
            while waiting or running:
                while waiting and free:
                    place, job = free.pop(0), waiting.pop(0)
                    try:
                        running[place] = job, self.submit(self.placed(job, place))
                    except RuntimeError as error:
                        free.append(place)
                        yield job, f"{self.kind} refused it: {str(error).strip().splitlines()[-1]}"
                sleep(POLL_SECONDS)
                for place in [p for p, (_, sent) in running.items() if sent.done()]:
                    job, sent = running.pop(place)
                    free.append(place)
                    yield job, outcome(sent)
        finally:
            for _, sent in running.values():
                sent.cancel(check=False)

    def submit(self, job: Job) -> "submitit.Job[str | None]":
        """Start ``job``; it ignores the terminal's Ctrl-C and ends silently with this process."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return self.executor(job.logs).submit(job)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def placed(self, job: Job, place: int) -> Job:
        """``job`` with its share of this machine; SLURM assigns its own resources."""
        if self.kind != "local":
            return job
        threads, named = max(1, torch.get_num_threads() // self.jobs), os.environ.get(GPUS)
        here = named.split(",") if named else [str(i) for i in range(torch.cuda.device_count())]
        gpus = here[place % len(here)] if job.device == "cuda" else ",".join(here)
        return replace(job, parent=os.getpid(), threads=threads, gpus=gpus)

    def executor(self, logs: Path) -> "submitit.AutoExecutor":
        """An executor whose logs go to ``logs``.

        Raises:
            InputError: submitit or SLURM is missing or rejects an option, or no log can be written.
        """
        try:
            import submitit
        except ImportError:
            raise InputError(
                "--jobs needs submitit: pip install -e '.[cluster]', or go without --jobs"
            ) from None
        try:
            executor = submitit.AutoExecutor(
                logs, cluster=self.kind, slurm_max_num_timeout=REQUEUES
            )
        except RuntimeError:
            raise InputError(
                "--cluster slurm: no srun here; call it where SLURM is, or take --cluster local"
            ) from None
        except OSError as error:
            raise InputError(f"cannot use the folder {logs}: {error.strerror}") from None
        options: dict[str, Any] = {f"slurm_{k}": v for k, v in map(option, self.options)}
        try:
            executor.update_parameters(name=logs.name, timeout_min=MINUTES[self.kind], **options)
        except (NameError, TypeError, ValueError) as error:
            raise InputError(f"--slurm: {str(error).splitlines()[0]}") from None
        return executor


def end_with(parent: int) -> None:
    """Kill this process once ``parent`` is gone; its run folder can be resumed from any state."""
    with contextlib.suppress(ProcessLookupError):
        while True:
            os.kill(parent, 0)
            sleep(POLL_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)


def option(text: str) -> tuple[str, Any]:
    """KEY=VALUE as submitit takes it.

    Raises:
        InputError: it is not of that form, or a time that is not a number of minutes.
    """
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise InputError(f"--slurm {text}: write KEY=VALUE, as in partition=gpu")
    if name in LISTS:
        return name, [value]
    if value.isdecimal():
        return name, int(value)
    if name in ("time", "timeout_min"):
        raise InputError(f"--slurm {text}: give the time in minutes")
    return name, {"true": True, "false": False}.get(value.lower(), value)


def outcome(sent: "submitit.Job[str | None]") -> str | None:
    """The error of a finished job and its log file; None if it succeeded."""
    killed = sent.exception()
    wrong = f"it ended without a result ({sent.state})" if killed else sent.result()
    # The logs are kept; a job's pickles are read once.
    for path in (sent.paths.submitted_pickle, sent.paths.result_pickle):
        path.unlink(missing_ok=True)
    return wrong and f"{wrong} (log: {sent.paths.stderr})"
