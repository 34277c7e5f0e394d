"""The results that a person holds: of one audit, and of defences side by side."""

import importlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from deepobfuscator.auditing.gates import EXCEEDED, UNCERTIFIED, WEAK, Gate, Outcome
from deepobfuscator.auditing.leakage import Status
from deepobfuscator.core.config import to_json
from deepobfuscator.core.errors import InputError
from deepobfuscator.core.files import expanded, write_atomic
from deepobfuscator.core.records import Record, ThreatKind
from deepobfuscator.core.registry import suggest
from deepobfuscator.experiments import contrasts
from deepobfuscator.experiments.contrasts import Contrast
from deepobfuscator.report import audit_plots, pages
from deepobfuscator.report.certified import Proofs
from deepobfuscator.report.comparison import Comparison, compare
from deepobfuscator.report.runs import RunResult, find_runs, read_run
from deepobfuscator.report.subjects import (
    Role,
    SubjectReport,
    Undeclared,
    declared,
    report_of,
    undeclared,
)
from deepobfuscator.report.tables import Table, as_markdown, differences, utility_and_leakage
from deepobfuscator.report.wording import Verdict, judge_audit

FORMAT = "deepobfuscator-audit/1"

PUBLIC_FIELDS = ("name", "role", "metric", "service", "floors", "ceiling")
ATTACKED_FIELDS = (
    *("name", "role", "metric", "status", "headline", "maximum", "floors", "ceiling", "in_game"),
    *("excess", "maximum_excess", "excess_given_labels", "excess_several", "within_labels"),
    *("excess_over_service", "ceiling_excess", "weakness"),
    *("worst", "certified", "attackers", "budget"),
)
FIGURE_FIELDS = ("attack", "value", "low", "high", "n", "n_people", "detail")
"""What the summary holds of a public subject, of an attacked one and of a figure."""


@dataclass(frozen=True, repr=False)
class AuditReport:
    """Everything there is to say of one audited run."""

    run: RunResult
    subjects: tuple[SubjectReport, ...]
    """What the task names: public and private attributes, the image, identity."""
    undeclared: tuple[Undeclared, ...]
    """Attributes that the task does not name, by excess."""
    verdict: Verdict

    @classmethod
    def of(cls, run: RunResult) -> "AuditReport":
        """The report on an audited run."""
        subjects, others = tuple(report_of(run, s) for s in declared(run)), undeclared(run)
        return cls(run, subjects, others, judge_audit(run.notes, subjects, others))

    @property
    def folder(self) -> Path:
        """Where the run lies."""
        return self.run.folder

    @property
    def attacked(self) -> list[SubjectReport]:
        """The subjects that attackers must not learn."""
        return [s for s in self.subjects if s.role is not Role.PUBLIC]

    @property
    def gates(self) -> tuple[Outcome, ...]:
        """Limits and what became of them."""
        return tuple(Outcome(**gate) for gate in self.run.notes.get("gates", []))

    @property
    def exit_code(self) -> int:
        """For a pipeline: 0; 3 where a limit is exceeded; 4 where the attack is too weak to tell
        whether it is, where a limit of what is certified finds no certificate, where limits stand
        beside a useless service, or where the audit is broken.
        """
        outcomes = [gate.outcome for gate in self.gates]
        if EXCEEDED in outcomes:
            return 3
        useless = bool(outcomes) and self.verdict.status is Status.USELESS
        untold = WEAK in outcomes or UNCERTIFIED in outcomes
        return 4 if untold or useless or self.verdict.status is Status.BROKEN else 0

    def __getitem__(self, name: str) -> SubjectReport:
        """The report on an attribute, on ``image`` or on ``identity``.

        Raises:
            InputError: the audit has no such subject.
        """
        known = {s.name: s for s in self.subjects}
        if name not in known:
            raise InputError(f"{name!r} is not audited; {suggest(name, list(known))}")
        return known[name]

    def to_json(self) -> dict[str, Any]:
        """The summary in plain JSON types, as schema.json describes it.

        Figures are fractions, PSNR is in dB; ``low`` and ``high`` are the ends of 95 % intervals.
        """
        run, notes = self.run, self.run.notes
        return {
            "format": FORMAT,
            "verdict": asdict(self.verdict),
            "target": notes.get("target"),
            "ceiling": notes.get("ceiling"),
            "task": {"public": list(run.public), "private": list(run.private)},
            "data": {"source": run.source, "size": list(run.size), "parts": notes.get("parts", {})},
            "suite": notes.get("suite", ""),
            "subjects": [_plain(_summary(s)) for s in self.subjects],
            "undeclared": [_plain(vars(u) | {"leaks": u.leaks}) for u in self.undeclared],
            "convergence": {name: notes.get(name, []) for name in ("curves", "doubled")},
            "not_tried": notes.get("not_tried", []),
            "gates": notes.get("gates", []),
            "certified": proofs.to_json() if (proofs := Proofs.of(run)) else None,
            "command": notes.get("command", ""),
            "seconds": notes.get("seconds"),
            "versions": run.card["versions"],
        }

    def to_frame(self) -> Any:
        """A pandas.DataFrame, one row for each record; InputError where pandas is missing."""
        return _frame(self.run.records)

    def save(self, path: str | Path, faces: bool = True) -> None:
        """Write the summary where ``path`` ends in .json, else the page as one HTML file.

        ``faces``: whether the page may show the pictures of people that were rebuilt best.

        Raises:
            InputError: a file of the run cannot be read, or ``path`` cannot be written.
        """
        if expanded(path).suffix == ".json":
            text = json.dumps(self.to_json(), indent=1, ensure_ascii=False) + "\n"
        else:
            text = pages.audit_page(self, faces)
        write_atomic(expanded(path), text)

    def __repr__(self) -> str:
        return "\n".join([self.verdict.title, *(f"  {s!r}" for s in self.subjects)])

    def _repr_html_(self) -> str:
        drawing = audit_plots.brief(self.subjects)
        return pages.render("brief.html", title=self.verdict.title, drawing=drawing, table=None)


