"""The paper's figures: how each is made of finished runs."""

from dataclasses import replace

from deepobfuscator.core.errors import InputError
from deepobfuscator.core.records import IMAGE
from deepobfuscator.paper import published
from deepobfuscator.paper.exhibits import (
    ACCURACY,
    MS_SSIM,
    Show,
    noise_note,
    raw_column,
    rebuilt_columns,
    title_of,
)
from deepobfuscator.paper.published import DEEPOBFUSCATOR, UNDEFENDED
from deepobfuscator.paper.render.exhibit import Column, Curve, Exhibit, Line
from deepobfuscator.paper.render.rows import curves, line, lines
from deepobfuscator.paper.trials import PRIVATE, PUBLIC, SETS, plain
from deepobfuscator.survey.questions import OPTIONS, Mode

IN_GAME_READER = "from-images reconstructor=in-game"
GAME = "algorithm 1"
LOSSES = ("L_C", "L_AC", "L_AR1", "L_AR2")


def figure2(show: Show) -> Exhibit:
    """One-sided defences."""
    book = show.book
    one_sided = {
        "Neither": lambda: book.undefended("a"),
        "Attributes alone": lambda: book.game("a", lambda2=0.0),
        "Reconstruction alone": lambda: book.game("a", lambda1=0.0),
        "Both at once": lambda: book.game("a"),
    }
    found: list[Line] = []
    runs = {row: show.runs(ask) for row, ask in one_sided.items()}
    gender = book.private[0] or ""
    for row, held in runs.items():
        found += lines(held, row, ((gender, ACCURACY), (IMAGE, MS_SSIM)))
    alone = runs["Reconstruction alone"]
    told = published.FIGURE_2 if plain(gender) == plain(PRIVATE[0]) else None
    for row, attack, figure in (
        ("… read from AR's pictures", IN_GAME_READER, told),
        ("… read from a fresh mirror's pictures", "from-images", None),
    ):
        more = line(alone, row, gender, ACCURACY, "", figure, attack)
        found += [more] if more else []
    columns = [
        *raw_column(show, runs["Neither"]),
        *rebuilt_columns(show, "attributes alone", runs["Attributes alone"]),
        *rebuilt_columns(show, "reconstruction alone", alone),
    ]
    return Exhibit(
        "figure2",
        "Figure 2: defending against one attack alone",
        f"What is read and rebuilt when the game is played against AC alone (λ2 = 0), against AR "
        f"alone (λ1 = 0), or against both; set {title_of(show, 'a')}. The paper reads {gender} at "
        "93.7 % from the pictures that AR rebuilds under the reconstruction-only defence: the "
        "same is measured here by a network trained on AR's pictures, on a fresh mirror's, and on "
        "the features.",
        tuple(found),
        faces=tuple(columns),
    )


def figure4(show: Show) -> Exhibit:
    """Rebuilt faces."""
    rows = show.rows("a")
    columns = raw_column(show, rows[UNDEFENDED][1])
    found: list[Line] = []
    for row, runs in rows.values():
        columns += rebuilt_columns(show, row, runs)
        found += lines(runs, row, ((IMAGE, MS_SSIM),))
    return Exhibit(
        "figure4",
        "Figure 4: rebuilt faces",
        "Test pictures of people whom no training saw, and what reconstructors make of their "
        f"features, set {title_of(show, 'a')}. DeepObfuscator is shown twice: as its game's own AR "
        "sees it, which is the paper's column, and as a fresh reconstructor does.",
        tuple(found),
        faces=tuple(columns),
        notes=noise_note(show),
    )


def figure5(show: Show) -> Exhibit:
    """The perceptual study, answered by machines."""
    people = Line("random options", f"{DEEPOBFUSCATOR}, people", "identity", "four_way")
    people = replace(people, published=published.FIGURE_5, majority=1 / OPTIONS)
    book, found = show.book, [people]
    columns: list[Column] = []
    for name, ask in {
        DEEPOBFUSCATOR: lambda: book.game("a"),
        UNDEFENDED: lambda: book.undefended("a"),
        show.noise_row: lambda: book.noise("a"),
    }.items():
        needs = [need for need in show.needs(ask) if show.read(need) is not None]
        modes: tuple[Mode, ...] = ("random", "matched") if needs else ()
        for mode in modes:
            more, example = show.machine(needs, name, mode)
            found += more
            if not more:
                show.missing.append(
                    f"no {mode} options: too few people, or nobody is on two pictures"
                )
            columns = columns or example
    return Exhibit(
        "figure5",
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
    for letter in SETS:
        runs = show.runs(lambda letter=letter: show.book.game(letter))  # type: ignore[misc]
        if runs:
            found += curves(runs[0], title_of(show, letter), LOSSES, GAME)
    return Exhibit(
        "figure6",
        "Figure 6: losses in the game",
        "L(C), L(AC) and L(AR1), the paper's L(AR), each the mean over the batches since the last "
        "point: every 100 batches as in the paper, or 20 points a phase where a phase is shorter "
        "than 2,000. Sums over attributes, as equations 1 and 3 print them.",
        curves=tuple(found),
        notes=(
            "The paper reports L(AC) and L(AR) rising from about .02 to .6 and L(C) rising "
            "slightly.",
            *(("The first seed's games are shown.",) if len(show.book.seeds) > 1 else ()),
            "A rising adversary's loss says that this adversary was beaten, not that nobody can "
            "read the features.",
        ),
    )


def figure7(show: Show) -> Exhibit:
    """Accuracy of every attribute on the six sets."""
    book, found = show.book, list[Line]()
    for letter in SETS:
        try:
            task = book.task(letter)
        except InputError as error:
            show.missing.append(str(error))
            continue
        roles = {PRIVATE[0]: "gender", PUBLIC[0]: "smile"}
        known = {plain(name): role for name, role in roles.items()}
        for name, (row, runs) in show.rows(letter).items():
            paper = published.FIGURE_7.get((letter, name), {})
            names = (*task.public, *task.private)
            told = {(s, ACCURACY): paper[r] for s in names if (r := known.get(plain(s))) in paper}
            wanted = [(s, ACCURACY) for s in names]
            found += lines(runs, row, wanted, title_of(show, letter), told)
    return Exhibit(
        "figure7",
        "Figure 7: accuracy of every attribute",
        "The service on public attributes; on private ones the game's own adversary classifier "
        "and the strongest attacker trained from scratch on the frozen encoder. Accuracy, as in "
        "the paper: its floor is the majority class, and above that what the public labels alone "
        "tell.",
        tuple(found),
        notes=(
            "The baselines do not depend on what is private: one trial serves both sets with the "
            "same public attributes, and its attackers read all private attributes at once.",
            *noise_note(show),
        ),
    )
