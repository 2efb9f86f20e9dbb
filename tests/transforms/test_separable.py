"""Gradients that are summed in a fixed order against PyTorch's own: rows and columns chosen apart, and the partition."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from bacon.settings.augmentations import CropFlip, RandomResizedCrop
from bacon.transforms import crop_flip, resized_crop, separable
from bacon.transforms.augmentation import Stream
from bacon.transforms.partition import Enlarge, decode
from bacon.transforms.resized_crop import crop_box
from tests.transforms import sampled

GPU = torch.device("cuda")
on_a_gpu = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
TOLERANCES = [(torch.float64, 1e-12), (torch.float32, 1e-5)]


def pictures(*shape, dtype=torch.float64):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(3))


def same_derivatives(ours, theirs, images, tolerance):
    """Values equal, gradients to the tolerance, and the second derivative of a function that is not linear."""
    found = []
    for work in (ours, theirs):
        x = images.clone().requires_grad_()
        made = work(x)
        (gradient,) = torch.autograd.grad((made**3).sum(), x, create_graph=True)
        (second,) = torch.autograd.grad((gradient * x.detach().cos()).sum(), x)
        found.append((made.detach(), gradient.detach(), second))
    assert torch.equal(found[0][0], found[1][0])
    torch.testing.assert_close(found[0][1:], found[1][1:], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), TOLERANCES)
def test_pixels(dtype, tolerance):
    generator = torch.Generator().manual_seed(0)
    rows, columns = (torch.randint(side, (4, count), generator=generator) for side, count in ((6, 9), (7, 5)))
    images = pictures(4, 3, 6, 7, dtype=dtype)
    assert torch.equal(separable.pixels(images, rows, columns)[2, 1, 3, 4], images[2, 1, rows[2, 3], columns[2, 4]])
    same_derivatives(
        lambda x: separable.Pixels.apply(x, rows, columns),
        lambda x: separable.pixels(x, rows, columns),
        images,
        tolerance,
    )


@pytest.mark.parametrize(("dtype", "tolerance"), TOLERANCES)
def test_resized_crops(monkeypatch, dtype, tolerance):
    images = pictures(5, 2, 8, 9, dtype=dtype)
    numbers = torch.rand(5, 22, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    box = crop_box((0.1, 0.9), (0.7, 1.4), numbers, 8, 9)
    plain = resized_crop.resized(images, box)
    monkeypatch.setattr(F, "grid_sample", sampled.grid_sample)  # PyTorch 2.11 has no second derivatives of its own
    same_derivatives(
        lambda x: _with(monkeypatch, lambda: resized_crop.resized(x, box)),
        lambda x: resized_crop.resized(x, box),
        images,
        tolerance,
    )
    assert not torch.equal(plain, images)


def _with(monkeypatch, work):
    """``work`` with the form that a GPU takes."""
    with monkeypatch.context() as patch:
        patch.setattr(resized_crop, "bilinear", separable.Bilinear.apply)
        return work()


@pytest.mark.parametrize("shape", [(3, 2, 4, 4), (2, 1, 1, 3), (1, 2, 5, 2)])
@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize(("dtype", "tolerance"), TOLERANCES)
def test_enlarging_the_parts(shape, factor, dtype, tolerance):
    height, width = (factor * side for side in shape[2:])
    same_derivatives(
        lambda x: Enlarge.apply(x, factor),
        lambda x: F.interpolate(x, size=(height, width), mode="bilinear", align_corners=False),
        pictures(*shape, dtype=dtype),
        tolerance,
    )


class TestOnAGpu:
    pytestmark = on_a_gpu

    @pytest.mark.parametrize("transform", ["partition", "reflected", "cropped", "resized", "patches"])
    def test_gradients_are_deterministic(self, transform):
        stream = Stream(seed=1, purpose="test", first_iteration=0)
        work = {
            "partition": lambda x: decode(x, 2),
            "reflected": lambda x: crop_flip.augmentation(CropFlip(fill="reflect"))(x, [16], stream),
            "cropped": lambda x: crop_flip.augmentation(CropFlip())(x, [16], stream),
            "resized": lambda x: resized_crop.augmentation(RandomResizedCrop())(x, [16], stream),
            "patches": lambda x: resized_crop.augmentation(RandomResizedCrop(patches=2))(x, [16], stream),
        }[transform]
        found = []
        torch.use_deterministic_algorithms(True)
        try:
            for device in (GPU, GPU, torch.device("cpu")):
                images = pictures(16, 3, 16, 16, dtype=torch.float32).to(device).requires_grad_()
                (gradient,) = torch.autograd.grad(work(images).pow(3).sum(), images)
                found.append(gradient.cpu())
        finally:
            torch.use_deterministic_algorithms(False)
        assert torch.equal(found[0], found[1])
        torch.testing.assert_close(found[0], found[2], rtol=1e-3, atol=1e-3)
