"""Matching of list rows to files whose names are spelled differently."""

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import cache
from typing import TypeAlias

from PIL import Image

Key: TypeAlias = tuple[str, ...]
"""A path's components, last first, normalised for spelling, without the extension."""

ROWS = 100
"""Number of rows from which a folder is inferred that all rows omit, or add."""


@cache
def picture_endings() -> frozenset[str]:
    """Lower-case extensions of files that count as pictures: those that Pillow reads, and HEIC.

    A row of a list may also name a file with any other extension.
    """
    Image.init()
    read = {name for name in Image.OPEN if Image.MIME.get(name, "").startswith("image/")}
    known = Image.registered_extensions().items()
    return frozenset({"heic", "heif"} | {ending[1:] for ending, name in known if name in read})


def is_picture(name: str) -> bool:
    """Whether a file of that name counts as a picture."""
    return stem(name) != name


def stem(name: str) -> str:
    """``name`` without a picture's extension."""
    before, _, ending = name.rpartition(".")
    return before if ending.lower() in picture_endings() else name


def match(
    rows: Sequence[str], exact: Sequence[str | None], files: Collection[str]
) -> list[str | None]:
    """The file of each row; None if there is none, or more than one.

    Extension, letter case, Unicode form and slashes may differ. If no row matches like that, all
    rows may omit the same folder, or have one folder too many.

    Args:
        rows: names in the list.
        exact: the files of rows that match exactly.
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
    """The map from rows' keys to files' keys, if adding or dropping one folder does it."""
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
