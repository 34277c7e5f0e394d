"""The paper's claims, and the verdict of the exhibits on each."""

import tomllib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import mean, stdev

from deepobfuscator import listed
from deepobfuscator.paper.judging import (
    FAILS,
    HOLDS,
    UNKNOWN,
    Evidence,
    Fate,
    Finding,
    LackingError,
    difference,
    fate,
    over_sets,
    points,
    present,
    protected,
    recognised,
    said,
    told,
    unanimous,
    with_unit,
    worst,
)
from deepobfuscator.paper.keys import (
    ACCURACY,
    MS_SSIM,
    ClaimKey,
    Measured,
    Name,
    Part,
    Participant,
    Set,
    Verdict,
)
from deepobfuscator.paper.render.exhibit import Claim, Exhibit
from deepobfuscator.paper.render.table import played

WORDS = tomllib.loads((Path(__file__).parent / "claims.toml").read_text("utf-8"))
"""What the paper says, its figures, and the reasons for each verdict, by claim."""

NEAR = "within a tenth of the undefended leak above the floor"
"""The criterion for "protected"."""

DROP = 0.02
"""The paper's criterion for utility: "drops by only 2%"."""
ALIKE = 0.05
"""Half the width of what counts as no difference, as a fraction."""


def claims(exhibits: Sequence[Exhibit]) -> list[Claim]:
    """Every claim for which the exhibits have the required figures, in the paper's order."""
    held = Evidence({exhibit.name: exhibit for exhibit in exhibits})
    found = []
    for key, judge in JUDGES.items():
        with suppress(LackingError):
            measured, verdict, more = judge(held)
            words = WORDS[key]
            found.append(
                Claim(
                    claim=words["says"],
                    published=words["published"],
                    measured=measured,
                    verdict=verdict,
                    why=(words.get(verdict.name.lower()) or words["why"]).format(near=NEAR, **more),
                    key=key,
                )
            )
    return found


def both_attacks(held: Evidence) -> Finding:
    """Contribution 1."""
    face, gender = present(
        held.attacked(Name.TABLE_4, Measured.DEEPOBFUSCATOR, MS_SSIM),
        held.attacked(Name.FIGURE_7, Measured.DEEPOBFUSCATOR, ACCURACY, Set.A),
    )
    sides = {"the private attribute": protected(gender), "faces": protected(face)}
    beaten = all(
        x.in_game is not None and x.low is not None and x.in_game < x.low for x in (gender, face)
    )
    words = {
        "open": " and ".join(name for name, verdict in sides.items() if verdict == FAILS),
        "beaten": " The training adversaries do worse." if beaten else "",
    }
    return Finding(f"{told(gender)}; {told(face)}", worst(sides.values()), words)


def not_inclusive(held: Evidence) -> Finding:
    """Contribution 2."""
    rows = Measured.ATTRIBUTES_ALONE, Measured.RECONSTRUCTION_ALONE, Measured.BOTH
    faces = [held.attacked(Name.FIGURE_2, row, MS_SSIM) for row in rows]
    genders = [held.attacked(Name.FIGURE_2, row, ACCURACY) for row in rows]
    face, gender = present(faces[0], genders[1])
    read = held.attacked(Name.FIGURE_2, Measured.READ_FROM_AR, ACCURACY)
    seen = "" if read is None else f"; from AR's reconstructions {with_unit(read)}"
    own = (genders[0], faces[1], genders[2], faces[2])
    also = ""
    if all(x is not None and protected(x) == FAILS for x in own):
        also = " But each leaves its own attack open too, and so does the defence against both."
    return Finding(
        f"attributes alone: {told(face)}; reconstruction alone: {told(gender)}{seen}",
        unanimous([protected(face), protected(gender)], holds=FAILS, fails=HOLDS),
        {"also": also},
    )


def random_guessing(held: Evidence) -> Finding:
    """Contribution 3, attributes."""
    (gender,) = present(held.attacked(Name.FIGURE_7, Measured.DEEPOBFUSCATOR, ACCURACY, Set.A))
    above = said(ACCURACY, gender.ceiling)
    return Finding(f"{told(gender)}; undefended {above}", protected(gender))


