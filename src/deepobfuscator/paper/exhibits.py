"""The paper's tables, figures and statements: how each is made from finished runs."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from deepobfuscator import (
    DeepObfuscator,
    InputError,
    NaiveSequence,
    RunSpec,
    Undefended,
    suggest,
)
from deepobfuscator.paper import published
from deepobfuscator.paper.adversary import rows as adversary_rows
from deepobfuscator.paper.architectures import table_1, table_2
from deepobfuscator.paper.constant import rows as constant_rows
from deepobfuscator.paper.factorial import factorial
from deepobfuscator.paper.human_study import MODES, example, faces, machines
from deepobfuscator.paper.keys import (
    ACCURACY,
    FOUR_WAY,
    IDENTITY,
    IMAGE,
    MS_SSIM,
    PSNR,
    Measured,
    Name,
    Panel,
    Part,
    Participant,
    Reference,
    RowKey,
    Set,
)
from deepobfuscator.paper.length import length
from deepobfuscator.paper.render.exhibit import Column, Curve, Exhibit, Row
from deepobfuscator.paper.render.rows import make_curves, make_rows
from deepobfuscator.paper.show import Show
from deepobfuscator.paper.trade_off import noise
from deepobfuscator.paper.trials import Trials
from deepobfuscator.survey.questions import OPTIONS

FACES = (IMAGE, MS_SSIM)
RECONSTRUCTORS = {
    Measured.AR_IN_GAME: Reference.IN_GAME,
    Measured.MIRROR: "mirror",
    Measured.UREC_1: "urec1",
    Measured.UREC_2: "urec2",
    Measured.RESREC: "resrec",
}
CLASSIFIERS = {
    Measured.ATTACKED_BY_AC: "ac",
    Measured.ATTACKED_BY_RESNET: "resnet",
    Measured.ATTACKED_BY_MLP: "mlp",
}
IN_GAME_READER = "from-images reconstructor=in-game"
GAME = "algorithm 1"
LOSSES = ("L_C", "L_AC", "L_AR1", "L_AR2")


def table1(show: Show) -> Exhibit:
    """Architectures of the game."""
    return show.exhibit(Name.TABLE_1, tables=table_1())


def table2(show: Show) -> Exhibit:
    """Architectures of the other reconstructors."""
    return show.exhibit(Name.TABLE_2, tables=table_2())


def table3(show: Show) -> Exhibit:
    """Other reconstructors on one obfuscator."""
    runs = show.runs(Set.A, DeepObfuscator(), "urec1", "urec2", "resrec")
    found: list[Row] = []
    for of, attack in RECONSTRUCTORS.items():
        found += make_rows(runs, RowKey(of), (FACES,), attack=attack)
    return show.exhibit(Name.TABLE_3, found)


def table4(show: Show) -> Exhibit:
    """DeepObfuscator and the baselines by quality of reconstruction."""
    return show.exhibit(Name.TABLE_4, show.rows(show.defences, (FACES, (IMAGE, PSNR))))


def constant(show: Show) -> Exhibit:
    """Reconstructions without features."""
    found: list[Row] = []
    if show.runner is not None:
        trial = show.trials.first()
        found = constant_rows(show.runner, show.runner.on(trial, show.trials.out), trial)
    return show.exhibit(Name.CONSTANT, found)


def figure2(show: Show) -> Exhibit:
    """One-sided defences."""
    runs = {
        Measured.NEITHER: show.runs(Set.A, Undefended()),
        Measured.ATTRIBUTES_ALONE: show.runs(Set.A, DeepObfuscator(lambda2=0.0)),
        Measured.RECONSTRUCTION_ALONE: show.runs(Set.A, DeepObfuscator(lambda1=0.0), "from-images"),
        Measured.BOTH: show.runs(Set.A, DeepObfuscator()),
    }
    gender = show.trials.private[0] or ""
    read = (gender, ACCURACY)
    found: list[Row] = []
    for of, held in runs.items():
        found += make_rows(held, RowKey(of), (read, FACES))
    alone = runs[Measured.RECONSTRUCTION_ALONE]
    key = RowKey(Measured.READ_FROM_AR)
    found += make_rows(alone, key, (read,), attack=IN_GAME_READER)
    found += make_rows(alone, RowKey(Measured.READ_FROM_MIRROR), (read,), attack="from-images")
    columns = [
        *show.raw_column(runs[Measured.NEITHER]),
        *show.rebuilt_columns("attributes alone", runs[Measured.ATTRIBUTES_ALONE]),
        *show.rebuilt_columns("reconstruction alone", alone),
    ]
    return show.exhibit(Name.FIGURE_2, found, faces=columns, gender=gender)


def sequence(show: Show) -> Exhibit:
    """The naive sequence."""
    defences = {
        RowKey(Measured.ATTRIBUTES_ALONE): DeepObfuscator(lambda2=0.0),
        RowKey(Measured.ATTRIBUTES_THEN_FACES): NaiveSequence(first="attributes"),
        RowKey(Measured.FACES_ALONE): DeepObfuscator(lambda1=0.0),
        RowKey(Measured.FACES_THEN_ATTRIBUTES): NaiveSequence(first="faces"),
    }
    wanted = (show.trials.private[0] or "", ACCURACY), FACES
    return show.exhibit(Name.SEQUENCE, show.rows(defences, wanted))


def figure4(show: Show) -> Exhibit:
    """Reconstructed faces."""
    runs = {key: show.runs(Set.A, defence) for key, defence in show.defences.items()}
    columns = show.raw_column(runs[RowKey(Measured.UNDEFENDED)])
    found: list[Row] = []
    for key, held in runs.items():
        columns += show.rebuilt_columns(str(key), held)
        found += make_rows(held, key, (FACES,))
    return show.exhibit(Name.FIGURE_4, found, faces=columns)


def figure5(show: Show) -> Exhibit:
    """The perceptual study, answered by machines."""
    key = RowKey(Measured.DEEPOBFUSCATOR, by=Participant.PEOPLE)
    people = Row(Panel(Part.RANDOM), key, IDENTITY, FOUR_WAY, majority=1 / OPTIONS)
    found = [replace(people, published=published.FOUR_WAY)]
    columns: list[Column] = []
    for key, defence in show.defences.items():
        specs = show.specs(Set.A, defence, "reidentify")
        shown = [
            faces(show.runner, spec.folder, recogniser=False)
            for spec in specs
            if show.runner is not None and show.read(spec) is not None
        ]
        for mode in MODES if shown else ():
            found += (more := machines(shown, key, mode))
            columns = columns or example(shown[0])
            if not more:
                why = f"no {mode} options: too few people, or nobody is on two pictures"
                show.missing.append(why)
    return show.exhibit(Name.FIGURE_5, found, faces=columns if show.faces else ())


def figure6(show: Show) -> Exhibit:
    """Losses through the game."""
    found: list[Curve] = []
    for of in Set:
        for run in show.runs(of, DeepObfuscator())[:1]:
            found += make_curves(run, show.panel(of), LOSSES, GAME)
    return show.exhibit(Name.FIGURE_6, curves=found)


def figure7(show: Show) -> Exhibit:
    """Accuracy of every attribute on the six sets."""
    found: list[Row] = []
    for of in Set:
        try:
            task = show.trials.task(of)
        except InputError as error:
            show.missing.append(str(error))
            continue
        wanted = [(name, ACCURACY) for name in (*task.public, *task.private)]
        found += show.rows(show.defences, wanted, of, show.panel(of))
        if of is Set.A:
            longer = show.finished(show.asked(show.trials.longer))
            key = RowKey(Measured.UNDEFENDED_LONGER)
            found += make_rows(longer, key, wanted[: len(task.public)], show.panel(of))
    return show.exhibit(Name.FIGURE_7, found)


def adversary(show: Show) -> Exhibit:
    """The training adversaries at the end of the game and a few steps later."""
    runs, found = show.runs(Set.A, DeepObfuscator()), list[Row]()
    hidden = show.trials.private[0] or ""
    scratch = make_rows(runs, RowKey(Measured.FROM_SCRATCH), ((hidden, ACCURACY), FACES))
    floors = {
        row.metric: {n: getattr(row, n) for n in ("majority", "label_only", "ceiling")}
        for row in scratch
    }
    if runs and show.runner is not None:
        states = adversary_rows(show.runner, runs[0].folder, hidden)
        found = [replace(row, **floors.get(row.metric, {})) for row in states]
    found += [replace(row, in_game=None) for row in scratch]
    return show.exhibit(Name.ADVERSARY, found)


def architectures(show: Show) -> Exhibit:
    """Other architectures for C and for AC."""
    served, hidden = (
        (side[0] or "", ACCURACY) for side in (show.trials.public, show.trials.private)
    )
    games = {
        RowKey(Measured.PRINTED_CLASSIFIERS): DeepObfuscator(),
        RowKey(Measured.RESIDUAL_C): DeepObfuscator(service_network="resnet"),
        RowKey(Measured.RESIDUAL_AC): DeepObfuscator(adversary_network="resnet"),
    }
    found = show.rows(games, (served, hidden), panel=Panel(Part.GAMES))
    runs = show.runs(Set.A, DeepObfuscator())
    for of, attack in CLASSIFIERS.items():
        found += make_rows(runs, RowKey(of), (hidden,), Panel(Part.ATTACKERS), attack=attack)
    return show.exhibit(Name.ARCHITECTURES, found)


ENTRIES: dict[Name, Callable[[Show], Exhibit]] = {
    Name.TABLE_1: table1,
    Name.TABLE_2: table2,
    Name.TABLE_3: table3,
    Name.TABLE_4: table4,
    Name.CONSTANT: constant,
    Name.NOISE: noise,
    Name.FIGURE_2: figure2,
    Name.SEQUENCE: sequence,
    Name.FIGURE_4: figure4,
    Name.FIGURE_5: figure5,
    Name.FIGURE_6: figure6,
    Name.FIGURE_7: figure7,
    Name.ADVERSARY: adversary,
    Name.ARCHITECTURES: architectures,
    Name.LENGTH: length,
    Name.FACTORIAL: factorial,
}
"""In the report's order. An exhibit needs the runs that it requests from its `Show`."""

