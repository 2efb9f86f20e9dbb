"""DC-BENCH's augmentations: what they are made of, keyed draws, and the space of the images."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bacon.datasets.whitening import Whitening
from bacon.runtime.devices import set_up_arithmetic
from bacon.runtime.errors import BaconError
from bacon.training.batches import Batches, ImageSet
from bacon.transforms.policies import augment_policy
from tests.toy_images import CPU, MEAN, STD, settings, toy

NAMES = ("auto", "rand", "imagenet", "cifar")


def colour(count=6, side=32):
    """Pixels (count, 3, side, side) float in [0, 1], on 256 levels, none of them black; mean and std (3, 1, 1)."""
    pixels = torch.randint(40, 256, (count, 3, side, side), generator=torch.Generator().manual_seed(0)) / 255
    mean, std = (torch.tensor(values)[:, None, None] for values in ((0.5, 0.4, 0.3), (0.2, 0.25, 0.3)))
    return pixels, mean, std


def augmented(name, iteration, *, pixels, mean, std, mirror=True, seed=0):
    normalised = (pixels - mean) / std
    made = augment_policy(name, normalised, mean=mean, std=std, mirror=mirror, seed=seed, iteration=iteration)
    return made * std + mean


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("channels", "side"), [(1, 16), (1, 28), (3, 32), (3, 64)])
def test_every_size_gives_finite_images_of_the_same_shape(name, channels, side):
    pixels = torch.rand(5, channels, side, side, generator=torch.Generator().manual_seed(1))
    ones = torch.ones(channels, 1, 1)
    seen = torch.stack([augmented(name, i, pixels=pixels, mean=0.3 * ones, std=0.2 * ones) for i in range(12)])
    assert seen.shape == (12, 5, channels, side, side)
    assert seen.isfinite().all()
    if name != "cifar":  # its cutout leaves the mean behind
        assert seen.min() >= -1e-6
    assert seen.max() <= 1 + 1e-6
    assert len(torch.unique(seen.flatten(1), dim=0)) > 3


@pytest.mark.parametrize("name", NAMES)
def test_draws_are_keyed_and_leave_the_global_generator_alone(name):
    pixels, mean, std = colour()
    arguments = {"pixels": pixels, "mean": mean, "std": std}
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first = [augmented(name, i, **arguments) for i in range(8)]
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(4)
    assert all(torch.equal(a, augmented(name, i, **arguments)) for i, a in enumerate(first))
    other = [augmented(name, i, seed=(0, 1), **arguments) for i in range(8)]
    assert any(not torch.equal(a, b) for a, b in zip(first, other, strict=True))


def test_cifar_shifts_by_at_most_four_pixels_mirrors_and_cuts_a_square_out():
    pixels, mean, std = colour(count=2)
    padded = torch.nn.functional.pad(pixels, (4, 4, 4, 4))
    flips, shifts, holes = set(), set(), set()
    for iteration in range(60):
        made = augmented("cifar", iteration, pixels=pixels, mean=mean, std=std)
        cut = ((made - mean).abs() < 1e-6).all(dim=1)  # (2, 32, 32): exactly the mean in every channel
        assert torch.equal(cut[0], cut[1])
        rows, columns = (cut[0].any(dim=axis).sum().item() for axis in (1, 0))
        assert cut[0].sum() == rows * columns
        assert 8 <= rows <= 16
        assert 8 <= columns <= 16
        holes.add((rows, columns))
        found = [
            (flip, y, x)
            for flip in (False, True)
            for y in range(9)
            for x in range(9)
            if torch.allclose(
                (padded[..., y : y + 32, x : x + 32].flip(-1) if flip else padded[..., y : y + 32, x : x + 32]).permute(
                    0, 2, 3, 1
                )[~cut],
                made.permute(0, 2, 3, 1)[~cut],
                atol=1e-5,
            )
        ]
        assert len(found) == 1
        flips.add(found[0][0])
        shifts.add(found[0][1:])
    assert flips == {False, True}
    assert len(shifts) > 30
    assert (16, 16) in holes


@pytest.mark.parametrize(("side", "most"), [(16, 2), (28, 3), (32, 4), (64, 4)])
def test_small_images_are_shifted_by_less(side, most):
    """One bright pixel on a gradient-free image tells how far the crop went."""
    pixels = torch.full((1, 1, side, side), 0.2)
    pixels[..., side // 2, side // 2] = 1.0
    ones = torch.ones(1, 1, 1)
    shifts = set()
    for iteration in range(120):
        made = augmented("cifar", iteration, pixels=pixels, mean=0.3 * ones, std=0.2 * ones, mirror=False)
        if made.max() > 0.9:  # else the cutout hides it
            row, column = divmod(int(made.argmax()), side)
            shifts |= {abs(row - side // 2), abs(column - side // 2)}
    assert shifts == set(range(most + 1))


@pytest.mark.parametrize("name", ["imagenet", "cifar"])
def test_a_data_set_that_must_not_be_mirrored_is_not(name):
    """The left half is bright; a mirrored image has it on the right."""
    pixels = torch.full((4, 3, 32, 32), 0.2)
    pixels[..., :16] = 0.9
    _, mean, std = colour()

    def mirrored(mirror):
        made = [augmented(name, i, pixels=pixels, mean=mean, std=std, mirror=mirror) for i in range(40)]
        return sum(int(image[..., 4:10].mean() < image[..., 22:28].mean()) for image in made)

    assert mirrored(False) == 0
    assert 5 < mirrored(True) < 35


def batches(data, chosen):
    return Batches(data, chosen.recipe(images=len(data), classes=2), (1, 2), classes=2).from_epoch()


def test_a_batch_is_augmented_by_its_number_whatever_its_neighbours():
    """Batches made together are those made alone: as DSA's, they depend on the seed and on the step."""
    images, labels = toy(20)
    data = ImageSet.of_uint8(images, labels, mean=MEAN, std=STD, device=CPU)
    chosen = settings(epochs=4, batch_size=8, augmentations=("auto",))
    plain = settings(epochs=4, batch_size=8, augmentations=("none",))
    for step, (batch, untouched) in enumerate(zip(batches(data, chosen), batches(data, plain), strict=True)):
        assert torch.equal(batch.labels, untouched.labels)
        expected = augment_policy(
            "auto", untouched.images, mean=data.mean, std=data.std, mirror=True, seed=(1, 2), iteration=step
        )
        assert torch.equal(batch.images, expected)


