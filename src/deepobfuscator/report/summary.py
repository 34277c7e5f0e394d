"""The summary of one audit: everything its page shows, as one JSON object (see schema.json)."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deepobfuscator.auditing.leakage import best, evidence, one
from deepobfuscator.core.files import write_atomic
from deepobfuscator.core.records import (
    CEILING,
    EXCESS,
    FLOORS,
    IDENTITY,
    IMAGE,
    IN_GAME,
    MAXIMUM,
    OVER_SERVICE,
    P_HOLM,
    REFERENCES,
    SERVICE,
    Record,
    group,
    headline_metric,
    select,
)
from deepobfuscator.report.audit_verdict import judge_audit
from deepobfuscator.report.runs import RunResult

FORMAT = "deepobfuscator-audit/1"

SIGNIFICANT = 0.05
"""An undeclared attribute leaks where Holm's p is below this."""

BUDGET = re.compile(r"(\d+) pictures")
"""`Record.given` of an attacker with few labelled pictures."""

FIELDS = ("attack", "value", "low", "high", "n", "n_people", "detail")


def write_summary(run: RunResult, path: Path) -> None:
    """Write the summary of an audited run as JSON."""
    write_atomic(path, (json.dumps(summarise(run), indent=1, ensure_ascii=False) + "\n").encode())


def summarise(run: RunResult) -> dict[str, Any]:
    """Everything there is to say of one audited run, in plain JSON types.

    Figures are fractions, PSNR is in dB; ``low`` and ``high`` are the ends of 95 % intervals.
    """
    notes = run.notes
    subjects = _subjects(run)
    undeclared = _undeclared(run, [s["name"] for s in subjects])
    return {
        "format": FORMAT,
        "verdict": judge_audit(notes, subjects, undeclared),
        "target": notes.get("target"),
        "ceiling": notes.get("ceiling"),
        "task": {"public": list(run.public), "private": list(run.private)},
        "data": {
            "source": run.trial["source"]["name"],
            "size": list(run.trial["setting"]["size"]),
            "parts": notes.get("parts", {}),
        },
        "suite": notes.get("suite", ""),
        "subjects": subjects,
        "undeclared": undeclared,
        "convergence": {"curves": notes.get("curves", []), "doubled": notes.get("doubled", [])},
        "not_tried": notes.get("not_tried", []),
        "gates": notes.get("gates", []),
        "command": notes.get("command", ""),
        "seconds": notes.get("seconds"),
        "versions": run.card["versions"],
    }


def _subjects(run: RunResult) -> list[dict[str, Any]]:
    measured = {r.subject for r in run.records}
    return [
        *(_public(run.records, name) for name in run.public),
        *(_attacked(run, name, "private") for name in run.private),
        *(_attacked(run, name, name) for name in (IMAGE, IDENTITY) if name in measured),
    ]


def _public(records: Sequence[Record], name: str) -> dict[str, Any]:
    metrics = ("accuracy", "balanced_accuracy", "auc", "mcc")
    found = {m: one(records, attack=SERVICE, subject=name, metric=m) for m in metrics}
    return {
        "name": name,
        "role": "public",
        "metric": "accuracy",
        "service": {m: _figure(r) for m, r in found.items() if r} or None,
        "floors": _floors(records, name, "accuracy"),
        "ceiling": _figure(one(records, attack=CEILING, subject=name, metric="accuracy")),
    }


def _attacked(run: RunResult, name: str, role: str) -> dict[str, Any]:
    records, metric = run.records, headline_metric(name)
    found = evidence(records, name, run.notes.get("ceiling") == "raw")

    def reference(attack: str, metric: str = metric) -> dict[str, Any] | None:
        return _figure(one(records, attack=attack, subject=name, metric=metric))

    return {
        "name": name,
        "role": role,
        "metric": metric,
        "status": found.status,
        "headline": _figure(best(records, name, metric)),
        "maximum": reference(MAXIMUM),
        "floors": _floors(records, name, metric),
        "ceiling": reference(CEILING),
        "in_game": reference(IN_GAME),
        "excess": _figure(found.excess),
        "maximum_excess": reference(MAXIMUM, EXCESS),
        "excess_given_labels": _figure(found.given_labels),
        "excess_over_service": _figure(best(records, name, OVER_SERVICE)),
        "ceiling_excess": _figure(found.ceiling),
        "worst": _figure(best(records, name, "ms_ssim_worst")),
        "attackers": _attackers(records, name, metric),
        "budget": _budget(run, name, metric),
    }


def _floors(records: Sequence[Record], name: str, metric: str) -> dict[str, Any]:
    found = {f: one(records, attack=f, subject=name, metric=metric) for f in FLOORS}
    return {f: _figure(r) for f, r in found.items() if r}


def _attackers(records: Sequence[Record], name: str, metric: str) -> list[dict[str, Any]]:
    """Every fresh attacker, those with a budget apart; the best on test first."""
    about = [r for r in records if r.subject == name and r.attack not in REFERENCES]
    attackers = []
    for (attack, given), found in group(about, lambda r: (r.attack, r.given)).items():
        own = next((r for r in found if (r.split, r.metric) == ("validation", metric)), None)
        figures = {r.metric: _figure(r) for r in found if r.split == "test"}
        if metric in figures and not BUDGET.fullmatch(given):
            attackers.append(
                {
                    "name": attack,
                    "given": given,
                    "figures": figures,
                    "own_validation": own.value if own else None,
                }
            )
    return sorted(attackers, key=lambda a: (a["given"], -a["figures"][metric]["value"]))


def _budget(run: RunResult, name: str, metric: str) -> list[dict[str, Any]]:
    """The best of the same attackers for each number of labelled pictures, fewest first."""
    about = select(run.records, subject=name)
    few = [(r, int(m[1])) for r in about if (m := BUDGET.fullmatch(r.given))]
    sizes = {r.given: n for r, n in few}
    mine = [r for r in about if r.attack in {f.attack for f, _ in few}]
    attacker = run.notes.get("parts", {}).get("attacker")
    if sizes and attacker:
        sizes[""] = attacker["pictures"]
    found = [(n, best(mine, name, metric, given)) for given, n in sizes.items()]
    points = [
        {"pictures": n, "attack": r.attack, "figure": _figure(r)} for n, r in found if r is not None
    ]
    return sorted(points, key=lambda p: p["pictures"]) if len(points) > 1 else []


def _undeclared(run: RunResult, declared: Sequence[str]) -> list[dict[str, Any]]:
    """Attributes that the task does not name, by excess."""
    found = []
    for name in dict.fromkeys(r.subject for r in run.records if r.subject not in declared):
        excess = best(run.records, name, EXCESS)
        p = next(iter(select(run.records, subject=name, metric=P_HOLM)), None)
        if excess is not None and p is not None:
            found.append(
                {
                    "name": name,
                    "headline": _figure(best(run.records, name, headline_metric(name))),
                    "excess": _figure(excess),
                    "p_holm": p.value,
                    "leaks": p.value < SIGNIFICANT and excess.value > 0,
                }
            )
    return sorted(found, key=lambda u: -u["excess"]["value"])


def _figure(record: Record | None) -> dict[str, Any] | None:
    return None if record is None else {name: getattr(record, name) for name in FIELDS}
