"""``F.grid_sample`` with derivatives of any order by the images, of which PyTorch 2.11 has the first alone."""

import torch
import torch.nn.functional as F

_grid_sample = F.grid_sample


class _Sampled(torch.autograd.Function):
    """PyTorch's values and gradient. Sampling is linear in the images, so that the gradient's gradient is sampling again."""

    @staticmethod
    def forward(ctx, images, grid, options):
        ctx.save_for_backward(grid)
        ctx.shape, ctx.options = images.shape, options
        return _grid_sample(images, grid, **options)

    @staticmethod
    def backward(ctx, gradient):
        return _Transposed.apply(gradient, *ctx.saved_tensors, ctx.shape, ctx.options), None, None


class _Transposed(torch.autograd.Function):
    """What the images receive from a gradient of what was sampled."""

    @staticmethod
    def forward(ctx, gradient, grid, shape, options):
        ctx.save_for_backward(grid)
        ctx.options = options
        with torch.enable_grad():
            images = gradient.new_zeros(shape).requires_grad_()
            return torch.autograd.grad(_grid_sample(images, grid, **options), images, gradient)[0]

    @staticmethod
    def backward(ctx, gradient):
        return _Sampled.apply(gradient, *ctx.saved_tensors, ctx.options), None, None, None


def grid_sample(images, grid, **options):
    """As ``F.grid_sample``, for a grid that takes no gradient."""
    return _Sampled.apply(images, grid, options)
