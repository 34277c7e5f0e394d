"""What the figures of an audit show."""

import math
from collections.abc import Sequence

from deepobfuscator.auditing.leakage import Status
from deepobfuscator.report.figures import Axis, Canvas, Plot, round_ticks, tick_label
from deepobfuscator.report.formatting import (
    METRICS,
    cell,
    excess_text,
    figure_text,
    number,
    value_of,
    with_unit,
)
from deepobfuscator.report.plots import FOOT, HEAD, RIGHT, WIDTH, bound, references
from deepobfuscator.report.subjects import Role, SubjectReport, Undeclared
from deepobfuscator.report.wording import OUTCOMES

NAMES, LANE = 150.0, 21.0
"""Where an axis begins, right of a column of names; height of a row in it."""

LONGEST_NAME = 19


def brief(subjects: Sequence[SubjectReport]) -> Plot:
    """A row for each subject from its floor to its ceiling; figure and interval in between."""
    shown = [(s, s.result) for s in subjects if s.result]
    width, lane, right = 640.0, 46.0, 420.0
    said = "; ".join(f"{s.called} {cell(r)}" for s, r in shown)

    def draw(on: Canvas) -> None:
        for i, (subject, result) in enumerate(shown):
            y, metric = lane * (i + 0.4), subject.metric
            floor, ceiling = subject.baseline, subject.ceiling.value if subject.ceiling else 1.0
            lowest, kind = floor or 0.0, _tone(subject)
            at = Axis(lowest, max(ceiling, lowest + 1e-6), NAMES, right)
            on.text(0, y + 4, subject.called, "ink", bold=True, longest=LONGEST_NAME)
            on.line([NAMES, right], [y, y], "line", 8)
            on.line([at(result.low), at(result.high)], [y, y], kind, 5, alpha=0.5)
            on.mark(at(result.value), y, kind, 10, figure_text(result))
            begins = "0" if floor is None else f"floor {number(metric, floor)}"
            ends = f"{'ceiling ' if subject.ceiling else ''}{number(metric, ceiling)}"
            on.text(NAMES, y + 20, begins)
            on.text(right, y + 20, ends, anchor="right")
            on.text(right + 12, y + 4, with_unit(metric, result.value), "ink", bold=True)
            outcome = "utility" if subject.role is Role.PUBLIC else OUTCOMES[subject.status]
            outcome = "useless" if subject.useless else outcome
            on.text(right + 84, y + 4, outcome, kind)

    return Plot(width, lane * len(shown) + 4, f"Utility and leakage: {said}", draw)


def _tone(subject: SubjectReport) -> str:
    if subject.role is Role.PUBLIC:
        return "alarm" if subject.useless else "calm"
    tones = {Status.LEAK: "alarm", Status.BROKEN: "alarm", Status.NO_LEAK: "calm"}
    return tones.get(subject.status, "plain")


def attackers(subject: SubjectReport) -> Plot:
    """Every attacker of the common threat model, between its floors and its ceiling."""
    metric, maximum = subject.metric, subject.maximum
    ceiling, in_game = subject.ceiling, subject.in_game
    headline = subject.headline.attack if subject.headline else ""
    common = sorted(subject.common, key=lambda a: a.name != headline)
    bottom = HEAD + LANE * (len(common) + bool(maximum) + bool(in_game)) + 6
    lows = [a.figures[metric].low for a in common]
    beside = [value_of(f) for f in (*subject.floors.values(), ceiling, in_game)]
    at = Axis.of(metric, [*lows, *beside], NAMES, RIGHT)
    figures = "; ".join(f"{a.name} {cell(a.figures[metric])}" for a in common)

    def draw(on: Canvas) -> None:
        at.rule(on, metric, HEAD, bottom)
        for reference in (subject.floor, value_of(ceiling)):
            if reference is not None:
                dashed = reference is not subject.floor
                at.reference(on, reference, HEAD, bottom, dashed)
        references(on, at, metric, subject.floor, value_of(ceiling), "ceiling")
        y = HEAD + LANE / 2 + 3
        for attacker in common:
            first, figure = attacker.name == headline, attacker.figures[metric]
            of, width, size = ("hue0", 5, 9) if first else ("plain", 2.5, 6)
            name = "ink" if first else "soft"
            on.text(0, y + 4, attacker.name, name, bold=first, longest=LONGEST_NAME)
            on.line([at(figure.low), at(figure.high)], [y, y], of, width, alpha=0.45)
            tip = f"{attacker.name}: {figure_text(figure)}, {figure.n:,} pictures"
            on.mark(at(figure.value), y, of, size, tip)
            y += LANE
        if maximum:
            on.text(0, y + 4, "upper bound of all")
            bound(on, at(maximum.high), at(maximum.value), y, "hue0")
            y += LANE
        if in_game:
            on.text(0, y + 4, "training adversary")
            tip = f"training adversary: {number(metric, in_game.value)}"
            on.mark(at(in_game.value), y, "plain", 8, tip, hollow=True)

    title = f"{subject.called}, {METRICS[metric]} of every attacker: {figures}"
    return Plot(WIDTH, bottom + FOOT, title, draw)


