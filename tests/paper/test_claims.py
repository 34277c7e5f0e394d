"""Each claim's verdict, flipped by the lines it rests on."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from deepobfuscator.paper.claims import JUDGES, claims
from deepobfuscator.paper.judging import (
    FAILS,
    HOLDS,
    UNKNOWN,
    Evidence,
    LackingError,
    difference,
    protected,
    worst,
)
from deepobfuscator.paper.keys import (
    ClaimKey,
    Measured,
    Name,
    Panel,
    Part,
    Participant,
    RowKey,
    Set,
    Verdict,
)
from deepobfuscator.paper.render.exhibit import Claim, Curve, Exhibit, Row
from deepobfuscator.paper.trade_off import crossing

DEEPOBFUSCATOR, UNDEFENDED, NOISE = (
    Measured.DEEPOBFUSCATOR,
    Measured.UNDEFENDED,
    Measured.NOISE,
)

FLOOR, CEILING = 0.60, 0.95
SAFE, HALFWAY, OPEN = 0.61, 0.64, 0.94
"""New attackers' figures, interval ±.02: at the floor, across the bound of .635, at the ceiling."""

VERDICTS = {SAFE: HOLDS, HALFWAY: UNKNOWN, OPEN: FAILS}


def attacked(row: Measured, fresh: float, panel: Set | Part = Part.WHOLE, /, **more: object) -> Row:
    """Gender, read with an interval of two points to either side."""
    found = Row(
        Panel(panel), RowKey(row), "Male", "accuracy", in_game=0.55, fresh=fresh, attacker="mlp"
    )
    interval = {"low": fresh - 0.02, "high": fresh + 0.02}
    beside = {"majority": 0.58, "label_only": FLOOR, "ceiling": CEILING}
    return replace(found, **interval | beside | more)  # type: ignore[arg-type]


def face(row: Measured, fresh: float, /, **more: object) -> Row:
    return attacked(row, fresh, **{"subject": "image", "metric": "ms_ssim"} | more)


def service(row: Measured, fresh: float, panel: Set | Part = Set.A, wide: float = 0.004) -> Row:
    return Row(
        Panel(panel),
        RowKey(row),
        "Smiling",
        "accuracy",
        service=True,
        fresh=fresh,
        low=fresh - wide,
        high=fresh + wide,
    )


def judged(key: ClaimKey, *exhibits: Exhibit) -> Claim | None:
    """One claim; None where the exhibits do not bear on it."""
    found = [claim for claim in claims(exhibits) if claim.key is key]
    assert len(found) <= 1
    return found[0] if found else None


def exhibit(name: Name, *rows: Row, curves: Sequence[Curve] = ()) -> Exhibit:
    return Exhibit(name, name, "", rows, tuple(curves))


def verdict(key: ClaimKey, *exhibits: Exhibit) -> Verdict:
    claim = judged(key, *exhibits)
    assert claim is not None
    assert claim.why
    assert claim.measured
    return claim.verdict


# -- the rules ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.58, 0.635, HOLDS),
        (0.58, 0.6351, UNKNOWN),
        (0.635, 0.70, UNKNOWN),
        (0.6351, 0.70, FAILS),
        (0.40, 0.50, HOLDS),
        (0.93, 0.97, FAILS),
    ],
)
def test_protection_is_measured_from_the_floor_to_the_ceiling(
    low: float, high: float, expected: str
) -> None:
    assert protected(attacked(DEEPOBFUSCATOR, 0.5, low=low, high=high)) == expected


@pytest.mark.parametrize(
    "lacking", [{"ceiling": FLOOR}, {"ceiling": 0.5}, {"ceiling": None}, {"label_only": None}]
)
def test_without_a_leak_at_the_ceiling_nothing_is_told(lacking: dict[str, float | None]) -> None:
    assert protected(attacked(DEEPOBFUSCATOR, 0.3, **lacking)) == UNKNOWN
    assert protected(attacked(DEEPOBFUSCATOR, 0.99, **lacking)) == UNKNOWN


def test_nobody_measured_is_not_protected() -> None:
    assert protected(attacked(DEEPOBFUSCATOR, 0.6, fresh=None, low=None, high=None)) == UNKNOWN


def test_the_gravest_verdict_counts() -> None:
    assert worst([HOLDS, UNKNOWN, FAILS]) == FAILS
    assert worst([HOLDS, UNKNOWN]) == UNKNOWN
    assert worst([HOLDS, HOLDS]) == HOLDS


