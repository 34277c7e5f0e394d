"""A generator of audited runs with planted figures."""

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
    IDENTITY,
    IMAGE,
    IN_GAME,
    LABEL_ONLY,
    MAJORITY,
    MAXIMUM,
    MEAN_FACE,
    OVER_SERVICE,
    P_HOLM,
    SERVICE,
    Record,
    ThreatKind,
    write_jsonl,
)

Plant = Callable[..., Path]

AUDITS: dict[str, dict[str, Any]] = {
    "leaky": {"read": 0.793, "rebuilt": 0.412, "known": 0.81, "undeclared": 0.12},
    "tight": {"read": 0.553, "rebuilt": 0.284, "known": 0.52, "undeclared": 0.004},
    "brought": {"read": 0.868, "rebuilt": 0.664, "known": None, "undeclared": 0.2},
    "noisy": {"read": 0.642, "rebuilt": 0.331, "known": 0.63, "undeclared": 0.05},
}
"""Figures of one audit each: attributes, pictures, identity, and undeclared attributes."""

UNDECLARED = (
    "Big_Lips",
    "Blond_Hair",
    "Chubby",
    "Eyeglasses",
    "High_Cheekbones",
    "5_o_Clock_Shadow",
    "Bags_Under_Eyes",
    "Wearing_Lipstick",
    "Wearing_Necktie",
    "Heavy_Makeup",
    "Goatee",
    "Bald",
)

ATTACKERS = {
    "resnet": 0.0,
    "ensemble": 0.006,
    "ac": -0.008,
    "ac seed=1": -0.011,
    "mlp": -0.024,
    "trees": -0.035,
    "linear": -0.06,
}
"""Attribute attackers and how far from the headline they come; the first is best on validation."""


@pytest.fixture
def plant_audit(tmp_path: Path, pieces: SimpleNamespace) -> Plant:
    """Writes one audited run below tmp_path/audits and returns its folder; see `audited_run`."""

    def planted(kind: str = "leaky", **how: Any) -> Path:
        return audited_run(tmp_path / "audits", pieces, kind, **how)

    return planted


