"""All networks of a cell's evaluation, in each precision, in turns with the published evaluation of one."""

from __future__ import annotations

import statistics

import torch

from benchmarks.gpu.deadline import Deadline
from benchmarks.gpu.evaluations import Evaluation
from benchmarks.gpu.findings import Findings
from benchmarks.gpu.images import images_of
from benchmarks.gpu.iterations import cell_in, forget_peak, peak_gpu_bytes
from benchmarks.gpu.published_programs import PublishedPrograms
from benchmarks.gpu.request import Request
from benchmarks.machine import set_up
from benchmarks.published import Published

_WARM_UP_EPOCHS = 3
_PUBLISHED_EPOCHS = 30
"""The time of the others follows from the median of these."""


def measure(request: Request, found: Findings, deadline: Deadline) -> None:
    """Seconds of all networks of each evaluated cell, from the first weight to the last test, in each precision."""
    set_up(request.threads)
    with PublishedPrograms(_published(request), epochs=_PUBLISHED_EPOCHS) as programs:
        programs.wait()
        for precision in request.scale.precisions:
            for name in request.scale.evaluated:
                if deadline.allows(f"evaluation of {name} in {precision}", found, kind=name):
                    measure_evaluation(request, found, programs, name, precision)
    programs.check()


def measure_evaluation(
    request: Request, found: Findings, programs: PublishedPrograms, name: str, precision: str
) -> None:
    """Seconds of all networks of the cell ``name`` in ``precision``."""
    device = torch.device(request.device)
    forget_peak(device)
    evaluation = Evaluation(cell_in(request, name, precision), request)
    evaluation.run(epochs=_WARM_UP_EPOCHS)
    done = evaluation.run()
    row = {"cell": name, "precision": precision, "networks": len(done.records), "seconds": done.seconds}
    found.figure(f"evaluation {name} {precision}, s", done.seconds)
    if (answer := programs.ask(name)) is not None:
        epoch, test = (statistics.median(times) for times in (answer["train"][1:], answer["test"]))
        one = evaluation.cell.settings.evaluation.epochs * epoch + test
        row["published_network_seconds"] = one
        found.figure(f"published over ours, evaluation {name} {precision}", len(done.records) * one / done.seconds)
    found.row("evaluations", **row, gpu_reserved_bytes=peak_gpu_bytes(device))


def _published(request: Request) -> dict[str, Published]:
    """The published evaluation of each evaluated CIFAR-10 cell, before its start."""
    programs: dict[str, Published] = {}
    for name in request.scale.evaluated:
        cell = cell_in(request, name, "fp32")
        if request.published is not None and cell.cell.dataset == "cifar10":
            evaluation = Evaluation(cell, request)
            programs[name] = Published(
                request.published,
                images_of(name),
                threads=request.threads,
                specification={"do": "evaluate"},
                images=evaluation.train.images.cpu(),
                labels=evaluation.train.labels.cpu(),
            )
    return programs
