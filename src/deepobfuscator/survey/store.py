"""The answers of a study, in one SQLite file that outlives any restart.

A participant is a random cookie that only their browser holds. The file keeps a keyed hash of it,
from which all that is theirs follows: the order of questions and options and every address they
see. So nothing has to be stored before there is an answer, and one participant's addresses tell
nothing about another's.
"""

import hmac
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepobfuscator import InputError
from deepobfuscator.survey.questions import OPTIONS, Sheet

VERSION = 1
"""Of the tables."""

PATIENCE = 30.0
"""Seconds to wait for another process that writes."""

TABLES = """
CREATE TABLE study (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE participant (
  id TEXT PRIMARY KEY, consented REAL NOT NULL, finished REAL
) WITHOUT ROWID;
CREATE TABLE answer (
  participant TEXT NOT NULL REFERENCES participant ON DELETE CASCADE,
  question INTEGER NOT NULL,
  choice INTEGER NOT NULL,
  seconds REAL NOT NULL,
  PRIMARY KEY (participant, question)
) WITHOUT ROWID;
CREATE TABLE machine (
  name TEXT NOT NULL, question INTEGER NOT NULL, choice INTEGER NOT NULL,
  PRIMARY KEY (name, question)
) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Participant:
    """A participant's progress."""

    id: str
    """Keyed hash of their cookie."""
    answered: frozenset[int]
    """Questions."""
    finished: bool
    """Whether their sheet is complete."""


@dataclass(frozen=True)
class Answer:
    """One option chosen, 0..3, numbered as on the sheet."""

    participant: str
    question: int
    choice: int
    seconds: float
    """From showing the question to the answer."""
    counts: bool
    """Whether the participant's sheet is complete."""


class Store:
    """Opens a study's database, or begins it; safe to share between threads.

    Raises:
        InputError: no such database, or one that belongs to another sheet.
    """

    def __init__(self, path: Path, sheet: Sheet) -> None:
        self.sheet = sheet
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(
                path, timeout=PATIENCE, isolation_level=None, check_same_thread=False
            )
            try:
                held = self._open()
            except BaseException:
                self._db.close()
                raise
        except (OSError, sqlite3.Error) as error:
            raise InputError(f"cannot keep answers in {path}: {error}") from error
        if (held.get("version"), held.get("sheet")) != (str(VERSION), sheet.key):
            self._db.close()
            raise InputError(
                f"{path} holds the answers to another sheet: move it away, or serve its own sheet"
            )
        self._secret = bytes.fromhex(held["secret"])

    def _open(self) -> dict[str, str]:
        self._db.execute("PRAGMA journal_mode = WAL")
        # Not a single answer may be lost, not even to a power cut.
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("PRAGMA foreign_keys = ON")
        # What a participant deletes is overwritten, not left in free pages.
        self._db.execute("PRAGMA secure_delete = ON")
        with self._transaction() as db:
            if not db.execute("SELECT 1 FROM sqlite_master").fetchone():
                for statement in TABLES.split(";"):
                    db.execute(statement)
                begun = {"version": str(VERSION), "sheet": self.sheet.key}
                begun["secret"] = secrets.token_hex(32)
                db.executemany("INSERT INTO study VALUES (?, ?)", begun.items())
            return dict(db.execute("SELECT key, value FROM study"))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, one at a time."""
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            yield self._db

    def mark(self, *what: object) -> str:
        """32 hexadecimal digits that stand for ``what`` and tell nothing of it."""
        message = "\0".join(map(str, what)).encode()
        return hmac.new(self._secret, message, "sha256").hexdigest()[:32]

    def order(self, participant: str) -> list[int]:
        """Questions, in the order in which the participant gets them."""
        return sorted(range(len(self.sheet)), key=lambda q: self.mark("order", participant, q))

    def options(self, participant: str, question: int) -> list[int]:
        """Options of a question, in the order in which the participant sees them."""
        return sorted(range(OPTIONS), key=lambda o: self.mark("options", participant, question, o))

    def begin(self) -> str:
        """Note a consent; returns the new participant's cookie, 256 random bits."""
        cookie = secrets.token_urlsafe(32)
        with self._transaction() as db:
            row = (self._id(cookie), time.time())
            db.execute("INSERT INTO participant VALUES (?, ?, NULL)", row)
        return cookie

    def _read(self, query: str, *values: str) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._db.execute(query, values).fetchall()

    def participant(self, cookie: str) -> Participant | None:
        """The participant with a cookie; None if there is none."""
        name = self._id(cookie)
        rows = self._read(
            "SELECT finished IS NOT NULL, question FROM participant"
            " LEFT JOIN answer ON participant = id WHERE id = ?",
            name,
        )
        answered = frozenset(question for _, question in rows if question is not None)
        return Participant(name, answered, bool(rows[0][0])) if rows else None

    def answer(self, participant: str, question: int, choice: int, seconds: float) -> None:
        """Keep an answer unless the question has one, and complete the sheet with the last one."""
        with self._transaction() as db:
            db.execute(
                "INSERT INTO answer SELECT id, ?, ?, ? FROM participant WHERE id = ?"
                " ON CONFLICT DO NOTHING",
                (question, choice, seconds, participant),
            )
            db.execute(
                "UPDATE participant SET finished = ? WHERE id = ? AND finished IS NULL"
                " AND (SELECT count(*) FROM answer WHERE participant = id) = ?",
                (time.time(), participant, len(self.sheet)),
            )

    def forget(self, participant: str) -> None:
        """Delete a participant with all answers."""
        with self._transaction() as db:
            db.execute("DELETE FROM participant WHERE id = ?", (participant,))

    def started(self) -> int:
        """Participants who agreed to take part."""
        return int(self._read("SELECT count(*) FROM participant")[0][0])

    def answers(self) -> list[Answer]:
        """People's answers, in the order of their ids and questions."""
        rows = self._read(
            "SELECT participant, question, choice, seconds, finished IS NOT NULL"
            " FROM answer JOIN participant ON id = participant ORDER BY 1, 2"
        )
        return [Answer(name, q, choice, s, bool(done)) for name, q, choice, s, done in rows]

    def put_machine(self, name: str, choices: Iterable[int]) -> None:
        """Keep a machine's answers in place of its earlier ones.

        Raises:
            ValueError: not one option for each question.
        """
        chosen = [int(choice) for choice in choices]
        if len(chosen) != len(self.sheet) or not set(chosen) <= set(range(OPTIONS)):
            raise ValueError(f"{name}: not one option for each of {len(self.sheet)} questions")
        with self._transaction() as db:
            db.execute("DELETE FROM machine WHERE name = ?", (name,))
            rows = [(name, q, choice) for q, choice in enumerate(chosen)]
            db.executemany("INSERT INTO machine VALUES (?, ?, ?)", rows)

    def machines(self) -> dict[str, NDArray[np.int64]]:
        """By name, the (count,) options that each machine chose."""
        chosen: dict[str, list[int]] = {}
        for name, choice in self._read("SELECT name, choice FROM machine ORDER BY name, question"):
            chosen.setdefault(name, []).append(choice)
        return {name: np.array(choices) for name, choices in chosen.items()}

    def _id(self, cookie: str) -> str:
        return self.mark("participant", cookie)