def audited_run(
    folder: Path,
    pieces: SimpleNamespace,
    kind: str,
    public: Sequence[str] = ("Smiling",),
    private: Sequence[str] = ("Male", "Young"),
    ceiling: str | None = None,
    able: float = 0.94,
    control: float = 0.5,
    width: float = 0.022,
    read: float | None = None,
) -> Path:
    """An audited run of one of `AUDITS`, led by ``resnet``, ``mirror``, ``identify``.

    Args:
        folder: holds the run.
        pieces: builders of its files.
        kind: which of `AUDITS`.
        public: attributes of the service.
        private: attributes under attack.
        ceiling: what the ceiling is; by default ``raw`` for an encoder that was brought along.
        able: balanced accuracy of the ceiling; 0.04 less for each further attribute.
        control: balanced accuracy of attackers who learned from shuffled pairs.
        width: of the intervals; those of differences are as wide.
        read: balanced accuracy of the headline attacker, in place of that of the kind.
    """
    how = AUDITS[kind] | ({} if read is None else {"read": read})
    brought, run = kind == "brought", folder / kind
    for part in ("bundle", "audit"):
        (run / part).mkdir(parents=True, exist_ok=True)
    trial = pieces.trial({"noisy": "pixel-noise"}.get(kind, "narrow-code"), 0, public, private, {})
    people = None if brought else 1012
    base = Record(kind, "", "", "", "", 0.0, 0, 0, None, 3000, people, "test", 0)
    records: list[Record] = []

    def add(attack: str, subject: str, metric: str, value: float, **more: Any) -> None:
        scale = 25 if metric == "psnr" else 1
        value = round(value, 6)
        ends = {"low": value - width * scale / 2, "high": value + width * scale / 2}
        made = {"attack": attack, "subject": subject, "metric": metric, "value": value}
        made |= {k: round(v, 6) for k, v in ends.items()}
        records.append(dataclasses.replace(base, **(made | more)))

    def attribute(
        attack: str, name: str, value: float, own: float, floor: float | None, **more: Any
    ) -> None:
        extras = {"balanced_accuracy": 0.0, "accuracy": 0.004, "auc": 0.03, "mcc": value - 1}
        for metric, extra in extras.items():
            add(attack, name, metric, value + extra, **more)
            add(attack, name, metric, value + extra + own, **more | {"split": "validation"})
        if floor is not None:
            add(attack, name, EXCESS, value - floor, **more)

    def highest(name: str, metric: str, value: float, detail: str) -> None:
        add(MAXIMUM, name, metric, value, high=round(value + width, 6), detail=detail)

    for name in public if not brought else ():
        for metric, value in (("accuracy", 0.872), ("balanced_accuracy", 0.868), ("auc", 0.941)):
            add(SERVICE, name, metric, value)
        add(CEILING, name, "accuracy", 0.903)
        add(MAJORITY, name, "accuracy", 0.523)
    for i, name in enumerate(private):
        floor, figure = 0.551 - 0.02 * i, max(how["read"] - 0.05 * i, 0.5)
        for attack, less in ATTACKERS.items():
            own = 0.02 if attack == "resnet" else -0.03
            attribute(attack, name, figure + less, own, floor)
        attribute("resnet", name, figure + 0.004, 0, floor, given=ThreatKind.LABELS)
        attribute("resnet", name, control, 0, floor, given=ThreatKind.SHUFFLED)
        if not brought:
            attribute("trees", name, floor + 0.004, 0, None, given=ThreatKind.ANSWER)
            add("resnet", name, OVER_SERVICE, figure - floor - 0.004)
            add(IN_GAME, name, "balanced_accuracy", 0.512)
        for pictures, less in ((50, 0.7), (200, 0.4), (1000, 0.15)):
            value = figure - less * max(figure - floor, 0)
            attribute("linear", name, value, 0, floor, given=f"{pictures} pictures")
        if kind == "noisy":
            attribute("resnet", name, figure + 0.05, 0, floor, given="8 queries a picture")
        highest(name, "balanced_accuracy", figure + 0.006, "ensemble")
        highest(name, EXCESS, figure + 0.006 - floor, "ensemble")
        add(CEILING, name, "balanced_accuracy", able - 0.04 * i)
        add(CEILING, name, EXCESS, able - 0.04 * i - floor)
        add(MAJORITY, name, "balanced_accuracy", 0.5, low=0.5, high=0.5)
        add(LABEL_ONLY, name, "balanced_accuracy", floor)
    scales = "3 scales, weights .071 .453 .476"
    for attack, less in (("mirror", 0.0), ("residual", -0.02), ("white-box inversion", -0.09)):
        value, few = how["rebuilt"] + less, {"n": 64} if "inversion" in attack else {}
        if few and kind == "noisy":
            continue
        for part in ("test", "validation"):
            add(attack, IMAGE, "ms_ssim", value, split=part, detail=scales, **few)
            add(attack, IMAGE, "ssim", value - 0.05, split=part, **few)
            add(attack, IMAGE, "psnr", 12 + 14 * value, split=part, **few)
        add(attack, IMAGE, "ms_ssim_worst", value + 0.11, detail=scales, **few)
        add(attack, IMAGE, EXCESS, value - 0.281, **few)
    highest(IMAGE, "ms_ssim", how["rebuilt"], "mirror")
    highest(IMAGE, EXCESS, how["rebuilt"] - 0.281, "mirror")
    for metric, value in (("ms_ssim", 0.93), (EXCESS, 0.649)):
        add(CEILING, IMAGE, metric, value)
    add(LABEL_ONLY, IMAGE, "ms_ssim", 0.281)
    add(MEAN_FACE, IMAGE, "ms_ssim", 0.233)
    if how["known"] is not None:
        gallery = "600 people in the gallery"
        for attack, less in (("identify", 0.0), ("reidentify", -0.04)):
            value = how["known"] + less
            for part in ("test", "validation"):
                add(attack, IDENTITY, "auc", value, split=part)
                add(attack, IDENTITY, "eer", 1 - value, split=part)
                add(attack, IDENTITY, "rank1", value / 5, split=part, detail=gallery)
            add(attack, IDENTITY, EXCESS, value - 0.53)
        highest(IDENTITY, "auc", how["known"], "identify")
        highest(IDENTITY, EXCESS, how["known"] - 0.53, "identify")
        for metric, value in (("auc", 0.97), (EXCESS, 0.44)):
            add(CEILING, IDENTITY, metric, value)
        add(LABEL_ONLY, IDENTITY, "auc", 0.53)
    for i, name in enumerate(UNDECLARED):
        excess = how["undeclared"] * math.cos(i / 4)
        for attack, less in (("resnet", 0.0), ("linear", -0.02)):
            attribute(attack, name, 0.56 + excess + less, 0, 0.56)
        p = min(1.0, round(math.exp(-400 * max(excess, 0)) * 12, 6))
        add("resnet", name, P_HOLM, p, low=p, high=p)
        highest(name, EXCESS, excess, "resnet")
        add(CEILING, name, EXCESS, 0.3)
    write_jsonl(run / "records.jsonl", records)
    (run / "trial.json").write_text(json.dumps(trial))
    (run / "bundle" / "card.json").write_text(json.dumps(pieces.card(trial, 8)))
    notes = _notes(kind, ceiling or ("raw" if brought else "undefended"))
    (run / "audit" / "notes.json").write_text(json.dumps(notes))
    pieces.faces(run, blur=1 - how["rebuilt"])
    with np.load(run / "faces.npz") as held:
        names = {"raw": "raw", "reconstructed": "rebuilt", "label_only": "label_only"}
        worst = {f"worst_{new}": held[old] for old, new in names.items()}
    scores = np.linspace(how["rebuilt"] + 0.2, how["rebuilt"] + 0.1, len(worst["worst_raw"]))
    more = {"worst_ms_ssim": scores, "attack": np.array("mirror")}
    np.savez(run / "audit" / "faces.npz", **worst, **more)
    return run


