"""Re-identification: an embedding learned on the attacker's own people, tested on unseen people."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from deepobfuscator.attacks.base import QUICK, STANDARD
from deepobfuscator.attacks.from_images import Rebuilding
from deepobfuscator.attacks.threat import AttackerData, Guess, Threat
from deepobfuscator.attacks.trained import TrainedAttack, outputs
from deepobfuscator.core.runtime import Context
from deepobfuscator.metrics.bootstrap import Bootstrap
from deepobfuscator.metrics.identity import verification
from deepobfuscator.nn.resnet import trunk
from deepobfuscator.training.objectives import Round

EMBEDDING = 128
NO_PEOPLE = "the data does not say who is on a picture, or has one picture a person"
SHARPNESS = 16.0
"""Scale of the cosine logits in the softmax over people."""


class Recogniser(nn.Module):
    """An embedding, and the softmax over the attacker's own people that trains it."""

    def __init__(self, layers: list[nn.Module], values: int, people: int) -> None:
        super().__init__()
        self.embed = nn.Sequential(*layers, nn.Linear(values, EMBEDDING))
        self.people = nn.Linear(EMBEDDING, people, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """(n, people) scaled cosines."""
        embedded = functional.normalize(self.embed(features).float())
        return SHARPNESS * embedded @ functional.normalize(self.people.weight.float()).T


@dataclass(frozen=True)
class Identify(TrainedAttack):
    """Embeds the features; the gallery is obtained by querying the encoder."""

    name: ClassVar[str] = "identify"
    target: ClassVar[str] = "identity"
    suite: ClassVar[str] = QUICK
    share: ClassVar[float] = 2.0

    channels: int = 512
    """Channels of the last residual block at width 1."""

    def lacks(self, threat: Threat) -> str:
        """Needs people with two inputs, for training and for validation."""
        ready = all(can_tell_people(own) for own in (threat.own, threat.validation))
        return "" if ready else NO_PEOPLE

    def network(self, threat: Threat) -> nn.Module:
        """A small residual network."""
        layers, values = trunk(threat.features, threat.setting.width, self.channels)
        return Recogniser(layers, values, int(threat.own.person.max()) + 1)

    def guess(self, network: nn.Module) -> Guess:
        """The embedding alone; the softmax over people served only for training."""
        assert isinstance(network, Recogniser)
        return network.embed

    def objective(self, r: Round) -> Tensor:
        """Cross-entropy over the attacker's own people."""
        assert r.batch.people is not None
        loss = functional.cross_entropy(r.private_logits, r.batch.people)
        r.noted["L_identity"] = loss
        return loss

    def score(self, guess: Guess, threat: Threat, context: Context) -> float:
        """Verification AUC on validation."""
        embedded = outputs(guess, threat.validation, context).numpy()
        person = threat.validation.person
        known, asked = trial_rows(person)
        people = person[asked], person[known]
        bootstrap = Bootstrap(people[0], draws=2)
        return verification(bootstrap, embedded[asked], embedded[known], *people)["auc"].value


@dataclass(frozen=True)
class Reidentify(Rebuilding, Identify):
    """Embeds images, raw or reconstructed at random; the gallery is raw images."""

    name: ClassVar[str] = "reidentify"
    suite: ClassVar[str] = STANDARD
    salt: ClassVar[int] = 100
    raw: ClassVar[float | None] = 0.5


def can_tell_people(own: AttackerData) -> bool:
    """Whether there are at least two people, one of them with two inputs."""
    return 2 <= len(np.unique(own.person)) < len(own)


def trial_rows(person: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of the gallery (each person's first input) and of the probes (all others)."""
    gallery = np.unique(person, return_index=True)[1].astype(np.int64)
    return gallery, np.setdiff1d(np.arange(len(person)), gallery)
