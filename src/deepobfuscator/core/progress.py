"""Progress with the time left, in a terminal and in a notebook."""

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from time import monotonic

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from deepobfuscator.core.errors import InputError

WHOLE = 365.0 * 24 * 3600
"""Window in seconds for the speed of long steps: the whole run."""


@dataclass
class TerminalBar:
    """A progress bar in a terminal."""

    bars: Progress
    task: TaskID

    def advance(self, note: str = "") -> None:
        """Advance by one step."""
        self.bars.update(self.task, advance=1, note=note)

    def at(self, done: int, total: int) -> None:
        """``done`` of ``total`` steps."""
        self.bars.update(self.task, completed=done, total=total)


def notebook() -> bool:
    """Whether this process is a notebook kernel, whose cells cannot move the cursor."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return type(shell).__name__ == "ZMQInteractiveShell"


class NotebookBar:
    """A line under a notebook cell: title, steps done, time left."""

    def __init__(self, title: str, total: int, done: int) -> None:
        from IPython.display import display

        self.title, self.total, self.done, self.first = title, total, done, done
        self.began = self.shown = monotonic()
        self.handle = display({"text/plain": self.text()}, raw=True, display_id=True)

    def text(self, note: str = "") -> str:
        """The current text."""
        steps, left = self.done - self.first, ""
        if steps and self.done < self.total:
            seconds = (monotonic() - self.began) / steps * (self.total - self.done)
            left = f", {seconds:.0f} s left"
        return f"{self.title}  {self.done}/{self.total}{left}  {note}".rstrip()

    def advance(self, note: str = "") -> None:
        """Advance by one step."""
        self.at(self.done + 1, self.total, note)

    def at(self, done: int, total: int, note: str = "") -> None:
        """``done`` of ``total`` steps."""
        self.done, self.total = done, total
        if done >= total or monotonic() - self.shown > 0.5:
            self.shown = monotonic()
            self.handle.update({"text/plain": self.text(note)}, raw=True)


@contextlib.contextmanager
def progress(
    console: Console, title: str, total: int, done: int = 0, whole: bool = False
) -> Iterator[TerminalBar | NotebookBar]:
    """A progress bar with the time left; in a notebook, a line that is rewritten.

    An InputError removes the bar. ``whole``: this bar counts long steps that have bars of their
    own, and estimates the time left from all steps so far.
    """
    if notebook() and not console.quiet:
        yield NotebookBar(title, total, done)
        return
    with Progress(
        TextColumn("{task.description:<34}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
        speed_estimate_period=WHOLE if whole else 30,
    ) as bars:
        task = bars.add_task(title, total=total, completed=done, note="")
        try:
            yield TerminalBar(bars, task)
        except InputError:
            bars.remove_task(task)
            raise
