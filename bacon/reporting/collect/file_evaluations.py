"""What ``bacon evaluate --output`` found of distilled sets in files, as rows of a leaderboard."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd

from bacon.artifacts.evaluation_records import FORMAT, Record, read_evaluation
from bacon.reporting.collect.comparable import comparable_facts
from bacon.reporting.collect.protocol_text import evaluated_text, protocol_of
from bacon.runtime.errors import BaconError

SOURCE_KEYS = ("title", "dataset_title", "ipc", "image_bytes", "label_bytes", "sha256")
"""What ``source`` in such a file must say."""


def read_file_evaluations(folders: Sequence[Path], remarks: list[str]) -> pd.DataFrame | None:
    """Rows of every evaluation of a file that lies in the folders themselves; ``None`` if there is none.

    Files of the same title, data set and IPC that hold different sets are distillation seeds of one method, numbered in the
    order of their names.

    Args:
        folders: looked at without the folders in them.
        remarks: where other JSON files are said to be left out.

    Raises:
        BaconError: an evaluation file is damaged, of a version that did not say what a leaderboard needs, or there twice.
    """
    paths = sorted(path for folder in folders for path in folder.glob("*.json"))
    found = [path for path in paths if _is_file_evaluation(path)]
    others = [path.name for path in paths if path not in found]
    if others:
        more = f" and {len(others) - 3} more" if len(others) > 3 else ""
        remarks.append(
            f"{folders[0]}: left out, not written by `bacon evaluate --output`: {', '.join(others[:3])}{more}."
        )
    if not found:
        return None
    contents = [(path, _complete(path)) for path in found]
    _check_once(contents)
    numbers = _seed_numbers([content for _, content in contents])
    rows = [row for path, content in contents for row in _rows(path, content, numbers)]
    return pd.DataFrame(rows).astype({"ipc": "Int64", "seed": "Int64"})


def _is_file_evaluation(path: Path) -> bool:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BaconError(f"{path}: not a readable JSON file ({error}); evaluate again, or remove it") from error
    return isinstance(content, dict) and content.get("format") == FORMAT and "source" in content


def _complete(path: Path) -> dict[str, Any]:
    content = read_evaluation(path)
    missing = [name for name in SOURCE_KEYS if name not in content["source"]]
    if missing:
        raise BaconError(
            f"{path}: `source` does not say {', '.join(missing)}; an older version wrote it: evaluate again"
        )
    return content


def _check_once(contents: Sequence[tuple[Path, Mapping[str, Any]]]) -> None:
    """The same set under the same protocol twice would count its networks twice."""
    seen: dict[str, Path] = {}
    for path, content in contents:
        other = seen.setdefault(str(content["fingerprint"]), path)
        if other != path:
            raise BaconError(f"{path}: the same evaluation of the same set as {other.name}; remove one of them")


def _seed_numbers(contents: Sequence[Mapping[str, Any]]) -> dict[tuple[Any, ...], int]:
    """Number of each set among those of its method."""
    seeds: Counter[tuple[Any, ...]] = Counter()
    numbers: dict[tuple[Any, ...], int] = {}
    for content in contents:
        made = _made(content)
        if made not in numbers:
            numbers[made] = seeds[made[:-1]]
            seeds[made[:-1]] += 1
    return numbers


def _made(content: Mapping[str, Any]) -> tuple[Any, ...]:
    source = content["source"]
    return content["dataset"], source["title"], source["ipc"], source["sha256"]


def _rows(path: Path, content: Mapping[str, Any], numbers: Mapping[tuple[Any, ...], int]) -> list[dict[str, Any]]:
    """One row per evaluation seed, averaged over augmentations."""
    try:
        shared = _shared(content) | {"seed": numbers[_made(content)], "path": str(path)}
    except (KeyError, TypeError, ValueError) as error:
        raise BaconError(f"{path}: not a complete evaluation file ({error!r}); evaluate again") from error
    return [
        {**shared, "evaluation_seed": seed, "test_accuracy_percent": 100 * value}
        for seed, value in _by_seed(content["records"]).items()
    ]


def _shared(content: Mapping[str, Any]) -> dict[str, Any]:
    source = content["source"]
    return {
        "dataset": content["dataset"],
        "dataset_title": str(source["dataset_title"]),
        "method": f"file:{source['title']}",
        "method_title": str(source["title"]),
        "ipc": int(source["ipc"]),
        "network": content["network"],
        "network_text": evaluated_text(content["settings"]),
        "protocol_name": content["protocol"],
        "protocol": protocol_of(content),
        "final": True,
        "teacher_bytes": 0,
        "fingerprint": content["fingerprint"],
        "commit": content["provenance"]["commit"],
        **comparable_facts(content),
        "seconds": float("nan"),
        "stored_bytes": float(source["image_bytes"] + source["label_bytes"]),
    }


def _by_seed(records: list[Record]) -> dict[int, float]:
    seeds = sorted({record.evaluation_seed for record in records if record.final})
    return {
        seed: fmean(one.test_accuracy for one in records if one.evaluation_seed == seed and one.final) for seed in seeds
    }
