"""How an encoder that declares its input takes pictures: ONNX files and exported programs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from deepobfuscator.core.errors import InputError

SIZE = (64, 64)
"""Height and width in px that an encoder is given where neither it nor anybody names a size."""

LUMA = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in grey (ITU-R BT.601, as in Pillow)."""


@dataclass(frozen=True)
class Intake:
    """Turns pictures (n, 3, H, W) in [0, 1] into what an encoder declares that it takes."""

    size: tuple[int, int]
    """Height and width in px."""
    dtype: torch.dtype = torch.float32
    """Whole numbers are in 0..255, others in [0, 1]."""
    grey: bool = False
    """One channel in place of three."""
    last: bool = False
    """Channels after height and width."""
    batch: int | None = None
    """How many pictures it takes at a time; None: any number; 0: one, without an axis for more."""

    @classmethod
    def declared(
        cls,
        target: str,
        shape: Sequence[object],
        dtype: torch.dtype,
        size: tuple[int, int] | None,
    ) -> Self:
        """What ``target`` takes, by the ``shape`` and ``dtype`` of its input.

        Args:
            target: its name, for messages.
            shape: what is no positive integer is free; empty where nothing is declared.
            dtype: of its numbers.
            size: height and width wanted; None takes the declared ones, 64 for those left free.

        Raises:
            InputError: it takes no pictures, or none of this size.
        """
        shown = f"({', '.join('?' if side is None else str(side) for side in shape)})"
        free = tuple(s if isinstance(s, int) and s > 0 else None for s in shape or (None,) * 4)
        if not dtype.is_floating_point and (
            dtype.is_complex or dtype == torch.bool or torch.iinfo(dtype).max < 255
        ):
            raise InputError(f"{target} takes {dtype}: export it for float32 pictures in [0, 1]")
        batch, (first, middle, end) = free[:-3], free[-3:] if len(free) in (3, 4) else (0, 0, 0)
        last = first not in (1, 3) and end in (1, 3)
        channels, height, width = (end, first, middle) if last else (first, middle, end)
        if channels not in (1, 3, None):
            raise InputError(
                f"{target} takes shape {shown}: export it for pictures (n, 3, H, W) or (n, H, W, 3)"
            )
        height_width = size or (height or width or SIZE[0], width or height or SIZE[1])
        fit = (height or height_width[0], width or height_width[1])
        if fit != height_width:
            raise InputError(
                f"{target} takes pictures of {height or '?'}x{width or '?'}, not "
                f"{height_width[0]}x{height_width[1]}: give --size {fit[0]}x{fit[1]}, or export it "
                "for the other size"
            )
        return cls(fit, dtype, channels == 1, last, batch[0] if batch else 0)

    def __call__(self, pictures: Tensor) -> Tensor:
        """The pictures as it takes them; of a fixed number, all are the one picture given."""
        if self.batch is not None:
            pictures = pictures.expand(self.batch or 1, -1, -1, -1)
        if self.grey:
            shares = pictures.new_tensor(LUMA).view(3, 1, 1)
            pictures = (pictures * shares).sum(1, keepdim=True)
        if not self.dtype.is_floating_point:
            pictures = (pictures * 255).round()
        if self.last:
            pictures = pictures.movedim(1, -1)
        given = pictures.to(self.dtype).contiguous()
        return given[0] if self.batch == 0 else given

    def __str__(self) -> str:
        """What is unlike RGB in [0, 1], channels first, float32; else nothing."""
        told = {
            "grey": self.grey,
            "channels last": self.last,
            str(self.dtype).removeprefix("torch."): self.dtype != torch.float32,
            "0 to 255": not self.dtype.is_floating_point,
        }
        return ", ".join(words for words, true in told.items() if true)


def sole(target: str, names: Sequence[str]) -> None:
    """Raise InputError unless ``names`` are those of one input, the pictures."""
    if len(names) != 1:
        raise InputError(
            f"{target} has {len(names)} inputs ({', '.join(names) or 'none'}): export it with one, "
            "the pictures"
        )
