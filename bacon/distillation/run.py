"""Compute one cell: read its data, distil or select, write its artifact."""

from __future__ import annotations

import importlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from bacon.datasets.store import ImageDataset, read_dataset
from bacon.distillation.artifact import Distilled, write_distilled
from bacon.distillation.engine import Engine
from bacon.distillation.real import RealImages
from bacon.runtime.devices import device_name
from bacon.runtime.logs import get_logger
from bacon.runtime.progress import Progress
from bacon.runtime.provenance import peak_memory_bytes, provenance

if TYPE_CHECKING:
    from bacon.settings import CellSettings

log = get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class CellIdentity:
    """Which cell is computed, and the fingerprints that its artifact and its data must carry."""

    dataset: str
    method: str
    ipc: int
    seed: int
    fingerprint: str
    data_fingerprint: str


def distil_cell(
    identity: CellIdentity,
    settings: CellSettings,
    *,
    data: Path,
    output: Path,
    device: torch.device,
    selector: str | None = None,
    chunk_images: int = 2048,
    progress_seconds: float = 10.0,
) -> None:
    """Compute a cell and write its artifact atomically.

    Args:
        identity: the cell and its fingerprints.
        settings: its resolved settings.
        data: the preprocessed data set; refused when its fingerprint is not the one expected.
        output: where the distilled set is written.
        device: where it is computed.
        selector: for selection methods, the module whose ``select`` chooses the images.
        chunk_images: images embedded at a time.
        progress_seconds: seconds between progress lines in a log.
    """
    dataset = read_dataset(data, expected_fingerprint=identity.data_fingerprint)
    start = time.perf_counter()
    real = RealImages(dataset, device=device)
    if selector is None:
        images, extra = _match(identity, settings, real, chunk_images, progress_seconds)
    else:
        images, extra = _select(identity, settings, real, selector), {}
    seconds = time.perf_counter() - start
    attributes = _attributes(identity, settings, dataset, device, seconds)
    labels = torch.arange(real.classes).repeat_interleave(identity.ipc)
    distilled = Distilled(images=images, labels=labels, attributes=attributes, whitening=dataset.whitening, **extra)
    write_distilled(output, distilled)
    log.info("wrote %s: %d images in %.1f s", output, len(images), seconds)


def _match(
    identity: CellIdentity, settings: CellSettings, real: RealImages, chunk_images: int, progress_seconds: float
) -> tuple[Tensor, dict[str, Any]]:
    matching: Any = settings.distillation
    engine = Engine(real, matching, settings.network, ipc=identity.ipc, seed=identity.seed, chunk_images=chunk_images)
    title = f"{identity.dataset}/{identity.method}/ipc{identity.ipc}/seed{identity.seed}"
    with Progress(title, matching.iterations, seconds=progress_seconds) as progress:
        engine.run(progress)
    snapshots = engine.state.snapshots
    return snapshots[matching.iterations], {"snapshots": snapshots, "history": engine.history.arrays()}


def _select(identity: CellIdentity, settings: CellSettings, real: RealImages, selector: str) -> Tensor:
    module = importlib.import_module(selector)
    images: Tensor = module.select(real, settings.distillation, ipc=identity.ipc, seed=identity.seed)
    return images.float().cpu()


def _attributes(
    identity: CellIdentity, settings: CellSettings, dataset: ImageDataset, device: torch.device, seconds: float
) -> dict[str, Any]:
    iterations = getattr(settings.distillation, "iterations", 0)
    return {
        "dataset": identity.dataset,
        "method": identity.method,
        "ipc": identity.ipc,
        "seed": identity.seed,
        "fingerprint": identity.fingerprint,
        "data_fingerprint": identity.data_fingerprint,
        "settings": settings.model_dump(mode="json", by_alias=True),
        "partition": getattr(settings.distillation, "partition", 1),
        "class_names": list(dataset.class_names),
        "mean": list(dataset.mean),
        "std": list(dataset.std),
        "iterations": iterations,
        "wall_seconds": seconds,
        "iterations_per_second": iterations / seconds,
        "peak_memory_bytes": peak_memory_bytes(device),
        "device": device_name(device),
        "provenance": provenance(device_name(device)),
    }
