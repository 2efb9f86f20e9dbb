"""The training split read by itself, in class order, against sorting what the whole file holds."""

import dataclasses
import tracemalloc

import h5py
import numpy as np
import pytest

from bacon.datasets import training_images as training
from bacon.datasets.store import read_dataset, write_dataset
from bacon.datasets.training_images import read_training
from bacon.runtime.errors import BaconError
from tests.datasets.conftest import flip_bit
from tests.datasets.test_store import dataset


@pytest.fixture
def path(tmp_path):
    write_dataset(tmp_path / "it.h5", dataset())
    return tmp_path / "it.h5"


@pytest.mark.parametrize("rows", [1, 7, 300, 1024])
def test_images_come_in_class_order_and_those_of_a_class_in_theirs(path, monkeypatch, rows):
    monkeypatch.setattr(training, "_ROWS", rows)
    whole, found = read_dataset(path), read_training(path, expected_fingerprint="f")
    assert np.any(np.diff(whole.train_labels) < 0)
    order = np.argsort(whole.train_labels, kind="stable")
    np.testing.assert_array_equal(found.train_images, whole.train_images[order])
    np.testing.assert_array_equal(found.train_labels, whole.train_labels[order])
    assert (len(found.test_images), len(found.test_labels), found.validation_images) == (0, 0, None)
    same = ("name", "class_names", "mean", "std", "fingerprint")
    assert [getattr(found, name) for name in same] == [getattr(whole, name) for name in same]


def test_images_in_class_order_are_read_as_they_are(tmp_path, path):
    whole = read_dataset(path)
    write_dataset(tmp_path / "sorted.h5", dataclasses.replace(whole, train_labels=np.sort(whole.train_labels)))
    found = read_training(tmp_path / "sorted.h5")
    np.testing.assert_array_equal(found.train_images, whole.train_images)
    np.testing.assert_array_equal(found.train_labels, np.sort(whole.train_labels))


def test_images_are_in_memory_once(tmp_path):
    small, count = dataset(), 40_000
    images = np.zeros((count, 3, 16, 16), dtype=np.uint8)
    labels = np.arange(count, dtype=np.int64) % len(small.class_names)
    write_dataset(tmp_path / "it.h5", dataclasses.replace(small, train_images=images, train_labels=labels))
    tracemalloc.start()
    try:
        found = read_training(tmp_path / "it.h5")
        assert images.nbytes < tracemalloc.get_traced_memory()[1] < 1.2 * images.nbytes
    finally:
        tracemalloc.stop()
    assert np.all(np.diff(found.train_labels) >= 0)


@pytest.mark.parametrize("name", ["train/images", "train/labels"])
def test_damage_is_found(path, name):
    flip_bit(path, name)
    with pytest.raises(BaconError, match="truncated or damaged"):
        read_training(path)


@pytest.mark.parametrize("images", [np.zeros((9, 3, 16, 16), np.uint8), np.zeros((300, 3, 16, 16), np.float32)])
def test_images_of_another_number_or_type_are_errors(path, images):
    with h5py.File(path, "r+") as file:
        del file["train/images"]
        file["train/images"] = images
    with pytest.raises(BaconError, match=r"truncated or damaged \(train/images is .* with 300 labels"):
        read_training(path)


def test_another_fingerprint_is_refused(path):
    with pytest.raises(BaconError, match="made for fingerprint f, but g is needed"):
        read_training(path, expected_fingerprint="g")
