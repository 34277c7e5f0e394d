"""Rows of an exhibit, from the records of the runs it shows."""

from collections.abc import Sequence
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
    attack: str | None = None,
) -> list[Row]:
    """What ``runs``, one trial under several seeds, say of some subjects.

    Args:
        runs: finished runs; none gives no row.
        key: what was measured.
        wanted: subjects and metrics; one of which no run has a figure gives no row.
        panel: part of the exhibit.
        attack: one attacker instead of the headline, its in-game namesake left out; or
            `Reference.IN_GAME`, the game's own adversary only.
    """
    found = []
    for figure in wanted:
        held = [row for run in runs if (row := of_run(run, key, figure, attack)) is not None]
        if not held:
            continue
        known = {
            name: [v for row in held if (v := getattr(row, name)) is not None]
            for name in ("in_game", "fresh", "low", "high")
        }
        row = replace(
            held[0],
            panel=panel,
            in_game=do.mean(known["in_game"]),
            fresh=do.mean(known["fresh"]),
            low=min(known["low"], default=None),
            high=max(known["high"], default=None),
            attacker=", ".join(dict.fromkeys(row.attacker for row in held if row.attacker)),
            majority=do.mean([row.majority for row in held]),
            label_only=do.mean([row.label_only for row in held]),
            ceiling=do.mean([row.ceiling for row in held]),
            seeds=len(held),
        )
        found.append(row)
    return found


def of_run(run: do.RunResult, key: RowKey, figure: Figure, attack: str | None) -> Row | None:
    """The row of one run; None if it has neither a new attacker's figure nor one in the game."""
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
        with suppress(KeyError):  # no attacker was scored
            common = (r for r in run.records if r.attack in COMMON)
            result = do.headline(common, subject, metric)
    in_game = value(Reference.IN_GAME) if attack in (None, Reference.IN_GAME) else None
    if result is None and in_game is None:
        return None
    row = Row(
        panel=Panel(),
        row=key,
        subject=subject,
        metric=metric,
        service=service,
        in_game=in_game,
        majority=value(Reference.MAJORITY, Reference.MEAN_FACE),
        label_only=value(Reference.LABEL_ONLY),
        ceiling=None if service else value(Reference.CEILING),
    )
    if result is None:
        return row
    by = "" if service else result.attack
    return replace(row, fresh=result.value, low=result.low, high=result.high, attacker=by)


def make_curves(run: do.RunResult, panel: Panel, losses: Sequence[str], game: str) -> list[Curve]:
    """The losses of one run through its phases; ``game`` is the phase of the game itself."""
    history = [h for h in run.history if "losses" in h]
    first = next((i for i, h in enumerate(history) if h["phase"] == game), 0)
    start = float(history[first - 1]["batch"]) if first else 0.0
    found = []
    for name in losses:
        held = [h for h in history if name in h["losses"]]
        points = tuple((float(h["batch"]), float(h["losses"][name])) for h in held)
        found += [Curve(panel, name, points, start)] if points else []
    return found
