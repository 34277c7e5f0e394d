"""Who attacks: what an attacker sees and learns from, beyond or below the common threat."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepobfuscator.attacks.base import BRIEF, QUICK, Attack
from deepobfuscator.attacks.infer import MLP, AdversaryClassifier, LinearProbe, ResidualNet
from deepobfuscator.attacks.reconstruct import Mirror
from deepobfuscator.attacks.threat import AttackerData, Rows
from deepobfuscator.attacks.trees import Trees
from deepobfuscator.core.records import ThreatKind
from deepobfuscator.data.batches import Labelled, Parts
from deepobfuscator.training.loop import derive_seed

BUDGETS = (50, 200, 1000)
"""Labelled queries of the budget curves, before all of them."""
QUERIES = 8
"""Queries of one picture that are averaged against a noisy encoder."""
STEPS = 200
"""Steps that an attacker with few pictures takes at least."""


def unchanged(own: AttackerData, choosing: bool = False) -> AttackerData:
    """The common view."""
    return own


@dataclass(frozen=True)
class ThreatModel:
    """One kind of attacker."""

    given: str = ""
    """As records carry it; empty for the common threat."""
    see: Callable[[AttackerData], AttackerData] = unchanged
    """How every picture is seen, test pictures included."""
    learn: Callable[[AttackerData, bool], AttackerData] = unchanged
    """What becomes of the pictures to learn from (False) and of those to choose on (True)."""
    subjects: str = "private"
    """Whose labels are learned: ``private`` or ``undeclared``."""
    why_not: str = ""
    """Why nobody can attack like this here; empty where one can."""
    pictures: int | None = None
    """How many labelled pictures it has."""


COMMON = ThreatModel()


@dataclass(frozen=True)
class AttackSpec:
    """One attacker of an audit."""

    attack: Attack
    knowledge: ThreatModel = COMMON

    @property
    def label(self) -> str:
        """For people."""
        given = self.knowledge.given or self.knowledge.subjects.removeprefix("private")
        return f"{self.attack.label}, {given}" if given else self.attack.label

    @property
    def file(self) -> str:
        """Names its results: another hyperparameter is another file."""
        steps = STEPS if self.knowledge.pictures else None
        told = json.dumps([self.attack.described, steps, QUERIES, self.label])
        digest = hashlib.sha256(told.encode()).hexdigest()[:8]
        words = "".join(c if c.isalnum() else "-" for c in self.label.lower())
        return f"{words}-{digest}.npz"


def plan(
    attacks: Sequence[Attack],
    suite: str,
    data: Parts,
    noisy: bool,
    service: Callable[[Tensor], Tensor] | None,
    other: tuple[str, Labelled] | None,
) -> list[AttackSpec]:
    """Every attacker of ``suite``: the common ones first, then those who know more or less.

    Args:
        attacks: the suite's attacks.
        suite: its name.
        data: the parts.
        noisy: whether the encoder draws noise.
        service: C, features to logits; None for an encoder without one.
        other: another source's name and its pictures; None where there are none.
    """
    parts = [AttackSpec(attack) for attack in attacks]
    if suite == BRIEF:
        return parts
    if data.undeclared:
        undeclared = ThreatModel(see=undeclared_labels, subjects="undeclared")
        parts += [AttackSpec(LinearProbe(), undeclared), AttackSpec(ResidualNet(), undeclared)]
    labels = ThreatModel(ThreatKind.LABELS, see=with_labels)
    parts += [AttackSpec(LinearProbe(), labels), AttackSpec(MLP(), labels)]
    answer = ThreatModel(
        ThreatKind.ANSWER,
        see=partial(answers, service=service),
        why_not="" if service else "no service came with the encoder",
    )
    parts += [AttackSpec(LinearProbe(), answer), AttackSpec(Trees(), answer)]
    parts.append(AttackSpec(MLP(), ThreatModel(ThreatKind.SHUFFLED, see=shuffled)))
    for n in BUDGETS:
        if n < len(data.attacker):
            few = ThreatModel(f"{n} pictures", learn=Few(n), pictures=n)
            parts += [
                AttackSpec(LinearProbe(), few),
                AttackSpec(MLP(), few),
                AttackSpec(Trees(), few),
            ]
            if suite != QUICK:
                parts.append(AttackSpec(Mirror(), few))
    if noisy:
        many = ThreatModel(ThreatKind.AVERAGED, see=lambda o: replace(o, queries=QUERIES))
        parts += [
            AttackSpec(AdversaryClassifier(), many),
            AttackSpec(MLP(), many),
            AttackSpec(Mirror(), many),
        ]
    if suite == QUICK:
        return parts
    alone = len(np.unique(data.attacker.people)) == len(data.attacker)
    pooled = ThreatModel(
        "several pictures of a person",
        see=with_others,
        why_not="the data does not say who is on a picture" if alone else "",
    )
    elsewhere = ThreatModel(
        f"other pictures ({other[0]})" if other else "other pictures",
        learn=lambda own, choosing: others_of(own, other[1] if other else None, choosing),
        why_not="" if other else "no other pictures: name a source with --other-data",
    )
    return [
        *parts,
        AttackSpec(Mirror(), pooled),
        AttackSpec(MLP(), pooled),
        AttackSpec(Mirror(), elsewhere),
    ]


def undeclared_labels(own: AttackerData) -> AttackerData:
    """Learns the undeclared attributes instead of the private ones."""
    assert own.labelled.undeclared is not None
    return own.labelled_by(own.labelled.undeclared)


def with_labels(own: AttackerData) -> AttackerData:
    """Sees the true public labels beside the features."""

    def labels(view: AttackerData, rows: Rows, mirrored: bool, turn: int) -> Tensor:
        return torch.from_numpy(view.labelled.public[rows]).float()

    return own.joined(own.labelled.public.shape[1], labels)


def answers(own: AttackerData, service: Callable[[Tensor], Tensor] | None) -> AttackerData:
    """Sees what C answers and no features."""
    query = own.query
    assert query is not None
    assert service is not None

    def ask(pictures: NDArray[np.uint8], seed: int) -> Tensor:
        return service(query(pictures, seed))

    return replace(own, query=ask, features=(own.labelled.public.shape[1],), kept={})


def with_others(own: AttackerData) -> AttackerData:
    """Sees, beside a picture's features, their mean over the person's other pictures."""

    def others(view: AttackerData, rows: Rows, mirrored: bool, turn: int) -> Tensor:
        people, asked = np.unique(view.person[rows], return_inverse=True)
        all_rows = np.flatnonzero(np.isin(view.person, people))
        who = torch.from_numpy(np.searchsorted(people, view.person[all_rows]))
        seen = view.answers(all_rows, mirrored, turn)
        sums = torch.zeros((len(people), *seen.shape[1:]), device=seen.device)
        sums.index_add_(0, who.to(seen.device), seen)
        count = torch.bincount(who, minlength=len(people)).to(seen.device)[asked]
        mine = seen[torch.from_numpy(np.searchsorted(all_rows, rows)).to(seen.device)]
        rest = (count - 1).clamp(min=1).view(-1, *[1] * (seen.dim() - 1))
        mean = (sums[asked] - mine) / rest
        single = (count == 1).view(rest.shape)
        return torch.where(single, mine, mean)

    return own.joined(own.features[0], others)


def shuffled(own: AttackerData) -> AttackerData:
    """Sees pairs that do not belong together, in every part: a control that must find nothing.

    Shuffling what it learns from alone would be none: whoever learns noise from features that hold
    one bit tells that bit rightly or wrongly, by chance, and always the same way.
    """
    return own.labelled_by(own.labelled.private[order_of(len(own))])


def order_of(pictures: int) -> Rows:
    """The order in which the control sees labels."""
    return np.random.default_rng(derive_seed(pictures, 7)).permutation(pictures)


@dataclass(frozen=True)
class Few:
    """Has so many labelled pictures; an eighth as many more (16 at least) to choose on."""

    pictures: int

    def __call__(self, own: AttackerData, choosing: bool) -> AttackerData:
        """Whole people, drawn at random."""
        wanted = max(16, self.pictures // 8) if choosing else self.pictures
        order = np.random.default_rng(derive_seed(own.salt, wanted)).permutation(
            own.person.max() + 1
        )
        ranked = np.argsort(order[own.person], kind="stable")
        return own.only(np.sort(ranked[:wanted]))


def others_of(own: AttackerData, other: Labelled | None, choosing: bool) -> AttackerData:
    """Queries with pictures from elsewhere, an eighth of them to choose on."""
    assert other is not None
    cut = len(other) - len(other) // 8
    rows = np.arange(cut, len(other)) if choosing else np.arange(cut)
    return replace(own, labelled=other, kept={}).only(rows)
