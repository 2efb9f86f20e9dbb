"""The kernel that a method's settings name, as a representation of images and a function of representations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bacon.distillation.algorithm import Context
from bacon.distillation.network_features import FlatImages, NetworkFeatures, Representation
from bacon.networks.infinite_width import Kernel, dense_kernel, linear_kernel

if TYPE_CHECKING:
    from bacon.networks.network import Network
    from bacon.settings.kernels import KernelSettings


class ChosenKernel:
    """A kernel of settings.

    Args:
        settings: which one.
        context: what the method is given.

    Attributes:
        of: the kernel of representations.
    """

    of: Kernel

    def __init__(self, settings: KernelSettings, context: Context) -> None:
        self._context = context
        self._networks: tuple[Network, ...] = ()
        if settings.kernel == "features":
            self.of = linear_kernel
            self._networks = tuple(
                context.build(index, purpose="kernel-network").eval().requires_grad_(False)
                for index in range(settings.kernel_networks)
            )
        else:
            self.of = dense_kernel(settings.kernel, depth=settings.depth, bias_std=settings.bias_std)

    def representation(self) -> Representation:
        """What is compared, computed as many images at a time as memory holds now."""
        if not self._networks:
            return FlatImages()
        return NetworkFeatures(self._networks, at_once=self._context.memory.images(self._context.real.shape), mean=True)
