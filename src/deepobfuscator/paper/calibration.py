"""How much noise makes a picture "just unrecognizable" (section 4.3).

The paper gives no figure. Here a picture is unrecognisable once a face recogniser that learned
on raw pictures, shown the noisy one, picks its raw picture out of four people's no more often
than the paper's participants picked the person from DeepObfuscator's reconstructions (28 %, which
the paper calls very close to guessing). The noise baseline takes the smallest deviation of a grid
at which that is so. The recogniser learns on the attacker's pictures, the rate is measured on its
validation pictures. What a reconstructor that removes the noise gives back is measured beside it.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepobfuscator.attacks.identify import Identify, can_tell_people, trial_rows
from deepobfuscator.attacks.threat import AttackerData, Guess, Threat
from deepobfuscator.core.config import from_json, to_json
from deepobfuscator.core.errors import InputError
from deepobfuscator.core.files import write_atomic
from deepobfuscator.core.runtime import Context
from deepobfuscator.data.augment import as_input
from deepobfuscator.data.batches import Parts
from deepobfuscator.defences.pixel_noise import NoisyObfuscator
from deepobfuscator.experiments.run_folder import same_data
from deepobfuscator.experiments.trial import Trial
from deepobfuscator.metrics import Bootstrap
from deepobfuscator.metrics.images import ms_ssim
from deepobfuscator.nn.decoders import mirror
from deepobfuscator.nn.vgg import initialise
from deepobfuscator.training.bundle import Bundle, apply
from deepobfuscator.training.loop import derive_seed, play
from deepobfuscator.training.objectives import Phase, stage, update

GRID = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.7, 1.0, 1.4, 2.0)
"""Standard deviations of the noise, for pictures in [0, 1]."""

OPTIONS = 4
"""People to choose from, as in the paper's study with people."""

TIE = 1e-6
"""Cosines this near each other are equal: float32 has no more digits."""

RATE = 0.28
"""Share of right choices at which a picture counts as unrecognisable: the paper's own study."""


class SweptNoise(NoisyObfuscator):
    """O on pictures whose noise is drawn from the grid, or stays at ``fixed`` where that is set."""

    fixed: float | None = None
    """The deviation for every picture; None draws one for each."""

    def forward(self, pictures: Tensor) -> Tensor:
        """Encode noisy pictures."""
        if self.fixed is None:
            drawn = torch.randint(len(GRID), (len(pictures), 1, 1, 1))
            deviation = torch.tensor(GRID)[drawn].to(pictures.device)
        else:
            deviation = torch.tensor(self.fixed, device=pictures.device)
        return self.layers(pictures + deviation * torch.randn_like(pictures))  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Point:
    """What one deviation of the noise does to validation pictures."""

    sigma: float
    """Standard deviation, for pictures in [0, 1]."""
    rate: float
    """Share of noisy pictures for which the recogniser picks the raw one out of four people's."""
    low: float
    """Lower end of its 95 % interval over people."""
    high: float
    """Upper end."""
    rebuilt_rate: float
    """The same for what a reconstructor makes of the noisy picture, compared pixel by pixel."""
    ms_ssim: float
    """Mean MS-SSIM of that reconstruction to the raw picture."""


@dataclass(frozen=True)
class Calibration:
    """The curve, and the deviation taken from it."""

    points: tuple[Point, ...]
    """By rising deviation; the first is without noise."""

    @property
    def reached(self) -> bool:
        """Whether any deviation of the grid makes pictures unrecognisable."""
        return any(p.rate <= RATE for p in self.points[1:])

    @property
    def sigma(self) -> float:
        """The smallest deviation at which pictures are unrecognisable, else the grid's last."""
        under = (p.sigma for p in self.points[1:] if p.rate <= RATE)
        return next(under, self.points[-1].sigma)


def named(trial: Trial, labels: str) -> str:
    """The folder of a calibration: the same labels, setting and rule, the same name."""
    told = json.dumps([trial.key, labels, GRID, RATE])
    return f"calibration-{hashlib.sha256(told.encode()).hexdigest()[:12]}"


def read(path: Path) -> Calibration | None:
    """A kept calibration; None where there is none.

    Raises:
        InputError: the file is not readable.
    """
    if not path.exists():
        return None
    try:
        found = from_json(Calibration, json.loads(path.read_text()), str(path))
        if not found.points or not np.isfinite([p.rate for p in found.points]).all():
            raise ValueError
        return found
    except (ValueError, InputError):
        raise InputError(f"{path}: not readable; delete it to calibrate again") from None


