"""The perceptual study's sheets, made from audited runs; and the machines that answer them.

In the random mode, the paper's, the answer is the same picture that was reconstructed: its
background alone identifies it. In the matched mode it is another picture of the person.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

import deepobfuscator as do
from deepobfuscator.paper.keys import FOUR_WAY, IDENTITY, Panel, Part, Participant, RowKey
from deepobfuscator.paper.render.exhibit import Column, Row
from deepobfuscator.paper.trials import plain
from deepobfuscator.survey import machine
from deepobfuscator.survey.questions import MOST_QUESTIONS, OPTIONS, Drawn, Mode, Sheet, draw
from deepobfuscator.survey.scoring import share_right

Pixels = NDArray[np.uint8]
"""(N, H, W, 3) in 0..255."""

MODES: dict[Mode, Part] = {"random": Part.RANDOM, "matched": Part.MATCHED}

LOOKS = (
    *("male", "blackhair", "blondhair", "brownhair", "grayhair", "bald", "wearinghat", "bangs"),
    *("eyeglasses", "beard", "nobeard", "young", "wavyhair", "straighthair", "paleskin"),
)
"""Attributes shared by options of the matched mode, the most important first, by plain names."""

SEEING = {Participant.PIXELS: machine.pixels, Participant.BACKGROUND: machine.background}
"""Machine participants that see only the sheet."""

DRAWS = 12
"""Number of sheets that machines answer for a figure, each about different people."""


@dataclass(frozen=True)
class Faces:
    """One picture per test person, and its reconstruction from a run's features."""

    name: str
    """The run's defence."""
    raw: Pixels
    rebuilt: dict[Mode, Pixels]
    """By the newly trained mirror: of the same picture, and of another one of the person."""
    in_game: dict[Mode, Pixels]
    """The same by the game's own AR; empty if there was none."""
    pairs: NDArray[np.int64]
    """Rows of people with a second picture."""
    looks: NDArray[np.uint8]
    """(N, k) attributes that options may share."""
    look_names: tuple[str, ...]
    embedded: dict[Mode, NDArray[np.float32]]
    """(N, d) a recogniser's embeddings of `rebuilt`; empty without people to train on."""
    gallery: NDArray[np.float32] | None
    """(N, d) its embeddings of the raw pictures."""

    def sheet(self, drawn: Drawn, mode: Mode, seed: int, in_game: bool = False) -> Sheet:
        """The questions as participants see them."""
        rebuilt = self.in_game if in_game else self.rebuilt
        return Sheet(
            defence=(self.name,) * len(drawn.rows),
            rebuilt=rebuilt[mode][asked_of(drawn)],
            options=self.raw[drawn.rows],
            answer=drawn.answer,
            mode=mode,
            seed=seed,
            agreed=drawn.agreed,
            looks=self.look_names,
        )

    def draw(self, count: int, mode: Mode, seed: int) -> Drawn:
        """Questions about people drawn at random."""
        among = self.pairs if mode == "matched" else np.arange(len(self.raw))
        raw, looks = self.raw[among], self.looks[among]
        drawn = draw(raw, among, looks, count=count, mode=mode, seed=seed)
        return replace(drawn, rows=among[drawn.rows])

    def embedding(self, drawn: Drawn, mode: Mode) -> NDArray[np.int64] | None:
        """The answers of the face embedding."""
        if self.gallery is None:
            return None
        return machine.nearest(self.embedded[mode][asked_of(drawn)], self.gallery[drawn.rows])


def asked_of(drawn: Drawn) -> NDArray[np.int64]:
    """(count,) rows of the people in the questions."""
    return drawn.rows[np.arange(len(drawn.rows)), drawn.answer]


def faces(runner: do.Runner, folder: Path, recogniser: bool) -> Faces:
    """Reconstruct one face per test person from a trained run's features.

    If its audit kept no mirror, one is trained; likewise a recogniser, if requested.

    Raises:
        InputError: nothing trained there.
    """
    trial = do.Trial.of(folder)
    with do.locked(folder):
        audit = runner.opened(folder)
        test, decoder = audit.seen["test"], audit.threat.decoder
        assert decoder is not None

        def paint(network: Callable[[Tensor], Tensor], rows: NDArray[np.int64]) -> Pixels:
            pictures = do.apply(network, test.features_of(rows), audit.target.context)
            pixels: Pixels = (pictures.permute(0, 2, 3, 1).cpu().numpy() * 255).round().astype("u1")
            return pixels

        known = np.unique(test.person, return_index=True)[1].astype(np.int64)
        other, pairs = others(test.person, known)
        rows: dict[Mode, NDArray[np.int64]] = {"random": known, "matched": other}
        mirror, own = decoder(), audit.target.bundle.players.get("AR")
        rebuilt = {mode: paint(mirror, r) for mode, r in rows.items()}
        in_game = {mode: paint(own, r) for mode, r in rows.items() if own}
        embedded, gallery = dict[Mode, NDArray[np.float32]](), None
        spec = do.AttackSpec(do.Reidentify())
        told_apart = 2 <= len(known) < len(test)
        if told_apart and (recogniser or (audit.target.folder / spec.file).exists()):
            guessed = audit.guesses(spec)
            embedded = {mode: guessed["test"][r] for mode, r in rows.items()}
            gallery = guessed["test_gallery"]
    names, values = looks(trial, audit.target.data)
    return Faces(
        name=trial.defence.name,
        raw=np.ascontiguousarray(audit.target.data.test.pictures[known]),
        rebuilt=rebuilt,
        in_game=in_game,
        pairs=pairs,
        looks=values[known],
        look_names=names,
        embedded=embedded,
        gallery=gallery,
    )


