"""The paper's claims, and what the exhibits say of each."""

from collections.abc import Callable, Mapping, Sequence

from deepobfuscator.paper import claims_between as between
from deepobfuscator.paper import claims_of_one as of_one
from deepobfuscator.paper.judging import Evidence, Finding
from deepobfuscator.paper.keys import ClaimKey
from deepobfuscator.paper.render.exhibit import Claim, Exhibit

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
            says, published = key.value
            measured, verdict, why = finding
            found.append(Claim(says, published, measured, verdict, why, key=key))
    return found
