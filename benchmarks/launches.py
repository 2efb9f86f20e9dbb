"""What a recorded matching launches on a GPU besides our Triton kernels: PyTorch's operations, counted on the CPU.

A small kernel takes a GPU as long as a few thousand multiplications, so that with few images per class their number is what a
matching costs. It depends on chunks of classes, not on the network's width: a network of two blocks of four channels stands for
the cell's. Views are no kernels, and what one Triton kernel does on a GPU (random words, blocks, the pass of the augmentation,
gathering and normalising real images, decoding partitioned ones, moments of classes, the classifier) is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from bacon.distillation.matching import class_moments_gpu, feature_matching
from bacon.distillation.matching.real_features import RealFeatures
from bacon.distillation.real_images import RealImages
from bacon.networks.kernels import classifier_gpu
from bacon.runtime.errors import BaconError
from bacon.transforms import affine_pass, normalised_gpu, partition_gpu
from benchmarks.cells import engine_of, measured, random_dataset
from benchmarks.plain_kernels import PLAIN

CELLS = (
    "cifar10/bacon/ipc1",
    "cifar10/bacon/ipc10",
    "cifar100/bacon/ipc1",
    "tinyimagenet/bacon/ipc1",
    "tinyimagenet/bacon/ipc10",
)
_NETWORK = {"width": 4, "depth": 2}
_ASKED = {
    normalised_gpu: "takes_kernel",
    partition_gpu: "takes_kernel",
    class_moments_gpu: "takes_kernels",
    classifier_gpu: "takes_kernel",
}
# Memory is asked for without a kernel; the number of the iteration is read where the CPU draws random words.
_NO_KERNEL = {"aten::empty", "aten::empty_like", "aten::new_empty", "aten::_local_scalar_dense"}


class _Count(TorchDispatchMode):
    """Counts operations while it is on and not :meth:`aside`."""

    def __init__(self) -> None:
        super().__init__()
        self.operations, self._aside = 0, False

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        schema = function._schema
        is_view = not schema.is_mutable and any(each.alias_info is not None for each in schema.returns)
        self.operations += not (is_view or self._aside or schema.name in _NO_KERNEL)
        return function(*args, **(kwargs or {}))

    def aside(self, work: Callable[..., Any]) -> Callable[..., Any]:
        """``work``, uncounted."""

        def uncounted(*args: Any, **kwargs: Any) -> Any:
            self._aside = True
            try:
                return work(*args, **kwargs)
            finally:
                self._aside = False

        return uncounted


@contextmanager
def _counting(*, joins: bool) -> Iterator[_Count]:
    count = _Count()
    passes = {name: getattr(affine_pass, name) for name in ("passed_forward", "passed_transposed")}
    with ExitStack() as stack:
        for module, functions in {**PLAIN, affine_pass: passes}.items():
            uncounted = {name: count.aside(function) for name, function in functions.items()}
            stack.enter_context(patch.multiple(module, **uncounted))
        for module, asked in _ASKED.items():
            stack.enter_context(patch.object(module, asked, lambda *_: True))
        stack.enter_context(patch.object(feature_matching, "_joins_passes", lambda _: joins))
        # A CPU embeds as many images at a time as its cache holds.
        stack.enter_context(patch.object(RealFeatures, "_at_once", RealFeatures._limit))
        yield stack.enter_context(count)


def measure(names: Sequence[str]) -> list[dict[str, Any]]:
    """Operations of a recorded matching of each cell: a pass of synthetic images for each chunk of classes, and joined."""
    rows = []
    for name in names:
        cell = measured(name)
        network = cell.settings.network.model_copy(update=_NETWORK)
        real = RealImages(random_dataset(cell.cell.dataset), device=torch.device("cpu"))
        algorithm = engine_of(cell, real, network=network).algorithm
        if not isinstance(algorithm, feature_matching.FeatureMatching):
            raise BaconError(
                f"cell {cell.cell}: matches no embeddings, so there is no matching to count; bacon, idm and dm do"
            )
        drawn, row = algorithm.pool.draw(0), {"cell": name, "chunks": len(algorithm.chunks())}
        for key, joins in (("by_chunk", False), ("joined", True)):
            with _counting(joins=joins) as count:
                algorithm.gradient(torch.tensor(0), drawn)
            row[key] = count.operations
        rows.append(row)
    return rows
