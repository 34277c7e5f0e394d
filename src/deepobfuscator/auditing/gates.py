"""Gates: limits on an attacker's metrics; a CI pipeline fails if one is exceeded."""

import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from deepobfuscator.auditing.leakage import Status, best, evidence, one
from deepobfuscator.core.errors import InputError
from deepobfuscator.core.records import (
    ANY,
    CERTIFIED,
    EXCESS,
    HELD_OUT,
    IDENTITY,
    IMAGE,
    MAXIMUM,
    WITHIN,
    Record,
    ThreatKind,
    fresh,
    select,
)
from deepobfuscator.core.registry import suggest
from deepobfuscator.metrics.attributes import METRICS

ATTRIBUTE_FIGURES = (EXCESS, WITHIN, CERTIFIED, *METRICS)
OTHER_FIGURES = {
    IMAGE: ("ms_ssim", "ssim", "psnr", EXCESS, CERTIFIED),
    IDENTITY: ("auc", "rank1", EXCESS, CERTIFIED),
}
"""Metrics that may be gated for subjects other than attributes."""

PASSED, EXCEEDED, WEAK = "passed", "exceeded", "attack too weak"
UNCERTIFIED = "nothing certified"

FORM = re.compile(r"\s*(?P<subject>.+)\.(?P<metric>\w+)\s*>\s*(?P<limit>\S+)\s*")


@dataclass(frozen=True)
class Outcome:
    """The outcome of one gate."""

    rule: str
    """The gate as text."""
    upper: float | None
    """Upper bound that was compared with the limit; None if there was no attack."""
    outcome: str
    """``passed``, ``exceeded``, ``attack too weak`` or ``nothing certified``."""


@dataclass(frozen=True)
class Gate:
    """``subject.metric > limit``: fails if the upper bound is above the limit."""

    subject: str
    """An attribute, ``image`` or ``identity``."""
    metric: str
    """One of the subject's metrics."""
    limit: float
    """In the metric's unit: fractions, not per cent; PSNR in dB."""

    def __str__(self) -> str:
        return f"{self.subject}.{self.metric} > {self.limit:.15g}"

    def check(self, audited: Collection[str]) -> None:
        """Raise InputError if the subject is not among the ``audited``."""
        if self.subject not in audited:
            near = suggest(self.subject, list(audited)) if audited else "no subject was"
            raise InputError(f"gate {str(self)!r}: {self.subject!r} is not audited; {near}")

    def judge(self, records: Sequence[Record]) -> Outcome:
        """Compare the upper bound with the limit; ``records`` are those of one run.

        The bound is that of the maximum over all attackers, simultaneous if the audit kept it. If
        it is below the limit, the gate passes only if the attackers could have found a leak; so it
        does not pass if none could be run (on unknown identities, say). A certificate needs no
        attacker.
        """
        subject, metric = self.subject, self.metric
        if metric == CERTIFIED:
            proved = select(
                records, attack=ANY, subject=subject, metric=metric, split=HELD_OUT, given=""
            )
            if not proved:
                return Outcome(str(self), None, UNCERTIFIED)
            bound = proved[0].value
            return Outcome(str(self), bound, EXCEEDED if bound > self.limit else PASSED)
        maximum = one(records, attack=MAXIMUM, subject=subject, metric=metric)
        reached = [maximum] if maximum else fresh(records, subject, metric)
        reached += fresh(records, subject, metric, ThreatKind.AVERAGED)
        labelled = metric in (EXCESS, WITHIN)
        found = evidence(records, subject)
        beside = [best(records, subject, metric, ThreatKind.LABELS)] if labelled else []
        beside += [found.person, found.insider] if metric == EXCESS else []
        reached += filter(None, beside)
        upper = max((r.high for r in reached), default=None)
        if upper is not None and upper > self.limit:
            return Outcome(str(self), upper, EXCEEDED)
        able = found.status in (Status.LEAK, Status.NO_LEAK)
        return Outcome(str(self), upper, PASSED if able and upper is not None else WEAK)


def parse_gate(text: str) -> Gate:
    """Read a gate such as ``Male.excess > 0.05``.

    Raises:
        InputError: not of that form, an unknown metric, or a limit that no value can exceed.
    """
    found = FORM.fullmatch(text)
    if not found:
        raise InputError(
            f"gate {text!r}: write SUBJECT.METRIC > NUMBER, as in 'Male.excess > 0.05'"
        )
    subject, metric = found["subject"].strip(), found["metric"]
    known = OTHER_FIGURES.get(subject, ATTRIBUTE_FIGURES)
    if metric not in known:
        raise InputError(
            f"gate {text!r}: {subject} has no metric {metric!r}; {suggest(metric, list(known))}"
        )
    try:
        limit = float(found["limit"])
    except ValueError:
        limit = math.nan
    if not math.isfinite(limit):
        raise InputError(f"gate {text!r}: {found['limit']!r} is not a number, as in 0.05")
    in_db = metric == "psnr" or (subject, metric) == (IMAGE, CERTIFIED)
    if not in_db and not -1 <= limit <= 1:
        raise InputError(
            f"gate {text!r}: {metric} never exceeds 1; write 5 % as 0.05, not {limit:g}"
        )
    return Gate(subject, metric, limit)