@dataclass(frozen=True, repr=False)
class ComparisonReport:
    """Everything there is to say of some runs, unfinished ones included, side by side."""

    runs: tuple[RunResult, ...]
    command: str = ""
    """What the reader would type to make its page again."""

    @classmethod
    def read(cls, folders: Iterable[Path], command: str = "") -> "ComparisonReport":
        """The report on every run in ``folders``, at any depth.

        Raises:
            InputError: no run there, or a file of a run that cannot be read.
        """
        found = {run.folder.resolve(): run for folder in folders for run in find_runs(folder)}
        return cls(tuple(found.values()), command)

    @cached_property
    def comparisons(self) -> list[Comparison]:
        """Finished runs, put side by side where they differ only in defence and seed."""
        return compare(self.runs)

    @cached_property
    def contrasts(self) -> list[Contrast]:
        """Means of the defences over their seeds, and differences between defences; none where a
        comparison had one seed.

        Raises:
            InputError: a file of a comparison cannot be read.
        """
        folders = dict.fromkeys(run.folder.parent for run in self.runs)
        return [contrast for folder in folders for contrast in contrasts.read(folder)]

    @property
    def differences(self) -> Table:
        """`contrasts` as a table."""
        return differences(self.contrasts)

    @property
    def table(self) -> Table:
        """Utility and leakage of every run beside floors and ceilings."""
        return utility_and_leakage(self.comparisons)

    def to_frame(self) -> Any:
        """A pandas.DataFrame, one row for each record; InputError where pandas is missing."""
        return _frame([record for run in self.runs for record in run.records])

    def save(self, path: str | Path, faces: bool = True) -> None:
        """Write one self-contained HTML page, with ``faces`` the pictures that the runs kept.

        Raises:
            InputError: no finished run, a file of a run that cannot be read, or ``path`` cannot be
                written.
        """
        page = expanded(path)
        write_atomic(page, pages.comparison_page(self, faces, page.parent))

    def __repr__(self) -> str:
        return as_markdown(self.table)

    def _repr_html_(self) -> str:
        return pages.render("brief.html", title="", drawing="", table=self.table)


def finish(
    folder: Path, gates: Sequence[Gate] = (), page: Path | None = None, faces: bool = True
) -> AuditReport:
    """Judge the gates of an audited run, note what became of them, write its summary and page.

    They are ``audit.json`` in ``folder``, and ``page``, by default ``report.html`` beside it.

    Raises:
        InputError: a file of the run cannot be read, or a file cannot be written.
    """
    run, path = read_run(folder), folder / "audit" / "notes.json"
    told = json.loads(path.read_bytes())
    told["gates"] = [asdict(gate.judge(run.records)) for gate in gates]
    write_atomic(path, f"{json.dumps(told, indent=1)}\n".encode())
    return publish(run, page, faces)


def publish(run: RunResult, page: Path | None = None, faces: bool = True) -> AuditReport:
    """Write summary and page of an audited run, as `finish` does; nothing of the audit changes."""
    report = AuditReport.of(run)
    report.save(run.folder / "audit.json")
    report.save(page or run.folder / pages.AUDIT_PAGE, faces)
    return report


def _summary(subject: SubjectReport) -> dict[str, Any]:
    public = subject.role is Role.PUBLIC
    found = {n: getattr(subject, n) for n in (PUBLIC_FIELDS if public else ATTACKED_FIELDS)}
    if public:
        return found | {"service": subject.service or None}
    attackers = [
        {"name": a.name, "given": str(a.threat)}
        | {"figures": a.figures, "own_validation": a.own_validation}
        for a in subject.attackers
        if a.threat.kind is not ThreatKind.BUDGET
    ]
    budget = [{"pictures": n, "attack": r.attack, "figure": r} for n, r in subject.budget]
    found |= {"perceptual": subject.perceptual} if subject.perceptual else {}
    return found | {"attackers": attackers, "budget": budget}


def _plain(value: Any) -> Any:
    """Records as the summary's figures, in mappings and lists at any depth."""
    if isinstance(value, Record):
        return {name: getattr(value, name) for name in FIGURE_FIELDS}
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list) else value


def _frame(records: Iterable[Record]) -> Any:
    try:
        pandas = importlib.import_module("pandas")
    except ModuleNotFoundError:
        raise InputError("to_frame needs pandas: pip install pandas") from None
    return pandas.DataFrame([to_json(record) for record in records])
