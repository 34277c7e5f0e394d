"""Synthetic faces with correlated attributes: hard enough to learn from, and of no real person."""

import hashlib
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import ClassVar, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from deepobfuscator.core.errors import InputError
from deepobfuscator.data.canvas import Array
from deepobfuscator.data.portrait import portraits
from deepobfuscator.data.table import AttributeTable, Decoded, Source

VERSION = 2
"""Version of the drawing: increase whenever a pixel changes."""

PER_PERSON = 5
"""Pictures per person."""

CHUNK = 1 << 16
"""Number of pixels drawn at once: the working set fits in a core's cache."""

MALE = 0.42
"""Share of the pictures."""


Variable: TypeAlias = NDArray[np.float64]
"""(count,) a variable of the drawing, or (count, 3) a colour, before it is rounded."""


RATES = {
    "Male": (0, 1, 1.0),
    "Young": (0.86, 0.64, 1.0),
    "Smiling": (0.544, 0.392, 0.1),
    "High_Cheekbones": (0.556, 0.304, 0.1),
    "Mouth_Slightly_Open": (0.53, 0.42, 0.0),
    "Heavy_Makeup": (0.652, 0.005, 0.5),
    "Beard": (0, 0.36, 0.8),
    "Eyeglasses": (0.05, 0.13, 0.5),
    "Blond_Hair": (0.24, 0.03, 1.0),
    "Bald": (0, 0.06, 1.0),
    "Bangs": (0.21, 0.08, 0.6),
    "Wearing_Hat": (0.04, 0.07, 0.2),
}
"""Rate of the attribute in women's and in men's pictures, about CelebA's, so that correlations with
Male are similar; fraction of the latent variable's variance that is constant per person.
"""

WITH_SMILE = {"High_Cheekbones": 0.88, "Mouth_Slightly_Open": 0.72}
"""Correlation of the latent variable with that of Smiling, for phi 0.68 and 0.51."""

SKIN = (
    (244, 212, 192), (234, 192, 166), (216, 166, 136), (184, 130, 98), (138, 92, 68), (96, 62, 48),
)  # fmt: skip
HAIR = ((24, 20, 22), (44, 32, 28), (72, 48, 36), (104, 66, 42), (128, 62, 36), (60, 40, 32))
BLOND = ((176, 132, 78), (212, 170, 104), (234, 204, 146))
EYES = ((66, 42, 28), (98, 66, 38), (84, 96, 60), (84, 122, 148), (110, 140, 150))
SCENE = (
    (40, 58, 92), (86, 122, 160), (160, 190, 206), (226, 214, 196), (206, 150, 120), (148, 82, 84),
    (82, 70, 96), (58, 92, 88), (122, 150, 118), (214, 196, 140), (70, 66, 70), (188, 184, 190),
)  # fmt: skip
CLOTHES = (
    (34, 40, 58), (188, 62, 62), (232, 228, 220), (58, 104, 142), (96, 128, 96), (214, 158, 72),
    (88, 60, 92), (40, 40, 42), (196, 130, 142), (120, 132, 146),
)  # fmt: skip


