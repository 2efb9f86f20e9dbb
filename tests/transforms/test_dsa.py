"""DSA against scalar references written from docs/algorithms.md, and that its draws are Siamese, even and independent."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from bacon.runtime.draws import uniform
from bacon.runtime.errors import BaconError
from bacon.transforms.dsa import (
    SiameseDraw,
    augment_batch,
    augment_batches,
    siamese_augment,
    siamese_draw,
)

OPERATIONS = ("color", "crop", "cutout", "flip", "scale", "rotate")
STRATEGY = "_".join(OPERATIONS)
LARGEST = 1 - 2.0**-24  # the largest number drawn


def draw_of(operation: str, *numbers: list[float]) -> SiameseDraw:
    """A draw of one operation for every class, with the given numbers (three per class) as multiples of 2^-24."""
    parameters = np.floor(np.array(numbers) * 2**24) / 2**24
    return SiameseDraw(operations=np.array([operation] * len(numbers), dtype=object), parameters=parameters)


def images_of(classes: int, count: int, channels: int, side: int, dtype=torch.float64) -> torch.Tensor:
    return torch.randn(classes, count, channels, side, side, dtype=dtype, generator=torch.Generator().manual_seed(5))


# One image (C, H, W) at a time, pixel by pixel


def naive_color(image: np.ndarray, u: np.ndarray) -> np.ndarray:
    image = image + (u[0] - 0.5)
    grey = image.mean(axis=0, keepdims=True)
    image = (image - grey) * (2 * u[1]) + grey
    return (image - image.mean()) * (u[2] + 0.5) + image.mean()


def naive_crop(image: np.ndarray, u: np.ndarray) -> np.ndarray:
    side = image.shape[1]
    reach = math.floor(0.125 * side + 0.5)
    down, right = (math.floor(number * (2 * reach + 1)) - reach for number in u[:2])
    out = np.zeros_like(image)
    for y in range(side):
        for x in range(side):
            if 0 <= y + down < side and 0 <= x + right < side:
                out[:, y, x] = image[:, y + down, x + right]
    return out


def naive_cutout(image: np.ndarray, u: np.ndarray) -> np.ndarray:
    side = image.shape[1]
    size = math.floor(0.5 * side + 0.5)
    positions = side + 1 if size % 2 == 0 else side
    centre_y, centre_x = (math.floor(number * positions) for number in u[:2])
    out = image.copy()
    for y in range(centre_y - size // 2, centre_y - size // 2 + size):
        for x in range(centre_x - size // 2, centre_x - size // 2 + size):
            if 0 <= y < side and 0 <= x < side:
                out[:, y, x] = 0
    return out


def naive_flip(image: np.ndarray, u: np.ndarray) -> np.ndarray:
    return image[:, :, ::-1].copy() if u[0] < 0.5 else image


def naive_affine(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Each output pixel looks up ``matrix @ (x, y)``, coordinates from the centre, bilinearly, zeros outside."""
    side = image.shape[1]
    out = np.zeros_like(image)
    for y in range(side):
        for x in range(side):
            centred = np.array([x + 0.5 - side / 2, y + 0.5 - side / 2])
            source_x, source_y = matrix @ centred + side / 2 - 0.5
            left, top = math.floor(source_x), math.floor(source_y)
            for row, column in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
                if 0 <= row < side and 0 <= column < side:
                    weight = (1 - abs(source_y - row)) * (1 - abs(source_x - column))
                    out[:, y, x] += weight * image[:, row, column]
    return out


def naive_scale(image: np.ndarray, u: np.ndarray) -> np.ndarray:
    return naive_affine(image, np.diag([1 / 1.2 + number * (1.2 - 1 / 1.2) for number in u[:2]]))


def naive_rotate(image: np.ndarray, u: np.ndarray) -> np.ndarray:
    angle = math.pi / 180 * (30 * u[0] - 15)
    return naive_affine(image, np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]))


NAIVE = {
    "color": naive_color,
    "crop": naive_crop,
    "cutout": naive_cutout,
    "flip": naive_flip,
    "scale": naive_scale,
    "rotate": naive_rotate,
    "none": lambda image, _: image,
}


def naive_siamese(draw: SiameseDraw, images: torch.Tensor) -> torch.Tensor:
    return torch.stack(
        [
            torch.stack([torch.from_numpy(NAIVE[name](image.numpy(), numbers)) for image in of_class])
            for name, numbers, of_class in zip(draw.operations, draw.parameters, images, strict=True)
        ]
    )


