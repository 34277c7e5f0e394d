"""Seconds for every trained reader and reconstructor on one bundle, attacker by attacker.

The reference fits the same architectures (built by the product, run plainly: float32, channels
first) from picture files, computing the features anew for every batch. Both see the same number of
batches and pass over the validation pictures at the same places. The players are as they were
drawn: only the time matters. The limit counts the training batches' products and nothing else.
"""

from collections.abc import Iterator
from math import ceil
from pathlib import Path
from time import perf_counter

import torch

import limit
import pictures
import reference
from deepobfuscator.attacks.infer import MLP, AdversaryClassifier, LinearProbe, ResidualNet
from deepobfuscator.attacks.reconstruct import Mirror, ResRec, URec1, URec2
from deepobfuscator.attacks.threat import Threat
from deepobfuscator.attacks.trained import InferenceAttack, ReconstructionAttack, TrainedAttack
from deepobfuscator.auditing.config import AuditConfig, Target
from deepobfuscator.auditing.fit import Audit
from deepobfuscator.core.runtime import Context
from deepobfuscator.data.batches import Batch
from deepobfuscator.defences.undefended import Undefended
from deepobfuscator.training.bundle import Bundle
from deepobfuscator.training.objectives import TrainConfig, stage, update
from game import product_run
from harness import Contender, Options, Row, Spread, alternate

SUITE: tuple[InferenceAttack | ReconstructionAttack, ...] = (
    *(AdversaryClassifier(), LinearProbe(), MLP(), ResidualNet()),
    *(Mirror(), ResRec(), URec1(), URec2()),
)
"""Every architecture that reads attributes or rebuilds pictures, once."""


def passes(size: tuple[int, int], width: float, batch: int) -> TrainConfig:
    """The attackers' budget: half the usual passes over few pictures."""
    return TrainConfig(
        size=(size[0], size[1]),
        width=width,
        batch_size=batch,
        infer_epochs=2,
        reconstruct_epochs=4,
    )


def threat(where: str, setting: TrainConfig, limit: int, run: Context) -> Threat:
    """What an attacker is handed of an encoder at its initial weights."""
    players = Undefended().players(pictures.TASK, setting, run)
    for player in players.values():
        player.eval()
    data = pictures.load(where, setting.size, limit)
    bundle = Bundle(players, {})
    target = Target("", Undefended(), pictures.TASK, setting, bundle, data=data, context=run)
    return Audit(target, AuditConfig()).threat


def batches(attack: TrainedAttack, threat: Threat) -> int:
    """How many `play` gives this attack."""
    setting = threat.setting
    named = setting.infer_epochs if attack.target == "attributes" else setting.reconstruct_epochs
    per_epoch = len(threat.own) // min(setting.batch_size, len(threat.own))
    return max(1, ceil(attack.share * named * per_epoch))


def product(
    where: str, size: tuple[int, int], width: float, batch: int, limit: int
) -> Iterator[dict[str, float]]:
    """One attacker a turn, in the suite's order; the first pays for the features that all share."""
    run, setting = product_run(), passes(size, width, batch)
    faced = threat(where, setting, limit, run)
    for attack in SUITE:
        began = perf_counter()
        attack.fit(faced, run)
        yield {"seconds": perf_counter() - began}


def plain(
    where: str, size: tuple[int, int], width: float, batch: int, limit: int
) -> Iterator[dict[str, float]]:
    """The same attackers, each from the files."""
    setting = passes(size, width, batch)
    faced = threat(where, setting, limit, Context(Path()))
    encoder = reference.obfuscator(width)
    parts = []
    for name, training in (("attacker", True), ("validation", False)):
        files = pictures.files(where, name, limit)
        dataset = reference.Pictures(
            *(files.paths, files.public, files.private, setting.size),
            shift=False,
            mirror=training,
        )
        parts.append((dataset, batch, training))
    for attack in SUITE:
        began = perf_counter()
        reference.fit_attacker(
            attack.network(faced).to(memory_format=torch.contiguous_format),
            encoder,
            reference.image_loss if attack.target == "image" else reference.private_loss,
            attack.rate * setting.learning_rate,
            *(reference.loader(*part) for part in parts),
            batches(attack, faced),
        )
        yield {"seconds": perf_counter() - began}


def bench(options: Options) -> list[Row]:
    """One row for each attacker and one for all."""
    size, width, batch, pool = (64, 64), 0.25, 64, 2000
    if options.quick:
        size, width, batch, pool = (32, 32), 1 / 16, 16, 240
    where = pictures.folder(options, pool)
    arguments = {"where": where, "size": size, "width": width, "batch": batch, "limit": pool}
    run, setting = Context(Path()), passes(size, width, batch)
    needs, counts = {}, {}
    faced = threat(where, setting, pool, run)
    for attack in SUITE:
        played = {attack.role: attack.network(faced)}
        small = Batch(
            torch.rand(2, 3, *size), None, torch.zeros(2, 1), torch.rand(2, *faced.features)
        )
        step = stage("attack", update(attack.role, loss=attack.objective))
        needs[attack.name] = limit.needed(step, played, small, run, batch)
        counts[attack.name] = batches(attack, faced)
    best = limit.fastest(alternate({"": limit.contender(needs.values())}, 1, options)[""])
    taken = alternate(
        {
            "product": Contender("audit:product", arguments),
            "plain": Contender("audit:plain", arguments),
        },
        len(counts),
        options,
        warm_up=0,
    )
    rows, sums = [], [0.0, 0.0, 0.0]
    for turn, name in enumerate(counts):
        least = counts[name] * limit.total(needs[name], best)
        ours, theirs = (taken[who][turn]["seconds"] for who in ("product", "plain"))
        sums = [a + b for a, b in zip(sums, (ours, theirs, least), strict=True)]
        rows.append(row(name, ours, theirs, least, f"{counts[name]} batches of {batch}"))
    pictures_ = f"{len(faced.own)} pictures, {size[0]}x{size[1]}, width {width:g}"
    return [*rows, row("whole suite", *sums, pictures_)]


def row(case: str, ours: float, theirs: float, least: float, note: str) -> Row:
    """Of single measurements."""
    mine, other = Spread.of([ours]), Spread.of([theirs])
    return Row("audit", case, "s", mine, "each attacker from files", other, least, note)
