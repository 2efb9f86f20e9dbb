"""Comparisons of methods arranged for reading."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from bacon.config.model import ALL, BEST
from bacon.reporting.collect.comparisons import ALPHA, BEST_FAMILY, FAMILY, METHODS, REFERENCES
from bacon.reporting.tables.markup import ITSELF, MISSING, UNDEFINED, Grid

ONE_WHITENED = "†"


def comparison_grids(table: pd.DataFrame) -> list[Grid]:
    """Rows of :func:`bacon.reporting.collect.comparisons.compare_methods`.

    A grid per named reference and one for the best methods, methods down and IPC across; all pairs, and variants, a line each.
    """
    several = table["network"].nunique() > 1
    grids = []
    for (_, network, family), group in table.groupby(FAMILY, sort=False):
        where = f"{group['dataset_title'].iloc[0]}{f', {network}' if several else ''}"
        if family == REFERENCES:
            grids += [
                _against(rows, f"{where}: compared with {title}")
                for title, rows in group.groupby("other_title", sort=False)
            ]
        elif family == BEST_FAMILY:
            grids.append(_against(group, f"{where}: compared with the best method"))
        else:
            grids.append(_pairs(group, f"{where}: {_compared(group)}"))
    return grids


def _against(rows: pd.DataFrame, title: str) -> Grid:
    """Methods down, IPC across; in the heading of an IPC the reference, where it is not the same at all."""
    ipcs = sorted(int(ipc) for ipc in rows["ipc"].unique())
    references = {int(row["ipc"]): str(row["other_title"]) for _, row in rows.iterrows()}
    best = set(rows["family"]) == {BEST_FAMILY}
    lines = []
    for name in dict.fromkeys([*rows["method_title"], *(references.values() if best else ())]):
        own = {int(row["ipc"]): row for _, row in rows[rows["method_title"] == name].iterrows()}
        found = [(ITSELF, "") if best and references[ipc] == name else _difference_and_p(own.get(ipc)) for ipc in ipcs]
        lines.append((name, *(text for pair in found for text in pair)))
    return Grid(
        title=title,
        groups=tuple((f"IPC {ipc}: {references[ipc]}" if best else f"IPC {ipc}", 2) for ipc in ipcs),
        columns=("Method", *(name for _ in ipcs for name in ("difference", "p (Holm)"))),
        rows=tuple(lines),
    )


def _difference_and_p(row: pd.Series[Any] | None) -> tuple[str, str]:
    return (
        (MISSING, MISSING) if row is None else (_difference(row), UNDEFINED if row["untested"] else _p(row["p_holm"]))
    )


def _pairs(group: pd.DataFrame, title: str) -> Grid:
    columns = ("Methods", "IPC", "Difference (points)", "Seeds", "t", "p", "p (Holm)", "d", "g")
    return Grid(title=title, groups=(), columns=columns, rows=tuple(_row(row) for _, row in group.iterrows()))


def _compared(family: pd.DataFrame) -> str:
    """What a family compares, in words."""
    base = str(family["family"].iloc[0])
    if base == METHODS:
        return "methods compared"
    ends = ("method", "other")
    titles = [title for end in ends for title in family.loc[family[end] == base, f"{end}_title"]]
    return f"variants compared with {titles[0]}" if titles else f"variants of {base} compared"


def _row(row: pd.Series[Any]) -> tuple[str, ...]:
    return (
        f"{row['method_title']} \N{MINUS SIGN} {row['other_title']}",
        str(row["ipc"]),
        _difference(row),
        str(row["seeds"]),
        MISSING if pd.isna(row["t"]) else f"{row['t']:.2f}",
        *(UNDEFINED if row["untested"] else _p(row[name]) for name in ("p", "p_holm")),
        *(MISSING if pd.isna(row[name]) else f"{row[name]:.2f}" for name in ("d", "hedges_g")),
    )


def _difference(row: pd.Series[Any]) -> str:
    interval = "" if pd.isna(row["ci_low"]) else f" [{row['ci_low']:+.1f}, {row['ci_high']:+.1f}]"
    mark = ONE_WHITENED if row["one_whitened"] else ""
    mark += "*" if not pd.isna(row["significant"]) and row["significant"] else ""
    difference = f"{row['difference_points']:+.1f}"
    # No sign where nothing is left of the number.
    return f"{'0.0' if difference in ('+0.0', '-0.0') else difference}{interval}{mark}"


def _p(value: float) -> str:
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def comparison_notes(table: pd.DataFrame, references: Sequence[str] = (ALL,)) -> list[str]:
    """Notes below the comparisons.

    Args:
        table: as for :func:`comparison_grids`.
        references: what it was made with.
    """
    if table.empty:
        return [_nothing(references)]
    families = set(table["family"])
    seeds = table["seeds"]
    n = str(seeds.min()) if seeds.min() == seeds.max() else f"{seeds.min()} to {seeds.max()}"
    lines = [
        "Difference of mean test accuracy in percentage points [95 % confidence interval], paired over the distillation seeds "
        f"that both methods have ({n}). p: paired t test, two-sided, on the means of the seeds, adjusted by Holm's method; * "
        f"where it is below {ALPHA:g}. {' '.join(_adjustments(families))}",
    ]
    if families - {REFERENCES, BEST_FAMILY}:
        lines.append("t and the first p: before the adjustment. d: mean over standard deviation of the differences; g: d with "
                     "Hedges' correction.")  # fmt: skip
    if families & {REFERENCES, BEST_FAMILY}:
        lines.append("comparisons.csv has t, the p value before the adjustment and effect sizes; `report.references` in the "
            "configuration sets what methods are compared with.")  # fmt: skip
    if table["one_whitened"].any():
        lines.append(f"{ONE_WHITENED} one of the two is on images whitened by ZCA and the other is not.")
    reasons = table.loc[table["untested"] != "", "untested"].drop_duplicates()
    undefined = (
        [f"p is {UNDEFINED} where no test is possible: with {'; or with '.join(reasons)}."] if len(reasons) else []
    )
    return [*lines, *undefined]


def _adjustments(families: set[str]) -> list[str]:
    """For what p values are adjusted, a sentence for each kind of family."""
    said = {
        REFERENCES: "Method minus reference; adjusted for all methods, references and IPCs together.",
        BEST_FAMILY: "The best method is the one with the highest mean at its IPC, which is chosen from the same data, so p "
        "values against it are adjusted for every pair of methods at all IPCs.",
        METHODS: "Adjusted for all pairs of methods and all IPCs.",
    }
    found = [text for family, text in said.items() if family in families]
    return (
        [*found, "Variants: adjusted for the variants of one method, at all IPCs."] if families - said.keys() else found
    )


def _nothing(references: Sequence[str]) -> str:
    if {ALL, BEST} & set(references):
        return "There is only one method: nothing to compare it with."
    return f"The grid has nothing to compare with the references ({', '.join(references)}): set `report.references`."
