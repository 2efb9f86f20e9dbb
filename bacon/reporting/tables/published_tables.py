"""Our results against published ones, and the BACON paper's Table 1 with our column beside it."""

from __future__ import annotations

from typing import Any

import pandas as pd

from bacon.reporting.collect.footnotes import Footnotes
from bacon.reporting.collect.published import PublishedResults, remark, same_method
from bacon.reporting.collect.source_rules import source_rules
from bacon.reporting.collect.summary import PUBLISHED_NETWORK, text_or_none
from bacon.reporting.tables.markup import MISSING, Grid
from bacon.reporting.tables.run_tables import digits

# Sources round differently; a difference below this (percentage points) is not a disagreement.
_ROUNDING = 0.05


def against_published(summary: pd.DataFrame, published: PublishedResults) -> pd.DataFrame:
    """Every result of ours that has a published number, and how it compares.

    Args:
        summary: rows of :func:`bacon.reporting.collect.summary.summarise`.
        published: what the sources print.

    Returns:
        Columns: dataset, dataset_title, method, method_title, ipc, network, mean_percent, ci_low, ci_high, n,
        published_percent, published_sd_percent, published_architecture, published_source, gap_points (ours minus
        published), gap_ci_low, gap_ci_high (our interval minus the published number, taken as exact: its n is not printed),
        published_in_interval, sources (rows printed for it), lowest_percent, highest_percent (over sources that were not
        superseded), conflict (they differ by more than rounding), published_note.
    """
    rows = summary[summary["published_percent"].notna()]
    columns = (
        "dataset", "dataset_title", "method", "method_title", "ipc", "network", "mean_percent", "ci_low", "ci_high",
        "n", "published_percent", "published_sd_percent", "published_architecture", "published_source", "gap_points",
    )  # fmt: skip
    table = rows[list(columns)].reset_index(drop=True)
    table["gap_ci_low"] = table["ci_low"] - table["published_percent"]
    table["gap_ci_high"] = table["ci_high"] - table["published_percent"]
    table["published_in_interval"] = rows["published_in_interval"].reset_index(drop=True)
    spread = pd.DataFrame(
        [_sources(row, published) for _, row in rows.iterrows()],
        columns=["sources", "lowest_percent", "highest_percent", "conflict"],
    )
    table = pd.concat([table, spread], axis=1)
    table["published_note"] = rows["published_note"].reset_index(drop=True)
    return table


def _sources(row: pd.Series[Any], published: PublishedResults) -> tuple[int, float, float, bool]:
    ipc = None if pd.isna(row["ipc"]) else int(row["ipc"])
    names = {key: text_or_none(row[key]) for key in ("published_method", "published_dataset")}
    found = published.all_of(**names, ipc=ipc, network=str(row["network"]))
    standing = found.loc[~found["note"].str.contains("SUPERSEDED"), "accuracy_percent"]
    values = standing if len(standing) else found["accuracy_percent"]
    low, high = float(values.min()), float(values.max())
    return len(found), low, high, high - low > _ROUNDING


def against_grid(table: pd.DataFrame) -> list[Grid]:
    """The comparison arranged for reading, one grid per data set and evaluation network."""
    several = table["network"].nunique() > 1
    columns = ("Method", "IPC", "Ours", "Published", "Gap (points)", "Inside", "Other sources")
    footnotes = Footnotes(table["published_note"])
    return [
        Grid(
            title=f"{group['dataset_title'].iloc[0]}{f', {network}' if several else ''}: ours against published",
            groups=(),
            columns=columns,
            rows=tuple(_against_row(row, footnotes) for _, row in group.iterrows()),
        )
        for (_, network), group in table.groupby(["dataset", "network"], sort=False)
    ]


def _against_row(row: pd.Series[Any], footnotes: Footnotes) -> tuple[str, ...]:
    has_interval = not pd.isna(row["ci_low"])
    interval = f" [{row['ci_low']:.1f}, {row['ci_high']:.1f}]" if has_interval else ""
    gap = f" [{row['gap_ci_low']:+.1f}, {row['gap_ci_high']:+.1f}]" if has_interval else ""
    sd = row["published_sd_percent"]
    return (
        str(row["method_title"]),
        "full" if pd.isna(row["ipc"]) else str(row["ipc"]),
        f"{row['mean_percent']:.1f}{interval} ({row['n']})",
        digits(row["published_percent"])
        + ("" if pd.isna(sd) else f" ± {digits(sd)}")
        + footnotes.mark(row["published_note"]),
        f"{row['gap_points']:+.1f}{gap}",
        MISSING if pd.isna(row["published_in_interval"]) else "yes" if row["published_in_interval"] else "no",
        f"{digits(row['lowest_percent'])} to {digits(row['highest_percent'])}" if row["conflict"] else MISSING,
    )


def against_notes(table: pd.DataFrame) -> list[str]:
    """Notes below the comparison."""
    if table.empty:
        return ["Nothing is published for the data sets, methods and IPCs of this grid."]
    lines = [
        "Ours: mean [95 % confidence interval] (n networks). Gap: ours minus published, with our interval; the "
        "published number is treated as exact, because the sources do not say over how many networks it is "
        "averaged. Inside: whether the published number lies in our interval. Other sources: the range where "
        "sources disagree by more than rounding; a fixed rule says which one is preferred (resources/README.md). "
        "Only numbers of the network that ours was evaluated with are compared; the sources call it "
        f"{', '.join(table['published_architecture'].drop_duplicates())}.",
        f"Sources: {'; '.join(table['published_source'].drop_duplicates())}.",
    ]
    return [*lines, *Footnotes(table["published_note"]).lines()]


