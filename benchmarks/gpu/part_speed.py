"""Iterations of distillation in each precision, queued and waited for, in turns with the published program."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from bacon.datasets.store import ImageDataset
from bacon.distillation.real_images import RealImages
from benchmarks.cells import random_dataset
from benchmarks.cost import iteration
from benchmarks.distillation import roofline
from benchmarks.gpu.deadline import Deadline
from benchmarks.gpu.findings import Findings
from benchmarks.gpu.iterations import Iterations, cell_in, forget_peak, median_waited, peak_gpu_bytes
from benchmarks.gpu.published_programs import PublishedPrograms
from benchmarks.gpu.request import Request
from benchmarks.machine import ceilings, set_up
from benchmarks.published import Published, distillation_arguments

_MOST_ROUNDS_OF_OTHERS = 3
"""Of the published program, whose iterations take long."""


def measure(request: Request, found: Findings, deadline: Deadline) -> None:
    """Every timed cell in every precision, as many as there is time for, the most important precision first."""
    device, scale = torch.device(request.device), request.scale
    set_up(request.threads)
    names = dict.fromkeys(name.partition("/")[0] for name in scale.timed)
    datasets = {name: random_dataset(name) for name in names}
    with PublishedPrograms(_published(request, datasets)) as programs:
        work = _Speed(request, found, programs)
        real = {name: RealImages(dataset, device=device) for name, dataset in datasets.items()}
        programs.wait()
        for precision in scale.precisions:
            for name in scale.timed:
                if deadline.allows(f"iterations of {name} in {precision}", found):
                    work.measure(name, precision, real[name.partition("/")[0]])
    programs.check()


def _published(request: Request, datasets: Mapping[str, ImageDataset]) -> dict[str, Published]:
    """The published program of each timed CIFAR-10 cell, before its start."""
    programs: dict[str, Published] = {}
    for name in request.scale.timed:
        cell = cell_in(request, name, "fp32")
        if request.published is not None and cell.cell.dataset == "cifar10":
            specification = {"do": "distil", "arguments": distillation_arguments(cell)}
            programs[name] = Published(
                request.published, datasets["cifar10"], threads=request.threads, specification=specification
            )
    return programs


@dataclass(frozen=True)
class _Speed:
    """What measures one cell in one precision."""

    request: Request
    found: Findings
    programs: PublishedPrograms

    def measure(self, name: str, precision: str, real: RealImages) -> None:
        """Time iterations and keep the figures."""
        forget_peak(real.device)
        iterations = Iterations(cell_in(self.request, name, precision), real, threads=self.request.threads)
        one = iterations.warm_up()
        count = iterations.enough(self.request.scale.queued, one)
        ours, others = self._turns(name, iterations, count, iterations.affordable(self.request.rounds, count * one))
        waited = median_waited(iterations, iterations.affordable(self.request.rounds, one))
        row: dict[str, Any] = {"cell": name, "precision": precision, "queued_seconds": ours, "queued_at_a_time": count}
        row |= {
            "waited_seconds": waited,
            "published_seconds": others,
            "gpu_reserved_bytes": peak_gpu_bytes(real.device),
        }
        row |= self._roofline(iterations, real, statistics.median(ours))
        self.found.row("iterations", **row)
        self.found.figure(f"iteration {name} {precision}, ms", 1000 * statistics.median(ours))
        self.found.figure(f"iteration {name} {precision} waited for, ms", 1000 * waited)
        self.found.figure(f"roofline share {name} {precision}", row["roofline_share"])
        if others:
            ratio = statistics.median(other / own for other, own in zip(others, ours, strict=False))
            self.found.figure(f"published over ours {name} {precision}", ratio)

    def _turns(self, name: str, iterations: Iterations, count: int, rounds: int) -> tuple[list[float], list[float]]:
        """Seconds of an iteration of ours and of the published program, in turns."""
        ours, others = [], []
        for turn in range(rounds):
            answer = self.programs.ask(name) if turn < _MOST_ROUNDS_OF_OTHERS else None
            if answer is not None:
                others.append(sum(answer.values()))
            ours.append(iterations.queued(count))
        return ours, others

    def _roofline(self, iterations: Iterations, real: RealImages, seconds: float) -> dict[str, Any]:
        iterations.use()
        cell = iterations.cell
        limits = ceilings(real.device, torch.bfloat16 if cell.settings.network.precision == "bf16" else torch.float32)
        costs = iteration(cell.matching, cell.settings.network, real.shape, list(real.counts), cell.ipc)
        return {"ceilings": limits, **roofline(costs, limits, seconds)}
