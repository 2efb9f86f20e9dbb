"""The one pass over mixed operations against each operation by itself: values, first and second derivatives, shapes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from bacon.settings.augmentations import Dc, Frepo
from bacon.transforms import affine_pass, dc, dsa, frepo, idc
from bacon.transforms.augmentation import Stream
from bacon.transforms.sampling import affine_sample, pixel_map, reach_of_rotations
from tests.transforms import sampled
from tests.transforms.test_dsa import CORNERS, INSIDE, OPERATIONS, STRATEGY, draw_of

EXACT = ("color", "crop", "cutout", "flip")  # the same arithmetic; scale and rotate find their positions in another way
SHAPES = [(3, 8, 8), (1, 7, 7), (3, 6, 9)]
GPU = torch.device("cuda")
on_a_gpu = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]


def pictures(*shape, dtype=torch.float64):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(3))


@pytest.fixture
def twice_differentiable(monkeypatch):
    """Each operation by itself has second derivatives, also on a CPU with PyTorch 2.11."""
    monkeypatch.setattr(F, "grid_sample", sampled.grid_sample)


@pytest.fixture
def both(monkeypatch, twice_differentiable):  # noqa: ARG001
    """Computes something with each operation by itself, and in one pass."""

    def compute(work):
        found = []
        for preferred in (False, True):
            monkeypatch.setattr(affine_pass, "is_preferred", lambda _, answer=preferred: answer)
            found.append(work())
        return found

    return compute


def cubic(made):
    """A function of augmented images of which no derivative is constant."""
    weight = torch.linspace(-1, 1, made.numel(), dtype=made.dtype, device=made.device).view_as(made)
    return (weight * made**3).sum()


def derivatives(augment, images):
    """Value, gradient and a second derivative of a cubic function of augmented images."""
    images = images.clone().requires_grad_()
    made = augment(images)
    (gradient,) = torch.autograd.grad(cubic(made), images, create_graph=True)
    (second,) = torch.autograd.grad((gradient * torch.cos(images.detach())).sum(), images)
    return made.detach(), gradient.detach(), second


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation(both, operation, shape, dtype):
    draw, images = draw_of(operation, *CORNERS, *INSIDE), pictures(7, 2, *shape, dtype=dtype)
    each, one = both(lambda: derivatives(lambda x: dsa.siamese_augment(draw, x), images))
    if operation in EXACT:
        assert torch.equal(one[0], each[0])
    else:
        torch.testing.assert_close(one[0], each[0], rtol=0, atol=1e-12 if dtype == torch.float64 else 2e-5)
    tolerance = 1e-12 if dtype == torch.float64 else 2e-4
    torch.testing.assert_close(one[1:], each[1:], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_mixed_draw(both, shape):
    draw, images = dsa.siamese_draw(STRATEGY, 0, 3, 12), pictures(12, 2, *shape)
    assert len(set(draw.operations)) > 3
    each, one = both(lambda: derivatives(lambda x: dsa.siamese_augment(draw, x), images))
    torch.testing.assert_close(one, each, rtol=1e-12, atol=1e-12)


def test_batches_and_their_draws(both):
    images, sizes = pictures(10, 3, 8, 8), [4, 4, 2]

    def work():
        together = dsa.augment_batches(STRATEGY, images, sizes, (2, 3), "evaluation", first_iteration=10)
        draws = dsa.batch_draws(STRATEGY, sizes, Stream(seed=(2, 3), purpose="evaluation", first_iteration=10), images)
        apart = [draws.augment(number, batch) for number, batch in enumerate(images.split(sizes))]
        return together, torch.cat(apart)

    each, one = both(work)
    torch.testing.assert_close(one, each, rtol=0, atol=1e-12)
    assert torch.equal(one[0], one[1])


def test_no_augmentation_is_no_pass(both):
    images = pictures(3, 2, 1, 8, 8)
    assert all(
        found is images for found in both(lambda: dsa.siamese_augment(dsa.siamese_draw("none", 0, 0, 3), images))
    )


@pytest.mark.parametrize("strategy", [STRATEGY, "flip", "color_crop_cutout_scale_rotate"])
def test_a_draw_made_on_the_device_is_the_same(strategy):
    draw = dsa.siamese_draw(strategy, 5, 7, [3, 0, 8, 1, 2, 9])
    classes = torch.tensor([3, 0, 8, 1, 2, 9])
    expected = dsa.numbers_of_codes(
        torch.from_numpy(dsa.operation_codes(draw.operations)), torch.from_numpy(draw.parameters), 8, 12
    )
    assert torch.equal(dsa.siamese_numbers(strategy, 5, 7, classes, height=8, width=12), expected)


@pytest.mark.parametrize("strategy", ["flip_color_crop_scale_rotate_cutout", "color_crop_cutout", "flip"])
def test_a_draw_of_idcs_list_made_on_the_device_is_the_same(both, strategy):
    classes, images = [3, 0, 8, 1, 2, 9], pictures(6, 2, 3, 8, 12)
    numbers = idc.siamese_numbers(strategy, 5, "idc", 7, torch.tensor(classes), height=8, width=12)
    _, expected = both(lambda: idc.siamese(strategy, 5, "idc", 7, classes)(images))
    assert torch.equal(dsa.augment_by_numbers(images, numbers.to(images.dtype)), expected)


@pytest.mark.parametrize("strategy", ["flip_color_crop_scale_rotate_cutout", "color_crop_cutout", "flip_scale_rotate"])
@pytest.mark.parametrize("shape", SHAPES)
def test_idc(both, strategy, shape):
    names = idc.geometric_operations(strategy)
    images, geometric = pictures(9, 2, *shape), np.array([names[g % len(names)] for g in range(9)], dtype=object)
    numbers = (
        torch.rand(9, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(2)) * 2**24
    ).floor() / 2**24
    each, one = both(lambda: derivatives(lambda x: idc.idc_augment(strategy, geometric, numbers, x), images))
    torch.testing.assert_close(one, each, rtol=1e-11, atol=1e-11)


def test_idcs_siamese_form(both):
    images = pictures(4, 3, 2, 8, 8)

    def work():
        augment = idc.siamese("flip_color_crop_scale_rotate_cutout", 5, "test", 2, [7, 1, 3, 0])
        return augment(images), augment(images[:, :1])

    each, one = both(work)
    torch.testing.assert_close(one, each, rtol=0, atol=1e-12)


@pytest.mark.parametrize("strategy", ["flip_color_zoom_rotate_translate_cutout"])
@pytest.mark.parametrize("shape", SHAPES)
def test_frepo(both, strategy, shape):
    images, where = pictures(24, *shape), Stream(seed=1, purpose="test", first_iteration=0)
    augment = frepo.augmentation(Frepo(strategy=strategy))
    each, one = both(lambda: derivatives(lambda x: augment(x, [2] * 12, where), images))
    torch.testing.assert_close(one, each, rtol=1e-11, atol=1e-11)


def test_dc_selects_among_all_operations_to_the_bit(both):
    images, where = pictures(16, 3, 9, 9, dtype=torch.float32), Stream(seed=1, purpose="test", first_iteration=0)
    augment = dc.augmentation(Dc(strategy="crop_scale_rotate_noise"))
    each, one = both(lambda: augment(images, [16], where))
    assert torch.equal(one, each)


class Shapes(TorchDispatchMode):
    """Names of operations with the shapes that they are given."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.seen.append((str(function), [tuple(each.shape) for each in args if isinstance(each, torch.Tensor)]))
        return function(*args, **(kwargs or {}))


