"""Whatever holds a picture, as pixels."""

import os
from collections.abc import Sequence
from io import BytesIO
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from deepobfuscator_edge.errors import EdgeError

Picture: TypeAlias = "NDArray[np.uint8] | Image.Image | str | os.PathLike[str] | bytes"
"""Pixels (H, W, 3) or (H, W), uint8, RGB or grey; a Pillow image; a file's path or its content."""

Pixels: TypeAlias = NDArray[np.uint8]
"""(H, W, 3), RGB in 0..255."""


def pixels(picture: Picture) -> Pixels:
    """(H, W, 3) of a picture, upright, RGB in 0..255.

    Raises:
        EdgeError: it cannot be read, or is no picture.
    """
    if isinstance(picture, np.ndarray):
        if picture.dtype != np.uint8 or picture.ndim not in (2, 3) or not picture.size:
            raise EdgeError(
                f"an array of {picture.dtype} and shape {picture.shape} is no picture: give uint8 "
                "(H, W, 3) or (H, W)"
            )
        if picture.ndim == 2:
            return np.repeat(picture[:, :, None], 3, 2)
        if picture.shape[2] != 3:
            raise EdgeError(f"a picture of shape {picture.shape} must have 3 channels, RGB")
        return picture
    if isinstance(picture, Image.Image):
        return _converted(picture)
    name = "the picture" if isinstance(picture, bytes) else os.fspath(picture)
    try:
        with Image.open(BytesIO(picture) if isinstance(picture, bytes) else picture) as file:
            return _converted(file)
    except EdgeError:
        raise
    except Exception as error:  # Pillow's readers raise nearly anything on a broken file
        reason = getattr(error, "strerror", None) or (str(error) or type(error).__name__)
        raise EdgeError(f"cannot read {name}: {str(reason).splitlines()[0]}") from None


def _converted(image: Image.Image) -> Pixels:
    deep = image.mode.startswith("I;16") or (image.mode, image.format) == ("I", "PPM")
    if image.mode in ("F", "I") and not deep:
        raise EdgeError(f"a picture of mode {image.mode} has no fixed white: convert it to RGB")
    upright = ImageOps.exif_transpose(image)
    if deep:  # Pillow's own conversion clips 16 bits to 8 instead of scaling them
        upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
    return np.asarray(upright.convert("RGB"))


def several(pictures: Any) -> Sequence[Picture]:
    """``pictures`` as a sequence, where one picture was given by mistake or as an array of many.

    Raises:
        EdgeError: none, or one where a sequence is wanted.
    """
    if isinstance(pictures, str | bytes | os.PathLike | Image.Image):
        raise EdgeError("several pictures are wanted: give a list")
    found = list(pictures)
    if not found:
        raise EdgeError("no picture given")
    return found
