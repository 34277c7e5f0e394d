"""The drawings of an audit's page, from the summary's figures; looks are the style sheet's."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from deepobfuscator.report.audit_verdict import called, excess_text, figure_text
from deepobfuscator.report.figures import LEFT, RIGHT, WIDTH, scale, tick_label
from deepobfuscator.report.formatting import METRICS, number
from deepobfuscator.report.svg import Sheet

NAMES = 116.0
"""Where the axis begins, right of a column of names."""

LANE, HEAD, FOOT = 17.0, 32.0, 24.0
LONGEST_NAME = 19

SMALL_WIDTH, SMALL_HEIGHT = 180.0, 84.0
"""Size of one of many small drawings."""

Figure = Mapping[str, Any]


def attackers(subject: Mapping[str, Any]) -> Markup:
    """Every attacker of the common threat on one subject, between its floors and its ceiling."""
    metric, headline, maximum = subject["metric"], subject["headline"], subject["maximum"]
    common = [a for a in subject["attackers"] if not a["given"]]
    common.sort(key=lambda a: a["name"] != headline["attack"])
    lanes = len(common) + (maximum is not None) + (subject["in_game"] is not None)
    bottom = HEAD + LANE * lanes + 6
    floors = [f["value"] for f in subject["floors"].values()]
    others = [f["value"] for f in (subject["ceiling"], subject["in_game"]) if f]
    lows = [a["figures"][metric]["low"] for a in common]
    low, high, ticks = scale(metric, [*lows, *floors, *others])

    def at(value: float) -> float:
        return NAMES + (min(max(value, low), high) - low) / (high - low) * (RIGHT - NAMES)

    sheet = Sheet(WIDTH, bottom + FOOT, f"{called(subject)}: {METRICS[metric]} of every attacker")
    for tick in ticks:
        sheet.line(at(tick), HEAD, at(tick), bottom, "grid")
        sheet.text(at(tick), bottom + 15, tick_label(metric, tick), "tick", "middle")
    if floors:
        sheet.rect(NAMES, HEAD, at(max(floors)), bottom, "floor")
        words = f"floor {number(metric, max(floors))}"
        sheet.text(NAMES, 27, words, "reference")
    if subject["ceiling"]:
        x = at(subject["ceiling"]["value"])
        sheet.line(x, HEAD - 2, x, bottom, "ceiling")
        words = f"ceiling {number(metric, subject['ceiling']['value'])}"
        sheet.text(x, 12, words, "reference", "end" if x > (NAMES + RIGHT) / 2 else "start")
    y = HEAD + LANE / 2 + 3
    for attacker in common:
        first = attacker["name"] == headline["attack"]
        colour, figure = "hue0" if first else "plain", attacker["figures"][metric]
        sheet.row_name(0, y + 4, attacker["name"], LONGEST_NAME, "headline" if first else "")
        thin = "" if first else "thin "
        sheet.line(at(figure["low"]), y, at(figure["high"]), y, f"interval {thin}{colour}")
        tip = f"{attacker['name']}: {figure_text(metric, figure)}, {figure['n']:,} pictures"
        sheet.dot(at(figure["value"]), y, 5.5 if first else 3.5, f"dot {colour}", tip)
        y += LANE
    if maximum:
        sheet.row_name(0, y + 4, "upper bound", LONGEST_NAME)
        sheet.line(at(maximum["value"]), y, at(maximum["high"]), y, "bound hue0")
        sheet.line(at(maximum["high"]), HEAD + 3, at(maximum["high"]), y + 6, "maximum hue0")
        y += LANE
    if subject["in_game"]:
        sheet.row_name(0, y + 4, "in the game", LONGEST_NAME)
        tip = f"the game's own adversary: {number(metric, subject['in_game']['value'])}"
        sheet.dot(at(subject["in_game"]["value"]), y, 4, "hollow plain", tip)
    return sheet.markup()


def budget(subject: Mapping[str, Any]) -> Markup:
    """The headline figure against labelled pictures (logarithmic), with floor and ceiling."""
    metric, points = subject["metric"], subject["budget"]
    left, top, bottom = LEFT + 28, 16.0, 150.0
    floors = [f["value"] for f in subject["floors"].values()]
    ceiling = subject["ceiling"]["value"] if subject["ceiling"] else None
    shown = [p["figure"]["low"] for p in points] + floors
    low, high, ticks = scale(metric, shown)
    first, last = (math.log(points[i]["pictures"]) for i in (0, -1))

    def x(pictures: int) -> float:
        return left + 14 + (math.log(pictures) - first) / (last - first) * (RIGHT - left - 34)

    def y(value: float) -> float:
        return bottom - (min(max(value, low), high) - low) / (high - low) * (bottom - top)

    sheet = Sheet(WIDTH, bottom + 36, f"{called(subject)}: {METRICS[metric]} by labelled pictures")
    for tick in ticks:
        sheet.line(left, y(tick), RIGHT, y(tick), "grid")
        sheet.text(left - 5, y(tick) + 4, tick_label(metric, tick), "tick", "end")
    if floors:
        sheet.rect(left, y(max(floors)), RIGHT, bottom, "floor")
        sheet.text(
            RIGHT - 3, bottom - 5, f"floor {number(metric, max(floors))}", "reference", "end"
        )
    if ceiling is not None:
        sheet.line(left, y(ceiling), RIGHT, y(ceiling), "ceiling")
        words = f"ceiling {number(metric, ceiling)}"
        sheet.text(left + 3, y(ceiling) - 4, words, "reference")
    sheet.curve([(x(p["pictures"]), y(p["figure"]["value"])) for p in points], "loss hue0")
    for point in points:
        figure, at = point["figure"], x(point["pictures"])
        sheet.line(at, y(figure["low"]), at, y(figure["high"]), "interval hue0")
        tip = f"{point['pictures']:,} pictures: {figure_text(metric, figure)} by {point['attack']}"
        sheet.dot(at, y(figure["value"]), 4.5, "dot hue0", tip)
        sheet.text(at, bottom + 15, f"{point['pictures']:,}", "tick", "middle")
    sheet.text((left + RIGHT) / 2, bottom + 31, "labelled pictures", "tick", "middle")
    return sheet.markup()


def undeclared(ranked: Sequence[Mapping[str, Any]]) -> Markup:
    """Bars of excess with intervals, the largest on top; those that leak in colour."""
    lane = 16.0
    bottom = 8 + lane * len(ranked)
    lowest = min(0.0, *(u["excess"]["low"] for u in ranked))
    highest = max(0.05, *(u["excess"]["high"] for u in ranked))
    step = next(s for s in (0.02, 0.05, 0.1, 0.2, 0.5) if (highest - lowest) / s <= 6)
    first, last = math.floor(lowest / step), math.ceil(highest / step)

    def at(value: float) -> float:
        share: float = (value / step - first) / (last - first)
        return NAMES + share * (RIGHT - NAMES)

    sheet = Sheet(WIDTH, bottom + FOOT, "Excess of every attribute that the task does not name")
    for i in range(first, last + 1):
        sheet.line(at(i * step), 4, at(i * step), bottom, "grid" if i else "phase")
        sheet.text(
            at(i * step), bottom + 15, f"{100 * i * step:.0f}".replace("-", "−"), "tick", "middle"
        )
    for i, attribute in enumerate(ranked):
        excess, y = attribute["excess"], 8 + lane * (i + 0.5)
        colour = "alarm" if attribute["leaks"] else "plain"
        kind = "headline" if attribute["leaks"] else ""
        sheet.row_name(0, y + 4, attribute["name"], LONGEST_NAME, kind)
        ends = sorted((at(0), at(excess["value"])))
        sheet.rect(ends[0], y - 5, ends[1], y + 5, f"bar {colour}")
        sheet.line(at(excess["low"]), y, at(excess["high"]), y, f"whisker {colour}")
        p = attribute["p_holm"]
        tip = f"{attribute['name']}: {excess_text('balanced_accuracy', excess)}, Holm p {p:.2g}"
        sheet.dot(at(excess["value"]), y, 2.5, f"dot {colour}", tip)
    return sheet.markup()


def epochs(scores: Sequence[float], low: float, high: float, title: str) -> Markup:
    """Validation score by epoch, higher is better, on an axis from ``low`` to ``high``."""
    left, top, bottom, right = 4.0, 8.0, SMALL_HEIGHT - 18, SMALL_WIDTH - 40
    span = high - low or 1.0

    def place(epoch: int) -> tuple[float, float]:
        x = left + epoch / max(len(scores) - 1, 1) * (right - left)
        return x, bottom - (scores[epoch] - low) / span * (bottom - top)

    sheet = Sheet(SMALL_WIDTH, SMALL_HEIGHT, title)
    sheet.line(left, bottom, right, bottom, "grid")
    sheet.curve([place(i) for i in range(len(scores))], "loss hue0")
    best = max(range(len(scores)), key=lambda i: scores[i])
    sheet.dot(*place(best), 3, "dot hue0", f"epoch {best + 1}: {scores[best]:.4g}")
    sheet.text(
        right + 5, place(len(scores) - 1)[1] + 4, f"{scores[-1]:.3g}".replace("-", "−"), "tick"
    )
    many = "s" * (len(scores) > 1)
    sheet.text(right, SMALL_HEIGHT - 4, f"{len(scores)} epoch{many}", "tick", "end")
    return sheet.markup()
