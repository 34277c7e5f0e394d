"""Claims about what differs from one defence to another: noise, order, tasks, architectures."""

from enum import StrEnum

from deepobfuscator.paper.judging import (
    FAILS,
    HOLDS,
    UNKNOWN,
    Evidence,
    Finding,
    because,
    difference,
    over_sets,
    points,
    protected,
    told,
    with_unit,
)
from deepobfuscator.paper.keys import ACCURACY, MS_SSIM, Measured, Name, Part, Set
from deepobfuscator.paper.render.exhibit import Row

DROP = 0.02
"""What the paper calls keeping the service: "drops by only 2%"."""

ALIKE = 0.05
"""Half the width of what counts as no difference, as a fraction."""


class Fate(StrEnum):
    """What may become of a first defence, in words."""

    LOST = "lost"
    KEPT = "kept"
    UNDECIDED = "undecided"
    NO_DEFENCE = "there was none to forget, for its game alone does not keep fresh attackers out"


def service_kept(held: Evidence) -> Finding | None:
    """Contribution 3, utility."""
    one = held.service(Name.FIGURE_7, Measured.DEEPOBFUSCATOR, Set.A)
    other = held.service(Name.FIGURE_7, Measured.UNDEFENDED, Set.A)
    if one is None or other is None or (ends := difference(one, other)) is None:
        return None
    verdict = HOLDS if ends.low >= -DROP else FAILS if ends.high < -DROP else UNKNOWN
    why = because(
        verdict,
        "The service loses more than that.",
        "The loss, with its interval, stays within 2 points. C and O also train on through the "
        "game, which the undefended ones do not.",
        "The interval of the difference reaches to both sides of 2 points.",
    )
    text = f"{one.subject} {with_unit(one)} against {with_unit(other)} undefended: {points(ends)}"
    return Finding(text, verdict, why)


def forgets(held: Evidence) -> Finding | None:
    """The naive sequence."""
    alone = held.attacked(Name.SEQUENCE, Measured.ATTRIBUTES_ALONE, ACCURACY)
    after = held.attacked(Name.SEQUENCE, Measured.ATTRIBUTES_THEN_FACES, ACCURACY)
    first = held.attacked(Name.SEQUENCE, Measured.FACES_ALONE, MS_SSIM)
    later = held.attacked(Name.SEQUENCE, Measured.FACES_THEN_ATTRIBUTES, MS_SSIM)
    if alone is None or after is None or first is None or later is None:
        return None
    fates = [fate(alone, after), fate(first, later)]
    verdict = UNKNOWN
    if all(f is Fate.LOST for f in fates):
        verdict = HOLDS
    elif all(f is Fate.KEPT for f in fates):
        verdict = FAILS
    return Finding(
        f"attributes alone: {told(alone)}; then faces: {told(after)}; faces alone: {told(first)}; "
        f"then attributes: {told(later)}",
        verdict,
        because(
            verdict,
            "Each first defence is still there after the second game.",
            "Each first defence is gone after the second game.",
            f"Attributes first: {fates[0]}; faces first: {fates[1]}. Only a defence that keeps "
            "fresh attackers out can be forgotten; what the game's own adversary reads before and "
            "after is the in-game figure.",
        ),
    )


def fate(first: Row, second: Row) -> Fate:
    """What became of one first defence."""
    if protected(first) != HOLDS:
        return Fate.NO_DEFENCE
    shift = difference(second, first)
    if shift is not None and shift.low > 0 and protected(second) == FAILS:
        return Fate.LOST
    return Fate.KEPT if protected(second) == HOLDS else Fate.UNDECIDED


def noise_is_worse(held: Evidence) -> Finding | None:
    """The noise baseline against the game."""
    rows = Measured.DEEPOBFUSCATOR, Measured.NOISE
    game, noise = (held.attacked(Name.FIGURE_7, row, ACCURACY, Set.A) for row in rows)
    mine, other = (held.service(Name.FIGURE_7, row, Set.A) for row in rows)
    if game is None or noise is None or mine is None or other is None:
        return None
    leak, cost = difference(noise, game), difference(other, mine)
    if leak is None or cost is None:
        return None
    verdict = UNKNOWN
    if leak.low > 0 and cost.high < 0:
        verdict = HOLDS
    elif leak.high < 0 or cost.low > 0:
        verdict = FAILS
    tells = "less" if leak.high < 0 else "more" if leak.low > 0 else "not clearly more or less"
    pays = "more" if cost.high < 0 else "less" if cost.low > 0 else "not clearly more or less"
    return Finding(
        f"{noise.row}: {told(noise)}, service {with_unit(other)}; game: {told(game)}, service "
        f"{with_unit(mine)}",
        verdict,
        f"The noisy pictures tell fresh attackers {tells} of the private attribute than the game's "
        f"features do; the service pays {pays} for them. The deviation is this project's, for the "
        "paper gives none.",
    )


def more_tasks(held: Evidence) -> Finding | None:
    """Figure 7, a and b against c, d and e against f."""
    return over_sets(
        [(Set.A, Set.C), (Set.B, Set.C), (Set.D, Set.F), (Set.E, Set.F)],
        lambda of: held.attacked(Name.FIGURE_7, Measured.DEEPOBFUSCATOR, ACCURACY, of),
        rises=True,
        what="what fresh attackers read",
    )


def more_private(held: Evidence) -> Finding | None:
    """Figure 7, a to c against d to f."""
    return over_sets(
        [(Set.A, Set.D), (Set.B, Set.E), (Set.C, Set.F)],
        lambda of: held.service(Name.FIGURE_7, Measured.DEEPOBFUSCATOR, of),
        rises=False,
        what="the service's accuracy",
    )


def other_architectures(held: Evidence) -> Finding | None:
    """Section 3.3."""
    rows = Measured.PRINTED_CLASSIFIERS, Measured.RESIDUAL_C, Measured.RESIDUAL_AC
    read = [held.attacked(Name.ARCHITECTURES, row, ACCURACY, Part.GAMES) for row in rows]
    served = [held.service(Name.ARCHITECTURES, row, Part.GAMES) for row in rows]
    known = [x for x in (*read, *served) if x is not None]
    if len(known) < 2 * len(rows):
        return None
    pairs = [(known[1], known[0]), (known[2], known[0]), (known[4], known[3]), (known[5], known[3])]
    shifts = [d for one, other in pairs if (d := difference(one, other)) is not None]
    verdict = UNKNOWN
    if any(d.low > 0 or d.high < 0 for d in shifts):
        verdict = FAILS
    elif len(shifts) == len(pairs) and all(d.low >= -ALIKE and d.high <= ALIKE for d in shifts):
        verdict = HOLDS
    return Finding(
        "; ".join(
            f"{x.row}: {told(x)}, service {with_unit(y)}"
            for x, y in zip(known[:3], known[3:], strict=True)
        ),
        verdict,
        because(
            verdict,
            "With a residual network for C or for AC, what fresh attackers read or the service's "
            "accuracy differs by more than the intervals allow.",
            "With a residual network for C or for AC, what fresh attackers read and the service's "
            "accuracy differ by less than 5 points: neither makes the game protect more.",
            "No clear difference was found, and the intervals are too wide to rule out one of 5 "
            "points.",
        ),
    )
