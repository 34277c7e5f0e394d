"""A reproduction that was never run: figures a real one could give, pictures from arithmetic."""

from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from deepobfuscator.paper.render.exhibit import Claim, Column, Curve, Exhibit, Row
from deepobfuscator.paper.render.page import FAILS, HOLDS, UNKNOWN, Meta
from deepobfuscator.report.tables import Table

SETS = (
    ("(a) {Smiling | Male}", ("Smiling",), ("Male",)),
    ("(b) {High_Cheekbones | Male}", ("High_Cheekbones",), ("Male",)),
    ("(c) {Smiling, High_Cheekbones | Male}", ("Smiling", "High_Cheekbones"), ("Male",)),
    ("(d) {Smiling | Male, Heavy_Makeup}", ("Smiling",), ("Male", "Heavy_Makeup")),
    (
        "(e) {High_Cheekbones | Male, Heavy_Makeup}",
        ("High_Cheekbones",),
        ("Male", "Heavy_Makeup"),
    ),
    (
        "(f) {Smiling, High_Cheekbones | Male, Heavy_Makeup}",
        ("Smiling", "High_Cheekbones"),
        ("Male", "Heavy_Makeup"),
    ),
)
DEFENCES = (
    ("DeepObfuscator", 0.5885, 0.5312, 0.8437),
    ("without adversarial training", 0.9736, 0.9571, 0.9655),
    ("noise on the picture", 0.9015, None, 0.8764),
)


def discs(people: int, blur: float, seed: int) -> NDArray[np.uint8]:
    """(people, 54, 44, 3) coloured discs."""
    down, across = np.mgrid[:54, :44]
    pictures = []
    for i in range(people):
        far = np.hypot(down - 26 - i, across - 22 + 2 * i)
        light = 1 / (1 + np.exp((far - 14 - i) / blur))
        tint = np.array([0.9 - 0.1 * i, 0.6, 0.35 + 0.12 * ((i + seed) % 4)])
        pictures.append(light[..., None] * tint + 0.1)
    return np.asarray(np.clip(255 * np.stack(pictures), 0, 255), np.uint8)


def table3() -> Exhibit:
    rows = (
        ("AR in DeepObfuscator", 0.3175, 0.1214, 0.4127),
        ("URec#1", 0.3123, None, 0.4302),
        ("URec#2", 0.3095, None, 0.4251),
        ("ResRec", 0.3169, None, None),
    )
    lines = tuple(
        Row(
            panel="",
            row=row,
            subject="image",
            metric="ms_ssim",
            published=published,
            in_game=in_game,
            fresh=fresh,
            low=fresh and fresh - 0.0113,
            high=fresh and fresh + 0.0117,
            attacker=row if fresh else "",
            majority=0.2331,
            label_only=0.2813,
            ceiling=0.9312,
        )
        for row, published, in_game, fresh in rows
    )
    return Exhibit(
        "table3",
        "Table 3: other reconstructors",
        "MS-SSIM of faces rebuilt by four architectures from the features of one encoder.",
        lines,
        missing=("ResRec was not fitted: its two 18-block runs did not end in the time given.",),
        notes=("MS-SSIM with five scales; the paper's is of 40,000 test pictures.",),
    )


def table4() -> Exhibit:
    rows = (
        ("DeepObfuscator", 0.3175, 6.32, 0.4127, 15.62),
        ("without adversarial training", 0.9458, 27.81, 0.9312, 28.93),
        ("noise on the picture (σ = 0.4)", 0.7263, 16.97, 0.6611, 19.42),
    )
    lines = [
        Row("", row, "image", "ms_ssim", published=p, fresh=f, low=f - 0.012, high=f + 0.013,
             in_game=0.1214 if i == 0 else None, attacker="URec#1", majority=0.2331,
             label_only=0.2813, ceiling=0.9312, seeds=3)
        for i, (row, p, _, f, _) in enumerate(rows)
    ]  # fmt: skip
    lines += [
        Row("", row, "image", "psnr", published=p, fresh=f, low=f - 0.31, high=f + 0.29,
             attacker="URec#1", majority=12.91, label_only=13.74, ceiling=28.93, seeds=3)
        for row, _, p, _, f in rows
    ]  # fmt: skip
    return Exhibit(
        "table4",
        "Table 4: DeepObfuscator and two baselines",
        "How near the strongest reconstructor comes to the raw picture under three defences.",
        tuple(lines),
    )


def figure4() -> Exhibit:
    columns = (
        Column("raw", "what the device sees", discs(4, 0.8, 0)),
        Column("DeepObfuscator", "URec#1 · MS-SSIM .413", discs(4, 9, 1)),
        Column("without adversarial training", "URec#1 · MS-SSIM .931", discs(4, 1.2, 2)),
        Column("noise on the picture", "mirror · MS-SSIM .661", discs(4, 3, 3)),
    )
    return Exhibit(
        "figure4",
        "Figure 4: rebuilt faces",
        "Test pictures and what the strongest reconstructor makes of them.",
        table4().rows[:3],
        faces=columns,
    )


