"""Scores of reconstructions without features: the mean face, plain grey, another person's picture.

They need no training and do not bound attackers: a decoder that is no better has learned nothing
from the features. Compare the decoders that the paper trained separately (Table 3) with them.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import deepobfuscator as do
from deepobfuscator.paper.keys import IMAGE, MS_SSIM, PSNR, Measured, Panel, RowKey
from deepobfuscator.paper.render.exhibit import Row

SIZE = (216, 176)
"""The paper's pictures: MS-SSIM has all of its five scales there."""

CHUNK = 64
"""Number of pictures compared at a time."""

GREY = 0.5
"""In [0, 1]."""


def rows(runner: do.Runner, context: do.Context, trial: do.Trial) -> list[Row]:
    """MS-SSIM and PSNR of every test picture, with 95 % intervals over people.

    Args:
        runner: loads the pictures.
        context: where progress is shown.
        trial: data and task; its size is replaced by the paper's.
    """
    data = runner.data(replace(trial, setting=replace(trial.setting, size=SIZE)), context)
    test, bootstrap = data.test, do.Bootstrap(data.test.people)
    mean = torch.from_numpy(data.attacker.pictures.mean(0, dtype=np.float64) / 255).float()
    stranger = strangers(test.people)
    found: dict[Measured, tuple[list[Tensor], list[Tensor]]] = {}
    with context.progress("pictures that nobody decoded", len(test)) as bar:
        for some in np.array_split(np.arange(len(test)), -(-len(test) // CHUNK)):
            truth = do.as_input(test.pictures[some], context.device)
            for of, guess in guesses(test.pictures, mean, stranger[some], truth):
                quality, peak = found.setdefault(of, ([], []))
                quality.append(do.ms_ssim(guess, truth).cpu())
                peak.append(do.psnr(guess, truth).cpu())
            bar.at(int(some[-1]) + 1, len(test))
    made = []
    for of, both in found.items():
        for metric, values in zip((MS_SSIM, PSNR), both, strict=True):
            figure = bootstrap.mean(torch.cat(values).double().numpy()).interval()
            row = Row(Panel(), RowKey(of), IMAGE, metric, attacker="nobody")
            made.append(replace(row, fresh=figure.value, low=figure.low, high=figure.high))
    return made


def guesses(
    pictures: NDArray[np.uint8],
    mean: Tensor,
    stranger: NDArray[np.int64],
    truth: Tensor,
) -> Iterator[tuple[Measured, Tensor]]:
    """The constant reconstructions of the pictures ``truth`` (n, 3, H, W)."""
    face = mean.permute(2, 0, 1).to(truth.device)
    yield Measured.MEAN_FACE, face.expand_as(truth).contiguous()
    yield Measured.GREY, torch.full_like(truth, GREY)
    yield Measured.STRANGER, do.as_input(pictures[stranger], truth.device)


def strangers(people: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n,) for each picture the row of another person's picture; a permutation.

    Raises:
        InputError: one person is on more than half of the pictures.
    """
    order = np.argsort(people, kind="stable")
    most = int(np.unique(people, return_counts=True)[1].max())
    if 2 * most > len(people):
        raise do.InputError("one person is on more than half of the test pictures: give others")
    other = np.empty_like(order)
    other[order] = np.roll(order, -most)
    return other
