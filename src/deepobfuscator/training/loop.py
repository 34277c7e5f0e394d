"""Playing a game: the training loop, its learning rate, its checkpoints.

All randomness is seeded by (seed, phase, epoch or batch), never drawn from a running generator, so
a checkpoint consists of the players, their optimisers and a position.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from deepobfuscator.core.runtime import Context
from deepobfuscator.data.batches import Batch, Material
from deepobfuscator.nn.vgg import renew
from deepobfuscator.training.checkpoint import Position, Saver, resumed
from deepobfuscator.training.graphs import Recorder, adam, set_rate
from deepobfuscator.training.objectives import Phase, Players, Round, Stage, TrainConfig

WARM_UP = 0.05
"""Fraction of a phase over which the learning rate rises to its full value."""
FINAL_RATE = 0.01
"""Fraction of the learning rate left at the end of a phase."""
HISTORY_EVERY = 100
"""Batches between two points of the training curves (figure 6)."""


def play_stage(
    current: Stage,
    batch: Batch,
    players: Players,
    optimisers: Mapping[str, torch.optim.Optimizer],
    context: Context,
) -> dict[str, Tensor]:
    """Play one batch: exactly the stage's movers change, batch-norm buffers included.

    Parameters that require no gradient are unchanged; one that the loss does not use has gradient
    0.
    """
    for name, player in players.items():
        set_mode(player, name in current.movers, current.by_batch)
    losses: dict[str, Tensor] = {}
    for turn in range(current.repeat):
        r = Round(players, batch, current.movers, context)
        for step in current.updates:
            movers = [players[name] for name in step.movers]
            parameters = [p for m in movers for p in m.parameters() if p.requires_grad]
            gradients = torch.autograd.grad(step.loss(r), parameters, materialize_grads=True)
            for p, g in zip(parameters, context.average(gradients), strict=True):
                # Fused Adam iterates over raw memory: another layout would mix up the weights.
                p.grad = g if g.stride() == p.stride() else torch.empty_like(p).copy_(g)
            for name in step.movers:
                if (key := current.optimiser(name)) in optimisers:  # else it has no weights
                    optimisers[key].step()
        losses |= r.losses()
        if turn + 1 < current.repeat:
            batch.features = r.features.detach()
    average_statistics([players[name] for name in sorted(current.movers)], context)
    return losses


def set_mode(player: nn.Module, moves: bool, by_batch: bool = False) -> None:
    """Prepare ``player`` for a stage: one that does not move is unchanged, whether its batch norm
    uses running statistics or, if ``by_batch``, those of the batch.
    """
    player.train(moves)
    for norm in (m for m in player.modules() if isinstance(m, _BatchNorm)):
        norm.train(moves or by_batch)
        norm.track_running_stats = moves or not by_batch


def average_statistics(players: Iterable[nn.Module], context: Context) -> None:
    """Synchronise running batch-norm statistics over ranks; on GPUs they already are."""
    if context.ranks > 1 and context.device.type == "cpu":
        found = [b for p in players for b in p.buffers() if b.is_floating_point()]
        for buffer, mean in zip(found, context.average(found), strict=True):
            buffer.copy_(mean)


def learning_rate(peak: float, batch: int, total: int, anneal: bool = True) -> float:
    """Linear rise over the first 5 % of a phase, then half a cosine down to 1 % of ``peak``, or
    ``peak`` throughout.
    """
    rise = max(1, round(WARM_UP * total))
    if batch < rise:
        return peak * (batch + 1) / rise
    if not anneal:
        return peak
    fall = (batch - rise) / max(1, total - rise)
    return peak * (FINAL_RATE + (1 - FINAL_RATE) * (1 + math.cos(math.pi * fall)) / 2)


def derive_seed(*numbers: int) -> int:
    """A seed for the named position in the run; distinct positions get independent seeds."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


