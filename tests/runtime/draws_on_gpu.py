"""Checks of the kernel for random words, on a GPU or in Triton's interpreter (``tests.networks.triton_on_cpu``)."""

import torch

from bacon.runtime import draws, draws_gpu

SEEDS = (*range(8), (3, 11))
"""Keys above and below 2^31 among them."""


def check_words(device):
    keys = [draws.stream_key(seed, "test") for seed in SEEDS]
    assert all({word >= 2**31 for word in place} == {True, False} for place in zip(*keys, strict=True))
    several = torch.tensor([[0, 9], [2**32 - 1, 4]], device=device)
    for key in keys:
        for lanes, count in ((several, 7), (several[0], 1), (several[1], 1000), (several[1, 0], 8)):
            for iteration in (0, 2**32 - 1):
                found = draws_gpu.words(key, count=count, lanes=lanes, iteration=torch.tensor(iteration, device=device))
                assert torch.equal(found.cpu(), expected(key, count, lanes.cpu(), iteration))
    empty = several[:0]
    assert draws_gpu.words(keys[0], count=3, lanes=empty, iteration=several[0, 0]).shape == (0, 2, 3)


def expected(key, count, lanes, iteration):
    """By PyTorch's operations, one block at a time."""
    blocks = []
    for block in range((count + 3) // 4):
        counter = [torch.full_like(lanes, block), lanes, torch.full_like(lanes, iteration), torch.zeros_like(lanes)]
        blocks.append(torch.stack(draws._philox(key, counter), dim=-1))
    return torch.cat(blocks, dim=-1)[..., :count]
