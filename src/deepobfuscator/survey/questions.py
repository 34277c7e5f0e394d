"""The questions of a study: who is asked, beside whom, and the sheet that holds the pictures.

Each question shows one reconstructed picture and four raw ones of different people. Which of the
four is reconstructed is drawn last and evenly, so that the options alone reveal nothing: a
participant who does not look at the reconstruction is right one time in four, whatever faces they
favour.
"""

import hashlib
import zipfile
import zlib
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from deepobfuscator import InputError, write_atomic

OPTIONS = 4
"""Raw pictures of a question, as in the paper."""

MOST_QUESTIONS = 200
"""More than anybody answers."""

STRIP = 0.1
"""Part of the picture's width (or height) that counts as its border."""

CANDIDATES = 200
"""Pictures of matching looks whose backgrounds are compared; reading all would take long."""

TEXTS = ("defence", "looks", "mode")
"""Fields of a sheet that hold text."""

Mode = Literal["matched", "random"]
Pictures = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Drawn:
    """Which pictures the questions show."""

    rows: NDArray[np.int64]
    """(count, 4) rows of the options; no person twice in the whole study."""
    answer: NDArray[np.int64]
    """(count,) 0..3: which option is rebuilt."""
    agreed: NDArray[np.int64]
    """(count,) how many leading columns of the looks all four share."""


def draw(
    pictures: Pictures,
    person: NDArray[np.int64],
    looks: NDArray[np.uint8],
    count: int,
    mode: Mode,
    seed: int,
) -> Drawn:
    """Four different people for each question.

    "matched" takes people who share all looks, and of those the ones with the most similar
    backgrounds; where too few are left, looks are given up from the last column. "random", the
    paper's way, takes anybody.

    ``pictures`` are (n, H, W, 3), a memory map is read sparingly; ``person`` (n,) is who is on
    them; ``looks`` (n, k) are attributes to match on, the most important first, k may be 0.

    Raises:
        InputError: too few people, or too many questions.
    """
    if not 1 <= count <= MOST_QUESTIONS:
        raise InputError(f"{count} questions: give 1 to {MOST_QUESTIONS}")
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(person))
    _, first = np.unique(person[order], return_index=True)
    if len(first) < OPTIONS * count:
        raise InputError(
            f"{count} questions need {OPTIONS * count} different people and there are "
            f"{len(first)}: ask at most {len(first) // OPTIONS} questions"
        )
    free = generator.permutation(order[first])
    rows = np.empty((count, OPTIONS), dtype=np.int64)
    for q in range(count):
        asked, others = free[0], free[1:]
        if mode == "matched":
            # Those who share as many leading looks as three people do.
            same = np.cumprod(looks[others] == looks[asked], axis=1).sum(axis=1)
            others = others[same >= np.sort(same)[1 - OPTIONS]][:CANDIDATES]
            border = borders(pictures[[asked, *others]])
            gap = np.square(border[1:] - border[0]).sum(axis=(1, 2))
            others = others[np.argsort(gap, kind="stable")]
        rows[q] = generator.permutation([asked, *others[: OPTIONS - 1]])
        free = free[~np.isin(free, rows[q])]
    shared = (looks[rows] == looks[rows[:, :1]]).all(axis=1)
    return Drawn(
        rows=rows,
        answer=generator.integers(OPTIONS, size=count),
        agreed=np.cumprod(shared, axis=1).sum(axis=1).astype(np.int64),
    )


def borders(pictures: Pictures) -> NDArray[np.float64]:
    """(n, 3, 3) mean colours, 0..255, of the left, right and top strips of (n, H, W, 3)."""
    height, width = pictures.shape[1:3]
    high, wide = max(1, round(STRIP * height)), max(1, round(STRIP * width))
    strips = (pictures[:, :, :wide], pictures[:, :, -wide:], pictures[:, :high])
    return np.stack([s.mean(axis=(1, 2), dtype=np.float64) for s in strips], axis=1)


def unlikeness(border: NDArray[np.float64]) -> NDArray[np.float64]:
    """(q,) root mean square difference, in grey levels, between the (q, m, 3, 3) `borders` of a
    question's pictures.
    """
    return np.asarray(np.sqrt(2 * border.var(axis=1, ddof=1).mean(axis=(1, 2))))