def budget(subject: SubjectReport) -> Plot:
    """The headline figure against labelled inputs (logarithmic), with floor and ceiling."""
    metric, points, floor = subject.metric, subject.budget, subject.floor
    left, top, bottom = 46.0, 22.0, 176.0
    x = Axis(math.log(points[0][0]), math.log(points[-1][0]), left + 18, RIGHT - 96)
    known = [floor, value_of(subject.ceiling), *(r.low for _, r in points)]
    y = Axis.of(metric, known, bottom, top)
    said = "; ".join(f"{count:,} pictures {cell(r)}" for count, r in points)

    def draw(on: Canvas) -> None:
        for tick in y.ticks:
            on.line([left, RIGHT], [y(tick)] * 2, "line")
            on.text(left - 6, y(tick) + 4, tick_label(metric, tick), anchor="right")
        for words, value, style in (
            ("floor", floor, "-"),
            ("ceiling", value_of(subject.ceiling), (0, (3, 2))),
        ):
            if value is not None:
                on.line([left, RIGHT], [y(value)] * 2, "soft", 1.5, linestyle=style)
                below = 16 if words == "floor" else -5
                words = f"{words} {number(metric, value)}"
                on.text(RIGHT, y(value) + below, words, anchor="right")
        places = [(x(math.log(count)), y(r.value)) for count, r in points]
        on.line([px for px, _ in places], [py for _, py in places], "hue0", 1.5)
        for (count, r), (px, py) in zip(points, places, strict=True):
            on.line([px, px], [y(r.low), y(r.high)], "hue0", 4, alpha=0.4)
            on.mark(px, py, "hue0", 7, f"{count:,} pictures: {figure_text(r)} by {r.attack}")
            on.text(px, bottom + 18, f"{count:,}", anchor="center")
        on.text((x.start + x.end) / 2, bottom + 36, "labelled pictures", anchor="center")

    title = f"{subject.called}, {METRICS[metric]} by labelled pictures: {said}"
    return Plot(WIDTH, bottom + 42, title, draw)


def undeclared(ranked: Sequence[Undeclared]) -> Plot:
    """Bars of excess with intervals, the largest on top; those that leak in colour."""
    lane = 20.0
    bottom = 8 + lane * len(ranked)
    lowest = min(0.0, *(u.excess.low for u in ranked))
    highest = max(0.05, *(u.excess.high for u in ranked))
    ticks = round_ticks(lowest, highest, 5)
    at = Axis(lowest, highest, NAMES + 8, RIGHT)
    leaking = "; ".join(f"{u.name} {excess_text(u.excess)}" for u in ranked if u.leaks)

    def draw(on: Canvas) -> None:
        for tick in ticks:
            on.line([at(tick)] * 2, [4, bottom], "soft" if abs(tick) < 1e-9 else "line")
            label = tick_label("accuracy", tick)
            on.text(at(tick), bottom + 17, label, anchor="center")
        for i, u in enumerate(ranked):
            y, of = 8 + lane * (i + 0.5), "alarm" if u.leaks else "plain"
            name = "ink" if u.leaks else "soft"
            on.text(0, y + 4, u.name, name, bold=u.leaks, longest=LONGEST_NAME)
            on.line([at(0), at(u.excess.value)], [y, y], of, 9, alpha=0.4)
            on.line([at(u.excess.low), at(u.excess.high)], [y, y], of, 1.4)
            tip = f"{u.name}: {excess_text(u.excess)}, Holm p {u.p_holm:.2g}"
            on.mark(at(u.excess.value), y, of, 5, tip)

    title = f"Attributes outside the task, points above the floor. Leaking: {leaking or 'none'}"
    return Plot(WIDTH, bottom + FOOT, title, draw)


def epochs(scores: Sequence[float], low: float, high: float, title: str) -> Plot:
    """Validation score by epoch, higher is better, on an axis from ``low`` to ``high``."""
    width, height, right = 230.0, 100.0, 172.0
    bottom, best = height - 22, max(range(len(scores)), key=lambda i: scores[i])
    x = Axis(0.0, max(len(scores) - 1, 1), 6.0, right)
    y = Axis(low, high if high > low else low + 1.0, bottom - 4, 10.0)
    final = f"{scores[-1]:.3g}".replace("-", "−")

    def draw(on: Canvas) -> None:
        on.line([6, right], [bottom, bottom], "line")
        on.line([x(i) for i in range(len(scores))], [y(s) for s in scores], "hue0", 1.5)
        tip = f"epoch {best + 1}: {scores[best]:.4g}"
        on.mark(x(best), y(scores[best]), "hue0", 6, tip)
        on.text(right + 6, y(scores[-1]) + 4, final)
        many = "s" * (len(scores) > 1)
        on.text(right, height - 5, f"{len(scores)} epoch{many}", anchor="right")

    return Plot(width, height, f"{title}: validation score {final} at the end", draw)
