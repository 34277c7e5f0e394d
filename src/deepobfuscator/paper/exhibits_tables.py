"""The paper's tables, and what it says in words: how each is made of finished runs."""

from dataclasses import replace

from deepobfuscator import DeepObfuscator, NaiveSequence
from deepobfuscator.paper import published
from deepobfuscator.paper.architectures import table_1, table_2
from deepobfuscator.paper.calibration import RATE
from deepobfuscator.paper.exhibits import Show
from deepobfuscator.paper.keys import (
    ACCURACY,
    FOUR_WAY,
    IDENTITY,
    IMAGE,
    MS_SSIM,
    PSNR,
    Measured,
    Name,
    Panel,
    Part,
    Reference,
    RowKey,
    Set,
)
from deepobfuscator.paper.render.exhibit import Exhibit, Row
from deepobfuscator.paper.render.rows import make_rows
from deepobfuscator.survey.questions import OPTIONS

FACES = (IMAGE, MS_SSIM)
RECONSTRUCTORS = {
    Measured.AR_IN_GAME: Reference.IN_GAME,
    Measured.MIRROR: "mirror",
    Measured.UREC_1: "urec1",
    Measured.UREC_2: "urec2",
    Measured.RESREC: "resrec",
}
CLASSIFIERS = {
    Measured.ATTACKED_BY_AC: "ac",
    Measured.ATTACKED_BY_RESNET: "resnet",
    Measured.ATTACKED_BY_MLP: "mlp",
}


def table1(_: Show) -> Exhibit:
    """Architectures of the game."""
    return Exhibit(
        Name.TABLE_1,
        "Table 1: architectures of the obfuscator, AR, C and AC",
        "Read off the networks at the paper's size, 216 × 176 and width 1. Every conv and deconv "
        "but AR's last carries batch norm and ReLU; the sigmoid of C and AC is in their loss.",
        tables=tuple(table_1()),
    )


def table2(_: Show) -> Exhibit:
    """Architectures of the other reconstructors."""
    return Exhibit(
        Name.TABLE_2,
        "Table 2: architectures of the other reconstructors",
        "Read off the networks at the paper's size; their input is the 54 × 44 × 128 features.",
        tables=tuple(table_2()),
    )


def table3(show: Show) -> Exhibit:
    """Other reconstructors on one obfuscator."""
    runs = show.runs(Set.A, DeepObfuscator(), "urec1", "urec2", "resrec")
    found: list[Row] = []
    for of, attack in RECONSTRUCTORS.items():
        told = {FACES: published.TABLE_3[of]} if of in published.TABLE_3 else None
        found += make_rows(runs, RowKey(of), (FACES,), published=told, attack=attack)
    return Exhibit(
        Name.TABLE_3,
        "Table 3: other reconstructors",
        "MS-SSIM to the raw picture of what each reconstructor makes of one frozen obfuscator's "
        f"features, set {show.panel(Set.A)}. The paper leaves out what its own AR's "
        "architecture gives when it is fitted afresh; it is the second row here.",
        tuple(found),
        notes=(
            "URec#1 and URec#2 cost several times the mirror's time a picture and get a quarter of "
            "its passes: they are judged below their strength.",
        ),
    )


def table4(show: Show) -> Exhibit:
    """DeepObfuscator and the baselines by quality of reconstruction."""
    found: list[Row] = []
    for key, defence in show.defences.items():
        runs, told = show.runs(Set.A, defence), published.TABLE_4[key.of]
        found += make_rows(runs, key, (FACES, (IMAGE, PSNR)), published=told)
    return Exhibit(
        Name.TABLE_4,
        "Table 4: DeepObfuscator and two baselines",
        f"Quality of the rebuilt faces, set {show.panel(Set.A)}. The published figure of "
        "DeepObfuscator is its game's own reconstructor; those of the baselines are of "
        "reconstructors that were fitted to them, as the fresh ones here are.",
        tuple(found),
        notes=("Smaller is better for whoever is on the picture.", *show.noise_note()),
    )


