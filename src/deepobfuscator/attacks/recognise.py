"""A pretrained face recogniser (millions of photographs): does the reconstructed face match raw
pictures of the same person?
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import ClassVar, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from deepobfuscator.attacks.base import STANDARD, Attack, Fitted
from deepobfuscator.attacks.identify import NO_PEOPLE, can_tell_people, trial_rows
from deepobfuscator.attacks.threat import Rows, Threat
from deepobfuscator.core.runtime import Context
from deepobfuscator.data.augment import as_input
from deepobfuscator.metrics.bootstrap import Bootstrap
from deepobfuscator.metrics.identity import verification

Embedder: TypeAlias = Callable[[NDArray[np.uint8]], NDArray[np.floating]]
"""Faces (n, SIDE, SIDE, 3) in 0..255 to embeddings (n, d)."""
Box: TypeAlias = tuple[float, float]
"""A square crop: its size relative to the shorter side, and its vertical position, 0 to 1."""

SIDE = 150
"""Height and width in px of the recogniser's input."""

BOXES: tuple[Box, ...] = ((1.0, 0.5), *product((0.8, 0.65), (0.5, 0.75, 1.0)))
"""Candidate face boxes: the recogniser needs faces at the scale and height of its training data."""

TUNED_ON = 40
"""Number of validation people, two raw pictures each, on which the box is chosen."""

NOT_INSTALLED = "not installed: pip install 'deepobfuscator[faces]'"


@dataclass(frozen=True)
class Recognise(Attack):
    """dlib's residual network (King 2017) on reconstructed faces; the gallery is raw images.

    Its input is the strongest reconstructor's output, or the features themselves if these are raw
    inputs. To use another recogniser, subclass it with another `embedder`.
    """

    name: ClassVar[str] = "recognise"
    target: ClassVar[str] = "identity"
    suite: ClassVar[str] = STANDARD
    most: ClassVar[int | None] = 1000
    packages: ClassVar[tuple[str, ...]] = ("dlib", "face_recognition_models")
    """Modules that `embedder` needs, from the extra ``faces``."""

    @classmethod
    def installed(cls) -> bool:
        """Whether the packages of `embedder` are installed."""
        return all(find_spec(package) is not None for package in cls.packages)

    def embedder(self) -> Embedder:
        """The recogniser; its weights come with an installed package."""
        dlib, models = map(import_module, self.packages)
        network = dlib.face_recognition_model_v1(models.face_recognition_model_location())

        def embed(faces: NDArray[np.uint8]) -> NDArray[np.floating]:
            return np.array(network.compute_face_descriptor(list(faces)))

        return embed

    def lacks(self, threat: Threat) -> str:
        """Needs the package, people with two inputs, and a reconstructor."""
        if not self.installed():
            return NOT_INSTALLED
        if not can_tell_people(threat.validation):
            return NO_PEOPLE
        raw = threat.features == (3, *threat.size)
        return "" if threat.strongest or raw else "no reconstructor"

    def fit(
        self, threat: Threat, context: Context, checkpoint: Path | None = None, title: str = ""
    ) -> Fitted:
        """Choose the box on the attacker's raw validation pictures; nothing else is fitted."""
        embed, validation = self.embedder(), threat.validation
        rows = two_each(validation.person)
        person = validation.person[rows]
        known, asked = trial_rows(person)
        bootstrap = Bootstrap(person[asked], draws=2)
        raw = as_input(validation.pictures(rows), torch.device("cpu"))

        def told_apart(box: Box) -> float:
            found = embed(faces(raw, box))
            people = person[asked], person[known]
            return verification(bootstrap, found[asked], found[known], *people)["auc"].value

        reached = dict[Box, float]()
        with context.progress(f"{title}{self.label}", len(BOXES)) as bar:
            for box in BOXES:
                reached[box] = told_apart(box)
                bar.advance()
        best = max(BOXES, key=lambda box: reached[box])
        rebuild = threat.strongest() if threat.strongest else torch.Tensor.float

        def gallery(images: Tensor) -> Tensor:
            return torch.from_numpy(embed(faces(images, best))).float()

        return Fitted(lambda features: gallery(rebuild(features)), gallery=gallery)


def faces(images: Tensor, box: Box) -> NDArray[np.uint8]:
    """The square ``box`` of images (n, 3, H, W) in [0, 1] as (n, SIDE, SIDE, 3) in 0..255."""
    share, down = box
    height, width = images.shape[-2:]
    side = round(share * min(height, width))
    top, left = round(down * (height - side)), (width - side) // 2
    square = images[..., top : top + side, left : left + side].detach().float().cpu()
    scaled = F.interpolate(square, (SIDE, SIDE), mode="bilinear", antialias=True)
    pixels = (scaled.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1)
    return np.asarray(pixels.contiguous().numpy())


def two_each(person: NDArray[np.int64]) -> Rows:
    """The first two rows of the first `TUNED_ON` people who have two."""
    order = np.argsort(person, kind="stable")
    first = np.flatnonzero(np.r_[True, np.diff(person[order]) > 0])
    pairs = first[np.diff(np.r_[first, len(order)]) > 1][:TUNED_ON]
    return np.sort(order[np.r_[pairs, pairs + 1]])