def test_a_difference_adds_its_errors_in_squares() -> None:
    one = attacked(DEEPOBFUSCATOR, 0.80, low=0.77, high=0.82)
    other = attacked(UNDEFENDED, 0.70, low=0.65, high=0.74)
    found = difference(one, other)
    assert found is not None
    assert found[0] == pytest.approx(0.10 - 0.05), "3 down, 4 up: 5"
    assert found[1] == pytest.approx(0.10 + (0.02**2 + 0.05**2) ** 0.5)
    back = difference(other, one)
    assert back is not None
    assert back[:2] == pytest.approx((-found[1], -found[0]))
    assert difference(one, replace(other, low=None)) is None


# -- protection -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("fresh", "expected"), VERDICTS.items())
def test_random_guessing(fresh: float, expected: str) -> None:
    lines = attacked(DEEPOBFUSCATOR, fresh, Set.A)
    assert verdict(ClaimKey.RANDOM_GUESSING, exhibit(Name.FIGURE_7, lines)) == expected


def test_the_published_figure_in_the_game_is_no_protection() -> None:
    """The paper's figure is reproduced, and newly trained attackers still predict the attribute."""
    line = attacked(DEEPOBFUSCATOR, CEILING, Set.A, published=0.5885, in_game=0.5885)
    claim = judged(ClaimKey.RANDOM_GUESSING, exhibit(Name.FIGURE_7, line))
    assert claim is not None
    assert claim.verdict == FAILS
    assert "95.0 (93.0–97.0) % by new attackers" in claim.measured
    assert "58.9 % in training" in claim.measured or "58.8 % in training" in claim.measured


@pytest.mark.parametrize(
    ("gender", "faces", "expected"),
    [
        (SAFE, SAFE, HOLDS),
        (SAFE, OPEN, FAILS),
        (OPEN, SAFE, FAILS),
        (SAFE, HALFWAY, UNKNOWN),
        (HALFWAY, OPEN, FAILS),
    ],
)
def test_both_attacks_at_once(gender: float, faces: float, expected: str) -> None:
    read = exhibit(Name.FIGURE_7, attacked(DEEPOBFUSCATOR, gender, Set.A))
    rebuilt = exhibit(Name.TABLE_4, face(DEEPOBFUSCATOR, faces))
    assert verdict(ClaimKey.BOTH_ATTACKS, read, rebuilt) == expected
    assert judged(ClaimKey.BOTH_ATTACKS, read) is None
    assert judged(ClaimKey.BOTH_ATTACKS, rebuilt) is None


@pytest.mark.parametrize(
    ("gender", "faces", "expected"),
    [
        *((OPEN, OPEN, HOLDS), (SAFE, SAFE, FAILS), (SAFE, OPEN, UNKNOWN)),
        *((OPEN, SAFE, UNKNOWN), (OPEN, HALFWAY, UNKNOWN)),
    ],
)
def test_one_defence_does_not_include_the_other(gender: float, faces: float, expected: str) -> None:
    lines = [
        attacked(Measured.ATTRIBUTES_ALONE, 0.7),
        face(Measured.ATTRIBUTES_ALONE, faces),
        attacked(Measured.RECONSTRUCTION_ALONE, gender),
        face(Measured.RECONSTRUCTION_ALONE, 0.7),
    ]
    assert verdict(ClaimKey.NOT_INCLUSIVE, exhibit(Name.FIGURE_2, *lines)) == expected
    assert judged(ClaimKey.NOT_INCLUSIVE, exhibit(Name.FIGURE_2, *lines[:2])) is None


@pytest.mark.parametrize(
    ("own", "urec", "expected"),
    [(SAFE, SAFE, HOLDS), (OPEN, SAFE, FAILS), (SAFE, OPEN, FAILS), (SAFE, HALFWAY, UNKNOWN)],
)
def test_every_reconstructor_counts(own: float, urec: float, expected: str) -> None:
    game = face(Measured.AR_IN_GAME, 0.3, fresh=None, low=None, high=None)
    table = exhibit(Name.TABLE_3, game, face(Measured.MIRROR, own), face(Measured.UREC_1, urec))
    assert verdict(ClaimKey.ALL_RECONSTRUCTORS, table) == expected
    assert judged(ClaimKey.ALL_RECONSTRUCTORS, exhibit(Name.TABLE_3, game)) is None


