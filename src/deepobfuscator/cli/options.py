"""Words of the command line: options made from the fields of dataclasses, and back to objects."""

import argparse
import dataclasses
import math
import shlex
import typing
from collections import abc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from deepobfuscator.attacks.base import QUICK, SUITES
from deepobfuscator.core.config import field_docs, imported
from deepobfuscator.core.errors import InputError
from deepobfuscator.core.registry import suggest
from deepobfuscator.data.classes import MOST_CLASSES
from deepobfuscator.data.dataset import Data
from deepobfuscator.data.splits import split
from deepobfuscator.data.table import Source, Task, parse_source
from deepobfuscator.defences.base import Defence
from deepobfuscator.experiments.presets import PRESETS, preset
from deepobfuscator.experiments.trial import Trial
from deepobfuscator.training.objectives import TrainConfig

TRIAL_OPTIONS = ("limit", "split_seed", "protocol", "precision", "skip_bad")
"""Fields of `Trial` that are options of their own."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line and name what is near."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.allow_abbrev = False
        self.register("type", int, _whole)
        self.register("type", float, _number)

    @property
    def options(self) -> list[str]:
        """Its long options."""
        return [word for word in self._option_string_actions if word.startswith("--")]

    def error(self, message: str) -> NoReturn:
        """Complain as everything else does."""
        raise InputError(f"{message} (see {self.prog} --help)")


def add_command(
    commands: Any,
    name: str,
    description: str,
    run: Callable[[argparse.Namespace, str], int | None],
    device: bool = True,
) -> Parser:
    """A command with its line of help, and what runs it."""
    parser: Parser = commands.add_parser(name, help=description, description=description)
    parser.set_defaults(run=run)
    if device:
        parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    return parser


def trial_options(parser: Parser) -> None:
    """Everything that makes a trial but its defence."""
    kinds = ", ".join(k if k == "synthetic" else f"{k}:PATH" for k in Source.members())
    presets = "; ".join(f"{name}: {p.purpose}" for name, p in PRESETS.items())
    what = parser.add_argument_group("pictures and task")
    what.add_argument("--data", type=parse_source, help=f"one of {kinds} (default: synthetic)")
    for side in ("public", "private"):
        default = getattr(Trial().task, side)
        what.add_argument(
            f"--{side}",
            nargs="+",
            metavar="NAME",
            help=f"{side} attributes, separated by blanks or commas: columns of 0 and 1, or of up "
            f"to {MOST_CLASSES} classes; AGE:4 cuts numbers into 4 bins (default: {default[0]})",
        )
    fields_of(what, Trial, ("limit", "split_seed", "protocol", "skip_bad"))
    how = parser.add_argument_group("size, length, precision (defaults are those of small)")
    how.add_argument("--preset", help=presets.replace("%", "%%"))
    fields_of(how, TrainConfig)
    fields_of(how, Trial, ("precision",))


def suite_options(parser: Parser) -> None:
    """Which attackers, and what they may have."""
    parser.add_argument(
        "--suite",
        default=QUICK,
        help=f"how many attackers: {', '.join(SUITES)}, each with all of the one before "
        f"(default: {QUICK})",
    )
    parser.add_argument(
        "--other-data",
        type=parse_source,
        metavar="DATA",
        help="pictures for an attacker who has none like the defender's, from the standard suite "
        "on (default: drawn faces, where the data itself is not drawn)",
    )


def fields_of(parser: Any, kind: type, only: Sequence[str] | None = None) -> None:
    """An option for each field of a dataclass, explained by the field's docstring line."""
    docs, hints = field_docs(kind), typing.get_type_hints(kind)
    for f in dataclasses.fields(kind):
        if only is not None and f.name not in only:
            continue
        option, text = f"--{f.name.replace('_', '-')}", docs.get(f.name, "").replace("%", "%%")
        if hints[f.name] is bool:
            parser.add_argument(option, action="store_true", default=None, help=text)
            continue
        default = "x".join(map(str, f.default)) if isinstance(f.default, tuple) else f.default
        hint = hints[f.name]
        kinds = (hint, *typing.get_args(hint))
        named = next((k for k in (int, float, str, tuple) if k in kinds), None)
        if named is None and not any(typing.get_origin(k) is abc.Callable for k in kinds):
            continue  # a kind of value that no word can name
        parser.add_argument(
            option,
            type=_size if f.name == "size" else named or imported,
            metavar="HxW" if f.name == "size" else f.name.split("_")[-1].upper(),
            help=text + ("" if default is None else f" (default: {default})"),
        )


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"{text!r} is not a finite number")
    return number


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None


