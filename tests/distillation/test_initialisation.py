"""The first synthetic images, and what is said when a class has too few real ones."""

import pytest
import torch

from bacon.distillation import initialisation
from bacon.distillation.initialisation import noise_images, real_images
from bacon.runtime.errors import BaconError
from bacon.transforms.partition import encode


@pytest.mark.parametrize("partition", [1, 2])
def test_images_are_different_real_ones_of_their_class(real64, partition):
    ipc = 2
    images = real_images(real64, ipc=ipc, partition=partition, seed=0)
    channels, height, width = real64.shape
    assert images.shape == (real64.classes * ipc, channels, height, width)
    chosen = real64.sample_classes(0, "initial-images", iteration=0, classes=range(3), size=ipc * partition**2)
    assert all(len(set(row.tolist())) == ipc * partition**2 for row in chosen)
    for label, row in enumerate(chosen):
        assert (real64.labels[row] == label).all()
        whole = encode(real64.batch(row)[None], partition)[0]
        assert torch.equal(images[label * ipc : (label + 1) * ipc], whole)


@pytest.mark.parametrize("partition", [1, 2])
def test_images_are_made_in_parts_that_change_no_bit(real32, monkeypatch, partition):
    whole, batch, seen = real_images(real32, ipc=2, partition=partition, seed=0), real32.batch, []
    monkeypatch.setattr(initialisation, "_IMAGES_AT_ONCE", 2 * 2 * partition**2)
    monkeypatch.setattr(real32, "batch", lambda indices: seen.append(indices.numel()) or batch(indices))
    assert torch.equal(real_images(real32, ipc=2, partition=partition, seed=0), whole)
    assert seen == [4 * partition**2, 2 * partition**2]


def test_a_whole_class_may_be_taken(real64):
    assert len(real_images(real64, ipc=11, partition=1, seed=0)) == 33


@pytest.mark.parametrize(
    ("ipc", "partition", "message"),
    [
        (12, 1, r"IPC 12 with partition 1 needs 12 .*'class 1' has 11: lower the IPC to at most 11; a method that"),
        (3, 2, r"needs 12 .*has 11: lower the IPC to at most 2, or lower the partition; a method that optimises"),
        (1, 4, r"needs 16 .*has 11: lower the partition; a method that optimises"),
    ],
)
def test_too_few_real_images_are_an_error_that_says_what_would_do(real64, ipc, partition, message):
    with pytest.raises(BaconError, match=message):
        real_images(real64, ipc=ipc, partition=partition, seed=0)


def test_noise_needs_no_real_images(real64):
    noise = noise_images(real64, ipc=40, seed=0)
    assert noise.shape == (120, *real64.shape)
    assert abs(float(noise.mean())) < 0.05
    assert abs(float(noise.std()) - 1) < 0.05
