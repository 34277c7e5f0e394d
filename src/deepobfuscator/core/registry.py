"""Plug-in families, looked up by name: a new defence, attack or source is one new file."""

import difflib
import importlib
import pkgutil
import sys
from abc import ABC
from functools import cache
from importlib.metadata import entry_points
from typing import ClassVar, Self

from deepobfuscator.core.errors import InputError

PLUGINS = "deepobfuscator.plugins"
"""Entry-point group of packages that provide defences, attacks or sources."""


class Family(ABC):  # noqa: B024  (its roots have the abstract methods)
    """Base of a family root such as ``Defence``; subclasses that set ``name`` are found by it.

    The root itself leaves ``name`` empty. Members are the classes in sibling modules of the root's
    package, those that a package installed under the entry-point group `PLUGINS`, and those that
    this process has defined, as in a notebook.
    """

    name: ClassVar[str] = ""

    @classmethod
    def members(cls) -> dict[str, type[Self]]:
        """Every member of this family by name, in alphabetical order.

        Of a class that was defined twice, as by rerunning a notebook cell, the last one is used.

        Raises:
            InputError: two different classes have one name, or a plug-in cannot be imported.
        """
        package = sys.modules[cls.__module__].__package__ or ""
        for module in pkgutil.iter_modules(sys.modules[package].__path__):
            importlib.import_module(f"{package}.{module.name}")
        load_plugins()
        found: dict[str, type[Self]] = {}
        todo = [cls]
        while todo:
            member = todo.pop(0)
            todo += member.__subclasses__()
            if not (name := vars(member).get("name")):
                continue
            other = found.setdefault(name, member)
            if place(other) != place(member):
                raise InputError(
                    f"two {cls.__name__.lower()}s are called {name!r}, {place(other)} and "
                    f"{place(member)}: rename one"
                )
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


def place(member: type) -> str:
    """Where a class was defined."""
    return f"{member.__module__}:{member.__qualname__}"


@cache
def load_plugins() -> None:
    """Import the plug-ins of installed packages, once; InputError if one cannot be imported."""
    for plugin in entry_points(group=PLUGINS):
        try:
            plugin.load()
        except Exception as error:
            raise InputError(
                f"the plug-in {plugin.name} ({plugin.value}) cannot be imported "
                f"({type(error).__name__}: {error}): fix it, or uninstall its package"
            ) from None


def suggest(word: str, known: list[str]) -> str:
    """A phrase with the entries similar to ``word``, most similar first, or else all entries."""
    near = difflib.get_close_matches(word.lower(), [k.lower() for k in known], n=3, cutoff=0.5)
    close = [k for n in dict.fromkeys(near) for k in known if k.lower() == n]
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"known are {', '.join(known)}"
