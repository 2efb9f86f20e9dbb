"""Own data as arrays: `.npz` files and files in this project's own HDF5 layout."""

import numpy as np
import pytest

from bacon.datasets import layout
from bacon.datasets.deep_pixels import ValueRange
from bacon.datasets.prepare import build, prepare
from bacon.datasets.registry import REGISTRY
from bacon.datasets.store import read_dataset
from bacon.runtime.errors import BaconError
from bacon.settings.data import DataSettings

COUNT, SIDE = 12, 6


def arrays(*, channels=3, **changes):
    random = np.random.default_rng(0)
    shape = (SIDE, SIDE, channels) if channels else (SIDE, SIDE)
    made = {
        "x_train": random.integers(0, 256, (COUNT, *shape)).astype(np.uint8),
        "y_train": np.arange(COUNT) % 3,
        "x_test": random.integers(0, 256, (6, *shape)).astype(np.uint8),
        "y_test": np.arange(6) % 3,
    }
    return {key: value for key, value in (made | changes).items() if value is not None}


@pytest.fixture
def read(tmp_path):
    """Save arrays as an `.npz` and read it as own data."""

    def reader(stored, *, name="mine", **options):
        np.savez_compressed(tmp_path / "own.npz", **stored)
        settings = DataSettings(format="npz", path=str(tmp_path / "own.npz"), **options)
        return build(name, settings, download_dir=tmp_path)

    return reader


