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
_EXPORT = "_huggingface"
_COLUMNS = ("seed", "path", "root", "dataset", "method", "ipc", "network", "protocol_name", "fingerprint")
_HEAD = 4096  # characters of an evaluation file in which its fingerprint stands


class Cards:
    """Links to the cards of cells.

    Args:
        links: to files beside the page.
    """

    def __init__(self, links: Links) -> None:
        self._links = links
        self._exported: dict[Path, dict[str, Path]] = {}

    def of(self, row: Standing) -> tuple[Link, ...]:
        """A link for each distillation seed of a row whose results are still there, named by the seed."""
        values = zip(*(row.networks[column].tolist() for column in _COLUMNS), strict=True)
        # Networks of a seed share all of it.
        cells = {each[0]: dict(zip(_COLUMNS, each, strict=True)) for each in values}
        found = [self._card(cells[seed]) for seed in sorted(cells)]
        return tuple(link for link in found if link is not None)

    def _card(self, row: Mapping[str, Any]) -> Link | None:
        text = "all" if pd.isna(row["seed"]) else str(row["seed"])
        if row["path"]:
            return self._links.to(text, Path(row["path"]))
        cell, root = _cell(row), Path(row["root"])
        return (
            self._exported_card(cell, root, text)
            or self._in_report(cell, root, text)
            or self._evaluation(cell, root, text, row)
        )

    def _exported_card(self, cell: Cell, root: Path, text: str) -> Link | None:
        """The dataset card that ``bacon export --format huggingface`` wrote into the folder of results or into one in it."""
        if root not in self._exported:
            found = [path for start in ("", "*/") for path in sorted(root.glob(f"{start}*{_EXPORT}/{CARD}"))]
            self._exported[root] = {path.parent.name: path for path in reversed(found)}
        path = self._exported[root].get(f"{cell.dataset}_{cell.method}_ipc{cell.ipc}_seed{cell.seed}{_EXPORT}")
        return None if path is None else self._links.to(text, path)

    def _in_report(self, cell: Cell, root: Path, text: str) -> Link | None:
        link = self._links.to(text, root / REPORT_NAME)
        return link and replace(link, href=f"{link.href}#{quote(str(cell), safe='/')}")

    def _evaluation(self, cell: Cell, root: Path, text: str, row: Mapping[str, Any]) -> Link | None:
        """The evaluation file with the row's fingerprint, of the protocol of headline tables or another one."""
        for protocol in (str(row["protocol_name"]), ""):
            path = root / cell.evaluation_path(str(row["network"]), protocol).relative_to("results")
            link = self._links.to(text, path)
            if link is None:
                continue
            if str(row["fingerprint"]) in path.read_text(encoding="utf-8", errors="replace")[:_HEAD]:
                return link
        return None


def _cell(row: Mapping[str, Any]) -> Cell:
    if pd.isna(row["ipc"]):
        return Cell(str(row["dataset"]), str(row["method"]))
    return Cell(str(row["dataset"]), str(row["method"]), int(row["ipc"]), int(row["seed"]))
