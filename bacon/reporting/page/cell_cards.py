"""Where a number of a leaderboard came from: the card of an exported set, the cell in a report, or the evaluation file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from bacon.reporting.collect.standings import Standing
from bacon.reporting.page.links import Links
from bacon.reporting.page.views import Link
from bacon.settings.cells import Cell

CARD, REPORT_NAME = "README.md", "report.html"
_HEAD = 4096  # characters of an evaluation file in which its fingerprint stands


def card_links(row: Standing, links: Links) -> tuple[Link, ...]:
    """A link for each distillation seed of a row whose results are still there, named by the seed.

    Args:
        row: of the leaderboard.
        links: to files beside the page.
    """
    cells = row.networks.drop_duplicates(["seed"])
    found = [_card(dict(cell), links) for _, cell in cells.sort_values("seed").iterrows()]
    return tuple(link for link in found if link is not None)


def _card(row: Mapping[str, Any], links: Links) -> Link | None:
    text = "all" if pd.isna(row["seed"]) else str(row["seed"])
    if row["path"]:
        return links.to(text, Path(row["path"]))
    cell, root = _cell(row), Path(row["root"])
    return (
        _exported_card(cell, root, text, links)
        or _in_report(cell, root, text, links)
        or _evaluation(cell, root, row, links, text)
    )


def _cell(row: Mapping[str, Any]) -> Cell:
    if pd.isna(row["ipc"]):
        return Cell(str(row["dataset"]), str(row["method"]))
    return Cell(str(row["dataset"]), str(row["method"]), int(row["ipc"]), int(row["seed"]))


def _exported_card(cell: Cell, root: Path, text: str, links: Links) -> Link | None:
    """The dataset card that ``bacon export --format huggingface`` wrote into the folder of results or into one in it."""
    name = f"{cell.dataset}_{cell.method}_ipc{cell.ipc}_seed{cell.seed}_huggingface"
    folders = (root, *sorted(path for path in root.iterdir() if path.is_dir()))
    return next((link for folder in folders if (link := links.to(text, folder / name / CARD))), None)


def _in_report(cell: Cell, root: Path, text: str, links: Links) -> Link | None:
    link = links.to(text, root / REPORT_NAME)
    return link and replace(link, href=f"{link.href}#{quote(str(cell), safe='/')}")


def _evaluation(cell: Cell, root: Path, row: Mapping[str, Any], links: Links, text: str) -> Link | None:
    """The evaluation file with the row's fingerprint, of the protocol of headline tables or another one."""
    for protocol in (str(row["protocol_name"]), ""):
        path = root / cell.evaluation_path(str(row["network"]), protocol).relative_to("results")
        link = links.to(text, path)
        if link is not None and str(row["fingerprint"]) in path.read_text(encoding="utf-8", errors="replace")[:_HEAD]:
            return link
    return None
