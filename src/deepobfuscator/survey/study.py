"""What a study found: a pure function of its sheet and the answers kept."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray

from deepobfuscator.survey.questions import OPTIONS, Sheet
from deepobfuscator.survey.scoring import Right, p_by_draw, share_right
from deepobfuscator.survey.store import Answer, Store

COLUMNS = ("participant", "question", "defence", "chosen", "right", "seconds", "mode", "finished")
"""Of the CSV."""


@dataclass(frozen=True)
class Tally:
    """Right answers to some questions."""

    people: Right
    """Other people, these questions: answers are clustered by participant."""
    questions: Right
    """The same answers, clustered by question: these people, other questions."""
    p_by_draw: float
    """Exact test that holds whomever people favour; see `scoring.p_by_draw`."""


@dataclass(frozen=True)
class Question:
    """What was answered to one question."""

    votes: list[int]
    """Answers for each of the four options."""
    right: Right | None
    """None without an answer."""
    seconds: float | None
    """Median time of an answer."""
    machines: dict[str, int]
    """Choice of each machine."""


@dataclass(frozen=True)
class Study:
    """Figures of all complete sheets."""

    started: int
    """People who agreed to take part."""
    finished: int
    """Those who answered every question."""
    everybody: Tally | None
    """None before the first complete sheet."""
    defences: dict[str, Tally | None]
    """By defence, in the sheet's order."""
    machines: dict[str, dict[str, Right]]
    """By machine and defence."""
    questions: list[Question]
    """In the sheet's order."""


def study(sheet: Sheet, store: Store) -> Study:
    """All figures of a study; only complete sheets of people count."""
    people = [answer for answer in store.answers() if answer.counts]
    machines = store.machines()
    asked = {
        name: [q for q, defence in enumerate(sheet.defence) if defence == name]
        for name in sheet.defence
    }
    return Study(
        started=store.started(),
        finished=len({answer.participant for answer in people}),
        everybody=_tally(sheet, people),
        defences={
            name: _tally(sheet, [a for a in people if a.question in some])
            for name, some in asked.items()
        },
        machines={
            machine: {
                name: share_right(chosen[some] == sheet.answer[some], some)
                for name, some in asked.items()
            }
            for machine, chosen in machines.items()
        },
        questions=[_question(sheet, q, people, machines) for q in range(len(sheet))],
    )


def _tally(sheet: Sheet, answers: Sequence[Answer]) -> Tally | None:
    if not answers:
        return None
    question = np.array([a.question for a in answers])
    choice = np.array([a.choice for a in answers])
    right = choice == sheet.answer[question]
    votes = np.zeros((len(sheet), OPTIONS), dtype=np.int64)
    np.add.at(votes, (question, choice), 1)
    return Tally(
        share_right(right, [a.participant for a in answers]),
        share_right(right, question),
        p_by_draw(votes, int(right.sum())),
    )


def _question(
    sheet: Sheet, q: int, people: Sequence[Answer], machines: Mapping[str, NDArray[np.int64]]
) -> Question:
    answers = [answer for answer in people if answer.question == q]
    chosen = [answer.choice for answer in answers]
    right = [choice == sheet.answer[q] for choice in chosen]
    return Question(
        votes=[chosen.count(option) for option in range(OPTIONS)],
        right=share_right(right, range(len(right))) if right else None,
        seconds=median(answer.seconds for answer in answers) if answers else None,
        machines={name: int(choices[q]) for name, choices in machines.items()},
    )


def to_csv(sheet: Sheet, store: Store) -> str:
    """One line per answer of a person, complete sheet or not, under `COLUMNS`.

    ``chosen`` is the option's number on the sheet, from 1, not where the participant saw it.
    """
    file = io.StringIO()
    lines = csv.writer(file, lineterminator="\n")
    lines.writerow(COLUMNS)
    for answer in store.answers():
        lines.writerow([
            answer.participant[:12],
            answer.question + 1,
            _plain(sheet.defence[answer.question]),
            answer.choice + 1,
            int(answer.choice == sheet.answer[answer.question]),
            f"{answer.seconds:.1f}",
            sheet.mode,
            int(answer.counts),
        ])  # fmt: skip
    return file.getvalue()


def _plain(text: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in "=+-@\t\r" and text else text