CORNERS = [[0.0, 0.0, 0.0], [LARGEST] * 3, [0.0, LARGEST, 0.5], [LARGEST, 0.0, LARGEST]]
INSIDE = [[0.3, 0.6, 0.9], [0.499, 0.501, 0.25], [0.71, 0.13, 0.02]]


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(("channels", "side"), [(3, 8), (1, 16), (2, 9), (1, 5)])
def test_every_operation_follows_its_scalar_reference(operation, channels, side):
    draw = draw_of(operation, *CORNERS, *INSIDE)
    images = images_of(7, 2, channels, side)
    torch.testing.assert_close(siamese_augment(draw, images), naive_siamese(draw, images), rtol=0, atol=1e-12)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_float32_follows_float64(operation):
    draw = draw_of(operation, *CORNERS, *INSIDE)
    images = images_of(7, 2, 3, 16, torch.float32)
    single, double = siamese_augment(draw, images), siamese_augment(draw, images.double())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), double, rtol=0, atol=2e-5)


@pytest.mark.parametrize("iteration", range(4))
def test_a_mixed_draw_follows_the_reference(iteration):
    draw = siamese_draw(STRATEGY, 0, iteration, 12)
    images = images_of(12, 3, 2, 10)
    assert len(set(draw.operations)) > 2
    torch.testing.assert_close(siamese_augment(draw, images), naive_siamese(draw, images), rtol=0, atol=1e-12)


# Ranges, with the numbers of docs/algorithms.md written out


