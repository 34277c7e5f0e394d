"""One audit in words: what was tested, what leaked and by how much, what was not tried."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from deepobfuscator.auditing.leakage import (
    BROKEN,
    CANNOT_TELL,
    LEAK,
    NO_LEAK,
    NOT_ATTACKED,
    TOO_WEAK,
    gravest,
)
from deepobfuscator.core.records import IDENTITY, IMAGE
from deepobfuscator.report.formatting import METRICS, PERCENT, difference, interval, listed

Subject = Mapping[str, Any]
"""A subject of the summary that was to be attacked."""

CALLED = {IMAGE: "faces", IDENTITY: "identity"}

MOST_NAMES = 4
"""A sentence names at most so many things."""


def judge_audit(
    notes: Mapping[str, Any], subjects: Sequence[Subject], undeclared: Sequence[Mapping[str, Any]]
) -> dict[str, str]:
    """``status`` (the gravest), ``title`` (one clause) and ``line`` (some sentences).

    Args:
        notes: what the audit noted beside its figures.
        subjects: all subjects of the summary.
        undeclared: its attributes that the task does not name, by excess.
    """
    attacked = [s for s in subjects if s["role"] != "public"]
    status = gravest(s["status"] for s in attacked)
    line = [_tested(notes, attacked)]
    for outcome, sentence in SENTENCES.items():
        if found := [s for s in attacked if s["status"] == outcome]:
            line.append(sentence(found))
    line += [_beyond(undeclared)] if undeclared else []
    if not_tried := [n["what"] for n in notes.get("not_tried", [])]:
        line.append(f"Not tried: {listed(few(not_tried))}.")
    return {"status": status, "title": _title(status, attacked), "line": " ".join(line)}


def called(subject: Subject) -> str:
    """How a sentence calls a subject."""
    return CALLED.get(subject["name"], str(subject["name"]))


def figure_text(metric: str, figure: Mapping[str, Any]) -> str:
    """A figure with its unit and interval: 79.3 % (78.2–80.4), .412 (.401–.423)."""
    text = interval(metric, figure["value"], figure["low"], figure["high"])
    return text.replace(" (", "\N{NO-BREAK SPACE}% (", 1) if metric in PERCENT else text


def excess_text(metric: str, figure: Mapping[str, Any]) -> str:
    """A difference of figures of ``metric`` with its interval: +24.2 points (+22.1 to +26.3)."""
    return difference(metric, figure["value"], figure["low"], figure["high"])


def few(names: Sequence[str]) -> list[str]:
    """The names, or the first of them and how many more there are."""
    if len(names) <= MOST_NAMES:
        return list(names)
    return [*names[: MOST_NAMES - 1], f"{len(names) - MOST_NAMES + 1} more"]


def _title(status: str, attacked: Sequence[Subject]) -> str:
    names = few([called(s) for s in attacked if s["status"] == status])
    what = listed(names, "or")
    return {
        BROKEN: "This audit is broken: its negative control leaks",
        LEAK: f"Fresh attackers learn more of {listed(names)} than the public labels tell",
        CANNOT_TELL: f"These attackers cannot tell whether anything of {what} leaks",
        TOO_WEAK: f"These attackers are too weak to tell whether anything of {what} leaks",
        NOT_ATTACKED: f"Nobody attacked {what or 'anything'}: nothing can be said yet",
        NO_LEAK: f"These attackers found no leak of {what}",
    }[status]


def _tested(notes: Mapping[str, Any], attacked: Sequence[Subject]) -> str:
    attackers = {(s["role"], a["name"]) for s in attacked for a in s["attackers"] if not a["given"]}
    scored = [s["headline"] for s in attacked if s["headline"]]
    if not scored:
        return "No fresh attacker was let loose."
    largest = max(scored, key=lambda f: f["n"])
    suite = f" of the suite “{notes['suite']}”" if notes.get("suite") else ""
    were = "attackers were" if len(attackers) > 1 else "attacker was"
    were = f"{suite} ".join(were.split(" "))
    people = f" of {largest['n_people']:,} people" if largest["n_people"] else ""
    return f"{len(attackers)} fresh {were} scored once on {largest['n']:,} test pictures{people}."


def _leaks(found: Sequence[Subject]) -> str:
    said = []
    for subject in found:
        metric, excess, given = subject["metric"], subject["excess"], ""
        if excess["low"] <= 0:
            excess, given = subject["excess_given_labels"], " once these labels are given too"
        reached = figure_text(metric, subject["headline"]).split(" (")[0]
        by = f"{excess_text(metric, excess)}{given}"
        said.append(f"{called(subject)} {by}, to {METRICS[metric]} {reached}")
    return f"Leaks above what the public labels alone give: {'; '.join(few(said))}."


def _no_leaks(found: Sequence[Subject]) -> str:
    said = []
    for subject in found:
        most = subject["maximum_excess"] or subject["excess"]
        bound = excess_text(subject["metric"], most | {"value": most["high"]}).split(" (")[0]
        said.append(f"{called(subject)} (at most {bound})")
    return f"No leak was found by these attackers of {listed(few(said), 'or')}."


def _too_weak(found: Sequence[Subject]) -> str:
    why = "the same attackers do not clearly read it from the undefended encoder either"
    if all(s["ceiling_excess"] is None for s in found):
        why = "no ceiling shows that these attackers could read it at all"
    return f"Too weak to tell about {_names(found)}: {why}."


def _names(found: Sequence[Subject]) -> str:
    return listed(few([called(s) for s in found]), "or")


SENTENCES: dict[str, Callable[[Sequence[Subject]], str]] = {
    BROKEN: lambda found: (
        f"Attackers who learned from shuffled pairs read {_names(found)} too, "
        "so that no figure of this audit counts."
    ),
    LEAK: _leaks,
    CANNOT_TELL: lambda found: (
        f"Cannot tell about {_names(found)}: even raw pictures do not give it away "
        "to these attackers."
    ),
    TOO_WEAK: _too_weak,
    NOT_ATTACKED: lambda found: f"Not attacked: {listed(few([called(s) for s in found]))}.",
    NO_LEAK: _no_leaks,
}
"""What is said of the subjects of each outcome, gravest first."""


def _beyond(undeclared: Sequence[Mapping[str, Any]]) -> str:
    leaking = [u for u in undeclared if u["leaks"]]
    among = f"Of {len(undeclared)} attributes that the task does not name"
    if not leaking:
        return f"{among}, none was found to leak."
    by = excess_text("balanced_accuracy", leaking[0]["excess"])
    return f"{among}, {len(leaking)} leak; most of all {leaking[0]['name']}, {by}."
