"""The naive sequence, other architectures, readers of rebuilt pictures, orders of attackers."""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from deepobfuscator.attacks.base import BRIEF, QUICK, STANDARD
from deepobfuscator.attacks.from_images import FRESH, IN_GAME, FromImages
from deepobfuscator.attacks.threat import AttackerData, Threat
from deepobfuscator.attacks.trained import outputs
from deepobfuscator.auditing.config import AuditConfig
from deepobfuscator.auditing.run import digest, finished
from deepobfuscator.core.config import key
from deepobfuscator.core.errors import InputError
from deepobfuscator.core.records import Record, write_jsonl
from deepobfuscator.core.runtime import Context
from deepobfuscator.data.augment import as_input
from deepobfuscator.data.batches import Labelled
from deepobfuscator.data.table import Task
from deepobfuscator.defences.deepobfuscator import DeepObfuscator
from deepobfuscator.defences.naive_sequence import ATTRIBUTES, FACES, NaiveSequence
from deepobfuscator.experiments.trial import Trial
from deepobfuscator.nn.decoders import Residual
from deepobfuscator.nn.vgg import Classifier
from deepobfuscator.training.bundle import apply
from deepobfuscator.training.loop import play
from deepobfuscator.training.objectives import Players, TrainConfig

TASK = Task(("A",), ("P",))
SETTING = TrainConfig(
    size=(32, 32),
    width=1 / 32,
    batch_size=8,
    epochs=1,
    adversary_epochs=1,
    game_epochs=2,
    infer_epochs=4,
)


def a_run(folder: Path) -> Context:
    run = Context(folder)
    run.console.quiet = True
    return run


