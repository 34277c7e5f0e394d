"""The graphs of one bundle, each held against torch as it is made."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from deepobfuscator.core.rows import evenly_spaced
from deepobfuscator.core.runtime import Context
from deepobfuscator.data.batches import Parts
from deepobfuscator.experiments.trial import Trial
from deepobfuscator.exporting import executorch, graphs, parity, payload, wires
from deepobfuscator.exporting.int8 import as_planes, quantised
from deepobfuscator.exporting.parity import Floats
from deepobfuscator.training.bundle import Bundle, apply
from deepobfuscator_edge.manifest import CLOUD, EDGE, INT8, PTE, Wire

MOST = 1000
"""Validation pictures that worth and decisions are measured on."""
FITTED_ON = 256
"""Training pictures whose features the levels of a wire setting are fitted to."""
CHUNK = 64
"""Pictures at a time: features may take ten times the memory of pictures."""

Pictures = NDArray[np.uint8]
Encode = Callable[..., Floats]


@dataclass(frozen=True)
class Built:
    """What `build` makes."""

    graphs: dict[str, onnx.ModelProto]
    """By file name."""
    program: bytes | None
    """The encoder for ExecuTorch."""
    wire: Wire
    """What leaves the device."""
    measured: dict[str, Any] = field(default_factory=dict)
    """Differences, decisions, worth, bytes; plain JSON."""


def build(
    trial: Trial,
    bundle: Bundle,
    data: Parts,
    context: Context,
    wanted: int | None,
    *,
    int8: bool,
    pte: bool,
) -> Built:
    """Export a bundle.

    Args:
        trial: what was trained.
        bundle: its networks.
        data: calibration takes training pictures, every measurement validation pictures.
        context: where torch computes, in float32.
        wanted: bits of one value on the wire; None chooses.
        int8: whether there is a graph with int8 convolutions, for devices.
        pte: whether there is a program for ExecuTorch.

    Raises:
        InputError: a network that cannot be exported, a graph that does not answer as torch does,
            no wire setting that is good enough.
    """
    encoder, classifier = bundle.encoder, bundle.players["C"]
    rows = evenly_spaced(len(data.validation), MOST)
    own = np.asarray(data.validation.pictures[rows])
    learnt = data.defender.pictures
    service = parity.Service(trial.task, data.validation.public[rows])
    size = trial.setting.size

    plain = graphs.traced(encoder, (3, *size), "planes", graphs.FEATURES)
    scored = graphs.Scored(classifier)
    cloud = graphs.traced(scored, encoder.features, graphs.FEATURES, graphs.SCORES)
    differ = _same_numbers(bundle, plain, cloud, own[: parity.SHOWN], context)
    device = quantised(plain, learnt) if int8 else plain

    by_torch: Encode = partial(_by_torch, bundle, context)
    scores = partial(_scores, classifier, context, own)
    expected, unrounded = scores(by_torch, None), scores(_by_graph(device), None)
    sample = np.asarray(learnt[evenly_spaced(len(learnt), FITTED_ON)])
    wire = wires.choose(
        _by_graph(device)(sample),
        wanted,
        encoder.wire_bits,
        lambda wire: service.loses(scores(_by_graph(device), wire), unrounded),
    )
    intake, packing = graphs.intake(size), payload.packing(wire)
    made = {
        EDGE: graphs.chained(intake, plain, packing),
        CLOUD: graphs.chained(payload.unpacking(wire), cloud),
    }
    if int8:
        made[INT8] = graphs.chained(intake, device, packing)

    answer, same = parity.asked(made[CLOUD]), scores(by_torch, wire)
    again = service.agreement(scores(by_torch, wire, len(own)), same) if encoder.stochastic else 1.0
    worth, agree = {"torch": service.worth(expected)}, {"torch": again}
    given = {file: parity.asked(made[file])(own) for file in (EDGE, INT8)[: 1 + int8]}
    sent = given[INT8 if int8 else EDGE].view(np.uint8)
    program = executorch.program(encoder, wire, size) if pte else None
    if program is not None:
        given[PTE] = executorch.payloads(program, own)
    for file, payloads in given.items():
        found = answer(payloads)
        agree[file], worth[file] = service.agreement(found, same), service.worth(found)
        # A setting that was asked for may cost what it costs.
        lost = service.loses(found, expected if wanted is None else same)
        service.check(file, agree[file], again, lost)
    wire = wires.compressed(wire, sent)
    fitted, by_pillow = parity.preprocessed(parity.asked(intake), own[: parity.SHOWN])
    return Built(
        made,
        program,
        wire,
        {
            "validation_pictures": len(own),
            "float_difference": differ,
            "preprocessing_difference": float(np.abs(fitted - by_pillow).mean()),
            "agreement": agree,
            "balanced_accuracy": worth,
            "bytes": wires.sizes(wire, sent, own),
        },
    )


def _same_numbers(
    bundle: Bundle,
    encoder: onnx.ModelProto,
    cloud: onnx.ModelProto,
    pictures: Pictures,
    context: Context,
) -> dict[str, float]:
    """Hold both float32 graphs against torch; raises InputError where they differ."""
    features = bundle.encode(pictures, context)
    scores = apply(bundle.players["C"], features, context).sigmoid().cpu().numpy()
    found = parity.asked(cloud)(features.cpu().numpy())
    differ = {"classifier": parity.same_numbers("classifier", found, scores)}
    if not bundle.encoder.stochastic:
        found = parity.asked(encoder)(as_planes(pictures))
        differ["encoder"] = parity.same_numbers("encoder", found, features.cpu().numpy())
    return differ


def _by_torch(bundle: Bundle, context: Context, pictures: Pictures, seed: int = 0) -> Floats:
    return bundle.encode(pictures, context, seed).cpu().numpy()


def _by_graph(model: onnx.ModelProto) -> Encode:
    graph = parity.asked(model)
    return lambda pictures, seed=0: graph(as_planes(pictures))


def _scores(
    classifier: torch.nn.Module,
    context: Context,
    pictures: Pictures,
    encode: Encode,
    wire: Wire | None,
    seed: int = 0,
) -> Floats:
    """What C of torch makes of encoded pictures, sent as they are or by a wire setting."""
    parts = []
    for start in range(0, len(pictures), CHUNK):
        features = encode(pictures[start : start + CHUNK], seed=seed + start)
        if wire is not None:
            features = wire.features(wire.pack(features))
        given = torch.from_numpy(features).to(context.device)
        parts.append(apply(classifier, given, context).sigmoid().cpu().numpy())
    return np.concatenate(parts)
