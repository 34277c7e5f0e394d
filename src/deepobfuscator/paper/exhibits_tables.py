"""The paper's tables, and what it says in words: how each is made of finished runs."""

from dataclasses import replace

from deepobfuscator.core.records import IMAGE
from deepobfuscator.paper import published
from deepobfuscator.paper.architectures import table_1, table_2
from deepobfuscator.paper.calibration import OPTIONS, RATE
from deepobfuscator.paper.exhibits import ACCURACY, MS_SSIM, PSNR, Show, noise_note, title_of
from deepobfuscator.paper.render.exhibit import Exhibit, Line
from deepobfuscator.paper.render.rows import OWN_AR, line, lines

FACES_METRICS = ((IMAGE, MS_SSIM), (IMAGE, PSNR))


def table1(show: Show) -> Exhibit:
    """Architectures of the game."""
    return Exhibit(
        "table1",
        "Table 1: architectures of the obfuscator, AR, C and AC",
        "Read off the networks at the paper's size, 216 × 176 and width 1. Every conv and deconv "
        "but AR's last carries batch norm and ReLU; the sigmoid of C and AC is in their loss.",
        tables=tuple(table_1()),
    )


def table2(show: Show) -> Exhibit:
    """Architectures of the other reconstructors."""
    return Exhibit(
        "table2",
        "Table 2: architectures of the other reconstructors",
        "Read off the networks at the paper's size; their input is the 54 × 44 × 128 features.",
        tables=tuple(table_2()),
    )


def table3(show: Show) -> Exhibit:
    """Other reconstructors on one obfuscator."""
    runs = show.runs(lambda: show.book.game("a"))
    rows = {
        "AR in the game": OWN_AR,
        "Mirror": "mirror",
        "URec#1": "urec1",
        "URec#2": "urec2",
        "ResRec": "resrec",
    }
    found = [
        line(runs, row, IMAGE, MS_SSIM, "", published.TABLE_3.get(row), attack)
        for row, attack in rows.items()
    ]
    return Exhibit(
        "table3",
        "Table 3: other reconstructors",
        "MS-SSIM to the raw picture of what each reconstructor makes of one frozen obfuscator's "
        f"features, set {title_of(show, 'a')}. The paper leaves out what its own AR's "
        "architecture gives when it is fitted afresh; it is the second row here.",
        tuple(x for x in found if x is not None),
        notes=(
            "URec#1 and URec#2 cost several times the mirror's time a picture and get a quarter of "
            "its passes: they are judged below their strength.",
        ),
    )


def table4(show: Show) -> Exhibit:
    """DeepObfuscator and the baselines by quality of reconstruction."""
    found: list[Line] = []
    for name, (row, runs) in show.rows("a").items():
        found += lines(runs, row, FACES_METRICS, published=published.TABLE_4[name])
    return Exhibit(
        "table4",
        "Table 4: DeepObfuscator and two baselines",
        f"Quality of the rebuilt faces, set {title_of(show, 'a')}. The published figure of "
        "DeepObfuscator is its game's own reconstructor; those of the baselines are of "
        "reconstructors that were fitted to them, as the fresh ones here are.",
        tuple(found),
        notes=("Smaller is better for whoever is on the picture.", *noise_note(show)),
    )


def noise(show: Show) -> Exhibit:
    """The calibration of the noise."""
    held = show.calibration
    found: list[Line] = []
    for point in held.points if held else ():
        row = f"σ = {point.sigma:g}"
        panels = ("recogniser on the noisy picture", "pixels of the rebuilt picture")
        seen = Line(panels[0], row, "identity", "four_way", majority=1 / OPTIONS)
        rate = replace(seen, fresh=point.rate, low=point.low, high=point.high)
        found += [
            replace(rate, attacker="recogniser"),
            replace(seen, panel=panels[1], fresh=point.rebuilt_rate, attacker="nearest picture"),
            Line("", row, IMAGE, MS_SSIM, fresh=point.ms_ssim, attacker="reconstructor"),
        ]
    taken = "" if held is None else f" Calibrated: σ = {held.sigma:g}."
    if held is not None and show.book.sigma not in (None, held.sigma):
        taken += f" --sigma named {show.book.sigma:g} instead."
    if held is not None and not held.reached:
        taken += " No deviation of the grid was enough; this is its last."
    return Exhibit(
        "noise",
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
    book = show.book
    gender = book.private[0] or ""
    found: list[Line] = []
    for row, ask in {
        "Attributes alone": lambda: book.game("a", lambda2=0.0),
        "Attributes, then faces": lambda: book.sequence("a", "attributes"),
        "Faces alone": lambda: book.game("a", lambda1=0.0),
        "Faces, then attributes": lambda: book.sequence("a", "faces"),
    }.items():
        found += lines(show.runs(ask), row, ((gender, ACCURACY), (IMAGE, MS_SSIM)))
    return Exhibit(
        "sequence",
        "Section 4.2: first one defence, then the other",
        f"The naive sequence, set {title_of(show, 'a')}: a game against one adversary, then one as "
        "long against the other. The adversary of the first game sits out the second, so that its "
        "in-game figure tells how well an attacker does who stopped learning then.",
        tuple(found),
        notes=("The paper gives no figure.",),
    )


def architectures(show: Show) -> Exhibit:
    """Other architectures for C and for AC."""
    book, found = show.book, list[Line]()
    smile, gender = book.public[0] or "", book.private[0] or ""
    plain = show.runs(lambda: book.game("a"))
    for row, runs in {
        "C and AC as in Table 1": plain,
        "C a residual network": show.runs(lambda: book.game("a", service_network="resnet")),
        "AC a residual network": show.runs(lambda: book.game("a", adversary_network="resnet")),
    }.items():
        found += lines(runs, row, ((smile, ACCURACY), (gender, ACCURACY)), "other games")
    for row, attack in {
        "AC's architecture": "ac",
        "Residual network": "resnet",
        "Multilayer perceptron": "mlp",
    }.items():
        found += lines(
            plain, row, ((gender, ACCURACY),), "other attackers of one game", None, attack
        )
    return Exhibit(
        "architectures",
        "Sections 3.3 and 4.4: other architectures for C and for AC",
        "The paper announces that other architectures do not differ significantly and does not "
        f"show them. Set {title_of(show, 'a')}: the game played with another C and with another "
        "AC, and fresh attackers of three architectures on the game as printed.",
        tuple(found),
        notes=("The paper gives no figure.",),
    )
