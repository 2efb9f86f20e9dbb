"""Peak memory on the device: the cells that need most of it, distilled with a full queue, resumed and evaluated.

``python -m benchmarks memory`` does the same for every cell, with the files that jobs write, each job in its own process.
"""

from __future__ import annotations

import torch

from bacon.distillation.real_images import RealImages
from bacon.runtime.provenance import peak_memory_bytes
from benchmarks.cells import Measured
from benchmarks.gpu.deadline import Deadline
from benchmarks.gpu.evaluations import Evaluation
from benchmarks.gpu.findings import Findings
from benchmarks.gpu.images import images_of
from benchmarks.gpu.iterations import WARM_UP, Iterations, cell_in, forget_peak, peak_gpu_bytes
from benchmarks.gpu.part_determinism import loaded_state, saved_state
from benchmarks.gpu.request import Request
from benchmarks.machine import set_up, synchronise
from benchmarks.memory import fill, recorded_epochs


def measure(request: Request, found: Findings, deadline: Deadline) -> None:
    """Gigabytes (10^9) that PyTorch reserves, in the precision whose maps are largest; on a CPU, resident memory."""
    set_up(request.threads)
    precision = request.scale.precisions[1]
    for name in request.scale.largest:
        cell = cell_in(request, name, precision)
        if deadline.allows(f"memory of {name}, distilled and resumed", found):
            real = RealImages(images_of(name), device=torch.device(request.device))
            state = _distilled(request, found, cell, real)
            _resumed(request, found, cell, real, state)
            del real, state
        if deadline.allows(f"memory of {name}, evaluated", found):
            forget_peak(torch.device(request.device))
            evaluation = Evaluation(cell, request)
            steps = -(-len(evaluation.train) // cell.settings.evaluation.batch_size)
            evaluation.run(epochs=recorded_epochs(steps, evaluation.device), some=True)
            _keep(found, f"memory of {name} evaluated, GB", evaluation.device)
            del evaluation


def _keep(found: Findings, what: str, device: torch.device) -> None:
    synchronise(device)
    bytes_ = peak_gpu_bytes(device) if device.type == "cuda" else peak_memory_bytes(device)
    found.figure(what, bytes_ / 1e9)


def _distilled(request: Request, found: Findings, cell: Measured, real: RealImages) -> bytes:
    """Iterations with a full queue; returns the state as a checkpoint keeps it."""
    forget_peak(real.device)
    iterations = Iterations(cell, real, threads=request.threads)
    fill(iterations.engine)
    iterations.steps(WARM_UP)
    _keep(found, f"memory of {cell.cell} distilled, GB".replace("/seed0", ""), real.device)
    return saved_state(iterations.engine.state_dict())


def _resumed(request: Request, found: Findings, cell: Measured, real: RealImages, state: bytes) -> None:
    """Iterations of a job that goes on from that state."""
    forget_peak(real.device)
    iterations = Iterations(cell, real, threads=request.threads)
    iterations.engine.load_state_dict(loaded_state(state, real.device))
    iterations.steps(WARM_UP)
    _keep(found, f"memory of {cell.cell} resumed, GB".replace("/seed0", ""), real.device)
