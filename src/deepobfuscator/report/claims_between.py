"""Claims about what differs from one trial to another: noise, order, tasks, architectures."""

from deepobfuscator.records import IMAGE
from deepobfuscator.report.exhibit import Claim
from deepobfuscator.report.exhibit_page import FAILS, HOLDS, UNKNOWN
from deepobfuscator.report.judging import (
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
from deepobfuscator.report.published import DEEPOBFUSCATOR, NOISE

ALIKE = 0.05
"""Half the width of what counts as no difference, as a fraction."""


def forgets(held: Evidence) -> Claim | None:
    """The naive sequence."""
    alone = held.line("sequence", "Attributes alone", ACCURACY)
    after = held.line("sequence", "Attributes, then", ACCURACY)
    first = held.line("sequence", "Faces alone", MS_SSIM, IMAGE)
    later = held.line("sequence", "Faces, then", MS_SSIM, IMAGE)
    if None in (alone, after, first, later):
        return None
    assert alone is not None
    assert after is not None
    assert first is not None
    assert later is not None
    kept = [protected(alone) != FAILS, protected(first) != FAILS]
    verdict = UNKNOWN
    if all(kept):
        lost = [protected(after) == FAILS, protected(later) == FAILS]
        verdict = HOLDS if all(lost) else FAILS if not any(lost) else UNKNOWN
    return Claim(
        "Defending against one attack first and against the other afterwards forgets the first "
        "defence (section 4.2).",
        "no figure",
        f"attributes alone: {told(alone)}; then faces: {told(after)}; faces alone: {told(first)}; "
        f"then attributes: {told(later)}",
        verdict,
        because(
            verdict,
            "The first defence is still there after the second game.",
            "Each first defence is gone after the second game.",
            "To fresh attackers there is little to forget: the first game alone does not keep "
            "them out. What its own adversary reads before and after is the in-game figure.",
        ),
    )


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
    if leak[0] > 0 and cost[1] < 0:
        verdict = HOLDS
    elif leak[1] < 0 or cost[0] > 0:
        verdict = FAILS
    return Claim(
        "Noise on the picture protects private attributes less and costs the service more than "
        "the game (section 4.5).",
        "gender 90.15 % against 58.85 %; smile −5.36 against −1.15 points",
        f"{noise.row}: {told(noise)}, service {interval(other)}; game: {told(game)}, service "
        f"{interval(mine)}",
        verdict,
        because(
            verdict,
            "To fresh attackers the noisy pictures tell "
            + ("less" if leak[1] < 0 else "no less" if leak[0] > 0 else "neither more nor less")
            + " of the private attribute than the game's features do; the service pays "
            + ("more" if cost[1] < 0 else "less" if cost[0] > 0 else "about as much")
            + " for them.",
            "Noise leaves more to read, and the service pays more.",
            "Noise costs the service more, but to fresh attackers it does not leave more to read: "
            "the intervals do not tell the two apart."
            if cost[1] < 0
            else "The intervals do not tell the two apart.",
        ),
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
    plain = held.line("architectures", "C and AC", ACCURACY, panel="other games")
    others = [
        held.line("architectures", row, ACCURACY, panel="other games")
        for row in ("C a residual", "AC a residual")
    ]
    known = [x for x in others if x is not None]
    if plain is None or not known:
        return None
    shifts = [d for x in known if (d := difference(x, plain)) is not None]
    verdict = UNKNOWN
    if any(low > 0 or high < 0 for low, high in shifts):
        verdict = FAILS
    elif all(low >= -ALIKE and high <= ALIKE for low, high in shifts):
        verdict = HOLDS
    return Claim(
        "Other architectures for C and for AC do not differ significantly (section 3.3).",
        "no figure",
        "; ".join(f"{x.row}: {told(x)}" for x in (plain, *known)),
        verdict,
        because(
            verdict,
            "With another architecture in the game, what fresh attackers read differs by more "
            "than the intervals allow.",
            "What fresh attackers read differs by less than 5 points: no choice of architecture "
            "makes the game protect more, or less.",
            "No difference was found, and the intervals are too wide to rule out one of 5 points.",
        ),
    )
