"""The page: tables in Markdown of what ``device.json`` holds."""

from collections.abc import Iterable, Mapping
from typing import Any

PAPER_PICTURES = 160_000
"""Training pictures of the paper's CelebA split (section 4.1); the defender has half of them."""
EPOCHS = {"pre-train O, C": 10, "pre-train AC, AR": 5, "algorithm 1": 40}
"""Passes of the preset ``paper``."""


def page(found: Mapping[str, Any]) -> str:
    """All sections that have figures."""
    fast, correct, scale = found["fast"], found["correct"], found["scale"]
    sections = ["# Device benchmark", " ".join(f"{k}: {v}." for k, v in found["parts"].items())]
    if facts := fast.get("device"):
        sections.append(", ".join(f"{k} {v}" for k, v in facts.items()))
    if peaks := fast.get("peaks"):
        sections.append(", ".join(f"{digits(v)} {k}" for k, v in peaks.items()))
    sections += [*correctness(correct), *speed(fast), *cost(fast), *finding(scale)]
    return "\n\n".join(sections) + "\n"


def digits(value: object) -> str:
    """Three significant digits of a number; anything else as it is."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "" if value is None else str(value)
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def table(rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows with the columns of the first."""
    rows = list(rows)
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [names, ["---"] * len(names)]
    lines += [[digits(row.get(name)) for name in names] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def correctness(found: Mapping[str, Any]) -> list[str]:
    """Each check with its figures."""
    if not found:
        return []
    sections = [f"## Correct ({found.get('device')}, against the processor in float32)"]
    if isinstance(stages := found.get("stages"), list):
        sections.append(table(stages))
    if isinstance(index := found.get("ms_ssim"), list):
        sections.append(
            table({"MS-SSIM": "x".join(map(str, r["size"])), **_rest(r, "size")} for r in index)
        )
    for name in (
        "stages",
        "ms_ssim",
        "folded norms",
        "augmentation",
        "Bundle.encode",
        "recorded",
        "killed and resumed",
    ):
        if isinstance(one := found.get(name), dict):
            sections.append(f"{name}: " + ", ".join(f"{k} {digits(v)}" for k, v in one.items()))
    return sections


def speed(found: Mapping[str, Any]) -> list[str]:
    """The games and what each choice is worth."""
    sections = []
    for name in ("paper", "small"):
        base = found.get(f"game {name}")
        if not base or "images/s" not in base:
            continue
        rows = [{"choice": "as it is", "times": 1.0, **base}]
        for key, one in found.items():
            if key.endswith(f", {name}"):
                rate = one.get("images/s")
                times = rate / base["images/s"] if rate else None
                rows.append({"choice": key.removesuffix(f", {name}"), "times": times, **one})
        sections += [f"## Fast: the game at `{name}`", table(rows)]
    for name, what in (
        ("stages paper", "ms a batch"),
        ("attackers paper", "images/s"),
        ("ms_ssim", "ms"),
    ):
        if isinstance(one := found.get(name), dict):
            sections.append(table({name: k, what: v} for k, v in one.items()))
    if isinstance(rows := found.get("profile paper"), list):
        sections.append(table(rows))
    return sections


def cost(found: Mapping[str, Any]) -> list[str]:
    """What the whole paper would take, from the rates of the phases."""
    rates = found.get("phases paper")
    if not isinstance(rates, dict) or "algorithm 1" not in rates:
        return []
    half = PAPER_PICTURES / 2
    minutes = {name: EPOCHS[name] * half / rates[name] / 60 for name in EPOCHS}
    rows = [
        {"phase": n, "passes": EPOCHS[n], "images/s": rates[n], "minutes": m}
        for n, m in minutes.items()
    ]
    rows.append({"phase": "a whole training", "minutes": sum(minutes.values())})
    return ["## The whole paper: one training on half of 160,000 pictures", table(rows)]


def finding(found: Mapping[str, Any]) -> list[str]:
    """In-game adversaries beside fresh attackers, undefended beside the game."""
    sections = []
    for name in ("undefended", "deepobfuscator"):
        if isinstance(records := found.get(name), list):
            rows = [
                {
                    "subject": r["subject"],
                    "attack": r["attack"],
                    "metric": r["metric"],
                    "value": f"{r['value']:.3f}",
                    "95 % interval": f"{r['low']:.3f} to {r['high']:.3f}",
                    "floor": None if r["floor"] is None else f"{r['floor']:.3f}",
                    "people": r["people"],
                }
                for r in records
            ]
            sections += [f"### {name}", table(rows)]
    if not sections:
        return []
    facts = {k: v for k, v in found.items() if k.startswith("seconds") or k in ("game", "data")}
    told = "; ".join(f"{k}: {digits(v)}" for k, v in facts.items())
    return ["## The paper's scale (216x176, width 1, batch 64)", told, *sections]


def _rest(row: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {k: v for k, v in row.items() if k not in names}
