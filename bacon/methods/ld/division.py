"""Which real images label distillation keeps, which it learns from, and which it chooses its labels by."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bacon.distillation.algorithm import Context
from bacon.runtime.errors import BaconError


@dataclass(frozen=True, kw_only=True)
class Division:
    """Places (int64) among the real images.

    Attributes:
        base: (classes * ipc,): the images whose labels are learned, class after class; those that Random selects.
        target: (N,): those that the labels are learned from; the base images are among them.
        validation: (V,): those that the labels are chosen by.
    """

    base: Tensor
    target: Tensor
    validation: Tensor


def divided(context: Context, validation: float) -> Division:
    """Divide each class: the first images of a random order are the base, the next ``validation`` of the class are held out.

    Raises:
        BaconError: a class has too few images.
    """
    real, ipc = context.real, context.ipc
    held = [int(validation * count) for count in real.counts]
    for name, count, out in zip(real.class_names, real.counts, held, strict=True):
        if count - out < ipc:
            raise BaconError(
                f"IPC {ipc} needs as many images of each class; class {name!r} has {count}, of which {out} are held out "
                "(distillation.validation): lower the IPC or validation"
            )
    orders = [
        real.sample_classes(context.seed, "initial-images", iteration=0, classes=[label], size=count)[0]
        for label, count in enumerate(real.counts)
    ]
    parts = [(order[:ipc], order[ipc : ipc + out], order[ipc + out :]) for order, out in zip(orders, held, strict=True)]
    base, held_out, rest = (torch.cat(places) for places in zip(*parts, strict=True))
    return Division(base=base, target=torch.cat([base, rest]), validation=held_out)
