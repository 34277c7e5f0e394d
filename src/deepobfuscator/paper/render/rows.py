"""Rows of an exhibit, from the records of the runs it shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from deepobfuscator import Record, RunResult, headline
from deepobfuscator.paper.keys import Panel, Reference, RowKey
from deepobfuscator.paper.render.exhibit import Curve, Row

COMMON = ("ac", "mlp", "resnet", "mirror")
"""The brief suite's attackers: every row is headed by the strongest of these, whatever else was let
loose on its trial.
"""

Figure = tuple[str, str]
"""Subject and metric."""


def make_rows(
    runs: Sequence[RunResult],
    key: RowKey,
    wanted: Sequence[Figure],
    panel: Panel = Panel(),  # noqa: B008  (frozen)
    published: Mapping[Figure, float] | None = None,
    attack: str | None = None,
) -> list[Row]:
    """What ``runs``, one trial under several seeds, say of some subjects.

    Args:
        runs: finished runs; none gives no row.
        key: what was measured.
        wanted: subjects and metrics.
        panel: part of the exhibit.
        published: the paper's figures.
        attack: one attacker instead of the headline, its in-game namesake left out; or
            `Reference.IN_GAME`, the game's own adversary and nobody else.
    """
    told = published or {}
    found = [make_row(runs, key, one, panel, told.get(one), attack=attack) for one in wanted]
    return [row for row in found if row is not None]


def make_row(
    runs: Sequence[RunResult],
    key: RowKey,
    wanted: Figure,
    panel: Panel = Panel(),  # noqa: B008  (frozen)
    published: float | None = None,
    *,
    attack: str | None = None,
) -> Row | None:
    """One row; None where no run has such a figure."""
    subject, metric = wanted
    held = [found for run in runs if (found := _Measured.of(run, subject, metric, attack))]
    if not held:
        return None
    service = subject in runs[0].public
    results = [x.result for x in held if x.result is not None]
    return Row(
        panel=panel,
        row=key,
        subject=subject,
        metric=metric,
        published=published,
        service=service,
        in_game=mean([x.in_game for x in held if x.in_game is not None]),
        fresh=mean([r.value for r in results]),
        low=min((r.low for r in results), default=None),
        high=max((r.high for r in results), default=None),
        attacker="" if service else ", ".join(dict.fromkeys(r.attack for r in results)),
        majority=mean([x.majority for x in held]),
        label_only=mean([x.label_only for x in held]),
        ceiling=mean([x.ceiling for x in held]),
        seeds=len(held),
    )


@dataclass(frozen=True)
class _Measured:
    """What one run says of a subject by a metric."""

    result: Record | None
    """The service's figure or the fresh attacker's."""
    in_game: float | None
    majority: float | None
    label_only: float | None
    ceiling: float | None

    @classmethod
    def of(
        cls, run: RunResult, subject: str, metric: str, attack: str | None
    ) -> "_Measured | None":
        """None where the run has neither a fresh figure nor one in the game."""
        about = [r for r in run.records if (r.subject, r.metric) == (subject, metric)]
        tests = {r.attack: r for r in reversed(about) if r.split == "test" and not r.given}

        def value(*names: str) -> float | None:
            return next((tests[name].value for name in names if name in tests), None)

        service = subject in run.public
        if service:
            result = tests.get(Reference.SERVICE)
        elif attack == Reference.IN_GAME:
            result = None
        elif attack is not None:
            result = tests.get(attack)
        else:
            try:
                result = headline((r for r in run.records if r.attack in COMMON), subject, metric)
            except KeyError:  # nobody was scored
                result = None
        in_game = value(Reference.IN_GAME) if attack in (None, Reference.IN_GAME) else None
        if result is None and in_game is None:
            return None
        return cls(
            result=result,
            in_game=in_game,
            majority=value(Reference.MAJORITY, Reference.MEAN_FACE),
            label_only=value(Reference.LABEL_ONLY),
            ceiling=None if service else value(Reference.CEILING),
        )


def mean(values: Sequence[float | None]) -> float | None:
    """The mean over seeds; None where there is none, or a seed has no figure."""
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def make_curves(run: RunResult, panel: Panel, losses: Sequence[str], game: str) -> list[Curve]:
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
