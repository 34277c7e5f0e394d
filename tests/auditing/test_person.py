"""Several pictures of one person: the floor takes what their labels tell, the attacker the rest."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepobfuscator.auditing.baselines import from_labels
from deepobfuscator.auditing.config import AuditConfig, Target
from deepobfuscator.auditing.evaluation import Evaluation
from deepobfuscator.auditing.fit import Audit
from deepobfuscator.auditing.leakage import evidence
from deepobfuscator.auditing.person import from_person_labels, label_columns, several, summed, sums
from deepobfuscator.core.records import EXCESS, Record, ThreatKind, select
from deepobfuscator.core.runtime import Context
from deepobfuscator.data.batches import Labelled, Parts
from deepobfuscator.data.table import Task
from deepobfuscator.defences.undefended import Undefended
from deepobfuscator.metrics.attributes import best_threshold
from deepobfuscator.metrics.bootstrap import Bootstrap
from deepobfuscator.nn.vgg import Encoder
from deepobfuscator.training.bundle import Bundle
from deepobfuscator.training.objectives import TrainConfig

PICTURES = 10
LABEL, BIT = 0.6, 0.6
"""How often a picture's public label, and the planted bit, equal the person's P."""


class Shown(Encoder):
    """Gives the public label, and beside it the planted bit or noise."""

    features = (2,)
    wire_bits = 2

    def __init__(self, bit: bool) -> None:
        super().__init__()
        self.at = 1 if bit else 2

    def forward(self, pictures: Tensor) -> Tensor:
        corner = pictures[:, 0, 0]
        return torch.stack((corner[:, 0], corner[:, self.at]), 1)


def part(people: int, seed: int) -> Labelled:
    draw = np.random.default_rng(seed)
    private = np.repeat(draw.integers(0, 2, people), PICTURES)
    n = len(private)
    label = np.where(draw.random(n) < LABEL, private, 1 - private)
    bit = np.where(draw.random(n) < BIT, private, 1 - private)
    pictures = np.zeros((n, 32, 32, 3), dtype=np.uint8)
    for at, values in enumerate((label, bit, draw.integers(0, 2, n))):
        pictures[:, 0, at] = pictures[:, 0, 31 - at] = 255 * values[:, None]
    who = np.repeat(np.arange(people), PICTURES) + 10_000 * seed
    columns = (label[:, None].astype(np.uint8), private[:, None].astype(np.uint8))
    return Labelled(pictures, *columns, who)


@pytest.fixture(scope="module")
def data() -> Parts:
    return Parts(part(10, 1), part(800, 2), part(200, 3), part(600, 4), {}, True)


def audited(data: Parts, bit: bool, folder: Path) -> list[Record]:
    context = Context(folder)
    context.console.quiet = True
    setting = TrainConfig(
        size=(32, 32), width=1 / 64, batch_size=64, infer_epochs=5, learning_rate=1e-2
    )
    target = Target(
        "key",
        Undefended(),
        Task(("A",), ("P",)),
        setting,
        Bundle({"O": Shown(bit).eval()}, {}),
        data=data,
        context=context,
    )
    audit = Audit(target, AuditConfig())
    specs = [s for s in audit.specs if s.threat_model.common and s.attack.label == "linear"]
    return Evaluation(audit, [(s, audit.guesses(s)) for s in specs]).attribute("P")


def person_excess(records: list[Record]) -> Record:
    """Of the better sum on validation; both are there."""
    found = evidence(records, "P").person
    assert found is not None
    names = {r.attack for r in select(records, metric=EXCESS, given=str(ThreatKind.PERSON))}
    assert names == {"linear summed", "linear summed, public labels known"}
    return found


def test_a_bit_that_one_picture_hides_adds_up(data: Parts, tmp_path: Path) -> None:
    records = audited(data, True, tmp_path)
    (alone,) = select(records, metric=EXCESS, attack="linear", given="")
    assert alone.low <= 0.01
    found = person_excess(records)
    assert found.low > 0
    without = [r for r in records if not r.metric.endswith("within_labels")]
    assert evidence(without, "P").leak == found


def test_the_labels_of_other_pictures_are_no_leak(data: Parts, tmp_path: Path) -> None:
    records = audited(data, False, tmp_path)
    found = person_excess(records)
    assert found.low <= 0 <= found.high
    (summed_up,) = select(records, attack="linear summed", metric="balanced_accuracy", split="test")
    (own,) = select(records, attack="label-only", metric="balanced_accuracy", given="")
    assert summed_up.low > own.high, "over the label of one picture it would be called a leak"


def reached(scores: NDArray[np.floating], labels: NDArray[np.uint8], threshold: float) -> float:
    boot = Bootstrap(np.arange(len(labels)), draws=2)
    return boot.attribute("balanced_accuracy", scores, labels, threshold).value


def test_the_floor_is_what_bayes_reaches_from_the_labels(data: Parts) -> None:
    """Own label and the count of the others': the sum of all is enough, by symmetry."""
    truth = data.validation.private[:, 0]
    floor = from_person_labels(data, data.attacker.private[:, 0], truth)
    test = data.test
    votes = label_columns(test)[:, :2].sum(1) > PICTURES / 2
    best = reached(votes.astype(float), test.private[:, 0], 0.5)
    mine = reached(
        floor[1], test.private[:, 0], best_threshold(floor[0], truth, "balanced_accuracy")
    )
    assert mine == pytest.approx(best, abs=0.015)
    plain = from_labels(data, data.attacker.private[:, 0])
    own = [
        reached(scores[0], truth, best_threshold(scores[0], truth, "balanced_accuracy"))
        for scores in (floor, plain)
    ]
    assert own[0] >= own[1]