def test_shapes_depend_on_no_drawn_value(both):
    def seen(iteration):
        images = pictures(6, 2, 3, 8, 8).requires_grad_()
        with Shapes() as shapes:
            made = dsa.siamese_augment(dsa.siamese_draw(STRATEGY, 0, iteration, 6), images)
            torch.autograd.grad(made.sum(), images)
        return shapes.seen

    each, one = both(lambda: [seen(iteration) for iteration in range(4)])
    assert one[0] == one[1] == one[2] == one[3]
    assert each[0] != each[1], "what this would find"


def test_a_transform_of_torch_func_differentiates_it():
    draw, images = dsa.siamese_draw(STRATEGY, 0, 3, 6), pictures(6, 1, 3, 8, 8)
    numbers = dsa.siamese_numbers(STRATEGY, 0, 3, torch.arange(6), height=8, width=8)
    found = torch.func.grad(lambda x: dsa.augment_by_numbers(x, numbers).pow(3).sum())(images)
    images.requires_grad_()
    (expected,) = torch.autograd.grad(dsa.siamese_augment(draw, images).pow(3).sum(), images)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


# Sampling


def maps(height, width, dtype=torch.float64):
    """Turned by up to 45 degrees, stretched, sheared, mirrored, shifted far: whatever the reach holds."""
    generator = torch.Generator().manual_seed(height * 31 + width)
    angle = (torch.rand(24, generator=generator, dtype=dtype) * 2 - 1) * torch.pi / 4
    step = 0.95 + torch.rand(24, 2, generator=generator, dtype=dtype)
    step[::3, 0] *= -1
    shift = torch.rand(24, 2, generator=generator, dtype=dtype) - 0.5
    rows = (angle.cos() * step[:, 0], -angle.sin(), shift[:, 0]), (angle.sin(), angle.cos() * step[:, 1], shift[:, 1])
    return torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (9, 9), (5, 12)])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-4)])
