"""Compute one cell: read its data, run its method's algorithm, write its artifact. Knows no method."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from bacon.artifacts.distilled_file import DistillationResult, write_distilled
from bacon.artifacts.trained_runs import TrainedRuns, training_costs
from bacon.datasets.training_images import read_training
from bacon.distillation.cell_run import CellIdentity, CellJob, CellRun, Running
from bacon.distillation.company import Candidate, Company
from bacon.distillation.real_images import RealImages
from bacon.runtime.devices import device_name, is_deterministic
from bacon.runtime.host_rows import Placement
from bacon.runtime.logs import get_logger
from bacon.runtime.provenance import peak_memory_bytes, provenance
from bacon.runtime.signals import deferred_stop
from bacon.training.run_networks import at_chance

if TYPE_CHECKING:
    from bacon.settings.cell_settings import CellSettings

log = get_logger(__name__)


def distil_cell(
    identity: CellIdentity,
    settings: CellSettings,
    algorithm: str,
    *,
    data: Path,
    output: Path,
    device: torch.device,
    chunk_images: int = 2048,
    placement: Placement = "auto",
    running: Running,
    inputs: Mapping[str, TrainedRuns] | None = None,
    others: Iterable[Candidate] = (),
    places: int = 0,
) -> None:
    """Compute a cell and write its artifact atomically.

    Args:
        identity: the cell and its fingerprints.
        settings: its resolved settings.
        algorithm: ``module:Class`` of its method's algorithm.
        data: the preprocessed data set; refused when its fingerprint is not the one expected.
        output: where the distilled set is written.
        device: where it is computed.
        chunk_images: images embedded at a time.
        placement: where the real images are kept.
        running: progress, checkpoints and the time of earlier parts.
        inputs: name of each of the cell's training needs -> the networks trained for it.
        others: further cells of the data set, worked on beside this one as far as it takes; of each a checkpoint is kept.
        places: how many of them at a time.
    """
    trained = dict(inputs or {})
    dataset = read_training(data, expected_fingerprint=identity.data_fingerprint)
    real, whitening = RealImages(dataset, device=device, placement=placement), dataset.whitening
    about = {"class_names": list(dataset.class_names), "mean": list(dataset.mean), "std": list(dataset.std)}
    del dataset  # on a GPU, its images are there now, unless they stay on the host
    job = CellJob(identity=identity, settings=settings, algorithm=algorithm, running=running, inputs=trained)
    # What the host gathers, it gathers for one cell at a time.
    company = Company(others, real, places=0 if real.is_streamed else places, chunk_images=chunk_images)
    run = CellRun(job, real, chunk_images=chunk_images, make_way=company.leave)
    with deferred_stop() as stop, closing(company):
        for _ in run.turns(stop):
            company.turn()
    engine, divergence = run.engine, run.divergence
    seconds, used = running.heartbeat.seconds(), running.heartbeat.used()
    result = DistillationResult(
        synthetic=engine.synthetic(),
        snapshots=engine.snapshots,
        history=engine.history.arrays() if engine.algorithm.terms else {},
        attributes=about
        | _attributes(identity, settings, device, seconds)
        | used.energy()
        | {"peak_memory_bytes": max(used.peak_memory_bytes, peak_memory_bytes(device))}
        | _training_attributes(trained, real)
        | ({} if divergence.found is None else {"divergence": divergence.found}),
        whitening=whitening,
    )
    write_distilled(output, result)
    running.checkpoints.remove()
    running.heartbeat.remove()
    log.info("wrote %s: %d images in %.1f s", output, len(result.synthetic), seconds)


def _training_attributes(inputs: Mapping[str, TrainedRuns], real: RealImages) -> dict[str, Any]:
    """Fingerprints and cost of the networks that a cell was distilled with, and which of them are at chance level."""
    if not inputs:
        return {}
    weak = [
        f"run {run} of {name} ({runs.key})"
        for name, runs in inputs.items()
        for run in range(len(runs))
        if at_chance(runs, run, classes=real.classes, images=len(real.labels))
    ]
    prints: dict[str, Any] = {"training_fingerprints": {runs.key: runs.fingerprint for runs in inputs.values()}}
    prints["training_costs"] = training_costs(inputs.values())
    return prints | ({"at_chance": ", ".join(weak)} if weak else {})


def _attributes(identity: CellIdentity, settings: CellSettings, device: torch.device, seconds: float) -> dict[str, Any]:
    iterations = settings.distillation.iteration_count() if settings.distillation is not None else 0
    return {
        "dataset": identity.dataset,
        "method": identity.method,
        "ipc": identity.ipc,
        "seed": identity.seed,
        "fingerprint": identity.fingerprint,
        "data_fingerprint": identity.data_fingerprint,
        "settings": settings.model_dump(mode="json", by_alias=True),
        "iterations": iterations,
        "wall_seconds": seconds,
        "iterations_per_second": iterations / seconds,
        "device": device_name(device),
        "provenance": provenance(device_name(device), deterministic=is_deterministic(device)),
    }