# -- differences ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kept", "wide", "expected"),
    [
        (0.900, 0.004, HOLDS),
        (0.890, 0.004, HOLDS),
        (0.860, 0.004, FAILS),
        (0.880, 0.004, UNKNOWN),
        (0.890, 0.030, UNKNOWN),
    ],
)
def test_the_service_keeps_within_two_points(kept: float, wide: float, expected: str) -> None:
    long = service(Measured.UNDEFENDED_LONGER, 0.90, wide=wide)
    short = service(UNDEFENDED, 0.50, wide=wide)  # trained for a shorter time: shown, not judged by
    lines = service(DEEPOBFUSCATOR, kept, wide=wide), long, short
    assert verdict(ClaimKey.SERVICE_KEPT, exhibit(Name.FIGURE_7, *lines)) == expected
    for lacking in range(3):
        some = [x for i, x in enumerate(lines) if i != lacking]
        assert judged(ClaimKey.SERVICE_KEPT, exhibit(Name.FIGURE_7, *some)) is None


@pytest.mark.parametrize(
    ("noise", "expected"),
    [
        ({0.1: (0.80, 0.80), 0.4: (0.70, 0.70)}, HOLDS),
        ({0.1: (0.80, 0.90), 0.4: (0.60, 0.70)}, HOLDS),
        ({0.1: (0.80, 0.80), 0.4: (0.50, 0.90)}, FAILS),
        ({0.1: (0.60, 0.95), 0.4: (0.70, 0.70)}, FAILS),
        ({0.1: (0.80, 0.80), 0.4: (0.50, 0.70)}, UNKNOWN),
        ({0.1: (0.60, 0.90)}, UNKNOWN),
    ],
    ids=["worse in both", "worse in one", "leaks less", "costs less", "trade-off", "alike"],
)
def test_noise_against_the_game(noise: dict[float, tuple[float, float]], expected: str) -> None:
    lines = [
        attacked(DEEPOBFUSCATOR, 0.60, Part.TRADE_OFF),
        service(DEEPOBFUSCATOR, 0.90, Part.TRADE_OFF),
    ]
    for sigma, (leak, kept) in noise.items():
        found = attacked(NOISE, leak, Part.TRADE_OFF), service(NOISE, kept, Part.TRADE_OFF)
        lines += [replace(x, row=RowKey(NOISE, sigma)) for x in found]
    assert verdict(ClaimKey.NOISE_IS_WORSE, exhibit(Name.NOISE, *lines)) == expected
    assert judged(ClaimKey.NOISE_IS_WORSE, exhibit(Name.NOISE, *lines[:2])) is None
    assert judged(ClaimKey.NOISE_IS_WORSE, exhibit(Name.NOISE, *lines[2:])) is None


def test_the_published_loss_and_quality_are_found_on_the_curve() -> None:
    falling = {0.05: 0.90, 0.1: 0.86, 0.2: 0.80, None: 0.95}
    assert crossing(falling, 0.83) == pytest.approx(0.15)
    assert crossing(falling, 0.90) == pytest.approx(0.05)
    assert crossing(falling, 0.95) is None, "above the first point"
    assert crossing(falling, 0.5) is None


@pytest.mark.parametrize(
    ("alone", "later", "expected"),
    [
        ((SAFE, SAFE), (OPEN, OPEN), HOLDS),
        ((SAFE, SAFE), (SAFE, SAFE), FAILS),
        ((SAFE, SAFE), (OPEN, SAFE), UNKNOWN),
        ((OPEN, SAFE), (OPEN, OPEN), UNKNOWN),
    ],
    ids=["forgotten", "kept", "one of two", "nothing to forget"],
)
def test_the_sequence_forgets(
    alone: tuple[float, float], later: tuple[float, float], expected: str
) -> None:
    lines = [
        *(attacked(Measured.ATTRIBUTES_ALONE, alone[0]), face(Measured.ATTRIBUTES_ALONE, 0.9)),
        *(
            attacked(Measured.ATTRIBUTES_THEN_FACES, later[0]),
            face(Measured.ATTRIBUTES_THEN_FACES, 0.9),
        ),
        *(attacked(Measured.FACES_ALONE, 0.9), face(Measured.FACES_ALONE, alone[1])),
        *(
            attacked(Measured.FACES_THEN_ATTRIBUTES, 0.9),
            face(Measured.FACES_THEN_ATTRIBUTES, later[1]),
        ),
    ]
    assert verdict(ClaimKey.FORGETS, exhibit(Name.SEQUENCE, *lines)) == expected
    some = exhibit(Name.SEQUENCE, *lines[:6])
    assert judged(ClaimKey.FORGETS, some) is None


