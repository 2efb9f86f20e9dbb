"""``python -m tests.transforms.partition_on_gpu``: the kernels against PyTorch's operations, interpreted on a CPU."""

import torch

from bacon.transforms import partition, partition_triton
from tests.triton_kernels import loops_take_arguments

SHAPES = [(3, 8, 8, 2), (1, 4, 12, 2), (2, 9, 6, 3), (1, 8, 4, 4), (3, 2, 2, 2)]
"""Channels, height, width and factor."""
PIXELS = 32  # of the interpreted kernels, so that a small image is several programs


def check(device, shape, dtype, tolerance, *, runs=2):
    """Both kernels, with poison around what they may read; each of several runs has the same bits."""
    *image, factor = shape
    generator = torch.Generator().manual_seed(0)
    room = torch.full((5, *image), float("nan"), dtype=dtype)
    room[1:4] = torch.randn(3, *image, dtype=dtype, generator=generator)
    images = room.to(device)[1:4]
    exact = images.detach().cpu().double().requires_grad_()
    expected = partition.decode(exact, factor)
    found = [partition_triton.decoded(images, factor) for _ in range(runs)]
    torch.testing.assert_close(found[0].cpu().double(), expected, rtol=tolerance, atol=tolerance)
    assert all(torch.equal(found[0], each) for each in found)

    room = torch.full((len(expected) + 2, *image), float("nan"), dtype=dtype)
    room[1:-1] = torch.randn(expected.shape, dtype=dtype, generator=generator)
    gradient = room.to(device)[1:-1]
    (expected,) = torch.autograd.grad(expected, exact, gradient.cpu().double())
    found = [partition_triton.collected(gradient, factor) for _ in range(runs)]
    torch.testing.assert_close(found[0].cpu().double(), expected, rtol=tolerance, atol=tolerance)
    assert all(torch.equal(found[0], each) for each in found)


if __name__ == "__main__":
    loops_take_arguments()
    partition_triton._PIXELS = PIXELS
    for each in SHAPES:
        check(torch.device("cpu"), each, torch.float64, 1e-12, runs=1)
    check(torch.device("cpu"), SHAPES[1], torch.float32, 1e-5)
    print("all checks passed")