def others(
    person: NDArray[np.int64], known: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Another picture of each person if there is one, else the same; and who has another.

    Args:
        person: (n,) the person on each picture.
        known: (N,) each person's first picture, by person.
    """
    rest = np.setdiff1d(np.arange(len(person)), known)
    again, at = np.unique(person[rest], return_index=True)
    other = known.copy()
    pairs = np.searchsorted(person[known], again)
    other[pairs] = rest[at]
    return other, pairs


def looks(trial: do.Trial, data: do.Parts) -> tuple[tuple[str, ...], NDArray[np.uint8]]:
    """Names and values (n, k) of the test part's attributes that options may share."""
    test = data.test
    task = trial.task.columns
    names = [*task.public, *task.private, *data.undeclared]
    blocks = [x for x in (test.public, test.private, test.undeclared) if x is not None]
    known = [plain(name) for name in names]
    found = [known.index(look) for look in LOOKS if look in known]
    return tuple(names[i] for i in found), np.concatenate(blocks, 1)[:, found]


def build(
    runner: do.Runner, folders: Sequence[Path], count: int, mode: Mode, seed: int
) -> tuple[Sheet, dict[str, list[int]]]:
    """A sheet about one or several runs, and the answers of machines that need more than the sheet.

    ``count`` questions alternate among the runs; each person is in one question only.

    Raises:
        InputError: a folder holds no trained run, runs of different test pictures, or too few
            people.
    """
    shown = [faces(runner, folder, recogniser=True) for folder in folders]
    first = shown[0]
    if mode == "matched" and not len(first.pairs):
        raise do.InputError(
            f"{folders[0]}: nobody is on two test pictures, so that no other picture of the person "
            "can be the answer: take --mode random"
        )
    for other, folder in zip(shown, folders, strict=True):
        if other.raw.shape != first.raw.shape or not np.array_equal(other.raw, first.raw):
            raise do.InputError(
                f"{folder} has other test pictures than {folders[0]}: ask about runs of the same "
                "data, size and split"
            )
    names = [one.name for one in shown]
    if len(set(names)) < len(names):
        names = [f"{name} ({path.name})" for name, path in zip(names, folders, strict=True)]
    drawn = first.draw(count, mode, seed)
    turns = [q % len(shown) for q in range(count)]
    rebuilt = [one.rebuilt[mode][asked_of(drawn)] for one in shown]
    sheet = replace(
        first.sheet(drawn, mode, seed),
        defence=tuple(names[t] for t in turns),
        rebuilt=np.stack([rebuilt[t][q] for q, t in enumerate(turns)]),
    )
    told = [choices for one in shown if (choices := one.embedding(drawn, mode)) is not None]
    if len(told) < len(shown):
        return sheet, {}
    return sheet, {Participant.EMBEDDING: [int(told[t][q]) for q, t in enumerate(turns)]}


def machines(shown: Sequence[Faces], key: RowKey, mode: Mode) -> list[Row]:
    """Accuracy of the machine participants on one defence, over several seeds.

    Each of `DRAWS` sheets asks about a quarter of the people, at most 200; people are the clusters
    of the interval.
    """
    right, fooled = (defaultdict[Participant, list[NDArray[np.bool_]]](list) for _ in range(2))
    people = defaultdict[Participant, list[NDArray[np.int64]]](list)
    for one in shown:
        among = len(one.pairs) if mode == "matched" else len(one.raw)
        count = min(MOST_QUESTIONS, among // OPTIONS)
        if not count:
            return []
        for seed in range(DRAWS):
            drawn = one.draw(count, mode, seed)
            sheet = one.sheet(drawn, mode, seed)
            answers = {who: choose(sheet) for who, choose in SEEING.items()}
            if (embedded := one.embedding(drawn, mode)) is not None:
                answers[Participant.EMBEDDING] = embedded
            for who, choices in answers.items():
                right[who].append(choices == drawn.answer)
                people[who].append(asked_of(drawn))
            if one.in_game:
                sheet = one.sheet(drawn, mode, seed, in_game=True)
                for who, choose in SEEING.items():
                    fooled[who].append(choose(sheet) == drawn.answer)
    found = []
    for who in (who for who in Participant if who in right):
        share = share_right(np.concatenate(right[who]), np.concatenate(people[who]))
        row = Row(
            panel=Panel(MODES[mode]),
            row=replace(key, by=who),
            subject=IDENTITY,
            metric=FOUR_WAY,
            fresh=share.share,
            low=share.low,
            high=share.high,
            attacker=who,
            majority=1 / OPTIONS,
            seeds=len(shown),
        )
        if who in fooled:
            own = share_right(np.concatenate(fooled[who]), np.concatenate(people[who]))
            row = replace(row, in_game=own.share, in_game_low=own.low, in_game_high=own.high)
        found.append(row)
    return found


def example(one: Faces, questions: int = 3) -> list[Column]:
    """Some questions as people see them: the reconstructed picture and its four options; none if
    too few people have two pictures.
    """
    if not (count := min(questions, len(one.pairs) // OPTIONS)):
        return []
    drawn = one.draw(count, "matched", 0)
    sheet = one.sheet(drawn, "matched", 0)
    options = np.ascontiguousarray(sheet.options.swapaxes(0, 1))
    return [
        Column("(a)", f"rebuilt, {one.name}", sheet.rebuilt),
        *(Column(f"({x})", "option", shown) for x, shown in zip("bcde", options, strict=True)),
    ]
