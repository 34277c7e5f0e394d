"""The paper's figures: how each is made of finished runs."""

from dataclasses import replace

from deepobfuscator import DeepObfuscator, InputError, Undefended
from deepobfuscator.paper import published
from deepobfuscator.paper.exhibits import Show
from deepobfuscator.paper.keys import (
    ACCURACY,
    FOUR_WAY,
    IDENTITY,
    IMAGE,
    MS_SSIM,
    Measured,
    Name,
    Panel,
    Part,
    Participant,
    RowKey,
    Set,
)
from deepobfuscator.paper.render.exhibit import Column, Curve, Exhibit, Row
from deepobfuscator.paper.render.rows import make_curves, make_rows
from deepobfuscator.paper.trials import PRIVATE, plain
from deepobfuscator.survey.questions import OPTIONS, Mode

FACES = (IMAGE, MS_SSIM)
IN_GAME_READER = "from-images reconstructor=in-game"
GAME = "algorithm 1"
LOSSES = ("L_C", "L_AC", "L_AR1", "L_AR2")


def figure2(show: Show) -> Exhibit:
    """One-sided defences."""
    found: list[Row] = []
    runs = {
        Measured.NEITHER: show.runs(Set.A, Undefended()),
        Measured.ATTRIBUTES_ALONE: show.runs(Set.A, DeepObfuscator(lambda2=0.0)),
        Measured.RECONSTRUCTION_ALONE: show.runs(Set.A, DeepObfuscator(lambda1=0.0), "from-images"),
        Measured.BOTH: show.runs(Set.A, DeepObfuscator()),
    }
    gender = show.trials.private[0] or ""
    read = (gender, ACCURACY)
    for of, held in runs.items():
        found += make_rows(held, RowKey(of), (read, FACES))
    alone = runs[Measured.RECONSTRUCTION_ALONE]
    told = {read: published.FIGURE_2} if plain(gender) == plain(PRIVATE[0]) else None
    key = RowKey(Measured.READ_FROM_AR)
    found += make_rows(alone, key, (read,), published=told, attack=IN_GAME_READER)
    found += make_rows(alone, RowKey(Measured.READ_FROM_MIRROR), (read,), attack="from-images")
    columns = [
        *show.raw_column(runs[Measured.NEITHER]),
        *show.rebuilt_columns("attributes alone", runs[Measured.ATTRIBUTES_ALONE]),
        *show.rebuilt_columns("reconstruction alone", alone),
    ]
    return Exhibit(
        Name.FIGURE_2,
        "Figure 2: defending against one attack alone",
        f"What is read and rebuilt when the game is played against AC alone (λ2 = 0), against AR "
        f"alone (λ1 = 0), or against both; set {show.panel(Set.A)}. The paper reads {gender} at "
        "93.7 % from the pictures that AR rebuilds under the reconstruction-only defence: the "
        "same is measured here by a network trained on AR's pictures, on a fresh mirror's, and on "
        "the features.",
        tuple(found),
        faces=tuple(columns),
    )


def figure4(show: Show) -> Exhibit:
    """Rebuilt faces."""
    runs = {key: show.runs(Set.A, defence) for key, defence in show.defences.items()}
    columns = show.raw_column(runs[RowKey(Measured.UNDEFENDED)])
    found: list[Row] = []
    for key, held in runs.items():
        columns += show.rebuilt_columns(str(key), held)
        found += make_rows(held, key, (FACES,))
    return Exhibit(
        Name.FIGURE_4,
        "Figure 4: rebuilt faces",
        "Test pictures of people whom no training saw, and what reconstructors make of their "
        f"features, set {show.panel(Set.A)}. DeepObfuscator is shown twice: as its game's own AR "
        "sees it, which is the paper's column, and as a fresh reconstructor does.",
        tuple(found),
        faces=tuple(columns),
        notes=show.noise_note(),
    )


