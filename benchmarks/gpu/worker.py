"""The process of one part: ``python -m benchmarks.gpu.worker PART FOLDER SECONDS``."""

from __future__ import annotations

import sys
from pathlib import Path

from bacon.runtime.errors import BaconError
from benchmarks.gpu.deadline import Deadline
from benchmarks.gpu.findings import Findings
from benchmarks.gpu.parts import PARTS
from benchmarks.gpu.request import Request

REQUEST = "request.json"


def work(name: str, folder: Path, seconds: float) -> None:
    """Measure the part ``name`` of the request in ``folder``; its findings go to ``NAME.json`` there."""
    deadline, request = Deadline(seconds), Request.read(folder / REQUEST)
    part = next(part for part in PARTS if part.name == name)
    part.measure()(request, Findings(folder / f"{name}.json"), deadline)


if __name__ == "__main__":
    try:
        work(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]))
    except BaconError as error:
        raise SystemExit(f"error: {error}") from None
