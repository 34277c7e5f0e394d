"""Random mirroring and shifting of pictures, and conversion to network input."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def draw_moves(n: int, size: tuple[int, ...], draw: np.random.Generator) -> NDArray[np.int64]:
    """The augmentation of ``n`` pictures, (n, 3): shift down and right in px, and mirroring.

    Half are mirrored, and each is moved by up to a sixteenth of its height and width.
    """
    y, x = (side // 16 for side in size)
    moves: NDArray[np.int64] = draw.integers((-y, -x, 0), (y + 1, x + 1, 2), (n, 3))
    return moves


def augment(pictures: NDArray[np.uint8], moves: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Mirror and shift pictures (n, H, W, 3) in 0..255 as drawn by `draw_moves`; edges repeat."""
    _, height, width, _ = pictures.shape
    turned = iter(flipped(pictures[moves[:, 2] == 1]))
    result = np.empty_like(pictures)
    for before, after, (down, right, flip) in zip(pictures, result, moves.tolist(), strict=True):
        before = next(turned) if flip else before
        kept = before[max(0, -down) : height - max(0, down), max(0, -right) : width - max(0, right)]
        top, left = max(0, down), max(0, right)
        bottom, end = top + kept.shape[0], left + kept.shape[1]
        after[top:bottom, left:end] = kept
        after[top:bottom, :left] = kept[:, :1]
        after[top:bottom, end:] = kept[:, -1:]
        after[:top] = after[top]
        after[bottom:] = after[bottom - 1]
    return result


def augment_there(pictures: Tensor, moves: NDArray[np.int64]) -> Tensor:
    """`augment` and `as_input` on the device of ``pictures`` (n, H, W, 3) in 0..255."""
    n, height, width, _ = pictures.shape
    down, right, mirrored = torch.from_numpy(moves).to(pictures.device)[:, :, None].unbind(1)
    rows = (torch.arange(height, device=pictures.device) - down).clamp(0, height - 1)
    columns = (torch.arange(width, device=pictures.device) - right).clamp(0, width - 1)
    columns = torch.where(mirrored == 1, width - 1 - columns, columns)
    picture = torch.arange(n, device=pictures.device)[:, None, None]
    return pictures[picture, rows[:, :, None], columns[:, None]].permute(0, 3, 1, 2) / 255


def flipped(pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pictures (n, H, W, 3) mirrored horizontally."""
    # NumPy is ten times slower at copying three-byte pixels in reverse.
    result: NDArray[np.uint8] = torch.from_numpy(pictures).flip(2).numpy()
    return result


def as_input(pictures: NDArray[np.uint8], device: torch.device) -> Tensor:
    """(n, H, W, 3) in 0..255 to (n, 3, H, W) in [0, 1]."""
    there = torch.from_numpy(np.ascontiguousarray(pictures)).to(device)
    return there.permute(0, 3, 1, 2).float().div_(255)
