"""What cells with published settings take on an H200, from their operations, written down before any was measured there.

A pass takes the time of its operations at the rate that its kind reaches in large batches, and something for each layer
whatever the batch; an iteration takes a constant besides: augmentation, the optimiser, sums. Passes that are made ahead fill
what the others leave of the device. Rates and constants follow from single measurements (docs/speed.md, Predictions).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bacon.config.loading import check_config
from bacon.methods.base import CellSize, Passes, Work
from bacon.methods.registry import METHODS
from bacon.plan import cost
from bacon.plan.plan import Plan
from bacon.settings.cells import Cell
from bacon.settings.network import NetworkSettings
from benchmarks.reproduction.target import parsed_cell

GPU = "H200"
"""Part of the name of the device that the predictions are of."""

# Layers with weights of architectures that are not a ConvNet, for their launches.
_LAYERS = {"mlp": 3, "lenet": 5, "alexnet": 6, "vgg11": 9, "resnet18": 21}
# Trainings that run at once where a need has several (`run.networks_at_once`), and how much sooner they are done together.
_TOGETHER = 1.4


@dataclass(frozen=True, kw_only=True)
class Speed:
    """How fast a GPU is in one precision.

    Attributes:
        rates: kind of a pass -> operations a second in large batches.
        launch: kind of a pass -> seconds for each layer of the network, whatever the batch.
        shared: share of ``launch`` that is left where other passes are made at the same time.
    """

    rates: Mapping[str, float]
    launch: Mapping[str, float]
    shared: float = 1.0

    def seconds(self, passes: Passes, image: cost.Operations, layers: int, *, share: float = 1.0) -> float:
        """Of all of ``passes``, with ``share`` of their launches."""
        work = float(getattr(image, passes.kind)) * passes.images / self.rates[passes.kind]
        return passes.count * (work + layers * share * self.launch[passes.kind])

    def iteration(self, work: Work, image: cost.Operations, layers: int) -> float:
        """Of an iteration: the passes that wait for each other, or, if that takes longer, all passes on a full device."""
        waiting = sum(self.seconds(passes, image, layers) for passes in work.passes if not passes.ahead)
        return max(waiting, sum(self.seconds(passes, image, layers, share=self.shared) for passes in work.passes))


# A training step of 256 images takes 564 us, one of 40 images 270 us (bf16, recorded); an embedding of 2,048 images 657 us.
# Of five networks side by side, at the version before, 534 and 126 us in bf16, 780 and 204 us in tf32: 17 and 32 us a layer
# whatever the batch, and 1.9 and 2.7 us an image, no more than alone there.
# Second derivatives go through two kernels of the project for each block and the library's convolutions at their rate.
_ITERATION = 3e-4
_LAUNCH = {"forward": 2.5e-5, "image_gradient": 6e-5, "training": 7.3e-5, "matching_gradient": 2e-4}
SPEEDS: Mapping[str, Speed] = {
    "bf16": Speed(
        rates={"forward": 3.1e14, "image_gradient": 2.2e14, "training": 2.2e14, "matching_gradient": 1.4e14},
        launch=_LAUNCH,
        shared=17 / 73,
    ),
    "tf32": Speed(
        rates={"forward": 1.5e14, "image_gradient": 1.1e14, "training": 1.1e14, "matching_gradient": 7e13},
        launch=_LAUNCH,
        shared=32 / 73,
    ),
    "fp32": Speed(
        rates={"forward": 3e13, "image_gradient": 2.6e13, "training": 2.6e13, "matching_gradient": 2.2e13},
        launch=_LAUNCH,
        shared=32 / 73,
    ),
}


def layers(network: NetworkSettings) -> int:
    """Layers with weights: of a ConvNet its blocks; of an architecture that is not listed as many as of ResNet-18."""
    return (
        network.depth if "convnet" in network.architecture else _LAYERS.get(network.architecture, _LAYERS["resnet18"])
    )


def distillation(plan: Plan, cell: Cell, speed: Speed) -> float:
    """Seconds of a cell's distillation."""
    settings, data = plan.settings(cell), cost.data_size(plan, cell.dataset)
    image = cost.operations(settings.network, data.channels, data.size)
    size = CellSize(ipc=cell.ipc or 0, classes=data.classes, train=data.train)
    work = METHODS[plan.config.base_method(cell.method)].cost(settings.distillation, size)
    # A method that looks through networks trained on the real set counts their passes in those of the cell's network.
    deep = max(layers(network) for network in (settings.network, *(need.network for need in plan.needs(cell))))
    return work.iterations * (_ITERATION + speed.iteration(work, image, deep))


def trainings(plan: Plan, cell: Cell, speed: Speed) -> float:
    """Seconds of all networks trained on the real set that a cell's method needs, where no other cell has trained them."""
    data, total = cost.data_size(plan, cell.dataset), 0.0
    for need in plan.needs(cell):
        image = cost.operations(need.network, data.channels, data.size)
        batch = min(need.recipe.batch_size, data.train)
        passes = Passes(kind="training", images=batch, count=need.recipe.total_steps(data.train))
        once = speed.seconds(passes, image, layers(need.network))
        total += need.runs * once / (_TOGETHER if need.runs > 1 else 1)
    return total


def of(plan: Plan, cell: Cell, device: str) -> tuple[float, float] | None:
    """Seconds of a cell's needed networks, and of its distillation, in its own precision; ``None`` on another device."""
    if GPU not in device:
        return None
    speed = SPEEDS[plan.settings(cell).network.precision]
    return trainings(plan, cell, speed), distillation(plan, cell, speed)


def row(cell: str) -> dict[str, Any]:
    """A cell's predictions with the settings that its method's authors published, one figure for each precision.

    Args:
        cell: DATASET/METHOD/ipcN.

    Returns:
        ``networks, P, s``: those that it needs trained on the real set; ``distillation, P, s``; empty where there is none.
    """
    parsed = parsed_cell(cell)
    grid = {"datasets": [parsed.dataset], "methods": [parsed.method], "ipc": [parsed.ipc], "seeds": [parsed.seed]}
    plan = Plan(check_config({"preset": "paper", "grid": grid}, source=f"cell {cell}"), Path())
    found: dict[str, Any] = {"cell": cell}
    for what, seconds in (("networks", trainings), ("distillation", distillation)):
        found |= {f"{what}, {name}, s": seconds(plan, parsed, speed) or None for name, speed in SPEEDS.items()}
    return found
