"""The machine and its own ceilings, measured: a large matrix product and a large copy."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from bacon.runtime.devices import device_name, set_up_arithmetic


def set_up(threads: int, precision: str = "fp32", *, deterministic: bool = True) -> None:
    """Arithmetic as a job sets it up, and convolutions that no network owns in ``precision``.

    Args:
        threads: CPU threads.
        precision: value of ``network.precision``.
        deterministic: equal bits in every run; otherwise libraries choose the fastest form, whatever its order of sums.
    """
    set_up_arithmetic(threads, deterministic=deterministic)
    torch.backends.cudnn.allow_tf32 = precision == "tf32"


def synchronise(device: torch.device) -> None:
    """Wait for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_of(work: Callable[[], object], device: torch.device) -> float:
    """Wall time of ``work`` with the device's queue empty before and after."""
    synchronise(device)
    start = time.perf_counter()
    work()
    synchronise(device)
    return time.perf_counter() - start


def best_of(work: Callable[[], object], device: torch.device, *, rounds: int = 5) -> float:
    """The shortest of ``rounds`` after one warm-up: a ceiling is what the machine can do undisturbed."""
    seconds_of(work, device)
    return min(seconds_of(work, device) for _ in range(rounds))


def ceilings(device: torch.device, dtype: torch.dtype = torch.float32) -> dict[str, Any]:
    """FLOP/s and bytes/s that ``device`` reaches on large work, and what it is.

    The arithmetic is a square matrix product and a 3x3 convolution of 128 channels, whichever is faster: on some CPUs the
    matrix library uses narrower vectors than the convolution library. The memory is a large copy.
    """
    product, convolution = _product(device, dtype), _convolution(device, dtype)
    return {
        "device": device_name(device),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "dtype": str(dtype).removeprefix("torch."),
        "product_flop_per_second": product,
        "convolution_flop_per_second": convolution,
        "flop_per_second": max(product, convolution),
        "bytes_per_second": _copy(device),
    }


def _product(device: torch.device, dtype: torch.dtype) -> float:
    side = 8192 if device.type == "cuda" else 2048
    a, b = (torch.ones(side, side, device=device, dtype=dtype) for _ in range(2))
    c = torch.empty_like(a)
    return 2 * side**3 / best_of(lambda: torch.mm(a, b, out=c), device)


@torch.no_grad()
def _convolution(device: torch.device, dtype: torch.dtype) -> float:
    count, width, side = (4096 if device.type == "cuda" else 64), 128, 16
    images = torch.ones(count, width, side, side, device=device, dtype=dtype)
    weight = torch.ones(width, width, 3, 3, device=device, dtype=dtype)
    flop = 2 * 9 * width**2 * side**2 * count
    return flop / best_of(lambda: F.conv2d(images, weight, padding=1), device)


def _copy(device: torch.device) -> float:
    size = 2**30 if device.type == "cuda" else 2**27
    source = torch.ones(size // 4, device=device)
    target = torch.empty_like(source)
    return 2 * size / best_of(lambda: target.copy_(source), device)
