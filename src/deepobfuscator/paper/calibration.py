"""How much noise makes a picture "just unrecognizable" (section 4.3).

The paper gives no figure. Here a picture is unrecognisable if a face recogniser trained on raw
pictures, given the noisy one, picks its raw picture out of four people's no more often
than the paper's participants picked the person from DeepObfuscator's reconstructions (28 %, which
the paper calls very close to guessing). The noise baseline takes the smallest deviation of a grid
that satisfies this. The recogniser is trained on the attacker's pictures, the rate is measured on
its validation pictures. The output of a reconstructor that removes the noise is measured as well.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import comb
from torch import Tensor

import deepobfuscator as do
from deepobfuscator.survey.questions import OPTIONS

GRID = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.7, 1.0, 1.4, 2.0)
"""Standard deviations of the noise, for pictures in [0, 1]."""

TIE = 1e-6
"""Cosines closer than this count as equal: the precision of float32."""

RATE = 0.28
"""Rate of correct choices at which a picture counts as unrecognisable: from the paper's study."""


class SweptNoise(do.Obfuscator):
    """O on pictures with noise deviations drawn from the grid, or ``fixed`` if that is set."""

    stochastic = True
    fixed: float | None = None
    """The deviation for every picture; None draws one per picture."""

    def forward(self, pictures: Tensor) -> Tensor:
        """Encode noisy pictures."""
        if self.fixed is None:
            drawn = torch.randint(len(GRID), (len(pictures), 1, 1, 1))
            deviation = torch.tensor(GRID)[drawn].to(pictures.device)
        else:
            deviation = torch.tensor(self.fixed, device=pictures.device)
        return super().forward(pictures + deviation * torch.randn_like(pictures))


@dataclass(frozen=True)
class Point:
    """The effect of one noise deviation on validation pictures."""

    sigma: float
    rate: float
    """Rate of noisy pictures for which the recogniser picks the raw one out of four people's."""
    low: float
    """Lower end of its 95 % interval over people."""
    high: float
    rebuilt_rate: float
    """The same for a reconstruction from the noisy picture, compared pixel by pixel."""
    ms_ssim: float
    """Mean MS-SSIM of that reconstruction to the raw picture."""


@dataclass(frozen=True)
class Calibration:
    """The curve, and the deviation chosen from it."""

    points: tuple[Point, ...]
    """In ascending order of deviation; the first is without noise."""

    @property
    def reached(self) -> bool:
        """Whether any deviation of the grid makes pictures unrecognisable."""
        return any(p.rate <= RATE for p in self.points[1:])

    @property
    def sigma(self) -> float:
        """The smallest deviation at which pictures are unrecognisable, else the grid's last."""
        under = (p.sigma for p in self.points[1:] if p.rate <= RATE)
        return next(under, self.points[-1].sigma)


def named(trial: do.Trial, labels: str) -> str:
    """The folder of a calibration, named by the hash of labels, setting and rule."""
    told = json.dumps([trial.key, labels, GRID, RATE])
    return f"calibration-{hashlib.sha256(told.encode()).hexdigest()[:12]}"


def read(path: Path) -> Calibration | None:
    """A stored calibration; None if there is none.

    Raises:
        InputError: the file is not readable.
    """
    if not path.exists():
        return None
    try:
        points = [Point(**held) for held in json.loads(path.read_text())["points"]]
        if not points or not np.isfinite([list(vars(p).values()) for p in points]).all():
            raise ValueError
        return Calibration(tuple(points))
    except (ValueError, TypeError, KeyError):
        raise do.InputError(f"{path}: not readable; delete it to calibrate again") from None


