"""The tables that a run leaves behind: every accuracy, the summary beside published numbers, the cost; and on a terminal."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bacon.reporting.markup import MISSING, Grid, latex, markdown
from bacon.reporting.published import Published, PublishedResults
from bacon.reporting.summary import Block, Entry, blocks, notes, summarise
from bacon.runtime.atomic import write_text
from bacon.runtime.errors import BaconError


def write_accuracy(accuracy: pd.DataFrame, path: Path) -> None:
    """Write every trained network, tidy, as CSV; :func:`bacon.reporting.collect.read_accuracy` reads it back."""
    write_text(path, accuracy.to_csv(index=False, lineterminator="\n"))


def write_summary(
    accuracy: pd.DataFrame, *, published: PublishedResults, fingerprint: str, outputs: Sequence[Path]
) -> None:
    """Write the summary table.

    Args:
        accuracy: rows of :func:`bacon.reporting.collect.collect_accuracy`.
        published: what the sources print.
        fingerprint: of the aggregate; stands in a comment of the Markdown and LaTeX files.
        outputs: files to write, by suffix: ``.csv`` (long form, numeric), ``.md``, ``.tex``.

    Raises:
        BaconError: another suffix.
    """
    summary = summarise(accuracy, published)
    tables = []
    for block in blocks(summary):
        own = [
            table[(table["dataset"] == block.dataset) & (table["network"] == block.network)]
            for table in (accuracy, summary)
        ]
        tables.append((_summary_grid(block), notes(*own)))
    _write(summary, tables, notes(accuracy, summary), fingerprint=fingerprint, outputs=outputs)


def write_cost(cost: pd.DataFrame, *, fingerprint: str, outputs: Sequence[Path]) -> None:
    """Write the cost table: mean and sample standard deviation over distillation seeds.

    Args:
        cost: rows of :func:`bacon.reporting.distilled_files.collect_cost`.
        fingerprint: as for :func:`write_summary`.
        outputs: as for :func:`write_summary`.
    """
    summary, lines = summarise_cost(cost), cost_notes(cost)
    tables = [(_cost_grid(group), lines) for _, group in summary.groupby("dataset", sort=False)]
    _write(summary, tables, lines, fingerprint=fingerprint, outputs=outputs)


def cost_notes(cost: pd.DataFrame) -> list[str]:
    """What stands beneath the cost table."""
    return [
        "Cost of making one distilled set, mean ± sd over n distillation seeds (sd: sample standard deviation).",
        "Peak memory is what was allocated on a GPU, or the whole process on the CPU.",
        f"Device: {'; '.join(cost['device'].drop_duplicates())}.",
    ]


def summarise_cost(cost: pd.DataFrame) -> pd.DataFrame:
    """One row per data set, method and IPC.

    Returns:
        Columns: dataset, dataset_title, method, method_title, ipc, n, iterations, then mean and sd of wall_seconds,
        iterations_per_second and peak_memory_mib (``wall_seconds_mean``, ``wall_seconds_sd``, ...), device. sd is missing
        for n = 1, the rate where there was no iteration.
    """
    keys = ["dataset", "dataset_title", "method", "method_title", "ipc"]
    measures = ("wall_seconds", "iterations_per_second", "peak_memory_mib")
    named = {f"{name}_{label}": (name, how) for name in measures for label, how in (("mean", "mean"), ("sd", "std"))}
    grouped = cost.groupby(keys, sort=False).agg(
        n=("seed", "size"),
        iterations=("iterations", "max"),
        **named,
        device=("device", lambda devices: "; ".join(devices.drop_duplicates())),
    )
    return grouped.reset_index()


def terminal_table(accuracy: pd.DataFrame, *, published: PublishedResults, console: Console | None = None) -> None:
    """Print the summary table.

    Args:
        accuracy: rows of :func:`bacon.reporting.collect.collect_accuracy` (or ``read_accuracy``).
        published: what the sources print.
        console: where to print; standard output by default.
    """
    console = console or Console()
    summary = summarise(accuracy, published)
    for block in blocks(summary):
        for grid in _fitting(_summary_grid(block), console.width):
            console.print(_rich_table(grid))
    for line in notes(accuracy, summary):
        console.print(Text(line, style="dim"))


def _rich_table(grid: Grid) -> Table:
    spans = [group for group, width in grid.groups for _ in range(width)]
    table = Table(title=Text(f"{grid.title}: test accuracy (%)"), title_justify="left", header_style="bold")
    table.add_column(grid.columns[0])
    for group, name in zip(spans, grid.columns[1:], strict=True):
        table.add_column(Text(f"{group}\n{name}"), justify="right", no_wrap=True)
    for row in grid.rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def _fitting(grid: Grid, width: int) -> list[Grid]:
    """The grid in as many parts, each of whole groups of columns, as fit ``width`` characters; a part has at least one."""
    lines = [grid.columns, *grid.rows]
    # Three characters a column: its border and the blanks beside the text.
    widths = [max(len(line[i]) for line in lines) + 3 for i in range(len(grid.columns))]
    parts: list[list[int]] = []
    used, start = 0, 1
    for place, (_, span) in enumerate(grid.groups):
        needed = sum(widths[start : start + span])
        if not parts or used + needed > width:
            parts.append([])
            used = widths[0] + 1
        parts[-1].append(place)
        used, start = used + needed, start + span
    return [_part(grid, places) for places in parts]


def _part(grid: Grid, places: Sequence[int]) -> Grid:
    """The first column and those of some groups, which follow each other."""
    first = 1 + sum(span for _, span in grid.groups[: places[0]])
    last = first + sum(grid.groups[place][1] for place in places)
    return Grid(
        title=grid.title,
        groups=tuple(grid.groups[place] for place in places),
        columns=(grid.columns[0], *grid.columns[first:last]),
        rows=tuple((row[0], *row[first:last]) for row in grid.rows),
    )


def _summary_grid(block: Block) -> Grid:
    kinds: tuple[tuple[str, Callable[[Entry], str]], ...] = (("ours", ours_text),)
    if block.has_published:
        kinds = (*kinds, ("published", lambda entry: published_text(entry.published)))
    return Grid(
        title=block.title,
        groups=tuple((f"IPC {ipc}", len(kinds)) for ipc in block.ipcs),
        columns=("Method", *(name for _ in block.ipcs for name, _ in kinds)),
        rows=tuple(
            (title, *(MISSING if entry is None else text(entry) for entry in entries for _, text in kinds))
            for title, entries in block.rows
        ),
    )


def ours_text(entry: Entry) -> str:
    """Mean, sample standard deviation and number of networks: ``90.7 ± 1.1 (15)``."""
    spread = f" ± {entry.sd:.1f}" if entry.n > 1 else ""
    return f"{entry.mean:.1f}{spread} ({entry.n})"


def published_text(found: Published | None) -> str:
    """What a source prints, with a mark where the number has a note; a dash where nothing is published."""
    if found is None:
        return MISSING
    spread = f" ± {_digits(found.std_percent)}" if found.std_percent is not None else ""
    return f"{_digits(found.accuracy_percent)}{spread}{'†' if found.note else ''}"


def _digits(value: float) -> str:
    """One decimal, or two where the source gives two."""
    return f"{value:.2f}" if abs(value * 10 - round(value * 10)) > 1e-6 else f"{value:.1f}"


def _cost_grid(summary: pd.DataFrame) -> Grid:
    columns = ("Method", "IPC", "n", "Iterations", "Wall time (s)", "Iterations/s", "Peak memory (MiB)")
    rows = [
        (
            str(row["method_title"]),
            str(row["ipc"]),
            str(row["n"]),
            str(row["iterations"]),
            *(spread_text(row, name) for name in ("wall_seconds", "iterations_per_second", "peak_memory_mib")),
        )
        for _, row in summary.iterrows()
    ]
    title = f"Cost of distillation, {summary['dataset_title'].iloc[0]}"
    return Grid(title=title, groups=(), columns=columns, rows=tuple(rows))


def spread_text(row: pd.Series[Any], name: str) -> str:
    """Mean and sample standard deviation of a measure in a row of :func:`summarise_cost`."""
    mean, sd = float(row[f"{name}_mean"]), float(row[f"{name}_sd"])
    if math.isnan(mean):
        return MISSING
    # Three significant digits of the mean, and as many decimals for the sd.
    decimals = 0 if abs(mean) >= 100 else 1 if abs(mean) >= 10 else 2
    return f"{mean:.{decimals}f}" + ("" if math.isnan(sd) else f" ± {sd:.{decimals}f}")


def _write(
    long_form: pd.DataFrame,
    tables: Sequence[tuple[Grid, Sequence[str]]],
    lines: Sequence[str],
    *,
    fingerprint: str,
    outputs: Sequence[Path],
) -> None:
    """Write outputs by suffix; ``tables`` are grids with their own notes, ``lines`` the notes on all of them."""
    for output in outputs:
        if output.suffix == ".csv":
            text = long_form.to_csv(index=False, lineterminator="\n")
        elif output.suffix == ".md":
            body = "\n".join(markdown(grid) for grid, _ in tables)
            text = f"<!-- fingerprint: {fingerprint} -->\n{body}\n" + "\n\n".join(lines) + "\n"
        elif output.suffix == ".tex":
            body = "\n".join(latex(grid, own) for grid, own in tables)
            text = f"% fingerprint: {fingerprint}\n% needs \\usepackage{{booktabs}}\n{body}"
        else:
            raise BaconError(
                f"{output}: tables are written as .csv, .md or .tex, not {output.suffix or 'without suffix'}"
            )
        write_text(output, text)
