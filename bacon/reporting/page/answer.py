"""The tables that answer the question: methods x IPC, ours beside published."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import pandas as pd

from bacon.reporting.collect.footnotes import Footnotes
from bacon.reporting.collect.protocol_text import FULL
from bacon.reporting.collect.summary import Block, Entry, blocks, notes
from bacon.reporting.page.views import Column, Table, Value
from bacon.reporting.tables.markup import MISSING
from bacon.reporting.tables.run_tables import beside_ours_text, ours_text, spreads_text

BEST = "Bold: the highest mean of a column among the methods, whether or not the difference is significant."


def answer_tables(accuracy: pd.DataFrame, summary: pd.DataFrame) -> list[Table]:
    """One table per data set and evaluation network; notes that all of them share stand once, beneath the last.

    Args:
        accuracy: rows of :func:`bacon.reporting.collect.evaluations.collect_accuracy`.
        summary: the same, summarised beside the published numbers by :func:`bacon.reporting.collect.summary.summarise`.
    """
    tables, shared = answer_parts(accuracy, summary)
    whose = "Both tables" if len(tables) == 2 else f"All {len(tables)} tables"
    beneath = tuple(f"{whose}: {note}" for note in shared)
    return [*tables[:-1], *(replace(last, notes=(*last.notes, *beneath)) for last in tables[-1:])]


def answer_parts(accuracy: pd.DataFrame, summary: pd.DataFrame) -> tuple[list[Table], tuple[str, ...]]:
    """The same tables, each with the notes that are its own, and those that all share; arguments as there."""
    tables = [_answer(place, block, accuracy, summary) for place, block in enumerate(blocks(summary))]
    if len(tables) < 2:
        return tables, ()
    shared = tuple(note for note in tables[0].notes if all(note in table.notes for table in tables))
    own = [replace(table, notes=tuple(note for note in table.notes if note not in shared)) for table in tables]
    return own, shared


def _answer(place: int, block: Block, accuracy: pd.DataFrame, summary: pd.DataFrame) -> Table:
    kinds = ("ours", "sd", "published", "gap") if block.has_published else ("ours", "sd")
    own = [
        table[(table["dataset"] == block.dataset) & (table["network"] == block.network)]
        for table in (accuracy, summary)
    ]
    footnotes = Footnotes(own[1]["published_note"])
    remarks = [*notes(*own), BEST]
    if block.has_published:
        remarks.append("Gap: ours minus published, in percentage points. The protocols differ.")
    return Table(
        name=f"accuracy-{place}",
        title=f"{block.title}: test accuracy (%)",
        groups=tuple((f"IPC {ipc}", len(kinds)) for ipc in block.ipcs),
        columns=(Column(title="Method", numeric=False), *(Column(title=kind) for _ in block.ipcs for kind in kinds)),
        rows=tuple(_answer_row(block, own[1], title, entries, footnotes) for title, entries in block.rows),
        notes=tuple(remarks),
    )


def _answer_row(
    block: Block, summary: pd.DataFrame, title: str, entries: tuple[Entry | None, ...], footnotes: Footnotes
) -> tuple[Value, ...]:
    method = str(summary.loc[summary["method_title"] == title, "method"].iloc[0])
    values = [Value(text=title)]
    for ipc, entry in zip(block.ipcs, entries, strict=True):
        best = method != FULL and entry is not None and entry.ours.mean == _best(summary, ipc)
        cells = f"{block.dataset}/full" if method == FULL else f"{block.dataset}/{method}/ipc{ipc}/"
        values += _entry_values(entry, best=best, cells=cells, published=footnotes if block.has_published else None)
    return tuple(values)


def _entry_values(entry: Entry | None, *, best: bool, cells: str, published: Footnotes | None) -> Iterator[Value]:
    if entry is None:
        yield from [Value(text=MISSING)] * (2 if published is None else 4)
        return
    ours, found = entry.ours, entry.published
    yield Value(text=ours_text(entry), sort=ours.mean, best=best, cells=cells)
    yield Value(text=spreads_text(entry), sort=None if math.isnan(ours.sd) else ours.sd)
    if published is not None:
        yield Value(text=beside_ours_text(entry, published), sort=None if found is None else found.accuracy_percent)
        gap = None if found is None else ours.mean - found.accuracy_percent
        yield Value(text=MISSING if gap is None else f"{gap:+.1f}", sort=gap)


def _best(summary: pd.DataFrame, ipc: int) -> float:
    chosen = (summary["method"] != FULL) & (summary["ipc"] == ipc)
    return float(summary.loc[chosen, "mean_percent"].max())
