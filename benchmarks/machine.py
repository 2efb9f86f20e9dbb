"""The machine and its own ceilings, measured: a large matrix product and a large copy."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch

from bacon.runtime.devices import device_name


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
    """FLOP/s of a square matrix product and bytes/s of a copy on ``device``, and what it is."""
    side = 8192 if device.type == "cuda" else 2048
    a, b = (torch.ones(side, side, device=device, dtype=dtype) for _ in range(2))
    c = torch.empty_like(a)
    product = best_of(lambda: torch.mm(a, b, out=c), device)
    count = 2**30 if device.type == "cuda" else 2**27
    source = torch.ones(count // 4, device=device)
    target = torch.empty_like(source)
    copy = best_of(lambda: target.copy_(source), device)
    return {
        "device": device_name(device),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "dtype": str(dtype).removeprefix("torch."),
        "flop_per_second": 2 * side**3 / product,
        "bytes_per_second": 2 * source.numel() * 4 / copy,
    }
