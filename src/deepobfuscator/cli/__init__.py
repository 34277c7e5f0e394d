"""The command line: words become objects here, the rest is `deepobfuscator.api`."""

import argparse
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import deepobfuscator
from deepobfuscator import api
from deepobfuscator.auditing.gates import parse_gate
from deepobfuscator.cli import deploy, paper
from deepobfuscator.cli.options import (
    Parser,
    add_command,
    check_run,
    defence_of,
    described,
    fields_of,
    given_fields,
    listed_defences,
    peek,
    suite_options,
    trainable,
    trial_given,
    trial_options,
)
from deepobfuscator.core.errors import InputError
from deepobfuscator.core.files import expanded
from deepobfuscator.core.registry import suggest
from deepobfuscator.core.runtime import RankLostError, alone, prepare
from deepobfuscator.core.streams import lasting
from deepobfuscator.data.table import parse_source
from deepobfuscator.defences.base import Defence
from deepobfuscator.defences.deepobfuscator import DeepObfuscator
from deepobfuscator.experiments.trial import Trial
from deepobfuscator.nn.onnx_file import is_onnx, shipped
from deepobfuscator.report.view import ComparisonReport

EXAMPLES = """examples:
  deepobfuscator compare                                   built-in faces, every defence
  deepobfuscator train --data celeba:PATH --public Smiling --private Male --out runs/smile
  deepobfuscator audit runs/smile --suite standard --fail-if "Male.excess > 0.05"
  deepobfuscator audit encoder.onnx --data folder:PATH --public A --private B,C --out audits/mine
  deepobfuscator report runs/ -o report.html
  deepobfuscator reproduce table4 figure7 --data celeba:PATH    the paper's exhibits
  deepobfuscator survey runs/smile                              ask people to recognise faces
  deepobfuscator export runs/smile ship/                        for devices and a server

Every command resumes where it was stopped and skips finished work."""

AUDIT = """Attack a trained run, or an encoder made elsewhere, with newly trained attackers.

A run folder brings its pictures and its task. An .onnx file (pictures in, features out) or a torch
module (MODULE:ATTRIBUTE) needs --data, --public and --private.
Its ceiling is the same suite on raw pictures, a run's is an undefended encoder, trained if needed.
"""

