"""Checks of the Triton kernel, on a GPU or in its interpreter: python -m tests.networks.block_on_gpu, TRITON_INTERPRET=1."""

import pytest
import torch
import torch.nn.functional as F

from bacon.networks.kernels.block_gpu import FusedOnGpu, as_gpu_reads

SIZES = [(2, 2), (4, 4), (8, 8), (16, 16), (32, 32), (64, 64), (6, 10), (2, 8)]
TOLERANCES = {torch.float64: 1e-9, torch.float32: 3e-4, torch.bfloat16: 4e-2}
LAYOUTS = [torch.contiguous_format, torch.channels_last]
ROUNDING = 1e-5
"""Of what the ReLU is given, in float32, of its weight and bias: a sign within it is decided by rounding."""


def draw(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def plain(x, weight, bias):
    return F.avg_pool2d(F.relu(F.group_norm(x, x.shape[1], weight, bias, 1e-5)), 2)


def certain(maps, weight, bias, rounding):
    """(N, C, H / 2, W / 2) bool: squares in which rounding decides no sign, and with it no gradient, of the ReLU.

    Args:
        maps: (N, C, H, W), before the norm.
        weight: (C,).
        bias: (C,).
        rounding: of what the ReLU is given, as a share of weight and bias.
    """
    z = F.group_norm(maps.double(), maps.shape[1], weight.double(), bias.double(), 1e-5)
    least = rounding * (weight.double().abs() + bias.double().abs())[:, None, None]
    return F.avg_pool2d((z.abs() < least).double(), 2) == 0


def check_forward_and_backward(device, dtype, size, layout, *, images=3, channels=5):
    """Pooled maps and all gradients against PyTorch's layers in float64; every element is written.

    On a GPU the same input gives the same bits again; another layout of the gradient is summed in another order.
    """
    x = draw(images, channels, *size, seed=0).mul(3).add(1).to(device, dtype).contiguous(memory_format=layout)
    parameter = torch.float64 if dtype == torch.float64 else torch.float32
    weight, bias = (draw(channels, seed=seed).to(device, parameter) for seed in (1, 2))
    given = draw(images, channels, size[0] // 2, size[1] // 2, seed=3).to(device, dtype)
    given *= certain(x, weight, bias, ROUNDING)
    exact = [tensor.double().requires_grad_() for tensor in (x, weight, bias)]
    expected = [plain(*exact)]
    expected += torch.autograd.grad(expected[0], exact, given.double())
    ours = [tensor.clone().requires_grad_() for tensor in (x, weight, bias)]

    def computed(gradient):
        pooled = FusedOnGpu.apply(as_gpu_reads(ours[0]), *ours[1:], 1e-5)
        return [pooled, *torch.autograd.grad(pooled, ours, gradient)]

    for gradient in (given, given.contiguous(memory_format=torch.channels_last)):
        found = computed(gradient)
        for mine, theirs in zip(found, expected, strict=True):
            torch.testing.assert_close(mine.double(), theirs, rtol=TOLERANCES[dtype], atol=TOLERANCES[dtype])
        assert [tensor.dtype for tensor in found] == [dtype, dtype, parameter, parameter]
        if device.type == "cuda":
            assert all(torch.equal(mine, again) for mine, again in zip(found, computed(gradient), strict=True))


def check_nan_constant_maps_and_second_derivatives(device):
    """NaN stays NaN, a map without variance is finite, and the block can be differentiated twice."""
    x, weight, bias = draw(1, 2, 4, 4, seed=3).to(device), *(draw(2, seed=s).to(device) for s in (1, 2))
    x[0, 0] = 5.0
    torch.testing.assert_close(FusedOnGpu.apply(x, weight, bias, 1e-5), plain(x, weight, bias), rtol=0, atol=1e-9)
    x[0, 1, 0, 0] = float("nan")
    assert FusedOnGpu.apply(x, weight, bias, 1e-5)[0, 1].isnan().all()
    inputs = [t.requires_grad_() for t in (draw(2, 2, 4, 4, seed=5).to(device), weight, bias)]
    twice = []
    for function in (lambda *tensors: FusedOnGpu.apply(*tensors, 1e-5), plain):
        (first,) = torch.autograd.grad(function(*inputs).square().sum(), inputs[0], create_graph=True)
        twice.append(torch.autograd.grad(first.square().sum(), inputs))
    for mine, theirs in zip(*twice, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-8, atol=1e-8)


def poisoned(monkeypatch):
    """New tensors hold NaN, so an element that the kernel leaves out is seen."""

    def poison(make):
        return lambda *args, **kwargs: make(*args, **kwargs).fill_(float("nan"))

    monkeypatch.setattr(torch, "empty", poison(torch.empty))
    monkeypatch.setattr(torch, "empty_like", poison(torch.empty_like))


def main():
    """All checks on the CPU; the sizes are small, for the interpreter is slow."""
    with pytest.MonkeyPatch.context() as patch:
        poisoned(patch)
        for dtype in TOLERANCES:
            for size in SIZES:
                for layout in LAYOUTS:
                    check_forward_and_backward(torch.device("cpu"), dtype, size, layout)
        check_nan_constant_maps_and_second_derivatives(torch.device("cpu"))
    print("all checks passed")


if __name__ == "__main__":
    main()
