"""The command line: train, audit, compare, report; `studies` has reproduce and survey."""

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import deepobfuscator
from deepobfuscator.attacks.base import QUICK, SUITES
from deepobfuscator.auditing.config import AuditConfig
from deepobfuscator.auditing.gates import EXCEEDED, WEAK, Gate, parse_gate
from deepobfuscator.core.errors import InputError
from deepobfuscator.core.files import write_atomic
from deepobfuscator.core.records import IDENTITY, IMAGE
from deepobfuscator.core.runtime import (
    RankLostError,
    alone,
    join_ranks,
    leave_ranks,
    prepare,
    resolve_device,
)
from deepobfuscator.data.table import parse_source
from deepobfuscator.defences.base import Defence
from deepobfuscator.defences.deepobfuscator import DeepObfuscator
from deepobfuscator.defences.external import External
from deepobfuscator.experiments.runner import Runner, compare
from deepobfuscator.experiments.trial import Trial
from deepobfuscator.nn.external import open_encoder
from deepobfuscator.options import (
    Parser,
    fields_of,
    given_fields,
    listed_names,
    peek,
    trial_given,
    trial_of,
    trial_options,
)
from deepobfuscator.report.audit_page import write_audit_page
from deepobfuscator.report.page import write_page
from deepobfuscator.report.runs import find_runs, read_run
from deepobfuscator.report.summary import summarise, write_summary
from deepobfuscator.report.tables import utility_and_leakage
from deepobfuscator.studies import (
    ahead_of,
    cluster_options,
    reproduce,
    reproduce_options,
    say,
    survey,
    survey_options,
)

EXAMPLES = """examples:
  deepobfuscator compare                                   built-in faces, every defence
  deepobfuscator train --data celeba:PATH --public Smiling --private Male --out runs/smile
  deepobfuscator audit runs/smile --suite standard --fail-if "Male.excess > 0.05"
  deepobfuscator audit encoder.onnx --data folder:PATH --public A --private B,C --out audits/mine
  deepobfuscator report runs/ -o report.html
  deepobfuscator reproduce table4 figure7 --data celeba:PATH    the paper's exhibits
  deepobfuscator survey runs/smile                              ask people who is on the pictures

Every command goes on where it was stopped, and does nothing twice."""

