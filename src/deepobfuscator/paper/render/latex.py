"""An exhibit as a LaTeX table for a paper; it needs the package booktabs and nothing else."""

import re
from collections.abc import Sequence

from deepobfuscator.paper.render.exhibit import Exhibit
from deepobfuscator.paper.render.table import FRESH, Grid, grids

SHORT = {FRESH: "New (95 %)"}
"""Headers that a column of a paper has no room for."""

TALL = 45
"""Lines beyond which a table in small print would not fit on a page."""

PLAIN = r"""
\\textbackslash{} ~\textasciitilde{} ^\textasciicircum{} |\textbar{} <\textless{} >\textgreater{}
"'' “`` ”'' ‘` ’' –-- —--- …\ldots{} [{[} ]{]} *{*} %\% &\& #\# _\_ {\{ }\} $\$
"""
"""Each a character that LaTeX would not print as it stands, and what prints it. Brackets and stars
are in braces, for after a line's end LaTeX would take them for an argument of that end."""

MATHS = r"""
−- ·\cdot ×\times ±\pm ≤\leq ≥\geq ≈\approx →\rightarrow ²^2 α\alpha β\beta γ\gamma δ\delta
ε\epsilon λ\lambda μ\mu σ\sigma τ\tau ₀_0 ₁_1 ₂_2 ₃_3 ₄_4 ₅_5 ₆_6 ₇_7 ₈_8 ₉_9
"""
"""Likewise, in mathematics."""

CHARACTERS = {
    "\u00a0": "~",
    "\u202f": "~",
    **{pair[0]: pair[1:] for pair in PLAIN.split()},
    **{pair[0]: f"${pair[1:]}$" for pair in MATHS.split()},
}


def as_latex(exhibit: Exhibit) -> str:
    """``exhibit`` as a ``table*`` environment; figures are rounded as everywhere in the report."""
    title, caption, found = exhibit.title.rstrip("."), exhibit.caption, grids(exhibit)
    length = sum(len(group.rows) + bool(group.heading) for grid in found for group in grid.groups)
    lines = [
        r"% needs \usepackage{booktabs}",
        r"\begin{table*}",
        r"\centering",
        r"\scriptsize" if length > TALL else r"\small",
        rf"\caption{{{escape(f'Reproduction of {title}. {caption}'.strip())}}}",
        rf"\label{{tab:{exhibit.name}}}",
    ]
    if exhibit.rows or exhibit.curves or exhibit.faces:
        file = exhibit.name
        lines += [rf"% \includegraphics[width=\linewidth]{{{file}.pdf}}"]
    for grid in found:
        lines += _tabular(grid)
    below = [*exhibit.notes, *(f"Missing: {reason}" for reason in exhibit.missing)]
    if below:
        sentences = "\\\\\n".join(map(escape, below))
        lines += [r"\par\smallskip", rf"\parbox{{\linewidth}}{{\footnotesize {sentences}}}"]
    return "\n".join([*lines, r"\end{table*}", ""])


def escape(text: str) -> str:
    """``text`` so that LaTeX prints it as it stands, on one line."""
    return "".join(CHARACTERS.get(c, c) for c in re.sub(r"[ \t\r\n]+", " ", text))


def _tabular(grid: Grid) -> list[str]:
    lines = [rf"\textbf{{{escape(grid.title)}}}\par\smallskip"] if grid.title else []
    lines += [rf"\begin{{tabular}}{{{grid.align}}}", r"\toprule"]
    lines += [_row([SHORT.get(name, name) for name in grid.headers])]
    panel = ""
    for i, group in enumerate(grid.groups):
        if i == 0 or group.panel != panel:
            lines += [r"\midrule", *_across(grid, "textbf", group.panel)]
        elif group.heading:
            lines += [r"\addlinespace"]
        panel = group.panel
        lines += _across(grid, "textit", group.heading)
        lines += map(_row, group.rows)
    return [*lines, r"\bottomrule", r"\end{tabular}", ""]


def _across(grid: Grid, face: str, words: str) -> list[str]:
    columns = len(grid.headers)
    return [rf"\multicolumn{{{columns}}}{{l}}{{\{face}{{{escape(words)}}}}} \\"] if words else []


def _row(cells: Sequence[str]) -> str:
    return " & ".join(map(_cell, cells)) + r" \\"


def _cell(text: str) -> str:
    if "\n" not in text:
        return escape(text)
    parts = r" \\ ".join(map(escape, text.split("\n")))
    return rf"\begin{{tabular}}[t]{{@{{}}l@{{}}}}{parts}\end{{tabular}}"
