"""What a path is said to be before it is read agrees with what reading it gives."""

import numpy as np
import pytest
from PIL import Image

from bacon.datasets.inspect_source import inspect_source
from bacon.datasets.prepare import prepare
from bacon.runtime.errors import BaconError
from bacon.settings.data import DataSettings
from tests.datasets.own_data import arrays, classes, counts, deep_png, encoded, picture, put, read, saved

TRAIN_TEST = classes(folder="train") | classes(count=1, folder="test")
STORED = arrays()
X, XT = STORED["x_train"], STORED["x_test"]


def mask(number):
    return Image.fromarray((np.arange(64).reshape(8, 8) % (number + 2) == 0).astype(np.uint8))


MASKS = {f"{name}/{n}.png": mask(n + 3 * i) for i, name in enumerate(("ant", "bee")) for n in range(3)}
FLOAT = encoded(Image.fromarray(np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)), "TIFF")
FOLDERS = {
    "train and test": (TRAIN_TEST, {"layout": "train and test", "channels": 1, "modes": {"L": 8}}),
    "train alone": (classes(folder="train"), {"layout": "train alone", "test_counts": None}),
    "class folders": (classes(mode="RGB"), {"layout": "class folders", "channels": 3}),
    "an extra level": (classes(folder="x"), {"layout": "class folders", "classes": ("ant", "bee")}),
    "mixed": (
        classes() | {"ant/9.png": picture(mode="RGB", side=12), "bee/9.jpg": encoded(picture(mode="RGB"), "JPEG")},
        {"channels": 3, "sizes": {(8, 8): 7, (12, 12): 1}, "modes": {"L": 6, "RGB": 2}},
    ),
    "files left out": (classes() | {"ant/a.txt": "x", "b.heic": b"x"}, {"skipped": {".heic": 1, ".txt": 1}}),
    "masks": (MASKS, {"value_range": (0.0, 1.0)}),
    "16 bits": (
        classes() | {"ant/9.png": deep_png(np.arange(64).reshape(8, 8) * 50)},
        {"values": (0.0, 3150.0), "value_range": None},
    ),
    "floating point": (classes() | {"ant/9.tif": FLOAT}, {"values": (0.0, 1.0), "value_range": (0.0, 1.0)}),
}


@pytest.mark.parametrize("case", FOLDERS)
def test_folders(tmp_path, case):
    files, expected = FOLDERS[case]
    root = put(tmp_path / "own", files)
    found = inspect_source(root, key="data.mine")
    assert {key: getattr(found, key) for key in expected} == expected
    assert (found.format, found.problems) == ("imagefolder", ())
    dataset = read(root, size=8, value_range=found.value_range)
    assert dataset.class_names == found.classes
    assert sum(map(sum, counts(dataset).values())) == found.images


ARRAYS = {
    "colour": ({}, {"layout": "train and test", "channels": 3, "sizes": {(6, 6): 12}, "modes": {"uint8": 12}}),
    "channels first": (
        {key: STORED[key].transpose(0, 3, 1, 2) for key in ("x_train", "x_test")},
        {"channels": 3, "sizes": {(6, 6): 12}},
    ),
    "grey": ({"x_train": X[..., 0], "x_test": XT[..., 0]}, {"channels": 1}),
    "no test set": ({"x_test": None, "y_test": None}, {"layout": "train alone", "test_counts": None}),
    "names": ({"class_names": np.array(["a", "b", "c"])}, {"classes": ("a", "b", "c")}),
    "masks": ({"x_train": (X > 99).astype("u1"), "x_test": (XT > 99).astype("u1")}, {"value_range": (0.0, 1.0)}),
    "fractions": ({"x_train": X / 255, "x_test": XT / 255}, {"values": (0.0, 1.0), "value_range": None}),
    "-1..1": ({"x_train": X / 127.5 - 1, "x_test": XT / 127.5 - 1}, {"value_range": (-1.0, 1.0)}),
    "columns in memory order": ({"x_train": np.asfortranarray(X)}, {"channels": 3}),
}