def figure5(show: Show) -> Exhibit:
    """The perceptual study, answered by machines."""
    key = RowKey(Measured.DEEPOBFUSCATOR, by=Participant.PEOPLE)
    people = Row(Panel(Part.RANDOM), key, IDENTITY, FOUR_WAY, majority=1 / OPTIONS)
    found = [replace(people, published=published.FIGURE_5)]
    columns: list[Column] = []
    for key, defence in show.defences.items():
        specs = show.specs(Set.A, defence, "reidentify")
        specs = [spec for spec in specs if show.read(spec) is not None]
        modes: tuple[Mode, ...] = ("random", "matched") if specs else ()
        for mode in modes:
            more, example = show.machine(specs, key, mode)
            found += more
            if not more:
                show.missing.append(
                    f"no {mode} options: too few people, or nobody is on two pictures"
                )
            columns = columns or example
    return Exhibit(
        Name.FIGURE_5,
        "Figure 5: who is it? The perceptual study",
        "Each question shows a face as a fresh mirror rebuilds it, and four raw pictures of "
        "different people, one of them the person. People answered in the paper (28 %, 40 "
        "participants, 10 questions); here machine participants answer twelve sheets, each about "
        "a quarter of the test part's people (200 at most). In the random mode, the paper's, the "
        "answer is the very picture that was rebuilt, and the background alone gives it away. In "
        "the matched mode it is another picture of the person, and the four share gender, hair "
        "and the like as far as the data tells and have backgrounds alike. “In the game” is what "
        "the machines answer when they are shown what the game's own AR rebuilt, as the paper's "
        "people were.",
        tuple(found),
        faces=tuple(columns) if show.faces else (),
        notes=(
            "deepobfuscator survey asks people the same questions.",
            "The published figure is of people, not of a machine.",
        ),
    )


def figure6(show: Show) -> Exhibit:
    """Losses through the game."""
    found: list[Curve] = []
    for of in Set:
        for run in show.runs(of, DeepObfuscator())[:1]:
            found += make_curves(run, show.panel(of), LOSSES, GAME)
    return Exhibit(
        Name.FIGURE_6,
        "Figure 6: losses in the game",
        "L(C), L(AC) and L(AR1), the paper's L(AR), each the mean over the batches since the last "
        "point: every 100 batches as in the paper, or 20 points a phase where a phase is shorter "
        "than 2,000. Sums over attributes, as equations 1 and 3 print them.",
        curves=tuple(found),
        notes=(
            "The paper reports L(AC) and L(AR) rising from about .02 to .6 and L(C) rising "
            "slightly.",
            *(("The first seed's games are shown.",) if len(show.trials.seeds) > 1 else ()),
            "A rising adversary's loss says that this adversary was beaten, not that nobody can "
            "read the features.",
        ),
    )


def figure7(show: Show) -> Exhibit:
    """Accuracy of every attribute on the six sets."""
    found = list[Row]()
    for of in Set:
        try:
            task = show.trials.task(of)
        except InputError as error:
            show.missing.append(str(error))
            continue
        names = (*task.public, *task.private)
        for key, defence in show.defences.items():
            paper = published.FIGURE_7.get((of, key.of), {})
            known = {plain(name): value for (name, _), value in paper.items()}
            told = {(n, ACCURACY): known[plain(n)] for n in names if plain(n) in known}
            wanted = [(name, ACCURACY) for name in names]
            found += make_rows(show.runs(of, defence), key, wanted, show.panel(of), published=told)
    return Exhibit(
        Name.FIGURE_7,
        "Figure 7: accuracy of every attribute",
        "The service on public attributes; on private ones the game's own adversary classifier "
        "and the strongest attacker trained from scratch on the frozen encoder. Accuracy, as in "
        "the paper: its floor is the majority class, and above that what the public labels alone "
        "tell.",
        tuple(found),
        notes=(
            "The baselines do not depend on what is private: one trial serves both sets with the "
            "same public attributes, and its attackers read all private attributes at once.",
            *show.noise_note(),
        ),
    )
