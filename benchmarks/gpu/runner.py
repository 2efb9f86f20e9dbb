"""Runs the parts one after another, each in a process of its own, so that what fails takes nothing with it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import click

from bacon.runtime.atomic import write_json
from bacon.runtime.provenance import commit
from benchmarks.cells import ROOT
from benchmarks.gpu.parts import Part
from benchmarks.gpu.request import Request
from benchmarks.gpu.worker import REQUEST

Status = Literal["done", "failed", "stopped", "not started"]
Start = Callable[[str, Path, float, Path], Status]
"""Runs a part: its name, the folder, its seconds, and the file for what it prints."""

_LEAST = 8.0
"""Seconds without which a part is not started: about what PyTorch and CUDA take to start."""
_GRACE = 3.0
"""Seconds between a part's own deadline and its end by force."""


def run(parts: Sequence[Part], request: Request, *, limit: float, start: Start | None = None) -> list[dict[str, Any]]:
    """Run parts within ``limit`` seconds.

    A part that needs less than its seconds leaves them to the later ones.

    Args:
        parts: in their order.
        request: what is measured.
        limit: seconds for all of them.
        start: runs a part; by default a process.

    Returns:
        A row for each part: name, status, seconds; after each of them in ``gpu.json`` too.
    """
    folder, begun = request.folder, time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    request.write(folder / REQUEST)
    share = min(1.0, limit / sum(part.seconds for part in parts))
    rows: list[dict[str, Any]] = []
    for position, part in enumerate(parts):
        later = sum(other.seconds for other in parts[position + 1 :]) * share
        seconds = limit - (time.monotonic() - begun) - later
        click.echo(f"{part.name}: {part.what}; at most {seconds:.0f} s > {folder / part.name}.log")
        rows.append({"part": part.name, **_run(part, folder, seconds, start or _process)})
        write_json(folder / "gpu.json", {"commit": commit(), "seconds": time.monotonic() - begun, "parts": rows})
    return rows


def _run(part: Part, folder: Path, seconds: float, start: Start) -> dict[str, Any]:
    (folder / f"{part.name}.json").unlink(missing_ok=True)
    begun, status = time.monotonic(), "not started"
    if seconds >= _LEAST:
        status = start(part.name, folder, seconds, folder / f"{part.name}.log")
    return {"status": status, "seconds": time.monotonic() - begun}


def command(name: str, folder: Path, seconds: float) -> list[str]:
    """What starts a part in a process of its own."""
    worker = (sys.executable, "-m", "benchmarks.gpu.worker")
    return [*worker, name, str(folder), f"{seconds:.1f}", f"{time.time():.1f}"]


def _process(name: str, folder: Path, seconds: float, log: Path) -> Status:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(
            command(name, folder, seconds - _GRACE),
            stdout=file,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env=environment,
            start_new_session=True,
        )
        try:
            return "done" if process.wait(timeout=seconds) == 0 else "failed"
        except subprocess.TimeoutExpired:
            return "stopped"
        finally:
            end_group(process)


def end_group(process: subprocess.Popen[Any]) -> None:
    """End a process that began a session, with all that it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def earlier_findings(folder: Path, part: str) -> dict[str, Any]:
    """What a part has found earlier in the same call; nothing where it was not part of it."""
    path, request = folder / f"{part}.json", folder / REQUEST
    same = path.is_file() and request.is_file() and path.stat().st_mtime_ns >= request.stat().st_mtime_ns
    return findings(folder, part) if same else {}


def findings(folder: Path, part: str) -> dict[str, Any]:
    """What a part has found, also one that did not end well; nothing where it has not begun."""
    path = folder / f"{part}.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found
