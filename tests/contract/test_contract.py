"""Every registered defence against every registered attack, on a few tiny pictures."""

import dataclasses
import functools
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from deepobfuscator.attacks import threat as _threat
from deepobfuscator.attacks.base import BRIEF, EXHAUSTIVE, QUICK, STANDARD, Attack
from deepobfuscator.attacks.invert import WhiteBox
from deepobfuscator.attacks.threat import AttackerData
from deepobfuscator.attacks.trained import outputs
from deepobfuscator.auditing.config import AuditConfig, Target
from deepobfuscator.auditing.evaluation import Evaluation
from deepobfuscator.auditing.fit import Audit
from deepobfuscator.auditing.threat_models import COMMON
from deepobfuscator.core.config import from_json, to_json
from deepobfuscator.core.records import (
    EXCESS,
    FLOORS,
    IDENTITY,
    IMAGE,
    Record,
    ThreatKey,
    ThreatKind,
    headline,
    select,
)
from deepobfuscator.core.runtime import Context
from deepobfuscator.data.batches import Labelled, Parts
from deepobfuscator.data.table import Task
from deepobfuscator.defences.base import Defence
from deepobfuscator.training.bundle import Bundle
from deepobfuscator.training.objectives import TrainConfig

TASK = Task(("A",), ("P", "Q"))
SETTING = TrainConfig(
    size=(32, 36),
    width=1 / 64,
    batch_size=8,
    epochs=1,
    adversary_epochs=1,
    game_epochs=1,
    infer_epochs=1,
    reconstruct_epochs=1,
)


def part(n: int, seed: int) -> Labelled:
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 2, (n, 4), dtype=np.uint8)
    labels[:2] = [[0, 0, 0, 0], [1, 1, 1, 1]]
    pictures = draw.integers(0, 256, (n, 8, 9, 3), dtype=np.uint8).repeat(4, 1).repeat(4, 2)
    people = np.arange(n) // 2 + 1000 * seed
    return Labelled(pictures, labels[:, :1], labels[:, 1:3], people, labels[:, 3:])


def tiny(test_seed: int = 4) -> Parts:
    return Parts(part(16, 1), part(16, 2), part(16, 3), part(16, test_seed), {}, True, ("U",))


def a_run(folder: Path) -> Context:
    run = Context(folder)
    run.console.quiet = True
    return run


def trained(defence: Defence, run: Context) -> Bundle:
    players, history = defence.fit(TASK, tiny().defender, SETTING, run)
    assert history
    return Bundle(players, {})


def audit(
    bundle: Bundle,
    name: str,
    data: Parts,
    run: Context,
    folder: Path,
    **more: Any,
) -> Audit:
    target = Target(
        key="key",
        defence=Defence.find(name)(),
        task=TASK,
        setting=SETTING,
        bundle=bundle,
        data=data,
        context=dataclasses.replace(run, folder=folder),
    )
    return Audit(dataclasses.replace(target, **more), AuditConfig())


def judged(one: Audit) -> list[Record]:
    guessed = [(s, one.guesses(s)) for s in one.specs if not one.lacks(s)]
    return Evaluation(one, guessed).records()


TRAINABLE = [name for name, kind in Defence.members().items() if kind.trains]
PEERS = [
    *(name for name in TRAINABLE if "coarse" in Defence.find(name).__module__),
    *("gradient-reversal", "maxent-arl", "nopeek", "feature-noise", "quantised"),
    *("answer-only", "cem", "cloak", "disco", "leace", "pca", "shredder", "tiprdc", "vib"),
]
"""Defences whose features have the form of others here: the attacks of the quick suite will do."""

made: dict[str, Any] = {}
"""What `defended` has trained: pytest asks for it once for each attack."""


