"""Each claim's verdict, flipped by the lines it rests on."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from deepobfuscator.paper.claims import CLAIMS, claims
from deepobfuscator.paper.judging import Evidence, difference, protected, worst
from deepobfuscator.paper.published import DEEPOBFUSCATOR, NOISE, UNDEFENDED
from deepobfuscator.paper.render.exhibit import Claim, Curve, Exhibit, Line
from deepobfuscator.paper.render.exhibit_page import FAILS, HOLDS, UNKNOWN

FLOOR, CEILING = 0.60, 0.95
SAFE, HALFWAY, OPEN = 0.61, 0.64, 0.94
"""Fresh figures with the interval ±.02: at the floor, across the bound of .635, at the ceiling."""

VERDICTS = {SAFE: HOLDS, HALFWAY: UNKNOWN, OPEN: FAILS}


def attacked(row: str, fresh: float, panel: str = "", /, **more: object) -> Line:
    """Gender, read with an interval of two points to either side."""
    found = Line(panel, row, "Male", "accuracy", in_game=0.55, fresh=fresh, attacker="mlp")
    interval = {"low": fresh - 0.02, "high": fresh + 0.02}
    beside = {"majority": 0.58, "label_only": FLOOR, "ceiling": CEILING}
    return replace(found, **interval | beside | more)  # type: ignore[arg-type]


def face(row: str, fresh: float, /, **more: object) -> Line:
    return attacked(row, fresh, **{"subject": "image", "metric": "ms_ssim"} | more)


def service(row: str, fresh: float, panel: str = "(a)", wide: float = 0.004) -> Line:
    return Line(
        *(panel, row, "Smiling", "accuracy"),
        service=True,
        fresh=fresh,
        low=fresh - wide,
        high=fresh + wide,
    )


def judged(start: str, *exhibits: Exhibit) -> Claim | None:
    """The claim that begins with ``start``; None where the exhibits do not bear on it."""
    found = [claim for claim in claims(exhibits) if claim.claim.startswith(start)]
    assert len(found) <= 1
    return found[0] if found else None


def exhibit(name: str, *lines: Line, curves: Sequence[Curve] = ()) -> Exhibit:
    return Exhibit(name, name, "", lines, tuple(curves))


def verdict(start: str, *exhibits: Exhibit) -> str:
    claim = judged(start, *exhibits)
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
    assert protected(attacked("x", 0.5, low=low, high=high)) == expected


@pytest.mark.parametrize(
    "lacking", [{"ceiling": FLOOR}, {"ceiling": 0.5}, {"ceiling": None}, {"label_only": None}]
)
def test_without_a_leak_at_the_ceiling_nothing_is_told(lacking: dict[str, float | None]) -> None:
    assert protected(attacked("x", 0.3, **lacking)) == UNKNOWN
    assert protected(attacked("x", 0.99, **lacking)) == UNKNOWN


def test_nobody_measured_is_not_protected() -> None:
    assert protected(attacked("x", 0.6, fresh=None, low=None, high=None)) == UNKNOWN


def test_the_gravest_verdict_counts() -> None:
    assert worst([HOLDS, UNKNOWN, FAILS]) == FAILS
    assert worst([HOLDS, UNKNOWN]) == UNKNOWN
    assert worst([HOLDS, HOLDS]) == HOLDS


def test_a_difference_adds_its_errors_in_squares() -> None:
    one = attacked("x", 0.80, low=0.77, high=0.82)
    other = attacked("y", 0.70, low=0.65, high=0.74)
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
    lines = attacked(DEEPOBFUSCATOR, fresh, "(a) {Smiling | Male}")
    assert verdict("The accuracy of inferred", exhibit("figure7", lines)) == expected


def test_the_published_figure_in_the_game_is_no_protection() -> None:
    """What the paper measured comes out, and fresh attackers read it all the same."""
    line = attacked(DEEPOBFUSCATOR, CEILING, "(a)", published=0.5885, in_game=0.5885)
    claim = judged("The accuracy of inferred", exhibit("figure7", line))
    assert claim is not None
    assert claim.verdict == FAILS
    assert "95.0 (93.0–97.0) % by fresh attackers" in claim.measured
    assert "58.9 % in the game" in claim.measured or "58.8 % in the game" in claim.measured


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
    read = exhibit("figure7", attacked(DEEPOBFUSCATOR, gender, "(a)"))
    rebuilt = exhibit("table4", face(DEEPOBFUSCATOR, faces))
    assert verdict("DeepObfuscator defends", read, rebuilt) == expected
    assert judged("DeepObfuscator defends", read) is None
    assert judged("DeepObfuscator defends", rebuilt) is None


@pytest.mark.parametrize(
    ("gender", "faces", "expected"),
    [(OPEN, OPEN, HOLDS), (SAFE, OPEN, UNKNOWN), (OPEN, SAFE, UNKNOWN), (OPEN, HALFWAY, UNKNOWN)],
)
def test_one_defence_does_not_include_the_other(gender: float, faces: float, expected: str) -> None:
    lines = [
        attacked("Attributes alone", 0.7),
        face("Attributes alone", faces),
        attacked("Reconstruction alone", gender),
        face("Reconstruction alone", 0.7),
    ]
    assert verdict("Defending against one of the two", exhibit("figure2", *lines)) == expected
    assert judged("Defending against one of the two", exhibit("figure2", *lines[:2])) is None


@pytest.mark.parametrize(
    ("own", "urec", "expected"),
    [(SAFE, SAFE, HOLDS), (OPEN, SAFE, FAILS), (SAFE, OPEN, FAILS), (SAFE, HALFWAY, UNKNOWN)],
)
def test_every_reconstructor_counts(own: float, urec: float, expected: str) -> None:
    game = face("AR in the game", 0.3, fresh=None, low=None, high=None)
    table = exhibit("table3", game, face("Mirror", own), face("URec#1", urec))
    assert verdict("The obfuscator defends", table) == expected
    assert judged("The obfuscator defends", exhibit("table3", game)) is None


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
    lines = service(DEEPOBFUSCATOR, kept, wide=wide), service(UNDEFENDED, 0.90, wide=wide)
    assert verdict("The service loses", exhibit("figure7", *lines)) == expected
    assert judged("The service loses", exhibit("figure7", lines[0])) is None


@pytest.mark.parametrize(
    ("leak", "kept", "expected"),
    [
        (0.80, 0.80, HOLDS),
        (0.50, 0.80, FAILS),
        (0.80, 0.95, FAILS),
        (0.61, 0.80, UNKNOWN),
        (0.80, 0.90, UNKNOWN),
    ],
    ids=["worse in both", "leaks less", "costs less", "leaks alike", "costs alike"],
)
def test_noise_against_the_game(leak: float, kept: float, expected: str) -> None:
    noisy = f"{NOISE}, σ = 0.25"
    lines = [
        attacked(DEEPOBFUSCATOR, 0.60, "(a)"),
        service(DEEPOBFUSCATOR, 0.90),
        attacked(noisy, leak, "(a)"),
        service(noisy, kept),
    ]
    assert verdict("Noise on the picture", exhibit("figure7", *lines)) == expected
    assert judged("Noise on the picture", exhibit("figure7", *lines[:3])) is None


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
        *(attacked("Attributes alone", alone[0]), face("Attributes alone", 0.9)),
        *(attacked("Attributes, then faces", later[0]), face("Attributes, then faces", 0.9)),
        *(attacked("Faces alone", 0.9), face("Faces alone", alone[1])),
        *(attacked("Faces, then attributes", 0.9), face("Faces, then attributes", later[1])),
    ]
    assert verdict("Defending against one attack first", exhibit("sequence", *lines)) == expected
    some = exhibit("sequence", *lines[:6])
    assert judged("Defending against one attack first", some) is None


def on_sets(fresh: dict[str, float], of_service: bool = False) -> Exhibit:
    make = service if of_service else attacked
    return exhibit("figure7", *(make(DEEPOBFUSCATOR, v, f"({s}) {{…}}") for s, v in fresh.items()))


@pytest.mark.parametrize(
    ("fresh", "expected"),
    [
        ({"a": 0.60, "b": 0.62, "c": 0.70, "d": 0.60, "e": 0.61, "f": 0.70}, HOLDS),
        ({"a": 0.80, "b": 0.80, "c": 0.70, "d": 0.80, "e": 0.81, "f": 0.70}, FAILS),
        ({"a": 0.60, "b": 0.62, "c": 0.70, "d": 0.60, "e": 0.61, "f": 0.62}, UNKNOWN),
        ({"a": 0.60, "c": 0.70}, HOLDS),
    ],
    ids=["all rise", "all fall", "some", "two sets"],
)
def test_more_public_tasks(fresh: dict[str, float], expected: str) -> None:
    assert verdict("Performing more public tasks", on_sets(fresh)) == expected
    assert judged("Performing more public tasks", on_sets({"a": 0.6, "d": 0.6})) is None


@pytest.mark.parametrize(
    ("kept", "expected"),
    [
        ({"a": 0.92, "d": 0.90, "b": 0.92, "e": 0.90, "c": 0.92, "f": 0.90}, HOLDS),
        ({"a": 0.90, "d": 0.92, "b": 0.90, "e": 0.92, "c": 0.90, "f": 0.92}, FAILS),
        ({"a": 0.92, "d": 0.90, "b": 0.92, "e": 0.92, "c": 0.92, "f": 0.90}, UNKNOWN),
    ],
    ids=["all fall", "all rise", "some"],
)
def test_more_private_attributes(kept: dict[str, float], expected: str) -> None:
    found = on_sets(dict(sorted(kept.items())), of_service=True)
    assert verdict("Protecting more private", found) == expected
    assert judged("Protecting more private", on_sets({"a": 0.9}, of_service=True)) is None


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
        "C and AC as in Table 1": 0.90,
        "C a residual network": service_network,
        "AC a residual network": adversary,
    }
    lines = [
        attacked(row, v, "other games", low=v - wide, high=v + wide) for row, v in rows.items()
    ]
    served = [service(row, 0.9, "other games") for row in rows]
    assert verdict("Other architectures", exhibit("architectures", *lines, *served)) == expected
    served[1] = service("C a residual network", 0.6, "other games")
    assert verdict("Other architectures", exhibit("architectures", *lines, *served)) == FAILS
    assert judged("Other architectures", exhibit("architectures", *lines, *served[:2])) is None


# -- people and losses ----------------------------------------------------------------------------


def test_a_machine_that_knows_the_person_contradicts_the_study() -> None:
    def study(low: float, row: str = DEEPOBFUSCATOR, mode: str = "random") -> Exhibit:
        line = Line(f"{mode} options", f"{row}, face embedding", "identity", "four_way")
        return exhibit("figure5", replace(line, fresh=low + 0.1, low=low, high=low + 0.2))

    assert verdict("The person in a rebuilt picture", study(0.26)) == FAILS
    assert verdict("The person in a rebuilt picture", study(0.24)) == UNKNOWN
    assert judged("The person in a rebuilt picture", study(0.9, UNDEFENDED)) is None
    assert judged("The person in a rebuilt picture", study(0.9, mode="matched")) is None


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
        Curve("(a)", name, ((100, 0.9), (200, 0.02), *late(end)), 200) for name, end in ends.items()
    ]
    claim = judged("The adversaries' losses rise", exhibit("figure6", curves=found))
    assert claim is not None
    assert claim.verdict == expected
    assert "L(AC) .02 → " in claim.measured, "from where pre-training left it"
    one = exhibit("figure6", curves=found[:1])
    assert judged("The adversaries' losses rise", one) is None


# -- together -------------------------------------------------------------------------------------


def test_without_exhibits_there_are_no_claims() -> None:
    assert claims([]) == []
    held = Evidence({})
    assert [judge(held) for judge in CLAIMS] == [None] * len(CLAIMS)
    empty = [exhibit(name) for name in ("table3", "table4", "figure2", "figure5", "figure6")]
    assert claims([*empty, exhibit("figure7"), exhibit("sequence")]) == []
