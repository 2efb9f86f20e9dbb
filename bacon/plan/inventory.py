"""The files on the disk, compared with a plan: only the fingerprint in an artifact counts.

Snakemake knows what it recorded in ``.snakemake``; after a clone into which only ``results/`` was copied, or when a process
that a killed call left behind writes its file late, that says nothing. ``bacon status`` and the Snakefile ask here. No torch.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from bacon.plan.headers import Header, read_header
from bacon.plan.plan import Plan
from bacon.plan.planned_artifact import PlannedArtifact
from bacon.plan.stages import plan_artifacts, stage_of
from bacon.runtime.atomic import write_json
from bacon.settings.cells import CACHE

_HEADERS = f"{CACHE}/headers.json"


class Inventory:
    """Headers of the artifacts in a working directory; each file is opened once, and again only after it changed.

    Args:
        directory: the working directory.
    """

    def __init__(self, directory: Path | str = ".") -> None:
        self.directory = Path(directory)
        self._file = self.directory / _HEADERS
        self._known = _read_known(self._file)
        self._changed = False

    def header(self, path: Path, read: Callable[[Path], Header] = read_header) -> Header | None:
        """What the artifact says of itself; ``None`` when there is no such file."""
        try:
            stat = (self.directory / path).stat()
        except OSError:
            return None
        key, version = str(path), [stat.st_size, stat.st_mtime_ns, stat.st_ino]
        known = self._known.get(key)
        if known is None or known.get("version") != version:
            header = read(self.directory / path)
            known = {"version": version, "header": vars(header)}
            self._known[key], self._changed = known, True
        header = Header(**known["header"])
        # The artifact did not change, but what belongs to it may have gone.
        whole = all(_size(self.directory / path.parent / name) == size for name, size in header.parts.items())
        return header if whole else replace(header, fingerprint=None)

    def of(self, artifact: PlannedArtifact) -> Header | None:
        """What an artifact of a plan says of itself; ``None`` when it is not there."""
        return self.header(artifact.path, stage_of(artifact).header)

    def is_right(self, artifact: PlannedArtifact) -> bool:
        """Whether an artifact is there and carries the plan's fingerprint."""
        header = self.of(artifact)
        return header is not None and header.fingerprint == artifact.fingerprint

    def save(self) -> None:
        """Remember the headers for the next call; a folder that cannot be written must not stop the program."""
        if self._changed:
            try:
                write_json(self._file, self._known)
            except OSError:
                return
            self._changed = False


def _size(path: Path) -> int | None:
    """Bytes of a file; ``None``: there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return None


def _read_known(path: Path) -> dict[str, Any]:
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def read_artifacts(plan: Plan) -> list[tuple[PlannedArtifact, Header | None]]:
    """Every artifact of a plan, in the order they are made, and what it says of itself where it is there."""
    inventory = Inventory(plan.directory)
    found = [(artifact, inventory.of(artifact)) for artifact in plan_artifacts(plan)]
    inventory.save()
    return found
