"""Counter-based random draws: every number is a pure function of (seed, purpose, iteration, lane, position).

Nothing is ever "advanced", so a resumed run needs no replay, and neither chunking, the number of workers nor the device
changes a draw. The generator is Philox-4x32-10 (Salmon et al., SC 2011), evaluated for whole arrays at once: in numpy for
the few numbers that the host needs, in torch or by a kernel for many numbers on the device. All give the same words.

The counter is (block, lane, iteration, 0); a lane is whatever the caller draws side by side, most often the class.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bacon.runtime import draws_gpu

Seed = int | tuple[int, ...]

_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_MASK = 0xFFFFFFFF
_ROUNDS = 10


@lru_cache(maxsize=4096)
def stream_key(seed: Seed, purpose: str) -> tuple[int, int]:
    """Two 32-bit key words for a stream, from a hash of the seed (or tuple of seeds) and the purpose's name."""
    digest = hashlib.blake2b(repr((seed, purpose)).encode(), digest_size=8).digest()
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:], "little")


def _philox(key: tuple[int, int], counter: list[Any]) -> list[Any]:
    """Ten Philox rounds on four arrays of 32-bit words held in 64-bit integers (numpy uint64 or torch int64)."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(_ROUNDS):
        product0, product1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        # A signed shift copies the sign bit; the mask removes the copies.
        high0, high1 = (product0 >> 32) & _MASK, (product1 >> 32) & _MASK
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, product1 & _MASK, high0 ^ c3 ^ k1, product0 & _MASK
        k0, k1 = (k0 + _WEYL[0]) & _MASK, (k1 + _WEYL[1]) & _MASK
    return [c0, c1, c2, c3]


def words(
    seed: Seed, purpose: str, *, count: int, iteration: int = 0, lanes: int | Sequence[int] | npt.NDArray[np.int64] = 0
) -> npt.NDArray[np.uint64]:
    """Random 32-bit words on the host.

    Args:
        seed: seed or tuple of seeds of the stream.
        purpose: name of the stream; different purposes are independent.
        count: words per lane.
        iteration: iteration, in [0, 2^32).
        lanes: one lane, or the lanes (L,) drawn side by side.

    Returns:
        uint64 in [0, 2^32): (count,) for one lane, else (L, count).
    """
    lane_array = np.asarray(lanes, dtype=np.uint64)
    blocks = np.arange((count + 3) // 4, dtype=np.uint64)
    lane_grid, block_grid = np.broadcast_arrays(lane_array[..., None], blocks)
    counter = [block_grid, lane_grid, np.full_like(block_grid, iteration), np.zeros_like(block_grid)]
    stacked = np.stack(_philox(stream_key(seed, purpose), counter), axis=-1)
    return stacked.reshape(*lane_array.shape, -1)[..., :count]


def uniform(
    seed: Seed, purpose: str, *, count: int, iteration: int = 0, lanes: int | Sequence[int] | npt.NDArray[np.int64] = 0
) -> npt.NDArray[np.float64]:
    """Uniform numbers in [0, 1) on the host, multiples of 2^-24 (exact in float32); arguments and shape as :func:`words`."""
    drawn = words(seed, purpose, count=count, iteration=iteration, lanes=lanes) >> np.uint64(8)
    return drawn.astype(np.float64) * 2.0**-24


def device_words(
    seed: Seed,
    purpose: str,
    *,
    count: int,
    device: torch.device,
    iteration: int | Tensor = 0,
    lanes: int | Tensor = 0,
) -> Tensor:
    """:func:`words` on a device: int64 in [0, 2^32), the same numbers.

    ``lanes`` are an int or an int64 tensor (L,); ``iteration`` may be a 0-d int64 tensor on the device, which a recorded draw
    reads each time it is replayed.
    """
    if not _is_host(device):
        return _words_in_torch(seed, purpose, count=count, device=device, iteration=iteration, lanes=lanes)
    # On a CPU, numpy's calls cost less than torch's (docs/speed.md).
    host_lanes = lanes if isinstance(lanes, int) else lanes.cpu().numpy()
    drawn = words(seed, purpose, count=count, iteration=int(iteration), lanes=host_lanes)
    return torch.from_numpy(drawn.view(np.int64))


def _is_host(device: torch.device) -> bool:
    return device.type == "cpu"


def _words_in_torch(
    seed: Seed,
    purpose: str,
    *,
    count: int,
    device: torch.device,
    iteration: int | Tensor = 0,
    lanes: int | Tensor = 0,
) -> Tensor:
    # `full` and not `tensor`, which would copy a number from the host and wait for the device.
    lane_tensor = torch.full((), lanes, device=device) if isinstance(lanes, int) else lanes.to(device, torch.int64)
    if draws_gpu.gpu_kernel(lane_tensor.device):
        now = iteration if isinstance(iteration, Tensor) else torch.full((), iteration, device=device)
        return draws_gpu.words(stream_key(seed, purpose), count=count, lanes=lane_tensor, iteration=now)
    blocks = torch.arange((count + 3) // 4, dtype=torch.int64, device=device)
    lane_grid, block_grid = torch.broadcast_tensors(lane_tensor[..., None], blocks)
    iterations = (
        iteration.expand_as(block_grid) if isinstance(iteration, Tensor) else torch.full_like(block_grid, iteration)
    )
    counter = [block_grid, lane_grid, iterations, torch.zeros_like(block_grid)]
    stacked = torch.stack(_philox(stream_key(seed, purpose), counter), dim=-1)
    return stacked.reshape(*lane_tensor.shape, -1)[..., :count]


def device_uniform(
    seed: Seed,
    purpose: str,
    *,
    count: int,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    iteration: int | Tensor = 0,
    lanes: int | Tensor = 0,
) -> Tensor:
    """:func:`uniform` on a device, in ``dtype`` (float32 or float64); the same numbers."""
    drawn = device_words(seed, purpose, count=count, device=device, iteration=iteration, lanes=lanes)
    return (drawn >> 8).to(dtype) * 2.0**-24


def device_normal(
    seed: Seed,
    purpose: str,
    *,
    count: int,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    iteration: int | Tensor = 0,
    lanes: int | Tensor = 0,
) -> Tensor:
    """Standard normal numbers on a device, by inversion; arguments and shape as :func:`device_uniform`."""
    drawn = device_words(seed, purpose, count=count, device=device, iteration=iteration, lanes=lanes)
    normal: Tensor = torch.special.ndtri((drawn.to(torch.float64) + 0.5) * 2.0**-32)
    return normal.to(dtype)


def device_permutation(
    seed: Seed, purpose: str, *, count: int, device: torch.device, iteration: int | Tensor = 0, lanes: int | Tensor = 0
) -> Tensor:
    """A random permutation of ``range(count)`` per lane, int64, (count,) or (L, count); ties broken by position."""
    drawn = device_words(seed, purpose, count=count, device=device, iteration=iteration, lanes=lanes)
    return drawn.argsort(dim=-1, stable=True)
