"""``python -m tests.networks.classifier_on_gpu``: the classifier's kernels against float64, interpreted on a CPU."""

import torch
import torch.nn.functional as F

from bacon.networks.kernels.classifier_gpu import ClassifierOnGpu
from tests.triton_kernels import loops_take_arguments

SIZES = [((5, 32, 4, 4), 10), ((70, 24, 3, 5), 3), ((3, 8, 8, 8), 70)]
LAYOUTS = (torch.contiguous_format, torch.channels_last)


def inputs(device, dtype, shape, classes, layout):
    generator = torch.Generator().manual_seed(classes)
    features = shape[1] * shape[2] * shape[3]
    maps = torch.randn(shape, generator=generator).to(dtype).to(memory_format=layout)
    weight = torch.randn(classes, features, generator=generator) / features**0.5
    bias, gradient = torch.randn(classes, generator=generator), torch.randn(shape[0], classes, generator=generator)
    return [tensor.to(device) for tensor in (maps, weight, bias, gradient)]


def check(device, dtype, shape, classes, layout):
    """Logits and all gradients; a second run has the same bits, and each gradient alone is the same."""
    *given, gradient = inputs(device, dtype, shape, classes, layout)
    exact = [tensor.double().requires_grad_() for tensor in given]
    expected = F.linear(exact[0].flatten(1), *exact[1:])
    derivatives = torch.autograd.grad(expected, exact, gradient.double())
    runs = []
    for _ in range(2):
        leaves = [tensor.detach().requires_grad_() for tensor in given]
        logits = ClassifierOnGpu.apply(*leaves)
        found = torch.autograd.grad(logits, leaves, gradient)
        runs.append([logits, *found])
        torch.testing.assert_close(logits.double(), expected, rtol=1e-5, atol=1e-5)
        for mine, other, leaf in zip(found, derivatives, leaves, strict=True):
            assert (mine.dtype, mine.stride()) == (leaf.dtype, leaf.stride())
            tolerance = 1e-2 if mine.dtype == torch.bfloat16 else 1e-5
            torch.testing.assert_close(mine.double(), other, rtol=tolerance, atol=tolerance)
    assert all(torch.equal(one, other) for one, other in zip(*runs, strict=True))
    for place in range(3):
        leaves = [tensor.detach().requires_grad_(number == place) for number, tensor in enumerate(given)]
        (alone,) = torch.autograd.grad(ClassifierOnGpu.apply(*leaves), leaves[place], gradient)
        assert torch.equal(alone, runs[0][1 + place])


def check_second_derivatives(device):
    """Of the norm of the weights' gradient with respect to the maps."""
    given = inputs(device, torch.float32, *SIZES[0], LAYOUTS[1])[:3]

    def second(function, tensors):
        leaves = [tensor.detach().requires_grad_() for tensor in tensors]
        first = torch.autograd.grad(function(*leaves).square().sum(), leaves[:2], create_graph=True)
        return torch.autograd.grad(sum(each.square().sum() for each in first), leaves)

    expected = second(lambda maps, *rest: F.linear(maps.flatten(1), *rest), [tensor.double() for tensor in given])
    for mine, other in zip(second(ClassifierOnGpu.apply, given), expected, strict=True):
        torch.testing.assert_close(mine.double(), other, rtol=1e-4, atol=1e-4 * float(other.abs().max()))


if __name__ == "__main__":
    loops_take_arguments()
    for size in SIZES:
        for layout in LAYOUTS:
            for dtype in (torch.float32, torch.bfloat16):
                check(torch.device("cpu"), dtype, *size, layout)
    check_second_derivatives(torch.device("cpu"))
    print("all checks passed")
