"""Links from the page to files beside it."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

from bacon.reporting.page.views import Link


class Links:
    """Links relative to a page, so that a folder of results can be moved or served as a whole.

    Args:
        page: where the page will lie.
    """

    def __init__(self, page: Path) -> None:
        self._folder = page.resolve().parent

    def to(self, text: str, path: Path) -> Link | None:
        """A link to a file, or ``None`` where there is no such file: logs may have been removed."""
        if not path.is_file():
            return None
        relative = Path(os.path.relpath(path.resolve(), self._folder)).as_posix()
        return Link(text=text, href=quote(relative, safe="/"))
