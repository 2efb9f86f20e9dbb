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
        110,
        "iterations of distillation, in each precision, beside the published program; share of the roofline",
    ),
    Part("kernels", 25, "each kernel alone"),
    Part("determinism", 30, "two runs with one seed, a resumed one, and what equal bits cost"),
    Part("evaluation", 55, "all networks of a cell"),
    Part("methods", 15, "seeds at once; iterations of DSA and FRePo, replayed and launched kernel by kernel"),
    Part("memory", 30, "peak memory of the largest cells"),
    Part("cells", 35, "hours of the paper's cells, from the time of an iteration"),
    Part("accuracy", 95, "test accuracy after fixed seconds of distillation"),
    Part("profile", 20, "the largest kernels of an iteration, and the time without one"),
    Part("tests", 65, "the tests marked gpu"),
)
"""480 seconds. What is timed comes before the tests, which may end late."""
ALWAYS = tuple(part.name for part in PARTS if part.name != "profile")
"""Parts that run when none is named."""
