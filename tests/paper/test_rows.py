"""Lines and curves of exhibits, from runs whose records are made up."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deepobfuscator.core.records import Record
from deepobfuscator.paper.keys import Measured, Name, Panel, Reference, RowKey, Set
from deepobfuscator.paper.published import published
from deepobfuscator.paper.render.exhibit import Curve, Row
from deepobfuscator.paper.render.rows import make_curves, make_rows
from deepobfuscator.report.runs import RunResult

GAME, SET = RowKey(Measured.DEEPOBFUSCATOR), Panel(Set.A)


def record(attack: str, subject: str, metric: str, value: float, **more: Any) -> Record:
    fields: dict[str, Any] = {"low": value - 0.02, "high": value + 0.03, "split": "test"} | more
    return Record(
        *("key", "deepobfuscator", attack, subject, metric, value),
        *(fields.pop("low"), fields.pop("high"), None, 100, 50),
        seed=0,
        **fields,
    )


def records(shift: float = 0.0, best: str = "mlp") -> list[Record]:
    """One run: the service, two readers, ``best`` of them on validation, and reconstructors."""
    found = [
        record("service", "Smiling", "accuracy", 0.9 + shift),
        record("majority", "Smiling", "accuracy", 0.52),
        record("in-game", "Male", "accuracy", 0.55 + shift),
        record("majority", "Male", "accuracy", 0.6),
        record("label-only", "Male", "accuracy", 0.62),
        record("ceiling", "Male", "accuracy", 0.95),
        record("maximum", "Male", "accuracy", 0.99),
        record("mlp", "Male", "accuracy", 0.80 + shift),
        record("ac", "Male", "accuracy", 0.85 + shift),
        record("ac", "Male", "accuracy", 0.97, given="public labels"),
        record("in-game", "image", "ms_ssim", 0.2 + shift),
        record("mean-face", "image", "ms_ssim", 0.4),
        record("label-only", "image", "ms_ssim", 0.45),
        record("ceiling", "image", "ms_ssim", 0.9),
        record("mirror", "image", "ms_ssim", 0.88 + shift),
        record("urec1", "image", "ms_ssim", 0.7 + shift),
    ]
    chosen = {"mlp": 0.5, "ac": 0.5, best: 0.7}
    found += [
        record(attack, "Male", "balanced_accuracy", value, split="validation")
        for attack, value in chosen.items()
    ]
    return found + [
        record(attack, "image", "ms_ssim", value, split="validation")
        for attack, value in (("mirror", 0.9), ("urec1", 0.7))
    ]


def run(shift: float = 0.0, best: str = "mlp", folder: Path = Path("nowhere")) -> RunResult:
    trial = {
        "task": {"public": ["Smiling"], "private": ["Male"]},
        "defence": {"name": "deepobfuscator"},
        "setting": {"seed": 0},
    }
    return RunResult(folder, trial, {"key": "key"}, tuple(records(shift, best)))


def make_row(
    runs: list[RunResult],
    key: RowKey,
    figure: tuple[str, str],
    panel: Panel = Panel(),  # noqa: B008
    attack: str | None = None,
) -> Row | None:
    return next(iter(make_rows(runs, key, (figure,), panel, attack=attack)), None)


def test_an_attribute_shows_the_attacker_that_validation_chose() -> None:
    found = make_row([run()], GAME, ("Male", "accuracy"), SET)
    expected = Row(SET, GAME, "Male", "accuracy", in_game=0.55, fresh=0.80, attacker="mlp")
    expected = replace(expected, low=0.80 - 0.02, high=0.80 + 0.03)
    expected = replace(expected, majority=0.6, label_only=0.62, ceiling=0.95)
    assert found == expected, "not the highest on test, nor one who was given labels"


def test_the_service_is_no_attacker_and_has_no_ceiling() -> None:
    found = make_row([run()], GAME, ("Smiling", "accuracy"))
    assert found is not None
    assert found.service
    assert (found.fresh, found.majority) == (0.9, 0.52)
    assert (found.attacker, found.ceiling, found.in_game, found.label_only) == (
        "",
        None,
        None,
        None,
    )


def test_faces_stand_beside_the_mean_face() -> None:
    found = make_row([run()], GAME, ("image", "ms_ssim"))
    assert found is not None
    assert (found.majority, found.label_only, found.ceiling) == (0.4, 0.45, 0.9)
    assert (found.attacker, found.fresh, found.in_game) == ("mirror", 0.88, 0.2)


def test_two_seeds_give_their_mean_and_the_outermost_ends() -> None:
    found = make_row([run(), run(0.04, best="ac")], GAME, ("Male", "accuracy"))
    assert found is not None
    assert found.fresh == pytest.approx((0.80 + 0.89) / 2)
    assert found.low == pytest.approx(0.80 - 0.02)
    assert found.high == pytest.approx(0.89 + 0.03)
    assert found.in_game == pytest.approx(0.57)
    assert (found.attacker, found.ceiling, found.seeds) == ("mlp, ac", pytest.approx(0.95), 2)


def test_one_attacker_is_shown_without_the_games_own() -> None:
    found = make_row(
        [run()], RowKey(Measured.UREC_1), ("image", "ms_ssim"), Panel(), attack="urec1"
    )
    assert found is not None
    assert (found.attacker, found.fresh, found.in_game) == ("urec1", 0.7, None)
    assert make_row([run()], RowKey(Measured.RESREC), ("image", "ms_ssim"), attack="resrec") is None


def test_the_games_own_reconstructor_has_no_fresh_figure() -> None:
    found = make_row(
        [run()],
        RowKey(Measured.AR_IN_GAME),
        ("image", "ms_ssim"),
        Panel(),
        attack=Reference.IN_GAME,
    )
    assert found is not None
    assert (found.in_game, found.fresh, found.low, found.attacker) == (0.2, None, None, "")
    assert (found.label_only, found.ceiling) == (0.45, 0.9)


def test_where_nothing_was_measured_there_is_no_line() -> None:
    assert make_row([], GAME, ("Male", "accuracy")) is None
    wanted = [("Male", "accuracy"), ("Bald", "accuracy"), ("image", "ms_ssim")]
    assert [x.subject for x in make_rows([run()], GAME, wanted, SET)] == ["Male", "image"]


@pytest.mark.parametrize(
    ("name", "row", "figure"),
    [
        (Name.TABLE_4, Row(Panel(), GAME, "image", "ms_ssim"), 0.3175),
        (Name.TABLE_4, Row(Panel(), RowKey(Measured.NOISE, 0.4), "image", "psnr"), 16.97),
        (Name.TABLE_4, Row(Panel(), GAME, "image", "ssim"), None),
        (Name.FIGURE_4, Row(Panel(), GAME, "image", "ms_ssim"), None),
        (Name.FIGURE_7, Row(SET, GAME, "MALE", "accuracy"), 0.5885),
        (Name.FIGURE_7, Row(Panel(Set.B), GAME, "Male", "accuracy"), 0.5979),
        (Name.FIGURE_7, Row(Panel(Set.B), GAME, "Smiling", "accuracy"), None),
        (Name.FIGURE_7, Row(SET, GAME, "Bald", "accuracy"), None),
    ],
)
def test_the_published_figure_stands_beside_its_row(
    name: Name, row: Row, figure: float | None
) -> None:
    assert published(name, row) == figure


def test_curves_know_where_the_game_begins(tmp_path: Path) -> None:
    history = [
        {"phase": "pre-train O, C", "batch": 10, "losses": {"L_C": 0.6}},
        {"phase": "pre-train O, C", "batch": 20, "losses": {"L_C": 0.5}},
        {"phase": "pre-train O, C", "epoch": 1, "score": 0.3},
        {"phase": "pre-train AC, AR", "batch": 30, "losses": {"L_AC": 0.4}},
        {"phase": "algorithm 1", "batch": 40, "losses": {"L_C": 0.7, "L_AC": 0.9}},
        {"phase": "algorithm 1", "batch": 50, "losses": {"L_C": 0.8}},
    ]
    (tmp_path / "history.jsonl").write_text("".join(json.dumps(h) + "\n" for h in history))
    found = make_curves(run(folder=tmp_path), SET, ("L_AC", "L_C", "L_AR1"), "algorithm 1")
    assert found == [
        Curve(SET, "L_AC", ((30, 0.4), (40, 0.9)), 30),
        Curve(SET, "L_C", ((10, 0.6), (20, 0.5), (40, 0.7), (50, 0.8)), 30),
    ]
    assert make_curves(run(), SET, ("L_C",), "algorithm 1") == [], "no history was kept"
