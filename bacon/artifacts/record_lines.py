"""A JSON file whose records stand one a line: a matrix in a record would fill pages otherwise."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bacon.runtime.atomic import write_text


def write_record_lines(path: Path | str, content: Mapping[str, Any], records: Iterable[Mapping[str, Any]]) -> None:
    """Write an object whose last member, ``records``, is a list of objects; atomically.

    Args:
        path: the JSON file.
        content: the members before it, at least one.
        records: what is in the list.

    Raises:
        ValueError: a number is not finite.
    """
    head = json.dumps(content, indent=1, allow_nan=False)
    lines = ",\n".join(f"  {json.dumps(record, allow_nan=False)}" for record in records)
    write_text(path, f'{head[:-2]},\n "records": [\n{lines}\n ]\n}}\n')