def service_kept(held: Evidence) -> Finding:
    """Contribution 3, utility."""
    one, other, short = present(
        held.service(Name.FIGURE_7, Measured.DEEPOBFUSCATOR, Set.A),
        held.service(Name.FIGURE_7, Measured.UNDEFENDED_LONGER, Set.A),
        held.service(Name.FIGURE_7, Measured.UNDEFENDED, Set.A),
    )
    (ends,) = present(difference(one, other))
    return Finding(
        f"{one.subject} {with_unit(one)} against {with_unit(other)} undefended with as many "
        f"updates of O: {points(ends)}; {with_unit(short)} undefended after pre-training alone",
        HOLDS if ends.low >= -DROP else FAILS if ends.high < -DROP else UNKNOWN,
    )


def all_reconstructors(held: Evidence) -> Finding:
    """Table 3."""
    found = {x: protected(x) for x in held.rows(Name.TABLE_3) if x.fresh is not None}
    if not found:
        raise LackingError
    better = listed([str(x.row) for x, verdict in found.items() if verdict == FAILS])
    measured = "; ".join(told(x, str(x.row)) for x in found)
    return Finding(measured, worst(found.values()), {"better": better})


def nobody_recognised(held: Evidence) -> Finding:
    """The study with people, on the paper's own pictures."""
    parts, verdicts = list[str](), list[Verdict]()
    for x in held.rows(Name.FIGURE_5):
        if x.row.of is Measured.DEEPOBFUSCATOR and x.panel.of is Part.RANDOM:
            if x.in_game_low is None or x.in_game_high is None:
                continue
            parts.append(f"{played(x)} % by {x.attacker}")
            verdicts.append(recognised(x.in_game_low, x.in_game_high))
    if not verdicts:
        raise LackingError
    return Finding("; ".join(parts), worst(verdicts))


def nobody_recognised_fresh(held: Evidence) -> Finding:
    """The study with people, on a newly trained attacker's reconstructions."""
    found = [x for x in held.rows(Name.FIGURE_5) if x.row.of is Measured.DEEPOBFUSCATOR]
    parts, verdicts, background = list[str](), list[Verdict](), ""
    for x in found:
        if x.fresh is None or x.low is None or x.high is None:
            continue
        parts.append(f"{x.panel}: {with_unit(x)} by {x.attacker}")
        if x.panel.of is Part.RANDOM:
            verdicts.append(recognised(x.low, x.high))
            if x.row.by is Participant.BACKGROUND and verdicts[-1] == FAILS:
                background = f" The background alone gives {with_unit(x)}."
    if not verdicts:
        raise LackingError
    return Finding("; ".join(parts), worst(verdicts), {"background": background})


def noise_is_worse(held: Evidence) -> Finding:
    """The noise baseline against the game, at every deviation."""
    curve = [x for x in held.rows(Name.NOISE) if x.panel.of is Part.TRADE_OFF]
    read, served = (
        {(x.row.of, x.row.sigma): x for x in curve if x.metric == ACCURACY and x.service is of}
        for of in (False, True)
    )
    key = Measured.DEEPOBFUSCATOR, None
    game, mine = present(read.pop(key, None), served.get(key))
    parts, signs = list[str](), dict[float, tuple[int, int]]()
    for (of, sigma), noise in read.items():
        if of is Measured.NOISE and sigma is not None:
            (kept,) = present(served.get((of, sigma)))
            leak, gain = present(difference(noise, game), difference(kept, mine))
            parts.append(f"σ = {sigma:g}: {with_unit(noise)}, service {with_unit(kept)}")
            signs[sigma] = leak.sign, gain.sign
    if not signs:
        raise LackingError
    worse = [leak >= 0 >= gain and leak > gain for leak, gain in signs.values()]
    better = [f"{s:g}" for s, (leak, gain) in signs.items() if leak <= 0 <= gain and leak < gain]
    return Finding(
        f"{game.subject} by new attackers; DeepObfuscator: {with_unit(game)}, service "
        f"{with_unit(mine)}; "
        f"noise: {'; '.join(parts)}",
        FAILS if better else HOLDS if all(worse) else UNKNOWN,
        {"at": listed(better)},
    )