def calibrate(runner: do.Runner, trial: do.Trial, folder: Path) -> Calibration:
    """Calibrate the noise on the data of ``trial``, at its setting; stored in ``folder``.

    Raises:
        InputError: no person has two pictures, so no recogniser can be trained.
    """
    with do.locked(folder):
        path, context = folder / "calibration.json", runner.on(trial, folder)
        data, setting = runner.data(trial, context), trial.setting
        if (kept := read(path)) is not None:
            return kept
        do.same_data(data, folder)

        def raw(pictures: NDArray[np.uint8], seed: int) -> Tensor:
            return do.as_input(pictures, context.device)

        shape = (3, *setting.size)
        attacker = do.AttackerData(data.attacker, raw, shape, 1)
        validation = do.AttackerData(data.validation, raw, shape, 2)
        threat = do.Threat(attacker, validation, setting.size, setting)
        recognise = do.Identify(passes=0.5)
        if recognise.lacks(threat) or len(np.unique(data.validation.people)) < OPTIONS:
            raise do.InputError(
                "the noise cannot be calibrated, for the data does not say who is on two pictures, "
                f"or has fewer than {OPTIONS} people to choose on: name its deviation with --sigma"
            )
        checkpoint = folder / "recogniser.ckpt"
        embed = recognise.fit(threat, context, checkpoint, "noise: recogniser, ").guess
        encoder = SweptNoise(setting.size, setting.width)
        rebuild = do.mirror(encoder.features, setting.size, setting.width)
        players = {"O": encoder, "AR": rebuild}
        for name, player in players.items():
            do.initialise(player, do.derive_seed(setting.seed, *name.encode()))
            context.place(player)
        learn = do.stage("denoise", do.update("O", "AR", loss=lambda r: r.L_AR1))
        phase = do.Phase("noise: reconstructor", setting.reconstruct_epochs, (learn,))
        do.play(
            players, [phase], data.attacker, setting, context, checkpoint=folder / "denoiser.ckpt"
        )
        people = _People(encoder, rebuild, embed, validation, context)
        found = Calibration(tuple(people.under(sigma) for sigma in GRID))
        do.write_atomic(path, f"{json.dumps(asdict(found), indent=1)}\n".encode())
        for kept_state in folder.glob("*.ckpt"):
            kept_state.unlink()
        return found


@dataclass(frozen=True)
class _People:
    """The networks that judge noisy pictures, and the pictures."""

    encoder: SweptNoise
    rebuild: Callable[[Tensor], Tensor]
    """Features to pictures."""
    embed: Callable[[Tensor], Tensor]
    """Pictures to embeddings."""
    own: do.AttackerData
    """The raw pictures."""
    context: do.Context

    def under(self, sigma: float) -> Point:
        """The effect of noise of deviation ``sigma``."""
        own, context, bundle = self.own, self.context, do.Bundle({"O": self.encoder}, {})
        self.encoder.fixed = sigma
        draw = torch.Generator().manual_seed(do.derive_seed(round(1000 * sigma), 0))
        seen = []
        for number, rows in enumerate(own.chunks()):
            pictures = own.pictures(rows)
            raw = do.as_input(pictures, context.device)
            noisy = raw + sigma * torch.randn(raw.shape, generator=draw).to(context.device)
            features = bundle.encode(pictures, context, do.derive_seed(303, number))
            guess = do.apply(self.rebuild, features, context)
            looks = [do.apply(self.embed, x, context) for x in (noisy, raw)]
            seen.append((*looks, guess.flatten(1), raw.flatten(1), do.ms_ssim(guess, raw)))
        self.encoder.fixed = None
        probes, answers, rebuilt, truth, quality = (
            torch.cat(parts).float().cpu().numpy() for parts in zip(*seen, strict=True)
        )
        right = forced_choice(probes, answers, own.person)
        rate = do.Bootstrap(own.person).mean(right, kind=do.Share).interval()
        rebuilt, truth = (v - v.mean(1, keepdims=True) for v in (rebuilt, truth))
        return Point(
            sigma=sigma,
            rate=rate.value,
            low=rate.low,
            high=rate.high,
            rebuilt_rate=float(forced_choice(rebuilt, truth, own.person).mean()),
            ms_ssim=float(quality.mean()),
        )


def forced_choice(
    probes: NDArray[np.float32], raw: NDArray[np.float32], person: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Probability that each probe's own raw picture is the most similar of four people's.

    Args:
        probes: (n, d) embeddings of noisy or reconstructed pictures.
        raw: (n, d) embeddings of the same raw pictures.
        person: (n,) their people; the three others are drawn from other people's first pictures.

    Returns:
        (n,) probabilities over that draw, ties shared; uninformative embeddings give a quarter.
    """
    one, other = (
        v / np.maximum(np.linalg.norm(v, axis=1, keepdims=True), 1e-12) for v in (probes, raw)
    )
    first = np.unique(person, return_index=True)[1]
    beyond = one @ other[first].T - (one * other).sum(1)[:, None]
    others = person[first][None, :] != person[:, None]
    tied = ((np.abs(beyond) <= TIE) & others).sum(1)
    less = ((beyond < -TIE) & others).sum(1)
    chance = np.zeros(len(probes))
    for k in range(OPTIONS):  # k of the three others tie with the correct one
        chance += comb(tied, k) * comb(less, OPTIONS - 1 - k) / (k + 1)
    return np.asarray(chance / comb(others.sum(1), OPTIONS - 1))
