"""Every registered defence against every registered attack, on a few tiny pictures."""

import dataclasses
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from deepobfuscator.attacks import _base
from deepobfuscator.attacks._base import Attack, Own
from deepobfuscator.audit import Audit, suite
from deepobfuscator.bundle import Bundle, apply
from deepobfuscator.config import from_json, to_json
from deepobfuscator.data.batches import Data, Labelled
from deepobfuscator.data.table import Task
from deepobfuscator.defences._base import Defence
from deepobfuscator.game import Setting
from deepobfuscator.records import FLOORS, IMAGE, Record, headline, select
from deepobfuscator.runtime import Run

TASK = Task(("A",), ("P", "Q"))
SETTING = Setting(
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
    labels = draw.integers(0, 2, (n, 3), dtype=np.uint8)
    labels[:2] = [[0, 0, 0], [1, 1, 1]]
    pictures = draw.integers(0, 256, (n, 8, 9, 3), dtype=np.uint8).repeat(4, 1).repeat(4, 2)
    return Labelled(pictures, labels[:, :1], labels[:, 1:], np.arange(n) // 2 + 1000 * seed)


def tiny(test_seed: int = 4) -> Data:
    return Data(part(16, 1), part(16, 2), part(16, 3), part(16, test_seed), {}, True)


def a_run(folder: Path) -> Run:
    run = Run(folder)
    run.console.quiet = True
    return run


def trained(defence: Defence, run: Run) -> Bundle:
    players, history = defence.fit(TASK, tiny().defender, SETTING, run)
    assert history
    return Bundle(players, {})


def audit(bundle: Bundle, name: str, data: Data, run: Run, folder: Path) -> Audit:
    return Audit(bundle, "key", name, TASK, data, SETTING, folder / "audit", run)


@pytest.fixture(scope="module", params=list(Defence.members()))
def defended(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp(request.param)
    run = a_run(folder)
    defence = Defence.find(request.param)()
    return defence, trained(defence, run), run, folder


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


@pytest.mark.parametrize("attack", suite(), ids=lambda a: a.name)
def test_every_attack_fits_every_defence(defended: Any, attack: Attack) -> None:
    defence, bundle, run, folder = defended
    threat = audit(bundle, defence.name, tiny(), run, folder).threat
    network = attack.fit(threat, run)
    outputs = apply(network, threat.own.features_of(np.arange(5)), run)
    if attack.target == "attributes":
        assert outputs.shape == (5, len(TASK.private))
    else:
        assert outputs.shape == (5, 3, *SETTING.size)
        assert outputs.min() >= 0
        assert outputs.max() <= 1
    assert torch.isfinite(outputs).all()


def test_an_attack_leaves_the_encoder_as_it_was(defended: Any) -> None:
    defence, bundle, run, folder = defended
    before = {k: v.clone() for k, v in bundle.encoder.state_dict().items()}
    threat = audit(bundle, defence.name, tiny(), run, folder).threat
    for attack in suite():
        attack.fit(threat, run)
    assert all(torch.equal(v, before[k]) for k, v in bundle.encoder.state_dict().items())


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
        folder = tmp_path / str(seed)
        records = audit(bundle, "narrow-code", tiny(seed), run, folder).records(suite())
        return [dataclasses.replace(r, floor=None) for r in records]

    one, other = audited(4), audited(5)
    assert select(one, split="validation") == select(other, split="validation")
    assert select(one, split="test") != select(other, split="test")
    for subject in (*TASK.private, IMAGE):
        metric = "ms_ssim" if subject == IMAGE else "balanced_accuracy"
        assert headline(one, subject, metric).attack == headline(other, subject, metric).attack


def test_an_audit_gives_every_promised_record_and_goes_on_where_it_stopped(
    defended: Any, tmp_path: Path
) -> None:
    defence, bundle, run, _ = defended
    whole = audit(bundle, defence.name, tiny(), run, tmp_path / "a").records(suite())
    stopped = audit(bundle, defence.name, tiny(), run, tmp_path / "b")
    stopped.references()
    stopped.part(suite()[0])
    again = audit(bundle, defence.name, tiny(), run, tmp_path / "b").records(suite())
    assert again == whole

    attacks = {a.name for a in suite() if a.target == "attributes"}
    expected = {"ceiling", "majority", "label-only"} | attacks
    expected |= {"in-game"} if "AC" in bundle.players else set()
    for subject in TASK.private:
        for metric in ("accuracy", "balanced_accuracy", "auc"):
            found = select(whole, subject=subject, metric=metric, split="test")
            assert {r.attack for r in found} == expected
            assert len(found) == len(expected)
            floors = [r.value for r in found if r.attack in FLOORS]
            assert {r.floor for r in found} == {max(floors)}
    for metric in ("ms_ssim", "ssim", "psnr"):
        found = select(whole, subject=IMAGE, metric=metric, split="test")
        assert {"mean-face", "label-only", "ceiling", "mirror", "urec1"} <= {
            r.attack for r in found
        }
    assert all(r.low <= r.value <= r.high for r in whole)
    assert {r.n_people for r in whole} == {8}
    shown = np.load(tmp_path / "a" / "faces.npz")
    assert shown["raw"].shape == shown["reconstructed"].shape == shown["label_only"].shape


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
        trained(Defence.find("pixel-noise")(), run), "n", Data(*same, {}, True), run, tmp_path
    )
    rows = np.arange(6)
    own, test = noisy.threat.own.features_of(rows), noisy.test.features_of(rows)
    assert not torch.equal(own, test)


def test_records_taken_from_the_ceiling_carry_this_trials_name_and_seed(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    plain = audit(
        trained(Defence.find("undefended")(), run), "undefended", tiny(), run, tmp_path / "u"
    )
    above = plain.records(suite())
    setting = dataclasses.replace(SETTING, seed=7)
    bundle = trained(Defence.find("narrow-code")(), run)
    mine = Audit(
        *(bundle, "mine", "narrow-code", TASK, tiny(), setting),
        *(tmp_path / "n" / "audit", run, above, tmp_path / "u" / "audit"),
    )
    records = mine.records(suite())
    assert {(r.trial, r.defence, r.seed) for r in records} == {("mine", "narrow-code", 7)}
    for attack in (*FLOORS, "ceiling"):
        (there,) = select(above, attack=attack, subject=IMAGE, metric="ssim") or [None]
        if there is not None:
            (here,) = select(records, attack=attack, subject=IMAGE, metric="ssim")
            assert here.value == there.value


def test_an_attacker_sees_the_same_features_whether_they_fit_in_memory_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = a_run(tmp_path)
    bundle = trained(Defence.find("undefended")(), run)
    rows, seen = np.array([3, 0, 9]), []
    for free in (0, 10**12):
        monkeypatch.setattr(_base, "free_memory", lambda device, free=free: free)
        own = Own(part(16, 2), lambda p, s: bundle.encode(p, run, s), bundle.encoder.features)
        seen.append([own.features_of(rows, mirrored) for mirrored in (False, True)])
        assert bool(own.kept) == (free > 0)
    for kept, anew in zip(*seen, strict=True):
        torch.testing.assert_close(kept, anew)
