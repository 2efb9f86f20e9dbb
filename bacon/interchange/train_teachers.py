"""Teachers that an evaluation protocol asks for, trained on the real set where no workflow has them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from bacon.artifacts.checkpoint import CheckpointStore
from bacon.artifacts.trained_runs import TrainedRuns
from bacon.datasets.store import ImageDataset
from bacon.plan.fingerprint import digest
from bacon.plan.trainings import training_fingerprint
from bacon.runtime.devices import device_name, is_deterministic
from bacon.runtime.heartbeat import Heartbeat
from bacon.runtime.job_lock import job_lock
from bacon.settings.cells import RunBlock
from bacon.settings.training_need import TrainingNeed
from bacon.training.run_driver import BlockJob, train_block

_CHECKPOINT_SECONDS, _PROGRESS_SECONDS = 300.0, 10.0


def teacher_runs(
    needs: Sequence[TrainingNeed], dataset: ImageDataset, *, data: Path, device: torch.device, folder: Path
) -> tuple[TrainedRuns, ...]:
    """The networks that some needs ask for; what is in ``folder`` is not trained again, and a stopped call resumes.

    Draws depend on run and purpose alone, so they are the networks of the workflow, to the bit where the arithmetic is.

    Args:
        needs: what is trained, and how.
        dataset: the prepared data set.
        data: its file, with the training images.
        device: where they are trained.
        folder: of finished networks and checkpoints.

    Raises:
        BaconError: an architecture does not fit the images, or a training diverged.
    """
    return tuple(_runs(need, dataset, data, device, folder) for need in needs)


def _runs(need: TrainingNeed, dataset: ImageDataset, data: Path, device: torch.device, folder: Path) -> TrainedRuns:
    fingerprint = training_fingerprint(need, {"data": dataset.fingerprint})
    block = RunBlock(dataset.name, need.key, 0, need.runs - 1)
    # Another version of program or data has networks of its own.
    own = folder / "teachers" / fingerprint
    job = _job(block, need, fingerprint, dataset, data, device, own)
    with job_lock((own / block.running_path).with_suffix(".lock")):
        train_block(job)
    return TrainedRuns(need.key, [job.output], runs=need.runs, fingerprint=fingerprint)


def _job(
    block: RunBlock,
    need: TrainingNeed,
    fingerprint: str,
    dataset: ImageDataset,
    data: Path,
    device: torch.device,
    folder: Path,
) -> BlockJob:
    own = digest({"training": fingerprint, "first": block.first, "last": block.last})
    return BlockJob(
        block=block,
        need=need,
        fingerprint=fingerprint,
        block_fingerprint=own,
        data_fingerprint=dataset.fingerprint,
        data=data,
        output=folder / block.path,
        device=device,
        at_once=1,
        checkpoints=CheckpointStore(
            folder=folder / block.checkpoint_folder, fingerprint=own, deterministic=is_deterministic(device)
        ),
        heartbeat=Heartbeat(
            folder / block.running_path, fingerprint=own, device=device_name(device), interval=_PROGRESS_SECONDS
        ),
        checkpoint_seconds=_CHECKPOINT_SECONDS,
        progress_seconds=_PROGRESS_SECONDS,
    )
