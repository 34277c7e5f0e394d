"""A trained run as a folder for devices and a server.

SHIP/edge.onnx        encoder, from pictures of any size to what leaves the device
SHIP/edge.int8.onnx   the same with int8 convolutions: the one that devices run
SHIP/cloud.onnx       classifier, from what leaves the device to scores
SHIP/edge.pte         on request: the encoder for ExecuTorch, from a picture of the encoder's size
SHIP/attacker.onnx    on request: a newly trained reconstructor of what leaves the device
SHIP/manifest.json    what they are, what was measured
SHIP/README.md        the model card
SHIP/Containerfile    the server as an image
SHIP/audit.json       what an audit of the folder found, once there was one
SHIP/SHA256SUMS       over all of them
"""

import hashlib
import json
import os
import platform
import re
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import onnx
import onnxruntime
import torch

import deepobfuscator
from deepobfuscator.core.config import to_json
from deepobfuscator.core.errors import InputError
from deepobfuscator.core.files import expanded, replaced, sha256
from deepobfuscator.core.runtime import resolve_device
from deepobfuscator.data.table import Source
from deepobfuscator.experiments.runner import Runner
from deepobfuscator.experiments.trial import Trial, pictures_there, same_data
from deepobfuscator.exporting import attacker as attackers
from deepobfuscator.exporting import graphs, wires
from deepobfuscator.exporting.build import build
from deepobfuscator.exporting.folder import finish
from deepobfuscator_edge.manifest import (
    ATTACKER,
    CLOUD,
    EDGE,
    FORMAT,
    INT8,
    MANIFEST,
    PTE,
    Attribute,
    Manifest,
)

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Trained(Protocol):
    """A run in its folder, as `deepobfuscator.train` gives it."""

    @property
    def folder(self) -> Path:
        """Where it lies."""


def export(
    run: Trained | str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    name: str | None = None,
    wire: str = wires.AUTO,
    int8: bool = True,
    executorch: bool = False,
    attacker: bool = False,
    source: Source | None = None,
    device: str = "auto",
    command: str = "",
) -> Manifest:
    """Export a trained run to a folder, which appears whole or not at all.

    Args:
        run: a run or its folder.
        out: replaced where it holds an export of the same run.
        name: of the model, in addresses of the service; by default that of the run folder.
        wire: ``auto``, ``int1``, ``int2``, ``int4``, ``int8`` or ``float16``.
        int8: whether devices run int8 convolutions.
        executorch: whether to add the encoder as an ExecuTorch program, in float32.
        attacker: whether to train a reconstructor on what leaves the device and export it as well,
            for `serve --demo`.
        source: the run's pictures, where they lie elsewhere by now.
        device: where torch computes: ``auto``, ``cpu`` or ``cuda``.
        command: what was typed, for messages and notes.

    Raises:
        InputError: nothing to export, another export in ``out``, a network that cannot be exported
            or whose graph does not answer as torch does.
    """
    given = os.fspath(run) if isinstance(run, str | os.PathLike) else run.folder
    run, out = expanded(given), expanded(os.fspath(out))
    wanted = wires.parse(wire)
    trial = Trial.of(run)
    if not trial.defence.trains:
        raise InputError(
            f"{trial.defence.name} is no trained defence: there is no classifier to ship"
        )
    if not NAME.fullmatch(name := name or run.absolute().name):
        raise InputError(
            f"--name {name}: letters, digits, '.', '_' and '-' make a name, at most 64"
        )
    unclaimed(out, trial)
    if source is not None:
        trial = replace(trial, source=source)
    pictures_there(trial, run)
    runner = Runner(resolve_device(device), command)
    context = replace(runner.on(trial, run), precision="fp32")
    data = runner.data(trial, context)
    same_data(data, run)
    target = runner.target(trial, run)
    bundle, edge = target.bundle, INT8 if int8 else EDGE
    with context.progress("export", 1):
        made = build(trial, bundle, data, context, wanted, int8=int8, pte=executorch)
    if attacker:
        made.graphs[ATTACKER], told = attackers.attacker(
            target, made.graphs[edge], made.wire, run, context
        )
        made.measured["attacker"] = told
    about = {
        "run": {"key": trial.key, "trial": to_json(trial, machine=False)},
        "data": data.summary["pictures"],
        "measured": made.measured,
        "versions": {
            "deepobfuscator": deepobfuscator.__version__,
            "torch": torch.__version__,
            "onnx": onnx.__version__,
            "onnxruntime": onnxruntime.__version__,
            "python": platform.python_version(),
        },
    }
    with replaced(out) as new:
        for file, graph in made.graphs.items():
            graphs.saved(graph, new / file)
        if made.program is not None:
            (new / PTE).write_bytes(made.program)
        files = {path.name: sha256(path) for path in sorted(new.iterdir())}
        manifest = Manifest(
            name=name,
            model=hashlib.sha256(f"{files[edge]}{files[CLOUD]}".encode()).hexdigest()[:12],
            size=trial.setting.size,
            wire=made.wire,
            attributes=attributes(trial),
            edge=edge,
            files=files,
            stochastic=bundle.encoder.stochastic,
            about=about,
        )
        finish(new, manifest)
    return manifest


def unclaimed(out: Path, trial: Trial) -> None:
    """Raise InputError where ``out`` holds anything but an export of the same run."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    try:
        there = json.loads((out / MANIFEST).read_text())
        key = there["about"]["run"]["key"] if there["format"] == FORMAT else None
    except (OSError, ValueError, KeyError, TypeError):
        key = None
    if key is None:
        raise InputError(f"{out} exists and is no export: name another folder")
    if key != trial.key:
        raise InputError(
            f"{out} holds the export of another run ({key}): delete it, or name another folder"
        )


def attributes(trial: Trial) -> tuple[Attribute, ...]:
    """What the service of a run tells."""
    classes = dict(trial.task.classes)
    return tuple(Attribute(name, tuple(classes.get(name, ()))) for name in trial.task.public)
