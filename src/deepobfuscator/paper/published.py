"""The paper's figures, all measured with adversaries that its authors trained."""

from collections.abc import Mapping

from deepobfuscator.paper.keys import ACCURACY, IMAGE, MS_SSIM, PSNR, Measured, Name, Part, Set
from deepobfuscator.paper.render.exhibit import Row
from deepobfuscator.paper.trials import plain

FOUR_WAY = 0.28
"""Share of right answers of 40 people to 10 questions with four options (Figure 5)."""

NOISE_COST, NOISE_PSNR = 0.0536, 16.97
"""The service's loss under the noise baseline (section 4.5); its pictures' PSNR in dB (Table 4)."""

FACES, PEAK = (IMAGE, MS_SSIM), (IMAGE, PSNR)
SMILE, GENDER = ("Smiling", ACCURACY), ("Male", ACCURACY)

FIGURES: Mapping[tuple[Name, Set | Part, Measured], Mapping[tuple[str, str], float]] = {
    (Name.TABLE_3, Part.WHOLE, Measured.AR_IN_GAME): {FACES: 0.3175},
    (Name.TABLE_3, Part.WHOLE, Measured.UREC_1): {FACES: 0.3123},
    (Name.TABLE_3, Part.WHOLE, Measured.UREC_2): {FACES: 0.3095},
    (Name.TABLE_3, Part.WHOLE, Measured.RESREC): {FACES: 0.3169},
    (Name.TABLE_4, Part.WHOLE, Measured.DEEPOBFUSCATOR): {FACES: 0.3175, PEAK: 6.32},
    (Name.TABLE_4, Part.WHOLE, Measured.UNDEFENDED): {FACES: 0.9458, PEAK: 27.81},
    (Name.TABLE_4, Part.WHOLE, Measured.NOISE): {FACES: 0.7263, PEAK: 16.97},
    (Name.FIGURE_2, Part.WHOLE, Measured.READ_FROM_AR): {GENDER: 0.937},
    # Section 4.5 gives these in words. Smiling without adversarial training and with noise follow
    # from 91.53 % and the drops of 1.15 and 5.36 points.
    (Name.FIGURE_7, Set.A, Measured.DEEPOBFUSCATOR): {GENDER: 0.5885, SMILE: 0.9153},
    (Name.FIGURE_7, Set.A, Measured.UNDEFENDED): {GENDER: 0.9736, SMILE: 0.9268},
    (Name.FIGURE_7, Set.A, Measured.NOISE): {GENDER: 0.9015, SMILE: 0.8732},
    (Name.FIGURE_7, Set.B, Measured.DEEPOBFUSCATOR): {GENDER: 0.5979},
    (Name.FIGURE_7, Set.C, Measured.DEEPOBFUSCATOR): {GENDER: 0.6396},
    (Name.FIGURE_7, Set.D, Measured.DEEPOBFUSCATOR): {SMILE: 0.9085},
}
"""By exhibit, panel and row, then by subject (attributes by CelebA's names) and metric."""


MAJORITY: Mapping[str, float] = {
    "Smiling": 1 - 97_669 / 202_599,
    "High_Cheekbones": 1 - 92_189 / 202_599,
    "Male": 1 - 84_434 / 202_599,
    "Heavy_Makeup": 1 - 78_390 / 202_599,
}
"""Share of CelebA's pictures without the attribute, by ``list_attr_celeba.txt``: what a constant
answer is right in. The 58.85 % published for gender is half a point above it."""


def majority(row: Row) -> float | None:
    """Accuracy of a constant answer in the paper's data, for comparison with a published one."""
    if row.published is None or row.metric != ACCURACY:
        return None
    return {plain(name): share for name, share in MAJORITY.items()}.get(plain(row.subject))


def published(name: Name, row: Row) -> float | None:
    """The paper's figure for a row of an exhibit, whatever the data's spelling of its attribute."""
    told = FIGURES.get((name, row.panel.of, row.row.of), {})
    known = {(plain(subject), metric): value for (subject, metric), value in told.items()}
    return known.get((plain(row.subject), row.metric))
