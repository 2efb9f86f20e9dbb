"""Whether kernels of this project can be used on the GPU that is there."""

from __future__ import annotations

from collections.abc import Callable

import torch

from bacon.runtime.logs import get_logger
from bacon.runtime.user_cache import keep_triton_kernels

log = get_logger(__name__)

_LEAST_CAPABILITY = (8, 0)
"""Compute capability of the oldest GPUs of NVIDIA that Triton supports."""


def can_run(run: Callable[[], object], *, name: str, instead: str) -> bool:
    """Whether kernels compile and run; where they do not, a line in the log says why. To be asked once for each kind.

    Whatever a compiler, a driver or a missing package raises is a reason, such as Triton's OutOfResources at the launch of a
    kernel that wants more shared memory than the GPU has. A compiler that ends the process is not: so nothing is tried on GPUs
    of NVIDIA that Triton does not support, and there nothing would say that what compiles is right.

    Args:
        run: runs each of them once. It imports Triton, which then keeps what it compiles in the user's cache for later jobs.
        name: of the kernels, for the log.
        instead: what is used where they cannot be.
    """
    keep_triton_kernels()
    try:
        _check_supported()
        run()
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())  # a compiler's has many lines
        log.info("%s cannot be used (%s); using %s", name, reason, instead)
        return False
    return True


def _check_supported() -> None:
    """Raises RuntimeError: Triton does not support the current GPU."""
    if torch.version.hip or not torch.cuda.is_available():
        return
    capability = torch.cuda.get_device_capability()
    if capability < _LEAST_CAPABILITY:
        (own, own_minor), (least, least_minor) = capability, _LEAST_CAPABILITY
        raise RuntimeError(
            f"Triton wants a GPU of compute capability {least}.{least_minor}, this one has {own}.{own_minor}"
        )