def _size(text: str) -> tuple[int, int]:
    height, _, width = text.partition("x")
    if not (height.isdigit() and width.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not HEIGHTxWIDTH, as in 216x176")
    return int(height), int(width)


def peek(arguments: Sequence[str], option: str) -> str | None:
    """The value of an option on which other options depend, before parsing."""
    for i, argument in enumerate(arguments):
        if argument.startswith(f"{option}="):
            return argument.partition("=")[2]
        if argument == option and i + 1 < len(arguments):
            return arguments[i + 1]
    return None


def given_fields(options: argparse.Namespace, kind: type) -> dict[str, Any]:
    """The fields of ``kind`` that were given on the command line."""
    values = {f.name: getattr(options, f.name, None) for f in dataclasses.fields(kind)}
    return {name: value for name, value in values.items() if value is not None}


def listed_names(given: Sequence[str] | None, default: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Names separated by blanks or commas."""
    if given is None:
        return default
    return tuple(name for word in given for name in word.split(",") if name)


def described(options: argparse.Namespace, many: bool = False) -> dict[str, Any]:
    """``data``, ``config`` and ``precision`` of a trial, as the front door takes them; by default
    those of the preset, for one trial or for ``many`` in one report.
    """
    base, chosen = Trial(), preset(options.preset or "small", many)
    cut = {"limit": chosen.limit, "protocol": chosen.protocol} | given_fields(options, Data)
    task = Task(
        listed_names(options.public, base.task.public),
        listed_names(options.private, base.task.private),
    )
    data = Data(options.data or base.source, task, **cut)
    return {
        "data": data if options.limit is not None else fit_limit(data),
        "config": dataclasses.replace(chosen.config, **given_fields(options, TrainConfig)),
        "precision": options.precision or base.precision,
    }


def fit_limit(data: Data) -> Data:
    """``data`` without a preset's limit that is larger than the data's training pool."""
    if data.limit is not None:
        table = data.source.read()
        try:
            split(table, data.limit, data.split_seed, data.protocol)
        except InputError:  # another reason than the limit is found again, without one
            return dataclasses.replace(data, limit=None)
    return data


def trial_given(options: argparse.Namespace, *kinds: type, but: str = "") -> str | None:
    """The first option that describes a trial, ``but`` one, where one was given."""
    words = ("data", "public", "private", "preset", "defence", "defender_data", *TRIAL_OPTIONS)
    given = [n for n in words if n != but and getattr(options, n, None) is not None]
    given += [n for kind in (TrainConfig, *kinds) for n in given_fields(options, kind)]
    return f"--{given[0].replace('_', '-')}" if given else None


def defence_of(text: str) -> Defence:
    """``NAME`` or ``NAME:FIELD=VALUE,FIELD=VALUE``.

    Raises:
        InputError: no such defence or field, or a value of another type.
    """
    name, _, rest = text.partition(":")
    kind = Defence.find(name)
    if not kind.trains:
        raise InputError(f"{name} is not trained: take one of {', '.join(trainable())}")
    parser = Parser(prog=f"{name}:", add_help=False)
    fields_of(parser, kind)
    words = []
    for pair in filter(None, rest.split(",")):
        option, equals, value = pair.partition("=")
        if not (option and equals):
            raise InputError(f"{text}: write NAME:FIELD=VALUE, as in narrow-code:bits=4")
        known = [f.name for f in dataclasses.fields(kind) if f.init]  # type: ignore[arg-type]
        if option not in known:
            raise InputError(f"{text}: {name} has no field {option!r}: {suggest(option, known)}")
        words.append(f"--{option.replace('_', '-')}={value}")
    try:
        return kind(**given_fields(parser.parse_args(words), kind))
    except InputError as error:
        raise InputError(f"{text}: {error}") from None


def listed_defences(given: Sequence[str]) -> list[Defence]:
    """Defences separated by blanks or commas; a comma before ``FIELD=VALUE`` goes on with one."""
    texts: list[str] = []
    for name in listed_names(given):
        if "=" in name and ":" not in name and texts:
            texts[-1] += f",{name}"
        else:
            texts.append(name)
    return [defence_of(text) for text in texts]


def trainable() -> list[str]:
    """Names of the defences that can be trained."""
    return [name for name, kind in Defence.members().items() if kind.trains]


def check_run(folder: Path) -> None:
    """InputError where ``folder`` is no run but holds some, with their names."""
    inside = [path.parent for path in sorted(folder.glob("*/trial.json"))]
    if inside and not (folder / "trial.json").exists():
        runs = ", ".join(shlex.quote(str(path)) for path in inside)
        raise InputError(f"{folder} holds {len(inside)} runs; audit one of them: {runs}")