def noise(n: int, seed: int = 0) -> Labelled:
    """Noise pictures; the private bit is whether the upper left quarter is bright."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 2, (n, 2), dtype=np.uint8)
    pictures = draw.integers(0, 200, (n, 32, 32, 3), dtype=np.uint8)
    pictures[:, :16, :16] += 55 * labels[:, 1, None, None, None]
    return Labelled(pictures, labels[:, :1], labels[:, 1:], np.arange(n))


# -- the naive sequence ---------------------------------------------------------------------------


@pytest.mark.parametrize("first", [ATTRIBUTES, FACES])
def test_one_adversary_plays_at_a_time(first: str) -> None:
    against = {
        ATTRIBUTES: ("game for attributes", [{"O"}, {"AC"}, {"C"}]),
        FACES: ("game for faces", [{"O"}, {"AR"}, {"C"}]),
    }
    second = FACES if first == ATTRIBUTES else ATTRIBUTES
    told = [
        (p.name, [s.movers for s in p.stages]) for p in NaiveSequence(first=first).phases(SETTING)
    ]
    assert told == [
        ("pre-train O, C", [{"O", "C"}]),
        ("pre-train AC, AR", [{"AC", "AR"}]),
        against[first],
        against[second],
    ]
    lengths = [p.epochs for p in NaiveSequence(first=first).phases(SETTING)]
    assert lengths == [1, 1, 2, 2], "each game is as long as Algorithm 1"


def state(players: Players, name: str) -> dict[str, Tensor]:
    return copy.deepcopy(players[name].state_dict())


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(v, other[k]) for k, v in one.items())


@pytest.mark.parametrize(
    ("first", "out", "playing"), [(ATTRIBUTES, "AC", "AR"), (FACES, "AR", "AC")]
)
def test_the_first_adversary_sits_out_the_second_game(
    tmp_path: Path, first: str, out: str, playing: str
) -> None:
    defence, run = NaiveSequence(first=first), a_run(tmp_path)
    players = defence.players(TASK, SETTING, run)
    *before, game, second = defence.phases(SETTING)
    play(players, before, noise(24), SETTING, run)
    trained = {name: state(players, name) for name in players}
    play(players, [game], noise(24), SETTING, run)
    changed = [n for n in players if not same(trained[n], state(players, n))]
    assert set(changed) == {"O", "C", out}
    after = {name: state(players, name) for name in players}
    play(players, [second], noise(24), SETTING, run)
    changed = [n for n in players if not same(after[n], state(players, n))]
    assert set(changed) == {"O", "C", playing}, "buffers included"


def test_the_order_is_part_of_the_configuration() -> None:
    one, other = (Trial(defence=NaiveSequence(first=f)) for f in (ATTRIBUTES, FACES))
    assert key(one) != key(other)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: NaiveSequence(first="face"), "--first face: take one of attributes, faces"),
        (lambda: NaiveSequence(lambda1=0.0), "--lambda1 and --lambda2 must both be above 0"),
        (lambda: NaiveSequence(lambda2=0.0), "--lambda1 and --lambda2 must both be above 0"),
        (lambda: DeepObfuscator(service_network="vgg16"), "--service-network vgg16: take one of"),
        (lambda: DeepObfuscator(adversary_network=""), "--adversary-network : take one of vgg, r"),
        (lambda: AuditConfig(also=("urec3",)), "urec3"),
        (lambda: AuditConfig("briefs"), "--suite briefs: did you mean brief?"),
    ],
)
def test_wrong_values_get_one_line(make: Callable[[], object], says: str) -> None:
    with pytest.raises(InputError) as refused:
        make()
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


# -- other architectures --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "residual"),
    [
        ({"service_network": "resnet"}, {"C"}),
        ({"adversary_network": "resnet"}, {"AC"}),
        ({}, set()),
    ],
)
def test_a_residual_network_takes_the_place_of_one_player(
    tmp_path: Path, fields: dict[str, str], residual: set[str]
) -> None:
    defence, run = DeepObfuscator(**fields), a_run(tmp_path)
    players = defence.players(TASK, SETTING, run)
    for name in ("C", "AC"):
        blocks = [m for m in players[name].modules() if isinstance(m, Residual)]
        assert bool(blocks) == (name in residual)
        assert isinstance(players[name], Classifier) != (name in residual)
    start = {name: state(players, name) for name in players}
    history = play(players, defence.phases(SETTING), noise(24), SETTING, run)
    assert all(not same(start[name], state(players, name)) for name in players)
    assert {"L_C", "L_AC", "L_AR1", "L_AR2"} <= {n for h in history for n in h["losses"]}


# -- attributes from rebuilt pictures -------------------------------------------------------------


class Raw(nn.Module):
    """A decoder of raw pictures that keeps them, or paints all of them grey."""

    def __init__(self, keeps: bool) -> None:
        super().__init__()
        self.keeps = keeps

    def forward(self, features: Tensor) -> Tensor:
        """(n, 3, H, W)."""
        return features if self.keeps else torch.full_like(features, 0.5)


def threat(run: Context, keeps: bool, played: Players | None = None) -> Threat:
    """Features are the pictures themselves, so that only the decoder can hide the bit."""
    own, validation = (
        AttackerData(part, lambda p, seed: as_input(p, run.device), (3, 32, 32), salt)
        for salt, part in ((1, noise(96, 1)), (2, noise(80, 2)))
    )
    games = None if played is None else lambda number: played
    return Threat(
        *(own, validation, SETTING.size, SETTING),
        games=games,
        decoder=lambda: Raw(keeps),
    )


def share_right(attack: FromImages, handed: Threat, run: Context) -> float:
    fitted = attack.fit(handed, run)
    logits = outputs(fitted, handed.validation, run)
    return float(((logits > 0).numpy() == handed.validation.labelled.private).mean())


def test_it_reads_what_the_pictures_keep_and_nothing_else(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    assert share_right(FromImages(), threat(run, keeps=True), run) > 0.95
    assert share_right(FromImages(), threat(run, keeps=False), run) < 0.65


def test_each_reader_looks_at_its_own_reconstructor(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    handed = threat(run, keeps=False, played={"AR": Raw(keeps=True)})
    assert share_right(FromImages(reconstructor=IN_GAME), handed, run) > 0.95
    fitted = FromImages(reconstructor=FRESH).fit(handed, run)
    logits = apply(fitted, handed.own.features_of(np.arange(20)), run)
    assert torch.allclose(logits, logits[:1].expand_as(logits), atol=1e-6), "all grey, all alike"


def test_without_a_reconstructor_it_says_so(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    in_game = FromImages(reconstructor=IN_GAME)
    assert in_game.lacks(threat(run, True)) == "no AR played in a game"
    assert in_game.lacks(threat(run, True, {"AC": nn.Identity()})) == "no AR played in a game"
    assert in_game.lacks(threat(run, True, {"AR": Raw(True)})) == ""
    assert FromImages().lacks(threat(run, True)) == ""
    assert FromImages().lacks(replace(threat(run, True), decoder=None)) == "no reconstructor"


# -- orders of attackers --------------------------------------------------------------------------


def labels(suite: str, *also: str) -> set[str]:
    return AuditConfig(suite, also=also).labels


def test_an_order_may_add_attacks_of_larger_suites() -> None:
    assert labels(BRIEF) == {"ac", "mlp", "resnet", "mirror"}
    more = labels(BRIEF, "urec1", "from-images")
    assert more - labels(BRIEF) == {"urec1", "from-images", "from-images reconstructor=in-game"}
    assert more <= labels(STANDARD)
    assert labels(BRIEF, "ac") == labels(BRIEF), "named twice is there once"


def audited(folder: Path, config: AuditConfig) -> None:
    """What an audit leaves that did all of ``config``."""
    notes = {
        "suite": config.suite,
        "whole": config.whole,
        "also": list(config.also),
        "other": None,
        "attacks": digest(config),
    }
    (folder / "audit").mkdir(parents=True)
    (folder / "audit" / "notes.json").write_text(json.dumps(notes))
    record = Record("k", "d", "ac", "P", "auc", 0.5, 0.4, 0.6, None, 9, 9, "test", 0)
    write_jsonl(folder / "records.jsonl", [record])


BOTH = ("urec1", "urec2")


@pytest.mark.parametrize(
    ("done", "asked", "enough"),
    [
        (AuditConfig(BRIEF), AuditConfig(BRIEF), True),
        (AuditConfig(BRIEF), AuditConfig(BRIEF, also=("urec1",)), False),
        (AuditConfig(BRIEF, also=BOTH), AuditConfig(BRIEF), True),
        (AuditConfig(BRIEF, also=BOTH), AuditConfig(BRIEF, also=("urec2",)), True),
        (AuditConfig(BRIEF, also=BOTH), AuditConfig(BRIEF, also=BOTH[::-1]), True),
        (AuditConfig(BRIEF, also=BOTH), AuditConfig(BRIEF, also=("resrec",)), False),
        (AuditConfig(BRIEF, also=BOTH), AuditConfig(QUICK), False),
        (AuditConfig(QUICK), AuditConfig(BRIEF), True),
        (AuditConfig(QUICK), AuditConfig(BRIEF, also=("reidentify",)), False),
        (
            AuditConfig(STANDARD),
            AuditConfig(BRIEF, also=(*BOTH, "from-images", "reidentify")),
            True,
        ),
        (AuditConfig(BRIEF, whole=False), AuditConfig(BRIEF), False),
        (AuditConfig(BRIEF), AuditConfig(BRIEF, whole=False), True),
    ],
)
def test_an_audit_is_done_if_it_did_all_that_is_asked(
    tmp_path: Path, done: AuditConfig, asked: AuditConfig, enough: bool
) -> None:
    audited(tmp_path, done)
    assert (finished(tmp_path, asked, Trial()) is not None) == enough


def test_an_audit_by_attacks_of_other_hyperparameters_is_not_done(tmp_path: Path) -> None:
    audited(tmp_path, AuditConfig(BRIEF))
    notes = tmp_path / "audit" / "notes.json"
    notes.write_text(notes.read_text().replace(digest(AuditConfig(BRIEF)), "another"))
    assert finished(tmp_path, AuditConfig(BRIEF), Trial()) is None


def test_notes_that_cannot_be_read_get_one_line(tmp_path: Path) -> None:
    audited(tmp_path, AuditConfig(BRIEF))
    notes = tmp_path / "audit" / "notes.json"
    for content in ("{", "[]", '{"suite": "briefs", "whole": true, "attacks": ""}', "{}"):
        notes.write_text(content)
        with pytest.raises(InputError, match="not readable; delete it and audit again"):
            finished(tmp_path, AuditConfig(BRIEF), Trial())


def test_an_order_joined_with_one_before_it_loses_nothing() -> None:
    before = AuditConfig(QUICK, whole=True, also=("urec1",))
    joined = AuditConfig(BRIEF, whole=False, also=("urec2",)).joined(before)
    assert joined == AuditConfig(QUICK, whole=True, also=("urec1", "urec2"))
    assert labels(joined.suite, *joined.also) >= labels(QUICK, "urec1", "urec2")
