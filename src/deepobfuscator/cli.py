"""The command line: train, audit, compare, report."""

import argparse
import dataclasses
import math
import shlex
import sys
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from rich.console import Console
from rich.table import Table as RichTable

import deepobfuscator
from deepobfuscator.config import field_docs
from deepobfuscator.data.table import Source, Task, parse_source
from deepobfuscator.defences._base import Defence
from deepobfuscator.defences.deepobfuscator import DeepObfuscator
from deepobfuscator.errors import InputError
from deepobfuscator.experiments.cluster import KINDS, Cluster
from deepobfuscator.experiments.presets import PRESETS, preset
from deepobfuscator.experiments.trial import Trial, Workshop, compare
from deepobfuscator.game import Setting
from deepobfuscator.report.page import write_page
from deepobfuscator.report.runs import find_runs
from deepobfuscator.report.tables import utility_and_leakage
from deepobfuscator.runtime import (
    RankLostError,
    alone,
    join_ranks,
    leave_ranks,
    prepare,
    resolve_device,
)

TRIAL_OPTIONS = ("limit", "split_seed", "protocol", "precision", "skip_bad")
"""Fields of `Trial` that are options of their own."""


EXAMPLES = """examples:
  deepobfuscator compare                                   built-in faces, every defence
  deepobfuscator train --data celeba:PATH --public Smiling --private Male --out runs/smile
  deepobfuscator audit runs/smile
  deepobfuscator report runs/ -o report.html

Every command goes on where it was stopped, and does nothing twice."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Complain as everything else does."""
        raise InputError(f"{message} (see {self.prog} --help)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit code.

    0 done, 1 another process of the training is gone, 2 bad input, 130 interrupted.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        prepare()
        options = _parser(arguments).parse_args(arguments)
        if options.run is not _train:
            alone()
        options.run(options, shlex.join(["deepobfuscator", *arguments]))
    except InputError as error:
        print(f"deepobfuscator: error: {error}", file=sys.stderr)
        return 2
    except RankLostError as error:
        print(f"deepobfuscator: stopped: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "deepobfuscator: interrupted; the same command goes on where this one stopped",
            file=sys.stderr,
        )
        return 130
    return 0


def _parser(arguments: Sequence[str]) -> Parser:
    parser = Parser(
        prog="deepobfuscator",
        description=deepobfuscator.__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=deepobfuscator.__version__)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    train = _command(commands, "train", "Train a defence and keep it as a bundle.", _train)
    _trial_options(train)
    train.add_argument("--trial", type=Path, help="repeat the trial in this trial.json")
    train.add_argument("--out", type=Path, help="run folder (default: runs/DEFENCE-KEY)")
    train.add_argument(
        "--defence",
        help=f"one of {', '.join(Defence.members())} (default: {DeepObfuscator.name}); "
        "with --help, shows its own options below",
    )
    chosen = _peek(arguments, "--defence") or DeepObfuscator.name
    _fields(train.add_argument_group(f"options of {chosen}"), Defence.find(chosen))

    audit = _command(
        commands,
        "audit",
        "Attack a trained run with fresh attackers; train its undefended ceiling if needed.",
        _audit,
    )
    audit.add_argument("run_folder", type=Path, metavar="RUN", help="a folder made by train")
    _report_options(audit)
    audit.add_argument("-o", "--output", type=Path, help="page (default: RUN/report.html)")

    contest = _command(
        commands, "compare", "Train and audit defences side by side, one report.", _compare
    )
    _trial_options(contest)
    contest.add_argument(
        "--defences",
        nargs="+",
        default=list(Defence.members()),
        metavar="NAME",
        help="which to compare (default: all)",
    )
    contest.add_argument("--seeds", type=int, help="seeds for each defence (default: its own)")
    contest.add_argument("--out", type=Path, help="folder (default: runs/compare-KEY)")
    side = contest.add_argument_group("trials side by side (pip install 'deepobfuscator[cluster]')")
    side.add_argument("--jobs", type=int, help="trials at a time, each with its share of the cores")
    side.add_argument("--cluster", choices=KINDS, help="where jobs run (default: local)")
    side.add_argument(
        "--slurm",
        nargs="+",
        metavar="KEY=VALUE",
        help="options of each SLURM job by submitit's names, as in partition=gpu gpus_per_node=1 "
        "time=600 (minutes; a job whose time is up is queued again; default: a day)",
    )
    _report_options(contest)

    report = _command(commands, "report", "One page from all runs in some folders.", _report)
    report.add_argument("folders", type=Path, nargs="+", metavar="FOLDER", help="run folders")
    report.add_argument("-o", "--output", type=Path, default=Path("report.html"), help="the page")
    report.add_argument("--no-faces", action="store_true", help="a page without any picture")
    return parser


def _command(commands: Any, name: str, description: str, run: Any) -> Parser:
    parser: Parser = commands.add_parser(
        name, help=description, description=description, allow_abbrev=False
    )
    parser.set_defaults(run=run)
    if name in ("train", "audit", "compare"):
        parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    return parser


def _trial_options(parser: Parser) -> None:
    kinds = ", ".join(k if k == "synthetic" else f"{k}:PATH" for k in Source.members())
    presets = "; ".join(f"{name}: {p.purpose}" for name, p in PRESETS.items())
    what = parser.add_argument_group("pictures and task")
    what.add_argument("--data", help=f"one of {kinds} (default: synthetic)")
    for side in ("public", "private"):
        default = getattr(Trial().task, side)
        what.add_argument(
            f"--{side}",
            nargs="+",
            metavar="NAME",
            help=f"{side} attributes, separated by blanks or commas (default: {default[0]})",
        )
    _fields(what, Trial, ("limit", "split_seed", "protocol", "skip_bad"))
    how = parser.add_argument_group("size, length, precision (defaults are those of small)")
    how.add_argument("--preset", help=presets.replace("%", "%%"))
    _fields(how, Setting)
    _fields(how, Trial, ("precision",))


def _report_options(parser: Parser) -> None:
    parser.add_argument("--no-faces", action="store_true", help="a page without any picture")


def _fields(parser: Any, kind: type, only: Sequence[str] | None = None) -> None:
    """An option for each field of a dataclass, explained by the field's docstring line."""
    docs, hints = field_docs(kind), typing.get_type_hints(kind)
    for f in dataclasses.fields(kind):
        if only is not None and f.name not in only:
            continue
        option, text = f"--{f.name.replace('_', '-')}", docs[f.name].replace("%", "%%")
        if hints[f.name] is bool:
            parser.add_argument(option, action="store_true", default=None, help=text)
            continue
        default = "x".join(map(str, f.default)) if isinstance(f.default, tuple) else f.default
        hint = hints[f.name]
        named = next(k for k in (int, float, str, tuple) if k in (hint, *typing.get_args(hint)))
        parser.add_argument(
            option,
            type=_size if f.name == "size" else _number if named is float else named,
            metavar="HxW" if f.name == "size" else f.name.split("_")[-1].upper(),
            help=text + ("" if default is None else f" (default: {default})"),
        )


def _number(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a finite number")
    return number


def _size(text: str) -> tuple[int, int]:
    height, _, width = text.partition("x")
    if not (height.isdigit() and width.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not HEIGHTxWIDTH, as in 216x176")
    return int(height), int(width)


def _peek(arguments: Sequence[str], option: str) -> str | None:
    """The value of an option on which other options depend, before parsing."""
    for i, argument in enumerate(arguments):
        if argument.startswith(f"{option}="):
            return argument.partition("=")[2]
        if argument == option and i + 1 < len(arguments):
            return arguments[i + 1]
    return None


def _given(options: argparse.Namespace, kind: type) -> dict[str, Any]:
    names = [f.name for f in dataclasses.fields(kind)]
    return {n: v for n in names if (v := getattr(options, n, None)) is not None}


def _names(given: Sequence[str] | None, default: tuple[str, ...]) -> tuple[str, ...]:
    if given is None:
        return default
    return tuple(name for word in given for name in word.split(",") if name)


def _trial(options: argparse.Namespace, defence: Defence) -> Trial:
    chosen, base = preset(options.preset or "small"), Trial()
    given = {n: v for n in TRIAL_OPTIONS if (v := getattr(options, n)) is not None}
    return Trial(
        source=parse_source(options.data or base.source.name),
        task=Task(
            _names(options.public, base.task.public), _names(options.private, base.task.private)
        ),
        defence=defence,
        setting=Setting(**(chosen.setting | _given(options, Setting))),
        **(chosen.trial | given),
    )


def _train(options: argparse.Namespace, command: str) -> None:
    kind = Defence.find(options.defence or DeepObfuscator.name)
    if options.trial is not None:
        brought = ("data", "public", "private", "preset", "defence", *TRIAL_OPTIONS)
        given = [n for n in brought if getattr(options, n) is not None]
        given += [*_given(options, Setting), *_given(options, kind)]
        if given:
            raise InputError(
                f"--trial brings its own settings: drop --{given[0].replace('_', '-')}, or change "
                f"a copy of {options.trial}"
            )
        trial = Trial.read(options.trial)
    else:
        trial = _trial(options, kind(**_given(options, kind)))
    out: Path = options.out or Path("runs") / f"{trial.defence.name}-{trial.key}"
    device, rank, ranks = join_ranks(options.device)
    Workshop(device, command, rank, ranks).train(trial, out)
    leave_ranks()
    if rank == 0:
        print(f"trained: {out}\nnext: deepobfuscator audit {shlex.quote(str(out))}")


def _audit(options: argparse.Namespace, command: str) -> None:
    folder: Path = options.run_folder
    Workshop(resolve_device(options.device), command).audit(folder)
    _show([folder], options.output or folder / "report.html", not options.no_faces, command)


def _compare(options: argparse.Namespace, command: str) -> None:
    if options.seeds is not None and options.seeds < 1:
        raise InputError("--seeds must be at least 1")
    defences = [Defence.find(name)() for name in _names(options.defences, ())]
    trial = _trial(options, DeepObfuscator())
    out: Path = options.out or Path("runs") / f"compare-{trial.key}"
    shop = Workshop(resolve_device(options.device), command)
    ahead = None
    if options.jobs is not None:
        cluster = Cluster(options.jobs, options.cluster or "local", tuple(options.slurm or ()))
        ahead = lambda trials: cluster.run(shop, trials, out)  # noqa: E731
    elif options.cluster or options.slurm:
        raise InputError("--cluster and --slurm need --jobs N")
    folders = compare(shop, trial, defences, out, options.seeds, ahead)
    _show(folders, out / "report.html", not options.no_faces, command)


def _report(options: argparse.Namespace, command: str) -> None:
    _show(options.folders, options.output, not options.no_faces, command)


def _show(folders: Sequence[Path], page: Path, faces: bool, command: str) -> None:
    """Print the table, write the page and say where it is."""
    table = utility_and_leakage([run for folder in folders for run in find_runs(folder)])
    shown = RichTable(*table.headers)
    for row in table.rows:
        shown.add_row(*row)
    # Figures cut short would be worse than lines that a narrow terminal wraps.
    Console(width=max(Console().width, 130)).print(shown)
    write_page(folders, page, faces, command)
    print(f"records: {', '.join(str(f) for f in folders)}\nreport: {page}")
