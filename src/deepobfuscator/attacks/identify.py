"""Identity: who is it? An embedding learned on the attacker's own people, tested on strangers."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from deepobfuscator.attacks.base import QUICK, STANDARD, Fitted, TrainedAttack, outputs
from deepobfuscator.attacks.threat import AttackerData, Guess, Threat
from deepobfuscator.core.runtime import Context
from deepobfuscator.data.augment import as_input
from deepobfuscator.metrics import Bootstrap, verification
from deepobfuscator.nn.resnet import trunk
from deepobfuscator.training.objectives import Phase, Players, Round, stage, update

EMBEDDING = 128
NO_PEOPLE = "the data does not say who is on a picture, or has one picture a person"
SHARPNESS = 16.0
"""Scale of the cosines in the softmax over people."""


class Recogniser(nn.Module):
    """An embedding, and a softmax over the attacker's own people that teaches it."""

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
    """Embeds the features themselves; knows the gallery by querying the encoder with it."""

    name: ClassVar[str] = "identify"
    target: ClassVar[str] = "identity"
    suite: ClassVar[str] = QUICK
    share: ClassVar[float] = 2.0
    role: ClassVar[str] = "AC"

    channels: int = 512
    """Channels of the last residual block at width 1."""

    def lacks(self, threat: Threat) -> str:
        """People with two pictures, to learn from and to choose on."""
        ready = all(can_tell_people(own) for own in (threat.own, threat.validation))
        return "" if ready else NO_PEOPLE

    def network(self, threat: Threat) -> nn.Module:
        """A small residual network."""
        layers, values = trunk(threat.features, threat.setting.width, self.channels)
        return Recogniser(layers, values, int(threat.own.person.max()) + 1)

    def guess(self, network: nn.Module) -> Guess:
        """The embedding; the softmax over the attacker's people has done its work."""
        assert isinstance(network, Recogniser)
        return network.embed

    def phase(self, threat: Threat, context: Context) -> Phase:
        """Cross-entropy over people; the epoch of highest AUC on validation is kept."""
        validation = threat.validation

        def score(players: Players) -> float:
            embedded = outputs(self.guess(players["AC"]), validation, context).numpy()
            return mate_auc(embedded, embedded, validation.person)

        epochs = self.passes * self.share * threat.setting.infer_epochs
        step = stage("attack", update("AC", loss=recognition))
        return Phase(self.name, epochs, (step,), score=score)


@dataclass(frozen=True)
class Reidentify(Identify):
    """Embeds faces, raw or rebuilt by a reconstructor; the gallery is raw pictures."""

    name: ClassVar[str] = "reidentify"
    suite: ClassVar[str] = STANDARD

    def lacks(self, threat: Threat) -> str:
        """People and a reconstructor."""
        return super().lacks(threat) or ("" if threat.decoder else "no reconstructor")

    def fit(
        self,
        threat: Threat,
        context: Context,
        checkpoint: Path | None = None,
        title: str = "attack by ",
    ) -> Fitted:
        """Train on the attacker's own pictures, each raw or rebuilt at random."""
        assert threat.decoder is not None
        rebuild = threat.decoder()

        def faces(own: AttackerData, raw: float) -> AttackerData:
            query = own.query
            assert query is not None

            def look(pictures: NDArray[np.uint8], seed: int) -> Tensor:
                with torch.no_grad(), context.autocast():
                    rebuilt = rebuild(query(pictures, seed).to(context.device)).float()
                kept = np.random.default_rng(seed).random(len(pictures)) < raw
                kept_there = torch.from_numpy(kept).to(context.device)[:, None, None, None]
                return torch.where(kept_there, as_input(pictures, context.device), rebuilt)

            return AttackerData(
                own.labelled, look, (3, *threat.size), own.salt + 100, stochastic=True
            )

        seen = Threat(
            faces(threat.own, 0.5), faces(threat.validation, 0.0), threat.size, threat.setting
        )
        fitted = super().fit(seen, context, checkpoint, title)
        embed = fitted.guess
        return Fitted(lambda f: embed(rebuild(f).float()), fitted.curve, gallery=embed)


def can_tell_people(own: AttackerData) -> bool:
    """Whether there are two people, and one of them on two pictures."""
    return 2 <= len(np.unique(own.person)) < len(own)


def recognition(r: Round) -> Tensor:
    """Cross-entropy over the attacker's own people."""
    assert r.batch.people is not None
    loss = functional.cross_entropy(r.private_logits, r.batch.people)
    r.noted["L_identity"] = loss
    return loss


def trial_rows(person: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of the gallery (each person's first picture) and of the probes (all others)."""
    gallery = np.unique(person, return_index=True)[1].astype(np.int64)
    return gallery, np.setdiff1d(np.arange(len(person)), gallery)


def mate_auc(
    probes: NDArray[np.float32], gallery: NDArray[np.float32], person: NDArray[np.int64]
) -> float:
    """Verification AUC of (n, d) embeddings of the same n pictures, as probes and as gallery."""
    known, asked = trial_rows(person)
    people = person[asked], person[known]
    found = verification(Bootstrap(people[0], draws=2), probes[asked], gallery[known], *people)
    return found["auc"].value