AUDIT = """Attack a trained run, or an encoder made elsewhere, with fresh attackers.

A run folder brings its pictures and its task. An .onnx file (one float input n x 3 x H x W in
[0, 1], the batch free) or a torch module (MODULE:ATTRIBUTE) needs --data, --public and --private.
Its ceiling is the same suite on raw pictures, a run's is an undefended encoder, trained if needed.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit code.

    0 done, 1 another process of the training is gone, 2 bad input, 3 a limit of --fail-if is
    exceeded, 4 the attack is too weak to tell whether it is, 130 interrupted.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        prepare()
        options = _parser(arguments).parse_args(arguments)
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
            "deepobfuscator: interrupted; the same command goes on where this one stopped",
            file=sys.stderr,
        )
        return 130
    return int(code or 0)


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
    trial_options(train)
    train.add_argument("--trial", type=Path, help="repeat the trial in this trial.json")
    train.add_argument("--out", type=Path, help="run folder (default: runs/DEFENCE-KEY)")
    train.add_argument(
        "--defence",
        help=f"one of {', '.join(trainable())} (default: {DeepObfuscator.name}); "
        "with --help, shows its own options below",
    )
    chosen = peek(arguments, "--defence") or DeepObfuscator.name
    fields_of(train.add_argument_group(f"options of {chosen}"), Defence.find(chosen))

    audit = _command(
        commands,
        "audit",
        "Attack a trained run, or an encoder made elsewhere, with fresh attackers.",
        _audit,
    )
    audit.description = AUDIT
    audit.formatter_class = argparse.RawDescriptionHelpFormatter
    audit.add_argument(
        "target",
        metavar="TARGET",
        help="a folder made by train, an .onnx file, or MODULE:ATTRIBUTE (a torch module)",
    )
    _suite_options(audit)
    audit.add_argument(
        "--fail-if",
        action="append",
        default=[],
        metavar='"SUBJECT.METRIC > NUMBER"',
        help="exit with 3 where the upper bound of the strongest attacker exceeds the number, and "
        'with 4 where the attack is too weak to tell, as in "Male.excess > 0.05"; may be repeated',
    )
    _report_options(audit)
    audit.add_argument(
        "-o", "--output", type=Path, help="page (default: report.html in the folder)"
    )
    audit.add_argument("--out", type=Path, help="run folder of an encoder made elsewhere")
    audit.add_argument(
        "--defender-data", metavar="DATA", help="what an encoder made elsewhere was trained on"
    )
    trial_options(audit)

    contest = _command(
        commands, "compare", "Train and audit defences side by side, one report.", _compare
    )
    trial_options(contest)
    contest.add_argument(
        "--defences",
        nargs="+",
        default=[name for name in trainable() if Defence.find(name).contender],
        metavar="NAME",
        help=f"which to compare, of {', '.join(trainable())} (default: %(default)s)",
    )
    _suite_options(contest)
    contest.add_argument("--seeds", type=int, help="seeds for each defence (default: its own)")
    contest.add_argument("--out", type=Path, help="folder (default: runs/compare-KEY)")
    cluster_options(contest)
    _report_options(contest)

    reproduce_options(
        _command(commands, "reproduce", "Regenerate the paper's tables and figures.", reproduce)
    )
    survey_options(_command(commands, "survey", "Ask people who is on the pictures.", survey))

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
    if name != "report":
        parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    return parser


def trainable() -> list[str]:
    """Names of the defences that can be trained."""
    return [name for name, kind in Defence.members().items() if kind.trains]


def _defence(name: str) -> type[Defence]:
    kind = Defence.find(name)
    if not kind.trains:
        raise InputError(f"{name} is not trained: take one of {', '.join(trainable())}")
    return kind


def _suite_options(parser: Parser) -> None:
    parser.add_argument(
        "--suite",
        default=QUICK,
        help=f"how many attackers: {', '.join(SUITES)}, each with all of the one before "
        f"(default: {QUICK})",
    )
    parser.add_argument(
        "--other-data",
        metavar="DATA",
        help="pictures for an attacker who has none like the defender's, from the standard suite "
        "on (default: drawn faces, where the data itself is not drawn)",
    )


def _order(options: argparse.Namespace) -> AuditConfig:
    other = options.other_data
    return AuditConfig(options.suite, None if other is None else parse_source(other))


def _report_options(parser: Parser) -> None:
    parser.add_argument("--no-faces", action="store_true", help="a page without any picture")


def _train(options: argparse.Namespace, command: str) -> None:
    kind = _defence(options.defence or DeepObfuscator.name)
    if options.trial is not None:
        if given := trial_given(options, kind):
            raise InputError(
                f"--trial brings its own settings: drop {given}, or change a copy of "
                f"{options.trial}"
            )
        trial = Trial.read(options.trial)
    else:
        trial = trial_of(options, kind(**given_fields(options, kind)))
    out: Path = options.out or Path("runs") / f"{trial.defence.name}-{trial.key}"
    device, rank, ranks = join_ranks(options.device)
    Runner(device, command, rank, ranks).train(trial, out)
    leave_ranks()
    if rank == 0:
        print(f"trained: {out}\nnext: deepobfuscator audit {shlex.quote(str(out))}")


def _audit(options: argparse.Namespace, command: str) -> int:
    gates = [parse_gate(text) for text in options.fail_if]
    order = _order(options)
    shop = Runner(resolve_device(options.device), command)
    target = options.target
    if Path(target).is_dir():
        if given := trial_given(options) or ("--out" if options.out else None):
            raise InputError(f"{target} brings its own settings: drop {given}")
        folder = Path(target)
        trial = Trial.read(folder / "trial.json") if (folder / "trial.json").is_file() else None
    elif target.endswith(".onnx") or ":" in target:
        for name in ("data", "public", "private"):
            if getattr(options, name) is None:
                raise InputError(f"{target} brings no pictures and no task: give --{name}")
        trial = trial_of(options, External.of(target))
        encoder = open_encoder(target, options.size)
        trial = replace(trial, setting=replace(trial.setting, size=encoder.size))
        folder = options.out or Path("runs") / f"audit-{trial.key}"
    else:
        raise InputError(
            f"no run folder {target}: name a folder made by train, an .onnx file, or "
            "MODULE:ATTRIBUTE"
        )
    if trial is not None:
        audited = (*trial.source.read().attributes, IMAGE, IDENTITY) if gates else ()
        for gate in gates:
            gate.check([name for name in audited if name not in trial.task.public])
        if not trial.defence.trains:
            shop.train(trial, folder)
    shop.audit(folder, order=order)
    page = options.output or folder / "report.html"
    return _show_audit(folder, page, gates, not options.no_faces)


def _show_audit(folder: Path, page: Path, gates: Sequence[Gate], faces: bool) -> int:
    """Judge the gates, write summary and page, say the verdict; gives the exit code."""
    outcomes = [gate.judge(read_run(folder).records) for gate in gates]
    notes = folder / "audit" / "notes.json"
    told = json.loads(notes.read_text()) | {"gates": [asdict(outcome) for outcome in outcomes]}
    write_atomic(notes, f"{json.dumps(told, indent=1)}\n".encode())
    run = read_run(folder)
    write_summary(run, folder / "audit.json")
    write_audit_page(run, page, faces)
    print(summarise(run)["verdict"]["line"])
    for outcome in outcomes:
        upper = "not attacked" if outcome.upper is None else f"at most {outcome.upper:.3f}"
        print(f"{outcome.outcome}: {outcome.rule} ({upper})")
    print(f"summary: {folder / 'audit.json'}\nreport: {page}")
    found = [outcome.outcome for outcome in outcomes]
    return 3 if EXCEEDED in found else 4 if WEAK in found else 0


def _compare(options: argparse.Namespace, command: str) -> None:
    if options.seeds is not None and options.seeds < 1:
        raise InputError("--seeds must be at least 1")
    defences = [_defence(name)() for name in listed_names(options.defences)]
    trial, order = trial_of(options, DeepObfuscator()), _order(options)
    out: Path = options.out or Path("runs") / f"compare-{trial.key}"
    shop = Runner(resolve_device(options.device), command)
    ahead = ahead_of(options, shop, out)
    folders = compare(shop, trial, defences, out, options.seeds, order, ahead)
    _show(folders, out / "report.html", not options.no_faces, command)


def _report(options: argparse.Namespace, command: str) -> None:
    _show(options.folders, options.output, not options.no_faces, command)


def _show(folders: Sequence[Path], page: Path, faces: bool, command: str) -> None:
    """Print the table, write the page and say where it is."""
    say(utility_and_leakage([run for folder in folders for run in find_runs(folder)]))
    write_page(folders, page, faces, command)
    print(f"records: {', '.join(str(f) for f in folders)}\nreport: {page}")
