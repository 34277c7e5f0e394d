"""Participants that are no people: they answer the same sheet, so any study has figures."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deepobfuscator.survey.questions import OPTIONS, Pictures, Sheet, borders

GRID = 16
"""Cells to a side that a picture is averaged to: what is finer differs by noise."""

Choices = NDArray[np.int64]


def pixels(sheet: Sheet) -> Choices:
    """(count,) options that correlate best with the rebuilt picture, both seen coarsely.

    Correlation leaves out brightness and contrast, which reconstructors change.
    """
    options = _coarse(sheet.every_option).reshape(len(sheet), OPTIONS, -1)
    return nearest(_coarse(sheet.rebuilt), options)


def background(sheet: Sheet) -> Choices:
    """(count,) options whose border colours are nearest the rebuilt picture's: what anybody could
    tell without looking at the face.
    """
    probe = borders(sheet.rebuilt)[:, None]
    option = borders(sheet.every_option).reshape(len(sheet), OPTIONS, 3, 3)
    return np.asarray(np.square(option - probe).sum(axis=(2, 3)).argmin(axis=1))


def nearest(probes: NDArray[np.floating], options: NDArray[np.floating]) -> Choices:
    """(q,) options of the highest cosine similarity of (q, d) probes and (q, 4, d) options."""
    length = np.linalg.norm(options, axis=2)
    inner = np.einsum("qd,qod->qo", probes, options)
    return np.asarray((inner / np.where(length > 0, length, 1)).argmax(axis=1), dtype=np.int64)


def _coarse(pictures: Pictures) -> NDArray[np.float64]:
    """(n, d) standardised averages over the cells of a grid."""
    box = Image.Resampling.BOX
    small = [np.asarray(Image.fromarray(p).resize((GRID, GRID), box)) for p in pictures]
    flat = np.stack(small).reshape(len(pictures), -1).astype(np.float64)
    flat -= flat.mean(axis=1, keepdims=True)
    spread = flat.std(axis=1, keepdims=True)
    return np.asarray(flat / np.where(spread > 0, spread, 1))