def play(
    players: Players,
    phases: Sequence[Phase],
    material: Material,
    setting: TrainConfig,
    context: Context,
    checkpoint: Path | None = None,
    title: str = "",
) -> list[dict[str, Any]]:
    """Play ``phases`` on ``material``; players are trained in place and left in evaluation mode,
    without gradients.

    Args:
        players: networks by the paper's names, on ``context.device``.
        phases: phases of the game, in order.
        material: source of batches.
        setting: batch size, learning rate, seed.
        context: device, precision, progress.
        checkpoint: file to resume from, if it exists; the caller removes it at the end.
        title: progress title, shown before the phase's name.

    Returns:
        The training curves: one dict for every 100 batches (fewer in short phases) with phase,
        batch (over all phases), epoch and the mean of each loss computed since the last; where a
        phase has a score, one dict for every epoch with phase, batch and score.

    Raises:
        InputError: a loss is no longer finite, the checkpoint belongs to another game, or the
            batch cannot be split over the ranks.
    """
    at = Position()
    states: dict[str, Any] = {}
    begun = context.share(
        lambda: checkpoint.read_bytes() if checkpoint and checkpoint.exists() else None
    )
    if begun is not None:
        at, states = resumed(begun, checkpoint, players, context)
    size = context.divisible(min(setting.batch_size, len(material)))
    per_epoch = len(material) // size
    lengths = [p.batches(per_epoch) for p in phases]
    for index, phase in list(enumerate(phases))[at.phase :]:
        total = lengths[index]
        recorder = Recorder(context, phase.steady)
        names = {
            s.optimiser(name): name
            for s in phase.stages
            for name in sorted(s.movers)
            if any(True for _ in players[name].parameters())
        }
        optimisers = {
            key: adam(players[name], recorder.records, states.get(key))
            for key, name in names.items()
        }
        states = {}
        order, order_of = np.empty(0, dtype=np.int64), -1
        with context.progress(f"{title}{phase.name}", total, at.batch) as bar:
            path = checkpoint if context.rank == 0 else None
            saver = Saver(path, context.checkpoint_seconds, players, optimisers)
            if phase.prepare and at.batch == 0:
                phase.prepare(players, material, context)
            for b in range(at.batch, total):
                epoch, within = divmod(b, per_epoch)
                if epoch != order_of:
                    draw = np.random.default_rng(derive_seed(setting.seed, index, epoch, 0))
                    order, order_of = draw.permutation(len(material)), epoch
                if phase.schedule:
                    phase.schedule(b / total, players)
                rate = learning_rate(phase.rate * setting.learning_rate, b, total, phase.anneal)
                for name in (anew := phase.renewed(b)):
                    renew(players[name], derive_seed(setting.seed, index, b, 3))
                for key, name in names.items():
                    set_rate(optimisers[key], rate * phase.rates.get(name, 1.0), name in anew)
                torch.manual_seed(derive_seed(setting.seed, index, b, 1, context.rank))
                rows = np.sort(order[within * size : (within + 1) * size])
                draw = np.random.default_rng(derive_seed(setting.seed, index, b, 2))
                batch = material.batch(rows, context.device, draw, context.part)
                number = b % len(phase.stages)
                step = partial(
                    play_stage,
                    phase.stages[number],
                    players=players,
                    optimisers=optimisers,
                    context=context,
                )
                at.count(recorder.play(number, step, batch))
                at.batch, done = b + 1, sum(lengths[:index]) + b + 1
                if phase.watch:
                    phase.watch(at.batch, players)
                every = min(HISTORY_EVERY, max(len(phase.stages), total // 20))
                if at.batch % every == 0 or at.batch == total:
                    at.point(phase.name, done, at.batch / per_epoch, context)
                if phase.score and (at.batch % per_epoch == 0 or at.batch == total):
                    score = at.keep_best(phase.score, phase.movers, players)
                    at.history.append({"phase": phase.name, "batch": done, "score": score})
                bar.advance()
                saver.maybe(at)
            at.restore_best(players)
            at.phase, at.batch = index + 1, 0
            saver.optimisers = {}
            saver.now(at)
    for player in players.values():
        set_mode(player, False)
        player.zero_grad()
    return at.history
