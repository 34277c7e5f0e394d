"""A generator of run folders with planted figures, for pages that need no training."""

import dataclasses
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from deepobfuscator.core.records import (
    CEILING,
    EXCESS,
    IMAGE,
    IN_GAME,
    LABEL_ONLY,
    MAJORITY,
    MAXIMUM,
    MEAN_FACE,
    SERVICE,
    Record,
    write_jsonl,
)

Plant = Callable[..., Path]

DEFENCES: dict[str, dict[str, Any]] = {
    "undefended": {"read": 0.961, "rebuilt": 0.93, "kept": 0.903, "bits": 1_048_576},
    "pixel-noise": {"read": 0.874, "rebuilt": 0.66, "kept": 0.861, "bits": 98_304},
    "deepobfuscator": {
        "read": 0.793,
        "rebuilt": 0.412,
        "kept": 0.889,
        "in_game": 0.512,
        "in_game_rebuilt": 0.121,
        "bits": 262_144,
    },
    "narrow-code": {"read": 0.571, "rebuilt": 0.298, "kept": 0.872, "bits": 8},
}
"""Figures that a study could well have given."""


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    """Writes one run folder below tmp_path/runs and returns it; see `plant_run`."""

    def planted(**how: Any) -> Path:
        return plant_run(tmp_path / "runs", **how)

    return planted