@dataclass(frozen=True)
class Synthetic(Source):
    """Synthetic faces, five per person, with attributes correlated about as in CelebA."""

    name: ClassVar[str] = "synthetic"
    binary: ClassVar[bool] = True

    count: int = 6000
    """Number of pictures."""
    seed: int = 0
    """Seeds people, labels and looks; a larger count keeps the same first pictures."""

    def __post_init__(self) -> None:
        if not 1 <= self.count <= 999_999:
            raise InputError(f"synthetic:{self.count}: give 1 to 999999 pictures")
        if self.seed < 0:
            raise InputError(f"synthetic: seed {self.seed} is negative: give 0 or more")

    @classmethod
    def parse(cls, rest: str) -> Self:
        """``""`` or a number of pictures; see `Source.parse`."""
        if not rest:
            return cls()
        if not re.fullmatch("[0-9]{1,6}", rest):
            raise InputError(f"synthetic:{rest}: give 1 to 999999 pictures, as in synthetic:20000")
        return cls(count=int(rest))

    def read(self) -> AttributeTable:
        """Labels of all pictures; see `Source.read`."""
        labels, _ = _latents(self.count, self.seed)
        return AttributeTable(
            images=tuple(f"{i + 1:06d}" for i in range(self.count)),
            attributes=tuple(RATES),
            values=np.stack([labels[a] for a in RATES], axis=1).astype(np.uint8),
            identity=np.arange(self.count, dtype=np.int64) // PER_PERSON,
        )

    def load(self, images: Sequence[str], size: tuple[int, int]) -> Decoded:
        """Draw pictures, each independent of the others in the call; see `Source.load`."""
        rows = np.array([int(name) - 1 for name in images], dtype=np.int64)
        pixels = np.empty((len(images), *size, 3), dtype=np.uint8)
        looks = _looks(self.count, self.seed)
        step = max(1, CHUNK // (size[0] * size[1]))

        def draw(start: int) -> None:
            part = slice(start, start + step)
            chosen = {n: v[rows[part]] for n, v in looks.items()}
            grain = [(self.seed, 5, int(row)) for row in rows[part]]
            pixels[part] = portraits(chosen, size, grain)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(draw, range(0, len(rows), step)))
        return pixels, {}

    def stamp(self, images: Sequence[str]) -> str:
        """Hash of what determines the drawing."""
        return hashlib.sha256(f"{VERSION} {self.count} {self.seed}".encode()).hexdigest()[:16]


def _latents(count: int, seed: int) -> tuple[dict[str, NDArray[np.bool_]], dict[str, Variable]]:
    """Labels by name, and each label's latent Gaussian minus its threshold."""
    person = np.arange(count) // PER_PERSON
    own = np.random.default_rng((seed, 1)).standard_normal((person[-1] + 1, len(RATES)))[person]
    now = np.random.default_rng((seed, 2)).standard_normal((count, len(RATES)))
    lasting = np.array([stays for _, _, stays in RATES.values()])
    latent = dict(zip(RATES, (np.sqrt(lasting) * own + np.sqrt(1 - lasting) * now).T, strict=True))
    for name, r in WITH_SMILE.items():
        latent[name] = r * latent["Smiling"] + np.sqrt(1 - r * r) * latent[name]

    def bar(rate: float) -> float:
        return NormalDist().inv_cdf(1 - min(max(rate, 1e-9), 1 - 1e-9))

    male = latent["Male"] - bar(MALE)
    above = {
        name: latent[name] - np.where(male > 0, bar(men), bar(women))
        for name, (women, men, _) in RATES.items()
    } | {"Male": male}
    above["Bangs"] = np.where(above["Bald"] > 0, -1, above["Bangs"])
    return {name: above[name] > 0 for name in RATES}, above


