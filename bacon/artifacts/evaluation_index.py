"""The index of a cell's evaluation files: which there are under several protocols, and what each is. No torch.

The files lie below the index's folder and are not declared to Snakemake, which deletes the outputs of a job that failed: what
was evaluated stays, and the next job evaluates what is missing or out of date.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bacon.artifacts.evaluation_records import VERSION, Record, read_evaluation
from bacon.runtime.atomic import write_text
from bacon.runtime.errors import BaconError

FORMAT = "bacon-evaluations"


def evaluation_fingerprint(path: Path) -> str | None:
    """The fingerprint that an evaluation file carries; ``None`` where there is none that can be read whole."""
    try:
        return str(read_evaluation(path)["fingerprint"])
    except BaconError:
        return None


def write_index(path: Path, files: Sequence[Path], content: Mapping[str, Any]) -> None:
    """Write the index of evaluation files that are there, atomically.

    Args:
        path: the index (JSON).
        files: the evaluation files, below the folder of ``path``, in the order of tables.
        content: fingerprint, dataset, method, ipc and seed, data_fingerprint, distilled_fingerprint and provenance.

    Raises:
        BaconError: a file is missing or damaged.
    """
    read = {file: read_evaluation(file) for file in files}
    trained = {key: value for one in read.values() for key, value in one.get("training_fingerprints", {}).items()}
    whole = {
        "format": FORMAT,
        "version": VERSION,
        **content,
        "training_fingerprints": trained,
        "evaluations": [_entry(path, file, one) for file, one in read.items()],
    }
    write_text(path, json.dumps(whole, indent=1, allow_nan=False) + "\n")


def _entry(path: Path, file: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    records: Sequence[Record] = content["records"]
    return {
        "protocol": content["protocol"],
        "network": content["network"],
        "file": str(file.relative_to(path.parent)),
        "bytes": file.stat().st_size,
        "fingerprint": content["fingerprint"],
        "seconds": content.get("testing_seconds", sum(record.wall_seconds for record in records)),
    }
