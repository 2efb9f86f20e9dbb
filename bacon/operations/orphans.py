"""Results, checkpoints, heartbeats and half-written files that belong to no cell of a plan. No torch."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from bacon.operations.workflow_plan import shown_groups
from bacon.plan.inventory import Inventory, expected_artifacts
from bacon.plan.plan import Plan
from bacon.reporting.targets import image_paths
from bacon.runtime.atomic import TEMPORARY
from bacon.runtime.errors import BaconError
from bacon.runtime.job_lock import is_held
from bacon.settings.cells import CACHE, CHECKPOINTS, DATA, FIGURES, RUNNING, Cell

_WRITING_SECONDS = 3600.0


def orphans(plan: Plan, *, records: bool = False) -> list[Path]:
    """Paths under ``results`` that no cell of the plan needs, without those of a job that runs now.

    Args:
        plan: the plan.
        records: also the trained networks of other settings in the cache.
    """
    expected = {artifact.path for artifact in expected_artifacts(plan)}
    expected |= {path for group in shown_groups(plan) for path in image_paths(*group)}
    folders = (
        Path(DATA).parent, Path("results/distilled"), Path("results/evaluation"), Path(FIGURES) / "images",
    )  # fmt: skip
    found = [path for folder in folders for path in _files(plan.directory, folder) if path not in expected]
    found = [path for path in found if not path.name.startswith(TEMPORARY)] + _half_written(plan)
    found += _checkpoints(plan)
    found += _heartbeats(plan)
    if records:
        known = {plan.record_fingerprint(cell, network) for cell in _cells(plan) for network in plan.networks}
        kept = plan.directory / CACHE / "evaluation"
        found += [Path(CACHE) / "evaluation" / path.name for path in sorted(kept.glob("*")) if path.name not in known]
    return found


def remove_path(path: Path) -> None:
    """Remove a file or a folder, and the folders above it that are empty then."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    for parent in path.parents:
        if parent.name == "results" or any(parent.iterdir()):
            return
        parent.rmdir()


def _cells(plan: Plan) -> tuple[Cell, ...]:
    return (*plan.references, *plan.cells)


def _files(directory: Path, folder: Path) -> Iterator[Path]:
    for path in sorted((directory / folder).rglob("*")):
        if path.is_file():
            yield path.relative_to(directory)


def _half_written(plan: Plan) -> list[Path]:
    """What killed processes left of files they wrote; a file that changed within the hour may still be written."""
    newest = time.time() - _WRITING_SECONDS
    found = (path for path in _files(plan.directory, Path("results")) if path.name.startswith(TEMPORARY))
    return [path for path in found if (plan.directory / path).stat().st_mtime < newest]


def _checkpoints(plan: Plan) -> list[Path]:
    """Folders of checkpoints: of cells that are done or gone, and of other settings of a cell that is not."""
    inventory, wanted = Inventory(plan.directory), set()
    for cell in plan.cells:
        header, fingerprint = inventory.header(cell.distilled_path), plan.distilled_fingerprint(cell)
        if header is None or header.fingerprint != fingerprint:
            wanted.add(cell.checkpoint_folder / fingerprint)
    folders = sorted((plan.directory / CHECKPOINTS).glob("*/*/*/*/*/"))
    relative = (folder.relative_to(plan.directory) for folder in folders)
    return [folder for folder in relative if folder not in wanted and not _runs(plan, _cell_of(folder))]


def _cell_of(folder: Path) -> Cell:
    return Cell.parse("/".join(folder.parts[-5:-1]))


def _runs(plan: Plan, cell: Cell) -> bool:
    return is_held(plan.directory / cell.running_path("distill").with_suffix(".lock"))


def _heartbeats(plan: Plan) -> Iterable[Path]:
    """Heartbeats of cells that the plan does not have and that no process computes."""
    cells = {str(cell) for cell in _cells(plan)}
    for path in _files(plan.directory, Path(RUNNING)):
        name = path.relative_to(RUNNING).parent.as_posix()
        try:
            Cell.parse(name)
        except BaconError:
            continue
        if name not in cells and not is_held((plan.directory / path).with_suffix(".lock")):
            yield path