def extremes(operation: str, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    low, high = (siamese_augment(draw_of(operation, [number] * 3), images[None])[0] for number in (0.0, LARGEST))
    return low, high


def test_color_ranges():
    flat = torch.full((1, 3, 4, 4), 2.0, dtype=torch.float64)
    low, high = extremes("color", flat)  # brightness alone changes a constant image
    torch.testing.assert_close(low, flat - 0.5, rtol=0, atol=1e-6)
    torch.testing.assert_close(high, flat + 0.5, rtol=0, atol=1e-6)
    grey = torch.linspace(-1, 1, 16, dtype=torch.float64).view(1, 1, 4, 4)  # saturation does nothing to grey images
    low, high = extremes("color", grey)
    assert float(low.std() / grey.std()) == pytest.approx(0.5, abs=1e-6)
    assert float(high.std() / grey.std()) == pytest.approx(1.5, abs=1e-6)
    colored = torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    low, high = extremes("color", colored)
    assert float(low.std()) == pytest.approx(0, abs=1e-12)  # no saturation: grey
    assert float(high.std() / colored.std()) == pytest.approx(2 * 1.5, abs=1e-5)


def test_crop_moves_up_to_an_eighth():
    image = torch.zeros(1, 1, 32, 32, dtype=torch.float64)
    image[0, 0, 16, 16] = 1
    low, high = extremes("crop", image)
    assert torch.nonzero(low[0, 0]).tolist() == [[20, 20]]
    assert torch.nonzero(high[0, 0]).tolist() == [[12, 12]]


def test_crop_shifts_are_even():
    draws = siamese_draw("crop", 0, 0, 9000)
    image = torch.zeros(1, 1, 8, 8)
    image[0, 0, 4, 4] = 1
    moved = siamese_augment(draws, image.expand(9000, 1, 1, 8, 8))
    observed = moved.sum(dim=0)[0, 0, 3:6, 3:6].flatten()
    assert float(observed.sum()) == 9000
    assert float(((observed - 1000) ** 2 / 1000).sum()) < 8 + 5 * math.sqrt(16)


def test_cutout_zeroes_a_square_of_half_the_side_that_the_border_may_clip():
    draws = siamese_draw("cutout", 0, 0, 3000)
    zeroed = 1 - siamese_augment(draws, torch.ones(3000, 1, 1, 8, 8))[:, 0, 0]
    heights, widths = zeroed.amax(dim=2).sum(dim=1), zeroed.amax(dim=1).sum(dim=1)
    assert torch.equal(zeroed.sum(dim=(1, 2)), heights * widths)
    assert set(heights.tolist()) == {2, 3, 4}
    # Centres 2..6 of the nine positions leave the square whole.
    assert abs(float((heights == 4).double().mean()) - 5 / 9) < 5 * math.sqrt(5 / 9 * 4 / 9 / 3000)


def test_flip_mirrors_half_of_the_classes():
    draws = siamese_draw("flip", 0, 0, 4000)
    image = torch.arange(4.0).view(1, 1, 1, 4).expand(1, 1, 4, 4)
    flipped = siamese_augment(draws, image.expand(4000, 1, 1, 4, 4))[:, 0, 0, 0, 0] == 3
    assert abs(float(flipped.double().mean()) - 0.5) < 5 * math.sqrt(0.25 / 4000)


def test_rotation_reaches_fifteen_degrees_and_scale_a_fifth():
    side = 65
    y, x = torch.meshgrid(*[torch.arange(side, dtype=torch.float64) - side // 2] * 2, indexing="ij")
    low, high = extremes("rotate", y[None, None].clone())
    centre = side // 2
    assert float(low[0, 0, centre, centre + 8]) == pytest.approx(-8 * math.sin(math.radians(15)), abs=1e-6)
    assert float(high[0, 0, centre, centre + 8]) == pytest.approx(8 * math.sin(math.radians(15)), abs=1e-5)
    low, high = extremes("scale", (x + 100 * y)[None, None].clone())
    assert float(low[0, 0, centre + 6, centre + 6]) == pytest.approx(606 / 1.2, abs=1e-6)
    assert float(high[0, 0, centre + 6, centre + 6]) == pytest.approx(606 * 1.2, abs=1e-3)
    skew = siamese_augment(draw_of("scale", [0.0, LARGEST, 0.0]), (x + 100 * y)[None, None, None].clone())
    assert float(skew[0, 0, 0, centre + 6, centre + 6]) == pytest.approx(6 / 1.2 + 600 * 1.2, abs=1e-3)


# Siamese draws


@pytest.mark.parametrize("iteration", range(3))
def test_real_and_synthetic_images_get_the_same_augmentation(iteration):
    draw = siamese_draw(STRATEGY, 1, iteration, 8)
    synthetic = images_of(8, 1, 3, 12)
    real = images_of(8, 5, 3, 12)
    real[:, 3:4] = synthetic
    torch.testing.assert_close(
        siamese_augment(draw, real)[:, 3:4], siamese_augment(draw, synthetic), rtol=0, atol=1e-13
    )


def test_one_draw_serves_every_image_of_a_class():
    draw = siamese_draw(STRATEGY, 1, 0, 20)
    repeated = images_of(20, 1, 3, 12).expand(20, 4, 3, 12, 12)
    augmented = siamese_augment(draw, repeated)
    assert torch.equal(augmented, augmented[:, :1].expand_as(augmented))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_batched_classes_equal_one_class_at_a_time(dtype):
    draw = siamese_draw(STRATEGY, 2, 7, 30)
    images = images_of(30, 3, 3, 9, dtype)
    alone = [siamese_augment(draw.select(slice(k, k + 1)), images[k : k + 1]) for k in range(30)]
    assert torch.equal(siamese_augment(draw, images), torch.cat(alone))
    chunk = siamese_augment(draw.select(slice(5, 17)), images[5:17])
    assert torch.equal(chunk, torch.cat(alone)[5:17])


def test_a_class_draw_does_not_depend_on_the_classes_beside_it():
    every = siamese_draw(STRATEGY, 3, 11, 10)
    some = siamese_draw(STRATEGY, 3, 11, [7, 2])
    for position, k in enumerate([7, 2]):
        assert some.operations[position] == every.operations[k]
        assert np.array_equal(some.parameters[position], every.parameters[k])


def test_draws_differ_by_seed_and_iteration_and_repeat():
    first = siamese_draw(STRATEGY, 0, 0, 10)
    again = siamese_draw(STRATEGY, 0, 0, 10)
    assert np.array_equal(first.parameters, again.parameters)
    assert list(first.operations) == list(again.operations)
    for other in (siamese_draw(STRATEGY, 1, 0, 10), siamese_draw(STRATEGY, 0, 1, 10)):
        assert not np.array_equal(first.parameters, other.parameters)


@pytest.mark.parametrize("strategy", [STRATEGY, "color_crop_cutout_scale_rotate", "flip"])
def test_operations_are_drawn_evenly_from_the_strategy(strategy):
    names = strategy.split("_")
    draw = siamese_draw(strategy, 0, 0, 6000)
    observed = {name: int((draw.operations == name).sum()) for name in OPERATIONS}
    assert sum(observed[name] for name in names) == 6000
    expected = 6000 / len(names)
    for name in names:
        assert abs(observed[name] - expected) <= 5 * math.sqrt(expected)


def test_operation_and_parameters_are_independent():
    draw = siamese_draw(STRATEGY, 0, 0, 6000)
    for name in OPERATIONS:
        mean = draw.parameters[draw.operations == name].mean(axis=0)
        assert np.abs(mean - 0.5).max() < 5 / math.sqrt(12 * 800)


# Gradients


@pytest.mark.parametrize("operation", OPERATIONS)
def test_gradients(operation):
    draw = draw_of(operation, *CORNERS[2:], *INSIDE)
    images = images_of(5, 2, 2, 6).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: siamese_augment(draw, x), images)


def test_gradients_of_a_mixed_draw():
    draw = siamese_draw(STRATEGY, 0, 0, 9)
    images = images_of(9, 1, 1, 5).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: siamese_augment(draw, x), images)


# Evaluation batches


@pytest.mark.parametrize("operation", OPERATIONS)
def test_evaluation_draws_parameters_per_image(operation):
    image = images_of(1, 1, 3, 16)[0]
    augmented = augment_batch(operation, image.expand(40, 3, 16, 16), (0, 1), "evaluation", 4)
    numbers = uniform((0, 1), "evaluation-parameters", count=120, lanes=4).reshape(40, 3)
    expected = torch.stack([torch.from_numpy(NAIVE[operation](image[0].numpy(), row)) for row in numbers])
    torch.testing.assert_close(augmented, expected, rtol=0, atol=1e-12)
    different = len(torch.unique(augmented.flatten(1), dim=0))
    assert different == 2 if operation == "flip" else different > 10


def test_evaluation_draws_one_operation_per_batch():
    image = images_of(1, 1, 1, 16)[0]
    seen = set()
    for iteration in range(60):
        augmented = augment_batch(STRATEGY, image.expand(6, 1, 16, 16), 0, "evaluation", iteration)
        numbers = uniform(0, "evaluation-parameters", count=18, lanes=iteration).reshape(6, 3)
        matching = {
            name
            for name in OPERATIONS
            if np.allclose([NAIVE[name](image[0].numpy(), row) for row in numbers], augmented.numpy(), atol=1e-9)
        }
        assert len(matching) == 1
        seen |= matching
    assert seen == set(OPERATIONS)


@pytest.mark.parametrize("sizes", [[4, 4, 4], [4, 4, 1], [7], [5, 2] * 6])
def test_batches_augmented_together_equal_one_at_a_time(sizes):
    images = images_of(1, sum(sizes), 3, 8, torch.float32)[0]
    together = augment_batches(STRATEGY, images, sizes, (2, 3), "evaluation", first_iteration=10)
    alone = [
        augment_batch(STRATEGY, batch, (2, 3), "evaluation", 10 + number)
        for number, batch in enumerate(images.split(sizes))
    ]
    assert torch.equal(together, torch.cat(alone))


def test_evaluation_draws_are_keyed():
    images = images_of(1, 8, 1, 8)[0]
    first = augment_batch("scale", images, 0, "evaluation", 0)
    assert torch.equal(first, augment_batch("scale", images, 0, "evaluation", 0))
    for seed, purpose, iteration in ((1, "evaluation", 0), (0, "other", 0), (0, "evaluation", 1)):
        assert not torch.equal(first, augment_batch("scale", images, seed, purpose, iteration))


# No augmentation, and what is refused


def test_strategy_none_changes_nothing():
    images = images_of(3, 2, 1, 8)
    assert siamese_augment(siamese_draw("none", 0, 0, 3), images) is images
    assert torch.equal(augment_batch("none", images[0], 0, "evaluation", 0), images[0])


def test_unknown_operation():
    with pytest.raises(BaconError, match=r"unknown operation 'colour'; allowed are color, crop, cutout"):
        siamese_draw("colour_crop", 0, 0, 2)
    with pytest.raises(BaconError, match="unknown operation 'blur'"):
        augment_batch("blur", torch.zeros(2, 1, 8, 8), 0, "evaluation", 0)


def test_draw_and_images_must_have_the_same_classes():
    with pytest.raises(ValueError, match="draw of 3 classes for images of 2 classes"):
        siamese_augment(siamese_draw(STRATEGY, 0, 0, 3), torch.zeros(2, 1, 1, 8, 8))
