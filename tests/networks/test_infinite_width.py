"""The kernels of infinitely wide networks: against a pair-by-pair recursion, a wide finite network, and their definition."""

import math

import pytest
import torch
from torch.func import functional_call, jacrev

from bacon.networks.infinite_width import dense_kernel, linear_kernel
from tests.methods.naive_kernels import naive_ntk


def rows(count, size, seed=0):
    return torch.randn(count, size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kind", ["ntk", "nngp"])
@pytest.mark.parametrize("depth", [1, 3])
def test_it_is_the_recursion_pair_by_pair(kind, depth):
    one, other = rows(4, 6), rows(3, 6, seed=1)
    found = dense_kernel(kind, depth=depth, bias_std=0.3)(one, other)
    torch.testing.assert_close(found, naive_ntk(one, other, depth, 0.3, nngp=kind == "nngp"), rtol=0, atol=1e-12)


@pytest.mark.parametrize("depth", [1, 4])
def test_it_is_symmetric_and_positive(depth):
    points = rows(30, 5)
    for kind in ("ntk", "nngp"):
        kernel = dense_kernel(kind, depth=depth, bias_std=0.1)(points, points)
        torch.testing.assert_close(kernel, kernel.T, rtol=0, atol=1e-12)
        assert torch.linalg.eigvalsh(kernel).min() > 0


class Wide(torch.nn.Module):
    """One hidden layer in NTK parameterisation: parameters N(0, 1), scaled where they are used."""

    def __init__(self, inputs, width, bias_std):
        super().__init__()
        draw = torch.Generator().manual_seed(5)
        shapes = {"w1": (width, inputs), "b1": (width,), "w2": (1, width), "b2": (1,)}
        for name, shape in shapes.items():
            value = torch.randn(shape, generator=draw, dtype=torch.float64)
            setattr(self, name, torch.nn.Parameter(value))
        self.bias_std = bias_std

    def forward(self, x):
        hidden = math.sqrt(2 / x.shape[1]) * x @ self.w1.T + self.bias_std * self.b1
        scale = math.sqrt(2 / len(self.b1))
        return (scale * hidden.relu() @ self.w2.T + self.bias_std * self.b2).squeeze(1)


def test_a_wide_network_has_about_this_tangent_kernel():
    points, bias_std = rows(5, 8), 0.4
    network = Wide(8, 20_000, bias_std)
    parameters = {name: value.detach() for name, value in network.named_parameters()}
    jacobian = jacrev(lambda theta: functional_call(network, theta, (points,)))(parameters)
    flat = torch.cat([part.flatten(1) for part in jacobian.values()], dim=1)
    exact = dense_kernel("ntk", depth=1, bias_std=bias_std)(points, points)
    torch.testing.assert_close(flat @ flat.T, exact, rtol=0, atol=0.05 * float(exact.max()))


@pytest.mark.parametrize("bias_std", [0.0, 0.1])
def test_equal_points_and_empty_ones_have_finite_gradients(bias_std):
    points = torch.cat([rows(2, 5), torch.zeros(1, 5, dtype=torch.float64)])
    points = torch.cat([points, points[:1]]).requires_grad_()
    kernel = dense_kernel("ntk", depth=2, bias_std=bias_std)(points, points)
    kernel.sum().backward()
    assert kernel.isfinite().all()
    assert points.grad.isfinite().all()


def test_the_gradient_is_that_of_finite_differences():
    points, other = rows(3, 4).requires_grad_(), rows(2, 4, seed=1)
    assert torch.autograd.gradcheck(lambda x: dense_kernel("ntk", depth=2, bias_std=0.1)(x, other), (points,))


def test_a_row_with_itself_moves_by_its_length_alone():
    """With one hidden layer Theta(x, x) = 2 (2 ||x||^2 / P + b^2) + b^2."""
    point, bias = rows(1, 4).requires_grad_(), 0.2
    kernel = dense_kernel("ntk", depth=1, bias_std=bias)(point, point)
    kernel.sum().backward()
    sigma = 2 * point.detach().square().mean() + bias**2
    torch.testing.assert_close(kernel.detach().squeeze(), 2 * sigma + bias**2, rtol=1e-5, atol=0)
    torch.testing.assert_close(point.grad, 2 * (4 * point.detach() / 4), rtol=1e-5, atol=1e-6)


def test_the_linear_kernel_is_the_inner_product():
    one, other = rows(2, 3), rows(4, 3, seed=2)
    torch.testing.assert_close(linear_kernel(one, other), torch.einsum("ip,jp->ij", one, other))