NO_FACES = "a page without any picture"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit code.

    0 done, 1 another process of the training is gone, 2 bad input, 3 a limit of --fail-if is
    exceeded, 4 the attack is too weak to tell whether it is, 130 interrupted.
    """
    with lasting():
        return _run(list(sys.argv[1:] if arguments is None else arguments))


def _run(arguments: Sequence[str]) -> int:
    try:
        prepare()
        options = _parsed(arguments or ["--help"])
        if options.run is not _train:
            alone()
        code = options.run(options, shlex.join(["deepobfuscator", *arguments]))
    except InputError as error:
        print(f"deepobfuscator: error: {error}", file=sys.stderr)
        return 2
    except RankLostError as error:
        print(f"deepobfuscator: stopped: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "deepobfuscator: interrupted; the same command resumes where this one stopped",
            file=sys.stderr,
        )
        return 130
    return int(code or 0)


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """Words as options; InputError where a command or an option is unknown, with what is near."""
    parser, commands = _parser(arguments)
    if not (first := arguments[0]).startswith("-") and first not in commands:
        raise InputError(f"no command {first!r}: {suggest(first, list(commands))}")
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        own, word = commands.get(first, parser), unknown[0].partition("=")[0]
        near = f": {suggest(word, own.options)}" if word.startswith("--") else ""
        raise InputError(f"{own.prog} does not take {word!r}{near} (see {own.prog} --help)")
    return options


def _parser(arguments: Sequence[str]) -> tuple[Parser, Mapping[str, Parser]]:
    """The parser, and those of its commands by name."""
    parser = Parser(
        prog="deepobfuscator",
        description=(deepobfuscator.__doc__ or "").splitlines()[0],
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=deepobfuscator.__version__)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    train = add_command(commands, "train", "Train a defence and keep it as a bundle.", _train)
    trial_options(train)
    train.add_argument("--trial", type=expanded, help="repeat the trial in this trial.json")
    train.add_argument("--out", type=expanded, help="run folder (default: runs/DEFENCE-KEY)")
    train.add_argument(
        "--defence",
        help=f"one of {', '.join(trainable())} (default: {DeepObfuscator.name}); "
        "with --help, shows its own options below",
    )
    chosen = peek(arguments, "--defence") or DeepObfuscator.name
    fields_of(train.add_argument_group(f"options of {chosen}"), Defence.find(chosen))

    audit = add_command(commands, "audit", AUDIT.splitlines()[0], _audit)
    audit.description = AUDIT
    audit.formatter_class = argparse.RawDescriptionHelpFormatter
    audit.add_argument(
        "target",
        metavar="TARGET",
        type=os.path.expanduser,
        help="a folder made by train, an .onnx file, or MODULE:ATTRIBUTE (a torch module)",
    )
    suite_options(audit)
    audit.add_argument(
        "--fail-if",
        action="append",
        type=parse_gate,
        default=[],
        metavar='"SUBJECT.METRIC > NUMBER"',
        help="exit with 3 where the upper bound of the strongest attacker exceeds the number, and "
        'with 4 where the attack is too weak to tell, as in "Male.excess > 0.05"; may be repeated',
    )
    audit.add_argument("--no-faces", action="store_true", help=NO_FACES)
    audit.add_argument(
        "-o", "--page", type=expanded, help="page (default: report.html in the folder)"
    )
    audit.add_argument(
        "--output", metavar="NAME", help="which of an encoder's several outputs leaves the device"
    )
    audit.add_argument("--out", type=expanded, help="run folder of an encoder made elsewhere")
    audit.add_argument(
        "--defender-data",
        type=parse_source,
        metavar="DATA",
        help="what an encoder made elsewhere was trained on",
    )
    trial_options(audit)

    contest = add_command(
        commands, "compare", "Train and audit defences side by side, one report.", _compare
    )
    trial_options(contest)
    contest.add_argument(
        "--defences",
        nargs="+",
        default=[name for name in trainable() if Defence.find(name).contender],
        metavar="NAME[:FIELD=VALUE,...]",
        help=f"which to compare, of {', '.join(trainable())}, each with the fields that train "
        "--defence NAME --help lists, as in narrow-code:bits=4 (default: %(default)s)",
    )
    suite_options(contest)
    contest.add_argument("--seeds", type=int, help="seeds for each defence (default: its own)")
    contest.add_argument("--out", type=expanded, help="folder (default: runs/compare-KEY)")
    paper.cluster_options(contest)
    contest.add_argument("--no-faces", action="store_true", help=NO_FACES)

    again = add_command(
        commands, "reproduce", "Regenerate the paper's tables and figures.", paper.reproduce
    )
    paper.reproduce_options(again)
    people = "Ask people to recognise reconstructed faces."
    paper.survey_options(add_command(commands, "survey", people, paper.survey))

    for name, (description, run, options) in deploy.COMMANDS.items():
        options(add_command(commands, name, description, run, device=name == "export"))

    report = add_command(
        commands, "report", "One page from all runs in some folders.", _report, False
    )
    report.add_argument("folders", type=expanded, nargs="+", metavar="FOLDER", help="run folders")
    report.add_argument("-o", "--out", type=expanded, default=Path("report.html"), help="the page")
    report.add_argument("--no-faces", action="store_true", help=NO_FACES)
    return parser, commands.choices


def _train(options: argparse.Namespace, command: str) -> None:
    kind = type(defence_of(options.defence or DeepObfuscator.name))
    if options.trial is not None:
        if given := trial_given(options, kind):
            raise InputError(
                f"--trial brings its own settings: drop {given}, or change a copy of "
                f"{options.trial}"
            )
        trial = Trial.read(options.trial)
    else:
        trial = Trial.make(kind(**given_fields(options, kind)), **described(options))
    run = api.train(
        trial.defence,
        trial.data,
        out=options.out,
        config=trial.setting,
        precision=trial.precision,
        device=options.device,
        command=command,
    )
    if os.environ.get("RANK", "0") == "0":
        print(f"trained: {run.folder}\nnext: deepobfuscator audit {shlex.quote(str(run.folder))}")


def _audit(options: argparse.Namespace, command: str) -> int:
    target, made = shipped(options.target), dict[str, Any]()
    if Path(target).is_dir():
        check_run(Path(target))
        given = trial_given(options, but="data") or ("--out" if options.out else None)
        if given := given or ("--output (the page is --page)" if options.output else None):
            raise InputError(f"{target} brings its own settings: drop {given}")
        if options.data is not None:
            made = {"data": replace(Trial.of(Path(target)).data, source=options.data)}
    elif is_onnx(target) or ":" in target:
        for name in ("data", "public", "private"):
            if getattr(options, name) is None:
                raise InputError(f"{target} brings no pictures and no task: give --{name}")
        made = described(options) | {
            "defender_data": options.defender_data,
            "output": options.output,
            "out": options.out,
        }
    else:
        raise InputError(
            f"no run folder {target}: name a folder made by train, an .onnx file, or "
            "MODULE:ATTRIBUTE"
        )
    report = api.audit(
        target,
        **made,
        suite=options.suite,
        other=options.other_data,
        fail_if=options.fail_if,
        page=options.page,
        faces=not options.no_faces,
        device=options.device,
        command=command,
    )
    print(report.verdict.line)
    for gate in report.gates:
        upper = "not attacked" if gate.upper is None else f"at most {gate.upper:.3f}"
        print(f"{gate.outcome}: {gate.rule} ({upper})")
    if target != options.target:
        print(f"noted: {Path(options.target) / 'manifest.json'}")
    page = options.page or report.folder / "report.html"
    print(f"summary: {report.folder / 'audit.json'}\nreport: {page}")
    return report.exit_code


def _compare(options: argparse.Namespace, command: str) -> None:
    report = api.compare(
        listed_defences(options.defences),
        **described(options),
        seeds=options.seeds,
        suite=options.suite,
        other=options.other_data,
        out=options.out,
        cluster=paper.cluster_of(options),
        faces=not options.no_faces,
        device=options.device,
        command=command,
    )
    paper.say(report.table)
    if report.contrasts:
        paper.say(report.differences)
    folders = [run.folder for run in report.runs]
    print(f"records: {', '.join(map(str, folders))}\nreport: {folders[0].parent / 'report.html'}")


def _report(options: argparse.Namespace, command: str) -> None:
    report = ComparisonReport.read(options.folders, command)
    paper.say(report.table)
    report.save(options.out, not options.no_faces)
    print(f"records: {', '.join(map(str, options.folders))}\nreport: {options.out}")
