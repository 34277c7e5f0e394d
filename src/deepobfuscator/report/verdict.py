"""What the figures mean, in words: sentences made by rule, never more than was measured."""

from collections.abc import Sequence
from dataclasses import dataclass

from deepobfuscator.auditing.leakage import (
    BROKEN,
    CANNOT_TELL,
    LEAK,
    NO_LEAK,
    NOT_ATTACKED,
    TOO_WEAK,
    gravest,
)
from deepobfuscator.core.records import LABEL_ONLY
from deepobfuscator.report.formatting import (
    PERCENT,
    Reading,
    Subject,
    difference,
    listed,
    mean,
    number,
    read,
    subjects,
    value_of,
    with_interval,
)
from deepobfuscator.report.runs import Comparison, Configuration

BASELINE = "baseline"

PER_CENT = "\N{NO-BREAK SPACE}%"


@dataclass(frozen=True)
class Finding:
    """What is to be said of one configuration."""

    label: str
    """The configuration."""
    status: str
    """The gravest outcome over its private attributes and images."""
    sentences: tuple[str, ...]
    """Plain sentences, utility first."""


@dataclass(frozen=True)
class Verdict:
    """What is to be said of one comparison."""

    title: str
    """The outcome on the private attributes in one sentence, without a full stop."""
    lede: str
    """What was trained and attacked on what."""
    findings: tuple[Finding, ...]
    """One for each configuration."""


def status(readings: Sequence[Reading]) -> str:
    """The gravest outcome on one subject over the seeds of one configuration."""
    return gravest(r.evidence.status for r in readings)


def judge(comparison: Comparison) -> Verdict:
    """The verdict on one comparison."""
    findings = tuple(_finding(comparison, c) for c in comparison.configurations)
    return Verdict(_title(comparison), _lede(comparison), findings)


def _readings(
    comparison: Comparison, configuration: Configuration, subject: Subject
) -> list[Reading]:
    found = [read(comparison, run, subject) for run in configuration.runs]
    return [r for r in found if r is not None]


def _title(comparison: Comparison) -> str:
    private = [s for s in subjects(comparison) if s.role == "private"]
    defended = [c for c in comparison.configurations if c.defended]
    if not defended:
        return _undefended_title(comparison, private)
    outcomes = {
        (subject.name, c.label): status(_readings(comparison, c, subject))
        for subject in private
        for c in defended
    }
    leaks = [key for key, outcome in outcomes.items() if outcome == LEAK]
    if leaks and BROKEN not in outcomes.values():
        what = _either([name for name, _ in leaks])
        through = len({label for _, label in leaks})
        if len(defended) == 1:
            return f"Fresh attackers read {what} through {defended[0].label}"
        return f"Fresh attackers read {what} through {through} of {len(defended)} defences"
    what = _either([s.name for s in private])
    return {
        BROKEN: "The audit is broken: its negative control leaks",
        CANNOT_TELL: f"These attackers cannot tell whether {what} leaks",
        TOO_WEAK: f"These attackers are too weak to tell whether {what} leaks",
        NOT_ATTACKED: f"Not every attribute was attacked: nothing can be said of {what} yet",
        NO_LEAK: f"No leak of {what} above the floor was found by these attackers",
    }[gravest(outcomes.values())]


def _undefended_title(comparison: Comparison, private: Sequence[Subject]) -> str:
    figures = []
    for subject in private:
        readings = _readings(comparison, comparison.configurations[0], subject)
        if readings:
            value = mean([r.result.value for r in readings])
            figures.append(f"{subject.name} at {number(subject.metric, value)}{PER_CENT}")
    return f"Without a defence, fresh attackers read {listed(figures) or 'nothing yet'}"


def _either(names: Sequence[str]) -> str:
    distinct = list(dict.fromkeys(names))
    return listed(distinct, "or") if len(distinct) < 4 else f"some of {len(distinct)} attributes"


