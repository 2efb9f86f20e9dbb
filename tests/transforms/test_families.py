"""IDC's, DC's and FRePo's lists, crop and flip, and random resized crops against code for one image at a time."""

from __future__ import annotations

import math
from importlib import import_module

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pydantic import TypeAdapter
from torchvision.transforms.v2 import functional as vision

from bacon.runtime.errors import BaconError
from bacon.settings.augmentations import AUGMENTATION_MODULES, AugmentationSettings, Dc, Frepo, Idc
from bacon.settings.recipe import TrainingRecipe, modules_of
from bacon.training.batches import Batches, ImageSet
from bacon.transforms import dc, frepo, idc, operations, resized_crop
from bacon.transforms.augmentation import Stream

ADAPTER = TypeAdapter(AugmentationSettings)
SIZES = [(1, 28), (3, 32), (3, 64)]
FAMILIES = [family for family in AUGMENTATION_MODULES if family != "dsa"]
OWN = ["idc", "dc", "frepo", "crop_flip", "random_resized_crop"]


def settings(family, **keys):
    return ADAPTER.validate_python({"family": family, **keys})


def pictures(count, channels, side, dtype=torch.float64):
    return torch.randn(count, channels, side, side, dtype=dtype, generator=torch.Generator().manual_seed(3))


def stream(first=0, seed=(1, 2)):
    return Stream(seed=seed, purpose="test", first_iteration=first)


def augment(chosen, images, sizes, where):
    module = import_module(AUGMENTATION_MODULES[chosen.family])
    return module.augmentation(chosen)(images, sizes, where)


def affine(image, theta, fill=0.0, *, edge=False):
    """Bilinear sampling of one image (C, H, W) at ``theta`` (2, 3), ``fill`` or the border outside, pixel by pixel."""
    height, width = image.shape[-2:]
    made = torch.zeros_like(image)
    for row in range(height):
        for column in range(width):
            x, y = (2 * column + 1) / width - 1, (2 * row + 1) / height - 1
            u = ((theta[0][0] * x + theta[0][1] * y + theta[0][2] + 1) * width - 1) / 2
            v = ((theta[1][0] * x + theta[1][1] * y + theta[1][2] + 1) * height - 1) / 2
            if edge:
                u, v = min(max(u, 0), width - 1), min(max(v, 0), height - 1)
            left, top = math.floor(u), math.floor(v)
            for r in (top, top + 1):
                for c in (left, left + 1):
                    weight = (1 - abs(u - c)) * (1 - abs(v - r))
                    inside = 0 <= r < height and 0 <= c < width
                    made[:, row, column] += weight * (image[:, r, c] if inside else torch.as_tensor(fill).to(image))
    return made


# All families


@pytest.mark.parametrize("family", OWN)
@pytest.mark.parametrize(("channels", "side"), SIZES)
def test_batches_made_together_equal_those_made_alone(family, channels, side):
    images, sizes = pictures(11, channels, side, torch.float32), [4, 4, 3]
    chosen = settings(family)
    together = augment(chosen, images, sizes, stream(5))
    alone = [
        augment(chosen, batch, [len(batch)], stream(5 + number)) for number, batch in enumerate(images.split(sizes))
    ]
    torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=1e-6)
    assert together.shape == images.shape
    assert together.isfinite().all()


@pytest.mark.parametrize("family", OWN)
def test_draws_are_of_seed_and_step(family):
    images = pictures(8, 3, 32, torch.float32)
    torch.manual_seed(0)
    state = torch.get_rng_state()
    made = {
        (seed, first): augment(settings(family), images, [8], stream(first, seed))
        for seed in (1, 2)
        for first in range(4)
    }
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(made[1, 3], augment(settings(family), images, [8], stream(3, 1)))
    assert len({tensor.numpy().tobytes() for tensor in made.values()}) >= 7


@pytest.mark.parametrize("family", OWN)
def test_a_recipe_names_the_module_that_it_loads(family):
    recipe = TrainingRecipe(epochs=1, augmentation={"family": family}, mixing={"kind": "mixup"})
    assert modules_of(recipe) == (AUGMENTATION_MODULES[family], "bacon.transforms.mixing")
    assert modules_of(TrainingRecipe(epochs=1)) == ()


