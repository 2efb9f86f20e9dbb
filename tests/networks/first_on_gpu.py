"""Checks of the first block's Triton kernels, on a GPU or in Triton's interpreter (see block_on_gpu)."""

import torch
import torch.nn.functional as F

from bacon.networks.kernels.first_gpu import FirstOnGpu, first_on_gpu, without_gradients
from tests.networks.block_on_gpu import certain, draw

# Images, their channels and sides, padding, channels of the maps: odd numbers, padded sides, a tile that is not full, several.
SHAPES = [(3, 3, 4, 8, 1, 5), (2, 1, 2, 4, 3, 17), (1, 2, 26, 24, 1, 3)]
SEVERAL_TILES = (1, 3, 36, 32, 1, 2)
WHOLE_TILES = [(2, 3, 32, 32, 1, 16), (2, 1, 28, 28, 3, 16), (1, 3, 64, 64, 1, 32)]  # of squares, and of channels
TOLERANCES = {"fp32": 3e-4, "tf32": 2e-2, "bf16": 4e-2}
# Of what the ReLU is given: larger than errors of its 27 products, which are far below the tolerances.
ROUNDING = {"fp32": 2e-5, "tf32": 1e-2, "bf16": 4e-2}
PRODUCTS = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16}


def plain(x, filters, weight, bias, padding):
    maps = F.conv2d(x, filters, padding=padding)
    return F.avg_pool2d(F.relu(F.group_norm(maps, maps.shape[1], weight, bias, 1e-5)), 2)


def inputs_of(shape, device):
    count, channels, rows, columns, _, width = shape
    sizes = [(count, channels, rows, columns), (width, channels, 3, 3), (width,), (width,)]
    return [draw(*size, seed=seed).to(device, torch.float32) for seed, size in enumerate(sizes)]


def fused(inputs, padding, kind):
    x, filters, weight, bias = inputs
    return FirstOnGpu.apply(x, filters, None, weight, bias, 1e-5, padding, kind)


def close(mine, exact, tolerance):
    """By the largest number: products of rounded numbers err by that, whatever their own size."""
    size = max(float(exact.detach().abs().max()), 1e-3)
    torch.testing.assert_close(mine.double() / size, exact / size, rtol=0, atol=tolerance)


def check_first_block(device, kind, shape, layout):
    """Pooled maps and all gradients against float64 layers, in the layouts of the inputs; equal input gives equal bits."""
    padding, tolerance = shape[4], TOLERANCES[kind]
    x, *parameters = inputs_of(shape, device)
    inputs = [tensor.requires_grad_() for tensor in (x.contiguous(memory_format=layout), *parameters)]
    exact = [tensor.detach().double().requires_grad_() for tensor in inputs]
    expected = plain(*exact, padding)
    given = draw(*expected.shape, seed=9).to(device, PRODUCTS[kind]).contiguous(memory_format=layout)
    maps, (_, _, weight, bias) = F.conv2d(exact[0], exact[1], padding=padding).detach(), inputs
    given *= certain(maps, weight.detach(), bias.detach(), ROUNDING[kind])
    expected = (expected, *torch.autograd.grad(expected, exact, given.double()))
    pooled = fused(inputs, padding, kind)
    found = torch.autograd.grad(pooled, inputs, given)
    for mine, theirs in zip((pooled, *found), expected, strict=True):
        close(mine, theirs, tolerance)
    assert pooled.dtype == given.dtype
    assert [one.stride() for one in found] == [one.stride() for one in inputs]
    with torch.no_grad():
        assert torch.equal(without_gradients(*inputs, 1e-5, padding, kind), pooled)


def check_each_gradient_alone(device, kind, shape):
    """What is asked for alone has the bits that it has with the others."""
    inputs = [tensor.requires_grad_() for tensor in inputs_of(shape, device)]
    pooled = fused(inputs, shape[4], kind)
    together = torch.autograd.grad(pooled, inputs, torch.ones_like(pooled), retain_graph=True)
    for wanted, expected in zip(inputs, together, strict=True):
        others = [tensor if tensor is wanted else tensor.detach() for tensor in inputs]
        pooled = fused(others, shape[4], kind)
        assert torch.equal(torch.autograd.grad(pooled, wanted, torch.ones_like(pooled))[0], expected)


def check_nan_and_constant_images_of_few_digits(device, kind):
    """In bf16 and tf32, as below: NaN stays in its image, and images without variance, or with little, are as by the layers."""
    x, filters, weight, bias = inputs_of((4, 3, 8, 8, 1, 5), device)
    x[0, 0, 1, 1], x[1], x[2] = float("nan"), 0.0, 1.5
    x[3] = 2 + x[3] / 64
    pooled = fused((x, filters, weight, bias), 1, kind)
    assert pooled[0].isnan().all()
    exact = plain(*(tensor.double() for tensor in (x, filters, weight, bias)), 1)
    close(pooled[1:], exact[1:], TOLERANCES[kind])


