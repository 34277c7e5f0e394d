"""The noise baseline: its calibration, and its utility and leak at each deviation."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import deepobfuscator as do
from deepobfuscator.paper.calibration import RATE
from deepobfuscator.paper.keys import (
    ACCURACY,
    FOUR_WAY,
    IDENTITY,
    IMAGE,
    MS_SSIM,
    PSNR,
    Measured,
    Name,
    Panel,
    Part,
    RowKey,
)
from deepobfuscator.paper.published import NOISE_COST, NOISE_PSNR
from deepobfuscator.paper.render.exhibit import Exhibit, Row
from deepobfuscator.paper.show import Show
from deepobfuscator.survey.questions import OPTIONS

CURVE = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.7)
"""Deviations of the noise baseline's trade-off, for pictures in [0, 1]."""


def noise(show: Show) -> Exhibit:
    """The calibration of the noise, and the trade-off over its deviation."""
    held = show.calibration
    found: list[Row] = []
    for point in held.points if held else ():
        key = RowKey(Measured.DEVIATION, point.sigma)
        seen = Row(Panel(Part.NOISY), key, IDENTITY, FOUR_WAY, majority=1 / OPTIONS)
        rate = replace(seen, fresh=point.rate, low=point.low, high=point.high)
        rebuilt = replace(seen, panel=Panel(Part.REBUILT), fresh=point.rebuilt_rate)
        found += [
            replace(rate, attacker="recogniser"),
            replace(rebuilt, attacker="nearest picture"),
            Row(Panel(), key, IMAGE, MS_SSIM, fresh=point.ms_ssim, attacker="reconstructor"),
        ]
    taken = ""
    if held is None:
        show.missing.append("the noise was not calibrated")
    else:
        taken = f" Calibrated: σ = {held.sigma:g}."
        if show.trials.sigma not in (None, held.sigma):
            taken += f" --sigma named {show.trials.sigma:g} instead."
        if not held.reached:
            taken += " No deviation of the grid was enough; this is its last."
    curve = trade_off(show)
    return show.exhibit(
        Name.NOISE, [*found, *curve], rate=RATE, taken=taken, matched=matched(curve)
    )


def trade_off(show: Show) -> list[Row]:
    """Utility and leak of the noise baseline at each deviation of `CURVE`, beside the game and the
    undefended encoder.
    """
    games: dict[RowKey, do.Defence] = {
        RowKey(Measured.DEEPOBFUSCATOR): do.DeepObfuscator(),
        RowKey(Measured.UNDEFENDED): do.Undefended(),
    }
    games |= {RowKey(Measured.NOISE, sigma): do.PixelNoise(sigma) for sigma in CURVE}
    sides = (show.trials.public[0] or "", show.trials.private[0] or "")
    wanted = (*((name, ACCURACY) for name in sides), (IMAGE, MS_SSIM), (IMAGE, PSNR))
    return show.rows(games, wanted, panel=Panel(Part.TRADE_OFF))


def matched(curve: Sequence[Row]) -> str:
    """The deviations at which the curve reaches the paper's loss of accuracy and its PSNR; empty
    without a curve.
    """
    service = {row.row.sigma: row.fresh for row in curve if row.service}
    free = next((r.fresh for r in curve if r.service and r.row.of is Measured.UNDEFENDED), None)
    peaks = {row.row.sigma: row.fresh for row in curve if row.metric == PSNR}
    if free is None:
        return ""
    cost = crossing(service, free - NOISE_COST)
    peak = crossing(peaks, NOISE_PSNR)
    where = [
        f"{what} {'nowhere on the curve' if at is None else f'at about σ = {at:.2g}'}"
        for what, at in (
            (f"costs the published {100 * NOISE_COST:.2f} points of accuracy", cost),
            (f"leaves pictures of the published {NOISE_PSNR:g} dB", peak),
        )
    ]
    return f"By linear interpolation the noise {' and '.join(where)}."


def crossing(curve: Mapping[float | None, float | None], target: float) -> float | None:
    """The smallest deviation at which a curve falls to ``target``; None if it never does."""
    points = sorted((s, v) for s, v in curve.items() if s is not None and v is not None)
    for (left, above), (right, below) in pairwise(points):
        if above >= target >= below:
            return left + (right - left) * (above - target) / max(above - below, 1e-12)
    return None