def test_columns_by_hand() -> None:
    public = np.array([[1, 0], [1, 1], [0, 1], [1, 0]], dtype=np.uint8)
    four = Labelled(np.zeros((4, 1, 1, 3), np.uint8), public, public[:, :1], np.array([7, 3, 7, 7]))
    assert label_columns(four).tolist() == [
        [1, 0, 1, 1, 2],
        [1, 1, 0, 0, 0],
        [0, 1, 2, 0, 2],
        [1, 0, 1, 1, 2],
    ]


def test_a_label_that_never_changes_is_counted_once() -> None:
    """Ten equal labels are one; what the bits add to it is kept."""
    parts = []
    for seed, people in ((5, 400), (6, 4000)):
        draw = np.random.default_rng(seed)
        private = np.repeat(draw.integers(0, 2, people), PICTURES)
        label = np.repeat(np.where(draw.random(people) < 0.6, 1, 0), PICTURES)
        label = np.where(label == 1, private, 1 - private).astype(np.uint8)
        bit = np.where(draw.random(len(private)) < BIT, private, 1 - private)
        pictures = np.zeros((len(private), 1, 1, 3), np.uint8)
        who = np.repeat(np.arange(people), PICTURES)
        own = Labelled(pictures, label[:, None], private[:, None].astype(np.uint8), who)
        parts.append((own, np.log(1.5) * (2.0 * label - 1 + 2.0 * bit - 1)))
    (validation, own), (test, guess) = parts
    data = Parts(validation, validation, validation, test, {}, True)
    truth = validation.private[:, 0]
    of_labels = from_person_labels(data, truth, truth)
    names = sums("it", (own, guess), of_labels, data, truth)
    once, often = (
        reached(scores[1], test.private[:, 0], 0.0)
        for scores in (names["it summed, public labels known"], names["it summed"])
    )
    assert once > often + 0.03


def test_sums_are_the_log_odds_of_independent_answers(data: Parts) -> None:
    draw = np.random.default_rng(0)
    truth = data.validation.private[:, 0]
    answers = [draw.normal(2.0 * side.private[:, 0], 1.0) for side in (data.validation, data.test)]
    own, _ = summed((answers[0], answers[1]), data, truth)
    # Unit normals at 0 and 2: log-likelihood ratio 2 x - 2, for each of the person's pictures.
    ratio = 2 * answers[0] - 2
    person = np.unique(data.validation.people, return_inverse=True)[1]
    exact = np.bincount(person, ratio)[person]
    assert np.corrcoef(own, exact)[0, 1] > 0.999
    assert np.polyfit(exact, own, 1)[0] == pytest.approx(1, abs=0.2)


def test_nobody_on_two_pictures() -> None:
    alone = Parts(part(10, 1), part(10, 2), part(10, 3), part(10, 4), {}, False)
    assert not several(alone)
