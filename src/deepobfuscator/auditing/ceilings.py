"""The ceiling of an audit: what the same attackers reach on the undefended encoder, and whether
that makes them a positive control.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from deepobfuscator.auditing.config import Target
from deepobfuscator.core.records import (
    CEILING,
    EXCESS,
    GAIN,
    IDENTITY,
    IMAGE,
    OVER_SERVICE,
    P_HOLM,
    SERVICE,
    Record,
    ThreatKind,
    headline,
    headline_metric,
    select,
)


def ceilings(target: Target, records: Sequence[Record]) -> list[Record]:
    """The undefended encoder's headline for every subject and metric, and its service's figures."""
    mine, found = _identity_of(target), list[Record]()
    source = records if target.ceiling is None else target.ceiling[1]
    for subject in (*target.task.private, *target.data.undeclared, IMAGE, IDENTITY):
        try:
            best = headline(source, subject, headline_metric(subject))
        except KeyError:
            continue
        control = positive_control(source, subject)
        if target.ceiling is not None and subject == IDENTITY:
            found += known_of_raw(target, source)
        found += [
            replace(r, **mine, attack=CEILING)
            for r in source
            if r in control
            or (
                (r.subject, r.attack, r.split) == (subject, best.attack, "test")
                and r.threat.kind is ThreatKind.COMMON
                and r.metric not in (P_HOLM, OVER_SERVICE, GAIN)
            )
        ]
    if target.ceiling is not None:
        found += [
            replace(r, **mine, attack=CEILING)
            for r in select(source, attack=SERVICE)
            if r.subject in target.task.public
        ]
    return found


def known_of_raw(target: Target, source: Sequence[Record]) -> list[Record]:
    """Re-identification from raw inputs, measured at the ceiling: it involves no encoder."""
    return [
        replace(r, **_identity_of(target))
        for r in select(source, subject=IDENTITY, given=str(ThreatKind.RAW))
    ]


def _identity_of(target: Target) -> dict[str, Any]:
    """The fields by which a record belongs to the audited trial."""
    setting = target.setting
    return {"trial": target.key, "defence": target.defence.name, "seed": setting.seed}


def positive_control(records: Sequence[Record], subject: str) -> list[Record]:
    """Records of a ceiling: attacks on raw inputs, and what the strongest attacker gained from the
    last doubling of its budget.
    """
    about = [r for r in records if r.subject == subject and r.attack != CEILING]
    found = select(about, metric=EXCESS, given=str(ThreatKind.RAW))
    own = {
        r.attack: r.value
        for r in select(about, split="validation", given="")
        if r.metric == headline_metric(subject)
    }
    gains = select(about, metric=GAIN, split="test")
    strongest = max(gains, key=lambda r: own.get(r.attack, 0.0), default=None)
    return found if strongest is None else [*found, strongest]