def test_whitened_images_are_no_pixels():
    images, labels = toy(4)
    whitening = Whitening(mean=np.zeros(64, np.float32), matrix=np.eye(64, dtype=np.float32), epsilon=0.1)
    data = ImageSet.of_uint8(images, labels, mean=MEAN, std=STD, device=CPU, whitening=whitening)
    with pytest.raises(BaconError, match=r"'rand' works on pixel values.*preprocessing\.zca"):
        next(batches(data, settings(augmentations=("rand",))))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", NAMES)
def test_a_gpu_that_sums_in_a_fixed_order_has_all_operations_of_a_policy(name):
    """As a job by default; torchvision equalizes by ``torch.histc``, which then is an error by itself."""
    set_up_arithmetic(torch.get_num_threads())
    try:
        pixels, mean, std = (tensor.cuda() for tensor in colour(count=3, side=16))
        made = [[augmented(name, i, pixels=pixels, mean=mean, std=std) for i in range(60)] for _ in range(2)]
        assert torch.get_deterministic_debug_mode() == 2, "an error again"
        with pytest.raises(RuntimeError, match="deterministic"):
            torch.histc(pixels, bins=4)
    finally:
        torch.set_deterministic_debug_mode("default")
    assert all(torch.equal(one, two) for one, two in zip(*made, strict=True))
