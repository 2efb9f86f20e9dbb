"""Tables as Markdown and LaTeX (booktabs)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bacon.reporting.collect.footnotes import MARKS

MISSING = "\N{EN DASH}"
UNDEFINED = "undefined"
"""Shown instead of a p value if no test is possible."""
ITSELF = "best"
"""Shown instead of the difference of the best method from itself."""
_MOST_NARROW = 5
_NO_BREAK = "\N{NO-BREAK SPACE}"
# Marks behind a number, or behind what belongs to it: `62.06†`, `59.9 ± 0.1§*`, `+3.1 [1.0, 5.2]†*`.
_MARKED = re.compile(rf"(?<=[\d\])])([{MARKS}]+)(?=\*?$)")
_TEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "\N{MULTIPLICATION SIGN}": r"$\times$",
    "÷": r"$\div$",
    "\N{MINUS SIGN}": r"$-$",
    "\N{EN DASH}": "--",
    _NO_BREAK: "~",
    "\N{DOWNWARDS ARROW}": r"$\downarrow$",
    "\N{UPWARDS ARROW}": r"$\uparrow$",
    "†": r"\textdagger{}",
    "‡": r"\textdaggerdbl{}",
    "§": r"\textsection{}",
    "¶": r"\textparagraph{}",
    "‖": r"$\|$",
    "²": r"\textsuperscript{2}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
}
_NEGATIVE = re.compile(r"(?<![\w.])-(?=\d)")


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A table ready to be written: the first column is text, the others are numbers."""

    title: str
    groups: tuple[tuple[str, int], ...]
    """Headings over the columns after the first, each with the number of columns it spans; empty: no such line."""
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def markdown(grid: Grid) -> str:
    """A GitHub-flavoured Markdown table under its title; a column's group heads its name, for Markdown has one header."""
    spans = [group for group, width in grid.groups for _ in range(width)] or [""] * (len(grid.columns) - 1)
    header = [
        grid.columns[0],
        *(f"{group} {name}".strip() for group, name in zip(spans, grid.columns[1:], strict=True)),
    ]
    lines = [header, [":--"] + ["--:"] * (len(header) - 1), *grid.rows]
    table = "\n".join("| " + " | ".join(escape_markdown(cell) for cell in line) + " |" for line in lines)
    return f"### {escape_markdown(grid.title)}\n\n{table}\n"


def escape_markdown(text: str) -> str:
    """Text escaped for Markdown."""
    escaped = "".join("\\" + character if character in "\\`*_<>|" else character for character in _one_line(text))
    # Brackets alone are brackets; only what follows them makes a link.
    return re.sub(r"\](?=[(\[:])", r"\\]", escaped)


def latex(grid: Grid, notes: Sequence[str]) -> str:
    r"""A ``table`` environment that needs ``\usepackage{booktabs}`` alone; ``notes`` become the caption."""
    bound = (re.sub(rf"^([{MARKS}]+) ", rf"\1{_NO_BREAK}", note) for note in notes)
    caption = escape_latex(" ".join([f"{grid.title}.", *bound]))
    # Text columns of articles are narrow: wide tables are set small and close.
    narrow = len(grid.columns) <= _MOST_NARROW
    lines = [
        r"\begin{table}[htbp]",
        r"  \centering",
        # Classes that expect the caption beneath the table leave no room between this one and the first rule.
        r"  \setlength{\belowcaptionskip}{6pt}",
        rf"  \caption{{{caption}}}",
        r"  \footnotesize" if narrow else r"  \scriptsize",
        rf"  \setlength{{\tabcolsep}}{{{'4pt' if narrow else '2.5pt'}}}",
        rf"  \begin{{tabular}}{{@{{}}l{'r' * (len(grid.columns) - 1)}@{{}}}}",
        r"    \toprule",
        *_group_lines(grid.groups),
        f"    {_latex_row(grid.columns)}",
        r"    \midrule",
        *(f"    {_latex_row(row)}" for row in grid.rows),
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _group_lines(groups: Sequence[tuple[str, int]]) -> list[str]:
    if not groups:
        return []
    headings, rules, column = [], [], 2
    for title, width in groups:
        headings.append(rf"\multicolumn{{{width}}}{{c}}{{{escape_latex(title)}}}")
        rules.append(rf"\cmidrule(lr){{{column}-{column + width - 1}}}")
        column += width
    return [f"    & {' & '.join(headings)} \\\\", f"    {' '.join(rules)}"]


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join([escape_latex(cells[0]), *map(_number, cells[1:])]) + r" \\"


def _number(text: str) -> str:
    """A number escaped for LaTeX: with minus signs, and with marks of footnotes raised, so that they are no part of it."""
    number, *marks = _MARKED.split(_NEGATIVE.sub("\N{MINUS SIGN}", _one_line(text)))
    if not marks:
        return escape_latex(number)
    raised, rest = marks
    return rf"{escape_latex(number)}\textsuperscript{{{escape_latex(raised)}}}{rest}"


def escape_latex(text: str) -> str:
    """Text escaped for LaTeX."""
    return "".join(_TEX.get(character, character) for character in _one_line(text))


def _one_line(text: str) -> str:
    """Titles are the user's own words: a line break in one would end a table's row."""
    return re.sub(r"\s*[\n\r\t\v\f]\s*", " ", text)
