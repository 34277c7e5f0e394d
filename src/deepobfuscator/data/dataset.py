"""The data of a run: labelled pictures, public and private attributes, split options."""

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
    """The fields of `Data` that determine the split."""

    size: tuple[int, int] | None
    limit: int | None
    split_seed: int
    protocol: str
    skip_bad: bool


@dataclass(frozen=True)
class Data:
    """Labelled pictures and their task; read lazily.

    The constructors below take the fields from ``size`` on as keywords.
    """

    source: Source
    """Source of the pictures."""
    task: Task
    """The public and private attributes."""
    size: tuple[int, int] | None = None
    """Height and width in px to which pictures are cropped or resized; None: as the encoder needs
    (64x64, or what an ONNX file declares)."""
    limit: int | None = None
    """Pictures of the training pool, whole people; validation shrinks in proportion, test stays."""
    split_seed: int = 0
    """Seeds the choice of people for the limit and the parts."""
    protocol: str = "own"
    """own: the data's own partition if it has one; paper: a new 160K : 40K split."""
    skip_bad: bool = False
    """Skip and count pictures that are missing, unreadable or unlabelled."""

    def resolved(self) -> Self:
        """A copy with the class names of its multi-class attributes.

        Raises:
            InputError: invalid labels.
        """
        if self.source.binary:
            return self
        return replace(self, task=self.task.resolved(self.source.read()))

    @classmethod
    def celeba(cls, path: str | Path, *, public: Names, private: Names, **cut: Unpack[Cut]) -> Self:
        """CelebA in the published layout or Kaggle's."""
        return cls(Celeba.parse(str(path)), Task.of(public, private), **cut)

    @classmethod
    def lfw(cls, path: str | Path, *, public: Names, private: Names, **cut: Unpack[Cut]) -> Self:
        """LFW with the Kumar et al. attributes (positive is 1)."""
        return cls(Lfw.parse(str(path)), Task.of(public, private), **cut)

    @classmethod
    def folder(cls, path: str | Path, *, public: Names, private: Names, **cut: Unpack[Cut]) -> Self:
        """A folder of pictures with a ``labels.csv``, or in a Hugging Face layout."""
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
        """Synthetic faces, five of each person."""
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
        """Pictures and labels in memory; they are copied to the cache so that runs can be resumed.

        Args:
            images: (n, H, W, 3), uint8, RGB in 0..255.
            labels: (n,) columns by name, as a dict or a DataFrame, of 0 and 1 (or -1 and 1,
                booleans, yes and no); other columns are left out, unless the task names them: words
                and numbers are then classes, ``NAME:4`` four bins of numbers.
            public: attributes that the service predicts.
            private: attributes that no attacker should learn.
            people: (n,) the person on each picture, numbers or strings, to keep the parts' people
                disjoint.
            split: (n,) ``train``, ``validation`` or ``test``, if there is such a split.
            **cut: the fields from ``size`` on.

        Raises:
            InputError: arrays of another shape, type or value; no room for the cache.
        """
        task = Task.of(public, private)
        named = (*task.public, *task.private)
        return cls(Arrays.keep(images, labels, people, split, needed=named), task, **cut).resolved()