def test_colour_with_channels_last_and_first_and_grey_without(read):
    last = arrays()
    dataset = read(last)
    np.testing.assert_array_equal(dataset.train_images, last["x_train"].transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(dataset.test_labels, last["y_test"])
    assert dataset.class_names == ("0", "1", "2")
    first = arrays(**{key: last[key].transpose(0, 3, 1, 2) for key in ("x_train", "x_test")})
    np.testing.assert_array_equal(read(first).train_images, dataset.train_images)
    grey = arrays(channels=0)
    np.testing.assert_array_equal(read(grey).test_images, grey["x_test"][:, None])


@pytest.mark.parametrize("dtype", [np.int64, np.float32, np.uint16])
def test_whole_numbers_up_to_255_are_taken_as_they_are(read, dtype):
    stored = arrays()
    converted = {key: stored[key].astype(dtype) for key in ("x_train", "x_test")}
    np.testing.assert_array_equal(read(stored | converted).train_images, read(stored).train_images)


def test_fractions_up_to_1_are_scaled(read):
    stored = arrays()
    converted = {key: (stored[key] / 255).astype(np.float32) for key in ("x_train", "x_test")}
    np.testing.assert_array_equal(read(stored | converted).test_images, read(stored).test_images)


def test_class_names_and_labels_as_a_column(read):
    stored = arrays(class_names=np.array(["a", "b", "c"]))
    stored["y_train"] = stored["y_train"][:, None].astype(np.uint8)
    dataset = read(stored)
    assert dataset.class_names == ("a", "b", "c")
    assert dataset.train_labels.dtype == np.int64


def test_images_are_resized_and_normalisation_is_measured_after_it(read):
    dataset = read(arrays(), size=4)
    assert dataset.train_images.shape == (COUNT, 3, 4, 4)
    assert dataset.mean == pytest.approx((dataset.train_images / 255).mean(axis=(0, 2, 3)))


def test_a_validation_split_is_stratified_and_leaves_the_rest(read):
    stored = arrays()
    whole, dataset = read(stored), read(stored, validation=0.25)
    assert np.bincount(dataset.validation_labels).tolist() == [1, 1, 1]
    assert np.bincount(dataset.train_labels).tolist() == [3, 3, 3]
    label_of = {image.tobytes(): label for image, label in zip(whole.train_images, whole.train_labels, strict=True)}
    images = [image.tobytes() for image in (*dataset.train_images, *dataset.validation_images)]
    assert set(images) == set(label_of)
    assert [label_of[image] for image in images] == [*dataset.train_labels, *dataset.validation_labels]
    assert dataset.mean == pytest.approx((dataset.train_images / 255).mean(axis=(0, 2, 3)))
    assert not np.array_equal(read(stored, validation=0.25, split_seed=3).validation_images, dataset.validation_images)


def nan(images):
    changed = images / 255
    changed[3, 1, 1] = np.nan
    return changed


x, y = arrays()["x_train"], arrays()["y_train"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y_test": None}, "y_test missing; it holds x_train, y_train, x_test"),
        ({"x_train": x.astype(complex)}, "x_train has type complex128"),
        ({"x_train": x > 100}, r"x_test has values that are not in 0\.\.1"),
        ({"x_train": x.astype(str)}, "x_train has type <U3"),
        ({"x_train": x[:, :, :, :2], "x_test": x[:6, :, :, :2]}, "neither axis 1 nor axis 3 has 1 or 3 channels"),
        ({"x_train": x.reshape(COUNT, -1)}, r"x_train has shape \(12, 108\)"),
        ({"x_train": x[:, :3], "x_test": x[:6, :3]}, "either axis 1 or axis 3 could be the channels"),
        ({"x_train": np.zeros((0, SIDE, SIDE, 3), np.uint8), "y_train": y[:0]}, "train has no images"),
        ({"x_test": np.zeros((0, SIDE, SIDE, 3), np.uint8), "y_test": y[:0]}, "test has no images"),
        ({"x_train": nan(x)}, "x_train holds NaN or infinite values"),
        ({"x_train": x / 255, "x_test": nan(x[:6])}, "x_test holds NaN or infinite values"),
        ({"x_train": (x - 128.0) / 50}, r"values in \[-2\.56, 2\.54\].*Undo the normalisation"),
        ({"x_train": x.astype(np.int32) + 1}, r"values in \[\d+, 256\]"),
        ({"x_train": np.minimum(x + 0.5, 255)}, "fractions and values up to"),
        ({"x_train": (x > 100).astype(float)}, "only 0 and 1"),
        ({"x_test": x[:6].transpose(0, 3, 1, 2)}, "x_train is NHWC, x_test is not"),
        ({"x_test": x[:6, :4, :4]}, r"training images are \(3, 6, 6\), test images \(3, 4, 4\).*Set data\.mine\.size"),
        ({"y_train": y[:-1]}, "12 images and 11 labels"),
        ({"y_train": y.astype(float)}, "labels are integers"),
        ({"y_train": np.eye(3, dtype=int)[y]}, "not one-hot"),
        ({"y_train": y - 1}, "has the label -1"),
        ({"y_train": np.where(y == 0, 2**40, y)}, "has the label 1099511627776"),
        ({"y_train": np.where(y == 1, 5, y)}, "no training image of class 1, 3, 4"),
        ({"y_train": np.zeros(COUNT, int), "y_test": np.zeros(6, int)}, "only one class"),
        ({"y_test": np.full(6, 3)}, r"test labels run from 3 to 3; with 3 classes they must be in 0\.\.2"),
        ({"class_names": np.array(["a", "b"])}, "train labels run from 0 to 2; with 2 classes"),
        ({"class_names": np.array(["a", "b", "c", "d"])}, r"no training image of class 3 \(d\)"),
        ({"class_names": np.array([1, 2, 3])}, "class_names is int64"),
        (
            {"class_names": np.array(["a", "\ud800", "c"])},
            r"name of class '\\ud800' is not text in UTF-8.* or the entry of",
        ),
    ],
)
def test_bad_arrays_are_errors(read, changes, message):
    with pytest.raises(BaconError, match=message):
        read(arrays(**changes))


def test_a_class_too_small_to_be_split_is_an_error(read):
    with pytest.raises(BaconError, match="class '0' has 1 image; at least 2"):
        read(arrays(y_train=np.array([0] + [1] * 5 + [2] * 6)), validation=0.5)


def test_mean_and_std_must_fit_the_channels(read):
    with pytest.raises(BaconError, match=r"data\.mine: mean has 1 and std 1 values; the images have 3 channels"):
        read(arrays(), mean=[0.5], std=[0.5])