def on_sets(fresh: dict[str, float], of_service: bool = False) -> Exhibit:
    make = service if of_service else attacked
    return exhibit(
        Name.FIGURE_7, *(make(DEEPOBFUSCATOR, v, Set[s.upper()]) for s, v in fresh.items())
    )


@pytest.mark.parametrize(
    ("fresh", "expected"),
    [
        ({"a": 0.60, "b": 0.62, "c": 0.70, "d": 0.60, "e": 0.61, "f": 0.70}, HOLDS),
        ({"a": 0.80, "b": 0.80, "c": 0.70, "d": 0.80, "e": 0.81, "f": 0.70}, FAILS),
        ({"a": 0.60, "b": 0.62, "c": 0.70, "d": 0.60, "e": 0.61, "f": 0.61}, HOLDS),
        ({"a": 0.60, "b": 0.61, "c": 0.62, "d": 0.60, "e": 0.61, "f": 0.61}, UNKNOWN),
        ({"a": 0.60, "c": 0.70}, HOLDS),
    ],
    ids=["all rise", "all fall", "one half does, by much", "a little", "two sets"],
)
def test_more_public_tasks(fresh: dict[str, float], expected: str) -> None:
    assert verdict(ClaimKey.MORE_TASKS, on_sets(fresh)) == expected
    assert judged(ClaimKey.MORE_TASKS, on_sets({"a": 0.6, "d": 0.6})) is None


@pytest.mark.parametrize(
    ("kept", "expected"),
    [
        ({"a": 0.92, "d": 0.90, "b": 0.92, "e": 0.90, "c": 0.92, "f": 0.90}, HOLDS),
        ({"a": 0.90, "d": 0.92, "b": 0.90, "e": 0.92, "c": 0.90, "f": 0.92}, FAILS),
        ({"a": 0.92, "d": 0.90, "b": 0.90, "e": 0.92, "c": 0.92, "f": 0.919}, UNKNOWN),
    ],
    ids=["all fall", "all rise", "one falls, one rises"],
)
def test_more_private_attributes(kept: dict[str, float], expected: str) -> None:
    found = on_sets(dict(sorted(kept.items())), of_service=True)
    assert verdict(ClaimKey.MORE_PRIVATE, found) == expected
    assert judged(ClaimKey.MORE_PRIVATE, on_sets({"a": 0.9}, of_service=True)) is None


def test_pairs_of_sets_are_pooled_with_a_set_that_stands_in_two_counted_as_one_figure() -> None:
    claim = judged(ClaimKey.MORE_TASKS, on_sets({"a": 0.60, "b": 0.64, "c": 0.65}))
    assert claim is not None
    # (c - a + c - b) / 2 = +3; c moves both pairs: .02² (1 + 1/4 + 1/4), not .02² / 2 · 2
    wide = 100 * 0.02 * 1.5**0.5
    expected = f"+3.0 points ({3 - wide:+.1f} to {3 + wide:+.1f})"
    assert f"mean over the pairs of sets {expected}" in claim.measured
    apart = "(a) → (c): +5.0 points (+2.2 to +7.8); (b) → (c): +1.0 points (−1.8 to +3.8)"
    assert apart in claim.measured


@pytest.mark.parametrize(
    ("service_network", "adversary", "wide", "expected"),
    [
        (0.90, 0.90, 0.01, HOLDS),
        (0.90, 0.80, 0.01, FAILS),
        (1.00, 0.90, 0.01, FAILS),
        (0.90, 0.90, 0.05, UNKNOWN),
    ],
)
def test_other_architectures(
    service_network: float, adversary: float, wide: float, expected: str
) -> None:
    rows = {
        Measured.PRINTED_CLASSIFIERS: 0.90,
        Measured.RESIDUAL_C: service_network,
        Measured.RESIDUAL_AC: adversary,
    }
    lines = [attacked(row, v, Part.GAMES, low=v - wide, high=v + wide) for row, v in rows.items()]
    served = [service(row, 0.9, Part.GAMES) for row in rows]
    assert (
        verdict(ClaimKey.OTHER_ARCHITECTURES, exhibit(Name.ARCHITECTURES, *lines, *served))
        == expected
    )
    served[1] = service(Measured.RESIDUAL_C, 0.6, Part.GAMES)
    assert (
        verdict(ClaimKey.OTHER_ARCHITECTURES, exhibit(Name.ARCHITECTURES, *lines, *served)) == FAILS
    )
    assert (
        judged(ClaimKey.OTHER_ARCHITECTURES, exhibit(Name.ARCHITECTURES, *lines, *served[:2]))
        is None
    )


