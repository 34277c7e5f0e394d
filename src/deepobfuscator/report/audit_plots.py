"""The drawings of an audit's page; looks are the style sheet's."""

import math
from collections.abc import Sequence

from markupsafe import Markup

from deepobfuscator.auditing.leakage import Status
from deepobfuscator.report.formatting import (
    METRICS,
    excess_text,
    figure_text,
    number,
    value_of,
    with_unit,
)
from deepobfuscator.report.plots import FOOT, HEAD, LEFT, RIGHT, WIDTH
from deepobfuscator.report.subjects import Role, SubjectReport, Undeclared
from deepobfuscator.report.svg import Axis, Sheet, tick_label

NAMES, LANE = 116.0, 17.0
"""Where the axis begins, right of a column of names; height of an attacker."""

LONGEST_NAME = 19

SMALL_WIDTH, SMALL_HEIGHT = 180.0, 84.0
"""Size of one of many small drawings."""

BRIEF_WIDTH, BRIEF_LANE, BRIEF_RIGHT = 560.0, 40.0, 380.0
"""Width of the drawing in a notebook, height of a subject, where its bar ends."""


def brief(subjects: Sequence[SubjectReport]) -> Markup:
    """A bar for each subject from its floor to its ceiling; figure and interval where they lie."""
    shown = [(s, s.result) for s in subjects if s.result]
    sheet = Sheet(BRIEF_WIDTH, BRIEF_LANE * len(shown) + 4, "What is told and what leaks")
    for i, (subject, result) in enumerate(shown):
        y, metric = BRIEF_LANE * (i + 0.5), subject.metric
        public, status = subject.role is Role.PUBLIC, subject.status
        colour = {Status.LEAK: "alarm", Status.BROKEN: "alarm", Status.NO_LEAK: "calm"}
        kind = "calm" if public else colour.get(status, "plain")
        kind = "alarm" if subject.useless else kind
        floor, ceiling = subject.baseline, subject.ceiling.value if subject.ceiling else 1.0
        lowest = floor or 0.0
        at = Axis(lowest, max(ceiling, lowest + 1e-6), NAMES, BRIEF_RIGHT)
        sheet.row_name(0, y + 4, subject.called, LONGEST_NAME, "name")
        sheet.rect(NAMES, y - 5, BRIEF_RIGHT, y + 5, "track")
        sheet.line(at(result.low), y, at(result.high), y, f"interval {kind}")
        sheet.dot(at(result.value), y, 5.5, f"dot {kind}", figure_text(result))
        begins = "0" if floor is None else f"floor {number(metric, floor)}"
        ends = f"{'ceiling ' if subject.ceiling else ''}{number(metric, ceiling)}"
        sheet.text(NAMES, y + 17, begins, "tick")
        sheet.text(BRIEF_RIGHT, y + 17, ends, "tick", "end")
        sheet.text(BRIEF_RIGHT + 12, y + 4, with_unit(metric, result.value), "name")
        sheet.text(BRIEF_RIGHT + 72, y + 4, subject.told, f"tick {kind}")
    return sheet.markup()


def attackers(subject: SubjectReport) -> Markup:
    """Every attacker of the common threat model, between its floors and its ceiling."""
    metric, maximum = subject.metric, subject.maximum
    ceiling, in_game = subject.ceiling, subject.in_game
    headline = subject.headline.attack if subject.headline else ""
    common = sorted(subject.common, key=lambda a: a.name != headline)
    bottom = HEAD + LANE * (len(common) + bool(maximum) + bool(in_game)) + 6
    lows = [a.figures[metric].low for a in common]
    beside = [value_of(f) for f in (*subject.floors.values(), ceiling, in_game)]
    at = Axis.of(metric, [*lows, *beside], NAMES, RIGHT)
    title = f"{subject.called}: {METRICS[metric]} of every attacker"
    sheet = Sheet(WIDTH, bottom + FOOT, title)
    at.rule(sheet, metric, HEAD, bottom)
    if subject.floor is not None:
        sheet.rect(NAMES, HEAD, at(subject.floor), bottom, "floor")
        sheet.text(NAMES, 27, f"floor {number(metric, subject.floor)}", "reference")
    if ceiling:
        x = at(ceiling.value)
        sheet.line(x, HEAD - 2, x, bottom, "ceiling")
        words = f"ceiling {number(metric, ceiling.value)}"
        sheet.text(x, 12, words, "reference", "end" if x > (NAMES + RIGHT) / 2 else "start")
    y = HEAD + LANE / 2 + 3
    for attacker in common:
        first, figure = attacker.name == headline, attacker.figures[metric]
        colour, thin, radius = ("hue0", "", 5.5) if first else ("plain", "thin ", 3.5)
        sheet.row_name(0, y + 4, attacker.name, LONGEST_NAME, "headline" if first else "")
        sheet.line(at(figure.low), y, at(figure.high), y, f"interval {thin}{colour}")
        tip = f"{attacker.name}: {figure_text(figure)}, {figure.n:,} pictures"
        sheet.dot(at(figure.value), y, radius, f"dot {colour}", tip)
        y += LANE
    if maximum:
        sheet.row_name(0, y + 4, "upper bound", LONGEST_NAME)
        sheet.line(at(maximum.value), y, at(maximum.high), y, "bound hue0")
        sheet.line(at(maximum.high), HEAD + 3, at(maximum.high), y + 6, "maximum hue0")
        y += LANE
    if in_game:
        sheet.row_name(0, y + 4, "in the game", LONGEST_NAME)
        tip = f"the game's own adversary: {number(metric, in_game.value)}"
        sheet.dot(at(in_game.value), y, 4, "hollow plain", tip)
    return sheet.markup()


