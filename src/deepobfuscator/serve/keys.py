"""API keys, their rates and daily budgets, in a SQLite file that survives a kill.

An attacker learns by querying, so what counts is pictures, not requests. Keys are drawn here with
256 random bits, which makes a plain hash as hard to turn back as any.
"""

import hashlib
import secrets
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from deepobfuscator.core.errors import InputError

PREFIX = "dok_"
SCHEMA = """
CREATE TABLE IF NOT EXISTS keys (
  hash TEXT PRIMARY KEY, name TEXT NOT NULL, per_minute INTEGER, per_day INTEGER,
  made TEXT NOT NULL, revoked TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS used (
  hash TEXT NOT NULL, period TEXT NOT NULL, pictures INTEGER NOT NULL, PRIMARY KEY (hash, period)
) WITHOUT ROWID;
"""


class SpentError(Exception):
    """A key has no pictures left for now."""

    def __init__(self, what: str, wait: int) -> None:
        super().__init__(what)
        self.wait = wait
        """Seconds until it has some again."""


@dataclass(frozen=True)
class Key:
    """What is known of a key; the key itself is not."""

    hash: str
    """Hexadecimal SHA-256."""
    name: str
    """Whose it is."""
    per_minute: int | None
    """Pictures a minute; None: any number."""
    per_day: int | None
    """Pictures a day (UTC); None: any number."""
    made: str
    """When, UTC."""
    revoked: str | None
    """When, UTC; None while it is good."""


class Keys:
    """The keys in a file; ``made`` tells whether there must be one already.

    Raises:
        InputError: there is none, or it cannot be used.
    """

    def __init__(self, path: Path, *, make: bool = False) -> None:
        if not make and not path.is_file():
            raise InputError(f"no keys in {path}: make one (deepobfuscator keys {path} add NAME)")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.base = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self.base.execute("PRAGMA journal_mode=WAL")
            self.base.execute("PRAGMA synchronous=NORMAL")
            self.base.execute("PRAGMA busy_timeout=2000")
            self.base.executescript(SCHEMA)
        except (sqlite3.Error, OSError) as error:
            raise InputError(f"cannot use the keys in {path}: {error}") from None

    def close(self) -> None:
        """Let go of the file."""
        self.base.close()

    def add(self, name: str, per_minute: int | None = None, per_day: int | None = None) -> str:
        """A new key; this is the only time that it is known.

        Raises:
            InputError: a rate or budget below 1, or no name.
        """
        if not name or any(limit is not None and limit < 1 for limit in (per_minute, per_day)):
            raise InputError("a key needs a name, and limits of at least one picture")
        key = PREFIX + secrets.token_urlsafe(32)
        row = (digest(key), name, per_minute, per_day, now().isoformat(timespec="seconds"))
        self.base.execute("INSERT INTO keys VALUES (?, ?, ?, ?, ?, NULL)", row)
        return key

    def revoke(self, name: str) -> int:
        """Revoke every key of that name; gives how many were good until now."""
        when = now().isoformat(timespec="seconds")
        done = self.base.execute(
            "UPDATE keys SET revoked = ? WHERE name = ? AND revoked IS NULL", (when, name)
        )
        return done.rowcount

    def all(self) -> list[tuple[Key, int]]:
        """Every key, with the pictures of today."""
        rows = self.base.execute(
            "SELECT keys.*, COALESCE(pictures, 0) FROM keys LEFT JOIN used ON used.hash = keys.hash"
            " AND period = ? ORDER BY made, name",
            (day(now()),),
        )
        return [(Key(*row[:-1]), row[-1]) for row in rows]

    def find(self, key: str) -> Key | None:
        """The good key that was sent; None without one."""
        row = self.base.execute(
            "SELECT * FROM keys WHERE hash = ? AND revoked IS NULL", (digest(key),)
        ).fetchone()
        return Key(*row) if row else None

    def spend(self, key: Key, pictures: int) -> None:
        """Count pictures against a key's rate and budget, before they are answered.

        Raises:
            SpentError: it has fewer left; nothing is counted then.
        """
        at = now()
        next_day = (at + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        periods = (
            ("pictures a minute", at.strftime("%Y-%m-%dT%H:%M"), key.per_minute, 60 - at.second),
            ("pictures a day", day(at), key.per_day, 1 + int((next_day - at).total_seconds())),
        )
        self.base.execute("BEGIN IMMEDIATE")
        try:
            for what, period, most, wait in periods:
                (used,) = self.base.execute(
                    "INSERT INTO used VALUES (?, ?, ?) ON CONFLICT (hash, period) DO UPDATE SET"
                    " pictures = pictures + excluded.pictures RETURNING pictures",
                    (key.hash, period, pictures),
                ).fetchone()
                if most is not None and used > most:
                    raise SpentError(f"{used - pictures} of {most} {what} are used", wait)
            # Past minutes are dropped; days are kept for the owner of the service.
            self.base.execute(
                "DELETE FROM used WHERE hash = ? AND length(period) > 10 AND period < ?",
                (key.hash, periods[0][1]),
            )
        except BaseException:
            self.base.execute("ROLLBACK")
            raise
        self.base.execute("COMMIT")


def digest(key: str) -> str:
    """Hexadecimal SHA-256."""
    return hashlib.sha256(key.encode()).hexdigest()


def now() -> datetime:
    """The time, UTC."""
    return datetime.now(UTC)


def day(at: datetime) -> str:
    """The period of a daily budget."""
    return at.strftime("%Y-%m-%d")
