"""What the figures mean, in words: one glossary, sentences that claim only what was measured."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deepobfuscator.auditing.leakage import Status, Weakness, worst
from deepobfuscator.core.records import WITHIN, Record, ThreatKind
from deepobfuscator.report.comparison import Comparison, Configuration, surviving
from deepobfuscator.report.formatting import (
    METRICS,
    excess_text,
    figure_text,
    listed,
    mean,
    points,
    value_of,
    with_unit,
)
from deepobfuscator.report.subjects import COMMON, Role, Subject, SubjectReport, Undeclared

MOST_NAMES = 4
"""A sentence names at most so many things."""

GLOSSARY = {
    "newly trained attacker": "Trained from scratch on the frozen encoder, on pictures of its own. "
    "Protection is judged by these attackers only.",
    "training adversary": "The attacker that the defence was trained against, as it was at the end "
    "of training. It usually looks weaker than a newly trained attacker.",
    "headline figure": "The attacker that did best on its own validation pictures, scored once on "
    "the test pictures.",
    "label-only floor": "What can be predicted from the true public labels without the features.",
    "majority floor": "What always answering the most frequent class reaches (for pictures, the "
    "mean face).",
    "ceiling": "The same attackers, or the service, on the undefended encoder or on raw pictures.",
    "leak": "Attackers predict more than the public labels give away: the 95 % interval of the "
    "difference, paired over the same people and widened for the number of private attributes, is "
    "above zero. Attackers who are given more (public labels, several pictures of a person, the "
    "defender’s own data) count too.",
    "no leak found": "None of these attackers found a leak, although they do find one without the "
    "defence. A stronger attacker may still find one.",
    "inconclusive": "No leak was found, but these attackers do not find one without the defence "
    "either, so that nothing follows.",
    "mirror": "A decoder that reverses the encoder’s layers, trained to reconstruct the picture.",
    "L_C, L_AC": "Cross-entropy of the service C and of the attribute adversary AC.",
    "L_AR1, L_AR2": "Reconstruction losses of adversary AR (equations 6 and 8 of the paper): "
    "L_AR1 is 1 − MS-SSIM to the true picture, which AR minimises; L_AR2 compares the "
    "reconstruction with plain noise, which the encoder minimises.",
}
"""Terms that recur on every page; written once, here."""

OUTCOMES = {
    Status.BROKEN: "audit broken",
    Status.USELESS: "useless service",
    Status.LEAK: "leak",
    Status.CANNOT_TELL: "inconclusive",
    Status.TOO_WEAK: "attack too weak",
    Status.NOT_ATTACKED: "not attacked",
    Status.NO_LEAK: "no leak found",
}
"""How pages call each outcome."""

BRIEF = {
    Status.BROKEN: ("invalid", "the negative control leaks"),
    Status.USELESS: ("useless", "no better than one answer for all"),
    Status.LEAK: ("leak", "leak"),
    Status.CANNOT_TELL: ("inconclusive", "raw pictures reveal nothing either"),
    Status.TOO_WEAK: ("inconclusive", "attack too weak"),
    Status.NOT_ATTACKED: ("–", "not attacked"),
    Status.NO_LEAK: ("none found", "by these attackers"),
}
"""Each outcome in place of a figure, and a few words beneath it."""

WEAK = {
    Weakness.NO_CEILING: "no undefended encoder was attacked for comparison",
    Weakness.NOTHING: "the same attackers do not clearly predict it from {at} either",
    Weakness.LITTLE: "from {at} they predict less than half of what raw pictures reveal",
    Weakness.SHORT: "the strongest attacker on {at} still improves with twice the training",
}
"""Why attackers that found nothing prove nothing, with a name for the ceiling."""


@dataclass(frozen=True)
class Verdict:
    """What is to be said of one audit."""

    status: Status
    title: str
    """The outcome in one clause, without a full stop."""
    line: str
    """What was tested, what leaked and by how much, what was not tried, in some sentences."""


def weak(why: Weakness, status: Status) -> str:
    """Why attackers that found nothing prove nothing."""
    at = "raw pictures" if status is Status.CANNOT_TELL else "the undefended encoder"
    return WEAK[why].format(at=at)


def few(names: Iterable[str]) -> list[str]:
    """The names, or the first of them and how many more there are."""
    every = list(names)
    if len(every) <= MOST_NAMES:
        return every
    return [*every[: MOST_NAMES - 1], f"{len(every) - MOST_NAMES + 1} more"]


def judge_audit(
    notes: Mapping[str, Any], subjects: Sequence[SubjectReport], undeclared: Sequence[Undeclared]
) -> Verdict:
    """The verdict on one audit, from what it noted, all its subjects and undeclared attributes."""
    attacked = [s for s in subjects if s.role is not Role.PUBLIC]
    status = worst(s.status for s in attacked)
    bad = [s for s in subjects if s.useless]
    if bad and status is not Status.BROKEN:
        status = Status.USELESS
    line = [_useless(s) for s in bad] + [_tested(notes, attacked)]
    for outcome in Status:
        if found := [s for s in attacked if s.status is outcome]:
            line.append(_sentence(outcome, found))
    line += [_beyond(undeclared)] if undeclared else []
    if not_tried := [n["what"] for n in notes.get("not_tried", [])]:
        line.append(f"Not run: {listed(few(not_tried))}.")
    names = few(s.called for s in attacked if s.status is status)
    what = listed(names, "or")
    title = {
        Status.BROKEN: "This audit is broken: its negative control leaks",
        Status.USELESS: f"The service is useless for {listed(few(s.name for s in bad))}",
        Status.LEAK: f"Attackers recover {listed(names)} beyond what the public labels tell",
        Status.CANNOT_TELL: f"Inconclusive: even raw pictures reveal no {what} to these attackers",
        Status.TOO_WEAK: f"Inconclusive: these attackers are too weak to judge {what}",
        Status.NOT_ATTACKED: f"Not attacked yet: {what or 'anything'}",
        Status.NO_LEAK: f"These attackers found no leak of {what}",
    }[status]
    return Verdict(status, title, " ".join(line))


def _useless(subject: SubjectReport) -> str:
    reached = figure_text(subject.service["balanced_accuracy"])
    return (
        f"Useless: on {subject.name} the service is no better than always the same answer, "
        f"balanced accuracy {reached}."
    )


def _tested(notes: Mapping[str, Any], attacked: Sequence[SubjectReport]) -> str:
    attackers = {(s.role, a.name) for s in attacked for a in s.attackers if a.threat == COMMON}
    scored = [s.headline for s in attacked if s.headline]
    if not scored:
        return "No newly trained attacker was run."
    largest = max(scored, key=lambda f: f.n)
    suite = f" of the {notes['suite']} suite" if notes.get("suite") else ""
    were = f"attackers{suite} were" if len(attackers) > 1 else f"attacker{suite} was"
    people = f" of {largest.n_people:,} people" if largest.n_people else ""
    return f"{len(attackers)} newly trained {were} scored on {largest.n:,} test pictures{people}."


def _sentence(outcome: Status, found: Sequence[SubjectReport]) -> str:
    """What is said of the subjects of one outcome."""
    names = few(s.called for s in found)
    either = listed(names, "or")
    leaks = few(_leak(s, s.leak) for s in found if s.leak)
    bounds = [(s, s.maximum_excess or s.excess) for s in found]
    most = few(f"{s.called} (at most {points(s.metric, b.high)})" for s, b in bounds if b)
    why = "; ".join(
        f"for {listed(few(s.called for s in found if s.weakness is reason), 'and')}, "
        f"{weak(reason, outcome)}"
        for reason in WEAK
        if any(s.weakness is reason for s in found)
    )
    return {
        Status.BROKEN: f"Attackers trained on shuffled pairs predict {either} too, so that no "
        "figure of this audit counts.",
        Status.LEAK: f"Leaks above the label-only floor: {'; '.join(leaks)}.",
        Status.CANNOT_TELL: f"Inconclusive: {why}.",
        Status.TOO_WEAK: f"Attack too weak: {why}.",
        Status.NOT_ATTACKED: f"Not attacked: {listed(names)}.",
        Status.NO_LEAK: f"These attackers found no leak of {listed(most, 'or')}.",
    }[outcome]


def _leak(subject: SubjectReport, leak: Record) -> str:
    if leak.metric == WITHIN:
        return f"{subject.called}{given(leak)}, {figure_text(leak)} where 50 % is chance"
    by = f"{subject.called} {excess_text(leak)}{given(leak)}"
    if leak.given:  # the headline is of attackers who had less
        return by
    reached = with_unit(subject.metric, value_of(subject.headline))
    return f"{by}, {METRICS[subject.metric]} {reached}"


def given(leak: Record) -> str:
    """Under which threat model it was found, where that is not the common one."""
    if leak.metric == WITHIN:
        return " among pictures with equal public labels"
    known = {
        ThreatKind.COMMON: "",
        ThreatKind.LABELS: " given the public labels",
        ThreatKind.PERSON: " from several pictures of a person, beyond the labels of all of them",
        ThreatKind.INSIDER: " to an insider with the defender’s data",
    }
    return known.get(leak.threat.kind, f" from the average of {leak.given}")


def _beyond(undeclared: Sequence[Undeclared]) -> str:
    leaking = [u for u in undeclared if u.leaks]
    among = f"Of {len(undeclared)} attribute{'s' * (len(undeclared) > 1)} outside the task"
    if not leaking:
        return f"{among}, none was found to leak."
    by = excess_text(leaking[0].excess)
    many = "s" * (len(leaking) == 1)
    return f"{among}, {len(leaking)} leak{many}; most of all {leaking[0].name}, {by}."


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
    spans = [surviving(comparison.readings(c, subject)) for c in leaking]
    values = [100 * span[0] for span in spans if span]
    if len(values) < len(spans):
        return ""
    if len(values) > MOST_NAMES:
        values = [min(values), max(values)]
        return f"{values[0]:.0f} % to {values[1]:.0f} % of the undefended leak"
    return f"{listed([f'{value:.0f} %' for value in values])} of the undefended leak"