def figure6() -> Exhibit:
    curves = []
    for i, (panel, _, _) in enumerate(SETS):
        batches = np.arange(20, 3001, 20)
        for name, before, after in (
            ("L_C", 0.30, 0.34),
            ("L_AC", 0.08, 0.66),
            ("L_AR1", 0.06, 0.58),
            ("L_AR2", 0.95, 0.44),
        ):
            share = np.clip((batches - 900) / 900, 0, 1)
            base = before + (0.7 - before) * np.exp(-batches / 150)
            wave = 0.03 * np.sin(batches / 37 + i) * np.cos(batches / 11)
            loss = base * (1 - share) + after * share + wave
            if name == "L_AC":
                loss[60] = 7.5
            points = tuple((float(b), float(v)) for b, v in zip(batches, loss, strict=True))
            curves.append(Curve(panel, name, points, 900.0))
    return Exhibit(
        "figure6",
        "Figure 6: training losses",
        "Mean loss of every 20 batches; L(AR1) is the paper's L(AR).",
        curves=tuple(curves),
    )


def figure7() -> Exhibit:
    lines = []
    for i, (panel, public, private) in enumerate(SETS):
        for name in public:
            for j, (defence, *_) in enumerate(DEFENCES):
                kept = (0.891, 0.903, 0.852)[j] - 0.004 * i
                published = (0.9153, 0.9268, 0.8732)[j] if i == 0 else None
                lines.append(
                    Row(panel, defence, name, "accuracy", published, None, True, None, None, None,
                         kept, kept - 0.011, kept + 0.011, "", 0.518, None, 0.903)
                )  # fmt: skip
        for name in private:
            for defence, published, in_game, fresh in DEFENCES:
                lines.append(
                    Row(panel, defence, name, "accuracy", published if i < 3 else None, None, False,
                         in_game, None, None, fresh - 0.01 * i, fresh - 0.01 * i - 0.014,
                         fresh - 0.01 * i + 0.014, "boosted trees", 0.581, 0.609, 0.9655)
                )  # fmt: skip
    return Exhibit(
        "figure7",
        "Figure 7: accuracy on six sets of attributes",
        "What the service and its attackers read from the features under three defences.",
        tuple(lines),
        notes=("The paper prints figures of (a) to (c) only; those of (d) to (f) are bars.",),
    )


def table1() -> Exhibit:
    paper = Table(
        ("Obfuscator", "Adversary reconstructor", "Classifier & adversary classifier"),
        (("conv3-64\nconv3-64\nmaxpool", "[deconv3-128] × 2", "100 % of 3×conv3-256"),),
    )
    ours = Table(("Layer", "Shape"), (("conv1_1", "64 × 176 × 216"), ("*pool", "64 × 88 × 108")))
    return Exhibit(
        "table1",
        "Table 1: architectures",
        "The layers as printed & as built.",
        tables=(("As printed", paper), ("As built", ours)),
    )


def figure5() -> Exhibit:
    return Exhibit(
        "figure5",
        "Figure 5: the survey",
        "Whether people recognise a rebuilt face among four.",
        missing=("Nobody was asked: `deepobfuscator survey` makes the questions.",),
    )


EXHIBITS = (table1(), table3(), table4(), figure4(), figure5(), figure6(), figure7())

CLAIMS = (
    Claim(
        "Faces cannot be rebuilt from the features",
        "MS-SSIM .318",
        "MS-SSIM .413 (.401–.424), labels alone .281",
        FAILS,
        "The strongest fresh reconstructor stands clearly above what the public labels give.",
    ),
    Claim(
        "The service loses about 2 points",
        "−1.2 points on Smiling",
        "−1.2 points (−2.3 to −.1)",
        HOLDS,
        "The whole interval lies above −3 points.",
    ),
    Claim(
        "Gender is hidden to the level of a random guess",
        "58.9 % in the game",
        "84.4 % (83.0–85.8) by boosted trees; 53.1 % in the game",
        FAILS,
        "The game's own adversary was beaten; an attacker trained afresh was not.",
    ),
    Claim(
        "More public tasks weaken the defence",
        "58.9 → 64.0 %",
        "84.4 → 82.4 %",
        UNKNOWN,
        "The intervals overlap; three seeds cannot tell a difference so small.",
    ),
)

META = Meta(
    title="Reproduction of DeepObfuscator",
    data="20,000 CelebA pictures of 6,348 people, 15,000 of them for training.",
    reductions=(
        "Training sees 15,000 pictures, the paper's 160,000.",
        "Pictures are 108 × 88 pixels, the paper's 218 × 178.",
        "Algorithm 1 runs for 2,000 batches.",
    ),
    seeds=(0, 1, 2),
    commands=("deepobfuscator reproduce --data celeba --out reproduction",),
    commands_of={"table3": "deepobfuscator reproduce --only table3"},
    versions=("deepobfuscator 1.0.0", "torch 2.13.0", "Python 3.11.7"),
)


@pytest.fixture
def made_up() -> SimpleNamespace:
    """``exhibits`` by name, ``claims`` and ``meta`` of a reproduction that was never run."""
    by_name = {e.name: e for e in EXHIBITS}
    return SimpleNamespace(exhibits=by_name, claims=CLAIMS, meta=META)