def forgets(held: Evidence) -> Finding:
    """The naive sequence."""
    alone, after, first, later = present(
        held.attacked(Name.SEQUENCE, Measured.ATTRIBUTES_ALONE, ACCURACY),
        held.attacked(Name.SEQUENCE, Measured.ATTRIBUTES_THEN_FACES, ACCURACY),
        held.attacked(Name.SEQUENCE, Measured.FACES_ALONE, MS_SSIM),
        held.attacked(Name.SEQUENCE, Measured.FACES_THEN_ATTRIBUTES, MS_SSIM),
    )
    fates = [fate(alone, after), fate(first, later)]
    return Finding(
        f"attributes alone: {told(alone)}; then faces: {told(after)}; faces alone: {told(first)}; "
        f"then attributes: {told(later)}",
        unanimous(fates, holds=Fate.LOST, fails=Fate.KEPT),
        {"attributes": fates[0], "faces": fates[1]},
    )


def losses_rise(held: Evidence) -> Finding:
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
            raise LackingError
        rose += [last - first > spread for first, last, spread in ends]
        low, high = (sum(e[i] for e in ends) / len(ends) for i in (0, 1))
        parts.append(f"{words} {low:.2f} → {high:.2f}".replace(" 0.", " ."))
    return Finding(
        f"{'; '.join(parts)}, from the start of Algorithm 1 to its last quarter, mean over "
        f"{len(rose) // 2} sets",
        unanimous(rose, holds=True, fails=False),
        {"clear": sum(rose), "all": len(rose)},
    )


def more_tasks(held: Evidence) -> Finding:
    """Figure 7, a and b against c, d and e against f."""
    return over_sets(
        [(Set.A, Set.C), (Set.B, Set.C), (Set.D, Set.F), (Set.E, Set.F)],
        lambda of: held.attacked(Name.FIGURE_7, Measured.DEEPOBFUSCATOR, ACCURACY, of),
        rises=True,
        what="attackers' accuracy",
    )


def more_private(held: Evidence) -> Finding:
    """Figure 7, a to c against d to f."""
    return over_sets(
        [(Set.A, Set.D), (Set.B, Set.E), (Set.C, Set.F)],
        lambda of: held.service(Name.FIGURE_7, Measured.DEEPOBFUSCATOR, of),
        rises=False,
        what="the service's accuracy",
    )


def other_architectures(held: Evidence) -> Finding:
    """Section 3.3."""
    rows = Measured.PRINTED_CLASSIFIERS, Measured.RESIDUAL_C, Measured.RESIDUAL_AC
    read = present(*(held.attacked(Name.ARCHITECTURES, row, ACCURACY, Part.GAMES) for row in rows))
    served = present(*(held.service(Name.ARCHITECTURES, row, Part.GAMES) for row in rows))
    shifts = [difference(x, found[0]) for found in (read, served) for x in found[1:]]
    verdict = UNKNOWN
    if any(d is not None and d.sign for d in shifts):
        verdict = FAILS
    elif all(d is not None and d.low >= -ALIKE and d.high <= ALIKE for d in shifts):
        verdict = HOLDS
    both = zip(read, served, strict=True)
    measured = "; ".join(f"{x.row}: {told(x)}, service {with_unit(y)}" for x, y in both)
    return Finding(measured, verdict)


JUDGES: Mapping[ClaimKey, Callable[[Evidence], Finding]] = {
    ClaimKey.BOTH_ATTACKS: both_attacks,
    ClaimKey.NOT_INCLUSIVE: not_inclusive,
    ClaimKey.RANDOM_GUESSING: random_guessing,
    ClaimKey.SERVICE_KEPT: service_kept,
    ClaimKey.ALL_RECONSTRUCTORS: all_reconstructors,
    ClaimKey.NOBODY_RECOGNISED: nobody_recognised,
    ClaimKey.NOBODY_RECOGNISED_FRESH: nobody_recognised_fresh,
    ClaimKey.NOISE_IS_WORSE: noise_is_worse,
    ClaimKey.FORGETS: forgets,
    ClaimKey.LOSSES_RISE: losses_rise,
    ClaimKey.MORE_TASKS: more_tasks,
    ClaimKey.MORE_PRIVATE: more_private,
    ClaimKey.OTHER_ARCHITECTURES: other_architectures,
}
"""The verdict functions; `LackingError` if the exhibits lack a required figure."""
