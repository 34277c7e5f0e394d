"""Every table and figure of the paper, and what makes it."""

from collections.abc import Callable, Sequence

from deepobfuscator import InputError, RunSpec, suggest
from deepobfuscator.paper import exhibits_figures as figures
from deepobfuscator.paper import exhibits_tables as tables
from deepobfuscator.paper.exhibits import Show
from deepobfuscator.paper.keys import Name
from deepobfuscator.paper.render.exhibit import Exhibit
from deepobfuscator.paper.trials import Trials

ENTRIES: dict[Name, Callable[[Show], Exhibit]] = {
    Name.TABLE_1: tables.table1,
    Name.TABLE_2: tables.table2,
    Name.TABLE_3: tables.table3,
    Name.TABLE_4: tables.table4,
    Name.NOISE: tables.noise,
    Name.FIGURE_2: figures.figure2,
    Name.SEQUENCE: tables.sequence,
    Name.FIGURE_4: figures.figure4,
    Name.FIGURE_5: figures.figure5,
    Name.FIGURE_6: figures.figure6,
    Name.FIGURE_7: figures.figure7,
    Name.ARCHITECTURES: tables.architectures,
}
"""In the report's order. The runs that one needs are those that it asks its `Show` for."""

TEXT = (Name.TABLE_1, Name.TABLE_2)
"""Exhibits that need no run."""

NOISY = (Name.TABLE_4, Name.NOISE, Name.FIGURE_4, Name.FIGURE_5, Name.FIGURE_7)
"""Exhibits that need the noise baseline, or its calibration."""


def chosen(names: Sequence[str]) -> tuple[Name, ...]:
    """Some exhibits, in the report's order; all where none is named.

    Raises:
        InputError: no such exhibit; the message lists them.
    """
    known = [str(name) for name in ENTRIES]
    for name in names:
        if name not in known:
            close = suggest(name, known)
            every = "" if close.startswith("known") else f" (known are {', '.join(known)})"
            raise InputError(f"unknown exhibit {name!r}: {close}{every}")
    return tuple(name for name in ENTRIES if not names or name in names)


def asked(trials: Trials, name: Name) -> list[RunSpec]:
    """The runs that an exhibit needs, as far as the data allows: it is made without any."""
    show = Show(
        trials=trials,
        read=lambda spec: None,
        calibration=None,
        faces=False,
        machine=lambda specs, key, mode: ([], []),
    )
    ENTRIES[name](show)
    return show.wanted
