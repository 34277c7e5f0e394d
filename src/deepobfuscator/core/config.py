"""Frozen dataclasses to tagged JSON and back; ``key`` names a run by the hash of its trial."""

import ast
import contextlib
import dataclasses
import hashlib
import importlib
import inspect
import json
import os
import sys
import textwrap
import types
import typing
from collections import abc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar, cast

from deepobfuscator.core.errors import InputError
from deepobfuscator.core.registry import Family, suggest

T = TypeVar("T")

MACHINE = {"machine": True}
"""Field metadata of machine-specific fields (paths): in the JSON, not in the key."""

LATER = {"later": True}
"""Field metadata of fields that earlier versions lacked: at its default such a field is left out of
the JSON, so that existing keys stay valid."""


def to_json(value: Any, machine: bool = True) -> Any:
    """``value`` as plain JSON data.

    Members of a family carry their ``name`` as a tag; functions and classes become their import
    path and the hash of their source.

    Raises:
        InputError: a function or class that cannot be imported by its name.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        tag = {"name": value.name} if isinstance(value, Family) else {}
        return tag | {
            f.name: to_json(getattr(value, f.name), machine)
            for f in dataclasses.fields(value)
            if (machine or not f.metadata.get("machine"))
            and not (f.metadata.get("later") and getattr(value, f.name) == f.default)
        }
    if isinstance(value, list | tuple):
        return [to_json(v, machine) for v in value]
    if callable(value):
        return {"import": import_path(value), "sha256": source_hash(value)}
    return str(value) if isinstance(value, Path) else value


def import_path(value: Callable[..., Any]) -> str:
    """MODULE:NAME of a function or class.

    Raises:
        InputError: it cannot be looked up by name (a lambda, a nested function).
    """
    module, name = getattr(value, "__module__", ""), getattr(value, "__qualname__", "")
    if not name or getattr(sys.modules.get(module), name, None) is not value:
        raise InputError(
            f"{value!r} cannot be found by its name: define it with def or class at the top of a "
            "module or notebook cell, so that a later process can build it again"
        )
    return f"{module}:{name}"


def source_hash(value: Callable[..., Any]) -> str:
    """Twelve-digit hexadecimal hash of a function's or class's source, or else of its name."""
    try:
        text = inspect.getsource(value)
    except (OSError, TypeError):
        text = import_path(value)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def imported(path: str) -> Callable[..., Any]:
    """The object at MODULE:NAME, the current folder searched first; InputError if it is not an
    importable function or class.
    """
    module, _, name = path.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found = getattr(importlib.import_module(module), name)
    except Exception as error:
        raise InputError(
            f"{path} cannot be imported ({type(error).__name__}: {error}): define it, or start in "
            "the folder that holds its module"
        ) from None
    if not callable(found):
        raise InputError(f"{path} is of type {type(found).__name__}: name a function or a class")
    return cast(Callable[..., Any], found)


def from_json(kind: type[T], data: Any, where: str = "trial") -> T:
    """The inverse of `to_json`.

    Raises:
        InputError: an unknown or missing field or a value of another type, named with its place.
    """
    if not isinstance(data, dict):
        raise InputError(f"{where}: expected an object of {kind.__name__}, found {data!r}")
    if issubclass(kind, Family):
        if "name" not in data:
            raise InputError(f"{where}: field 'name' is missing")
        data = dict(data)
        with _at(where):
            kind = kind.find(str(data.pop("name")))
    hints = typing.get_type_hints(kind)
    fields = [f.name for f in dataclasses.fields(kind)]  # type: ignore[arg-type]
    for name in data:
        if name not in fields:
            raise InputError(f"{where}: unknown field {name!r}: {suggest(name, fields)}")
    for name, parameter in inspect.signature(kind).parameters.items():
        if name not in data and parameter.default is parameter.empty:
            raise InputError(f"{where}: field {name!r} is missing")
    values = {n: _value(hints[n], v, f"{where}.{n}") for n, v in data.items()}
    with _at(where):
        return kind(**values)


@contextlib.contextmanager
def _at(where: str) -> Iterator[None]:
    try:
        yield
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def _value(hint: Any, data: Any, where: str) -> Any:
    origin = typing.get_origin(hint)
    if origin is abc.Callable:
        if not isinstance(data, dict) or set(data) != {"import", "sha256"}:
            raise InputError(f"{where}: expected import and sha256 of a function, found {data!r}")
        with _at(where):
            found = imported(str(data["import"]))
            if source_hash(found) != data["sha256"]:
                raise InputError(
                    f"{data['import']} is not what it was when this trial was begun (its source "
                    "differs): bring it back, or name another --out folder"
                )
        return found
    if origin in (typing.Union, types.UnionType):
        options = typing.get_args(hint)
        if data is None and type(None) in options:
            return None
        return _value(next(o for o in options if o is not type(None)), data, where)
    if origin is tuple:
        if not isinstance(data, list):
            raise InputError(f"{where}: expected a list, found {data!r}")
        inner = typing.get_args(hint)
        hints = [inner[0]] * len(data) if inner[-1] is Ellipsis else list(inner)
        if len(hints) != len(data):
            raise InputError(f"{where}: expected {len(hints)} values, found {len(data)}")
        return tuple(_value(h, d, where) for h, d in zip(hints, data, strict=True))
    if dataclasses.is_dataclass(hint) or (isinstance(hint, type) and issubclass(hint, Family)):
        return from_json(typing.cast(type[Any], hint), data, where)
    if hint is float and isinstance(data, int) and not isinstance(data, bool):
        return float(data)
    if hint is Path and isinstance(data, str):
        return Path(data)
    if not isinstance(data, hint) or (isinstance(data, bool) and hint is not bool):
        raise InputError(f"{where}: expected {hint.__name__}, found {data!r}")
    return data


def key(value: Any) -> str:
    """Twelve-digit hexadecimal hash of ``value``, machine paths excluded."""
    # Round trip, since a float field may hold 6 here and 6.0 after it was read from a file.
    read = from_json(type(value), to_json(value))
    text = json.dumps(to_json(read, machine=False), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def field_docs(kind: type) -> dict[str, str]:
    """The docstring under each field of a dataclass and its bases, if the source is available."""
    docs: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if not dataclasses.is_dataclass(base):
            continue
        try:
            body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
        except (OSError, TypeError):
            continue
        assert isinstance(body, ast.ClassDef)
        for field, doc in zip(body.body, body.body[1:], strict=False):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(doc, ast.Expr)
                and isinstance(doc.value, ast.Constant)
            ):
                docs[field.target.id] = " ".join(str(doc.value.value).split())
    return docs