def _notes(kind: str, ceiling: str) -> dict[str, Any]:
    brought = kind == "brought"

    def part(pictures: int, people: int) -> dict[str, Any]:
        digest = f"{pictures:08x}" * 8
        return {"pictures": pictures, "people": None if brought else people, "sha256": digest}

    targets = (
        ("attributes", "cross-entropy"),
        ("image", "MS-SSIM"),
        ("identity", "verification AUC"),
    )
    attacks = (
        ("ac", *targets[0]),
        ("resnet", *targets[0]),
        ("mirror", *targets[1]),
        ("identify", *targets[2]),
    )
    return {
        "suite": "quick",
        "command": f"deepobfuscator audit runs/{kind} --suite quick --fail-if 'Male.excess > 0.05'",
        "seconds": 412.0,
        "target": {
            "kind": "onnx" if brought else "bundle",
            "name": "encoder.onnx" if brought else "narrow-code",
            "features": [16, 16, 32] if brought else [8],
            "wire_bits": 262_144 if brought else 8,
            "picture_bits": 98_304,
            "draws": kind == "noisy",
            "one_at_a_time": brought,
            "differentiable": not brought,
        },
        "ceiling": ceiling,
        "parts": {
            "defender": None if brought else part(8000, 1600),
            "attacker": part(7000, 1400),
            "validation": part(1000, 200),
            "test": part(3000, 1012),
        },
        "curves": [
            {
                "attack": attack,
                "given": "",
                "target": target,
                "metric": metric,
                "scores": [round(top - 0.3 * math.exp(-e / (1.5 + i)), 4) for e in range(12)],
            }
            for i, (attack, target, metric) in enumerate(attacks)
            for top in (-0.35 if target == "attributes" else 0.7,)
        ],
        "doubled": [
            {
                "attack": "resnet",
                "subject": "Male",
                "metric": "balanced_accuracy",
                "once": 0.791,
                "twice": 0.793,
            }
        ],
        "not_tried": [
            {"what": "white-box inversion", "why": "this encoder gives no gradients"},
            *([] if not brought else [{"what": "identity", "why": "nobody says who is on them"}]),
        ],
        "gates": [
            {"rule": "Male.excess > 0.05", "upper": 0.031, "outcome": "passed"},
            {"rule": "image.ms_ssim > 0.3", "upper": 0.434, "outcome": "exceeded"},
            {"rule": "Young.auc > 0.6", "upper": 0.55, "outcome": "attack too weak"},
        ],
    }