@lru_cache(maxsize=2)
def _looks(count: int, seed: int) -> dict[str, Array]:
    """Every variable of the drawing: (count,), or (count, 3) for a colour in 0..1.

    Lengths are in half face widths. An attribute shifts several variables, each with its own
    spread, so that no single one determines it.
    """
    label, above = _latents(count, seed)
    amount = {n: np.clip(0.5 + 0.36 * a + 0.16 * np.sign(a), -0.3, 1.3) for n, a in above.items()}
    makeup, smile, cheek = (amount[n] for n in ("Heavy_Makeup", "Smiling", "High_Cheekbones"))
    old = 1 - amount["Young"]
    bald, hat, beard = label["Bald"], label["Wearing_Hat"], label["Beard"]
    person = np.arange(count) // PER_PERSON
    people = np.random.default_rng((seed, 3)).standard_normal((person[-1] + 1, 48))
    owned = iter(people.T)
    passing = iter(np.random.default_rng((seed, 4)).standard_normal((count, 48)).T)

    def own(mean: NDArray[np.floating] | float, spread: NDArray[np.floating] | float) -> Variable:
        """A trait of the person."""
        return np.asarray(mean + spread * next(owned)[person])

    def now(mean: Variable | float, spread: float) -> Variable:
        """A circumstance of the picture."""
        return np.asarray(mean + spread * next(passing))

    def pick(colours: Sequence[tuple[int, int, int]], at: Variable) -> Variable:
        """(n, 3) colours along a path through ``colours``, ``at`` standard normal."""
        where = (0.5 + 0.5 * np.tanh(0.8 * at)) * (len(colours) - 1)
        stops = np.array(colours) / 255
        return np.stack([np.interp(where, range(len(stops)), c) for c in stops.T], axis=1)

    # Shared by all its cues, or together they would determine Male without error.
    male = np.clip(own(amount["Male"], 0.2), -0.3, 1.3)
    blond = label["Blond_Hair"]
    tone = own(-0.2 - 0.9 * blond, 0.9 - 0.4 * blond)
    skin = pick(SKIN, tone) * (1 + 0.02 * np.stack([own(0, 1) for _ in range(3)], 1))
    dark = pick(HAIR, own(0, 1) * (tone < 0.3) - 0.8 * (tone > 0))
    hair = np.where(blond[:, None], pick(BLOND, own(0, 1)), dark)
    grey = np.clip(own(old - 0.5, 0.3), 0, 0.9)[:, None]
    hair = hair + grey * (np.array([0.72, 0.71, 0.70]) - hair)
    lips = skin * (0.80, 0.58, 0.58) + 0.06 * np.array([1.0, 0.1, 0.2])
    paint = pick(((168, 30, 52), (196, 60, 70), (206, 92, 100), (150, 36, 70)), now(0, 1))
    lips += np.clip(now(0.75 * makeup - 0.05, 0.17), 0, 0.9)[:, None] * (paint - lips)
    scene = pick(SCENE, now(0, 1.2))
    far = 0.5 * scene + 0.5 * pick(SCENE, now(0, 1.2)) + now(0.06, 0.06)[:, None]
    short = own(0.20 - 1.35 * male, 0.80) < -0.35
    long = np.clip(own(1.75, 0.5), 0.95, 2.8)
    full = np.clip(now(0.62, 0.14), 0.35, 0.85)
    shaven = np.clip(own(0.20 * male - 0.06, 0.06), 0, 0.3)
    tilt, yaw = now(0, 0.09), np.clip(now(0, 0.17), -0.42, 0.42)
    looks = {
        "skin": skin, "hair": hair, "lips": lips,
        "iris": pick(EYES, own(-0.4, 1)),
        "shadow": pick(((92, 60, 70), (120, 70, 110), (70, 80, 120), (130, 90, 60)), now(0, 1)),
        "scene_a": scene, "scene_b": far,
        "clothes": pick(CLOTHES, now(0, 1.2)), "knit": pick(CLOTHES, now(0, 1.2)),
        "frame": pick(((26, 22, 24), (70, 44, 30), (130, 130, 136)), now(0, 1)),
        "dx": now(0, 0.055), "dy": now(-0.06, 0.05), "cos": np.cos(tilt), "sin": np.sin(tilt),
        "scale": now(0.70, 0.03), "turn_cos": np.cos(yaw), "turn_sin": np.sin(yaw),
        "pitch": now(0, 0.05), "blur": np.clip(now(0.025, 0.015), 0, 0.07),
        "light_x": now(0, 0.5), "light_y": now(-0.45, 0.2), "ambient": now(0.57, 0.05),
        "exposure": now(0.02, 0.05), "contrast": now(1.06, 0.07), "warmth": now(0.01, 0.03),
        "noise": np.clip(now(0.013, 0.005), 0.004, 0.03),
        "slope_x": now(0, 0.35), "slope_y": now(0.1, 0.35),
        "disc_x": now(0, 0.7), "disc_y": now(-0.4, 0.6), "disc": now(0.05, 0.1),
        "jaw": np.clip(own(0.07 + 0.32 * male, 0.13), 0, 0.7), "width": own(0.98, 0.03),
        "taper": own(0.17 - 0.12 * male, 0.05), "chin": own(1.42 + 0.08 * male, 0.05),
        "neck": np.clip(own(0.52 + 0.13 * male, 0.055), 0.4, 0.8), "collar": now(0.45, 0.12),
        "shoulder": own(1.84 - 0.05 * male, 0.05), "ear": own(0.26, 0.03),
        "brow_thick": np.clip(own(0.038 + 0.036 * male, 0.011), 0.012, 0.1),
        "brow_y": own(-0.29 + 0.055 * male, 0.03),
        "brow_arch": own(0.070 - 0.040 * male, 0.018), "brow_dark": own(0.62, 0.1),
        "eye_x": own(0.43, 0.02), "eye_wide": own(0.205 - 0.008 * male, 0.01),
        "eye_open": np.maximum(now(own(0.098 - 0.014 * male, 0.008) - 0.020 * smile, 0.01), 0.03),
        "eye_tilt": own(0.02, 0.015), "gaze": now(0, 0.03),
        "lash": np.clip(now(0.35 + 0.35 * makeup - 0.1 * male, 0.12), 0.1, 1),
        "lid": np.clip(now(0.55 * makeup - 0.05, 0.14), 0, 0.8),
        "blush": np.clip(now(0.04 + 0.26 * makeup, 0.09), 0, 0.5),
        "matte": np.clip(now(1 - 0.5 * makeup, 0.25), 0.2, 1.4),
        "nose": own(0.19 + 0.03 * male, 0.02), "nose_y": own(0.52, 0.03),
        "mouth_y": own(0.90 + 0.02 * male, 0.03),
        "mouth_wide": now(own(0.31, 0.02) + 0.075 * smile, 0.022),
        "lift": now(0.012 + 0.092 * smile, 0.026),
        "open": np.clip(now(0.145 * amount["Mouth_Slightly_Open"] - 0.03, 0.018), 0, 0.2),
        "teeth": np.clip(now(0.25 + 0.6 * smile, 0.2), 0, 1),
        "lip": np.maximum(own(0.085 - 0.022 * male, 0.012) - 0.018 * smile, 0.02),
        "fold": np.clip(now(0.02 + 0.11 * smile + 0.08 * old, 0.04), 0, 0.25),
        "bag": np.clip(own(0.03 + 0.16 * old, 0.04), 0, 0.3),
        "wrinkle": np.clip(own(0.09 * old, 0.02), 0, 0.2),
        "cheek": np.clip(now(0.02 + 0.15 * cheek, 0.04), 0, 0.3),
        "cheek_y": now(0.52 - 0.13 * cheek, 0.04),
        "hollow": np.clip(now(0.02 + 0.13 * cheek, 0.035), 0, 0.3),
        "stubble": np.where(beard, full, shaven),
        "hair_wide": own(0.17 - 0.06 * male, 0.05) - 0.1 * bald,
        "hair_low": np.where(short, own(0.35, 0.08), long) * ~bald + 0.2 * bald,
        "curl": ~short * np.clip(own(0.2, 0.3), 0, 0.7), "phase": own(0, 0.5),
        "long": 1.0 * (~short & ~bald),
        "hairline": own(0.98 + 0.05 * old, 0.07) - label["Bangs"] * own(0.50, 0.06),
        "part": own(0, 0.11), "fringe": np.clip(own(0.08, 0.04), 0, 0.2),
        "hairy": 1.0 - bald, "hat": 1.0 * hat,
        "glasses": 1.0 * label["Eyeglasses"], "rim": now(0.032, 0.008),
        "lens_x": own(0.29, 0.015), "lens_y": own(0.215, 0.025),
    }  # fmt: skip
    return {n: np.asarray(v, dtype=np.float32) for n, v in looks.items()}
