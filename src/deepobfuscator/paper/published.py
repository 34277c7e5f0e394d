"""The paper's figures, by exhibit; every one of an adversary that its authors trained."""

from collections.abc import Mapping

from deepobfuscator.paper.keys import ACCURACY, IMAGE, MS_SSIM, PSNR, Measured, Set

TABLE_3 = {
    Measured.AR_IN_GAME: 0.3175,
    Measured.UREC_1: 0.3123,
    Measured.UREC_2: 0.3095,
    Measured.RESREC: 0.3169,
}
"""MS-SSIM."""

TABLE_4 = {
    Measured.DEEPOBFUSCATOR: {(IMAGE, MS_SSIM): 0.3175, (IMAGE, PSNR): 6.32},
    Measured.UNDEFENDED: {(IMAGE, MS_SSIM): 0.9458, (IMAGE, PSNR): 27.81},
    Measured.NOISE: {(IMAGE, MS_SSIM): 0.7263, (IMAGE, PSNR): 16.97},
}

FIGURE_2 = 0.937
"""Accuracy of gender, read from the pictures that a reconstruction-only defence leaves."""

FIGURE_5 = 0.28
"""Share of right answers of 40 people to 10 questions with four options."""

SMILE, GENDER = ("Smiling", ACCURACY), ("Male", ACCURACY)

FIGURE_7: Mapping[Set, Mapping[Measured, Mapping[tuple[str, str], float]]] = {
    Set.A: {
        Measured.DEEPOBFUSCATOR: {GENDER: 0.5885, SMILE: 0.9153},
        Measured.UNDEFENDED: {GENDER: 0.9736, SMILE: 0.9268},
        Measured.NOISE: {GENDER: 0.9015, SMILE: 0.8732},
    },
    Set.B: {Measured.DEEPOBFUSCATOR: {GENDER: 0.5979}},
    Set.C: {Measured.DEEPOBFUSCATOR: {GENDER: 0.6396}},
    Set.D: {Measured.DEEPOBFUSCATOR: {SMILE: 0.9085}},
}
"""Accuracies that section 4.5 gives in words, by set and row, then by CelebA's attribute. Smiling
without adversarial training and with noise follow from 91.53 % and the drops of 1.15 and 5.36
points."""
