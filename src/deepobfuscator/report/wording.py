"""What the figures mean, in words: sentences made by rule, never more than was measured."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deepobfuscator.auditing.leakage import Status, Weakness, worst
from deepobfuscator.core.records import LABEL_ONLY, WITHIN, Record, ThreatKind
from deepobfuscator.report.comparison import Comparison, Configuration
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


WEAK = {
    Weakness.NO_CEILING: "no undefended encoder was attacked beside it",
    Weakness.NOTHING: "the same attackers do not clearly read it from {at} either",
    Weakness.LITTLE: "of {at} they read less than half of what is read of raw pictures",
    Weakness.SHORT: "the strongest attacker on {at} still gains by learning twice as long",
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


@dataclass(frozen=True)
class Finding:
    """What is to be said of one configuration."""

    status: Status | None
    """The worst outcome over its private attributes and images; None for the baseline."""
    sentences: tuple[str, ...]
    """Plain sentences, utility first."""


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
        line.append(f"Not tried: {listed(few(not_tried))}.")
    names = few(s.called for s in attacked if s.status is status)
    what = listed(names, "or")
    title = {
        Status.BROKEN: "This audit is broken: its negative control leaks",
        Status.USELESS: f"The service is useless for {listed(few(s.name for s in bad))}",
        Status.LEAK: f"Fresh attackers learn more of {listed(names)} than the public labels tell",
        Status.CANNOT_TELL: f"These attackers cannot tell whether anything of {what} leaks",
        Status.TOO_WEAK: f"These attackers are too weak to tell whether anything of {what} leaks",
        Status.NOT_ATTACKED: f"Nobody attacked {what or 'anything'}: nothing can be said yet",
        Status.NO_LEAK: f"These attackers found no leak of {what}",
    }[status]
    return Verdict(status, title, " ".join(line))


def _useless(subject: SubjectReport) -> str:
    reached = figure_text(subject.service["balanced_accuracy"])
    return (
        f"Useless: the service does no better on {subject.name} than always answering the same, "
        f"balanced accuracy {reached}."
    )


def _tested(notes: Mapping[str, Any], attacked: Sequence[SubjectReport]) -> str:
    attackers = {(s.role, a.name) for s in attacked for a in s.attackers if a.threat == COMMON}
    scored = [s.headline for s in attacked if s.headline]
    if not scored:
        return "No fresh attacker was run."
    largest = max(scored, key=lambda f: f.n)
    suite = f" of the suite “{notes['suite']}”" if notes.get("suite") else ""
    were = f"attackers{suite} were" if len(attackers) > 1 else f"attacker{suite} was"
    people = f" of {largest.n_people:,} people" if largest.n_people else ""
    return f"{len(attackers)} fresh {were} scored once on {largest.n:,} test pictures{people}."


def _sentence(outcome: Status, found: Sequence[SubjectReport]) -> str:
    """What is said of the subjects of one outcome."""
    names = few(s.called for s in found)
    either = listed(names, "or")
    leaks = few(_leak(s, s.leak) for s in found if s.leak)
    bounds = [(s, s.maximum_excess or s.excess) for s in found]
    most = few(f"{s.called} (they read at most {points(s.metric, b.high)})" for s, b in bounds if b)
    at = "raw pictures" if outcome is Status.CANNOT_TELL else "the undefended encoder"
    weak = "; ".join(
        f"about {listed(few(s.called for s in found if s.weakness is why), 'or')}: "
        f"{text.format(at=at)}"
        for why, text in WEAK.items()
        if any(s.weakness is why for s in found)
    )
    return {
        Status.BROKEN: f"Attackers who learned from shuffled pairs read {either} too, so that no "
        "figure of this audit counts.",
        Status.LEAK: f"Leaks above what the public labels alone give: {'; '.join(leaks)}.",
        Status.CANNOT_TELL: f"Cannot tell {weak}.",
        Status.TOO_WEAK: f"Too weak to tell {weak}.",
        Status.NOT_ATTACKED: f"Not attacked: {listed(names)}.",
        Status.NO_LEAK: f"No leak was found by these attackers of {listed(most, 'or')}.",
    }[outcome]


def _leak(subject: SubjectReport, leak: Record) -> str:
    if leak.metric == WITHIN:
        return f"{subject.called}, {_within(leak)}"
    by = f"{subject.called} {excess_text(leak)}{_given(leak)}"
    if leak.given:  # the headline is of attackers who had less
        return by
    reached = with_unit(subject.metric, value_of(subject.headline))
    return f"{by}, to {METRICS[subject.metric]} {reached}"


def _within(leak: Record) -> str:
    return (
        f"read at {figure_text(leak)} among pictures with equal public labels, where 50 % is chance"
    )


def _given(leak: Record) -> str:
    """Under which threat model it was found, where that is not the common one."""
    if leak.threat.kind is ThreatKind.LABELS:
        return " once these labels are given too"
    if leak.threat.kind is ThreatKind.PERSON:
        return " from several pictures of a person, beyond the labels of all of them"
    if leak.threat.kind is ThreatKind.INSIDER:
        return " to an insider, who has the defender's pictures and labels too"
    return f" from the average of {leak.given}" if leak.given else ""


def _beyond(undeclared: Sequence[Undeclared]) -> str:
    leaking = [u for u in undeclared if u.leaks]
    among = f"Of {len(undeclared)} attributes that the task does not name"
    if not leaking:
        return f"{among}, none was found to leak."
    by = excess_text(leaking[0].excess)
    return f"{among}, {len(leaking)} leak; most of all {leaking[0].name}, {by}."


def title_of(comparison: Comparison) -> str:
    """The outcome on the private attributes in one sentence, without a full stop."""
    private = [s for s in comparison.subjects if s.role is Role.PRIVATE]
    defended = [c for c in comparison.configurations if c.defended]
    if not defended:
        plain = comparison.configurations[0]
        figures = [
            f"{s.name} at {with_unit(s.metric, _mean(readings))}"
            for s in private
            if (readings := comparison.readings(plain, s))
        ]
        return f"Without a defence, fresh attackers read {listed(figures) or 'nothing yet'}"
    outcomes = {
        (subject.name, c.label): worst(r.status for r in comparison.readings(c, subject))
        for subject in private
        for c in defended
    }
    public = [s for s in comparison.subjects if s.role is Role.PUBLIC]
    useless = [
        c.label
        for c in defended
        if any(r.useless for s in public for r in comparison.readings(c, s))
    ]
    if useless:
        return (
            f"Useless service under {listed(few(useless))}: no better than always the same answer"
        )
    leaks = [key for key, outcome in outcomes.items() if outcome is Status.LEAK]
    if leaks and Status.BROKEN not in outcomes.values():
        what = listed(few(dict.fromkeys(name for name, _ in leaks)), "or")
        through = len({label for _, label in leaks})
        if len(defended) == 1:
            return f"Fresh attackers read {what} through {defended[0].label}"
        return f"Fresh attackers read {what} through {through} of {len(defended)} defences"
    what = listed(few(s.name for s in private), "or")
    return {
        Status.BROKEN: "The audit is broken: its negative control leaks",
        Status.CANNOT_TELL: f"These attackers cannot tell whether {what} leaks",
        Status.TOO_WEAK: f"These attackers are too weak to tell whether {what} leaks",
        Status.NOT_ATTACKED: f"Not every attribute was attacked: nothing can be said of {what} yet",
        Status.NO_LEAK: f"No leak of {what} above the floor was found by these attackers",
    }[worst(outcomes.values())]


def _mean(readings: Sequence[SubjectReport]) -> float | None:
    return mean([value_of(r.result) for r in readings])


def finding_of(comparison: Comparison, configuration: Configuration) -> Finding:
    """What is to be said of one configuration."""
    sentences, outcomes = [], []
    for subject in comparison.subjects:
        readings = comparison.readings(configuration, subject)
        if subject.role is Role.PUBLIC:
            sentences += [_utility(subject, readings, configuration.defended)] if readings else []
            outcomes += [Status.USELESS] if any(r.useless for r in readings) else []
            continue
        outcomes.append(worst(r.status for r in readings))
        sentences.append(_leakage(subject, readings, configuration.defended))
    status = worst(outcomes) if configuration.defended else None
    return Finding(status, tuple(sentences))


def _utility(subject: Subject, readings: Sequence[SubjectReport], defended: bool) -> str:
    ceiling = mean([value_of(r.ceiling) for r in readings])
    said = f"The service tells {subject.name} at {with_unit(subject.metric, _mean(readings))}"
    if useless := [r for r in readings if r.useless]:
        return f"{said}. {_useless(useless[0])}"
    if not defended:
        return f"{said}."
    if ceiling is None:
        return f"{said}; no undefended encoder stands beside it."
    return f"{said} (undefended: {with_unit(subject.metric, ceiling)})."


def _leakage(subject: Subject, readings: Sequence[SubjectReport], defended: bool) -> str:
    image, metric = subject.role is Role.IMAGE, subject.metric
    what = "Faces" if image else subject.name
    if not readings:
        return f"{what}: no fresh attacker was run on this."
    figure = with_unit(metric, _mean(readings)) + f" (mean of {len(readings)} seeds)"
    if len(readings) == 1 and (only := readings[0].headline):
        figure = figure_text(only)
    reached = f"fresh attackers {'rebuild at MS-SSIM' if image else 'read'} {figure}"
    if not defended:
        return f"{what}: {reached}."
    in_game = mean([value_of(r.in_game) for r in readings])
    game = f"the game’s own adversary ended at {with_unit(metric, in_game)}, "
    return f"{what}: {'' if in_game is None else game}{reached}{_outcome(subject, readings)}"


def _outcome(subject: Subject, readings: Sequence[SubjectReport]) -> str:
    floor = mean([value_of(r.floors.get(LABEL_ONLY)) for r in readings])
    at = f"label-only floor of {with_unit(subject.metric, floor)}"
    leaks = [r.leak for r in readings if r.leak]
    leak = f" above the {at}, under {len(leaks)} of {len(readings)} seeds."
    if len(readings) == 1 and leaks and leaks[0].metric == WITHIN:
        leak = f": {_within(leaks[0])}."
    elif len(readings) == 1 and leaks:
        leak = f"{_given(leaks[0])}: {excess_text(leaks[0])} above the {at}."
    why = next((r.weakness for r in readings if r.weakness), Weakness.NO_CEILING)
    raw, weak = (
        f", but {WEAK[why].format(at=at)}: " for at in ("raw pictures", "the undefended encoder")
    )
    return {
        Status.BROKEN: ". Attackers who learned from shuffled pairs read it too: the audit is "
        "broken.",
        Status.LEAK: f", a leak{leak}",
        Status.CANNOT_TELL: f". That is not above the {at}{raw}nothing can be told.",
        Status.TOO_WEAK: f". That is not above the {at}{weak}the attack is too weak to tell.",
        Status.NOT_ATTACKED: f". Nothing was paired with the {at}: audit this run again.",
        Status.NO_LEAK: f". No leak above the {at} was found by these attackers.",
    }[worst(r.status for r in readings)]