BY_NAME_ONLY = (Name.LENGTH, Name.FACTORIAL)
"""Exhibits that take an hour or more each, made only if named."""

NOISY = (Name.TABLE_4, Name.NOISE, Name.FIGURE_4, Name.FIGURE_5, Name.FIGURE_7)
"""Exhibits that need the noise baseline, or its calibration."""


def wanted(trials: Trials, exhibits: Sequence[str]) -> tuple[Name, ...]:
    """Some exhibits by name, in the report's order; all but `BY_NAME_ONLY` if none is named.

    Raises:
        InputError: no such exhibit (the message lists them), or no attribute for the first role
            of a side.
    """
    known = [str(name) for name in ENTRIES]
    for name in exhibits:
        if name not in known:
            close = suggest(name, known)
            every = "" if close.startswith("known") else f" (known are {', '.join(known)})"
            raise InputError(f"unknown exhibit {name!r}: {close}{every}")
    names = tuple(
        name for name in ENTRIES if name in (exhibits or set(ENTRIES) - set(BY_NAME_ONLY))
    )
    if set(names) - {Name.TABLE_1, Name.TABLE_2}:  # these need no run
        trials.check_roles()
    return names


def needed(trials: Trials, names: Sequence[Name]) -> list[RunSpec]:
    """The runs that exhibits need and the data allows, each once, ceilings first."""
    show = Show(trials)  # one without any finished run notes those that it is asked for
    for name in names:
        ENTRIES[name](show)
    return trials.merged(show.wanted)
