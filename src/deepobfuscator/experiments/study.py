"""The perceptual study's sheets, made of audited runs; and the machines that answer them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepobfuscator import bundle as bundles
from deepobfuscator.attacks.identify import Reidentify, can_tell_people, trial_rows
from deepobfuscator.audit import Audit
from deepobfuscator.data.batches import Data
from deepobfuscator.errors import InputError
from deepobfuscator.experiments.trial import Trial
from deepobfuscator.experiments.workshop import Workshop
from deepobfuscator.keeping import as_pixels, paint
from deepobfuscator.knowledge import Part
from deepobfuscator.report.exhibit import Column, Line
from deepobfuscator.runtime import locked
from deepobfuscator.scoring import Scorer
from deepobfuscator.survey import machine
from deepobfuscator.survey.questions import MOST_QUESTIONS, OPTIONS, Drawn, Mode, Sheet, draw

LOOKS = (
    *("male", "blackhair", "blondhair", "brownhair", "grayhair", "bald", "wearinghat", "bangs"),
    *("eyeglasses", "beard", "nobeard", "young", "wavyhair", "straighthair", "paleskin"),
)
"""What options of the matched mode share, the most important first, by plain names."""

EMBEDDING, PIXELS, BACKGROUND = MACHINES = ("face embedding", "pixels", "background alone")
"""Machine participants."""

DRAWS = 12
"""Sheets that machines answer for a figure: each asks about other people."""


@dataclass(frozen=True)
class Faces:
    """One picture of everybody on the test part, and what a run's features give back of it."""

    name: str
    """The run's defence."""
    raw: NDArray[np.uint8]
    """(N, H, W, 3) in 0..255."""
    rebuilt: NDArray[np.uint8]
    """The same by the fresh mirror."""
    looks: NDArray[np.uint8]
    """(N, k) attributes that options may share."""
    look_names: tuple[str, ...]
    """Their names."""
    embedded: NDArray[np.float32] | None
    """(N, d) faces as a recogniser embeds the rebuilt pictures; None without people to learn."""
    gallery: NDArray[np.float32] | None
    """(N, d) the raw pictures likewise."""

    def sheet(self, drawn: Drawn, mode: Mode, seed: int) -> Sheet:
        """The questions as participants see them."""
        asked = drawn.rows[np.arange(len(drawn.rows)), drawn.answer]
        return Sheet(
            defence=(self.name,) * len(asked),
            rebuilt=self.rebuilt[asked],
            options=self.raw[drawn.rows],
            answer=drawn.answer,
            mode=mode,
            seed=seed,
            agreed=drawn.agreed,
            looks=self.look_names,
        )

    def draw(self, count: int, mode: Mode, seed: int) -> Drawn:
        """Questions about people drawn at random."""
        return draw(self.raw, np.arange(len(self.raw)), self.looks, count, mode, seed)

    def embedding(self, drawn: Drawn) -> NDArray[np.int64] | None:
        """What the face embedding answers."""
        if self.embedded is None or self.gallery is None:
            return None
        asked = drawn.rows[np.arange(len(drawn.rows)), drawn.answer]
        return machine.nearest(self.embedded[asked], self.gallery[drawn.rows])


def faces(shop: Workshop, folder: Path, recogniser: bool) -> Faces:
    """Rebuild a face of everybody on the test part from a trained run's features.

    Args:
        shop: where networks compute.
        folder: a run; a mirror is fitted to it first where its audit left none.
        recogniser: whether to train one where the audit left none.

    Raises:
        InputError: nothing trained there.
    """
    if not (folder / "trial.json").is_file():
        raise InputError(f"{folder} holds no run: train one first (deepobfuscator train)")
    trial = Trial.read(folder / "trial.json")
    bundles.check(folder / "bundle")
    run = shop.on(trial, folder)
    data = shop.data(trial, run)
    with locked(folder):
        players = trial.defence.players(trial.task, trial.setting, run)
        bundle = bundles.load(folder / "bundle", players, run)
        seed, task = trial.setting.seed, trial.task
        scorer = Scorer(trial.key, trial.defence.name, seed, task, data, run)
        audit = Audit(bundle, task, data, trial.setting, folder / "audit", run, scorer)
        decoder = audit.threat.decoder
        assert decoder is not None
        known = trial_rows(audit.test.person)[0]
        rebuilt = as_pixels(paint(decoder(), audit.test, run, known))
        embedded = gallery = None
        part = Part(Reidentify())
        if can_tell_people(audit.test) and (recogniser or (audit.folder / part.file).exists()):
            guessed = audit.guesses(part)
            embedded, gallery = guessed["test"][known], guessed["test_gallery"]
    names, values = looks(trial, data)
    raw = np.ascontiguousarray(data.test.pictures[known])
    return Faces(trial.defence.name, raw, rebuilt, values[known], names, embedded, gallery)


