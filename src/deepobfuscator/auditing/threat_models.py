"""Threat models: what an attacker sees and learns from, the common one and its alternatives."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepobfuscator.attacks.base import BRIEF, QUICK, Attack
from deepobfuscator.attacks.infer import MLP, AdversaryClassifier, LinearProbe, ResidualNet
from deepobfuscator.attacks.lookup import Lookup
from deepobfuscator.attacks.recognise import Recognise
from deepobfuscator.attacks.reconstruct import Mirror
from deepobfuscator.attacks.threat import AttackerData, Rows
from deepobfuscator.attacks.trees import Trees
from deepobfuscator.auditing.config import AuditConfig, Target
from deepobfuscator.core.records import ThreatKey, ThreatKind
from deepobfuscator.core.runtime import Context
from deepobfuscator.data.augment import as_input
from deepobfuscator.data.batches import Labelled
from deepobfuscator.data.joined import joined
from deepobfuscator.training.bundle import Bundle, apply
from deepobfuscator.training.loop import derive_seed

BUDGETS = (50, 200, 1000)
"""Numbers of labelled queries on the budget curves, before all of them."""
QUERIES = 8
"""Number of queries per input averaged against a noisy encoder."""
STEPS = 200
"""Minimum number of steps of an attacker with few samples."""

COMMON_KEY = ThreatKey()
"""The common threat model: features of the attacker's own inputs, and their labels."""


def unchanged(data: AttackerData, choosing: bool = False) -> AttackerData:
    """The common view."""
    return data


@dataclass(frozen=True)
class ThreatModel:
    """One kind of attacker."""

    key: ThreatKey = COMMON_KEY
    """Identifies it in records."""
    see: Callable[[AttackerData], AttackerData] = unchanged
    """The attacker's view of every sample, including those of the test part."""
    learn: Callable[[AttackerData, bool], AttackerData] = unchanged
    """Transforms the training samples (False) and the validation samples (True)."""
    undeclared: bool = False
    """Whether it learns the undeclared attributes instead of the private ones."""
    why_not: str = ""
    """Why this attack is not possible here; empty if it is."""

    @property
    def common(self) -> bool:
        """Whether it is the common threat model."""
        return self.key.kind is ThreatKind.COMMON

    @property
    def words(self) -> str:
        """Display name; empty for the common attacker on private attributes."""
        return "undeclared" if self.undeclared else str(self.key)


COMMON = ThreatModel()


@dataclass(frozen=True)
class AttackSpec:
    """One attacker of an audit."""

    attack: Attack
    threat_model: ThreatModel = COMMON

    @property
    def label(self) -> str:
        """Display name."""
        return ", ".join(filter(None, (self.attack.label, self.threat_model.words)))

    @property
    def file(self) -> str:
        """File name of its results: other hyperparameters give another file."""
        steps = STEPS if self.threat_model.key.count else None
        told = json.dumps([self.attack.described, steps, QUERIES, self.label])
        digest = hashlib.sha256(told.encode()).hexdigest()[:8]
        words = "".join(c if c.isalnum() else "-" for c in self.label.lower())
        return f"{words}-{digest}.npz"


def plan(config: AuditConfig, target: Target) -> list[AttackSpec]:
    """Every attacker: the common ones first, then alternative threat models."""
    suite, data = config.suite, target.data
    specs = [AttackSpec(attack) for attack in config.attacks]

    def add(model: ThreatModel, *attacks: Attack) -> None:
        specs.extend(AttackSpec(attack, model) for attack in attacks)

    if suite == BRIEF:
        return specs
    if data.undeclared:
        undeclared = ThreatModel(see=undeclared_labels, undeclared=True)
        add(undeclared, LinearProbe(), ResidualNet())
    if target.ceiling is None:
        seen = partial(raw_inputs, context=target.context)
        raw = ThreatModel(ThreatKey(ThreatKind.RAW), see=seen)
        add(raw, *([ResidualNet()] if target.defence.trains else []))
        add(raw, *(attack for attack in config.attacks if isinstance(attack, Recognise)))
    if not config.whole:
        return specs
    labels = ThreatModel(ThreatKey(ThreatKind.LABELS), see=with_labels)
    add(labels, LinearProbe(), MLP(), Trees(), Lookup())
    answer = ThreatModel(
        ThreatKey(ThreatKind.ANSWER),
        see=partial(answers, bundle=target.bundle, context=target.context),
        why_not="" if "C" in target.bundle.players else "no service came with the encoder",
    )
    add(answer, LinearProbe(), Trees())
    add(ThreatModel(ThreatKey(ThreatKind.SHUFFLED), see=shuffled), MLP())
    for count in BUDGETS:
        if count < len(data.attacker):
            budget = ThreatKey(ThreatKind.BUDGET, count)
            few = ThreatModel(budget, learn=partial(few_of, count=count))
            add(few, LinearProbe(), MLP(), Trees(), *([] if suite == QUICK else [Mirror()]))
    if target.bundle.encoder.stochastic:
        many = ThreatModel(ThreatKey(ThreatKind.AVERAGED), see=partial(replace, queries=QUERIES))
        add(many, AdversaryClassifier(), MLP(), Mirror())
    if suite == QUICK:
        return specs
    alone = len(np.unique(data.attacker.people)) == len(data.attacker)
    pooled = ThreatModel(
        ThreatKey(ThreatKind.PERSON),
        see=with_others,
        why_not="the data does not say who is on a picture" if alone else "",
    )
    add(pooled, Mirror(), MLP())
    source, inputs = target.other or ("", None)
    elsewhere = ThreatModel(
        ThreatKey(ThreatKind.OTHER, source=source),
        learn=partial(others_of, other=inputs),
        why_not="" if target.other else "no other pictures: name a source with --other-data",
    )
    add(elsewhere, Mirror())
    trained = target.defence.trains and len(data.defender) > 0
    insider = ThreatModel(
        ThreatKey(ThreatKind.INSIDER),
        # The closure captures the defender's part only: the test part stays out of reach.
        learn=partial(defenders_too, defender=data.defender),
        why_not="" if trained else "the encoder was not trained here: its pictures are unknown",
    )
    add(insider, MLP(), Mirror())
    return specs


