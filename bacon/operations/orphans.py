"""Results, checkpoints, heartbeats and half-written files that belong to no cell of a plan. No torch."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from bacon.config.loading import load_config
from bacon.operations.recorded_runs import recorded_runs
from bacon.operations.workflow_plan import shown_groups
from bacon.plan.inventory import Inventory
from bacon.plan.plan import Plan
from bacon.plan.stages import STAGES, plan_artifacts, stage_of
from bacon.reporting.targets import image_paths
from bacon.runtime.atomic import TEMPORARY
from bacon.runtime.errors import BaconError
from bacon.runtime.job_lock import is_held
from bacon.settings.cells import (
    CHECKPOINTS,
    FIGURES,
    FREE_NETWORKS,
    FREE_RECORDS,
    FREE_TASK_RECORDS,
    NETWORKS,
    RECORDS,
    RUNNING,
    TASK_RECORDS,
)

_WRITING_SECONDS = 3600.0
_CHECKPOINTS_OF = re.compile(r"([0-9a-f]{32})(-free)?")
"""Folder of an artifact's checkpoints: its fingerprint, and whether ``run.deterministic`` was false."""


def orphans(plan: Plan, *, records: bool = False, others: Sequence[Plan] = ()) -> list[Path]:
    """Paths under ``results`` that no cell of the plan needs, without those of a job that runs now.

    Args:
        plan: the plan.
        records: also the trained networks of other settings in the cache.
        others: plans of other runs in the same folder; what they need stays.
    """
    plans = (plan, *others)
    expected = {path for each in plans for path in _expected(each)}
    folders = (*(stage.folder for stage in STAGES.values()), Path(FIGURES) / "images")
    found = [path for folder in folders for path in _files(plan.directory, folder) if path not in expected]
    found = [path for path in found if not path.name.startswith(TEMPORARY)] + _half_written(plan)
    found += _checkpoints(plans)
    found += _heartbeats(plans)
    if records:
        known = {key for each in plans for key in _record_keys(each)}
        known |= {key for each in plans for key in _task_keys(each)}
        for kept in map(Path, (RECORDS, FREE_RECORDS, NETWORKS, FREE_NETWORKS, TASK_RECORDS, FREE_TASK_RECORDS)):
            folders_of = sorted((plan.directory / kept).glob("*"))
            found += [kept / path.name for path in folders_of if path.name not in known]
    return found


def other_plans(run_with: Path | str, directory: Path = Path()) -> list[Plan]:
    """The plans of the runs recorded in ``directory`` other than that of ``run_with``, a recorded configuration or its source.

    Raises:
        BaconError: a recorded configuration cannot be planned any more, so that what it made is not known.
    """
    content, found = (directory / run_with).read_bytes(), []
    for run in recorded_runs(directory):
        is_named = (
            run.only_file is not None and (directory / run.only_file).absolute() == (directory / run_with).absolute()
        )
        if is_named or (directory / run.path).read_bytes() == content:
            continue
        try:
            made = Plan(load_config(directory / run.path), directory)
            _expected(made)
        except BaconError as error:
            raise BaconError(
                f"{run.path}, the configuration of an earlier run, cannot be planned any more ({error}), so what it made is "
                "not known and nothing is offered. Delete that file if its results may go"
            ) from None
        found.append(made)
    return found


def _expected(plan: Plan) -> set[Path]:
    """Every file that the cells of a plan have."""
    artifacts = {
        path
        for artifact in plan_artifacts(plan)
        for path in (artifact.path, *stage_of(artifact).beside(plan, artifact))
    }
    return artifacts | {path for group in shown_groups(plan) for path in image_paths(*group)}


def _record_keys(plan: Plan) -> Iterator[str]:
    """Names of a plan's trained networks in the cache."""
    for cell in (*plan.references, *plan.cells):
        for each in plan.protocols.values():
            yield from (each.record_fingerprint(cell, network) for network in plan.networks)


def _task_keys(plan: Plan) -> Iterator[str]:
    """Names of the finished repetitions of a plan's downstream tasks in the cache."""
    for name in plan.tasks.names:
        for cell, network in plan.tasks.places(name):
            yield plan.tasks.result_fingerprint(name, cell, network)


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


def _files(directory: Path, folder: Path) -> Iterator[Path]:
    for path in sorted((directory / folder).rglob("*")):
        if path.is_file():
            yield path.relative_to(directory)


def _half_written(plan: Plan) -> list[Path]:
    """What killed processes left of files they wrote; a file that changed within the hour may still be written."""
    newest = time.time() - _WRITING_SECONDS
    found = (path for path in _files(plan.directory, Path("results")) if path.name.startswith(TEMPORARY))
    return [path for path in found if (plan.directory / path).stat().st_mtime < newest]


def _checkpoints(plans: Sequence[Plan]) -> list[Path]:
    """Folders of checkpoints: of artifacts that are made or gone, and of other settings of one that is not made."""
    plan, inventory = plans[0], Inventory(plans[0].directory)
    wanted = {
        folder(artifact) / artifact.fingerprint
        for each in plans
        for artifact in plan_artifacts(each)
        if (folder := stage_of(artifact).checkpoints) is not None and not inventory.is_right(artifact)
    }
    found = []
    for path in sorted((plan.directory / CHECKPOINTS).rglob("*/")):
        name, place = _CHECKPOINTS_OF.fullmatch(path.name), path.relative_to(plan.directory)
        if name is not None and place.with_name(name[1]) not in wanted and not _runs(plan, place.parent):
            found.append(place)
    return found


def _runs(plan: Plan, checkpoints: Path) -> bool:
    """Whether a process computes what a folder of checkpoints belongs to: the locks lie under the same name."""
    running = plan.directory / RUNNING / checkpoints.relative_to(CHECKPOINTS)
    return any(is_held(lock) for lock in running.glob("*.lock"))


def _heartbeats(plans: Sequence[Plan]) -> Iterable[Path]:
    """Heartbeats of what no plan has and no process computes."""
    plan = plans[0]
    known = {
        heartbeat(artifact).parent
        for each in plans
        for artifact in plan_artifacts(each)
        if (heartbeat := stage_of(artifact).heartbeat) is not None
    }
    files = (path for path in _files(plan.directory, Path(RUNNING)) if not path.name.startswith(TEMPORARY))
    for path in files:
        if path.parent not in known and not is_held((plan.directory / path).with_suffix(".lock")):
            yield path
