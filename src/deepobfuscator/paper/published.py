"""The paper's figures, by exhibit; every one of an adversary that its authors trained."""

from deepobfuscator.core.records import IMAGE

DEEPOBFUSCATOR, UNDEFENDED, NOISE = "DeepObfuscator", "No adversarial training", "Noise"

TABLE_3 = {"AR in the game": 0.3175, "URec#1": 0.3123, "URec#2": 0.3095, "ResRec": 0.3169}
"""MS-SSIM."""

TABLE_4 = {
    DEEPOBFUSCATOR: {(IMAGE, "ms_ssim"): 0.3175, (IMAGE, "psnr"): 6.32},
    UNDEFENDED: {(IMAGE, "ms_ssim"): 0.9458, (IMAGE, "psnr"): 27.81},
    NOISE: {(IMAGE, "ms_ssim"): 0.7263, (IMAGE, "psnr"): 16.97},
}

FIGURE_2 = 0.937
"""Accuracy of gender, read from the pictures that a reconstruction-only defence leaves."""

FIGURE_5 = 0.28
"""Share of right answers of 40 people to 10 questions with four options."""

FIGURE_7: dict[tuple[str, str], dict[str, float]] = {
    ("a", DEEPOBFUSCATOR): {"gender": 0.5885, "smile": 0.9153},
    ("a", UNDEFENDED): {"gender": 0.9736, "smile": 0.9268},
    ("a", NOISE): {"gender": 0.9015, "smile": 0.8732},
    ("b", DEEPOBFUSCATOR): {"gender": 0.5979},
    ("c", DEEPOBFUSCATOR): {"gender": 0.6396},
    ("d", DEEPOBFUSCATOR): {"smile": 0.9085},
}
"""Accuracies that section 4.5 gives in words, by set, row and role. Smiling without adversarial
training and with noise follow from 91.53 % and the drops of 1.15 and 5.36 points."""