def test_gathered_sampling_is_grid_sample_with_its_gradient(height, width, dtype, tolerance):
    theta, images = maps(height, width, dtype), pictures(24, 2, height, width, dtype=dtype).requires_grad_()
    inverse = torch.linalg.inv(pixel_map(theta, height, width)[:, :, :2])
    reach = int((inverse.abs().sum(dim=2).max() - 0.5).ceil())
    ours = affine_sample(images, pixel_map(theta, height, width), reach=reach)
    grid = F.affine_grid(theta, [24, 1, height, width], align_corners=False)
    theirs = F.grid_sample(images, grid, align_corners=False)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=tolerance)
    given = torch.randn_like(ours)
    (a,), (b,) = (torch.autograd.grad(made, images, given) for made in (ours, theirs))
    torch.testing.assert_close(a, b, rtol=0, atol=tolerance)


def test_a_reach_holds_the_rotations_that_it_is_worked_out_for():
    for degrees, height, width in [(15, 8, 8), (45, 8, 8), (45, 8, 12), (15, 8, 24)]:
        angle = torch.linspace(-degrees, degrees, 31, dtype=torch.float64).deg2rad()
        zero = torch.zeros_like(angle)
        theta = torch.stack([angle.cos(), -angle.sin(), zero, angle.sin(), angle.cos(), zero], dim=1).view(-1, 2, 3)
        inverse = torch.linalg.inv(pixel_map(theta, height, width)[:, :, :2])
        reach = reach_of_rotations(degrees, height, width)
        assert inverse.abs().sum(dim=2).max() <= reach + 0.5
    assert reach_of_rotations(15, 32, 32) == reach_of_rotations(45, 32, 32) == 1


@pytest.mark.parametrize("outside", ["zeros", "border"])
def test_the_grid_sample_of_these_tests_is_pytorchs(outside):
    """And its second derivatives are right, where PyTorch has none."""
    theta, images = maps(5, 7), pictures(24, 2, 5, 7).requires_grad_()
    grid = F.affine_grid(theta, [24, 1, 5, 7], align_corners=False)
    made = [
        each(images, grid, padding_mode=outside, align_corners=False) for each in (sampled.grid_sample, F.grid_sample)
    ]
    assert torch.equal(*made)
    gradients = [torch.autograd.grad(each.pow(3).sum(), images)[0] for each in made]
    assert torch.equal(*gradients)

    def squared(x):
        return sampled.grid_sample(x, grid[:2], padding_mode=outside, align_corners=False).pow(2)

    assert torch.autograd.gradgradcheck(squared, images[:2].detach().requires_grad_())


def test_second_derivatives_of_sampling():
    images = pictures(2, 1, 3, 4).requires_grad_()
    position = pixel_map(maps(3, 4)[:2], 3, 4)
    assert torch.autograd.gradcheck(lambda x: affine_sample(x, position, reach=2), images)
    assert torch.autograd.gradgradcheck(lambda x: affine_sample(x, position, reach=2).pow(2), images)


class TestOnAGpu:
    pytestmark = on_a_gpu

    @pytest.mark.usefixtures("twice_differentiable")
    @pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28), (3, 64, 64), (3, 6, 9)])
    def test_the_pass_is_what_the_cpu_computes_and_repeats(self, shape):
        """There each operation by itself."""
        draw, images = dsa.siamese_draw(STRATEGY, 0, 3, 12), pictures(12, 5, *shape, dtype=torch.float32)

        def augment(x):
            return dsa.siamese_augment(draw, x)

        expected = derivatives(augment, images)
        first, again = (derivatives(augment, images.to(GPU)) for _ in range(2))
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
        for found, wanted in zip(first, expected, strict=True):
            torch.testing.assert_close(found.cpu(), wanted, rtol=1e-3, atol=1e-3)
