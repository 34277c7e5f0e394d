"""Rows of an exhibit, from the records of the runs it shows."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

import deepobfuscator as do
from deepobfuscator.paper.keys import Panel, Reference, RowKey
from deepobfuscator.paper.render.exhibit import Curve, Row

COMMON = ("ac", "mlp", "resnet", "mirror")
"""The brief suite's attackers: every row is headed by the strongest of these, whatever else was let
loose on its trial.
"""

Figure = tuple[str, str]
"""Subject and metric."""


def make_rows(
    runs: Sequence[do.RunResult],
    key: RowKey,
    wanted: Sequence[Figure],
    panel: Panel = Panel(),  # noqa: B008  (frozen)
    *,
    published: Mapping[Figure, float] | None = None,
    attack: str | None = None,
) -> list[Row]:
    """What ``runs``, one trial under several seeds, say of some subjects.

    Args:
        runs: finished runs; none gives no row.
        key: what was measured.
        wanted: subjects and metrics; one of which no run has a figure gives no row.
        panel: part of the exhibit.
        published: the paper's figures.
        attack: one attacker instead of the headline, its in-game namesake left out; or
            `Reference.IN_GAME`, the game's own adversary and nobody else.
    """
    found = []
    for figure in wanted:
        held = [row for run in runs if (row := of_run(run, key, figure, attack)) is not None]
        if not held:
            continue
        attackers = dict.fromkeys(row.attacker for row in held if row.attacker)
        row = replace(
            held[0],
            panel=panel,
            published=(published or {}).get(figure),
            in_game=mean([row.in_game for row in held if row.in_game is not None]),
            fresh=mean([row.fresh for row in held if row.fresh is not None]),
            low=min((row.low for row in held if row.low is not None), default=None),
            high=max((row.high for row in held if row.high is not None), default=None),
            attacker=", ".join(attackers),
            majority=mean([row.majority for row in held]),
            label_only=mean([row.label_only for row in held]),
            ceiling=mean([row.ceiling for row in held]),
            seeds=len(held),
        )
        found.append(row)
    return found


def of_run(run: do.RunResult, key: RowKey, figure: Figure, attack: str | None) -> Row | None:
    """The row of one run; None where it has neither a fresh figure nor one in the game."""
    subject, metric = figure
    about = [r for r in run.records if (r.subject, r.metric) == figure]
    tests = {r.attack: r for r in reversed(about) if r.split == "test" and not r.given}

    def value(*names: str) -> float | None:
        return next((tests[name].value for name in names if name in tests), None)

    service = subject in run.public
    result = tests.get(Reference.SERVICE if service else attack or "")
    if attack == Reference.IN_GAME:
        result = None
    elif attack is None and not service:
        with suppress(KeyError):  # nobody was scored
            common = (r for r in run.records if r.attack in COMMON)
            result = do.headline(common, subject, metric)
    in_game = value(Reference.IN_GAME) if attack in (None, Reference.IN_GAME) else None
    if result is None and in_game is None:
        return None
    return Row(
        panel=Panel(),
        row=key,
        subject=subject,
        metric=metric,
        service=service,
        in_game=in_game,
        fresh=None if result is None else result.value,
        low=None if result is None else result.low,
        high=None if result is None else result.high,
        attacker="" if result is None or service else result.attack,
        majority=value(Reference.MAJORITY, Reference.MEAN_FACE),
        label_only=value(Reference.LABEL_ONLY),
        ceiling=None if service else value(Reference.CEILING),
    )


def mean(values: Sequence[float | None]) -> float | None:
    """The mean over seeds; None where there is none, or a seed has no figure."""
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def make_curves(run: do.RunResult, panel: Panel, losses: Sequence[str], game: str) -> list[Curve]:
    """The losses of one run through its phases; ``game`` is the phase of the game itself."""
    history = [h for h in run.history if "losses" in h]
    start, last = 0.0, 0.0
    for point in history:
        if point["phase"] == game:
            start = last
            break
        last = float(point["batch"])
    found = []
    for name in losses:
        points = [
            (float(h["batch"]), float(h["losses"][name])) for h in history if name in h["losses"]
        ]
        if points:
            found.append(Curve(panel, name, tuple(points), start))
    return found