@pytest.fixture
def pieces() -> SimpleNamespace:
    """Builders of single files of a run."""
    return SimpleNamespace(trial=_trial, card=_card, faces=_plant_faces)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Three defences under three seeds each, one undefended run and one that has not finished."""
    return plant_study(tmp_path / "study")


def plant_study(folder: Path, private: Sequence[str] = ("Male",), seeds: int = 3) -> Path:
    for defence, figures in DEFENCES.items():
        for seed in range(1 if defence == "undefended" else seeds):
            shared = {"seed": seed, "private": private, "faces": True, "ceiling": 0.961}
            plant_run(folder, defence=defence, **shared, **figures)
    unfinished = folder / "unfinished"
    unfinished.mkdir(parents=True)
    trial = _trial("deepobfuscator", 3, ("Smiling",), private, {})
    (unfinished / "trial.json").write_text(json.dumps(trial))
    return folder


def plant_run(
    folder: Path,
    defence: str = "deepobfuscator",
    seed: int = 0,
    public: Sequence[str] = ("Smiling",),
    private: Sequence[str] = ("Male",),
    options: dict[str, Any] | None = None,
    read: float = 0.793,
    rebuilt: float = 0.412,
    kept: float = 0.889,
    in_game: float | None = None,
    in_game_rebuilt: float | None = None,
    floor: float = 0.551,
    ceiling: float | None = None,
    width: float = 0.022,
    bits: int = 262_144,
    faces: bool = False,
) -> Path:
    """A finished run in which the headline attacker is ``boosted`` at ``read``.

    A rival, ``lucky``, does worse on validation and better on test; every figure of a seed is
    shifted a little from the last one's.
    """
    trial = _trial(defence, seed, public, private, options or {})
    run = folder / f"{defence}-{'-'.join(map(str, (options or {}).values()))}-{seed}"
    (run / "bundle").mkdir(parents=True)
    base = Record(run.name, defence, "", "", "", 0.0, 0, 0, None, 3000, 1012, "test", seed)
    shift = 0.011 * math.sin(2.4 * seed)
    records: list[Record] = []

    def add(attack: str, subject: str, metric: str, value: float, **more: Any) -> None:
        scale = 25 if metric == "psnr" else 1
        ends = {"low": value - width * scale / 2, "high": value + width * scale / 2}
        made = {"attack": attack, "subject": subject, "metric": metric, "value": value} | ends
        records.append(dataclasses.replace(base, **(made | more)))

    for name in public:
        add(SERVICE, name, "accuracy", kept + shift / 2)
        add(SERVICE, name, "auc", min(0.99, kept + 0.06))
    for i, name in enumerate(private):
        figure = max(read - 0.06 * i, 0.5) + shift
        attackers = {"boosted": figure, "lucky": figure + 0.012, "linear": (figure + 0.5) / 2}
        for attack, value in attackers.items():
            own = 0.02 if attack == "boosted" else -0.03
            for metric, extra in (("balanced_accuracy", 0.0), ("accuracy", 0.004), ("auc", 0.03)):
                add(attack, name, metric, value + extra, floor=floor)
                add(attack, name, metric, value + extra + own, floor=floor, split="validation")
            add(attack, name, EXCESS, value - floor)
        highest = max(attackers.values())
        add(MAXIMUM, name, "balanced_accuracy", highest, high=highest + width, detail="lucky")
        if in_game is not None:
            add(IN_GAME, name, "balanced_accuracy", in_game + shift)
        if ceiling is not None:
            add(CEILING, name, "balanced_accuracy", ceiling)
            add(CEILING, name, EXCESS, ceiling - floor)
        add(MAJORITY, name, "balanced_accuracy", 0.5)
        add(MAJORITY, name, "accuracy", 0.58)
        add(LABEL_ONLY, name, "balanced_accuracy", floor)
    scales = "3 scales, weights .071 .453 .476"
    for attack, value in (("mirror", rebuilt + shift), ("residual", rebuilt + shift - 0.05)):
        for part in ("test", "validation"):
            add(attack, IMAGE, "ms_ssim", value, floor=0.281, split=part, detail=scales)
            add(attack, IMAGE, "psnr", 12 + 14 * value, floor=11.9, split=part)
        add(attack, IMAGE, EXCESS, value - 0.281)
    if in_game_rebuilt is not None:
        add(IN_GAME, IMAGE, "ms_ssim", in_game_rebuilt + shift)
    add(LABEL_ONLY, IMAGE, "ms_ssim", 0.281)
    add(MEAN_FACE, IMAGE, "ms_ssim", 0.233)
    write_jsonl(run / "records.jsonl", records)
    (run / "trial.json").write_text(json.dumps(trial))
    (run / "bundle" / "card.json").write_text(json.dumps(_card(trial, bits)))
    (run / "history.jsonl").write_text(
        "".join(json.dumps(h) + "\n" for h in _history(defence, seed))
    )
    if faces:
        _plant_faces(run, blur=1 - rebuilt)
    return run


def _trial(
    defence: str, seed: int, public: Sequence[str], private: Sequence[str], options: dict[str, Any]
) -> dict[str, Any]:
    return {
        "source": {"name": "synthetic", "path": f"/somewhere/{defence}"},
        "task": {"public": list(public), "private": list(private)},
        "defence": {"name": defence, **options},
        "setting": {"size": [64, 64], "seed": seed},
    }


def _card(trial: dict[str, Any], bits: int) -> dict[str, Any]:
    name, seed = trial["defence"]["name"], trial["setting"]["seed"]
    return {
        "key": f"{len(name):06x}{seed:06x}",
        "command": f"deepobfuscator run synthetic:20000 --defence {name} --seed {seed}",
        "trial": trial,
        "assumptions": [
            "The attacker holds labelled pictures of its own and may query the encoder at will.",
            *(["The noise is drawn anew for every picture."] if name == "pixel-noise" else []),
        ],
        "versions": {"deepobfuscator": "0.1.0", "torch": "2.13.0"},
        "precision": "bf16",
        "data": {
            "fingerprint": "0123456789abcdef",
            "pictures": {"defender": 8000, "attacker": 7000, "validation": 1000, "test": 3000},
            "people": {"defender": 2710, "attacker": 2380, "validation": 340, "test": 1012},
            "skipped": 0,
        },
        "features": [1] if bits == 8 else [16, 16, 32],
        "wire_bits": bits,
        "picture_bits": 64 * 64 * 3 * 8,
        "parameters": {"O": 38_720, "C": 1_204_994},
        "seconds": {"train": 412.0, "audit": 903.5},
    }


def _history(defence: str, seed: int) -> list[dict[str, Any]]:
    draw = np.random.default_rng(seed)
    lines, fall = [], lambda b, start, end, tau: end + (start - end) * math.exp(-b / tau)
    for batch in range(0, 3000, 20):
        noise = [float(0.03 * draw.standard_normal()) for _ in range(4)]
        losses = {"L_C": max(0.0, fall(batch, 0.69, 0.24, 400) + noise[0])}
        phase = "pre-train O, C"
        if defence == "deepobfuscator" and batch >= 800:
            phase = "pre-train AC, AR" if batch < 1400 else "algorithm 1"
            playing = max(0, batch - 1400)
            losses["L_AC"] = 0.69 - fall(playing, 0.5, 0.02, 300) + noise[1]
            losses["L_AR1"] = 0.88 - fall(playing, 0.6, 0.05, 500) + noise[2]
            losses["L_AR2"] = fall(playing, 0.9, 0.35, 700) + noise[3]
        lines.append({"phase": phase, "batch": batch, "epoch": batch / 125, "losses": losses})
    return lines


def _plant_faces(run: Path, blur: float, count: int = 6, side: int = 64) -> None:
    """Drawn heads: an ellipse, two eyes and a mouth on a background."""
    y, x = np.mgrid[0:side, 0:side] / side - 0.5
    raw = np.empty((count, side, side, 3))
    for i, seed in enumerate(range(count)):
        draw = np.random.default_rng(seed)
        raw[i] = draw.uniform(60, 200, 3)
        skin, hair = draw.uniform((150, 100, 80), (240, 190, 160)), draw.uniform(10, 90, 3)
        raw[i][x**2 / 0.15 + (y + 0.06) ** 2 / 0.2 < 1] = hair
        raw[i][x**2 / 0.09 + (y - 0.05) ** 2 / 0.13 < 1] = skin
        for eye in (-0.12, 0.12):
            raw[i][(x - eye) ** 2 + y**2 < 0.0014] = 20
        curve = draw.uniform(-1.5, 2.5) * (x**2 - 0.01)
        raw[i][(abs(y - 0.22 + curve) < 0.018) & (abs(x) < 0.13)] = (150, 40, 50)
    label_only = np.broadcast_to(raw.mean(0), raw.shape)
    rebuilt = (1 - blur) * raw + blur * label_only
    np.savez(
        run / "faces.npz",
        raw=raw.astype(np.uint8),
        reconstructed=rebuilt.astype(np.uint8),
        label_only=label_only.astype(np.uint8),
        attack=np.array("mirror"),
    )
