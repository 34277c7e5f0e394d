"""Records: every reported figure is a record, and every page is a function of records."""

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from deepobfuscator.core.config import from_json, to_json
from deepobfuscator.core.errors import InputError
from deepobfuscator.core.files import write_atomic

K = TypeVar("K")

IMAGE, IDENTITY = "image", "identity"
"""The subjects of a reconstruction and of re-identification; any other is an attribute's name."""

SERVICE, IN_GAME, CEILING, MAXIMUM = "service", "in-game", "ceiling", "maximum"
MAJORITY, LABEL_ONLY, MEAN_FACE = "majority", "label-only", "mean-face"
ANY = "any"
FLOORS = (MAJORITY, LABEL_ONLY, MEAN_FACE)
REFERENCES = (SERVICE, IN_GAME, CEILING, MAXIMUM, ANY, *FLOORS)
"""Attack names that are not newly trained attackers: the service, the training adversary, ceiling,
the maximum of all new attackers with its simultaneous interval, any possible attacker, floors."""


class ThreatKind(StrEnum):
    """How an attacker differs from the common threat model, as written in `Record.given`."""

    COMMON = ""
    """Features of its own inputs, and their labels."""
    LABELS = "public labels"
    """The true public labels beside the features."""
    ANSWER = "service's answer alone"
    """C's output and no features."""
    SHUFFLED = "shuffled pairs"
    """Features and labels in shuffled pairs: the negative control."""
    AVERAGED = "8 queries a picture"
    """Averaged features of a stochastic encoder."""
    PERSON = "several pictures of a person"
    """One input's features and the mean features of the person's other inputs."""
    INSIDER = "the defender's pictures"
    """The defence's training inputs and labels, in addition to its own."""
    BUDGET = "pictures"
    """Few labelled inputs: `ThreatKey.count` of them."""
    RAW = "raw inputs"
    """The inputs themselves instead of the encoder's features: part of the positive control."""
    OTHER = "other pictures"
    """Inputs of another source, `ThreatKey.source`, instead of its own."""


@dataclass(frozen=True)
class ThreatKey:
    """Identifies a threat model; `str` gives the value of `Record.given`."""

    kind: ThreatKind = ThreatKind.COMMON
    count: int = 0
    """Number of labelled inputs of a `ThreatKind.BUDGET`."""
    source: str = ""
    """Source of the inputs of `ThreatKind.OTHER`; empty if there are none."""

    def __str__(self) -> str:
        if self.kind is ThreatKind.BUDGET:
            return f"{self.count} {self.kind}"
        return f"{self.kind} ({self.source})" if self.source else str(self.kind)

    @classmethod
    def read(cls, given: str) -> "ThreatKey":
        """The inverse of `str`.

        Raises:
            ValueError: not the text of a threat model.
        """
        count, _, rest = given.partition(" ")
        if rest == ThreatKind.BUDGET and count.isdecimal():
            return cls(ThreatKind.BUDGET, int(count))
        kind, bracket, source = given.partition(" (")
        return cls(ThreatKind(kind), source=source.removesuffix(")") if bracket else "")


EXCESS, OVER_SERVICE, P_HOLM = "excess", "excess_over_service", "p_holm"
"""Metrics of a comparison: attacker minus label-only floor, paired over people (of balanced
accuracy, of MS-SSIM, of verification AUC); attacker minus an attacker on C's output alone;
Holm-adjusted p."""

GAIN = "gain_of_twice"
"""Test gain of the ceiling's strongest attacker when trained twice as long, paired."""

PERCEPTUAL = "perceptual"
"""Distance of image and reconstruction in features of EfficientNet-Lite0 (not LPIPS); smaller is
more similar."""

WITHIN, WITHIN_AUC = "within_labels", "auc_within_labels"
"""Balanced accuracy and AUC among inputs with equal true public labels, averaged over the label
combinations weighted by their inputs: what is predicted beyond these labels; chance is 1/2."""

CERTIFIED, CERTIFIED_EXCESS, PLUG_IN = "certified", "certified_excess", "plug_in"
"""Of `ANY` attacker: an upper bound at 95 % confidence (balanced accuracy of an attribute, given
the public labels as `WITHIN`; PSNR of images, in dB; the fraction of people identified), one on the
excess over the label-only floor with the labels given to both; the plug-in estimate."""

HELD_OUT = "held-out"
"""The split of certificates: all people that were not used to train or tune the encoder."""


def headline_metric(subject: str) -> str:
    """The primary metric of ``subject``; attackers are selected by it."""
    return {IMAGE: "ms_ssim", IDENTITY: "auc"}.get(subject, "balanced_accuracy")


