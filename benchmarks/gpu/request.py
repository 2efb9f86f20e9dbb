"""What every part of the GPU command is asked: where, on what data, how much of it, until when."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from bacon.runtime.atomic import write_json
from benchmarks.cells import PAPER_CELLS

_PATHS = ("folder", "data", "published", "config")


@dataclass(frozen=True, kw_only=True)
class Request:
    """A call of the command.

    Attributes:
        folder: where everything goes.
        device: ``cuda``, or ``cpu`` for a trial at a reduced scale.
        threads: CPU threads of each program.
        rounds: most rounds of programs that take turns.
        cells: whose hours are predicted; none: those of the scale.
        data: folder of real data sets (``benchmarks.gpu.data``); ``None``: accuracy is left out.
        published: checkout of the published BACON code; ``None``: it is not timed.
        config: configuration whose settings apply, in place of the scale's.
        tests: files and folders of tests.
    """

    folder: Path
    device: str = "cuda"
    threads: int = 4
    rounds: int = 5
    cells: tuple[str, ...] = ()
    data: Path | None = None
    published: Path | None = None
    config: Path | None = None
    tests: tuple[str, ...] = ("tests",)

    def write(self, path: Path) -> None:
        """Write it, for a process of its own."""
        write_json(
            path, {name: str(value) if isinstance(value, Path) else value for name, value in asdict(self).items()}
        )

    @classmethod
    def read(cls, path: Path) -> Self:
        """What :meth:`write` wrote."""
        plain: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        values = {field.name: plain[field.name] for field in fields(cls)}
        paths = {name: Path(values[name]) for name in _PATHS if values[name] is not None}
        return cls(**values | paths | {name: tuple(values[name]) for name in ("cells", "tests")})

    @property
    def scale(self) -> Scale:
        """How much is measured on the device."""
        return SCALES[self.device]


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How much is measured.

    Attributes:
        precisions: values of ``network.precision`` that every part measures, the most important first.
        others: values that have no target and are measured in the time that is left.
        timed: cells whose iterations are timed in every precision.
        small: cells of which several seeds share the device.
        methods: cells of methods that match no embeddings and need no trained networks, the most important first.
        evaluated: cells whose networks are trained.
        whole: cells whose hours are predicted.
        largest: cells that need most memory.
        compared: the cell of the parts that look at one: determinism, accuracy, profile.
        repeated: iterations of each run that is compared bit by bit.
        clock: seconds of distillation after which networks are trained -> the accuracy in percent that is the target.
        networks: trained at each point of the clock.
        batches: numbers of images that single kernels are timed with; the first is a chunk of real images.
        step: images of a training step.
        width: channels of the networks whose kernels are timed alone.
        queued: seconds of iterations that are queued without being waited for.
    """

    precisions: tuple[str, ...]
    others: tuple[str, ...]
    timed: tuple[str, ...]
    small: tuple[str, ...]
    methods: tuple[str, ...]
    evaluated: tuple[str, ...]
    whole: tuple[str, ...]
    largest: tuple[str, ...]
    compared: str
    repeated: int
    clock: Mapping[float, float]
    networks: int
    batches: tuple[int, ...]
    step: int
    width: int
    queued: float


SCALES = {
    "cuda": Scale(
        precisions=("bf16", "tf32"),
        others=("fp32",),
        timed=("cifar10/bacon/ipc10", "cifar10/bacon/ipc1", "cifar10/bacon/ipc50", "tinyimagenet/bacon/ipc10"),
        small=("cifar10/dm/ipc1", "cifar10/bacon/ipc10"),
        methods=("cifar10/frepo/ipc10", "cifar10/dsa/ipc1", "cifar10/dsa/ipc10"),
        evaluated=("cifar10/bacon/ipc10", "cifar10/bacon/ipc1"),
        whole=PAPER_CELLS,
        largest=("tinyimagenet/bacon/ipc10", "cifar100/bacon/ipc50"),
        compared="cifar10/bacon/ipc10",
        repeated=25,
        clock={10.0: 60.0, 50.0: 61.5},
        networks=5,
        batches=(2048, 400, 256),
        step=256,
        width=128,
        queued=0.6,
    ),
    "cpu": Scale(
        precisions=("fp32", "bf16"),
        others=("tf32",),
        timed=("digits/bacon/ipc1",),
        small=("digits/dm/ipc1",),
        methods=("digits/dsa/ipc1",),
        evaluated=("digits/bacon/ipc1",),
        whole=("digits/bacon/ipc1", "digits/bacon/ipc10"),
        largest=("digits/bacon/ipc1",),
        compared="digits/bacon/ipc1",
        repeated=4,
        clock={0.2: 30.0, 0.4: 60.0},
        networks=1,
        batches=(8,),
        step=8,
        width=8,
        queued=0.05,
    ),
}