@pytest.mark.parametrize("family", [*FAMILIES, "dsa"])
@pytest.mark.parametrize(("channels", "side"), SIZES)
def test_the_loop_makes_batches_of_every_family(family, channels, side):
    ones = torch.ones(channels, 1, 1)
    data = ImageSet(
        images=pictures(6, channels, side, torch.float32), labels=torch.arange(6) % 2, mean=0.5 * ones, std=0.2 * ones
    )
    recipe = TrainingRecipe(epochs=2, batch_size=4, augmentation={"family": family})
    batches = list(Batches(data, recipe, 0, classes=2).from_epoch())
    assert [batch.images.shape for batch in batches] == [(4, channels, side, side), (2, channels, side, side)] * 2
    assert all(batch.images.isfinite().all() for batch in batches)


# IDC


def naive_idc(image, strategy, geometric, numbers):
    """One image by METHODS' order: flip, colour, one geometric operation, cutout."""
    names = strategy.split("_")
    side = image.shape[-1]
    if "flip" in names and numbers[0] < 0.5:
        image = image.flip(-1)
    if "color" in names:
        image = image + (numbers[1] - 0.5)
        mean = image.mean(dim=0, keepdim=True)
        image = (image - mean) * (2 * numbers[2]) + mean
        image = (image - image.mean()) * (numbers[3] + 0.5) + image.mean()
    if geometric == "crop":
        reach = math.floor(side / 8 + 0.5)
        padded = F.pad(image, (reach,) * 4)
        top, left = (math.floor(number * (2 * reach + 1)) for number in numbers[4:6])
        image = padded[:, top : top + side, left : left + side]
    if geometric == "scale":
        x, y = (number * (1.2 - 1 / 1.2) + 1 / 1.2 for number in numbers[4:6])
        image = affine(image, [[x, 0, 0], [0, y, 0]])
    if geometric == "rotate":
        angle = math.radians((2 * numbers[4] - 1) * 15)
        image = affine(image, [[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0]])
    if "cutout" in names:
        size = side // 2
        top, left = (math.floor(number * (side + 1 - size % 2)) - size // 2 for number in numbers[6:8])
        image = image.clone()
        image[:, max(top, 0) : max(top + size, 0), max(left, 0) : max(left + size, 0)] = 0
    return image


@pytest.mark.parametrize("geometric", ["crop", "scale", "rotate", "none"])
@pytest.mark.parametrize("strategy", ["flip_color_crop_scale_rotate_cutout", "color_crop_cutout"])
@pytest.mark.parametrize(("channels", "side"), [(1, 8), (3, 12)])
def test_idc_follows_the_published_order(geometric, strategy, channels, side):
    images = pictures(6, channels, side)
    numbers = torch.rand(6, idc.PARAMETERS, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    numbers = (numbers * 2**24).floor() / 2**24
    chosen = np.array([geometric] * 6, dtype=object)
    found = idc.idc_augment(strategy, chosen, numbers, images[:, None])[:, 0]
    expected = [naive_idc(image, strategy, geometric, row) for image, row in zip(images, numbers.tolist(), strict=True)]
    torch.testing.assert_close(found, torch.stack(expected), rtol=1e-10, atol=1e-10)


def test_idc_draws_one_listed_geometric_operation_for_each_batch(monkeypatch):
    seen = []
    monkeypatch.setattr(idc, "idc_augment", lambda *given: seen.append(given[1]) or given[3])
    idc.augmentation(Idc(strategy="flip_crop_rotate"))(pictures(160, 1, 8), [4] * 40, stream())
    chosen = seen[0].reshape(40, 4)
    assert (chosen == chosen[:, :1]).all()
    assert set(chosen[:, 0]) == {"crop", "rotate"}
    assert idc.geometric_operations("flip_color_cutout") == ("none",)


# DC


def naive_dc(image, operation, numbers, batch):
    means = batch.mean(dim=(0, 2, 3))
    side = image.shape[-1]
    if operation == "crop":
        padded = means[:, None, None].expand(-1, side + 8, side + 8).clone()
        padded[:, 4 : 4 + side, 4 : 4 + side] = image
        top, left = (math.floor(number * 8) for number in numbers)
        return padded[:, top : top + side, left : left + side]
    if operation == "scale":
        height, width = (int((0.8 + 0.4 * number) * side) for number in numbers)
        rows, columns = ([i * side // size for i in range(size)] for size in (height, width))
        scaled = image[:, rows][:, :, columns]
        largest = max(height, width, side)
        canvas = image.new_zeros(len(image), largest, largest)
        top, left = (largest - height) // 2, (largest - width) // 2
        canvas[:, top : top + height, left : left + width] = scaled
        start = (largest - side) // 2
        return canvas[:, start : start + side, start : start + side]
    angle = math.radians(math.floor(numbers[0] * 90) - 45)
    theta = [[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0]]
    return affine(image, theta, fill=means.mean())


@pytest.mark.parametrize("operation", ["crop", "scale", "rotate"])
@pytest.mark.parametrize(("channels", "side"), [(1, 12), (3, 16)])
def test_dc_operations(operation, channels, side):
    images, sizes = pictures(10, channels, side), [6, 4]
    found = dc.augmentation(Dc(strategy=operation))(images, sizes, stream())
    numbers = stream().per_image("dc-parameters", sizes, 2, images).tolist()
    batches = images.split(sizes)
    expected = [
        naive_dc(image, operation, row, batches[number >= 6])
        for number, (image, row) in enumerate(zip(images, numbers, strict=True))
    ]
    torch.testing.assert_close(found, torch.stack(expected), rtol=1e-10, atol=1e-10)


def test_dc_adds_noise_of_a_thousandth():
    images = pictures(64, 3, 16)
    noise = dc.augmentation(Dc(strategy="noise"))(images, [40, 24], stream()) - images
    assert noise.std().item() == pytest.approx(0.001, rel=0.02)
    assert noise.mean().abs().item() < 1e-4
    mixed = dc.augmentation(Dc(strategy="crop_noise"))(images, [64], stream())
    small = (mixed - images).abs().amax(dim=(1, 2, 3)) < 0.02
    assert 15 < int(small.sum()) < 50, "each image draws its own operation"


# FRePo


def naive_frepo(image, operation, numbers):
    if operation == "flip":
        return image.flip(-1) if numbers[0] < 0.5 else image
    if operation == "color":
        image = image + (2 * numbers[0] - 1) * 0.25
        image = (image - image.mean()) * math.exp((2 * numbers[1] - 1) * 0.25) + image.mean()
        mean = image.mean(dim=0, keepdim=True)
        return (image - mean) * math.exp((2 * numbers[2] - 1) * 0.25) + mean
    side = image.shape[-1]
    if operation == "zoom":
        size = 1.25 ** (1 - 2 * numbers[0])  # log-uniform
        x, y = (abs(1 - size) * (2 * number - 1) for number in numbers[1:])
        return affine(image, [[size, 0, x], [0, size, y]], edge=True)
    if operation == "cutout":
        size = side // 4
        top, left = (math.floor(number * (side - size + 1)) for number in numbers[:2])
        image = image.clone()
        image[:, top : top + size, left : left + size] = 0
        return image
    if operation == "rotate":
        angle = math.radians((2 * numbers[0] - 1) * 15)
        turned = [[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0]]
        return affine(image, turned, edge=True)
    y, x = ((2 * number - 1) / 4 for number in numbers[:2])  # an eighth of the side, which is 2 long
    return affine(image, [[1, 0, x], [0, 1, y]], edge=True)


@pytest.mark.parametrize("operation", ["zoom", "rotate", "translate"])
def test_frepo_repeats_the_border_of_an_image(operation):
    """Of a uniform image no operation makes another one."""
    images = torch.full((64, 1, 8, 8), 3.0, dtype=torch.float64)
    torch.testing.assert_close(frepo.augmentation(Frepo(strategy=operation))(images, [64], stream()), images)


@pytest.mark.parametrize("operation", ["flip", "color", "zoom", "rotate", "translate", "cutout"])
def test_frepo_operations(operation):
    images = pictures(7, 3, 16)
    found = frepo.augmentation(Frepo(strategy=operation))(images, [7], stream())
    numbers = stream().per_image("frepo-parameters", [7], 3, images).tolist()
    expected = [naive_frepo(image, operation, row) for image, row in zip(images, numbers, strict=True)]
    torch.testing.assert_close(found, torch.stack(expected), rtol=1e-10, atol=1e-10)


# Crops


@pytest.mark.parametrize("fill", ["zero", "reflect"])
@pytest.mark.parametrize("flip", [True, False])
@pytest.mark.parametrize(("channels", "side"), SIZES)
def test_crop_flip(fill, flip, channels, side):
    images = pictures(9, channels, side)
    found = augment(settings("crop_flip", fill=fill, flip=flip, pad=3), images, [9], stream())
    expected = []
    for image, (u, v, w) in zip(images, stream().per_image("crop-flip", [9], 3, images).tolist(), strict=True):
        padded = F.pad(image[None], (3,) * 4, mode="reflect" if fill == "reflect" else "constant")[0]
        top, left = math.floor(u * 7), math.floor(v * 7)
        cropped = padded[:, top : top + side, left : left + side]
        expected.append(cropped.flip(-1) if flip and w < 0.5 else cropped)
    assert torch.equal(found, torch.stack(expected))


def test_what_is_added_to_normalised_images_is_black():
    """As published code, which crops pixels and normalises them then; whitened images have no black."""
    mean, std = (
        torch.tensor(values, dtype=torch.float32).view(3, 1, 1) for values in ((0.1, 0.5, 0.9), (0.2, 0.3, 0.4))
    )
    pixels, pad = torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(1)) + 0.1, 3
    known = Stream(seed=1, purpose="test", first_iteration=0, mean=mean, std=std)
    found = augment(settings("crop_flip", pad=pad), (pixels - mean) / std, [6], known) * std + mean
    expected = augment(settings("crop_flip", pad=pad), pixels, [6], stream(0, 1))
    assert (expected == 0).any(), "some crops reach over the border"
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_a_reflection_wider_than_the_image_is_an_error():
    with pytest.raises(BaconError, match="8 pixels cannot be reflected from images of 8x8"):
        augment(settings("crop_flip", fill="reflect", pad=8), pictures(2, 1, 8), [2], stream())


def naive_box(scale, ratio, numbers, height, width):
    """torchvision's RandomResizedCrop.get_params with our numbers."""
    for u, v in zip(numbers[:10], numbers[10:20], strict=True):
        area = height * width * (scale[0] + (scale[1] - scale[0]) * u)
        aspect = math.exp(math.log(ratio[0]) + (math.log(ratio[1]) - math.log(ratio[0])) * v)
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            return math.floor(numbers[20] * (height - h + 1)), math.floor(numbers[21] * (width - w + 1)), h, w
    if width / height < ratio[0]:
        h, w = round(width / ratio[0]), width
    elif width / height > ratio[1]:
        h, w = height, round(height * ratio[1])
    else:
        h, w = height, width
    return (height - h) // 2, (width - w) // 2, h, w


@pytest.mark.parametrize(
    ("scale", "ratio", "height", "width"),
    [
        ((0.08, 1.0), (3 / 4, 4 / 3), 32, 32),
        ((1.0, 1.0), (3 / 4, 4 / 3), 28, 28),  # RDED with factor 1: mostly the fallback
        ((0.5, 1.0), (1.0, 1.0), 64, 64),
        ((0.9, 1.0), (2.0, 3.0), 32, 32),  # no try fits: the central crop
        ((0.9, 1.0), (0.2, 0.3), 24, 32),
    ],
)
def test_resized_crops_are_torchvisions(scale, ratio, height, width):
    numbers = torch.rand(60, 23, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    box = resized_crop.crop_box(scale, ratio, numbers, height, width)
    assert box.tolist() == [list(naive_box(scale, ratio, row, height, width)) for row in numbers.tolist()]
    images = torch.randn(60, 2, height, width, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    expected = [
        vision.resized_crop(image, *corner, [height, width], antialias=False)
        for image, corner in zip(images, box.tolist(), strict=True)
    ]
    torch.testing.assert_close(resized_crop.resized(images, box), torch.stack(expected), rtol=1e-8, atol=1e-8)


def test_crops_resized_to_another_size_are_torchvisions():
    images = torch.randn(4, 2, 12, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    box = torch.tensor([[0, 0, 12, 16], [2, 3, 5, 5], [1, 4, 9, 11], [11, 15, 1, 1]])
    expected = [
        vision.resized_crop(image, *corner, [6, 8], antialias=False)
        for image, corner in zip(images, box.tolist(), strict=True)
    ]
    # PyTorch rounds the positions to float32 here.
    torch.testing.assert_close(resized_crop.resized(images, box, (6, 8)), torch.stack(expected), rtol=0, atol=1e-6)


def test_resized_crops_mirror_half_of_the_images():
    images = pictures(40, 3, 32)
    plain = augment(settings("random_resized_crop", flip=False), images, [40], stream())
    mirrored = augment(settings("random_resized_crop"), images, [40], stream())
    kinds = [
        "same" if torch.equal(one, two) else "mirrored" if torch.equal(one.flip(-1), two) else "other"
        for one, two in zip(plain, mirrored, strict=True)
    ]
    assert set(kinds) == {"same", "mirrored"}
    assert 8 < kinds.count("mirrored") < 32


def test_tiles_are_shuffled_and_kept_whole():
    images = pictures(5, 3, 8)
    order = torch.stack([torch.randperm(4, generator=torch.Generator().manual_seed(i)) for i in range(5)])
    found = resized_crop.shuffle_patches(images, order)
    for image, made, places in zip(images, found, order.tolist(), strict=True):
        tiles = [image[:, 4 * (q // 2) : 4 * (q // 2) + 4, 4 * (q % 2) : 4 * (q % 2) + 4] for q in range(4)]
        for place, source in enumerate(places):
            row, column = divmod(place, 2)
            assert torch.equal(made[:, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4], tiles[source])
    with pytest.raises(BaconError, match="cannot be cut into 3x3 equal tiles"):
        resized_crop.shuffle_patches(images, torch.arange(9).expand(5, 9))


def test_rows_and_columns_of_tiles_are_shuffled_as_wholes():
    chosen = settings("random_resized_crop", patches=2, scale=(1.0, 1.0), ratio=(1.0, 1.0), flip=False)
    image = torch.arange(4.0, dtype=torch.float64).view(1, 1, 2, 2).repeat_interleave(4, 2).repeat_interleave(4, 3)
    found = augment(chosen, image.expand(200, 1, 8, 8), [200], stream())
    seen = {tuple(made[0, ::4, ::4].flatten().round().int().tolist()) for made in found}
    assert seen == {(0, 1, 2, 3), (1, 0, 3, 2), (2, 3, 0, 1), (3, 2, 1, 0)}


def test_affine_sampling_of_groups_is_the_naive_one():
    images = pictures(2, 2, 6)
    theta = torch.tensor([[0.9, 0.1, 0.2], [-0.3, 1.1, 0.0]], dtype=torch.float64)
    found = operations.affine(images[:, None], theta.expand(2, 2, 3))[:, 0]
    for image, made in zip(images, found, strict=True):
        torch.testing.assert_close(made, affine(image, theta.tolist()), rtol=1e-10, atol=1e-12)


def test_idcs_siamese_form_augments_a_class_alike_and_classes_apart():
    image = torch.rand(2, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    images = image.expand(3, 4, 2, 8, 8)
    augment = idc.siamese("color_crop_cutout", 5, "test", 2, [7, 1, 3])
    found = augment(images)
    for own in found:
        torch.testing.assert_close(own, own[:1].expand_as(own))
    assert not torch.equal(found[0], found[1])
    torch.testing.assert_close(idc.siamese("color_crop_cutout", 5, "test", 2, [3])(images[:1])[0], found[2])
    assert torch.equal(augment(images[:, :2]), found[:, :2]), "the number of images changes no draw"
