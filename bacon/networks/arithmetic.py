"""The precision of a network's convolutions, which belongs to the network and not to the process.

PyTorch has one switch for the whole process, which a convolution reads when it is launched: the forward pass when the network
runs, the backward pass when somebody differentiates, perhaps after another network in another precision has run. So the switch
is set while a network runs, and each convolution (``bacon.networks.convolution``) keeps what it found for its derivatives.

Only convolutions of float32 on a GPU know the difference; matrix products (classifier, losses, statistics) are full float32.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import lru_cache
from typing import Literal

import torch

from bacon.runtime.logs import get_logger

log = get_logger(__name__)

Precision = Literal["fp32", "tf32", "bf16"]
"""Of convolutions, as ``network.precision``."""


def tf32_allowed() -> bool:
    """Whether a convolution of float32 that is launched now may round its factors to TF32."""
    return torch.backends.cudnn.allow_tf32


@contextmanager
def tf32_set(allowed: bool) -> Iterator[None]:
    """Convolutions that are launched meanwhile may use TF32, or may not."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def arithmetic_of(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """What the layers of a network below its classifier run in.

    Args:
        precision: the network's.
        device: where its images are. On a CPU, tf32 is float32.
    """
    if precision == "bf16":
        # Without the cache of weights: a recorded step must round the weights again each time it is replayed.
        return torch.autocast(device.type, torch.bfloat16, cache_enabled=False)
    return tf32_set(precision == "tf32") if device.type == "cuda" else nullcontext()


@lru_cache(maxsize=3)
def is_native(precision: Precision) -> bool:
    """Whether the current GPU multiplies in a precision itself; where not, a line in the log says once what it does.

    GPUs of NVIDIA before compute capability 8.0 know neither TF32 nor bfloat16.
    """
    if precision == "fp32":
        return True
    if (
        torch.cuda.is_tf32_supported()
        if precision == "tf32"
        else torch.cuda.is_bf16_supported(including_emulation=False)
    ):
        return True
    name = torch.cuda.get_device_name()
    if precision == "tf32":
        log.info("%s has no TF32: convolutions are computed in full float32, as with network.precision = fp32", name)
    else:
        log.warning(
            "%s has no bfloat16 arithmetic: PyTorch emulates it, slower than float32; consider network.precision = fp32",
            name,
        )
    return False
