"""Checks of the Triton kernel of the block's second derivatives, on a GPU or in Triton's interpreter (see block_on_gpu)."""

import torch

from bacon.networks.kernels import block_triton, second_triton
from bacon.networks.kernels.block_gpu import FusedOnGpu
from bacon.networks.kernels.block_plain import Cotangents, Saved, second_gradients
from tests.networks.block_on_gpu import ROUNDING, certain, draw, plain

# Rounding to bfloat16 of what is read and written; the sums are float32.
TOLERANCES = {torch.float64: 1e-10, torch.float32: 1e-4, torch.bfloat16: 2e-2}


def saved_and_given(device, dtype, size, layout, images, channels):
    parameter = torch.float64 if dtype == torch.float64 else torch.float32
    pooled = (size[0] // 2, size[1] // 2)
    shapes = [(images, channels, *size), (images, channels, *size), (images, channels, *pooled)]
    x, dx, gradient = (
        draw(*shape, seed=seed).add(0.5).to(device, dtype).contiguous(memory_format=layout)
        for seed, shape in enumerate(shapes)
    )
    weight, bias, dweight, dbias = (draw(channels, seed=seed).to(device, parameter) for seed in range(3, 7))
    _, mean, rstd = block_triton.forward(x, weight, bias, 1e-5)
    return Saved(x, gradient, weight, bias, mean, rstd, 1e-5), Cotangents(dx, dweight, dbias)


def check_second(device, dtype, size, layout, missing=(), *, images=3, channels=5):
    """Against the formula in float64, for each that is asked for; other layouts of what is given are read too."""
    saved, given = saved_and_given(device, dtype, size, layout, images, channels)
    given, sure = given._replace(**dict.fromkeys(missing)), certain(saved.x, saved.weight, saved.bias, ROUNDING)
    saved.gradient.mul_(sure)
    exact = Saved(*(tensor.double() for tensor in saved[:6]), 1e-5)
    wanted = Cotangents(*(None if one is None else one.double() for one in given))
    with torch.no_grad():
        expected, found = second_gradients(exact, wanted), second_triton.second(saved, given)
    expected[2].mul_(sure)
    assert [one.dtype for one in found] == [saved.x.dtype, saved.weight.dtype, saved.gradient.dtype]
    found[2].mul_(sure)
    for mine, theirs in zip(found, expected, strict=True):
        scale = float(theirs.abs().max()) or 1.0
        torch.testing.assert_close(mine.double() / scale, theirs / scale, rtol=0, atol=TOLERANCES[dtype])
    if given.dx is not None:
        turned = given._replace(dx=given.dx.contiguous(memory_format=torch.channels_last))
        again = second_triton.second(saved._replace(gradient=saved.gradient.contiguous()), turned)
        again[2].mul_(sure)
        for mine, other in zip(found, again, strict=True):
            torch.testing.assert_close(mine, other, rtol=TOLERANCES[dtype], atol=TOLERANCES[dtype])


def check_derivatives_of_every_order(device):
    """First, second (by the kernel) and third (by the formula) against autograd through float64 layers."""
    inputs = [
        draw(*shape, seed=seed).to(device).requires_grad_() for seed, shape in enumerate([(2, 3, 4, 6), (3,), (3,)])
    ]
    orders = []
    for function in (lambda *tensors: FusedOnGpu.apply(*tensors, 1e-5), plain):
        ones = torch.autograd.grad(function(*inputs).pow(3).sum(), inputs, create_graph=True)
        twos = torch.autograd.grad(sum(one.square().sum() for one in ones), inputs, create_graph=True)
        last = torch.autograd.grad(sum(one.square().sum() for one in ones), inputs, retain_graph=True)
        threes = torch.autograd.grad(sum(two.square().sum() for two in twos), inputs)
        orders.append((*ones, *twos, *last, *threes))
    for mine, theirs in zip(*orders, strict=True):
        scale = float(theirs.detach().abs().max())
        torch.testing.assert_close(mine / scale, theirs / scale, rtol=0, atol=1e-9)
