"""Floors against brute force, and audits of encoders whose leak is known because it was planted."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepobfuscator.auditing.baselines import codes, from_labels, label_table, majority
from deepobfuscator.auditing.ceilings import ceilings
from deepobfuscator.auditing.config import AuditConfig, Target
from deepobfuscator.auditing.evaluation import Evaluation
from deepobfuscator.auditing.fit import Audit, mean_face
from deepobfuscator.auditing.gates import EXCEEDED, parse_gate
from deepobfuscator.auditing.leakage import Status, evidence
from deepobfuscator.auditing.run import strongest_half
from deepobfuscator.auditing.scoring import Attempt, Scorer
from deepobfuscator.auditing.threat_models import plan, with_others
from deepobfuscator.core.records import (
    CEILING,
    EXCESS,
    GAIN,
    SERVICE,
    Record,
    ThreatKind,
    headline,
    select,
)
from deepobfuscator.core.runtime import Context
from deepobfuscator.data.batches import Labelled, Parts
from deepobfuscator.data.table import Task
from deepobfuscator.defences.undefended import Undefended
from deepobfuscator.nn.vgg import Encoder
from deepobfuscator.training.bundle import Bundle
from deepobfuscator.training.objectives import TrainConfig

TASK = Task(("A",), ("P",))
SETTING = TrainConfig(
    size=(32, 32),
    width=1 / 64,
    batch_size=64,
    infer_epochs=5,
    reconstruct_epochs=0.05,
    learning_rate=1e-2,
)


def labels(n: int, seed: int, agreement: float = 0.6) -> NDArray[np.uint8]:
    """(n, 2): A at random, P equal to it with the given chance."""
    draw = np.random.default_rng(seed)
    public = draw.integers(0, 2, n, dtype=np.uint8)
    same = draw.random(n) < agreement
    return np.stack((public, np.where(same, public, 1 - public)), 1).astype(np.uint8)


def part(n: int, seed: int) -> Labelled:
    """Noise pictures with A in pixel (0, 0) and P in pixel (0, 1)."""
    y = labels(n, seed)
    pictures = np.random.default_rng(seed).integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)
    pictures[:, 0, 0] = 255 * y[:, :1]
    pictures[:, 0, 1] = 255 * y[:, 1:]
    pictures[:, :, 16:] = pictures[:, :, 15::-1]  # attackers also learn from mirrored pictures
    return Labelled(pictures, y[:, :1], y[:, 1:], np.arange(n) + 10_000 * seed)


class Planted(Encoder):
    """Sees only a few values of the picture, whose red corner pixels hold A and P.

    ``coins`` are pixels of noise: each is 1 with a known chance, and the same for a picture at
    every query, save in the encoder that is ``noisy``.
    """

    wire_bits = 64

    def __init__(self, what: str, accuracy: float = 1.0, bits: int = 1) -> None:
        super().__init__()
        self.what, self.accuracy, self.bits = what, accuracy, bits
        self.stochastic = what == "noisy"
        self.features = {"pixel": (3, 32, 32), "channel": (1 + bits,)}.get(what, (2,))

    def forward(self, pictures: Tensor) -> Tensor:
        public, private = pictures[:, 0, 0, :2].unbind(1)
        noise = pictures[:, 1, 9, 5 : 5 + self.bits]
        if self.what == "bit":
            return torch.stack((public, private), 1)
        if self.what == "flipped":
            return torch.stack((public, 1 - private), 1)
        if self.what == "xor":
            coin = (noise[:, 0] > 0.5).float()
            return torch.stack((coin, (private - coin).abs()), 1)
        if self.what == "pixel":
            hidden = pictures.clone()
            hidden[:, 0, 0, :2] = 0.5
            hidden[:, 2, 17, 9] = private
            return hidden
        if self.what == "channel":
            wrong = (noise > self.accuracy).float()
            return torch.cat((public[:, None], (private[:, None] - wrong).abs()), 1)
        if self.what == "noisy":
            wrong = (torch.rand_like(private) > self.accuracy).float()
            return torch.stack((public, (private - wrong).abs()), 1)
        return torch.stack((public, (noise[:, 0] > 0.5).float()), 1)


@pytest.fixture(scope="module")
def data() -> Parts:
    return Parts(part(64, 1), part(2000, 2), part(400, 3), part(1000, 4), {}, False)


def an_audit(encoder: Encoder, data: Parts, folder: Path) -> Audit:
    run = Context(folder)
    run.console.quiet = True
    bundle = Bundle({"O": encoder.eval()}, {})
    target = Target("key", Undefended(), TASK, SETTING, bundle, data=data, context=run)
    return Audit(target, AuditConfig())


def audited(
    encoder: Encoder,
    data: Parts,
    folder: Path,
    ceiling: list[Record] | None = None,
    kinds: tuple[ThreatKind, ...] = (),
) -> list[Record]:
    """Attribute records of the quick suite against the planted encoder: the common attackers, and
    those of other threat models.
    """
    audit = an_audit(encoder, data, folder)
    if ceiling:
        audit.target = replace(audit.target, ceiling=(folder, ceiling))
    kinds = (ThreatKind.COMMON, *kinds)
    specs = [s for s in audit.specs if s.threat_model.key.kind in kinds]
    specs = [s for s in specs if s.attack.target == "attributes" and not audit.lacks(s)]
    evaluation = Evaluation(audit, [(s, audit.guesses(s)) for s in specs])
    records = evaluation.attribute("P")
    return records + ceilings(audit.target, records)


def test_a_ceiling_is_held_against_raw_inputs_and_half_the_budget(
    data: Parts, tmp_path: Path
) -> None:
    audit = an_audit(Planted("bit"), data, tmp_path)
    wanted = (ThreatKind.COMMON, ThreatKind.RAW)
    specs = [s for s in audit.specs if s.threat_model.key.kind in wanted]
    specs = [s for s in specs if s.attack.target == "attributes" and not audit.lacks(s)]
    guessed = [(s, audit.guesses(s)) for s in specs]
    (half,) = strongest_half(guessed)
    assert half.attack.passes == 0.5
    strongest = max(
        max(g["curve"]) for s, g in guessed if s.threat_model.common and len(g["curve"])
    )
    once = replace(half, attack=replace(half.attack, passes=1.0))
    assert max(dict(guessed)[once]["curve"]) == strongest
    twice = replace(half, attack=replace(half.attack, passes=2.0))
    assert strongest_half([*guessed, (twice, {"curve": np.array([-1.0])})]) == []
    evaluation = Evaluation(audit, [*guessed, (half, audit.guesses(half))])
    found = ceilings(audit.target, evaluation.attribute("P"))
    (raw,) = select(found, metric=EXCESS, given=str(ThreatKind.RAW))
    (gain,) = select(found, metric=GAIN)
    assert raw.low > 0
    assert abs(gain.value) < 0.02  # a bit is read in half the time
    assert gain.attack == raw.attack == CEILING
    below = replace(audit.target, ceiling=(tmp_path, found))
    assert not any(s.threat_model.key.kind is ThreatKind.RAW for s in plan(AuditConfig(), below))


def test_the_undefended_service_is_a_ceiling_of_utility(data: Parts, tmp_path: Path) -> None:
    audit, public = an_audit(Planted("bit"), data, tmp_path), TASK.public[0]
    served = Record(
        "other", "undefended", SERVICE, public, "accuracy", 0.9, 0.8, 1.0, None, 9, 9, "test", 3
    )
    below = replace(audit.target, ceiling=(tmp_path, [served]))
    found = ceilings(below, [])
    assert [(r.attack, r.subject, r.value, r.seed) for r in found] == [
        ("ceiling", public, 0.9, SETTING.seed)
    ]
    assert not ceilings(audit.target, [served])


@pytest.fixture(scope="module")
def ceiling(data: Parts, tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    """The positive control: an encoder that hides nothing."""
    folder = tmp_path_factory.mktemp("ceiling")
    return audited(Planted("bit"), data, folder, kinds=(ThreatKind.BUDGET,))


@pytest.mark.parametrize("what", ["flipped", "xor", "pixel"])
def test_a_planted_leak_is_found(
    what: str, data: Parts, ceiling: list[Record], tmp_path: Path
) -> None:
    """As it is, as a confident inverted adversary leaves it, by parity, in one of 1,024 pixels."""
    records = audited(Planted(what), data, tmp_path, ceiling)
    found = headline(records, "P", "balanced_accuracy")
    assert found.value > 0.97
    assert found.low < found.high <= 1
    assert evidence(records, "P").status == Status.LEAK


@pytest.mark.parametrize(("accuracy", "bits"), [(0.75, 1), (0.95, 1), (0.8, 3)])
def test_a_channel_of_known_accuracy_is_measured(
    accuracy: float, bits: int, data: Parts, ceiling: list[Record], tmp_path: Path
) -> None:
    """So many noisy copies of one bit: a majority of them is right with a known chance."""
    records = audited(Planted("channel", accuracy, bits), data, tmp_path, ceiling)
    a = accuracy
    truth = a if bits == 1 else a**3 + 3 * a**2 * (1 - a)
    found = headline(records, "P", "accuracy")
    assert found.low <= truth <= found.high
    highest = select(records, attack="maximum", metric="balanced_accuracy")[0]
    assert highest.high >= truth
    assert evidence(records, "P").status == Status.LEAK


def test_an_attribute_that_was_removed_is_not_found(
    data: Parts, ceiling: list[Record], tmp_path: Path
) -> None:
    """The features hold A, which says P in 60 % of the cases, and a coin."""
    records = audited(
        Planted("public"), data, tmp_path, ceiling, (ThreatKind.LABELS, ThreatKind.SHUFFLED)
    )
    found = headline(records, "P", "balanced_accuracy")
    assert found.low <= 0.6 <= found.high
    over = select(records, attack=found.attack, metric="excess", given="")[0]
    assert over.low <= 0 <= over.high
    assert over.high < 0.05
    assert evidence(records, "P").status == Status.NO_LEAK
    for control in select(
        records, given="shuffled pairs", metric="balanced_accuracy", split="test"
    ):
        assert control.low <= 0.5 <= control.high


def test_without_a_positive_control_nothing_is_safe(data: Parts, tmp_path: Path) -> None:
    """The same encoder as its own ceiling: nothing shows that these attackers can predict P."""
    records = audited(Planted("public"), data, tmp_path)
    assert evidence(records, "P").status == Status.TOO_WEAK


def test_true_labels_show_a_leak_that_the_floor_hides(data: Parts, tmp_path: Path) -> None:
    """The features hold whether A and P agree: nothing of P by itself, all of it beside A."""

    class Agreement(Planted):
        def forward(self, pictures: Tensor) -> Tensor:
            public, private = pictures[:, 0, 0, :2].unbind(1)
            return torch.stack((private, 1 - (public - private).abs()), 1)[:, 1:].repeat(1, 2)

    records = audited(Agreement("agreement"), data, tmp_path, kinds=(ThreatKind.LABELS,))
    alone = headline(records, "P", "balanced_accuracy")
    assert alone.value < 0.65
    beside = headline(records, "P", "balanced_accuracy", "public labels")
    over = select(records, attack=beside.attack, metric="excess", given="public labels")[0]
    assert beside.value > 0.95
    assert over.low > 0.3
    assert evidence(records, "P").status == Status.LEAK


def test_a_bit_that_never_flips_the_labels_guess_is_found_among_equal_labels(
    tmp_path: Path,
) -> None:
    """P equals A in 57 %; the code is another bit that equals P in 56 %, whatever A is.

    Label and bit together tell P no better than the label, so that every excess is 0.
    """
    parts = {}
    for name, n, seed in (("attacker", 3000, 2), ("validation", 1500, 3), ("test", 3000, 4)):
        y, draw = labels(n, seed, 0.57), np.random.default_rng(seed)
        bit = np.where(draw.random(n) < 0.56, y[:, 1], 1 - y[:, 1]).astype(np.uint8)
        pictures = np.zeros((n, 32, 32, 3), dtype=np.uint8)
        pictures[:, 0, 0, 0], pictures[:, 0, 1, 0] = 255 * y[:, 0], 255 * bit
        pictures[:, :, 16:] = pictures[:, :, 15::-1]
        people = np.arange(n) + 10_000 * seed
        parts[name] = Labelled(pictures, y[:, :1], y[:, 1:], people)
    data = Parts(part(64, 1), **parts, summary={}, known_people=False)
    audit = an_audit(Planted("bit"), data, tmp_path)
    kinds = (ThreatKind.COMMON, ThreatKind.LABELS)
    specs = [s for s in audit.specs if s.threat_model.key.kind in kinds]
    specs = [s for s in specs if s.attack.label in ("linear", "mlp", "trees")]
    records = Evaluation(audit, [(s, audit.guesses(s)) for s in specs]).attribute("P")
    found = evidence(records, "P")
    assert found.excess is not None
    assert found.given_labels is not None
    assert found.within_labels is not None
    assert max(found.excess.value, found.given_labels.value) < 0.01
    assert max(found.excess.low, found.given_labels.low) <= 0
    assert found.within_labels.value == pytest.approx(0.56, abs=0.02)
    assert found.leak == found.within_labels
    assert found.status is Status.LEAK
    gate = parse_gate("P.within_labels > 0.53")
    assert gate.judge(records).outcome == EXCEEDED


def test_a_noisy_encoder_is_met_by_averaged_queries(data: Parts, tmp_path: Path) -> None:
    """Each query tells P with a chance of .7; a majority of eight with .874."""
    records = audited(Planted("noisy", 0.7), data, tmp_path, kinds=(ThreatKind.AVERAGED,))
    once = headline(records, "P", "accuracy")
    assert once.low <= 0.7 <= once.high
    many = headline(records, "P", "accuracy", "8 queries a picture")
    assert many.low <= 0.874 <= many.high


def test_budgets_grow_towards_all_pictures(data: Parts, ceiling: list[Record]) -> None:
    reached = [
        headline(ceiling, "P", "balanced_accuracy", given).value
        for given in ("50 pictures", "200 pictures", "1000 pictures", "")
    ]
    assert reached[0] > 0.7, "one bit is learned from few"
    assert reached[-1] > 0.99


def test_others_of_a_person_are_averaged_without_the_picture_itself(
    data: Parts, tmp_path: Path
) -> None:
    people = np.array([5, 7, 5, 9, 7, 5])
    some = part(6, 2)
    some = Labelled(some.pictures, some.public, some.private, people)
    crowd = Parts(some, some, some, some, {}, True)
    own = an_audit(Planted("bit"), crowd, tmp_path).seen["attacker"]
    plain = own.features_of(np.arange(6))
    joined = with_others(own).features_of(np.array([0, 3, 4]))
    assert joined.shape == (3, 4)
    torch.testing.assert_close(joined[:, :2], plain[[0, 3, 4]])
    expected = torch.stack((plain[[2, 5]].mean(0), plain[3], plain[1]))
    torch.testing.assert_close(joined[:, 2:], expected)


def test_label_table_is_the_best_guess_from_labels(data: Parts) -> None:
    table = label_table(data.attacker.public, data.attacker.private[:, 0])
    y, z = data.attacker.public[:, 0], data.attacker.private[:, 0]
    np.testing.assert_allclose(table, [z[y == 0].mean(), z[y == 1].mean()])


def test_label_table_counts_combinations() -> None:
    draw = np.random.default_rng(0)
    public, private = draw.integers(0, 2, (2, 500, 3), dtype=np.uint8)
    public[:, 2] &= public[:, 1]  # (0, 0, 1) and (1, 0, 1) never occur
    table = label_table(public, private[:, 1])
    for combination in product((0, 1), repeat=3):
        rows = (public == combination).all(1)
        expected = private[rows, 1].mean() if rows.any() else private[:, 1].mean()
        cell = codes(np.array([combination], dtype=np.uint8))[0]
        assert table[cell] == pytest.approx(expected)


def test_floors_are_the_majority_and_the_label_table(data: Parts, tmp_path: Path) -> None:
    scorer = Scorer(an_audit(Planted("bit"), data, tmp_path).target)
    y, z = data.test.public[:, 0], data.test.private[:, 0]
    hidden = data.attacker.private[:, 0]

    def of(name: str, metric: str) -> float:
        scores = (majority if name == "majority" else from_labels)(data, hidden)
        (record,) = select(
            scorer.attribute(Attempt(name, "P"), scores)[0], metric=metric, split="test"
        )
        return record.value

    assert of("majority", "accuracy") == pytest.approx(max(z.mean(), 1 - z.mean()))
    assert of("majority", "balanced_accuracy") == of("majority", "auc") == 0.5
    assert of("majority", "mcc") == 0
    assert of("label-only", "accuracy") == pytest.approx((y == z).mean())
    by_hand = ((y[z == 1] == 1).mean() + (y[z == 0] == 0).mean()) / 2
    assert of("label-only", "balanced_accuracy") == pytest.approx(by_hand)
    assert of("label-only", "auc") == pytest.approx(by_hand)


def test_the_mean_face_is_the_attackers_mean(data: Parts) -> None:
    mean = data.attacker.pictures.mean(0) / 255
    found = mean_face(data.attacker).permute(1, 2, 0).numpy()
    np.testing.assert_allclose(found, mean, atol=1e-6)