def budget(subject: SubjectReport) -> Markup:
    """The headline figure against labelled inputs (logarithmic), with floor and ceiling."""
    metric, points, floor = subject.metric, subject.budget, subject.floor
    left, top, bottom = LEFT + 28, 16.0, 150.0
    x = Axis(math.log(points[0][0]), math.log(points[-1][0]), left + 14, RIGHT - 20)
    y = Axis.of(metric, [floor, *(r.low for _, r in points)], bottom, top)
    title = f"{subject.called}: {METRICS[metric]} by labelled pictures"
    sheet = Sheet(WIDTH, bottom + 36, title)
    for tick in y.ticks:
        sheet.line(left, y(tick), RIGHT, y(tick), "grid")
        sheet.text(left - 5, y(tick) + 4, tick_label(metric, tick), "tick", "end")
    if floor is not None:
        sheet.rect(left, y(floor), RIGHT, bottom, "floor")
        sheet.text(RIGHT - 3, bottom - 5, f"floor {number(metric, floor)}", "reference", "end")
    if ceiling := subject.ceiling:
        sheet.line(left, y(ceiling.value), RIGHT, y(ceiling.value), "ceiling")
        words = f"ceiling {number(metric, ceiling.value)}"
        sheet.text(left + 3, y(ceiling.value) - 4, words, "reference")
    places = [(x(math.log(count)), count, r) for count, r in points]
    sheet.curve([(at, y(r.value)) for at, _, r in places], "loss hue0")
    for at, count, r in places:
        sheet.line(at, y(r.low), at, y(r.high), "interval hue0")
        tip = f"{count:,} pictures: {figure_text(r)} by {r.attack}"
        sheet.dot(at, y(r.value), 4.5, "dot hue0", tip)
        sheet.text(at, bottom + 15, f"{count:,}", "tick", "middle")
    sheet.text((left + RIGHT) / 2, bottom + 31, "labelled pictures", "tick", "middle")
    return sheet.markup()


def undeclared(ranked: Sequence[Undeclared]) -> Markup:
    """Bars of excess with intervals, the largest on top; those that leak in colour."""
    lane = 16.0
    bottom = 8 + lane * len(ranked)
    lowest = min(0.0, *(u.excess.low for u in ranked))
    highest = max(0.05, *(u.excess.high for u in ranked))
    step = next(s for s in (0.02, 0.05, 0.1, 0.2, 0.5) if (highest - lowest) / s <= 6)
    first, last = math.floor(lowest / step), math.ceil(highest / step)
    at = Axis(first * step, last * step, NAMES, RIGHT)
    sheet = Sheet(WIDTH, bottom + FOOT, "Excess of every attribute that the task does not name")
    for i in range(first, last + 1):
        x, label = at(i * step), tick_label("accuracy", i * step)
        sheet.line(x, 4, x, bottom, "grid" if i else "phase")
        sheet.text(x, bottom + 15, label, "tick", "middle")
    for i, u in enumerate(ranked):
        y, colour, kind = 8 + lane * (i + 0.5), "plain", ""
        if u.leaks:
            colour, kind = "alarm", "headline"
        sheet.row_name(0, y + 4, u.name, LONGEST_NAME, kind)
        start, end = sorted((at(0), at(u.excess.value)))
        sheet.rect(start, y - 5, end, y + 5, f"bar {colour}")
        sheet.line(at(u.excess.low), y, at(u.excess.high), y, f"whisker {colour}")
        tip = f"{u.name}: {excess_text(u.excess)}, Holm p {u.p_holm:.2g}"
        sheet.dot(at(u.excess.value), y, 2.5, f"dot {colour}", tip)
    return sheet.markup()


def epochs(scores: Sequence[float], low: float, high: float, title: str) -> Markup:
    """Validation score by epoch, higher is better, on an axis from ``low`` to ``high``."""
    bottom, right = SMALL_HEIGHT - 18, SMALL_WIDTH - 40
    x = Axis(0.0, max(len(scores) - 1, 1), 4.0, right)
    y = Axis(low, high if high > low else low + 1.0, bottom, 8.0)
    sheet = Sheet(SMALL_WIDTH, SMALL_HEIGHT, title)
    sheet.line(4.0, bottom, right, bottom, "grid")
    sheet.curve([(x(i), y(score)) for i, score in enumerate(scores)], "loss hue0")
    best = max(range(len(scores)), key=lambda i: scores[i])
    sheet.dot(x(best), y(scores[best]), 3, "dot hue0", f"epoch {best + 1}: {scores[best]:.4g}")
    sheet.text(right + 5, y(scores[-1]) + 4, f"{scores[-1]:.3g}".replace("-", "−"), "tick")
    many = "s" * (len(scores) > 1)
    sheet.text(right, SMALL_HEIGHT - 4, f"{len(scores)} epoch{many}", "tick", "end")
    return sheet.markup()
