"""Keys of exhibits, panels, rows and claims; `str` gives their text.

Text is never parsed: another wording here changes no verdict.
"""

from dataclasses import dataclass
from enum import Enum, StrEnum, unique

IMAGE, IDENTITY = "image", "identity"
"""Subjects of `deepobfuscator.Record` that are not attributes."""

MS_SSIM, PSNR, ACCURACY, FOUR_WAY = "ms_ssim", "psnr", "accuracy", "four_way"
"""Metrics, as in `deepobfuscator.Record`; the last is only in the perceptual study."""


class Reference(StrEnum):
    """Values of `deepobfuscator.Record.attack` that are not newly trained attackers."""

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
    CONSTANT = "constant"
    NOISE = "noise"
    FIGURE_2 = "figure2"
    SEQUENCE = "sequence"
    FIGURE_4 = "figure4"
    FIGURE_5 = "figure5"
    FIGURE_6 = "figure6"
    FIGURE_7 = "figure7"
    ADVERSARY = "adversary"
    ARCHITECTURES = "architectures"
    LENGTH = "length"
    FACTORIAL = "factorial"


class Set(Enum):
    """The paper's six sets (section 4.5) of public and private roles."""

    A = ((0,), (0,))
    B = ((1,), (0,))
    C = ((0, 1), (0,))
    D = ((0,), (0, 1))
    E = ((1,), (0, 1))
    F = ((0, 1), (0, 1))

    def __str__(self) -> str:
        return f"({self.name.lower()})"


@unique
class Part(Enum):
    """A part of an exhibit that is not a set of attributes, and its label."""

    WHOLE = ""
    NOISY = "face recogniser on the noisy picture"
    REBUILT = "pixels of the reconstructed picture"
    TRADE_OFF = "trade-off, by deviation"
    RANDOM = "random options"
    MATCHED = "matched options"
    GAMES = "other architectures in training"
    ATTACKERS = "other attackers of one encoder"


@dataclass(frozen=True)
class Panel:
    """Part of an exhibit."""

    of: Set | Part = Part.WHOLE
    """What it is looked up by."""
    public: tuple[str, ...] = ()
    """Attributes that the service predicts, of a set that the data allows."""
    private: tuple[str, ...] = ()
    """Attributes that it hides."""

    def __str__(self) -> str:
        if isinstance(self.of, Part):
            return self.of.value
        sides = f" {{{', '.join(self.public)} | {', '.join(self.private)}}}"
        return f"{self.of}{sides if self.public else ''}"


@unique
class Measured(Enum):
    """A defence, a reconstructor or an attacker, and its label."""

    DEEPOBFUSCATOR = "DeepObfuscator"
    UNDEFENDED = "No adversarial training"
    UNDEFENDED_LONGER = "No adversarial training, O updated as often"
    NOISE = "Noise"
    NEITHER = "Neither"
    ATTRIBUTES_ALONE = "Attributes alone"
    RECONSTRUCTION_ALONE = "Reconstruction alone"
    BOTH = "Both at once"
    READ_FROM_AR = "… predicted from AR's reconstructions"
    READ_FROM_MIRROR = "… predicted from a new mirror's reconstructions"
    AR_IN_GAME = "AR in training"
    MIRROR = "Mirror"
    UREC_1 = "URec#1"
    UREC_2 = "URec#2"
    RESREC = "ResRec"
    ATTRIBUTES_THEN_FACES = "Attributes, then faces"
    FACES_ALONE = "Faces alone"
    FACES_THEN_ATTRIBUTES = "Faces, then attributes"
    PRINTED_CLASSIFIERS = "C and AC as in Table 1"
    RESIDUAL_C = "C a residual network"
    RESIDUAL_AC = "AC a residual network"
    ATTACKED_BY_AC = "AC's architecture"
    ATTACKED_BY_RESNET = "Residual network"
    ATTACKED_BY_MLP = "Multilayer perceptron"
    AS_ENDED = "At the end of training"
    RE_ESTIMATED = "… batch norm re-estimated on the frozen O"
    TUNED = "… and its threshold tuned"
    AFTER_10 = "… and 10 steps more"
    AFTER_50 = "… or 50 steps more"
    AFTER_250 = "… or 250 steps more"
    FROM_SCRATCH = "The strongest trained from scratch"
    MEAN_FACE = "The mean face"
    GREY = "Plain grey"
    STRANGER = "Another person's picture"
    DEVIATION = ""
    LENGTH = " "


class Participant(StrEnum):
    """Who answers the perceptual study; a machine's name is that in ``machines.json``."""

    PEOPLE = "people"
    EMBEDDING = "face embedding"
    PIXELS = "pixels"
    BACKGROUND = "background alone"


@dataclass(frozen=True)
class RowKey:
    """Identifies a row of an exhibit."""

    of: Measured
    """What it is looked up by."""
    sigma: float | None = None
    """Deviation of the noise, if there is noise and it is known."""
    by: Participant | None = None
    """The participant, in the perceptual study."""
    rounds: int | None = None
    """Rounds of Algorithm 1, if an exhibit follows a game over time."""

    def __str__(self) -> str:
        deviation = "" if self.sigma is None else f"σ = {self.sigma:g}"
        length = "" if self.rounds is None else f"{self.rounds:,} rounds"
        return ", ".join(filter(None, (self.of.value.strip(), deviation, self.by, length)))


class ClaimKey(StrEnum):
    """A claim of the paper, in its order, by its name in ``claims.toml``."""

    BOTH_ATTACKS = "both_attacks"
    NOT_INCLUSIVE = "not_inclusive"
    RANDOM_GUESSING = "random_guessing"
    SERVICE_KEPT = "service_kept"
    ALL_RECONSTRUCTORS = "all_reconstructors"
    NOBODY_RECOGNISED = "nobody_recognised"
    NOBODY_RECOGNISED_FRESH = "nobody_recognised_fresh"
    NOISE_IS_WORSE = "noise_is_worse"
    FORGETS = "forgets"
    LOSSES_RISE = "losses_rise"
    MORE_TASKS = "more_tasks"
    MORE_PRIVATE = "more_private"
    OTHER_ARCHITECTURES = "other_architectures"


class Verdict(StrEnum):
    """The verdict on a claim, in the order of the report."""

    FAILS = "does not hold"
    UNKNOWN = "inconclusive at this scale"
    HOLDS = "holds"
