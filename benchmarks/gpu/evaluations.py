"""All networks of a cell, trained and tested as an evaluation job does it, on random images."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from bacon.artifacts.evaluation_records import Record, RecordKey
from bacon.distillation.initialisation import real_images
from bacon.distillation.real_images import RealImages
from bacon.evaluation.evaluate_cell import train_all
from bacon.evaluation.trained_networks import Networks
from bacon.training.image_set import ImageSet
from bacon.transforms.partition import decode
from benchmarks.cells import Measured
from benchmarks.gpu.images import images_of
from benchmarks.gpu.request import Request
from benchmarks.machine import set_up, synchronise
from benchmarks.memory import evaluation_job


@dataclass(frozen=True)
class Trained:
    """What came of it.

    Attributes:
        seconds: of all networks.
        records: of each.
    """

    seconds: float
    records: list[Record]


class Evaluation:
    """The evaluation of a cell's initial images.

    Args:
        cell: the cell.
        request: names device and threads.
    """

    def __init__(self, cell: Measured, request: Request) -> None:
        self.cell, self.device = cell, torch.device(request.device)
        self._threads, self._dataset = request.threads, images_of(cell.cell.dataset)
        set_up(request.threads, cell.settings.network.precision)
        real = RealImages(self._dataset, device=self.device)
        factor = cell.matching.partition
        stored = real_images(real, ipc=cell.ipc, partition=factor, seed=0)
        labels = torch.arange(real.classes, device=self.device).repeat_interleave(cell.ipc * factor**2)
        self.train = ImageSet(images=decode(stored, factor).contiguous(), labels=labels)

    def run(self, *, epochs: int | None = None, some: bool = False) -> Trained:
        """Train and test all networks of the protocol.

        Args:
            epochs: of each, in place of the protocol's.
            some: one network more than are trained at once, so that one takes another's place: for memory, these are like all.
        """
        set_up(self._threads, self.cell.settings.network.precision)
        protocol = self.cell.settings.evaluation
        if epochs is not None:
            protocol = protocol.model_copy(update={"epochs": epochs})
        with tempfile.TemporaryDirectory(prefix="bacon-benchmark-") as folder:
            job = evaluation_job(self.cell, protocol, Path(folder), self.device)
            networks = Networks(job, lambda _, __: self.train, Path(), final=0)
            networks.dataset = self._dataset
            if some:
                at_once = networks._places(RecordKey(iteration=0, evaluation_seed=0, augmentation="", lr_net=0.0))
                fewer = protocol.model_copy(update={"seeds": min(protocol.seeds, at_once + 1)})
                networks.job = replace(job, evaluation=fewer)
            synchronise(self.device)
            begun = time.perf_counter()
            records, _ = train_all(networks)
            synchronise(self.device)
            return Trained(time.perf_counter() - begun, records)
