"""Corrupted images: the same each time whatever was drawn before, of every size and grey too, and kept for other jobs."""

import numpy as np
import pytest

from bacon.downstream.chosen_images import chosen_images
from bacon.runtime.errors import BaconError

pytest.importorskip("imagecorruptions")
from bacon.downstream.corruptions import corrupted_images as made
from bacon.downstream.corruptions.record import CorruptionSettings


def images(channels=3, size=32, count=2):
    return np.random.default_rng(0).integers(0, 256, (count, channels, size, size), dtype=np.uint8)


@pytest.mark.parametrize("name", ["gaussian_noise", "impulse_noise", "glass_blur", "elastic_transform", "frost"])
def test_an_image_is_corrupted_alike_whatever_was_drawn_before(name):
    np.random.seed(1)
    first = made.corrupted(images(), name, 3)
    np.random.seed(2)
    state = np.random.get_state()[1].copy()
    assert np.array_equal(made.corrupted(images(), name, 3), first)
    assert np.array_equal(np.random.get_state()[1], state), "the global generator is as it was"
    assert (first != images()).any()


@pytest.mark.parametrize("name", CorruptionSettings().corruptions)
def test_every_corruption_takes_small_and_grey_images(name):
    found = made.corrupted(images(channels=1, size=8, count=1), name, 5)
    assert (found.shape, found.dtype) == ((1, 1, 8, 8), np.uint8)
    assert (found != images(channels=1, size=8, count=1)).any()


def test_contrast_by_hand():
    """Severity 1 keeps 0.4 of the distance from the mean of each channel of the whole image, cut to whole numbers."""
    image = images(count=1)
    pixels = image[0] / 255
    mean = pixels.mean(axis=(1, 2), keepdims=True)
    expected = np.uint8(np.clip((pixels - mean) * 0.4 + mean, 0, 1) * 255)
    assert np.array_equal(made.corrupted(image, "contrast", 1)[0], expected)


def test_two_channels_are_refused():
    with pytest.raises(BaconError, match="2 channels"):
        made.corrupted(images(channels=2), "fog", 1)


def test_corrupted_images_are_made_once(tmp_path, monkeypatch):
    of = ("data", None)
    first = made.kept_corrupted(tmp_path, images, "fog", 2, of=of)
    monkeypatch.setattr(made, "corrupted", lambda *_: pytest.fail("they are there already"))
    assert np.array_equal(made.kept_corrupted(tmp_path, images, "fog", 2, of=of), first)
    monkeypatch.undo()
    (path,) = tmp_path.iterdir()
    path.write_bytes(b"damaged")
    assert np.array_equal(made.kept_corrupted(tmp_path, images, "fog", 2, of=of), first)


def test_chosen_images_are_a_subset_that_grows():
    few, many = chosen_images(100, 10), chosen_images(100, 20)
    assert set(few) < set(many)
    assert list(few) == sorted(set(few))
    assert list(chosen_images(5, None)) == list(chosen_images(5, 9)) == list(range(5))
