"""Everything that a report shows: the tables as data frames, the figures with their captions. The entry for reports.

    tables = report_tables(plan, published=PUBLISHED)    # name -> ReportTable(title, caption, frame, grids, notes)
    figures = report_figures(plan)        # ReportFigure(topic, title, caption, files, dataset, method, ipc), in order
    missing = left_out(plan)              # bacon.reporting.figures.catalogue: figures this grid is too small for, and why

Tables are computed from the evaluation and distilled files, each checked against its fingerprint. Figures are read from
what the workflow drew: the ``.json`` beside each picture holds its title and caption.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bacon.reporting.collect.evaluations import RERUN
from bacon.reporting.figures.catalogue import drawn, image_paths, left_out
from bacon.reporting.tables.all_tables import report_tables
from bacon.reporting.tables.report_table import ReportTable
from bacon.runtime.errors import BaconError

if TYPE_CHECKING:
    from bacon.plan.plan import Plan

__all__ = ["ReportFigure", "ReportTable", "left_out", "report_figures", "report_tables"]


@dataclass(frozen=True, kw_only=True)
class ReportFigure:
    """One figure with its files."""

    topic: str
    """What it shows: ``accuracy``, ``curve``, ``loss``, ``images``, ... (:mod:`bacon.reporting.figures.catalogue`)."""
    title: str
    caption: str
    files: Mapping[str, Path]
    """Suffix (``png``, ``pdf``, for some ``gif``) -> file."""
    dataset: str | None = None
    """The data set, method and IPC that it shows; ``None`` where it shows several."""
    method: str | None = None
    ipc: int | None = None


def report_figures(plan: Plan, *, all_drawn: bool = True) -> list[ReportFigure]:
    """Every figure that the workflow drew for a plan, those of the whole grid first, then each distilled set's images.

    Args:
        plan: the grid.
        all_drawn: whether a figure that is missing is an error; else it is passed over.

    Raises:
        BaconError: a figure is missing, or the file with its caption is damaged.
    """
    found = []
    for figure in drawn(plan):
        path = plan.directory / figure.path("json")
        if not all_drawn and not path.is_file():
            continue
        title, caption = _words(path)
        files = {kind: plan.directory / figure.path(kind) for kind in figure.kinds if kind != "json"}
        found.append(
            ReportFigure(
                topic=figure.topic, title=title, caption=caption, files=files, dataset=figure.dataset, ipc=figure.ipc
            )
        )
    return found + _image_figures(plan, all_drawn=all_drawn)


def _image_figures(plan: Plan, *, all_drawn: bool) -> list[ReportFigure]:
    found = []
    for dataset, method, ipc in dict.fromkeys((cell.dataset, cell.method, cell.ipc or 0) for cell in plan.cells):
        paths = {path.suffix[1:]: plan.directory / path for path in image_paths(dataset, method, ipc)}
        words = paths.pop("json")
        if not all_drawn and not words.is_file():
            continue
        title, caption = _words(words)
        found.append(
            ReportFigure(
                topic="images", title=title, caption=caption, files=paths, dataset=dataset, method=method, ipc=ipc
            )
        )
    return found


def _words(path: Path) -> tuple[str, str]:
    """Title and caption from the file beside a picture."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return str(content["title"]), str(content["caption"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BaconError(f"{path}: the caption of a figure cannot be read ({error!r}). {RERUN}") from error
