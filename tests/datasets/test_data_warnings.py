"""What is odd about data that can be used: told in the log, kept in the prepared file, in words of the classes."""

import numpy as np
import pytest

from bacon.datasets.prepare import prepare
from bacon.datasets.store import content_sha256, read_dataset
from bacon.runtime.errors import BaconError
from bacon.settings.data import DataSettings
from tests.datasets.own_data import arrays, classes, counts, picture, put, read, saved

STORED = arrays()
X, XT = STORED["x_train"], STORED["x_test"]
TRAIN_TEST = classes(folder="train") | {f"test/{name}/0.png": picture(120 + i) for i, name in enumerate(("ant", "bee"))}
ABC = np.array(["a", "b", "c"])

FOLDERS = {
    "a class without test images": (
        TRAIN_TEST | classes("cow", folder="train"),
        "no test images of class 'cow': accuracy says nothing about this class",
    ),
    "two of them": (
        TRAIN_TEST | classes("cow", "dog", folder="train"),
        "no test images of 2 classes: 'cow', 'dog': accuracy says nothing about these classes",
    ),
    "many of them": (
        TRAIN_TEST | classes(*(f"x{n:02}" for n in range(14)), count=2, folder="train"),
        "'x08', 'x09' and 4 more",
    ),
    "a class with one training image": (
        TRAIN_TEST | {"train/cow/0.png": picture(99), "test/cow/0.png": picture(98)},
        "only one training image of class 'cow'",
    ),
    "test images that are training images": (
        TRAIN_TEST | {"test/ant/9.png": picture(3), "test/ant/8.png": picture(4)},
        "2 of 4 test images are training images too, so the accuracy measured is too high",
    ),
    "test images that are training images of another class": (
        TRAIN_TEST | {"test/bee/9.png": picture(3)},
        "1 of 3 test images are training images of another class",
    ),
    "grey and colour mixed in a folder of grey and colour": (
        TRAIN_TEST | {"train/ant/9.png": picture(9, mode="RGB")},
        None,
    ),
}


@pytest.mark.parametrize("case", FOLDERS)
def test_odd_folders(tmp_path, caplog, case):
    files, text = FOLDERS[case]
    dataset = read(put(tmp_path / "own", files))
    if text is None:
        assert dataset.warnings == ()
        assert dataset.train_images.shape[1] == 3
    else:
        assert any(text in warning for warning in dataset.warnings)
        assert f"mine: {next(one for one in dataset.warnings if text in one)}" in caplog.text


ARRAYS = {
    "a class without test images": (
        {"y_test": np.array([0, 1, 0, 1, 0, 1]), "class_names": ABC},
        "no test images of class 'c'",
    ),
    "no names": ({"y_test": np.array([0, 1, 0, 1, 0, 1])}, "no test images of class '2'"),
    "one training image": ({"y_train": np.array([0] * 5 + [1] * 6 + [2])}, "only one training image of class '2'"),
    "shared images": ({"x_test": X[:6]}, "6 of 6 test images are training images too"),
    "names that differ by letter case": (
        {"class_names": np.array(["a", "A", "c"])},
        "classes 'a' and 'A' differ by letter case",
    ),
    "the same name twice": ({"class_names": np.array(["a", "a", "c"])}, "2 classes have the name 'a'"),
    "grey and colour mixed": ({"x_test": XT[..., 0]}, "grey and colour images are mixed; all are read as colour"),
}


@pytest.mark.parametrize("case", ARRAYS)
def test_odd_arrays(tmp_path, case):
    changes, text = ARRAYS[case]
    dataset = read(saved(tmp_path / "own.npz", arrays(**changes)))
    assert any(text in warning for warning in dataset.warnings), dataset.warnings


def test_nothing_odd_is_no_warning(tmp_path):
    assert read(put(tmp_path / "own", TRAIN_TEST)).warnings == ()
    assert read(saved(tmp_path / "own.npz", STORED)).warnings == ()


def test_warnings_are_kept_in_the_prepared_file_and_change_no_content(tmp_path):
    root = put(tmp_path / "own", TRAIN_TEST)
    data = DataSettings(format="imagefolder", path=str(root))
    made = [tmp_path / "without.h5", tmp_path / "with.h5"]
    prepare("mine", data, download_dir=tmp_path, output=made[0], fingerprint="f")
    put(root, {"train/ant/notes.txt": "x"})
    prepare("mine", data, download_dir=tmp_path, output=made[1], fingerprint="f")
    without, having = (read_dataset(path) for path in made)
    assert (without.warnings, having.warnings) == ((), (f"{root}: files not taken: 1 .txt",))
    assert content_sha256(without) == content_sha256(having)


@pytest.mark.parametrize(
    ("changes", "options", "shape"),
    [
        ({"x_test": XT[..., 0]}, {}, (3, 6, 6)),
        ({"x_train": X[..., :1]}, {}, (3, 6, 6)),
        ({"x_test": XT[..., 0]}, {"channels": 1}, (1, 6, 6)),
        ({}, {"channels": 1}, (1, 6, 6)),
        ({"x_train": X[..., 0], "x_test": XT[..., :1]}, {}, (1, 6, 6)),
        ({"x_train": X[..., 0], "x_test": XT[..., 0]}, {"channels": 3}, (3, 6, 6)),
    ],
)
def test_grey_and_colour_arrays_are_brought_together(tmp_path, changes, options, shape):
    dataset = read(saved(tmp_path / "own.npz", arrays(**changes)), **options)
    assert dataset.train_images.shape[1:] == dataset.test_images.shape[1:] == shape


def test_a_plain_data_set_is_refused(tmp_path):
    plain = {"x_train": np.full_like(X, 7), "x_test": np.full_like(XT, 7)}
    with pytest.raises(
        BaconError, match="all training images are one and the same plain picture; nothing can be learned"
    ):
        read(saved(tmp_path / "own.npz", arrays(**plain)))


def test_arrays_without_a_test_set_are_split(tmp_path):
    stored = saved(tmp_path / "own.npz", arrays(x_test=None, y_test=None))
    assert counts(read(stored)) == {str(label): (3, 1) for label in range(3)}
    assert counts(read(stored, test_fraction=0.5)) == {str(label): (2, 2) for label in range(3)}
    first, other = (read(stored, test_fraction=0.5, split_seed=seed).test_images for seed in (0, 1))
    assert not np.array_equal(first, other)
