"""``python -m tests.distillation.class_moments_on_gpu``: the kernels against float64, interpreted on a CPU."""

import torch

from bacon.distillation.matching import class_moments_gpu, class_moments_triton
from bacon.distillation.matching.features import unbiased_std
from tests.triton_kernels import loops_take_arguments

SHAPES = [(3, 5, 8, 2, 2), (2, 9, 6, 3, 5), (1, 2, 40, 1, 1), (4, 1, 3, 2, 2)]
"""Classes, images of each, channels, height and width."""
DTYPES = {torch.float32: 1e-5, torch.bfloat16: 1e-2, torch.float64: 1e-12}
LAYOUTS = (torch.contiguous_format, torch.channels_last)


def poisoned(tensor, layout, device):
    """``tensor`` (N, C, H, W) in a layout, with NaN on both sides of it in memory."""
    count, *rest = tensor.shape
    room = torch.full((count + 2, *rest), float("nan"), dtype=tensor.dtype, device=device).to(memory_format=layout)
    room[1:-1] = tensor.to(device)
    return room[1:-1]


def check(device, shape, dtype, layout):
    """Moments and gradients; a second run has the same bits."""
    classes, each, *map_shape = shape
    generator = torch.Generator().manual_seed(each)
    count, exact = classes * each, 1e-5 if dtype == torch.bfloat16 else DTYPES[dtype]
    given = (torch.randn(count, *map_shape, generator=generator, dtype=torch.float64) + 3).to(dtype)
    maps, other = poisoned(given, layout, device), torch.randn(given.shape, generator=generator).to(dtype)
    flat = given.double().flatten(1).unflatten(0, (classes, each)).requires_grad_()
    expected = flat.mean(dim=1)
    runs = [class_moments_triton.moments(maps, classes, std=True) for _ in range(2)]
    mean, std = runs[0]
    assert mean.dtype == std.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    torch.testing.assert_close(mean.cpu().double(), expected, rtol=exact, atol=exact)
    deviation = unbiased_std(flat.detach(), expected.detach())
    torch.testing.assert_close(std.cpu().double(), deviation, rtol=10 * exact, atol=10 * exact, equal_nan=True)
    alone, none = class_moments_triton.moments(maps, classes, std=False)
    assert none is None
    assert torch.equal(alone, mean)
    for one, again in zip(*runs, strict=True):
        torch.testing.assert_close(one, again, rtol=0, atol=0, equal_nan=True)

    wanted = torch.randn(mean.shape, generator=generator, dtype=torch.float64).to(mean.dtype)
    (by_mean,) = torch.autograd.grad(expected, flat, wanted.double())
    by_mean = by_mean.view(given.shape)
    leaf = maps.detach().requires_grad_()
    for with_other in (True, False):
        found, again = (gradient(leaf, classes, wanted.to(device), other.to(device), with_other) for _ in range(2))
        assert found.dtype == dtype
        assert found.is_contiguous(memory_format=layout)
        sought = by_mean + other.double() if with_other else by_mean
        torch.testing.assert_close(found.cpu().double(), sought, rtol=DTYPES[dtype], atol=DTYPES[dtype])
        assert torch.equal(found, again)


def gradient(leaf, classes, wanted, other, with_other):
    """Of the means with ``wanted``, and of the maps, where they are used, with ``other``."""
    mean, maps = class_moments_gpu.means(leaf, classes)
    outputs, gradients = ([mean, maps], [wanted, other]) if with_other else ([mean], [wanted])
    return torch.autograd.grad(outputs, leaf, gradients)[0]


def check_second_derivatives(device):
    """Of a gradient's norm."""
    given = torch.randn(6, 4, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).to(device)

    def second(moments_of):
        leaf = given.clone().requires_grad_()
        mean, maps = moments_of(leaf)
        (first,) = torch.autograd.grad(mean.pow(3).sum() + maps.pow(4).sum(), leaf, create_graph=True)
        return torch.autograd.grad(first.square().sum(), leaf)[0]

    found = second(lambda leaf: class_moments_gpu.means(leaf, 2))
    expected = second(lambda leaf: (leaf.flatten(1).unflatten(0, (2, 3)).mean(dim=1), leaf))
    torch.testing.assert_close(found, expected)


if __name__ == "__main__":
    loops_take_arguments()
    cpu = torch.device("cpu")
    class_moments_triton._NUMBERS, class_moments_triton._WRITTEN_IMAGES = 64, 2
    class_moments_triton._WRITTEN_FEATURES = 16
    for each in SHAPES:
        for layout in LAYOUTS:
            check(cpu, each, torch.bfloat16, layout)
    for dtype in (torch.float32, torch.float64):
        check(cpu, SHAPES[1], dtype, torch.channels_last)
    check_second_derivatives(cpu)
    print("all checks passed")