@pytest.fixture(scope="module", params=TRAINABLE)
def defended(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    if request.param not in made:
        folder = tmp_path_factory.mktemp(request.param)
        run, defence = a_run(folder), Defence.find(request.param)()
        made[request.param] = defence, trained(defence, run), run, folder
    return made[request.param]


def test_a_defence_is_its_configuration(defended: Any) -> None:
    defence = defended[0]
    assert from_json(Defence, to_json(defence)) == defence
    assert dataclasses.is_dataclass(defence)


def test_features_and_wire_size_are_as_declared(defended: Any) -> None:
    _, bundle, run, _ = defended
    features = bundle.encode(tiny().test.pictures, run)
    assert features.shape == (16, *bundle.encoder.features)
    assert features.dtype == torch.float32
    assert bundle.encoder.wire_bits >= features[0].numel()


EVERY = [
    dataclasses.replace(a, steps=5) if isinstance(a, WhiteBox) else a
    for a in AuditConfig(STANDARD).attacks
]
"""Searches are cut short: the contract is the same."""


def tried(defended: Any) -> tuple[Any, list[Attack]]:
    """The threat against a defence, with its game known, and the attacks that can be tried."""
    defence, bundle, run, folder = defended
    one = audit(bundle, defence.name, tiny(), run, folder, games=lambda number: bundle.players)
    return one.threat, [a for a in EVERY if not a.lacks(one.threat)]


def asked_of(name: str) -> list[Attack]:
    """The attacks that a defence is tried with."""
    quick = [a for a in EVERY if a.suite in (BRIEF, QUICK) and a == type(a)()]
    return quick if name in PEERS else EVERY


PAIRS = [
    pytest.param(name, attack, id=f"{name}-{attack.label}")
    for name in TRAINABLE
    for attack in asked_of(name)
]


@pytest.mark.parametrize(("defended", "attack"), PAIRS, indirect=["defended"])
def test_every_attack_fits_every_defence_it_can_be_tried_on(defended: Any, attack: Attack) -> None:
    threat, possible = tried(defended)
    if attack not in possible:
        assert len(attack.lacks(threat)) > 10, "it says why not"
        return
    _, bundle, run, _ = defended
    bundle.encoder.zero_grad()  # training leaves the gradients of its last batch
    trained_as = {k: v.clone() for k, v in bundle.encoder.state_dict().items()}
    fitted = attack.fit(threat, run)
    found = outputs(fitted, threat.own, run, np.arange(5))
    for name, value in bundle.encoder.state_dict().items():
        assert torch.equal(value, trained_as[name]), "an attack leaves the encoder as it was"
    assert all(p.grad is None for p in bundle.encoder.parameters())
    assert not any(module.training for module in bundle.encoder.modules())
    if attack.target == "attributes":
        assert found.shape == (5, len(TASK.private))
    elif attack.target == "identity":
        assert found.shape[0] == 5
        if fitted.gallery is not None:
            assert fitted.gallery(torch.rand(2, 3, *SETTING.size)).shape == (2, found.shape[1])
    else:
        assert found.shape == (5, 3, *SETTING.size)
        assert found.min() >= 0
        assert found.max() <= 1
    assert torch.isfinite(found).all()
    features = threat.own.features_of(np.arange(3)).clone()
    before = features.clone()
    once, again = fitted(features), fitted(features)
    assert torch.equal(features, before), "what was seen stays as it was"
    assert torch.equal(once, again)


def test_each_suite_holds_the_smaller_ones() -> None:
    quick, standard, exhaustive = (
        set(AuditConfig(s).attacks) for s in (QUICK, STANDARD, EXHAUSTIVE)
    )
    assert quick < standard < exhaustive
    for suite in (quick, standard, exhaustive):
        assert len({a.label for a in suite}) == len(suite)


def reachable(start: object) -> Iterator[object]:
    """Everything that can be had from an object through attributes, items and closures."""
    seen: set[int] = set()
    todo: list[object] = [start]
    while todo:
        at = todo.pop()
        if id(at) in seen or isinstance(at, type | types.ModuleType | str | bytes | int | float):
            continue
        seen.add(id(at))
        yield at
        if isinstance(at, types.FunctionType):
            todo += [cell.cell_contents for cell in at.__closure__ or ()]
            todo += list(at.__defaults__ or ())
        elif isinstance(at, types.MethodType):
            todo += [at.__self__, at.__func__]
        elif isinstance(at, functools.partial):
            todo += [at.func, at.args, at.keywords]
        elif isinstance(at, dict):
            todo += list(at.values())
        elif isinstance(at, list | tuple | set):
            todo += list(at)
        elif isinstance(at, np.ndarray):
            todo.append(at.base)
        else:
            todo += list(getattr(at, "__dict__", {}).values())


def test_the_test_part_is_out_of_an_attackers_reach(defended: Any) -> None:
    defence, bundle, run, folder = defended
    data = tiny()
    found = [id(x) for x in reachable(audit(bundle, defence.name, data, run, folder).threat)]
    assert id(data.attacker.pictures) in found, "the walk must find what is there"
    for array in (data.test.pictures, data.test.private, data.test.public, data.test):
        assert id(array) not in found


def test_no_choice_touches_the_test_part(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    bundle = trained(Defence.find("narrow-code")(), run)

    def audited(seed: int) -> list[Record]:
        records = judged(audit(bundle, "narrow-code", tiny(seed), run, tmp_path / str(seed)))
        return [dataclasses.replace(r, floor=None) for r in records]

    one, other = audited(4), audited(5)
    assert select(one, split="validation") == select(other, split="validation")
    assert select(one, split="test") != select(other, split="test")
    for subject in (*TASK.private, "U", IMAGE, IDENTITY):
        metric = {IMAGE: "ms_ssim", IDENTITY: "auc"}.get(subject, "balanced_accuracy")
        assert headline(one, subject, metric).attack == headline(other, subject, metric).attack


def test_an_audit_gives_every_promised_record_and_goes_on_where_it_stopped(
    defended: Any, tmp_path: Path
) -> None:
    defence, bundle, run, _ = defended
    whole = judged(audit(bundle, defence.name, tiny(), run, tmp_path / "a"))
    stopped = audit(bundle, defence.name, tiny(), run, tmp_path / "b")
    for spec in [s for s in stopped.specs if not stopped.lacks(s)][:3]:
        stopped.guesses(spec)
    begun = audit(bundle, defence.name, tiny(), run, tmp_path / "b")
    stamps = {p: p.stat().st_mtime_ns for p in (tmp_path / "b" / "audit").glob("*.npz")}
    assert judged(begun) == whole
    assert len(stamps) == 3
    assert all(p.stat().st_mtime_ns == stamp for p, stamp in stamps.items())

    can = [s for s in begun.specs if s.threat_model == COMMON and not begun.lacks(s)]
    fresh_ones = {s.label for s in can if s.attack.target == "attributes"} | {"ensemble"}
    assert fresh_ones >= {"ac", "linear", "mlp", "resnet", "trees"}
    expected = {"ceiling", "majority", "label-only"} | fresh_ones
    expected |= {"in-game"} if "AC" in bundle.players else set()
    for subject in TASK.private:
        for metric in ("accuracy", "balanced_accuracy", "auc", "mcc"):
            found = select(whole, subject=subject, metric=metric, split="test", given="")
            found = [r for r in found if r.attack != "maximum"]
            assert {r.attack for r in found} == expected
            assert len(found) == len(expected)
            floors = [r.value for r in found if r.attack in FLOORS]
            assert {r.floor for r in found} == {max(floors)}
        over = select(whole, subject=subject, metric="excess", given="")
        assert {r.attack for r in over} == {"ceiling", "maximum"} | fresh_ones
        assert select(whole, subject=subject, metric="excess", given="public labels")
        assert select(whole, subject=subject, metric="excess_over_service")
        assert select(whole, subject=subject, given="shuffled pairs")
    for metric in ("ms_ssim", "ssim", "psnr"):
        found = select(whole, subject=IMAGE, metric=metric, split="test", given="")
        assert {"mean-face", "label-only", "ceiling", "mirror"} <= {r.attack for r in found}
    for metric in ("auc", "eer", "rank1"):
        found = select(whole, subject=IDENTITY, metric=metric, split="test")
        assert {"label-only", "ceiling", "identify"} <= {r.attack for r in found}
    assert select(whole, subject="U", metric="p_holm")
    assert all(r.low <= r.value <= r.high for r in whole)
    shares = [r for r in whole if r.metric in ("accuracy", "balanced_accuracy", "auc", "excess")]
    assert all(r.low < r.high for r in shares)


def test_a_noisy_encoder_is_queried_anew_and_a_plain_one_once(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    rows = np.arange(6)
    for name, noisy in (("undefended", False), ("pixel-noise", True)):
        bundle = trained(Defence.find(name)(), run)
        threat = audit(bundle, name, tiny(), run, tmp_path).threat
        one, other = (threat.own.features_of(rows, turn=turn) for turn in (1, 2))
        assert torch.equal(one, other) is not noisy
        again = threat.own.features_of(rows, turn=1)
        assert torch.equal(one, again), "the same turn draws the same noise"


def test_parts_with_the_same_pictures_do_not_share_their_noise(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    same = [part(16, 1) for _ in range(4)]
    noisy = audit(
        trained(Defence.find("pixel-noise")(), run),
        "pixel-noise",
        Parts(*same, {}, True),
        run,
        tmp_path,
    )
    rows = np.arange(6)
    own, test = noisy.threat.own.features_of(rows), noisy.seen["test"].features_of(rows)
    assert not torch.equal(own, test)


def test_records_taken_from_the_ceiling_carry_this_trials_name_and_seed(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    undefended = trained(Defence.find("undefended")(), run)
    above = judged(audit(undefended, "undefended", tiny(), run, tmp_path / "u"))
    setting = dataclasses.replace(SETTING, seed=7)
    bundle = trained(Defence.find("narrow-code")(), run)
    ceiling = tmp_path / "u", above
    records = judged(
        audit(bundle, "narrow-code", tiny(), run, tmp_path / "n", setting=setting, ceiling=ceiling)
    )
    assert {(r.trial, r.defence, r.seed) for r in records} == {("key", "narrow-code", 7)}
    for subject, metric in ((IMAGE, "ssim"), ("P", "excess"), ("U", "auc"), (IDENTITY, "rank1")):
        (here,) = select(records, attack="ceiling", subject=subject, metric=metric, given="")
        first = {IMAGE: "ms_ssim", IDENTITY: "auc"}.get(subject, "balanced_accuracy")
        best = headline(above, subject, first).attack
        (there,) = select(
            above, attack=best, subject=subject, metric=metric, split="test", given=""
        )
        assert here.value == there.value
    raw = {"attack": "ceiling", "metric": EXCESS, "given": str(ThreatKind.RAW)}
    assert [r.value for r in select(records, **raw)] == [r.value for r in select(above, **raw)]
    assert {r.subject for r in select(records, **raw)} == {"P", "Q"}
    for name in ("majority", "label-only", "mean-face"):
        (floor,) = select(records, attack=name, metric="ssim") or select(
            records, attack=name, metric="mcc", subject="P"
        )
        (same,) = select(above, attack=name, metric=floor.metric, subject=floor.subject)
        assert floor.value == same.value, "floors do not depend on the defence"


def test_an_attacker_sees_the_same_features_whether_they_fit_in_memory_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = a_run(tmp_path)
    bundle = trained(Defence.find("undefended")(), run)
    rows, seen = np.array([3, 0, 9]), []
    for free in (0, 10**12):
        monkeypatch.setattr(_threat, "free_memory", lambda device, free=free: free)
        own = AttackerData(
            part(16, 2), lambda p, s: bundle.encode(p, run, s), bundle.encoder.features
        )
        seen.append([own.features_of(rows, mirrored) for mirrored in (False, True)])
        assert bool(own.kept) == (free > 0)
    for kept, anew in zip(*seen, strict=True):
        torch.testing.assert_close(kept, anew)


def test_an_insider_learns_from_the_defenders_part_too_and_reaches_no_test_row(
    defended: Any, tmp_path: Path
) -> None:
    defence, bundle, run, _ = defended
    data = tiny()
    one = audit(bundle, defence.name, data, run, tmp_path)
    one.config = AuditConfig(STANDARD)
    specs = [s for s in one.specs if s.threat_model.key.kind is ThreatKind.INSIDER]
    assert [s.attack.label for s in specs] == ["mlp", "mirror"]
    given = one.threat_of(specs[0].threat_model)
    assert len(given.own) == len(data.attacker) + len(data.defender)
    assert len(given.own.labelled.private) == len(given.own)
    assert set(given.own.labelled.people) == {*data.attacker.people, *data.defender.people}
    assert not set(given.own.labelled.people) & {*data.test.people, *data.validation.people}
    assert given.validation is one.threat.validation, "it chooses on its own"
    rows = np.array([30, 2, 16, 15, 31])
    both = np.concatenate((data.attacker.pictures, data.defender.pictures))
    assert np.array_equal(given.own.pictures(rows), both[rows])
    private = np.concatenate((data.attacker.private, data.defender.private))
    assert np.array_equal(given.own.labelled.private, private)
    if not bundle.encoder.stochastic:
        alone = bundle.encode(both[rows], run)
        torch.testing.assert_close(given.own.features_of(rows), alone)
    found = [id(x) for x in reachable(given)]
    assert id(data.defender.pictures) in found, "the walk must find what is there"
    for array in (data.test.pictures, data.test.private, data.test.public, data.test):
        assert id(array) not in found
    common = [s for s in one.specs if s.label in ("mlp", "mirror")]
    records = Evaluation(one, [(s, one.guesses(s)) for s in (*common, *specs)]).records()
    for subject in (*TASK.private, IMAGE):
        given_too = "the defender's pictures"
        (excess,) = select(records, subject=subject, metric="excess", given=given_too)
        assert excess.threat == ThreatKey(ThreatKind.INSIDER)


def test_nobody_knows_the_defenders_pictures_of_an_encoder_made_elsewhere(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    bundle = trained(Defence.find("undefended")(), run)
    one = audit(bundle, "raw", tiny(), run, tmp_path)
    one.config = AuditConfig(STANDARD)
    specs = [s for s in one.specs if s.threat_model.key.kind is ThreatKind.INSIDER]
    assert specs
    assert all("not trained here" in one.lacks(s) for s in specs)
