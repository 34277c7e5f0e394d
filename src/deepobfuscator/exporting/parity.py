"""Whether exported graphs answer as torch does: numbers, decisions, the service's worth."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from PIL import Image

from deepobfuscator.core.errors import InputError
from deepobfuscator.data.files_source import fit
from deepobfuscator.data.table import Task
from deepobfuscator_edge.manifest import HALF

TOLERANCE = 1e-4
"""What a float32 graph's numbers may differ by, as a share of the largest (at least of 1)."""
AGREE = 0.95
"""Share of decisions that a graph must share with torch, given the same wire setting."""
LOSES = 0.01
"""Balanced accuracy that may be lost to int8 and wire together."""
SHOWN = 64
"""Pictures that preprocessing is tried on."""

Floats = NDArray[np.float32]
Graph = Callable[[NDArray[np.generic]], Floats]


def asked(model: onnx.ModelProto, chunk: int = 16) -> Graph:
    """The function that a graph of one input and one output is, on any number of rows.

    A graph that draws noise draws the same each time it is reopened.
    """
    onnxruntime.set_seed(0)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name

    def ask(rows: NDArray[np.generic]) -> Floats:
        parts = range(0, len(rows), chunk)
        return np.concatenate([session.run(None, {name: rows[i : i + chunk]})[0] for i in parts])

    return ask


def same_numbers(what: str, found: Floats, expected: Floats) -> float:
    """The largest difference, as a share of the largest number (at least of 1).

    Raises:
        InputError: it is above `TOLERANCE`.
    """
    largest = max(1.0, float(np.abs(expected).max()))
    difference = float(np.abs(found - expected).max()) / largest
    if not difference <= TOLERANCE:
        raise InputError(
            f"the exported {what} differs from torch by {difference:.2g} of its largest number, "
            f"more than {TOLERANCE}: nothing was exported; report the network to the project"
        )
    return difference


@dataclass(frozen=True)
class Service:
    """What answers are worth, on labelled pictures."""

    task: Task
    """Its public attributes."""
    labels: NDArray[np.uint8]
    """(n, columns) of the public attributes."""

    def decisions(self, scores: Floats) -> NDArray[np.int64]:
        """(n, attributes) what is told of each picture: 0 or 1, or the number of a class."""
        told = []
        for name in self.task.public:
            part = scores[:, self.task.place(name)]
            told.append(part.argmax(1) if part.ndim == 2 else part >= HALF)
        return np.stack(told, 1).astype(np.int64)

    def worth(self, scores: Floats) -> dict[str, float]:
        """Balanced accuracy by public attribute: the mean over its classes of those told right."""
        told, truth = self.decisions(scores), self.decisions(self.labels.astype(np.float32))
        found = {}
        for name, guess, right in zip(self.task.public, told.T, truth.T, strict=True):
            found[name] = float(np.mean([(guess[right == k] == k).mean() for k in set(right)]))
        return found

    def loses(self, scores: Floats, reference: Floats) -> float:
        """Balanced accuracy lost against a reference, of the attribute that loses most."""
        before, after = self.worth(reference), self.worth(scores)
        return max(before[name] - after[name] for name in before)

    def agreement(self, scores: Floats, reference: Floats) -> float:
        """Share of decisions that are the reference's."""
        return float((self.decisions(scores) == self.decisions(reference)).mean())

    def check(self, what: str, agree: float, itself: float, lost: float) -> None:
        """Raise InputError where decisions differ too often, or the service loses too much.

        Args:
            what: which graph.
            agree: share of its decisions that are torch's with the same wire setting.
            itself: share of torch's decisions that stay when a noisy encoder draws again, else 1.
            lost: balanced accuracy lost against torch without a wire.
        """
        slack = 1 - itself + 1 / len(self.labels)  # one picture more or less proves nothing
        if agree < AGREE - slack or lost > LOSES + slack:
            raise InputError(
                f"{what} decides as torch does on {100 * agree:.1f} % of {len(self.labels)} "
                f"validation pictures ({100 * (AGREE - slack):.1f} needed) and loses "
                f"{100 * lost:.1f} points of balanced accuracy (at most "
                f"{100 * (LOSES + slack):.1f}): export with --no-int8 or a finer --wire"
            )


def preprocessed(intake: Graph, pictures: NDArray[np.uint8]) -> tuple[Floats, Floats]:
    """Pictures (n, h, w, 3) enlarged and cut as a phone might bring them, fitted by a graph and by
    this project with Pillow: both (n, 3, h, w) in [0, 1].
    """
    height, width = pictures.shape[1:3]
    size = (height * 3 // 2 + 1, width * 5 // 4)
    large = [
        np.asarray(Image.fromarray(p).resize(size[::-1], Image.Resampling.BICUBIC))
        for p in pictures
    ]
    own = np.stack([np.asarray(fit(Image.fromarray(p), (height, width))) for p in large])
    planes = own.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255)
    return intake(np.stack(large)), np.asarray(planes, np.float32)