def check_moments_of_maps(device, kind):
    """Mean and 1/sd against float64, of the numbers that are multiplied; of images that are nearly even too."""
    from bacon.networks.kernels import first_moments_triton, first_tiles, first_triton

    x, filters, *_ = inputs_of((5, 3, 32, 32, 1, 16), device)
    x[1], x[2], x[3] = 2 + x[1] / 50, 2.0, 0.0
    prepared, shape = first_triton.prepare(x, filters, 1, kind), first_tiles.shape_of(x, filters, 1)
    if kind == "tf32":  # rounded, not cut: to ten binary places, by half of the last at the most
        pixels = prepared.images[:, 1:-1, 1:-1, :3].permute(0, 3, 1, 2)
        for mine, exact in ((pixels, x), (prepared.filters[0, 0], filters[:, 0, 0, 0])):
            assert not (mine.contiguous().view(torch.int32) & 0x1FFF).any()
            assert ((mine - exact).abs() <= exact.abs() * 2**-11).all()
    patches = first_moments_triton.moments_of_patches(prepared, shape, kind, rounded=True)
    moments = first_moments_triton.moments_of_maps(patches, prepared, shape, 1e-5)
    images = prepared.images.double()[:, 1:-1, 1:-1, :3].permute(0, 3, 1, 2)
    taps = prepared.filters.double()[0].reshape(4, 4, 4, 16)[:3, :3, :3].permute(3, 2, 0, 1)
    maps = F.conv2d(images, taps, padding=1)
    rstd = (maps.var(dim=(2, 3), correction=0) + 1e-5).rsqrt()
    torch.testing.assert_close(moments.mean * rstd, maps.mean(dim=(2, 3)) * rstd, rtol=0, atol=1e-4, check_dtype=False)
    torch.testing.assert_close(moments.rstd, rstd, rtol=1e-3, atol=0, check_dtype=False)
    corners = maps.reshape(5, 16, 16, 2, 16, 2).sum(dim=(2, 4)).flatten(2).transpose(1, 2)
    torch.testing.assert_close(moments.sums, corners, rtol=1e-4, atol=1e-2, check_dtype=False)


def check_nan_and_constant_images(device):
    """NaN stays NaN in its image, and an image without variance is finite; so are gradients."""
    x, filters, weight, bias = inputs_of((3, 1, 4, 4, 1, 2), device)
    x[0, 0, 1, 1], x[1] = float("nan"), 0.0
    pooled = fused((x, filters, weight, bias), 1, "fp32")
    assert pooled[0].isnan().all()

    def exact(shift):  # in float64: PyTorch's convolution of float32 may be in TF32 on a GPU
        return plain(*(tensor.double() for tensor in (x, filters, weight, shift)), 1)

    torch.testing.assert_close(pooled[1:].double(), exact(bias)[1:], rtol=0, atol=1e-5)
    x.requires_grad_()
    for shift in (bias, torch.zeros_like(bias)):  # of which the second gives the ReLU zeros, which do not pass
        (by_x,) = torch.autograd.grad(fused((x, filters, weight, shift), 1, "fp32").sum(), x)
        (expected,) = torch.autograd.grad(exact(shift).sum(), x)
        assert by_x[0].isnan().all()
        torch.testing.assert_close(by_x[1:], expected[1:], rtol=1e-3, atol=1e-3)


def check_second_derivatives_of_the_first_block(device, kind, shape):
    """Of a function of the gradients of images and filters."""
    padding, tolerance = shape[4], 10 * TOLERANCES[kind]
    inputs = [tensor.requires_grad_() for tensor in inputs_of(shape, device)]
    exact = [tensor.detach().double().requires_grad_() for tensor in inputs]

    def twice(function, tensors):
        first = torch.autograd.grad(function(*tensors).square().sum(), tensors[:2], create_graph=True)
        return torch.autograd.grad(sum(one.square().sum() for one in first), tensors)

    found = twice(lambda *tensors: fused(tensors, padding, kind).float(), inputs)
    for mine, theirs in zip(found, twice(lambda *tensors: plain(*tensors, padding), exact), strict=True):
        close(mine, theirs, tolerance)


def check_the_convolution_and_its_bias(device):
    """Through the modules; the convolution's bias has no effect, and its gradients of both orders are zero."""
    convolution = torch.nn.Conv2d(3, 5, 3, padding=1, device=device)
    norm, x = torch.nn.GroupNorm(5, 5, device=device), draw(2, 3, 4, 8, seed=1).to(device, torch.float32)
    for order in (1, 2):
        pooled = first_on_gpu(x, convolution, norm, "fp32")
        close(pooled, plain(x.double(), *(p.double() for p in (convolution.weight, norm.weight, norm.bias)), 1), 3e-4)
        wanted = (convolution.bias, convolution.weight)
        by_bias, by_weight = torch.autograd.grad(pooled.square().sum(), wanted, create_graph=order == 2)
        if order == 2:
            (by_bias,) = torch.autograd.grad(by_weight.square().sum() + by_bias.sum(), convolution.bias)
        assert torch.equal(by_bias, torch.zeros_like(by_bias))
        convolution.bias.data += 1
