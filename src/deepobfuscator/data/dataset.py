"""What a run is about: labelled pictures, what is public and private of them, how they are cut."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self, TypeAlias, TypedDict, Unpack

from numpy.typing import ArrayLike

from deepobfuscator.data.arrays import Arrays, Columns
from deepobfuscator.data.celeba import Celeba
from deepobfuscator.data.folder_csv import Folder
from deepobfuscator.data.lfw import Lfw
from deepobfuscator.data.synthetic import Synthetic
from deepobfuscator.data.table import Source, Task

Names: TypeAlias = str | Sequence[str]
"""One attribute or several."""


class Cut(TypedDict, total=False):
    """The fields of `Data` that say how pictures are cut."""

    size: tuple[int, int] | None
    limit: int | None
    split_seed: int
    protocol: str
    skip_bad: bool


@dataclass(frozen=True)
class Data:
    """Labelled pictures and the task set on them; nothing is read before it is needed.

    The constructors below take the fields from ``size`` on as keywords.
    """

    source: Source
    """Where the pictures come from."""
    task: Task
    """What is public and what is private."""
    size: tuple[int, int] | None = None
    """Height and width in px that pictures are fitted to; None leaves it to the encoder (64x64, or
    what an ONNX file declares)."""
    limit: int | None = None
    """Pictures of the training pool, whole people; validation shrinks in proportion, test stays."""
    split_seed: int = 0
    """Draws the people of a limit and of the parts."""
    protocol: str = "own"
    """own: the data's own partition where it has one; paper: 160K : 40K drawn anew."""
    skip_bad: bool = False
    """Go on without pictures that are missing, unreadable or unlabelled, and count them."""

    def resolved(self) -> Self:
        """With the names of the classes that its attributes have, where they have several.

        Raises:
            InputError: whatever is wrong with the labels.
        """
        if self.source.binary:
            return self
        return replace(self, task=self.task.resolved(self.source.read()))

    @classmethod
    def celeba(cls, path: str | Path, *, public: Names, private: Names, **cut: Unpack[Cut]) -> Self:
        """CelebA as it is published or as Kaggle packs it."""
        return cls(Celeba.parse(str(path)), Task.of(public, private), **cut)

    @classmethod
    def lfw(cls, path: str | Path, *, public: Names, private: Names, **cut: Unpack[Cut]) -> Self:
        """LFW with the Kumar et al. attributes (positive is 1)."""
        return cls(Lfw.parse(str(path)), Task.of(public, private), **cut)

    @classmethod
    def folder(cls, path: str | Path, *, public: Names, private: Names, **cut: Unpack[Cut]) -> Self:
        """A folder of pictures with a ``labels.csv``, or as Hugging Face has them."""
        return cls(Folder.parse(str(path)), Task.of(public, private), **cut)

    @classmethod
    def synthetic(
        cls,
        count: int = 6000,
        *,
        public: Names = "Smiling",
        private: Names = "Male",
        seed: int = 0,
        **cut: Unpack[Cut],
    ) -> Self:
        """Faces drawn by this project, five of each person."""
        return cls(Synthetic(count, seed), Task.of(public, private), **cut)

    @classmethod
    def from_arrays(
        cls,
        images: ArrayLike,
        labels: Columns,
        *,
        public: Names,
        private: Names,
        people: Iterable[Any] | None = None,
        split: Iterable[str] | None = None,
        **cut: Unpack[Cut],
    ) -> Self:
        """Pictures and labels in memory; they are copied into the cache, so that runs can go on.

        Args:
            images: (n, H, W, 3), uint8, RGB in 0..255.
            labels: (n,) columns by name, as a dict or a DataFrame, of 0 and 1 (or -1 and 1,
                booleans, yes and no); columns that hold anything else are left out, unless the
                task names them: words and numbers are classes then, ``NAME:4`` four bins of
                numbers.
            public: what the service tells.
            private: what nobody should learn.
            people: (n,) who is on each picture, numbers or strings, so that nobody is in two parts.
            split: (n,) ``train``, ``validation`` or ``test``, where there is such a split.
            **cut: the fields from ``size`` on.

        Raises:
            InputError: arrays of another shape, type or value; no room for the cache.
        """
        task = Task.of(public, private)
        named = (*task.public, *task.private)
        return cls(Arrays.keep(images, labels, people, split, needed=named), task, **cut).resolved()
