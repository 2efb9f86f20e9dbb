"""The tables that a run leaves behind: every accuracy, the summary beside published numbers; and on a terminal."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.text import Text

from bacon.reporting.collect.footnotes import Footnotes
from bacon.reporting.collect.published import Published, PublishedResults
from bacon.reporting.collect.summary import Block, Entry, blocks, notes, summarise
from bacon.reporting.tables.markup import MISSING, Grid
from bacon.reporting.tables.writing import fitting, rich_table
from bacon.runtime.atomic import write_text


def write_accuracy(accuracy: pd.DataFrame, path: Path) -> None:
    """Write every trained network, tidy, as CSV; :func:`bacon.reporting.collect.evaluations.read_accuracy` reads it back."""
    write_text(path, accuracy.to_csv(index=False, lineterminator="\n"))


def summary_grids(
    accuracy: pd.DataFrame, summary: pd.DataFrame, warnings: Mapping[str, Sequence[str]] | None = None
) -> list[tuple[Grid, list[str]]]:
    """The summary arranged for reading: one grid per data set and evaluation network, each with its own notes.

    A mark means the same in all of them, because some files explain the marks of all grids in one place.

    Args:
        accuracy: rows of :func:`bacon.reporting.collect.evaluations.collect_accuracy`.
        summary: its :func:`bacon.reporting.collect.summary.summarise`.
        warnings: data set, as the tables name it -> notes on what is odd about it.
    """
    grids, footnotes = [], Footnotes(summary["published_note"])
    for block in blocks(summary):
        own = [
            table[(table["dataset"] == block.dataset) & (table["network"] == block.network)]
            for table in (accuracy, summary)
        ]
        lines = [*notes(*own, footnotes=footnotes), *(warnings or {}).get(block.dataset, ())]
        grids.append((_summary_grid(block, footnotes), lines))
    return grids


def terminal_table(accuracy: pd.DataFrame, *, published: PublishedResults, console: Console | None = None) -> None:
    """Print the summary table.

    Args:
        accuracy: rows of :func:`bacon.reporting.collect.evaluations.collect_accuracy` (or ``read_accuracy``).
        published: what the sources print.
        console: where to print; standard output by default.
    """
    console = console or Console()
    summary = summarise(accuracy, published)
    footnotes = Footnotes(summary["published_note"])
    for block in blocks(summary):
        for grid in fitting(_summary_grid(block, footnotes), console.width):
            console.print(rich_table(grid, f"{grid.title}: test accuracy (%)"))
    for line in notes(accuracy, summary):
        console.print(Text(line, style="dim"))


def _summary_grid(block: Block, footnotes: Footnotes) -> Grid:
    kinds: tuple[tuple[str, Callable[[Entry], str]], ...] = (("ours", ours_text), ("sd", spreads_text))
    if block.has_published:
        kinds = (*kinds, ("published", partial(beside_ours_text, footnotes=footnotes)))
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
    """Mean, 95 % confidence interval if there is one, and number of networks: ``90.7 [90.0, 91.4] (15)``."""
    ours = entry.ours
    interval = "" if math.isnan(ours.ci_low) else f" [{ours.ci_low:.1f}, {ours.ci_high:.1f}]"
    return f"{ours.mean:.1f}{interval} ({ours.n})"


def spreads_text(entry: Entry) -> str:
    """Standard deviations over distillation seeds and over evaluation networks: ``0.5 / 1.1``; a dash where unknown."""
    parts = (entry.ours.sd_distillation, entry.ours.sd_evaluation)
    return " / ".join(MISSING if math.isnan(sd) else f"{sd:.1f}" for sd in parts)


def beside_ours_text(entry: Entry, footnotes: Footnotes) -> str:
    """The published accuracy with the mark of its note; * marks one outside our interval."""
    found, ours = entry.published, entry.ours
    outside = found is not None and not ours.ci_low <= found.accuracy_percent <= ours.ci_high
    return published_text(found, footnotes) + ("*" if outside and not math.isnan(ours.ci_low) else "")


def published_text(found: Published | None, footnotes: Footnotes) -> str:
    """A published accuracy as tables show it; †, ‡... mark a known problem."""
    if found is None:
        return MISSING
    spread = f" ± {digits(found.std_percent)}" if found.std_percent is not None else ""
    return f"{digits(found.accuracy_percent)}{spread}{footnotes.mark(found.note)}"


def digits(value: float) -> str:
    """One decimal, or two where the source gives two."""
    return f"{value:.2f}" if abs(value * 10 - round(value * 10)) > 1e-6 else f"{value:.1f}"