# -- people and losses ----------------------------------------------------------------------------


def study(
    middle: float,
    of: Measured = DEEPOBFUSCATOR,
    part: Part = Part.RANDOM,
    by: Participant = Participant.EMBEDDING,
) -> Exhibit:
    """Answers whose interval is three points to either side, ``fresh`` and in the game alike."""
    low, high = middle - 0.03, middle + 0.03
    row = Row(Panel(part), RowKey(of, by=by), "identity", "four_way", fresh=middle, attacker=by)
    row = replace(row, low=low, high=high, in_game=middle, in_game_low=low, in_game_high=high)
    return exhibit(Name.FIGURE_5, row)


@pytest.mark.parametrize(
    "key", [ClaimKey.NOBODY_RECOGNISED, ClaimKey.NOBODY_RECOGNISED_FRESH], ids=["game", "fresh"]
)
@pytest.mark.parametrize(
    ("middle", "expected"),
    [(0.25, HOLDS), (0.28, HOLDS), (0.32, UNKNOWN), (0.36, FAILS)],
    ids=["chance", "the published figure", "across the bound", "recognised"],
)
def test_the_study_has_a_verdict_on_either_picture(
    key: ClaimKey, middle: float, expected: str
) -> None:
    assert verdict(key, study(middle)) == expected
    assert judged(key, study(middle, UNDEFENDED)) is None
    assert judged(key, study(middle, part=Part.MATCHED)) is None


def test_the_papers_pictures_and_fresh_ones_are_judged_apart() -> None:
    (row,) = study(0.25).rows
    mixed = exhibit(Name.FIGURE_5, replace(row, fresh=0.99, low=0.97, high=1.0))
    assert verdict(ClaimKey.NOBODY_RECOGNISED, mixed) == HOLDS
    assert verdict(ClaimKey.NOBODY_RECOGNISED_FRESH, mixed) == FAILS
    lacking = exhibit(Name.FIGURE_5, replace(row, in_game=None, in_game_low=None))
    assert judged(ClaimKey.NOBODY_RECOGNISED, lacking) is None


def test_the_background_is_named_only_where_it_gives_the_picture_away() -> None:
    known = study(0.9).rows[0]
    for middle, told in ((0.8, True), (0.25, False)):
        behind = study(middle, by=Participant.BACKGROUND).rows[0]
        claim = judged(ClaimKey.NOBODY_RECOGNISED_FRESH, exhibit(Name.FIGURE_5, known, behind))
        assert claim is not None
        assert claim.verdict == FAILS
        assert ("background alone gives" in claim.why) is told


def late(end: float) -> tuple[tuple[float, float], ...]:
    """Points of a game that wavers by .01 about ``end``."""
    return tuple((300.0 + i, end + 0.01 * (-1) ** i) for i in range(8))


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ({"L_AC": 0.6, "L_AR1": 0.7}, HOLDS),
        ({"L_AC": 0.025, "L_AR1": 0.025}, FAILS),
        ({"L_AC": 0.01, "L_AR1": 0.01}, FAILS),
        ({"L_AC": 0.6, "L_AR1": 0.01}, UNKNOWN),
    ],
)
def test_the_losses_rise_from_the_start_of_the_game(ends: dict[str, float], expected: str) -> None:
    found = [
        Curve(Panel(Set.A), name, ((100, 0.9), (200, 0.02), *late(end)), 200)
        for name, end in ends.items()
    ]
    claim = judged(ClaimKey.LOSSES_RISE, exhibit(Name.FIGURE_6, curves=found))
    assert claim is not None
    assert claim.verdict == expected
    assert "L(AC) .02 → " in claim.measured, "from where pre-training left it"
    one = exhibit(Name.FIGURE_6, curves=found[:1])
    assert judged(ClaimKey.LOSSES_RISE, one) is None


# -- together -------------------------------------------------------------------------------------


def test_without_exhibits_there_are_no_claims() -> None:
    assert claims([]) == []
    assert list(JUDGES) == list(ClaimKey)
    for judge in JUDGES.values():
        with pytest.raises(LackingError):
            judge(Evidence({}))
    empty = [
        exhibit(name)
        for name in (Name.TABLE_3, Name.TABLE_4, Name.FIGURE_2, Name.FIGURE_5, Name.FIGURE_6)
    ]
    assert claims([*empty, exhibit(Name.FIGURE_7), exhibit(Name.SEQUENCE)]) == []
