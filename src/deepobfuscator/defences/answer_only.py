"""The answer alone: the device classifies and sends one bit for each public attribute.

The baseline of every narrow code: nothing is split, and what leaves the device is what the service
is asked for. What these bits tell of private attributes no service can keep to itself.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from deepobfuscator.core.runtime import Context
from deepobfuscator.data.table import Task
from deepobfuscator.defences.undefended import Undefended
from deepobfuscator.nn.narrow import signs
from deepobfuscator.nn.vgg import Encoder, Tailed
from deepobfuscator.training.objectives import Players, TrainConfig


class Decision(nn.Module):
    """A classifier that tells the sign of each logit alone."""

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, features: Tensor) -> Tensor:
        """Features to (n, M) of -1 and 1; gradients pass as those of tanh."""
        soft = torch.tanh(self.classifier(features).float())
        return signs(soft, soft)


@dataclass(frozen=True)
class AnswerOnly(Undefended):
    """O is encoder, classifier and decision, trained as the undefended networks are; C only reads
    the bits.
    """

    name: ClassVar[str] = "answer-only"
    contender: ClassVar[bool] = False
    assumptions: ClassVar[tuple[str, ...]] = (
        "Nothing is split: the device runs the whole classifier, and the cloud learns decisions, "
        "without scores. An attribute of K classes takes K bits, one for each class.",
    )

    def players(self, task: Task, config: TrainConfig, context: Context) -> Players:
        """O with C inside; C is the identity, from bits to logits of -1 and 1."""
        players = super().players(task, config, context)
        encoder = players["O"]
        assert isinstance(encoder, Encoder)
        whole = Tailed(encoder, Decision(players["C"]))
        whole.features, whole.wire_bits = (len(task.public),), len(task.public)
        return {"O": whole, "C": nn.Identity()}

    def parts(self, players: Players) -> Players:
        """The undefended O and C."""
        whole = players["O"]
        assert isinstance(whole, Tailed)
        assert isinstance(whole.tail, Decision)
        return {"O": whole.front, "C": whole.tail.classifier}