def test_objects_are_not_unpickled(read, tmp_path):
    class Bomb:
        def __reduce__(self):
            return exec, (f"open({str(tmp_path / 'exploded')!r}, 'w')",)

    with pytest.raises(BaconError, match=r"not an \.npz file of plain arrays"):
        read(arrays(y_train=np.array([Bomb()] * COUNT, dtype=object)))
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.99])
def test_a_damaged_npz_is_an_error(tmp_path, keep):
    path = tmp_path / "own.npz"
    np.savez_compressed(path, **arrays())
    content = path.read_bytes()
    path.write_bytes(content[: keep if isinstance(keep, int) else int(keep * len(content))])
    with pytest.raises(BaconError, match=r"not an \.npz file"):
        build("mine", DataSettings(format="npz", path=str(path)), download_dir=tmp_path)


def test_a_single_array_is_no_npz(tmp_path):
    np.save(tmp_path / "own.npy", np.zeros(3))
    (tmp_path / "own.npy").rename(tmp_path / "own.npz")
    with pytest.raises(BaconError, match="holds a single array; save x_train, y_train"):
        build("mine", DataSettings(format="npz", path=str(tmp_path / "own.npz")), download_dir=tmp_path)


def test_own_files_under_a_registered_name_take_its_names_and_normalisation(read):
    random = np.random.default_rng(0)
    stored = {
        "x_train": random.integers(0, 256, (20, 28, 28)).astype(np.uint8),
        "y_train": np.arange(20) % 10,
        "x_test": random.integers(0, 256, (10, 28, 28)).astype(np.uint8),
        "y_test": np.arange(10),
    }
    dataset = read(stored, name="fashionmnist")
    assert dataset.class_names == REGISTRY["fashionmnist"].class_names
    assert (dataset.mean, dataset.std) == ((0.2861,), (0.3530,))
    with pytest.raises(BaconError, match=r"expected of FashionMNIST.*give your own data another name"):
        read(stored | {"y_train": np.arange(20) % 9, "y_test": np.arange(10) % 9}, name="fashionmnist")
    with pytest.raises(BaconError, match="classes are named"):
        read(stored | {"class_names": np.array([f"class {n}" for n in range(10)])}, name="fashionmnist")


def test_a_prepared_file_is_own_data_with_its_splits_joined_and_measured_anew(read, tmp_path):
    stored = arrays(class_names=np.array(["a", "b", "c"]))
    np.savez(tmp_path / "own.npz", **stored)
    made = DataSettings(format="npz", path=str(tmp_path / "own.npz"), validation=0.25, mean=[0.1] * 3, std=[0.9] * 3)
    prepare("mine", made, download_dir=tmp_path, output=tmp_path / "made.h5", fingerprint="f")
    again = build("again", DataSettings(format="hdf5", path=str(tmp_path / "made.h5")), download_dir=tmp_path)
    assert again.validation_images is None
    assert {image.tobytes() for image in again.train_images} == {image.tobytes() for image in read(stored).train_images}
    assert again.class_names == ("a", "b", "c")
    assert again.mean == pytest.approx((again.train_images / 255).mean(axis=(0, 2, 3)))
    assert read_dataset(tmp_path / "made.h5").std == (0.9, 0.9, 0.9)


def test_a_damaged_prepared_file_is_own_data_that_nobody_is_told_to_delete(tmp_path):
    np.savez(tmp_path / "own.npz", **arrays())
    made = DataSettings(format="npz", path=str(tmp_path / "own.npz"))
    path = tmp_path / "made.h5"
    prepare("mine", made, download_dir=tmp_path, output=path, fingerprint="f")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BaconError, match=r"truncated or damaged .*use an undamaged copy") as raised:
        build("again", DataSettings(format="hdf5", path=str(path)), download_dir=tmp_path)
    assert "Delete" not in str(raised.value)


def test_scaling_rounds_to_the_nearest_level():
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    for noise in (-0.4, 0, 0.4):
        fractions = np.clip(levels + noise, 0, 255) / 255
        np.testing.assert_array_equal(layout.to_uint8(fractions, "NHW", ValueRange(0, 1), "it")[:, 0], levels)
