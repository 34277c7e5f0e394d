"""Claims about what differs from one trial to another: noise, order, tasks, architectures."""

from deepobfuscator.core.records import IMAGE
from deepobfuscator.paper.judging import (
    ACCURACY,
    MS_SSIM,
    Evidence,
    because,
    difference,
    interval,
    over_sets,
    protected,
    told,
)
from deepobfuscator.paper.published import DEEPOBFUSCATOR, NOISE
from deepobfuscator.paper.render.exhibit import Claim, Line
from deepobfuscator.paper.render.exhibit_page import FAILS, HOLDS, UNKNOWN

ALIKE = 0.05
"""Half the width of what counts as no difference, as a fraction."""

LOST, KEPT, UNDECIDED = "lost", "kept", "undecided"
NO_DEFENCE = "there was none to forget, for its game alone does not keep fresh attackers out"
"""What may become of a first defence."""


def forgets(held: Evidence) -> Claim | None:
    """The naive sequence."""
    alone = held.line("sequence", "Attributes alone", ACCURACY)
    after = held.line("sequence", "Attributes, then", ACCURACY)
    first = held.line("sequence", "Faces alone", MS_SSIM, IMAGE)
    later = held.line("sequence", "Faces, then", MS_SSIM, IMAGE)
    if alone is None or after is None or first is None or later is None:
        return None
    fates = [fate(alone, after), fate(first, later)]
    verdict = UNKNOWN
    if all(f == LOST for f in fates):
        verdict = HOLDS
    elif all(f == KEPT for f in fates):
        verdict = FAILS
    return Claim(
        "Defending against one attack first and against the other afterwards forgets the first "
        "defence (section 4.2).",
        "no figure",
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


def fate(first: Line, second: Line) -> str:
    """What became of one first defence."""
    if protected(first) != HOLDS:
        return NO_DEFENCE
    shift = difference(second, first)
    if shift is not None and shift.low > 0 and protected(second) == FAILS:
        return LOST
    return KEPT if protected(second) == HOLDS else UNDECIDED


def noise_is_worse(held: Evidence) -> Claim | None:
    """The noise baseline against the game."""
    game, noise = (
        held.line("figure7", row, ACCURACY, panel="(a)") for row in (DEEPOBFUSCATOR, NOISE)
    )
    mine, other = (held.service("figure7", row, "(a)") for row in (DEEPOBFUSCATOR, NOISE))
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
    return Claim(
        "Noise on the picture protects private attributes less and costs the service more than "
        "the game (section 4.5).",
        "gender 90.15 % against 58.85 %; smile −5.36 against −1.15 points",
        f"{noise.row}: {told(noise)}, service {interval(other)}; game: {told(game)}, service "
        f"{interval(mine)}",
        verdict,
        f"The noisy pictures tell fresh attackers {tells} of the private attribute than the game's "
        f"features do; the service pays {pays} for them. The deviation is this project's, for the "
        "paper gives none.",
    )


def more_tasks(held: Evidence) -> Claim | None:
    """Figure 7, a and b against c, d and e against f."""
    pairs = [("(a)", "(c)"), ("(b)", "(c)"), ("(d)", "(f)"), ("(e)", "(f)")]
    return over_sets(
        held,
        "Performing more public tasks weakens the defence (section 4.5).",
        "gender 58.85 % (a), 59.79 % (b), 63.96 % (c); +1 point from (d, e) to (f)",
        pairs,
        lambda panel: held.line("figure7", DEEPOBFUSCATOR, ACCURACY, panel=panel),
        rises=True,
        what="what fresh attackers read",
    )


def more_private(held: Evidence) -> Claim | None:
    """Figure 7, a to c against d to f."""
    return over_sets(
        held,
        "Protecting more private attributes costs the service accuracy (section 4.5).",
        "smile 91.53 % (a) → 90.85 % (d)",
        [("(a)", "(d)"), ("(b)", "(e)"), ("(c)", "(f)")],
        lambda panel: held.service("figure7", DEEPOBFUSCATOR, panel),
        rises=False,
        what="the service's accuracy",
    )


def other_architectures(held: Evidence) -> Claim | None:
    """Section 3.3."""
    panel, rows = "other games", ("C and AC", "C a residual", "AC a residual")
    read = [held.line("architectures", row, ACCURACY, panel=panel) for row in rows]
    served = [held.service("architectures", row, panel) for row in rows]
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
    return Claim(
        "Other architectures for C and for AC do not differ significantly (section 3.3).",
        "no figure",
        "; ".join(
            f"{x.row}: {told(x)}, service {interval(y)}"
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
