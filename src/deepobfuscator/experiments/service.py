"""The service's utility after training, on validation samples."""

from collections.abc import Iterator

import numpy as np

from deepobfuscator.auditing.leakage import HALF, useless
from deepobfuscator.core.runtime import Context
from deepobfuscator.data.batches import Labelled
from deepobfuscator.data.table import Task
from deepobfuscator.metrics.bootstrap import Bootstrap
from deepobfuscator.training.bundle import CHUNK, Bundle, apply


def served(task: Task, bundle: Bundle, own: Labelled, context: Context) -> Iterator[str]:
    """A line for each public attribute: balanced accuracy with its 95 % interval."""
    chances = []
    for rows in np.array_split(np.arange(len(own)), -(-len(own) // CHUNK)):
        features = bundle.encode(own.pictures[rows], context)
        logits = apply(bundle.players["C"], features, context)
        chances.append(logits.double().sigmoid().cpu().numpy())
    bootstrap, found = Bootstrap(own.people), np.concatenate(chances)
    for name in task.public:
        place, chance = task.place(name), HALF
        truth = own.public[:, place]
        if truth.ndim == 2:
            truth, chance = truth.argmax(1), 1 / truth.shape[1]
        figure = bootstrap.attribute("balanced_accuracy", found[:, place], truth).interval()
        value, low, high = (f"{100 * v:.1f}" for v in (figure.value, figure.low, figure.high))
        said = f"{name} on validation: balanced accuracy {value} % ({low} to {high})"
        yield said + "; useless, no better than always the same answer" * useless(figure, chance)