@pytest.mark.parametrize("case", ARRAYS)
def test_arrays(tmp_path, case):
    changes, expected = ARRAYS[case]
    path = saved(tmp_path / "own.npz", arrays(**changes))
    found = inspect_source(path, key="data.mine")
    assert {key: getattr(found, key) for key in expected} == expected
    assert (found.format, found.problems) == ("npz", ())
    dataset = read(path, value_range=found.value_range)
    assert dataset.class_names == found.classes
    assert sum(map(sum, counts(dataset).values())) == found.images


def test_a_prepared_file(tmp_path):
    data = DataSettings(format="npz", path=str(saved(tmp_path / "own.npz", STORED)), validation=0.25)
    prepare("x", data, download_dir=tmp_path, output=tmp_path / "made.h5", fingerprint="f")
    found = inspect_source(tmp_path / "made.h5")
    assert (found.format, found.layout, found.channels, found.sizes) == ("hdf5", "train and test", 3, {(6, 6): 12})
    assert (found.train_counts, found.test_counts) == ((4, 4, 4), (2, 2, 2))


PROBLEMS = {
    "flat": ({"1.png": picture(), "2.png": picture()}, "no class folders"),
    "nothing": ({"a/1.txt": "x"}, r"Found: 1 \.txt"),
    "one class": (classes("ant"), "only one class"),
    "two training sets": (TRAIN_TEST | classes(folder="Training"), "names of a training set"),
}


@pytest.mark.parametrize("case", PROBLEMS)
def test_problems_of_folders_are_told_with_what_to_do(tmp_path, case):
    files, text = PROBLEMS[case]
    found = inspect_source(put(tmp_path / "own", files))
    assert len(found.problems) == 1
    with pytest.raises(BaconError, match=text):
        raise BaconError(found.problems[0])


def test_unreadable_files_are_counted_because_a_limit_can_allow_them(tmp_path):
    found = inspect_source(put(tmp_path / "own", classes() | {"ant/9.png": b"x"}))
    assert (found.format, found.unreadable, found.problems) == ("imagefolder", 1, ())
    assert any("1 of 7 files looked at cannot be read" in warning for warning in found.warnings)


FILES = {
    "a table": ("x.csv", b"a,b\n1,2\n", r"a text table \(csv\)"),
    "an archive": ("x.zip", b"PK\x05\x06" + bytes(18), "a zip archive; unpack it"),
    "an image": ("x.png", encoded(picture()), "a PNG image"),
    "a cut .npz": ("x.npz", b"PK\x03\x04cut", "damaged"),
    "a cut HDF5 file": ("x.h5", b"\x89HDF\r\n\x1a\ncut", "truncated or damaged"),
}


@pytest.mark.parametrize("case", FILES)
def test_other_files(tmp_path, case):
    name, content, text = FILES[case]
    found = inspect_source(put(tmp_path, {name: content}) / name)
    with pytest.raises(BaconError, match=text):
        raise BaconError(*found.problems)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"x_train": None}, "x_train missing; it holds"),
        ({"y_train": np.eye(3)[STORED["y_train"]]}, "labels are integers"),
        ({"x_train": np.array([X[0], X[1, :4]], dtype=object)}, "Python objects"),
        ({"x_train": X.reshape(12, -1)}, "has shape"),
        ({"x_train": X / np.float32(0)}, "NaN or infinite"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_problems_of_arrays(tmp_path, changes, text):
    found = inspect_source(saved(tmp_path / "own.npz", arrays(**changes)))
    assert any(text in problem for problem in found.problems)


def test_an_absent_path_is_an_error(tmp_path):
    with pytest.raises(BaconError, match="does not exist"):
        inspect_source(tmp_path / "gone")


def test_sizes_in_short(tmp_path):
    files = {f"{name}/{n}.png": picture(side=8 + n) for name in ("ant", "bee") for n in range(5)}
    assert inspect_source(put(tmp_path / "own", files)).shorter_sides() == (8, 10, 12)
