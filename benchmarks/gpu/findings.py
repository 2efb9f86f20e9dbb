"""What a part has found so far; it lies in a file after every figure, so that a part that is stopped loses nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bacon.runtime.atomic import write_json


class Findings:
    """The figures of a part.

    Args:
        path: the JSON file.
        content: of a part that is over, from its file.

    Attributes:
        figures: name -> number; the names are those of ``figures.csv`` where a figure has a target or a prediction.
        rows: name of a table -> its rows, with all that was measured.
        skipped: what was not measured -> why.
        pieces: what the part did, and the seconds of each; the first is its start.
    """

    def __init__(self, path: Path, content: dict[str, Any] | None = None) -> None:
        self._path, found = path, content or {}
        self.figures: dict[str, float] = found.get("figures", {})
        self.rows: dict[str, list[dict[str, Any]]] = found.get("rows", {})
        self.skipped: dict[str, str] = found.get("skipped", {})
        self.pieces: list[dict[str, Any]] = found.get("pieces", [])

    def figure(self, name: str, value: float) -> None:
        """Keep a figure."""
        self.figures[name] = float(value)
        self._write()

    def row(self, table: str, **values: Any) -> None:
        """Keep a row of raw figures."""
        self.rows.setdefault(table, []).append(values)
        self._write()

    def piece(self, what: str, seconds: float) -> None:
        """Say what time went to."""
        self.pieces.append({"what": what, "seconds": seconds})
        self._write()

    def skip(self, what: str, why: str) -> None:
        """Say that something is not measured."""
        self.skipped[what] = why
        self._write()

    def _write(self) -> None:
        kept = ("figures", "rows", "skipped", "pieces")
        write_json(self._path, {name: getattr(self, name) for name in kept})
