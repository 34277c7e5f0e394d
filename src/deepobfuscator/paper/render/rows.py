"""Lines of an exhibit, from the records of the runs it shows."""

from collections.abc import Sequence

from deepobfuscator.auditing.leakage import best, one
from deepobfuscator.core.records import (
    CEILING,
    IN_GAME,
    LABEL_ONLY,
    MAJORITY,
    MEAN_FACE,
    SERVICE,
    Record,
)
from deepobfuscator.paper.render.exhibit import Curve, Line
from deepobfuscator.report.formatting import mean
from deepobfuscator.report.runs import RunResult

COMMON = ("ac", "mlp", "resnet", "mirror")
"""The brief suite's attackers: every row is headed by the strongest of these, whatever else was let
loose on its trial.
"""

OWN_AR = "in-game AR"
"""In place of an attack's name: the game's own reconstructor and nobody else."""


def lines(
    runs: Sequence[RunResult],
    row: str,
    wanted: Sequence[tuple[str, str]],
    panel: str = "",
    published: dict[tuple[str, str], float] | None = None,
    attack: str | None = None,
) -> list[Line]:
    """What ``runs``, one trial under several seeds, say of some subjects.

    Args:
        runs: finished runs; none gives no line.
        row: what was measured.
        wanted: subjects and metrics.
        panel: part of the exhibit.
        published: the paper's figures by subject and metric.
        attack: one attacker instead of the headline; its in-game namesake is left out.
    """
    found = [
        line(runs, row, subject, metric, panel, (published or {}).get((subject, metric)), attack)
        for subject, metric in wanted
    ]
    return [x for x in found if x is not None]


def line(
    runs: Sequence[RunResult],
    row: str,
    subject: str,
    metric: str,
    panel: str = "",
    published: float | None = None,
    attack: str | None = None,
) -> Line | None:
    """One line; None where no run has such a figure."""
    held = [found for run in runs if (found := of_run(run, subject, metric, attack))]
    if not held:
        return None
    of_game = [x for _, x in held if x.in_game is not None]
    results = [r for r, _ in held if r is not None]
    attackers = dict.fromkeys(r.attack for r in results)

    def average(name: str) -> float | None:
        return mean([getattr(x, name) for _, x in held])

    return Line(
        panel=panel,
        row=row,
        subject=subject,
        metric=metric,
        published=published,
        service=subject in runs[0].public,
        in_game=mean([x.in_game for x in of_game]) if of_game else None,
        fresh=mean([r.value for r in results]) if results else None,
        low=min(r.low for r in results) if results else None,
        high=max(r.high for r in results) if results else None,
        attacker="" if subject in runs[0].public else ", ".join(attackers),
        majority=average("majority"),
        label_only=average("label_only"),
        ceiling=average("ceiling"),
        seeds=len(held),
    )


def of_run(
    run: RunResult, subject: str, metric: str, attack: str | None
) -> tuple[Record | None, Line] | None:
    """The record that counts in one run, and what stands beside it; None where there is neither."""
    service = subject in run.public

    def beside(*names: str) -> float | None:
        found = [
            one(run.records, attack=n, subject=subject, metric=metric, given="") for n in names
        ]
        return next((r.value for r in found if r is not None), None)

    if service or attack == SERVICE:
        result = one(run.records, attack=SERVICE, subject=subject, metric=metric)
    elif attack == OWN_AR:
        result = None
    elif attack is not None:
        result = one(run.records, attack=attack, subject=subject, metric=metric, given="")
    else:
        common = [r for r in run.records if r.attack in COMMON]
        result = best(common, subject, metric)
    in_game = beside(IN_GAME) if attack in (None, OWN_AR) else None
    if result is None and in_game is None:
        return None
    return result, Line(
        *("", "", subject, metric),
        in_game=in_game,
        majority=beside(MAJORITY, MEAN_FACE),
        label_only=beside(LABEL_ONLY),
        ceiling=None if service else beside(CEILING),
    )


def curves(run: RunResult, panel: str, losses: Sequence[str], game: str) -> list[Curve]:
    """The losses of one run through its phases; ``game`` begins the name of the first phase of
    the game itself.
    """
    history = [h for h in run.history if "losses" in h]
    start, last = 0.0, 0.0
    for point in history:
        if str(point["phase"]).startswith(game):
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
