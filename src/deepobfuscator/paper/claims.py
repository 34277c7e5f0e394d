"""The paper's claims: what each says, and what the exhibits say of it."""

from collections.abc import Callable, Mapping, Sequence

from deepobfuscator.paper import claims_between as between
from deepobfuscator.paper import claims_of_one as of_one
from deepobfuscator.paper.judging import Evidence, Finding
from deepobfuscator.paper.keys import ClaimKey
from deepobfuscator.paper.render.exhibit import Claim, Exhibit

SAID: Mapping[ClaimKey, tuple[str, str]] = {
    ClaimKey.BOTH_ATTACKS: (
        "DeepObfuscator defends against reconstruction and against private attribute leakage at "
        "once (contribution 1).",
        "MS-SSIM .9458 → .3175; gender 97.36 → 58.85 %",
    ),
    ClaimKey.NOT_INCLUSIVE: (
        "Defending against one of the two attacks does not defend against the other "
        "(contribution 2).",
        "gender 93.7 % from the pictures under the reconstruction-only defence",
    ),
    ClaimKey.RANDOM_GUESSING: (
        "The accuracy of inferred private attributes drops by around 30 points to random guessing "
        "(contribution 3).",
        "gender 97.36 → 58.85 %",
    ),
    ClaimKey.SERVICE_KEPT: (
        "The service loses only 2 points of accuracy (contribution 3).",
        "smile −1.15 points",
    ),
    ClaimKey.ALL_RECONSTRUCTORS: (
        "The obfuscator defends against reconstruction whatever reconstructor an attacker takes "
        "(section 4.4, Table 3).",
        "MS-SSIM .3095 to .3175 for four reconstructors",
    ),
    ClaimKey.NOBODY_RECOGNISED: (
        "The person in a rebuilt picture can hardly be re-identified (section 4.4, Figure 5).",
        "28 % of people's answers, chance 25 %",
    ),
    ClaimKey.NOISE_IS_WORSE: (
        "Noise on the picture protects private attributes less and costs the service more than "
        "the game (section 4.5).",
        "gender 90.15 % against 58.85 %; smile −5.36 against −1.15 points",
    ),
    ClaimKey.FORGETS: (
        "Defending against one attack first and against the other afterwards forgets the first "
        "defence (section 4.2).",
        "no figure",
    ),
    ClaimKey.LOSSES_RISE: (
        "The adversaries' losses rise through the game (section 4.5, Figure 6).",
        "L(AC), L(AR) from about .02 to .6",
    ),
    ClaimKey.MORE_TASKS: (
        "Performing more public tasks weakens the defence (section 4.5).",
        "gender 58.85 % (a), 59.79 % (b), 63.96 % (c); +1 point from (d, e) to (f)",
    ),
    ClaimKey.MORE_PRIVATE: (
        "Protecting more private attributes costs the service accuracy (section 4.5).",
        "smile 91.53 % (a) → 90.85 % (d)",
    ),
    ClaimKey.OTHER_ARCHITECTURES: (
        "Other architectures for C and for AC do not differ significantly (section 3.3).",
        "no figure",
    ),
}
"""What the paper says, and its figures."""

JUDGES: Mapping[ClaimKey, Callable[[Evidence], Finding | None]] = {
    ClaimKey.BOTH_ATTACKS: of_one.both_attacks,
    ClaimKey.NOT_INCLUSIVE: of_one.not_inclusive,
    ClaimKey.RANDOM_GUESSING: of_one.random_guessing,
    ClaimKey.SERVICE_KEPT: between.service_kept,
    ClaimKey.ALL_RECONSTRUCTORS: of_one.all_reconstructors,
    ClaimKey.NOBODY_RECOGNISED: of_one.nobody_recognised,
    ClaimKey.NOISE_IS_WORSE: between.noise_is_worse,
    ClaimKey.FORGETS: between.forgets,
    ClaimKey.LOSSES_RISE: of_one.losses_rise,
    ClaimKey.MORE_TASKS: between.more_tasks,
    ClaimKey.MORE_PRIVATE: between.more_private,
    ClaimKey.OTHER_ARCHITECTURES: between.other_architectures,
}
"""What becomes of each; None where the exhibits lack what it takes."""


def claims(exhibits: Sequence[Exhibit]) -> list[Claim]:
    """Every claim for which the exhibits hold what it takes, in the paper's order."""
    return judged(Evidence({exhibit.name: exhibit for exhibit in exhibits}))


def judged(held: Evidence) -> list[Claim]:
    """Every claim for which ``held`` is enough."""
    found = []
    for key, judge in JUDGES.items():
        if (finding := judge(held)) is not None:
            says, published = SAID[key]
            measured, verdict, why = finding
            found.append(Claim(says, published, measured, verdict, why, key=key))
    return found
