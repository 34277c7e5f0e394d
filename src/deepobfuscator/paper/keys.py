"""What exhibits, panels, rows and claims are: keys to look up by, of which `str` makes text.

Text is nowhere parsed: another wording here changes what is read, and no verdict.
"""

from dataclasses import dataclass
from enum import Enum, StrEnum, auto

IMAGE, IDENTITY = "image", "identity"
"""Subjects of `deepobfuscator.Record` that are no attributes."""

MS_SSIM, PSNR, ACCURACY, FOUR_WAY = "ms_ssim", "psnr", "accuracy", "four_way"
"""Metrics, by their names in `deepobfuscator.Record`; the last is of the perceptual study alone."""


class Reference(StrEnum):
    """In place of an attack's name in `deepobfuscator.Record`: what is no fresh attacker."""

    SERVICE = "service"
    IN_GAME = "in-game"
    CEILING = "ceiling"
    MAJORITY = "majority"
    MEAN_FACE = "mean-face"
    LABEL_ONLY = "label-only"


class Name(StrEnum):
    """An exhibit, by its name on the command line and of its files; in the report's order."""

    TABLE_1 = "table1"
    TABLE_2 = "table2"
    TABLE_3 = "table3"
    TABLE_4 = "table4"
    NOISE = "noise"
    FIGURE_2 = "figure2"
    SEQUENCE = "sequence"
    FIGURE_4 = "figure4"
    FIGURE_5 = "figure5"
    FIGURE_6 = "figure6"
    FIGURE_7 = "figure7"
    ARCHITECTURES = "architectures"


class Set(Enum):
    """The paper's six sets (section 4.5): which of the public and which of the private roles."""

    A = ((0,), (0,))
    B = ((1,), (0,))
    C = ((0, 1), (0,))
    D = ((0,), (0, 1))
    E = ((1,), (0, 1))
    F = ((0, 1), (0, 1))

    def __str__(self) -> str:
        return f"({self.name.lower()})"


class Part(Enum):
    """A part of an exhibit that is no set of attributes."""

    WHOLE = auto()
    NOISY = auto()
    REBUILT = auto()
    RANDOM = auto()
    MATCHED = auto()
    GAMES = auto()
    ATTACKERS = auto()


PARTS = {
    Part.WHOLE: "",
    Part.NOISY: "recogniser on the noisy picture",
    Part.REBUILT: "pixels of the rebuilt picture",
    Part.RANDOM: "random options",
    Part.MATCHED: "matched options",
    Part.GAMES: "other games",
    Part.ATTACKERS: "other attackers of one game",
}
"""How each part is called."""


@dataclass(frozen=True)
class Panel:
    """Part of an exhibit."""

    of: Set | Part = Part.WHOLE
    """What it is looked up by."""
    public: tuple[str, ...] = ()
    """Attributes that the service tells, of a set that the data allows."""
    private: tuple[str, ...] = ()
    """Attributes that it hides."""

    def __str__(self) -> str:
        if isinstance(self.of, Part):
            return PARTS[self.of]
        sides = f" {{{', '.join(self.public)} | {', '.join(self.private)}}}"
        return f"{self.of}{sides if self.public else ''}"


class Measured(Enum):
    """What a row was measured on: a defence, a reconstructor, an attacker."""

    DEEPOBFUSCATOR = auto()
    UNDEFENDED = auto()
    NOISE = auto()
    NEITHER = auto()
    ATTRIBUTES_ALONE = auto()
    RECONSTRUCTION_ALONE = auto()
    BOTH = auto()
    READ_FROM_AR = auto()
    READ_FROM_MIRROR = auto()
    AR_IN_GAME = auto()
    MIRROR = auto()
    UREC_1 = auto()
    UREC_2 = auto()
    RESREC = auto()
    ATTRIBUTES_THEN_FACES = auto()
    FACES_ALONE = auto()
    FACES_THEN_ATTRIBUTES = auto()
    PRINTED_CLASSIFIERS = auto()
    RESIDUAL_C = auto()
    RESIDUAL_AC = auto()
    ATTACKED_BY_AC = auto()
    ATTACKED_BY_RESNET = auto()
    ATTACKED_BY_MLP = auto()
    DEVIATION = auto()


ROWS = {
    Measured.DEEPOBFUSCATOR: "DeepObfuscator",
    Measured.UNDEFENDED: "No adversarial training",
    Measured.NOISE: "Noise",
    Measured.NEITHER: "Neither",
    Measured.ATTRIBUTES_ALONE: "Attributes alone",
    Measured.RECONSTRUCTION_ALONE: "Reconstruction alone",
    Measured.BOTH: "Both at once",
    Measured.READ_FROM_AR: "… read from AR's pictures",
    Measured.READ_FROM_MIRROR: "… read from a fresh mirror's pictures",
    Measured.AR_IN_GAME: "AR in the game",
    Measured.MIRROR: "Mirror",
    Measured.UREC_1: "URec#1",
    Measured.UREC_2: "URec#2",
    Measured.RESREC: "ResRec",
    Measured.ATTRIBUTES_THEN_FACES: "Attributes, then faces",
    Measured.FACES_ALONE: "Faces alone",
    Measured.FACES_THEN_ATTRIBUTES: "Faces, then attributes",
    Measured.PRINTED_CLASSIFIERS: "C and AC as in Table 1",
    Measured.RESIDUAL_C: "C a residual network",
    Measured.RESIDUAL_AC: "AC a residual network",
    Measured.ATTACKED_BY_AC: "AC's architecture",
    Measured.ATTACKED_BY_RESNET: "Residual network",
    Measured.ATTACKED_BY_MLP: "Multilayer perceptron",
    Measured.DEVIATION: "",
}
"""How each is called."""


class Participant(StrEnum):
    """Who answers the perceptual study; a machine's name is that in ``machines.json``."""

    PEOPLE = "people"
    EMBEDDING = "face embedding"
    PIXELS = "pixels"
    BACKGROUND = "background alone"


@dataclass(frozen=True)
class RowKey:
    """Names a row of an exhibit."""

    of: Measured
    """What it is looked up by."""
    sigma: float | None = None
    """Deviation of the noise, where there is one and it is known."""
    by: Participant | None = None
    """Who answered, in the perceptual study."""

    def __str__(self) -> str:
        deviation = "" if self.sigma is None else f"σ = {self.sigma:g}"
        return ", ".join(filter(None, (ROWS[self.of], deviation, self.by)))


class ClaimKey(Enum):
    """A claim of the paper, in its order."""

    BOTH_ATTACKS = auto()
    NOT_INCLUSIVE = auto()
    RANDOM_GUESSING = auto()
    SERVICE_KEPT = auto()
    ALL_RECONSTRUCTORS = auto()
    NOBODY_RECOGNISED = auto()
    NOISE_IS_WORSE = auto()
    FORGETS = auto()
    LOSSES_RISE = auto()
    MORE_TASKS = auto()
    MORE_PRIVATE = auto()
    OTHER_ARCHITECTURES = auto()


class Verdict(StrEnum):
    """What became of a claim, in the order in which claims are told."""

    FAILS = "does not hold"
    UNKNOWN = "cannot be told at this scale"
    HOLDS = "holds"