def table1(summary: pd.DataFrame, published: PublishedResults) -> pd.DataFrame:
    """The paper's Table 1, every number as printed, and ours where this grid has it.

    Returns:
        Columns: dataset, dataset_title, ipc (text: a number or ``full``), method, paper_percent, note, mean_percent, ci_low,
        ci_high, n (ours; missing where the grid has no such cell), gap_points (missing too where the printed number is no
        target), protocol.
    """
    paper = source_rules().table1
    printed = published.rows[published.rows["source"].str.startswith(paper.source)]
    ours = [row for _, row in summary.iterrows() if row["network"] == PUBLISHED_NETWORK]
    rows = []
    for _, row in printed.iterrows():
        own: Any = next((one for one in ours if _is_of(one, row)), {})
        found = {name: own.get(name) for name in ("mean_percent", "ci_low", "ci_high", "n", "protocol")}
        note = remark(row.to_dict())
        number = {"method": row["method"], "paper_percent": row["accuracy_percent"], "note": note}
        place = {"dataset": row["dataset"], "dataset_title": paper.datasets[row["dataset"]], "ipc": row["ipc"]}
        rows.append({**place, **number, **found})
    table = pd.DataFrame(rows).astype({"n": "Int64", **dict.fromkeys(("mean_percent", "ci_low", "ci_high"), "float64")})
    target = [
        not source_rules().not_target(*cell)
        for cell in zip(table["method"], table["dataset"], table["ipc"], strict=True)
    ]
    gap = (table["mean_percent"] - table["paper_percent"]).where(pd.Series(target, index=table.index))
    table.insert(len(table.columns) - 1, "gap_points", gap)
    datasets = {name: place for place, name in enumerate(paper.datasets)}
    order = table.assign(_dataset=table["dataset"].map(datasets), _method=table["method"].map(paper.place))
    return table.loc[order.sort_values(["_dataset", "_method"], kind="stable").index].reset_index(drop=True)


def _ipc_text(ipc: Any) -> str:
    return "full" if pd.isna(ipc) else str(ipc)


def _is_of(ours: pd.Series[Any], printed: pd.Series[Any]) -> bool:
    """Whether a row of ours is of the method, data set and IPC of a printed number."""
    if (ours["published_dataset"], _ipc_text(ours["ipc"])) != (printed["dataset"], printed["ipc"]):
        return False
    name = text_or_none(ours["published_method"])
    return name is not None and same_method(name, printed["method"])


def in_grid(table: pd.DataFrame, summary: pd.DataFrame) -> pd.DataFrame:
    """The rows of :func:`table1` on the data sets and at the IPCs of the grid; the whole data set's beside them.

    Args:
        table: every row.
        summary: rows of :func:`bacon.reporting.collect.summary.summarise`.
    """
    own = summary[summary["network"] == PUBLISHED_NETWORK]
    places = set(zip(own["published_dataset"], own["ipc"].map(_ipc_text), strict=True))
    shared = pd.Series(
        [place in places for place in zip(table["dataset"], table["ipc"], strict=True)], index=table.index
    )
    datasets = set(table.loc[shared & (table["ipc"] != "full"), "dataset"])
    return table[shared & table["dataset"].isin(datasets)]


def table1_grids(table: pd.DataFrame) -> list[Grid]:
    """Rows of :func:`in_grid` arranged for reading: one grid per data set, paper and ours side by side at each IPC."""
    footnotes = Footnotes(table["note"])
    return [_table1_grid(group, footnotes) for _, group in table.groupby("dataset", sort=False)]


def _table1_grid(group: pd.DataFrame, footnotes: Footnotes) -> Grid:
    ipcs = sorted((ipc for ipc in group["ipc"].unique() if ipc != "full"), key=int)
    rows = []
    for method, of_method in group.groupby("method", sort=False):
        by_ipc = {row["ipc"]: row for _, row in of_method.iterrows()}
        # The whole data set has no IPC: its one number stands in the first column.
        found = [by_ipc.get(ipc, by_ipc.get("full") if ipc == ipcs[0] else None) for ipc in ipcs]
        rows.append((str(method), *(text for row in found for text in _paper_and_ours(row, footnotes))))
    return Grid(
        title=f"{group['dataset_title'].iloc[0]}: the paper's Table 1 and ours",
        groups=tuple((f"IPC {ipc}", 2) for ipc in ipcs),
        columns=("Method", *(name for _ in ipcs for name in ("paper", "ours"))),
        rows=tuple(rows),
    )


def _paper_and_ours(row: pd.Series[Any] | None, footnotes: Footnotes) -> tuple[str, str]:
    if row is None:
        return MISSING, ""
    if pd.isna(row["mean_percent"]):
        ours = ""
    else:
        interval = "" if pd.isna(row["ci_low"]) else f" [{row['ci_low']:.1f}, {row['ci_high']:.1f}]"
        ours = f"{row['mean_percent']:.1f}{interval} ({row['n']})"
    return digits(row["paper_percent"]) + footnotes.mark(row["note"]), ours


def table1_notes(table: pd.DataFrame) -> list[str]:
    """Notes below the table; ``table`` as for :func:`table1_grids`."""
    if table.empty:
        datasets = ", ".join(source_rules().table1.datasets.values())
        return [f"The grid has none of its cells: it covers {datasets}, IPC 1, 10 and 50."]
    found = table[table["mean_percent"].notna()]
    protocols = f" Our protocol: {'; '.join(found['protocol'].drop_duplicates())}." if len(found) else ""
    lines = [
        "Test accuracy in percent. Paper: Table 1 as the BACON project page prints it, without standard deviations, for the "
        "data sets and IPCs of this grid (table1.csv has all). Ours: mean [95 % confidence interval] (n networks), "
        f"empty where this grid has no such cell.{protocols}"
    ]
    return [*lines, *Footnotes(table["note"]).lines()]
