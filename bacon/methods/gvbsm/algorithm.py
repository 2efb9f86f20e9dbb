"""G-VBSM: images recovered from several teachers in turn, by the statistics of batch norms and of convolutions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from bacon.distillation.algorithm import Context
from bacon.distillation.recovery.layer_statistics import seen
from bacon.distillation.recovery.recovery import Recovery, class_losses
from bacon.distillation.recovery.teachers import teacher
from bacon.methods.gvbsm.density import densities
from bacon.methods.gvbsm.matched_statistics import (
    RunningMeans,
    Statistics,
    distances,
    matched_layers,
    statistics_of,
    training_statistics,
)
from bacon.networks.network import Network
from bacon.runtime.draws import device_permutation, device_uniform, uniform
from bacon.transforms import operations
from bacon.transforms.augmentation import integers
from bacon.transforms.crop_flip import padded

if TYPE_CHECKING:
    from bacon.methods.gvbsm.record import GVBSMSettings

_PAD = 4


class GVBSM(Recovery):
    """Iteration i looks through teacher i modulo their number; batches are consecutive images in class order."""

    settings: GVBSMSettings
    unrecordable: ClassVar[str] = "the library's eigenvalues wait for the host"
    terms = ("loss", "ce", "statistics", "density")

    def __init__(self, settings: GVBSMSettings, context: Context) -> None:
        super().__init__(settings, context)
        self._teachers: list[Network] = [
            teacher(context, runs, name, layers=matched_layers) for name, runs in context.inputs.items()
        ]
        self._layers = [matched_layers(network) for network in self._teachers]
        self._wanted: dict[int, list[Statistics]] = {}
        self._means = RunningMeans(settings.momentum)

    def batch_indices(self) -> list[Tensor]:
        """Consecutive images in class order, so that a batch holds few classes."""
        total, size, ipc = len(self.context.classes), self.settings.batch_images, self.context.ipc
        ranges = [range(first, min(first + size, total)) for first in range(0, total, size)]
        # On the host: how many images of each class a batch holds.
        self._sizes = [list(Counter(place // ipc for place in own).values()) for own in ranges]
        places = torch.arange(total, device=self.context.device)
        return list(places.split(size))

    def settled(self) -> None:
        """The running means move on."""
        self._means.settle()

    def step(self, iteration: int) -> dict[str, Tensor]:
        """One step of every image."""
        self._means.new = {}  # of a try that ran out of memory
        return super().step(iteration)

    def losses(self, seen_images: Tensor, labels: Tensor, iteration: Any, numbers: range) -> dict[str, Tensor]:
        """``ce``, ``statistics`` of batch norms and convolutions, and ``density``."""
        own, which = self.settings, iteration % len(self._teachers)
        layers, wanted = self._layers[which], self._of_training(which)
        used = self._used(layers, iteration, numbers)
        found: dict[int, Tensor] = {}

        def note(number: int, maps: Tensor) -> None:
            if not used[number].any():
                return
            moved = tuple(
                self._means.moved(f"{which} {number} {place}", each, numbers, on_device[number], len(self.batches))
                for place, each in enumerate(statistics_of(layers[number], maps, len(labels)))
            )
            weight = own.first_weight if number == 0 else 1.0
            found[number] = weight * on_device[number] * distances(moved, wanted[number])

        on_device = used.to(seen_images.device)
        with seen(layers, note):
            logits = self._teachers[which](seen_images)
        # A network without batch norm may have all its convolutions left out.
        nothing = seen_images.new_zeros(len(labels))
        total = torch.stack([nothing, *(found[number] for number in sorted(found))]).sum(dim=0)
        return {
            "ce": class_losses(logits, labels),
            "statistics": own.statistics_weight * total,
            "density": own.density_weight
            * densities(seen_images, [self._sizes[number] for number in numbers], own.density_temperature),
        }

    def _used(self, layers: list[nn.Module], iteration: int, numbers: range) -> Tensor:
        """(layers, G) bool on the host: which layers count for which batches; convolutions are left out at random."""
        convolutions = [number for number, layer in enumerate(layers) if isinstance(layer, nn.Conv2d)]
        drawn = uniform(
            self.context.seed, "gvbsm-left-out", count=len(convolutions), iteration=iteration, lanes=list(numbers)
        )
        used = torch.ones(len(layers), len(numbers), dtype=torch.bool)
        used[convolutions] = torch.from_numpy(drawn >= self.settings.conv_drop).T
        return used

    def _of_training(self, which: int) -> list[Statistics]:
        """What the layers of a teacher show on the real set; computed when the teacher's first turn comes."""
        if which not in self._wanted:
            self._wanted[which] = training_statistics(self._teachers[which], self._real_batches())
        return self._wanted[which]

    def _real_batches(self) -> list[Callable[[], Tensor]]:
        """Shuffled batches of real images, cropped and mirrored, each image by itself."""
        context, own = self.context, self.settings
        order = device_permutation(
            context.seed, "gvbsm-statistics", count=len(context.real.labels), device=context.device
        )
        chosen = order[: own.statistics_images].split(own.statistics_batch)
        return [partial(self._real_batch, some, number) for number, some in enumerate(chosen)]

    def _real_batch(self, chosen: Tensor, number: int) -> Tensor:
        context, real = self.context, self.context.real
        # Black, as published code crops pixels; whitened images have no black.
        black = None if real.is_whitened else -real.pixel_mean / real.pixel_std
        images = padded(real.batch(chosen), _PAD, black)[:, None]
        numbers = device_uniform(
            context.seed, "gvbsm-statistics-view", count=3, device=context.device, dtype=torch.float64,
            iteration=number, lanes=chosen,
        )  # fmt: skip
        top, left = (integers(numbers[:, place], 2 * _PAD + 1) for place in range(2))
        cropped = operations.window(images, top, left, *real.shape[1:])
        mirrored = operations.flip(cropped, [numbers[:, 2]]) if "flip" in self.settings.dsa_strategy else cropped
        return mirrored[:, 0]

    def state_dict(self) -> dict[str, Any]:
        """The images with their optimiser, and the running means."""
        return super().state_dict() | {"means": self._means.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where :meth:`state_dict` was taken."""
        super().load_state_dict(dict(state))
        self._means.load_state_dict(state["means"])
