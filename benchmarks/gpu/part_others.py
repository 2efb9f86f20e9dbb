"""In the precisions that have no target, what the parts ``speed``, ``evaluation`` and ``kernels`` measure in the others."""

from __future__ import annotations

from benchmarks.gpu.deadline import Deadline
from benchmarks.gpu.findings import Findings
from benchmarks.gpu.part_evaluation import measure_evaluation
from benchmarks.gpu.part_kernels import measure_kernels
from benchmarks.gpu.part_speed import Speed
from benchmarks.gpu.published_programs import PublishedPrograms
from benchmarks.gpu.request import Request
from benchmarks.machine import set_up

_LEAST_SECONDS = {
    "iterations": 6.0,
    "iterations of tinyimagenet/bacon/ipc10": 30.0,
    "evaluation": 8.0,
    "evaluation of cifar10/bacon/ipc10": 26.0,
    "kernels": 10.0,
}
"""Without which a piece, or one of its kind, is not begun: about what they take on an H200 in fp32."""


def measure(request: Request, found: Findings, deadline: Deadline) -> None:
    """Iterations, evaluations and kernels in the scale's other precisions, without the published programs."""
    set_up(request.threads)
    nobody = PublishedPrograms({})
    speed = Speed(request, found, nobody)
    for precision in request.scale.others:
        for name in request.scale.timed:
            if _allows(deadline, found, "iterations", name, precision):
                speed.measure(name, precision)
        for name in reversed(request.scale.evaluated):  # the largest set takes longest
            if _allows(deadline, found, "evaluation", name, precision):
                measure_evaluation(request, found, nobody, name, precision)
        if deadline.allows(f"kernels in {precision}", found, kind="kernels", least=_LEAST_SECONDS["kernels"]):
            measure_kernels(request, found, deadline, precision)


def _allows(deadline: Deadline, found: Findings, work: str, name: str, precision: str) -> bool:
    kind = f"{work} of {name}"
    least = _LEAST_SECONDS.get(kind, _LEAST_SECONDS[work])
    return deadline.allows(f"{kind} in {precision}", found, kind=kind, least=least)
