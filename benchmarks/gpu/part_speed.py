"""Iterations of distillation in each precision, queued and waited for, in turns with the published program.

Rounds end where another one would say nothing new: ours agree to a per cent, those of the published program, which draws its
networks on the host, to some per cent or only within a factor of two.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import Any

import torch

from bacon.distillation.real_images import RealImages
from benchmarks.cost import iteration
from benchmarks.distillation import roofline
from benchmarks.gpu.deadline import Deadline
from benchmarks.gpu.findings import Findings
from benchmarks.gpu.images import images_of
from benchmarks.gpu.iterations import Iterations, cell_in, forget_peak, median_waited, peak_gpu_bytes, steady
from benchmarks.gpu.published_programs import PublishedPrograms
from benchmarks.gpu.request import Request
from benchmarks.machine import ceilings, set_up
from benchmarks.published import Published, distillation_arguments

_STEADY_OTHERS = 0.1
"""Of the published program, whose iterations are fewer and differ by more."""
_LEAST_ROUNDS_OF_OTHERS = 3


def measure(request: Request, found: Findings, deadline: Deadline) -> None:
    """Every timed cell in every precision, as many as there is time for, the most important precision first."""
    scale = request.scale
    set_up(request.threads)
    with PublishedPrograms(_published(request)) as programs:
        speed = Speed(request, found, programs)
        chosen = [(name, precision) for precision in scale.precisions for name in scale.timed]
        for name, precision in chosen:  # kernels are compiled while the published programs read their images
            if programs.started():
                break
            Iterations(cell_in(request, name, precision), speed.real(name), threads=request.threads).warm_up()
        programs.wait()
        for name, precision in chosen:
            if deadline.allows(f"iterations of {name} in {precision}", found, kind=name):
                speed.measure(name, precision)
    programs.check()


def _published(request: Request) -> dict[str, Published]:
    """The published program of each timed CIFAR-10 cell, before its start."""
    programs: dict[str, Published] = {}
    for name in request.scale.timed:
        cell = cell_in(request, name, "fp32")
        if request.published is not None and cell.cell.dataset == "cifar10":
            specification = {"do": "distil", "arguments": distillation_arguments(cell)}
            programs[name] = Published(
                request.published, images_of(name), threads=request.threads, specification=specification
            )
    return programs


@dataclass(frozen=True)
class Speed:
    """What measures one cell in one precision.

    Attributes:
        request: says how much.
        found: where the figures go.
        programs: the published ones, of some cells.
    """

    request: Request
    found: Findings
    programs: PublishedPrograms
    _real: dict[str, RealImages] = field(default_factory=dict)

    def real(self, name: str) -> RealImages:
        """The images of the cell ``name``, on the device."""
        dataset = name.partition("/")[0]
        if dataset not in self._real:
            self._real[dataset] = RealImages(images_of(dataset), device=torch.device(self.request.device))
        return self._real[dataset]

    def measure(self, name: str, precision: str) -> None:
        """Time iterations and keep the figures."""
        real = self.real(name)
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
        ours: list[float] = []
        others: list[float] = []
        for _ in range(rounds):
            answer = self.programs.ask(name)
            if answer is not None:
                others.append(sum(answer.values()))
            ours.append(iterations.queued(count))
            enough = not others or (len(others) >= _LEAST_ROUNDS_OF_OTHERS and steady(others, _STEADY_OTHERS))
            if enough and steady(ours):
                break
        return ours, others

    def _roofline(self, iterations: Iterations, real: RealImages, seconds: float) -> dict[str, Any]:
        iterations.use()
        cell = iterations.cell
        limits = ceilings(real.device, torch.bfloat16 if cell.settings.network.precision == "bf16" else torch.float32)
        costs = iteration(cell.matching, cell.settings.network, real.shape, list(real.counts), cell.ipc)
        return {"ceilings": limits, **roofline(costs, limits, seconds)}