@dataclass(frozen=True)
class Record:
    """One measured figure with its interval and its floor."""

    trial: str
    """Key of the trial that was measured."""
    defence: str
    """Name of the defence."""
    attack: str
    """Name of the attack, or one of `REFERENCES`."""
    subject: str
    """An attribute's name, ``image`` or ``identity``."""
    metric: str
    """accuracy, balanced_accuracy, auc (fractions), mcc (-1 to 1); ms_ssim, ssim (at most 1), psnr
    (dB), ms_ssim_worst (the 5 % best reconstructed pictures), perceptual (0 to 4, small if
    similar); auc, eer, rank1 of an identity; excess,
    excess_over_service, gain_of_twice (differences); within_labels, auc_within_labels; p_holm;
    certified, certified_excess, plug_in."""
    value: float
    """The figure."""
    low: float
    """Lower end of the 95 % interval."""
    high: float
    """Upper end of the 95 % interval."""
    floor: float | None
    """The higher of the floors for this subject and metric; null if none applies."""
    n: int
    """Pictures scored."""
    n_people: int | None
    """People among them (the interval's clusters); null if identities are unknown."""
    split: str
    """``test``, ``validation`` (the attacker's own: the headline attacker is selected on it), or
    ``held-out`` (everything that is not the defender's: certificates are counted on it)."""
    seed: int
    """Seed of the trial."""
    detail: str = ""
    """What the figure depends on: the scales of an MS-SSIM, the split of a threshold."""
    given: str = ""
    """The threat model, as `ThreatKey` writes it; empty for the common one."""

    def __str__(self) -> str:
        interval = f"{self.low:+.3f} to {self.high:+.3f}"
        return f"{self.subject}: {self.metric} {self.value:+.3f} ({interval}), {self.attack}"

    @cached_property
    def threat(self) -> ThreatKey:
        """The threat model under which the attacker was measured."""
        return ThreatKey.read(self.given)


def select(records: Iterable[Record], **wanted: object) -> list[Record]:
    """The records whose fields equal ``wanted``, in order."""
    return [r for r in records if all(getattr(r, k) == v for k, v in wanted.items())]


def group(records: Iterable[Record], by: Callable[[Record], K]) -> dict[K, list[Record]]:
    """Records by ``by(record)``, in the order of first appearance."""
    groups: dict[K, list[Record]] = {}
    for record in records:
        groups.setdefault(by(record), []).append(record)
    return groups


def fresh(records: Iterable[Record], subject: str, metric: str, given: str = "") -> list[Record]:
    """Test figures of the newly trained attackers on one subject and metric."""
    of_test = select(records, subject=subject, metric=metric, split="test", given=given)
    return [r for r in of_test if r.attack not in REFERENCES]


def headline(records: Iterable[Record], subject: str, metric: str, given: str = "") -> Record:
    """Test record of the attacker that was best on its own validation pictures.

    ``records`` are those of one trial. The attacker is selected by `headline_metric`, whatever
    ``metric`` is requested, and within equal public labels by `WITHIN`.

    Raises:
        KeyError: no new attacker was scored on this subject and metric.
    """
    records = list(records)
    tests = {r.attack: r for r in fresh(records, subject, metric, given)}
    by = WITHIN if metric in (WITHIN, WITHIN_AUC) else headline_metric(subject)
    own = select(records, split="validation", subject=subject, metric=by, given=given)
    chosen = max((r for r in own if r.attack in tests), key=lambda r: r.value, default=None)
    if chosen is None:
        raise KeyError(f"no fresh attacker on {subject} by {metric}")
    return tests[chosen.attack]


def write_jsonl(path: Path, records: Iterable[Record]) -> None:
    """Write one JSON object per line, atomically.

    Raises:
        ValueError: a figure is not finite, which is always a bug.
    """
    lines = []
    for record in records:
        if not all(map(math.isfinite, (record.value, record.low, record.high, record.floor or 0))):
            raise ValueError(f"not a finite figure: {record}")
        lines.append(json.dumps(to_json(record)) + "\n")
    write_atomic(path, "".join(lines).encode())


def read_jsonl(path: Path) -> list[Record]:
    """Read what `write_jsonl` wrote.

    Raises:
        InputError: a line is not a record; the message names the line.
    """
    records = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            data = json.loads(line, parse_constant=_refuse)
        except ValueError:  # not text, not JSON, or not finite
            raise InputError(
                f"{path}, line {number}: not a record; delete the file and audit again"
            ) from None
        records.append(from_json(Record, data, f"{path}, line {number}"))
    return records


def _refuse(constant: str) -> None:
    raise ValueError(constant)