def calibrate(trial: Trial, data: Parts, run: Context) -> Calibration:
    """Calibrate the noise on ``data`` at the trial's setting; kept in ``run.folder``.

    Raises:
        InputError: nobody is on two pictures, so that there is no recogniser.
    """
    path = run.folder / "calibration.json"
    if (found := read(path)) is not None:
        return found
    same_data(data, run.folder)
    setting = trial.setting

    def raw(pictures: NDArray[np.uint8], seed: int) -> Tensor:
        return as_input(pictures, run.device)

    shape = (3, *setting.size)
    attacker, validation = (
        AttackerData(data.attacker, raw, shape, 1),
        AttackerData(data.validation, raw, shape, 2),
    )
    people = len(np.unique(data.validation.people))
    if not (can_tell_people(attacker) and can_tell_people(validation)) or people < OPTIONS:
        raise InputError(
            "the noise cannot be calibrated, for the data does not say who is on two pictures, or "
            f"has fewer than {OPTIONS} people to choose on: name its deviation with --sigma"
        )
    threat = Threat(attacker, validation, setting.size, setting)
    recogniser = run.folder / "recogniser.ckpt"
    embed = Identify(passes=0.5).fit(threat, run, recogniser, "noise: recogniser, ").guess
    encoder = SweptNoise(setting.size, setting.width)
    rebuild = mirror(encoder.features, setting.size, setting.width)
    players = {"O": encoder, "AR": rebuild}
    for name, player in players.items():
        initialise(player, derive_seed(setting.seed, *name.encode()))
        run.place(player)
    learn = stage("denoise", update("O", "AR", loss=lambda r: r.L_AR1))
    phase = Phase("noise: reconstructor", setting.reconstruct_epochs, (learn,))
    play(players, [phase], data.attacker, setting, run, run.folder / "denoiser.ckpt")
    bundle = Bundle({"O": encoder}, {})
    found = Calibration(
        tuple(measure(sigma, bundle, rebuild, embed, validation, run) for sigma in GRID)
    )
    write_atomic(path, f"{json.dumps(to_json(found), indent=1)}\n".encode())
    for checkpoint in run.folder.glob("*.ckpt"):
        checkpoint.unlink()
    return found


def measure(
    sigma: float, bundle: Bundle, rebuild: Guess, embed: Guess, own: AttackerData, run: Context
) -> Point:
    """What noise of deviation ``sigma`` does to the pictures of ``own``."""
    encoder = bundle.encoder
    assert isinstance(encoder, SweptNoise)
    encoder.fixed = sigma
    draw = torch.Generator().manual_seed(derive_seed(round(1000 * sigma), 0))
    seen: dict[str, list[Tensor]] = {n: [] for n in ("noisy", "raw", "rebuilt", "truth", "quality")}
    for number, rows in enumerate(own.chunks()):
        pictures = own.pictures(rows)
        truth = as_input(pictures, run.device)
        noisy = truth + sigma * torch.randn(truth.shape, generator=draw).to(run.device)
        guess = apply(rebuild, bundle.encode(pictures, run, derive_seed(303, number)), run)
        seen["noisy"].append(apply(embed, noisy, run))
        seen["raw"].append(apply(embed, truth, run))
        seen["rebuilt"].append(guess.flatten(1))
        seen["truth"].append(truth.flatten(1))
        seen["quality"].append(ms_ssim(guess, truth))
    encoder.fixed = None
    found = {name: torch.cat(parts).float().cpu().numpy() for name, parts in seen.items()}
    boot = Bootstrap(own.person)
    rate = boot.mean(forced_choice(found["noisy"], found["raw"], own.person)).interval()
    pixels = [v - v.mean(1, keepdims=True) for v in (found["rebuilt"], found["truth"])]
    rebuilt = forced_choice(pixels[0], pixels[1], own.person)
    return Point(
        *(sigma, rate.value, rate.low, rate.high),
        *(float(rebuilt.mean()), float(found["quality"].mean())),
    )


def forced_choice(
    probes: NDArray[np.float32], raw: NDArray[np.float32], person: NDArray[np.int64]
) -> NDArray[np.float64]:
    """How likely each probe's own raw picture is the most similar of four people's.

    Args:
        probes: (n, d) embeddings of noisy or rebuilt pictures.
        raw: (n, d) embeddings of the same pictures as they were.
        person: (n,) who is on them; the three others are drawn from other people's first pictures.

    Returns:
        (n,) probabilities over that draw, ties shared; embeddings that tell nothing give a quarter.
    """
    one, other = (
        v / np.maximum(np.linalg.norm(v, axis=1, keepdims=True), 1e-12) for v in (probes, raw)
    )
    first = trial_rows(person)[0]
    beyond = one @ other[first].T - (one * other).sum(1)[:, None]
    others = person[first][None, :] != person[:, None]
    tied = ((np.abs(beyond) <= TIE) & others).sum(1)
    less = ((beyond < -TIE) & others).sum(1)
    chance = np.zeros(len(probes))
    for k in range(OPTIONS):  # k of the three others tie with the right one
        chance += choose(tied, k) * choose(less, OPTIONS - 1 - k) / (k + 1)
    return chance / choose(others.sum(1), OPTIONS - 1)


def choose(n: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """Ways to take ``k`` of each ``n``; none where there are fewer."""
    ways = np.ones(n.shape)
    for i in range(k):
        ways = ways * np.maximum(n - i, 0) / (i + 1)
    return ways
