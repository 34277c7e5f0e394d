"""Every table and figure of the paper: which trials it needs, and what makes it of them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from deepobfuscator.defences.naive_sequence import ATTRIBUTES, FACES
from deepobfuscator.paper import exhibits_figures as figures
from deepobfuscator.paper import exhibits_tables as tables
from deepobfuscator.paper.exhibits import Show
from deepobfuscator.paper.render.exhibit import Exhibit
from deepobfuscator.paper.trials import SETS, Book, Need

Ask = Callable[[Book], list[Need]]

DECODERS = ("urec1", "urec2", "resrec")
STUDY = ("reidentify",)


@dataclass(frozen=True)
class Entry:
    """One exhibit."""

    name: str
    """As on the command line."""
    make: Callable[[Show], Exhibit]
    """Sets it from finished runs."""
    needs: tuple[Ask, ...] = ()
    """Each gives trials, or raises InputError where the data or the noise lacks something."""
    noise: bool = False
    """Whether it needs the noise baseline, or its calibration."""


def undefended(book: Book) -> list[Need]:
    """The baseline without adversarial training, first set."""
    return book.undefended("a")


def game(book: Book) -> list[Need]:
    """DeepObfuscator, first set."""
    return book.game("a")


def noise(book: Book) -> list[Need]:
    """The baseline with noise, first set."""
    return book.noise("a")


def against_attributes(book: Book) -> list[Need]:
    """The game against AC alone."""
    return book.game("a", lambda2=0.0)


def against_faces(book: Book) -> list[Need]:
    """The game against AR alone."""
    return book.game("a", lambda1=0.0)


def read_from_faces(book: Book) -> list[Need]:
    """The same, its rebuilt pictures read."""
    return book.game("a", "from-images", lambda1=0.0)


THREE = (undefended, game, noise)

ENTRIES = {
    entry.name: entry
    for entry in (
        Entry("table1", tables.table1),
        Entry("table2", tables.table2),
        Entry("table3", tables.table3, (undefended, lambda b: b.game("a", *DECODERS))),
        Entry("table4", tables.table4, THREE, noise=True),
        Entry("noise", tables.noise, noise=True),
        Entry("figure2", figures.figure2, (undefended, game, against_attributes, read_from_faces)),
        Entry(
            "sequence",
            tables.sequence,
            (
                *(undefended, against_attributes, against_faces),
                lambda b: b.sequence("a", ATTRIBUTES),
                lambda b: b.sequence("a", FACES),
            ),
        ),
        Entry("figure4", figures.figure4, THREE, noise=True),
        Entry(
            "figure5",
            figures.figure5,
            (
                lambda b: b.undefended("a", *STUDY),
                lambda b: b.game("a", *STUDY),
                lambda b: b.noise("a", *STUDY),
            ),
            noise=True,
        ),
        Entry("figure6", figures.figure6, tuple(partial(Book.game, letter=x) for x in SETS)),
        Entry(
            "figure7",
            figures.figure7,
            tuple(
                partial(ask, letter=x)
                for x in SETS
                for ask in (Book.undefended, Book.game, Book.noise)
            ),
            noise=True,
        ),
        Entry(
            "architectures",
            tables.architectures,
            (
                *(undefended, game),
                lambda b: b.game("a", service_network="resnet"),
                lambda b: b.game("a", adversary_network="resnet"),
            ),
        ),
    )
}
"""By name, in the report's order."""
