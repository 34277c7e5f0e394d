"""Claims about what one defence keeps from attackers."""

from statistics import mean, stdev

from deepobfuscator.paper.judging import (
    FAILS,
    HOLDS,
    UNKNOWN,
    Evidence,
    Finding,
    because,
    protected,
    said,
    told,
    with_unit,
    worst,
)
from deepobfuscator.paper.keys import ACCURACY, MS_SSIM, Measured, Name, Part, Set
from deepobfuscator.paper.render.exhibit import Row
from deepobfuscator.paper.render.table import listed

NEAR = "within a tenth of the undefended leak above the floor"
"""What it takes to count as protected."""


def both_attacks(held: Evidence) -> Finding | None:
    """Contribution 1."""
    face = held.attacked(Name.TABLE_4, Measured.DEEPOBFUSCATOR, MS_SSIM)
    gender = held.attacked(Name.FIGURE_7, Measured.DEEPOBFUSCATOR, ACCURACY, Set.A)
    if face is None or gender is None:
        return None
    sides = {"the private attribute": protected(gender), "faces": protected(face)}
    verdict = worst(list(sides.values()))
    open_ = [name for name, v in sides.items() if v == FAILS]
    beaten = all(
        x.in_game is not None and x.low is not None and x.in_game < x.low for x in (gender, face)
    )
    return Finding(
        f"{told(gender)}; {told(face)}",
        verdict,
        because(
            verdict,
            f"Fresh attackers get {' and '.join(open_)} well above the floor."
            + (" The game's own adversaries do worse than they." if beaten else ""),
            f"Fresh attackers stay {NEAR}.",
            "Not every fresh attacker can be told from its floor.",
        ),
    )


def not_inclusive(held: Evidence) -> Finding | None:
    """Contribution 2."""
    rows = Measured.ATTRIBUTES_ALONE, Measured.RECONSTRUCTION_ALONE, Measured.BOTH
    faces = [held.attacked(Name.FIGURE_2, row, MS_SSIM) for row in rows]
    genders = [held.attacked(Name.FIGURE_2, row, ACCURACY) for row in rows]
    face, gender = faces[0], genders[1]
    read = held.attacked(Name.FIGURE_2, Measured.READ_FROM_AR, ACCURACY)
    if face is None or gender is None:
        return None
    crossed = [protected(face), protected(gender)]
    own = [x for x in (genders[0], faces[1], genders[2], faces[2]) if x is not None]
    verdict = UNKNOWN
    if all(v == FAILS for v in crossed):
        verdict = HOLDS
    elif all(v == HOLDS for v in crossed):
        verdict = FAILS
    seen = "" if read is None else f"; from AR's pictures {with_unit(read)}"
    also = ""
    if len(own) == 4 and all(protected(x) == FAILS for x in own):
        also = (
            " But each leaves its own attack open as well, and so does the game against both: to "
            "fresh attackers this is no argument for the game against both."
        )
    return Finding(
        f"attributes alone: {told(face)}; reconstruction alone: {told(gender)}{seen}",
        verdict,
        because(
            verdict,
            f"Under each one-sided game the other attack stays {NEAR}.",
            f"As said, each one-sided game leaves the other attack open.{also}",
            "A fresh attacker on the undefended side does not stand clearly above its floor.",
        ),
    )


def random_guessing(held: Evidence) -> Finding | None:
    """Contribution 3, attributes."""
    gender = held.attacked(Name.FIGURE_7, Measured.DEEPOBFUSCATOR, ACCURACY, Set.A)
    if gender is None:
        return None
    verdict = protected(gender)
    return Finding(
        f"{told(gender)}; undefended {said(ACCURACY, gender.ceiling)}",
        verdict,
        because(
            verdict,
            "An attacker trained afresh on the frozen encoder reads clearly more. The drop is that "
            "of an adversary which the encoder was trained to beat.",
            f"Fresh attackers stay {NEAR}.",
            "The interval of the fresh attacker reaches the floor and the leak alike.",
        ),
    )


def all_reconstructors(held: Evidence) -> Finding | None:
    """Table 3."""
    found = [x for x in held.rows(Name.TABLE_3) if x.fresh is not None]
    if not found:
        return None
    verdict = worst([protected(x) for x in found])
    better = listed([str(x.row) for x in found if protected(x) == FAILS])
    return Finding(
        "; ".join(told(x, str(x.row)) for x in found),
        verdict,
        because(
            verdict,
            f"Fitted afresh, {better} rebuild "
            "faces clearly better than the floor. The paper does not show the mirror, AR's own "
            "architecture, fitted afresh.",
            f"All stay {NEAR}.",
            "Not every fresh reconstructor can be told from the label-only floor.",
        ),
    )


def nobody_recognised(held: Evidence) -> Finding | None:
    """The study with people."""
    mine = [
        x
        for x in held.rows(Name.FIGURE_5)
        if x.row.of is Measured.DEEPOBFUSCATOR and x.fresh is not None
    ]
    asked = [x for x in mine if x.panel.of is Part.RANDOM]
    if not asked:
        return None
    above = [x for x in asked if x.low is not None and x.low > 1 / 4]
    verdict = FAILS if above else UNKNOWN
    return Finding(
        "; ".join(seen_by(x) for x in mine),
        verdict,
        because(
            verdict,
            "Asked as the paper asked, machines that see a fresh reconstruction find the very "
            "picture that was rebuilt, and most of that is in the background alone. Asked for "
            "another picture of the person, what counts is by how much the face embedding exceeds "
            "the background. The paper's people saw what the game's own AR rebuilt; people were "
            "not asked here.",
            "",
            "Machines do not do better than chance; people were not asked.",
        ),
    )


def losses_rise(held: Evidence) -> Finding | None:
    """Figure 6."""
    rose, parts = list[bool](), list[str]()
    for name, words in (("L_AC", "L(AC)"), ("L_AR1", "L(AR)")):
        ends = []
        for curve in (c for c in held.curves(Name.FIGURE_6) if c.name == name):
            before = [v for batch, v in curve.points if batch <= curve.game]
            after = [v for batch, v in curve.points if batch > curve.game]
            late = after[-max(1, len(after) // 4) :]
            if before and len(late) > 1:
                ends.append((before[-1], mean(late), stdev(late)))
        if not ends:
            return None
        rose += [last - first > spread for first, last, spread in ends]
        low, high = (sum(e[i] for e in ends) / len(ends) for i in (0, 1))
        parts.append(f"{words} {low:.2f} → {high:.2f}".replace(" 0.", " ."))
    verdict = HOLDS if all(rose) else FAILS if not any(rose) else UNKNOWN
    return Finding(
        f"{'; '.join(parts)}, from the game's start to its last quarter, mean over "
        f"{len(rose) // 2} sets",
        verdict,
        because(
            verdict,
            "The losses of the game's own adversaries do not rise by more than they waver.",
            "The game does beat its own adversaries. That is all these curves can say.",
            f"They rise by more than they waver in {sum(rose)} of {len(rose)} curves.",
        ),
    )


def seen_by(row: Row) -> str:
    """What one machine participant answers, in words."""
    text = f"{row.panel}: {with_unit(row)} by {row.attacker}"
    return text + ("" if row.in_game is None else f", {said(row.metric, row.in_game)} in the game")
