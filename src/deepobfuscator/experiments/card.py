"""The card of a bundle: everything that determined a run."""

import platform
from typing import Any

import torch

import deepobfuscator
from deepobfuscator.core.config import to_json
from deepobfuscator.core.runtime import Context
from deepobfuscator.data.batches import Parts
from deepobfuscator.experiments.trial import COMMON_ASSUMPTIONS, Trial
from deepobfuscator.metrics.images import KNEE, describe_ms_ssim
from deepobfuscator.nn.vgg import multiply_accumulates, parameter_count
from deepobfuscator.training.bundle import Bundle


def card(
    command: str, trial: Trial, bundle: Bundle, data: Parts, context: Context, seconds: float
) -> dict[str, Any]:
    """Everything that determined the run, with all assumptions.

    Args:
        command: the command line of the training.
        trial: what was trained.
        bundle: its players.
        data: its parts.
        context: device and precision.
        seconds: how long it took.
    """
    height, width = trial.setting.size
    phases = trial.defence.phases(trial.setting)
    per_pass = trial.setting.per_pass(len(data.defender))
    return {
        "key": trial.key,
        "command": command,
        "trial": to_json(trial),
        "assumptions": [*COMMON_ASSUMPTIONS, *trial.defence.assumptions],
        "versions": {
            "deepobfuscator": deepobfuscator.__version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
        "device": str(context.device),
        "threads": torch.get_num_threads(),
        "processes": context.ranks,
        "precision": context.precision,
        "data": data.summary,
        "rounds": {p.name: p.rounds(per_pass) for p in phases},
        "ms_ssim": f"{describe_ms_ssim(min(trial.setting.size))}; below a scale's mean of "
        f"{KNEE:g} it stays positive, where the published index has no value",
        "features": list(bundle.encoder.features),
        "wire_bits": bundle.encoder.wire_bits,
        "picture_bits": 24 * height * width,
        "macs": multiply_accumulates(bundle.encoder, trial.setting.size),
        "parameters": {n: parameter_count(p) for n, p in bundle.players.items()},
        "seconds": {"train": round(seconds, 1)},
    }
