"""The title of a comparison: which defence hides what."""

from collections.abc import Sequence

from deepobfuscator.auditing.leakage import Status, worst
from deepobfuscator.report.comparison import Comparison, Configuration
from deepobfuscator.report.formatting import METRICS, listed, mean, percent, value_of, with_unit
from deepobfuscator.report.subjects import Role, Subject
from deepobfuscator.report.wording import MOST_NAMES, few


def title_of(comparison: Comparison) -> str:
    """Which defence hides what from these attackers; sentences without the last full stop."""
    defended = comparison.defended
    if not defended:
        plain = comparison.configurations[0]
        figures = [
            f"{s.called} at {METRICS[s.metric]} {with_unit(s.metric, mean(values))}"
            for s in comparison.attacked
            if (values := [value_of(r.result) for r in comparison.readings(plain, s)])
        ]
        return f"Without a defence, attackers reach {listed(few(figures)) or 'nothing yet'}"
    useless = [c for c in defended if _serves_nothing(comparison, c)]
    told = [f"The service is useless under {listed(few(c.label for c in useless))}"]
    # Then it is the training that fails, not the defence.
    if any(_serves_nothing(comparison, c) for c in comparison.configurations if not c.defended):
        told = [f"{told[0]}, and without a defence too"]
    told = told if useless else []
    rest = [c for c in defended if c not in useless]
    patterns: dict[tuple[Status, ...], list[Subject]] = {}
    for subject in comparison.attacked:
        found = [worst(r.status for r in comparison.readings(c, subject)) for c in rest]
        if Status.BROKEN in found:
            return "The audit is broken: its negative control leaks"
        patterns.setdefault(tuple(found), []).append(subject)
    for outcomes, subjects in patterns.items() if rest else ():
        told.append(_pattern(comparison, rest, outcomes, subjects))
    others = [c for c in rest if any(u.leaks for run in comparison.undeclared(c) for u in run)]
    told += (
        [f"{_every(others, rest)} leak{'s' * (len(others) == 1)} other attributes"]
        if others
        else []
    )
    return ". ".join(told)


def _serves_nothing(comparison: Comparison, configuration: Configuration) -> bool:
    public = [s for s in comparison.subjects if s.role is Role.PUBLIC]
    return any(r.useless for s in public for r in comparison.readings(configuration, s))


def _pattern(
    comparison: Comparison,
    defended: Sequence[Configuration],
    outcomes: Sequence[Status],
    subjects: Sequence[Subject],
) -> str:
    """One sentence on subjects that fare alike under every defence."""
    what = listed(few(s.called for s in subjects))
    by: dict[Status, list[Configuration]] = {}
    for c, outcome in zip(defended, outcomes, strict=True):
        by.setdefault(outcome, []).append(c)
    leaking, hiding = by.pop(Status.LEAK, []), by.pop(Status.NO_LEAK, [])
    unclear = [c for group in by.values() for c in group]
    shares = ""
    if len(subjects) == 1 and leaking:
        shares = _shares(comparison, leaking, subjects[0])
    said = []
    if hiding:
        hides = "hides" if len(hiding) == 1 else "hide"
        said.append(f"{_named(hiding)} {hides} {what} from these attackers")
        if leaking:
            does = "does" if len(leaking) == 1 else "do"
            said.append(f"{_named(leaking)} {does} not{f' ({shares})' if shares else ''}")
    elif leaking:
        leaks = "leaks" if len(leaking) == 1 else "leak"
        who = _every(leaking, defended)
        said.append(f"{who} {leaks} {what}{f': {shares}' if shares else ''}")
    if unclear:
        under = "" if len(unclear) == len(defended) else f" under {_named(unclear)}"
        said.append(f"{what}{under}: inconclusive")
    return "; ".join(said)


def _named(configurations: Sequence[Configuration]) -> str:
    return listed(few(c.label for c in configurations))


def _every(some: Sequence[Configuration], defended: Sequence[Configuration]) -> str:
    if len(some) < len(defended) or len(some) == 1:
        return _named(some)
    return "Both" if len(some) == 2 else f"All {len(some)}"


def _shares(comparison: Comparison, leaking: Sequence[Configuration], subject: Subject) -> str:
    """How much of the undefended leak each lets through; empty where that cannot be said."""
    spans = [comparison.surviving(c, subject) for c in leaking]
    values = [span[0] for span in spans if span]
    if len(values) < len(spans):
        return ""
    if len(values) > MOST_NAMES:
        values = [min(values), max(values)]
        return f"{percent(values[0])} to {percent(values[1])} of the undefended leak"
    return f"{listed([percent(value) for value in values])} of the undefended leak"
