"""The process of one part: ``python -m benchmarks.gpu.worker PART FOLDER SECONDS BEGUN``, begun by ``time.time()``."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from bacon.runtime.errors import BaconError
from benchmarks.gpu.deadline import Deadline
from benchmarks.gpu.findings import Findings
from benchmarks.gpu.parts import PARTS
from benchmarks.gpu.request import Request

REQUEST = "request.json"


def work(name: str, folder: Path, seconds: float, *, begun: float | None = None) -> None:
    """Measure the part ``name`` of the request in ``folder``; its findings go to ``NAME.json`` there.

    Args:
        name: of the part.
        folder: of the command.
        seconds: of the part.
        begun: since when, by ``time.time()``: importing PyTorch takes seconds of them; ``None``: since now.
    """
    deadline = Deadline(seconds, spent=0.0 if begun is None else max(time.time() - begun, 0.0))
    request, found = Request.read(folder / REQUEST), Findings(folder / f"{name}.json")
    part = next(part for part in PARTS if part.name == name)
    try:
        part.measure()(request, found, deadline)
    finally:
        deadline.end(found)


if __name__ == "__main__":
    try:
        work(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]), begun=float(sys.argv[4]))
    except BaconError as error:
        raise SystemExit(f"error: {error}") from None
