"""Equal bits: two runs with one seed, a run that goes on from a saved state, and what they cost against free libraries."""

from __future__ import annotations

import io
import statistics
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from bacon.distillation.real_images import RealImages
from benchmarks.gpu.deadline import Deadline
from benchmarks.gpu.evaluations import Evaluation
from benchmarks.gpu.findings import Findings
from benchmarks.gpu.images import images_of
from benchmarks.gpu.iterations import Iterations, cell_in
from benchmarks.gpu.request import Request
from benchmarks.machine import set_up

_TURNS = 3
_EPOCHS = 20


def measure(request: Request, found: Findings, deadline: Deadline) -> None:
    """Bits of a distillation and of an evaluation in the most important precisions, and the price of an iteration."""
    device, name = torch.device(request.device), request.scale.compared
    set_up(request.threads)
    real = RealImages(images_of(name), device=device)
    for precision in request.scale.precisions:
        if deadline.allows(f"bits of distillation in {precision}", found):
            _distillation(request, found, real, precision)
    for precision in request.scale.precisions:
        if deadline.allows(f"bits of evaluation in {precision}", found):
            _evaluation(request, found, precision)


def _distillation(request: Request, found: Findings, real: RealImages, precision: str) -> None:
    cell, count = cell_in(request, request.scale.compared, precision), request.scale.repeated

    def runs(deterministic: bool) -> Iterations:
        return Iterations(cell, real, threads=request.threads, deterministic=deterministic)

    first, second = runs(True), runs(True)
    first.steps(count // 2)
    saved = saved_state(first.engine.state_dict())
    first.steps(count - count // 2)
    second.steps(count)
    resumed = runs(True)
    resumed.engine.load_state_dict(loaded_state(saved, real.device))
    resumed.steps(count - count // 2)
    state, alike = first.engine.state_dict(), {"two runs": second, "a resumed run": resumed}
    for what, other in alike.items():
        found.figure(f"equal bits of {what} {precision}", equal_bits(state, other.engine.state_dict()))
    free = runs(False)
    free.warm_up()
    times = [(first.queued(count), free.queued(count)) for _ in range(_TURNS)]
    found.row("prices", cell=request.scale.compared, precision=precision, ordered_and_free_seconds=times)
    found.figure(f"price of equal bits {precision}", statistics.median(ordered / freely for ordered, freely in times))


def _evaluation(request: Request, found: Findings, precision: str) -> None:
    evaluation = Evaluation(cell_in(request, request.scale.compared, precision), request)
    outcomes = [
        [(record.train_loss, record.confusion) for record in evaluation.run(epochs=_EPOCHS).records] for _ in range(2)
    ]
    found.figure(f"equal bits of two evaluations {precision}", outcomes[0] == outcomes[1])


def saved_state(state: Any) -> bytes:
    """A state as a checkpoint keeps it."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def loaded_state(saved: bytes, device: torch.device) -> Any:
    """The state that :func:`saved_state` was made of, on ``device``."""
    return torch.load(io.BytesIO(saved), map_location=device, weights_only=False)


def equal_bits(one: Any, other: Any) -> bool:
    """Whether two states hold the same numbers in the same places."""
    mine, theirs = list(leaves(one)), list(leaves(other))
    return len(mine) == len(theirs) and all(map(_same, mine, theirs))


def leaves(state: Any) -> Iterator[Any]:
    """Tensors and numbers in a state, in its order."""
    if isinstance(state, dict):
        for value in state.values():
            yield from leaves(value)
    elif isinstance(state, list | tuple):
        for value in state:
            yield from leaves(value)
    else:
        yield state


def _same(mine: Any, theirs: Any) -> bool:
    if isinstance(mine, Tensor) and isinstance(theirs, Tensor):
        if mine.dtype != theirs.dtype or mine.shape != theirs.shape:
            return False
        # Bytes: NaN equals itself, and 0 is not -0.
        return torch.equal(*(each.detach().contiguous().view(-1).view(torch.uint8) for each in (mine, theirs)))
    return bool(mine == theirs)