@dataclass(frozen=True, eq=False)
class Sheet:
    """All that a study shows, and the answers; who the people are it does not know.

    Raises:
        InputError: its parts do not fit together.
    """

    defence: tuple[str, ...]
    """(count,) whose features each question's picture was rebuilt from."""
    rebuilt: Pictures
    """(count, H, W, 3)"""
    options: Pictures
    """(count, 4, H, W, 3)"""
    answer: NDArray[np.int64]
    """(count,) 0..3: the option that was rebuilt."""
    mode: Mode
    """How the options were drawn."""
    seed: int
    """Of the draw."""
    agreed: NDArray[np.int64]
    """(count,) how many leading looks all four share."""
    looks: tuple[str, ...] = ()
    """Names of the attributes to match on."""

    def __post_init__(self) -> None:
        count = len(self.defence)
        picture = self.rebuilt.shape[1:]
        if not (
            1 <= count <= MOST_QUESTIONS
            and self.rebuilt.dtype == self.options.dtype == np.uint8
            and len(picture) == 3
            and picture[2] == 3
            and self.rebuilt.size
            and len(self.rebuilt) == count
            and self.options.shape == (count, OPTIONS, *picture)
            and self.answer.shape == self.agreed.shape == (count,)
            and ((self.answer >= 0) & (self.answer < OPTIONS)).all()
            and self.mode in get_args(Mode)
        ):
            raise InputError("the parts of this answer sheet do not fit together: draw it again")

    def __len__(self) -> int:
        return len(self.defence)

    @cached_property
    def key(self) -> str:
        """Hash of all that it holds."""
        digest = hashlib.sha256()
        for name, array in self._arrays().items():
            digest.update(f"{name} {array.dtype.str} {array.shape} ".encode())
            digest.update(array.tobytes())
        return digest.hexdigest()

    @property
    def every_option(self) -> Pictures:
        """(count * 4, H, W, 3), question after question."""
        return self.options.reshape(-1, *self.options.shape[2:])

    def backgrounds(self) -> tuple[float, float]:
        """`unlikeness` in grey levels, of a question's options and of any options of the study."""
        border = borders(self.every_option)
        within = unlikeness(border.reshape(len(self), OPTIONS, 3, 3))
        return float(within.mean()), float(unlikeness(border[None])[0])

    def save(self, path: Path) -> None:
        """Write one ``.npz`` without pickles, whole or not at all.

        Raises:
            InputError: it cannot be written.
        """

        def write(temporary: Path) -> None:
            with open(temporary, "wb") as file:
                np.savez(file, **self._arrays())  # type: ignore[arg-type]

        write_atomic(path, write)

    @classmethod
    def load(cls, path: Path) -> "Sheet":
        """Read what `save` wrote.

        Raises:
            InputError: there is no such file, or it is not a sheet.
        """
        try:
            with open(path, "rb") as raw, np.load(raw, allow_pickle=False) as file:
                held = {field.name: file[field.name] for field in fields(cls)}
            return cls(
                defence=tuple(str(name) for name in held["defence"]),
                rebuilt=held["rebuilt"],
                options=held["options"],
                answer=held["answer"].astype(np.int64),
                mode=str(held["mode"]),  # type: ignore[arg-type]
                seed=int(held["seed"]),
                agreed=held["agreed"].astype(np.int64),
                looks=tuple(str(name) for name in held["looks"]),
            )
        except FileNotFoundError as error:
            raise InputError(f"{path}: no such file") from error
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        except (
            OSError, ValueError, TypeError, KeyError, EOFError, AttributeError, NotImplementedError,
            zipfile.BadZipFile, zlib.error,
        ) as error:  # fmt: skip
            raise InputError(f"{path} is no answer sheet, or broken: draw it again") from error

    def _arrays(self) -> dict[str, NDArray[np.generic]]:
        """Every field, in order; an empty tuple of names is text too."""
        return {
            f.name: np.asarray(getattr(self, f.name), np.str_ if f.name in TEXTS else None)
            for f in fields(self)
        }
