"""Checks of the first block's Triton kernels, on a GPU or in Triton's interpreter (see block_on_gpu)."""

import torch
import torch.nn.functional as F

from bacon.networks.kernels.first_gpu import FirstOnGpu, without_gradients
from tests.networks.block_on_gpu import draw

# Images, their channels and sides, padding, channels of the maps: one tile and several, padded 28x28 in small, odd numbers.
SHAPES = [(3, 3, 8, 8, 1, 5), (2, 1, 4, 4, 3, 17), (1, 2, 6, 10, 1, 16), (3, 1, 16, 36, 1, 3), (2, 3, 36, 16, 1, 20)]
TOLERANCES = {"fp32": 3e-4, "tf32": 3e-4, "bf16": 4e-2}
ON_A_GPU = {"fp32": 3e-4, "tf32": 2e-2, "bf16": 4e-2}


def plain(x, filters, weight, bias, padding):
    maps = F.conv2d(x, filters, padding=padding)
    return F.avg_pool2d(F.relu(F.group_norm(maps, maps.shape[1], weight, bias, 1e-5)), 2)


def inputs_of(shape, device):
    count, channels, rows, columns, _, width = shape
    sizes = [(count, channels, rows, columns), (width, channels, 3, 3), (width,), (width,)]
    return [draw(*size, seed=seed).to(device, torch.float32) for seed, size in enumerate(sizes)]


def close(mine, exact, tolerance):
    """By the largest number: products of rounded numbers err by that, whatever their own size."""
    size = max(float(exact.abs().max()), 1e-3)
    torch.testing.assert_close(mine.double() / size, exact / size, rtol=0, atol=tolerance)


def check_first_block(device, kind, shape, layout, *, tolerance):
    """Pooled maps and all gradients against float64 layers; each gradient alone; equal input gives equal bits."""
    padding = shape[4]
    inputs = [tensor.requires_grad_() for tensor in inputs_of(shape, device)]
    inputs[0] = inputs[0].detach().contiguous(memory_format=layout).requires_grad_()
    exact = [tensor.detach().double().requires_grad_() for tensor in inputs]
    expected = plain(*exact, padding)
    given = draw(*expected.shape, seed=9).to(device, torch.bfloat16 if kind == "bf16" else torch.float32)
    given = given.contiguous(memory_format=layout)
    pooled = FirstOnGpu.apply(*inputs, 1e-5, padding, kind)
    found = torch.autograd.grad(pooled, inputs, given)
    for mine, theirs in zip(
        (pooled, *found), (expected, *torch.autograd.grad(expected, exact, given.double())), strict=True
    ):
        close(mine, theirs, tolerance)
    assert pooled.dtype == given.dtype
    with torch.no_grad():
        assert torch.equal(without_gradients(*inputs, 1e-5, padding, kind), pooled)
    for index, tensor in enumerate(inputs):
        (alone,) = torch.autograd.grad(FirstOnGpu.apply(*inputs, 1e-5, padding, kind), tensor, given)
        assert torch.equal(alone, found[index])
        assert alone.stride() == tensor.stride()


def check_second_derivatives(device, kind, shape, tolerance):
    """Of a function of the gradients of images and filters."""
    padding = shape[4]
    inputs = [tensor.requires_grad_() for tensor in inputs_of(shape, device)]
    exact = [tensor.detach().double().requires_grad_() for tensor in inputs]

    def twice(function, tensors):
        first = torch.autograd.grad(function(*tensors).square().sum(), tensors[:2], create_graph=True)
        return torch.autograd.grad(sum(one.square().sum() for one in first), tensors)

    found = twice(lambda *tensors: FirstOnGpu.apply(*tensors, 1e-5, padding, kind).float(), inputs)
    for mine, theirs in zip(found, twice(lambda *tensors: plain(*tensors, padding), exact), strict=True):
        close(mine, theirs, tolerance)