def _lede(comparison: Comparison) -> str:
    run = comparison.first
    source = run.trial["source"]["name"]
    height, width = run.trial["setting"]["size"]
    data = run.card["data"]
    pictures, people = data["pictures"], data.get("people") or {}

    def count(part: str) -> str:
        of_people = f" of {people[part]:,} people" if people.get(part) else ""
        return f"{pictures[part]:,} pictures{of_people}"

    skipped = data.get("skipped", 0)
    missing = f" {skipped:,} pictures could not be decoded and are left out." if skipped else ""
    trained = f"was trained on {count('defender')}"
    return (
        f"On {source} ({height} × {width} px), each encoder "
        f"{trained if pictures['defender'] else 'was made elsewhere'} so "
        f"that a cloud service can tell {listed(run.public)}, while {listed(run.private)} should "
        f"stay unread. Fresh attackers then learned from {count('attacker')} that the encoder "
        f"never saw, and everything was scored once on {count('test')}.{missing}"
    )


def _finding(comparison: Comparison, configuration: Configuration) -> Finding:
    sentences, outcomes = [], []
    for subject in subjects(comparison):
        readings = _readings(comparison, configuration, subject)
        if subject.role == "public":
            sentences += [_utility(subject, readings, configuration.defended)] if readings else []
            continue
        outcomes.append(status(readings))
        sentences.append(_leakage(subject, readings, configuration.defended))
    return Finding(
        configuration.label,
        gravest(outcomes) if configuration.defended else BASELINE,
        tuple(sentences),
    )


def _utility(subject: Subject, readings: Sequence[Reading], defended: bool) -> str:
    value = mean([r.result.value for r in readings])
    ceiling = mean([value_of(r.ceiling) for r in readings])
    said = f"The service tells {subject.name} at {number(subject.metric, value)}{PER_CENT}"
    if not defended:
        return f"{said}."
    if ceiling is None:
        return f"{said}; no undefended encoder stands beside it."
    return f"{said} (undefended: {number(subject.metric, ceiling)}{PER_CENT})."


def _leakage(subject: Subject, readings: Sequence[Reading], defended: bool) -> str:
    image, metric = subject.role == "image", subject.metric
    what = "Faces" if image else subject.name
    if not readings:
        return f"{what}: no fresh attacker was let loose on this."
    unit = PER_CENT if metric in PERCENT else ""
    value = mean([r.result.value for r in readings])
    believed = mean([value_of(r.in_game) for r in readings])
    several = len(readings) > 1
    figure = number(metric, value) + unit
    if not several:
        figure = with_interval(readings[0].result).replace(" (", f"{unit} (", 1)
    if image:
        read_as = f"fresh attackers rebuild at MS-SSIM {figure}"
    else:
        read_as = f"fresh attackers read {figure}"
    if several:
        read_as += f" (mean of {len(readings)} seeds)"
    if not defended:
        return f"{what}: {read_as}."
    game = f"the game’s own adversary ended at {number(metric, believed)}{unit}, "
    sentence = f"{what}: {game if believed is not None else ''}{read_as}"
    return sentence + _outcome(subject, readings, unit)


def _outcome(subject: Subject, readings: Sequence[Reading], unit: str) -> str:
    floor = mean([value_of(r.floors.get(LABEL_ONLY)) for r in readings])
    at = f"label-only floor of {number(subject.metric, floor)}{unit}"
    outcome = status(readings)
    if outcome == BROKEN:
        return ". Attackers who learned from shuffled pairs read it too: the audit is broken."
    if outcome == LEAK:
        leaks = [r.evidence.leak for r in readings if r.evidence.leak]
        if len(readings) > 1:
            return f", a leak above the {at}, under {len(leaks)} of {len(readings)} seeds."
        by = difference(subject.metric, leaks[0].value, leaks[0].low, leaks[0].high)
        given = f" to whoever is given the {leaks[0].given} too" if leaks[0].given else ""
        return f", a leak{given}: {by} above the {at}."
    if outcome == NO_LEAK:
        return f". No leak above the {at} was found by these attackers."
    if outcome == NOT_ATTACKED:
        return f". Nothing was paired with the {at}: audit this run again."
    if any(r.evidence.ceiling is None for r in readings):
        return (
            f". That is not above the {at}, but no undefended encoder was attacked beside it: "
            "whether these attackers can tell at all is open."
        )
    weak = "even raw pictures do not give it away to these attackers"
    if outcome == TOO_WEAK:
        weak = "neither is the undefended encoder clearly: the attack is too weak to tell"
    return f". That is not above the {at}, but {weak}."
