"""Families of plug-ins found by name: a new defence, attack or source is one new file."""

import difflib
import importlib
import pkgutil
import sys
from abc import ABC
from typing import ClassVar, Self

from deepobfuscator.core.errors import InputError


class Family(ABC):  # noqa: B024  (its roots have the abstract methods)
    """Base of a family root such as ``Defence``; subclasses that set ``name`` are found by it.

    The root itself leaves ``name`` empty. Sibling modules of the package that holds the root are
    imported once, on the first look-up, so that dropping a file there is all it takes.
    """

    name: ClassVar[str] = ""

    @classmethod
    def members(cls) -> dict[str, type[Self]]:
        """Every member of this family by name, in alphabetical order."""
        package = sys.modules[cls.__module__].__package__ or ""
        for module in pkgutil.iter_modules(sys.modules[package].__path__):
            importlib.import_module(f"{package}.{module.name}")
        found: dict[str, type[Self]] = {}
        todo = [cls]
        while todo:
            member = todo.pop()
            todo += member.__subclasses__()
            if name := vars(member).get("name"):
                found[name] = member
        return dict(sorted(found.items()))

    @classmethod
    def find(cls, name: str) -> type[Self]:
        """The member called ``name``.

        Raises:
            InputError: no such member; the message lists the nearest names.
        """
        members = cls.members()
        if name not in members:
            raise InputError(
                f"unknown {cls.__name__.lower()} {name!r}: {suggest(name, list(members))}"
            )
        return members[name]


def suggest(word: str, known: list[str]) -> str:
    """A half-sentence that names what is near ``word``, nearest first, or else everything."""
    near = difflib.get_close_matches(word.lower(), [k.lower() for k in known], n=3, cutoff=0.5)
    close = [k for n in dict.fromkeys(near) for k in known if k.lower() == n]
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"known are {', '.join(known)}"
