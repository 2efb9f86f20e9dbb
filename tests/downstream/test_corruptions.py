"""Corrupted images: the same each time whatever was drawn before, of every size and grey too, and kept for other jobs."""

from importlib import import_module

import numpy as np
import pytest

from bacon.downstream.chosen_images import chosen_images
from bacon.downstream.corruptions.record import CorruptionSettings
from bacon.runtime.errors import BaconError
from tests.downstream.packages import needs
from tests.downstream.toy_cells import context, selection

needs("imagecorruptions")
made = import_module("bacon.downstream.corruptions.corrupted_images")


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
    for damaged in (b"damaged", b""):
        path.write_bytes(damaged)
        assert np.array_equal(made.kept_corrupted(tmp_path, images, "fog", 2, of=of), first)


@pytest.mark.parametrize(
    "other",
    [{"of": ("another", None)}, {"of": ("data", 2)}, {"severity": 3}, {"corruption": "snow"}, {"_CODE": "another"}],
)
def test_images_of_another_kind_or_made_by_other_code_are_not_taken_for_those(tmp_path, monkeypatch, other):
    given = {"corruption": "fog", "severity": 2, "of": ("data", None)}
    monkeypatch.setattr(made, "corrupted", lambda pixels, *_: pixels)
    made.kept_corrupted(tmp_path, images, **given)
    monkeypatch.setattr(made, "corrupted", lambda pixels, *_: 255 - pixels)
    if "_CODE" in other:
        monkeypatch.setattr(made, "_CODE", other.pop("_CODE"))
    assert np.array_equal(made.kept_corrupted(tmp_path, images, **given | other), 255 - images())
    assert len(list(tmp_path.iterdir())) == 2


def test_accuracies_and_the_mean_corruption_error_by_hand(tmp_path, monkeypatch):
    """Corrupted images are black, which one class of the four is predicted for, or as they were at severity 1."""
    from bacon.downstream.corruptions import algorithm

    def black(_folder, pixels, corruption, severity, **_):
        return pixels() if (corruption, severity) == ("fog", 1) else np.zeros_like(pixels())

    monkeypatch.setattr(algorithm, "kept_corrupted", black)
    settings = CorruptionSettings(corruptions=("fog", "snow"), severities=(1, 5))
    found = algorithm.Corruptions(settings, context(tmp_path, synthetic=selection())).measure(0)
    values = {(one.metric, one.condition, one.at): one.value for one in found.measurements}
    clean = values["accuracy", "", None]
    assert clean > 0.8
    assert [values["corrupted_accuracy", *key] for key in (("fog", 1.0), ("fog", 5.0), ("snow", 1.0))] == [
        clean,
        0.25,
        0.25,
    ]
    assert values["corrupted_accuracy", "fog", None] == pytest.approx((clean + 0.25) / 2)
    assert values["mce", "", None] == pytest.approx(1 - (clean + 3 * 0.25) / 4)
    assert values["relative_mce", "", None] == pytest.approx(clean - (clean + 3 * 0.25) / 4)


def test_chosen_images_are_a_subset_that_grows():
    few, many = chosen_images(100, 10), chosen_images(100, 20)
    assert set(few) < set(many)
    assert list(few) == sorted(set(few))
    assert list(chosen_images(5, None)) == list(chosen_images(5, 9)) == list(range(5))
