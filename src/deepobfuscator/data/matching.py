"""Which file a row of a list means, where its spelling differs from the file's name."""

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import cache
from typing import TypeAlias

from PIL import Image

Key: TypeAlias = tuple[str, ...]
"""The parts of a path, last first, without the ending and whatever else spellings differ in."""

ROWS = 100
"""Rows from which a folder is told that all rows leave out, or name in addition."""


@cache
def picture_endings() -> frozenset[str]:
    """Endings, in small letters, of files that count as pictures: whatever Pillow reads, and HEIC.

    A row of a list may name a file with any other ending, too.
    """
    Image.init()
    read = {name for name in Image.OPEN if Image.MIME.get(name, "").startswith("image/")}
    known = Image.registered_extensions().items()
    return frozenset({"heic", "heif"} | {ending[1:] for ending, name in known if name in read})


def is_picture(name: str) -> bool:
    """Whether a file of that name counts as a picture."""
    return stem(name) != name


def stem(name: str) -> str:
    """``name`` without the ending of a picture."""
    before, _, ending = name.rpartition(".")
    return before if ending.lower() in picture_endings() else name


def match(
    rows: Sequence[str], exact: Sequence[str | None], files: Collection[str]
) -> list[str | None]:
    """For each row the file that it means; None where there is none, or not just one.

    Its ending may differ, the case of letters, their Unicode form and the kind of slashes. Where no
    row fits like that, all rows may leave out one and the same folder, or name one too many.

    Args:
        rows: as a list writes them.
        exact: the files of those that need no guess.
        files: names of all files.
    """
    if None not in exact:
        return list(exact)
    by_key: dict[Key, list[str]] = defaultdict(list)
    for name in set(files).difference(exact):
        if is_picture(name):
            by_key[_key(name)].append(name)
    keys = [_key(row) for row in rows]
    strangers = not any(exact) and not any(key in by_key for key in keys)
    if strangers and (shift := _shift(keys[:ROWS], by_key)):
        keys = [shift(key) for key in keys]
    found = [by_key.get(key, []) for key in keys]
    guessed = [names[0] if len(names) == 1 else None for names in found]
    return [name or guess for name, guess in zip(exact, guessed, strict=True)]


def _key(name: str) -> Key:
    path = unicodedata.normalize("NFC", stem(name).replace("\\", "/")).casefold()
    return tuple(part for part in reversed(path.split("/")) if part not in ("", "."))


def _shift(keys: Sequence[Key], files: Iterable[Key]) -> Callable[[Key], Key] | None:
    """What makes files' keys of rows' keys, if one and the same folder does."""
    by_last: dict[str, list[Key]] = defaultdict(list)
    for file in files:
        by_last[file[0]].append(file)
    near = [(row, file) for row in keys if row for file in by_last.get(row[0], [])]
    more = {file[len(row) :] for row, file in near if file[: len(row)] == row}
    less = {row[len(file) :] for row, file in near if row[: len(file)] == file}
    if len(more) + len(less) != 1:
        return None
    if more:
        folder = more.pop()
        return lambda key: key + folder
    extra = less.pop()
    return lambda key: key[: -len(extra)] if key[-len(extra) :] == extra else key