def looks(trial: Trial, data: Data) -> tuple[tuple[str, ...], NDArray[np.uint8]]:
    """Names and values (n, k) of the test part's attributes that options may share."""
    test = data.test
    names = [*trial.task.public, *trial.task.private, *data.undeclared]
    blocks = [test.public, test.private]
    blocks += [] if test.undeclared is None else [test.undeclared]
    values = np.concatenate(blocks, 1)
    plain = ["".join(c for c in name.lower() if c.isalnum()) for name in names]
    found = [plain.index(look) for look in LOOKS if look in plain]
    return tuple(names[i] for i in found), values[:, found]


def build(
    shop: Workshop, folders: Sequence[Path], count: int, mode: Mode, seed: int
) -> tuple[Sheet, dict[str, list[int]]]:
    """A sheet about one run or several, and what the machines answer that need more than it.

    Questions about several runs take turns; everybody is on one question alone.

    Args:
        shop: where networks compute.
        folders: runs on the same test pictures.
        count: questions.
        mode: how options are drawn.
        seed: of the draw.

    Raises:
        InputError: a folder holds no trained run, runs of different test pictures, or too few
            people.
    """
    shown = [faces(shop, folder, recogniser=True) for folder in folders]
    first = shown[0]
    for other, folder in zip(shown, folders, strict=True):
        if other.raw.shape != first.raw.shape or not np.array_equal(other.raw, first.raw):
            raise InputError(
                f"{folder} has other test pictures than {folders[0]}: ask about runs of the same "
                "data, size and split"
            )
    names = [one.name for one in shown]
    if len(set(names)) < len(names):
        shown = [
            replace(one, name=f"{one.name} ({folder.name})")
            for one, folder in zip(shown, folders, strict=True)
        ]
    drawn = first.draw(count, mode, seed)
    turn = np.arange(count) % len(shown)
    sheets = [one.sheet(drawn, mode, seed) for one in shown]
    picked = replace(
        sheets[0],
        defence=tuple(sheets[t].defence[q] for q, t in enumerate(turn)),
        rebuilt=np.stack([sheets[t].rebuilt[q] for q, t in enumerate(turn)]),
    )
    told = [one.embedding(drawn) for one in shown]
    answers: dict[str, list[int]] = {}
    if all(choices is not None for choices in told):
        answers[EMBEDDING] = [int(told[t][q]) for q, t in enumerate(turn)]  # type: ignore[index]
    return picked, answers


def machines(shown: Sequence[Faces], row: str, mode: Mode) -> list[Line]:
    """How often the machine participants are right about one defence, under several seeds.

    Every person is asked about in about a quarter of `DRAWS` sheets; people are the clusters of
    the interval.
    """
    right: dict[str, list[NDArray[np.bool_]]] = {}
    people: dict[str, list[NDArray[np.int64]]] = {}
    for one in shown:
        count = min(MOST_QUESTIONS, len(one.raw) // OPTIONS)
        if not count:
            return []
        for seed in range(DRAWS):
            drawn = one.draw(count, mode, seed)
            sheet = one.sheet(drawn, mode, seed)
            answers = {
                EMBEDDING: one.embedding(drawn),
                PIXELS: machine.pixels(sheet),
                BACKGROUND: machine.background(sheet),
            }
            for who, choices in answers.items():
                if choices is not None:
                    right.setdefault(who, []).append(choices == drawn.answer)
                    asked = drawn.rows[np.arange(count), drawn.answer]
                    people.setdefault(who, []).append(asked)
    found = []
    for who in MACHINES:
        if who in right:
            share = machine.share_right(np.concatenate(right[who]), np.concatenate(people[who]))
            found.append(
                Line(
                    panel=f"{mode} options",
                    row=f"{row}, {who}",
                    subject="identity",
                    metric="four_way",
                    fresh=share.share,
                    low=share.low,
                    high=share.high,
                    attacker=who,
                    majority=1 / OPTIONS,
                    seeds=len(shown),
                )
            )
    return found


def example(one: Faces, questions: int = 3) -> list[Column]:
    """Some questions as people see them: the rebuilt picture and its four options."""
    drawn = one.draw(min(questions, len(one.raw) // OPTIONS), "matched", 0)
    sheet = one.sheet(drawn, "matched", 0)
    letters = "bcde"
    return [
        Column("(a)", f"rebuilt, {one.name}", sheet.rebuilt),
        *(
            Column(f"({letters[k]})", "option", np.ascontiguousarray(sheet.options[:, k]))
            for k in range(OPTIONS)
        ),
    ]
