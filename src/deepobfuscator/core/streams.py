"""Standard output and error that survive broken pipes, full disks and closed terminals."""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast


class Lasting:
    """A stream that writes ``?`` for characters outside its encoding, and drops output that cannot
    be written: a closed pipe, a full disk, a closed terminal.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """Write, ignoring output errors."""
        encoding = self.stream.encoding or "utf-8"
        with self._to_the_end():
            self.stream.write(text.encode(encoding, "replace").decode(encoding))
        return len(text)

    def flush(self) -> None:
        """Flush, ignoring output errors."""
        with self._to_the_end():
            self.stream.flush()

    @contextlib.contextmanager
    def _to_the_end(self) -> Iterator[None]:
        try:
            yield
        except OSError:
            with contextlib.suppress(OSError):  # buffered output must not fail at exit
                sink = os.open(os.devnull, os.O_WRONLY)
                os.dup2(sink, self.stream.fileno())
                os.close(sink)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextlib.contextmanager
def lasting() -> Iterator[None]:
    """Let a command finish and keep its exit code even if its output cannot be written."""
    held = sys.stdout, sys.stderr
    out, err = (cast(TextIO, Lasting(stream)) if stream else stream for stream in held)
    sys.stdout, sys.stderr = out, err
    try:
        yield
    finally:
        sys.stdout, sys.stderr = held
        for stream in (out, err):
            if stream:
                stream.flush()