def undeclared_labels(data: AttackerData) -> AttackerData:
    """Learns the undeclared attributes instead of the private ones."""
    assert data.labelled.undeclared is not None
    return data.labelled_by(data.labelled.undeclared)


def with_labels(data: AttackerData) -> AttackerData:
    """Sees the true public labels beside the features."""

    def labels(view: AttackerData, rows: Rows, flipped: bool, turn: int) -> Tensor:
        return torch.from_numpy(view.labelled.public[rows]).float()

    return data.joined(data.labelled.public.shape[1], labels)


def raw_inputs(data: AttackerData, context: Context) -> AttackerData:
    """Sees the inputs themselves: the reference for what is predicted from features."""

    def ask(inputs: NDArray[np.uint8], seed: int) -> Tensor:
        return as_input(inputs, context.device)

    shape = (3, *data.labelled.pictures.shape[1:3])
    return replace(data, query=ask, features=shape, stochastic=False, kept={})


def answers(data: AttackerData, bundle: Bundle, context: Context) -> AttackerData:
    """Sees C's output and no features."""
    query, service = data.query, bundle.players["C"]
    assert query is not None

    def ask(inputs: NDArray[np.uint8], seed: int) -> Tensor:
        return apply(service, query(inputs, seed), context)

    return replace(data, query=ask, features=(data.labelled.public.shape[1],), kept={})


def with_others(data: AttackerData) -> AttackerData:
    """Sees a sample's features and the mean features of the person's other samples."""

    def others(view: AttackerData, rows: Rows, flipped: bool, turn: int) -> Tensor:
        people, asked = np.unique(view.person[rows], return_inverse=True)
        all_rows = np.flatnonzero(np.isin(view.person, people))
        who = torch.from_numpy(np.searchsorted(people, view.person[all_rows]))
        seen = view.answers(all_rows, flipped, turn)
        sums = torch.zeros((len(people), *seen.shape[1:]), device=seen.device)
        sums.index_add_(0, who.to(seen.device), seen)
        count = torch.bincount(who, minlength=len(people)).to(seen.device)[asked]
        mine = seen[torch.from_numpy(np.searchsorted(all_rows, rows)).to(seen.device)]
        rest = (count - 1).clamp(min=1).view(-1, *[1] * (seen.dim() - 1))
        mean = (sums[asked] - mine) / rest
        single = (count == 1).view(rest.shape)
        return torch.where(single, mine, mean)

    return data.joined(data.features[0], others)


def shuffled(data: AttackerData) -> AttackerData:
    """Sees shuffled pairs of features and labels, in every part: a control that must find nothing.

    Shuffling only the training part would not be a control: an attacker that learns noise from
    features with one bit of information predicts that bit rightly or wrongly by chance, but
    consistently.
    """
    return data.labelled_by(data.labelled.private[order_of(len(data))])


def order_of(samples: int) -> Rows:
    """The permutation of labels that the control sees."""
    return np.random.default_rng(derive_seed(samples, 7)).permutation(samples)


def few_of(data: AttackerData, choosing: bool, count: int) -> AttackerData:
    """``count`` labelled samples of whole people, drawn at random; an eighth as many more (at least
    16) for validation.
    """
    wanted = max(16, count // 8) if choosing else count
    draw = np.random.default_rng(derive_seed(data.salt, wanted))
    order = draw.permutation(data.person.max() + 1)
    ranked = np.argsort(order[data.person], kind="stable")
    return data.only(np.sort(ranked[:wanted]))


def others_of(data: AttackerData, choosing: bool, other: Labelled | None) -> AttackerData:
    """Queries with inputs of another source, an eighth of them for validation."""
    assert other is not None
    cut = len(other) - len(other) // 8
    rows = np.arange(cut, len(other)) if choosing else np.arange(cut)
    return replace(data, labelled=other, kept={}).only(rows)


def defenders_too(data: AttackerData, choosing: bool, defender: Labelled) -> AttackerData:
    """Learns from the defender's samples as well; validates on its own, like every attacker."""
    if choosing:
        return data
    return replace(data, labelled=joined(data.labelled, defender), kept={})
