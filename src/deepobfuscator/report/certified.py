"""What an audit's page says of certificates: rows of a table, a bar for each attribute."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from deepobfuscator.auditing.certifier import PICTURES
from deepobfuscator.core.errors import InputError
from deepobfuscator.core.records import (
    ANY,
    CERTIFIED,
    CERTIFIED_EXCESS,
    IDENTITY,
    IMAGE,
    PLUG_IN,
    Record,
    ThreatKind,
    select,
)
from deepobfuscator.report.audit_plots import LANE, LONGEST_NAME, NAMES
from deepobfuscator.report.figures import Axis, Canvas, Plot
from deepobfuscator.report.formatting import DASH, number, value_of, with_unit
from deepobfuscator.report.plots import FOOT, HEAD, RIGHT, WIDTH
from deepobfuscator.report.runs import RunResult
from deepobfuscator.report.subjects import Role, SubjectReport
from deepobfuscator.report.tables import Table

ACCURACY = "balanced_accuracy"
"""The metric that an attribute's certificates are in."""


@dataclass(frozen=True)
class Proofs:
    """All that was certified in one run."""

    notes: Mapping[str, Any]
    """What the audit noted: values, pictures, people, why not."""
    records: tuple[Record, ...]
    """Of `ANY` attacker."""
    codebook: Mapping[str, NDArray[Any]] | None
    """``codebook`` (m, H, W, 3) in 0..255 and ``share`` (m,) of the pictures; or None."""

    @classmethod
    def of(cls, run: RunResult) -> "Proofs | None":
        """What a run holds; None for an audit that is older than certificates.

        Raises:
            InputError: the codebook cannot be read.
        """
        if (notes := run.notes.get("certified")) is None:
            return None
        records = tuple(select(run.records, attack=ANY))
        return cls(notes, records, _codebook(run.folder / "audit" / "codebook.npz"))

    def one(self, subject: str, metric: str, given: str = "") -> Record | None:
        """A certificate, where there is one."""
        found = select(self.records, subject=subject, metric=metric, given=given)
        return found[0] if found else None

    @property
    def image(self) -> Record | None:
        """Of reconstructions: PSNR in dB."""
        return self.one(IMAGE, CERTIFIED)

    @property
    def identity(self) -> Record | None:
        """The share of people named rightly."""
        return self.one(IDENTITY, CERTIFIED)

    def table(self, names: Sequence[str] | None = None) -> Table:
        """A row for each of the attributes ``names``, or of all, the highest first."""
        rows = []
        for subject in dict.fromkeys(r.subject for r in self.records):
            plain = self.one(subject, CERTIFIED)
            if subject in (IMAGE, IDENTITY) or (names is not None and subject not in names):
                continue
            rows.append((value_of(plain) or 0.0, self._row(subject, plain)))
        rows.sort(key=lambda row: -row[0])
        headers = (
            *("Attribute", "Any attacker of one picture", "These pictures themselves"),
            *("Given the public labels", "Above the labels", f"{PICTURES} pictures of a person"),
            "By",
        )
        return Table(headers, tuple(row for _, row in rows))

    def _row(self, subject: str, plain: Record | None) -> tuple[str, ...]:
        def at_most(metric: str, given: str = "") -> str:
            value = value_of(self.one(subject, metric, given))
            return DASH if value is None else f"≤ {number(ACCURACY, value)}"

        return (
            subject,
            at_most(CERTIFIED),
            number(ACCURACY, value_of(self.one(subject, PLUG_IN))),
            at_most(CERTIFIED, ThreatKind.LABELS),
            at_most(CERTIFIED_EXCESS, ThreatKind.LABELS),
            at_most(CERTIFIED, ThreatKind.PERSON),
            plain.detail if plain else DASH,
        )

    def drawing(self, subjects: Sequence[SubjectReport]) -> Plot:
        """A row for each private attribute: floor, strongest attack, certificate, ceiling."""
        shown = [s for s in subjects if s.role is Role.PRIVATE and s.certified]
        bottom = HEAD + LANE * len(shown)
        every = [s.baseline for s in shown] + [value_of(s.certified) for s in shown]
        at = Axis.of(ACCURACY, every, NAMES, RIGHT)
        said = "; ".join(
            f"{s.called} at most {number(ACCURACY, value_of(s.certified))}" for s in shown
        )

        def draw(on: Canvas) -> None:
            at.rule(on, ACCURACY, HEAD, bottom)
            for i, subject in enumerate(shown):
                top, proof = HEAD + LANE * i + 3, subject.certified
                y, end = top + LANE / 2 - 3, top + LANE - 6
                assert proof is not None
                on.text(0, y + 4, subject.called, longest=LONGEST_NAME)
                if subject.baseline is not None:
                    at.reference(on, subject.baseline, top, end)
                if subject.ceiling is not None:
                    at.reference(on, subject.ceiling.value, top, end, dashed=True)
                if (strongest := subject.maximum or subject.headline) is not None:
                    on.line([at(strongest.value), at(proof.value)], [y, y], "hue0", 2, alpha=0.45)
                    tip = f"strongest attack: {with_unit(ACCURACY, strongest.value)}"
                    on.mark(at(strongest.value), y, "hue0", 8, tip)
                on.line([at(proof.value)] * 2, [top, end], "hue0", 3)

        return Plot(WIDTH, bottom + FOOT, f"Certified balanced accuracy: {said}", draw)

    def to_json(self) -> dict[str, Any]:
        """The notes, and each certificate as the summary's figures."""
        fields = ("subject", "metric", "given", "value", "n", "n_people", "detail")
        figures = [{name: getattr(r, name) for name in fields} for r in self.records]
        return {**self.notes, "figures": figures}


def _lane(on: Canvas, at: Axis, subject: SubjectReport, y: float) -> None:
    proof, strongest = subject.certified, subject.maximum or subject.headline
    assert proof is not None
    on.text(0, y + 4, subject.called, "ink", longest=LONGEST_NAME)
    for reference, dashed in ((subject.baseline, False), (value_of(subject.ceiling), True)):
        if reference is not None:
            at.reference(on, reference, y - 9, y + 9, dashed=dashed)
    if strongest is not None:
        on.line(
            [at(strongest.value), at(proof.value)], [y, y], "hue0", 2.0, linestyle=(0, (2, 1.5))
        )
        tip = f"{strongest.attack}: {with_unit(ACCURACY, strongest.value)}"
        on.mark(at(strongest.value), y, "hue0", 8, tip)
    tip = f"any attacker: at most {with_unit(ACCURACY, proof.value)}"
    on.mark(at(proof.value), y, "hue0", 13, tip, shape="|")


def _codebook(path: Path) -> dict[str, NDArray[Any]] | None:
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as held:
            return {name: held[name] for name in ("codebook", "share")}
    except (ValueError, KeyError, OSError, EOFError, BadZipFile) as error:
        raise InputError(f"{path}: not readable ({error}); delete it to go without it") from None
