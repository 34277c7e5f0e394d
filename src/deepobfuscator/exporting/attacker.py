"""A newly trained reconstructor of what leaves the device, as a graph."""

import hashlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import parser
from torch import Tensor

from deepobfuscator.attacks.reconstruct import Mirror
from deepobfuscator.attacks.threat import AttackerData, Threat
from deepobfuscator.auditing.artifacts import best_reconstructor, kept_reconstructor
from deepobfuscator.auditing.config import Target
from deepobfuscator.auditing.run import noted
from deepobfuscator.core.runtime import Context, locked
from deepobfuscator.data.batches import Labelled
from deepobfuscator.exporting import graphs, parity, payload
from deepobfuscator_edge.manifest import Wire

SALT = 300
"""Of its parts: a noisy encoder draws other noise than in the audit."""
COMPARED = 64
"""Validation inputs on which the graph is held against torch."""


def attacker(
    target: Target, device: onnx.ModelProto, wire: Wire, run: Path, context: Context
) -> tuple[onnx.ModelProto, dict[str, Any]]:
    """A graph from ``payload`` to ``rebuilt`` (n, H, W, 3), uint8, and what is known of it.

    The reconstructor that was best on validation in the run's audit, else the mirror, trained from
    scratch on the attacker's part of the pictures. It sees what the service sees: features after
    the ``device`` graph and the ``wire``. Its weights are kept in ``run``/audit.

    Args:
        target: the trained run.
        device: the graph that devices run, from pictures to ``payload``.
        wire: what is in the payload.
        run: the run folder.
        context: where torch computes, in float32.

    Raises:
        InputError: the network cannot be exported, or its graph does not give what torch gives.
    """
    data, encoder, setting = target.data, target.bundle.encoder, target.setting
    ask = parity.asked(device)

    def query(inputs: NDArray[np.uint8], seed: int) -> Tensor:
        return torch.from_numpy(wire.features(ask(inputs).view(np.uint8))).to(context.device)

    def seen(part: Labelled, salt: int) -> AttackerData:
        return AttackerData(part, query, wire.shape, salt, encoder.stochastic)

    threat = Threat(
        own=seen(data.attacker, SALT),
        validation=seen(data.validation, SALT + 1),
        size=setting.size,
        setting=setting,
        mirror=partial(encoder.mirror, setting.size, setting.width),
    )
    audited = noted(run)
    attack = best_reconstructor(audited[0].attacks, run / "audit") if audited else Mirror()
    told = attack.label.encode() + device.SerializeToString(deterministic=True)
    path = run / "audit" / f"shipped-{hashlib.sha256(told).hexdigest()[:12]}.safetensors"
    with locked(run):
        fitted = kept_reconstructor(attack, threat, context, path, "what leaves the device: ")
    assert fitted.network is not None

    network = graphs.traced(fitted.network, wire.shape, graphs.FEATURES, graphs.REBUILT)
    features = threat.validation.features_of(np.arange(min(COMPARED, len(data.validation))))
    with torch.no_grad():
        expected = fitted(features).float().cpu().numpy()
    parity.same_numbers(attack.name, parity.asked(network)(features.cpu().numpy()), expected)
    about = {
        "attack": attack.label,
        "trained_on": len(data.attacker),
        "ms_ssim": round(max(fitted.curve), 4),
    }
    return graphs.chained(payload.unpacking(wire), network, shown(setting.size)), about


def shown(size: tuple[int, int]) -> onnx.ModelProto:
    """Pictures (n, 3, *size) in [0, 1] to (n, *size, 3) in 0..255."""
    sides = "{}, {}".format(*size)
    return parser.parse_model(f"""{graphs.HEAD}
shown (float[n, 3, {sides}] planes) => (uint8[n, {sides}, 3] {graphs.REBUILT}) {{
  white = Constant <value = float {{255}}> ()
  levels = Mul (planes, white)
  whole = Round (levels)
  bytes = Cast <to = 2> (whole)
  {graphs.REBUILT} = Transpose <perm = [0, 2, 3, 1]> (bytes)
}}""")
