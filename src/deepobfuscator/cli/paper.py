"""`reproduce` and `survey` on the command line: the paper's exhibits, its study with people."""

import argparse
import json
import shlex
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from deepobfuscator.cli.options import Parser, described, listed_names, trial_options
from deepobfuscator.core.errors import InputError
from deepobfuscator.core.files import expanded, write_atomic
from deepobfuscator.core.runtime import Context, locked, resolve_device
from deepobfuscator.defences.undefended import Undefended
from deepobfuscator.experiments.launch import KINDS, Cluster
from deepobfuscator.experiments.runner import Runner
from deepobfuscator.experiments.trial import Trial
from deepobfuscator.paper.exhibits import BY_NAME_ONLY, ENTRIES
from deepobfuscator.paper.human_study import build
from deepobfuscator.paper.listing import listing
from deepobfuscator.paper.reproduce import reproduce as run_reproduction
from deepobfuscator.paper.trials import Trials
from deepobfuscator.report.tables import Table
from deepobfuscator.survey.questions import Sheet

REPRODUCE = """Run what the paper's tables and figures need; set them beside what was published.

Trials are named by their content and shared: a finished one is never done twice, and the same
command goes on where it was stopped. --public and --private name who plays the paper's roles of
smiling and high cheekbones, of gender and heavy make-up; without them they are found by name.
OUT gets report.html, summary.md, and NAME.csv, NAME.tex, NAME.svg for each exhibit.
"""

SURVEY = """Ask people who is on the pictures that are rebuilt from a run's features.

Each question shows a rebuilt picture and four raw ones of different people. Several runs on the
same data take turns. Answers are kept in OUT/survey.sqlite and survive restarts; the address of
the owner's page, with its token, is printed. Machine participants answer the same sheet.
"""


def reproduce_options(parser: Parser) -> None:
    """Options of `reproduce`."""
    parser.description = REPRODUCE
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "exhibits",
        nargs="*",
        metavar="EXHIBIT",
        help=f"of {', '.join(ENTRIES)} (default: all but {' and '.join(BY_NAME_ONLY)}, "
        "which take hours)",
    )
    parser.add_argument("--out", type=expanded, help="folder (default: runs/reproduce-KEY)")
    parser.add_argument("--list", action="store_true", help="what is done, what is left, how long")
    parser.add_argument("--seeds", type=int, default=1, help="seeds for each trial (default: 1)")
    parser.add_argument(
        "--sigma", type=float, help="deviation of the noise baseline (default: calibrated)"
    )
    parser.add_argument("--no-faces", action="store_true", help="without any picture of people")
    cluster_options(parser)
    trial_options(parser)


def survey_options(parser: Parser) -> None:
    """Options of `survey`."""
    parser.description = SURVEY
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "runs", type=expanded, nargs="+", metavar="RUN", help="folders made by train"
    )
    parser.add_argument("--questions", type=int, default=10, help="how many (default: 10)")
    parser.add_argument(
        "--mode",
        choices=("matched", "random"),
        default="matched",
        help="options alike in gender, hair and background, or any people (default: matched)",
    )
    parser.add_argument("--seed", type=int, default=0, help="draws the questions (default: 0)")
    parser.add_argument("--out", type=expanded, help="folder (default: survey in the first RUN)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at; 0.0.0.0 for all")
    parser.add_argument("--port", type=int, default=8000, help="port (default: 8000)")
    parser.add_argument("--token", help="of the owner's page (default: made up, and printed)")
    parser.add_argument("--contact", default="", help="whom participants may ask, on their page")


def cluster_options(parser: Parser) -> None:
    """Options of trials side by side."""
    side = parser.add_argument_group("trials side by side (pip install 'deepobfuscator[cluster]')")
    side.add_argument("--jobs", type=int, help="trials at a time, each with its share of the cores")
    side.add_argument("--cluster", choices=KINDS, help="where jobs run (default: local)")
    side.add_argument(
        "--slurm",
        nargs="+",
        metavar="KEY=VALUE",
        help="options of each SLURM job by submitit's names, as in partition=gpu gpus_per_node=1 "
        "time=600 (minutes; a job whose time is up is queued again; default: a day)",
    )


def cluster_of(options: argparse.Namespace) -> Cluster | None:
    """What runs trials side by side, where jobs are asked for.

    Raises:
        InputError: options of jobs without jobs.
    """
    if options.jobs is None:
        if options.cluster or options.slurm:
            raise InputError("--cluster and --slurm need --jobs N")
        return None
    return Cluster(options.jobs, options.cluster or "local", tuple(options.slurm or ()))


def reproduce(options: argparse.Namespace, command: str) -> int:
    """Run what the exhibits need, then write them; gives 2 where something failed."""
    trial = Trial.make(Undefended(), **described(options, many=True))
    trials = Trials.of(
        trial,
        public=listed_names(options.public),
        private=listed_names(options.private),
        seeds=options.seeds,
        sigma=options.sigma,
        out=options.out,
    )
    runner, names = Runner(resolve_device(options.device), command), listed_names(options.exhibits)
    if options.list:
        found = listing(runner, trials, names)
        say(found.table)
        print(found.summary)
        return 0
    words, typed = shlex.split(command)[2:], options.exhibits
    ends = range(len(words), 0, -1)  # exhibits are typed side by side; an option may be called so
    at = next(i for i in (0, *ends) if words[i : i + len(typed)] == typed)
    rest = [*words[:at], *words[at + len(typed) :]]
    cluster = cluster_of(options)
    ahead = partial(cluster.run, runner, out=trials.out) if cluster else None
    done = run_reproduction(
        runner, trials, names, faces=not options.no_faces, command=command, rest=rest, ahead=ahead
    )
    if done.claims:
        rows = tuple((c.verdict, c.claim) for c in done.claims)
        say(Table(("Verdict", "Claim of the paper"), rows))
    for exhibit in done.exhibits:
        for sentence in exhibit.missing:
            Context(trials.out).say(escape(f"{exhibit.name} is not complete: {sentence}"))
    print(f"exhibits: {trials.out}\nreport: {trials.out / 'report.html'}")
    return 2 if done.failed else 0


def say(table: Table) -> None:
    """Print a table."""
    shown = RichTable(*map(escape, table.headers))
    for row in table.rows:
        shown.add_row(*map(escape, row))
    # Figures cut short would be worse than lines that a narrow terminal wraps.
    Console(width=max(Console().width, 130)).print(shown)


def survey(options: argparse.Namespace, command: str) -> None:
    """Build the sheet where there is none yet, and serve it."""
    from deepobfuscator.survey.app import DATABASE, create_app, serve

    folder: Path = options.out or options.runs[0] / "survey"
    path, kept = folder / "sheet.npz", folder / "machines.json"
    for run in options.runs:
        Trial.of(run)
    with locked(folder):
        if path.exists() and kept.exists():
            sheet, machines = Sheet.load(path), json.loads(kept.read_text())
            asked = (options.questions, options.mode, options.seed, len(options.runs))
            if (len(sheet), sheet.mode, sheet.seed, len(set(sheet.defence))) != asked:
                raise InputError(
                    f"{folder} holds another sheet, perhaps with answers: name another --out folder"
                )
        else:
            shop = Runner(resolve_device(options.device), command)
            sheet, machines = build(
                shop, options.runs, options.questions, options.mode, options.seed
            )
            write_atomic(kept, json.dumps(machines).encode())
            sheet.save(path)
        app = create_app(
            sheet,
            folder / DATABASE,
            token=options.token,
            contact=options.contact,
            machines=machines,
        )
        serve(app, options.host, options.port)
