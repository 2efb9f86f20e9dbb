"""The parts of the GPU command, in the order in which they run, and the seconds that each may take."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.gpu.deadline import Deadline
from benchmarks.gpu.findings import Findings
from benchmarks.gpu.request import Request

Measure = Callable[[Request, Findings, Deadline], None]


@dataclass(frozen=True)
class Part:
    """One part, a process of its own.

    Attributes:
        name: of the part, of its module ``benchmarks.gpu.part_NAME`` and of its files.
        seconds: it may take, its start included; it measures less before it takes more.
        what: it measures, in words.
    """

    name: str
    seconds: float
    what: str

    def measure(self) -> Measure:
        """What the part does."""
        found: Measure = importlib.import_module(f"benchmarks.gpu.part_{self.name}").measure
        return found


PARTS = (
    Part(
        "speed",
        90,
        "iterations of distillation, in each precision, beside the published program; share of the roofline",
    ),
    Part("kernels", 26, "each kernel alone"),
    Part("determinism", 28, "two runs with one seed, a resumed one, and what equal bits cost"),
    Part("evaluation", 41, "all networks of a cell"),
    Part("memory", 38, "peak memory of the largest cells"),
    Part("cells", 33, "hours of the paper's cells, from the time of an iteration"),
    Part("accuracy", 77, "test accuracy after fixed seconds of distillation"),
    Part("profile", 8, "the largest kernels of an iteration, and the time without one"),
    Part("methods", 30, "iterations of FRePo and DSA, replayed and launched kernel by kernel; seeds at once"),
    Part("tests", 95, "the tests marked gpu and not long"),
    Part("others", 10, "iterations, evaluations and kernels in the precisions that have no target"),
)
"""476 seconds. What has a target comes first, the tests, which may end late, after what is timed; the last part has only the
time that the others leave."""
ALWAYS = tuple(part.name for part in PARTS if part.name != "profile")
"""Parts that run when none is named."""