def noise(show: Show) -> Exhibit:
    """The calibration of the noise."""
    held = show.calibration
    found: list[Row] = []
    for point in held.points if held else ():
        key = RowKey(Measured.DEVIATION, point.sigma)
        seen = Row(Panel(Part.NOISY), key, IDENTITY, FOUR_WAY, majority=1 / OPTIONS)
        rate = replace(seen, fresh=point.rate, low=point.low, high=point.high)
        rebuilt = replace(seen, panel=Panel(Part.REBUILT), fresh=point.rebuilt_rate)
        found += [
            replace(rate, attacker="recogniser"),
            replace(rebuilt, attacker="nearest picture"),
            Row(Panel(), key, *FACES, fresh=point.ms_ssim, attacker="reconstructor"),
        ]
    taken = "" if held is None else f" Calibrated: σ = {held.sigma:g}."
    if held is not None and show.trials.sigma not in (None, held.sigma):
        taken += f" --sigma named {show.trials.sigma:g} instead."
    if held is not None and not held.reached:
        taken += " No deviation of the grid was enough; this is its last."
    return Exhibit(
        Name.NOISE,
        "Section 4.3: how much noise makes a picture “just unrecognizable”",
        "Validation pictures under Gaussian noise of rising deviation. The baseline takes the "
        "smallest one at which a face recogniser that learned on raw pictures, shown the noisy "
        f"one, picks its raw picture out of four people's at most {RATE:.0%} of the time: the rate "
        f"that the paper's participants had against DeepObfuscator.{taken} Beside it: "
        "how often the nearest picture is right once a reconstructor has removed the noise, and "
        "how good the rebuilt picture is.",
        tuple(found),
        missing=() if held else ("the noise was not calibrated",),
        notes=(
            "A recogniser that has never seen noise gives way at once; a reconstructor that has "
            "seen it does not. The paper says so too: the person in the picture rebuilt from "
            "noisy features can still be re-identified.",
        ),
    )


def sequence(show: Show) -> Exhibit:
    """The naive sequence."""
    wanted = ((show.trials.private[0] or "", ACCURACY), FACES)
    found: list[Row] = []
    for of, defence in {
        Measured.ATTRIBUTES_ALONE: DeepObfuscator(lambda2=0.0),
        Measured.ATTRIBUTES_THEN_FACES: NaiveSequence(first="attributes"),
        Measured.FACES_ALONE: DeepObfuscator(lambda1=0.0),
        Measured.FACES_THEN_ATTRIBUTES: NaiveSequence(first="faces"),
    }.items():
        found += make_rows(show.runs(Set.A, defence), RowKey(of), wanted)
    return Exhibit(
        Name.SEQUENCE,
        "Section 4.2: first one defence, then the other",
        f"The naive sequence, set {show.panel(Set.A)}: a game against one adversary, then one as "
        "long against the other. The adversary of the first game sits out the second, so that its "
        "in-game figure tells how well an attacker does who stopped learning then.",
        tuple(found),
        notes=("The paper gives no figure.",),
    )


def architectures(show: Show) -> Exhibit:
    """Other architectures for C and for AC."""
    found = list[Row]()
    served, hidden = (
        (side[0] or "", ACCURACY) for side in (show.trials.public, show.trials.private)
    )
    for of, defence in {
        Measured.PRINTED_CLASSIFIERS: DeepObfuscator(),
        Measured.RESIDUAL_C: DeepObfuscator(service_network="resnet"),
        Measured.RESIDUAL_AC: DeepObfuscator(adversary_network="resnet"),
    }.items():
        runs = show.runs(Set.A, defence)
        found += make_rows(runs, RowKey(of), (served, hidden), Panel(Part.GAMES))
    runs = show.runs(Set.A, DeepObfuscator())
    for of, attack in CLASSIFIERS.items():
        found += make_rows(runs, RowKey(of), (hidden,), Panel(Part.ATTACKERS), attack=attack)
    return Exhibit(
        Name.ARCHITECTURES,
        "Sections 3.3 and 4.4: other architectures for C and for AC",
        "The paper announces that other architectures do not differ significantly and does not "
        f"show them. Set {show.panel(Set.A)}: the game played with another C and with another "
        "AC, and fresh attackers of three architectures on the game as printed.",
        tuple(found),
        notes=("The paper gives no figure.",),
    )
