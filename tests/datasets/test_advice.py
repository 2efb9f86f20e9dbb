"""Every message about own data that tells the user to do something: its advice is followed, and reaches a right data set.

A case is: what the user has, the message, what the message says to do (as code that does just that), and what comes out.
"""

import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image

from bacon.datasets.prepare import prepare
from bacon.runtime.errors import BaconError
from bacon.settings.data import DataSettings
from tests.datasets.own_data import arrays, classes, counts, deep_png, encoded, picture, put, read, saved

BOTH = {"ant": (3, 1), "bee": (3, 1)}
HALVES = {"ant": (2, 1), "bee": (2, 1)}
STORED = arrays()
X, XT, Y, YT = (STORED[key] for key in ("x_train", "x_test", "y_train", "y_test"))
DIGITS = {str(label): (4, 2) for label in range(3)}


@dataclass
class Folder:
    """A case of an image folder at ``own``."""

    files: dict[str, Any]
    message: str
    follow: Any
    expected: dict[str, tuple[int, int]] = field(default_factory=lambda: HALVES)
    options: dict[str, Any] = field(default_factory=dict)


def move(*pairs):
    """Move or rename files and folders, relative to the folder."""

    def follow(root):
        for source, target in pairs:
            (root / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.move(root / source, root / target)
        return {}

    return follow


def added(files):
    """Put further files into the folder."""

    def follow(root):
        put(root, files)
        return {}

    return follow


def steps(*follows):
    """One after another."""

    def follow(root):
        for step in follows:
            step(root)
        return {}

    return follow


def out(*names):
    return move(*((name, f"../elsewhere/{name}") for name in names))


def setting(**options):
    return lambda _: options


def path_to(name):
    return lambda root: {"path": root / name}


def into_classes(root):
    for number in range(6):
        target = root / ("ant" if number < 3 else "bee") / f"{number}.png"
        target.parent.mkdir(exist_ok=True)
        shutil.move(root / f"{number}.png", target)
    return {}


TRAIN_TEST = classes(folder="train") | classes(count=1, folder="test")

FOLDERS = {
    "make one folder per class": Folder(
        {f"{n}.png": picture(9 * n) for n in range(6)}, "Make one folder per class in", into_classes
    ),
    "move a stray image out": Folder(classes() | {"x.png": picture(99)}, "or out of", out("x.png")),
    "move a stray image into its class": Folder(
        classes() | {"x.png": picture(99)},
        "move each into the folder of its class",
        move(("x.png", "ant/x.png")),
        {"ant": (3, 1), "bee": (2, 1)},
    ),
    "sort a flat test folder": Folder(
        classes(folder="train") | {"test/1.png": picture(90), "test/2.png": picture(91)},
        "Sort test images into one folder per class",
        move(("test/1.png", "test/ant/1.png"), ("test/2.png", "test/bee/2.png")),
        BOTH,
    ),
    "name the training folder as path": Folder(
        classes(folder="train") | {"test/1.png": picture(90)}, r"set data\.mine\.path to", path_to("train")
    ),
    "a flat test folder beside classes is a class": Folder(
        classes("ant", "bee", "test"),
        "If it is a class, move all class folders into a new folder",
        move(*((name, f"train/{name}") for name in ("ant", "bee", "test"))),
        HALVES | {"test": (2, 1)},
    ),
    "a flat test folder beside classes is a test set": Folder(
        classes() | {"test/1.png": picture(90), "test/2.png": picture(91)},
        "if it is a test set, move those into .*train and sort the images",
        move(
            ("ant", "train/ant"),
            ("bee", "train/bee"),
            ("test/1.png", "test/ant/1.png"),
            ("test/2.png", "test/bee/2.png"),
        ),
        BOTH,
    ),
    "move a flat test folder away": Folder(classes() | {"test/1.png": picture(90)}, "or move it out of", out("test")),
    "make class folders in train": Folder(
        {
            "train/0.png": picture(10),
            "train/1.png": picture(20),
            "train/2.png": picture(30),
            "train/3.png": picture(40),
        },
        "Make one folder per class in each, such as .*train/cat",
        move(*((f"train/{n}.png", f"train/{'ant' if n < 2 else 'bee'}/{n}.png") for n in range(4))),
        {"ant": (1, 1), "bee": (1, 1)},
    ),
    "rename an unknown folder": Folder(
        classes(folder="train") | classes(count=1, folder="quiz"),
        "Rename the test set to 'test'",
        move(("quiz", "test")),
        BOTH,
    ),
    "leave an unknown folder": Folder(
        classes(folder="train") | classes(count=1, folder="quiz"),
        r"or set data\.mine\.path to \S*train",
        path_to("train"),
    ),
    "train is a class": Folder(
        classes("bus", "car") | classes("a", "b", folder="train"),
        "if 'train' is a class, move the images in its folders directly into it",
        move(*((f"train/{c}/{n}.png", f"train/{c}{n}.png") for c in ("a", "b") for n in range(3))),
        {"bus": (2, 1), "car": (2, 1), "train": (5, 1)},
    ),
    "name the test set as the data": Folder(
        classes(folder="test"), r"set data\.mine\.path to \S*test", path_to("test")
    ),
    "rename the training set": Folder(
        classes(folder="data") | classes(count=1, folder="test"),
        "holds 'data', 'test' but no training",
        move(("data", "train")),
        BOTH,
    ),
    "keep one of two training sets": Folder(
        TRAIN_TEST | classes(folder="training"), "keep one of them", out("training"), BOTH
    ),
    "choose one of two test sets": Folder(
        TRAIN_TEST | classes(folder="testing", count=2), "move the others out of", out("testing"), BOTH
    ),
    "classes inside out": Folder(
        {
            f"{c}/{p}/{n}.png": picture(7 * n + 40 * (c == "ant"))
            for c in ("ant", "bee")
            for p, m in (("train", 3), ("test", 1))
            for n in range(m)
        },
        "If they are classes, move the images to .*test/ant",
        move(
            *((f"{c}/{p}", f"{p}/{c}") for c in ("ant", "bee") for p in ("train", "test")),
            ("ant", "../a"),
            ("bee", "../b"),
        ),
        BOTH,
    ),
    "one of several data sets": Folder(
        {f"{d}/{name}": image for d in ("one", "two") for name, image in TRAIN_TEST.items()},
        r"set data\.mine\.path to one of them, such as \S*one",
        path_to("one"),
        BOTH,
    ),
    "rename a test class": Folder(
        classes(folder="train") | classes("ants", "bee", count=1, folder="test"),
        "Rename it to the class that it holds",
        move(("test/ants", "test/ant")),
        BOTH,
    ),
    "leave a test class out": Folder(
        TRAIN_TEST | {"test/cow/0.png": picture()}, "or move it out of .*test", out("test/cow"), BOTH
    ),
    "training images of a test class": Folder(
        TRAIN_TEST | {"test/cow/0.png": picture()},
        "put training images of it into .*train/cow",
        added({"train/cow/1.png": picture(77)}),
        BOTH | {"cow": (1, 1)},
    ),
    "one of two spellings": Folder(
        classes("ant ", "ant", "bee", count=3),
        "move their images into one of them",
        move(("ant /0.png", "ant/a.png"), ("ant /1.png", "ant/b.png"), ("ant /2.png", "ant/c.png"), ("ant ", "../x")),
        {"ant": (5, 1), "bee": (2, 1)},
    ),
    "a folder that is no class": Folder(
        classes() | {"labels/1.txt": "x"}, "if it is no class, move it out of", out("labels")
    ),
    "images for an empty class": Folder(
        classes() | {"cow/1.txt": "x"},
        "Put images of the class into it",
        added(classes("cow")),
        HALVES | {"cow": (2, 1)},
    ),
    "convert photos": Folder({"ant/a.heic": b"x"}, r"convert \.heic to PNG or JPEG", added(classes())),
    "unpack an archive": Folder({"own.zip": b"PK"}, r"unpack \.zip to use what is in them", added(classes())),
    "one image: add one": Folder(
        classes() | {"cow/0.png": picture(90)},
        "Add images of the class",
        added({"cow/1.png": picture(91)}),
        HALVES | {"cow": (1, 1)},
    ),
    "one image: leave the class out": Folder(classes() | {"cow/0.png": picture(90)}, "leave the class out", out("cow")),
    "one image: a test set of one's own": Folder(
        classes() | {"cow/0.png": picture(90)},
        "bring a test set of your own .a folder 'test' beside 'train'",
        steps(
            move(*((name, f"train/{name}") for name in ("ant", "bee", "cow"))),
            added(classes("ant", "bee", "cow", count=1, folder="test")),
        ),
        {"ant": (3, 1), "bee": (3, 1), "cow": (1, 1)},
    ),
    "one image and a validation split": Folder(
        TRAIN_TEST | {"train/cow/0.png": picture(90)},
        "set validation to 0",
        setting(validation=0.0),
        BOTH | {"cow": (1, 0)},
        {"validation": 0.25},
    ),
    "another class": Folder(classes("ant"), "Add images of another class", steps(added(classes("x", "bee")), out("x"))),
    "unreadable: raise the limit": Folder(
        classes() | {"ant/x.png": b"x"}, "set the limit to 1", setting(corrupt_limit=1)
    ),
    "unreadable: move them": Folder(classes() | {"ant/x.png": b"x"}, "move them out of the folder", out("ant/x.png")),
    "unreadable: all of a class": Folder(
        classes() | {"cow/0.png": b"x"},
        "Add some, or leave the class and its name out",
        out("cow"),
        options={"corrupt_limit": 1},
    ),
    "mixed sizes": Folder(
        classes() | {"ant/9.png": picture(side=12)},
        r"set\s+data\.mine\.size",
        setting(size=8),
        {"ant": (3, 1), "bee": (2, 1)},
    ),
    "not square": Folder(
        {name: image.resize((8, 6)) for name, image in classes().items()}, r"Set data\.mine\.size", setting(size=6)
    ),
}


@pytest.mark.parametrize("case", FOLDERS)
def test_advice_on_folders(tmp_path, case):
    one = FOLDERS[case]
    root = put(tmp_path / "own", one.files)
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(BaconError, match=one.message):
        read(root, **one.options)
    options = one.options | one.follow(root)
    assert counts(read(options.pop("path", root), **options)) == one.expected


LEVEL = {f"{c}/{n}.png": Image.new("L", (8, 8), 10 * n + 5 + (c == "bee")) for c in ("ant", "bee") for n in range(3)}


def test_advice_on_a_constant_channel(tmp_path):
    colours = {
        name: Image.merge("RGB", (image, image.transpose(0), Image.new("L", (8, 8), 51)))
        for name, image in LEVEL.items()
    }
    root = put(tmp_path / "own", colours)
    message = r"Set data\.mine\.mean to \[([^]]+)\] and data\.mine\.std to \[([^]]+)\]"
    with pytest.raises(BaconError, match=message) as raised:
        read(root)
    mean, std = (
        [float(number) for number in text.split(",")] for text in re.search(message, str(raised.value)).groups()
    )
    dataset = read(root, mean=mean, std=std)
    pixels = dataset.train_images / 255
    assert mean == pytest.approx(pixels.mean(axis=(0, 2, 3)), abs=1e-4)
    assert (mean[2], std[2]) == (0.2, 1.0)
    assert read(root, channels=1).train_images.shape[1] == 1


@dataclass
class Arrays:
    """A case of an `.npz`: ``follow`` gives the arrays that are saved instead, or settings."""

    changes: dict[str, Any]
    message: str
    follow: Any
    expected: dict[str, tuple[int, int]] = field(default_factory=lambda: DIGITS)
    images: Any = None
    options: dict[str, Any] = field(default_factory=dict)


def renumbered(f):
    names = np.unique(f["y_train"])
    return f | {key: np.searchsorted(names, f[key]) for key in ("y_train", "y_test")}


def both(function):
    return lambda f: f | {key: function(f[key]) for key in ("x_train", "x_test")}


ALPHA = np.where(np.arange(6) < 3, 255, 0)[None, None, :, None]


def with_alpha(x):
    return np.concatenate([x, np.broadcast_to(ALPHA, (*x.shape[:3], 1))], axis=3).astype(np.uint8)


def on_white(x):
    a = x[..., -1:] / 255
    return np.rint(x[..., :-1] * a + 255 * (1 - a)).astype("uint8")


OVER = np.where(X == 255, 1.02, X / 255)
ARRAYS = {
    "masks": Arrays(
        {"x_train": (X > 99).astype("u1"), "x_test": (XT > 99).astype("u1")},
        r"value_range to \[0, 1\] if 1 is white",
        {"value_range": [0, 1]},
        images=(X > 99) * 255,
    ),
    "float masks": Arrays(
        {"x_train": (X > 99) * 1.0, "x_test": (XT > 99) * 1.0},
        r"value_range to \[0, 1\] if 1 is white",
        {"value_range": [0, 1]},
        images=(X > 99) * 255,
    ),
    "levels 0 and 1": Arrays(
        {"x_train": (X > 99).astype("u1"), "x_test": (XT > 99).astype("u1")},
        r"else to \[0, 255\]",
        {"value_range": [0, 255]},
        images=X > 99,
    ),
    "test fractions": Arrays(
        {"x_test": XT / 255}, "multiply the test images by 255", lambda f: f | {"x_test": f["x_test"] * 255}, images=X
    ),
    "training fractions": Arrays(
        {"x_train": X / 255}, "divide the test images by 255", lambda f: f | {"x_test": f["x_test"] / 255}, images=X
    ),
    "a test mask": Arrays(
        {"x_test": (XT > 99).astype("u1")},
        "multiply the test images by 255 if 1 is white",
        lambda f: f | {"x_test": f["x_test"] * 255},
        images=X,
    ),
    "normalised": Arrays(
        {"x_train": (X / 255 - 0.5) / 0.25, "x_test": (XT / 255 - 0.5) / 0.25},
        r"Undo the normalisation of the images .x \* std \+ mean",
        both(lambda x: x * 0.25 + 0.5),
        images=X,
    ),
    "-1..1": Arrays(
        {"x_train": X / 127.5 - 1, "x_test": XT / 127.5 - 1},
        r"value_range to .* such as \[-1, 1\]",
        {"value_range": [-1, 1]},
        images=X,
    ),
    "a little above 1": Arrays(
        {"x_train": OVER, "x_test": XT / 255},
        r"save numpy\.clip\(x, 0, 1\)",
        both(lambda x: np.clip(x, 0, 1)),
        images=X,
    ),
    "fractions of 255": Arrays(
        {"x_train": X * 0.9, "x_test": XT * 0.9},
        r"value_range .*\[0, 255\]",
        {"value_range": [0, 255]},
        images=np.rint(X * 0.9),
    ),
    "32-bit numbers": Arrays(
        {"x_train": X * np.int32(16), "x_test": XT * np.int32(16)},
        r"such as \[0, 4095\]",
        {"value_range": [0, 4095]},
        images=np.rint(X * (16 * 255 / 4095)),
    ),
    "beyond a stated range": Arrays(
        {}, "change value_range, or the values", {"value_range": [0, 255]}, images=X, options={"value_range": [0, 100]}
    ),
    "texts": Arrays(
        {"x_train": X.astype(str)}, r"Save them with \.astype\('uint8'\)", both(lambda x: x.astype("uint8")), images=X
    ),
    "not finite": Arrays(
        {"x_train": np.where(np.arange(12)[:, None, None, None] == 3, np.nan, X / 255), "x_test": XT / 255},
        r"numpy\.isfinite\(x\)\.all\(axis=\(1, 2, 3\)\) says which to keep",
        lambda f: (lambda keep: f | {"x_train": f["x_train"][keep], "y_train": f["y_train"][keep]})(
            np.isfinite(f["x_train"]).all(axis=(1, 2, 3))
        ),
        DIGITS | {"0": (3, 2)},
    ),
    "another order of axes in the test set": Arrays(
        {"x_test": XT.transpose(0, 3, 1, 2)},
        r"save numpy\.transpose\(x_test, \(0, 2, 3, 1\)\)",
        lambda f: f | {"x_test": np.transpose(f["x_test"], (0, 2, 3, 1))},
        images=X,
    ),
    "channels first in training": Arrays(
        {"x_train": X.transpose(0, 3, 1, 2)},
        r"save numpy\.transpose\(x_test, \(0, 3, 1, 2\)\)",
        lambda f: f | {"x_test": np.transpose(f["x_test"], (0, 3, 1, 2))},
        images=X,
    ),
    "images counted last": Arrays(
        {"x_train": X.transpose(1, 2, 3, 0), "x_test": XT.transpose(1, 2, 3, 0)},
        r"numpy\.transpose\(x, \(3, 0, 1, 2\)\)",
        both(lambda x: np.transpose(x, (3, 0, 1, 2))),
        images=X,
    ),
    "flattened": Arrays(
        {"x_train": X.reshape(12, -1), "x_test": XT.reshape(6, -1)},
        "Reshape it",
        both(lambda x: x.reshape(-1, 6, 6, 3)),
        images=X,
    ),
    "transparency": Arrays(
        {"x_train": with_alpha(X), "x_test": with_alpha(XT)},
        "lay the images on white",
        both(on_white),
        images=np.where(ALPHA, X, 255),
    ),
    "too many channels": Arrays(
        {"x_train": np.concatenate([X, X], 3)[..., :5], "x_test": np.concatenate([XT, XT], 3)[..., :5]},
        "Keep 1 or 3 channels",
        both(lambda x: x[..., :3]),
        images=X,
    ),
    "tiny": Arrays(
        {"x_train": X[:, :3, :3], "x_test": XT[:, :3, :3]},
        "Enlarge them to at least 4",
        both(lambda x: x.repeat(2, 1).repeat(2, 2)),
        images=X[:, :3, :3].repeat(2, 1).repeat(2, 2),
    ),
    "another size in the test set": Arrays({"x_test": XT[:, :4, :4]}, r"Set data\.mine\.size", {"size": 4}),
    "not square": Arrays({"x_train": X[:, :4], "x_test": XT[:, :4]}, r"Set data\.mine\.size", {"size": 4}),
    "labels from 1": Arrays(
        {"y_train": Y + 1, "y_test": YT + 1}, "no training image of class 0; labels.*Renumber both arrays", renumbered
    ),
    "labels with gaps": Arrays({"y_train": Y * 7, "y_test": YT * 7}, "Renumber both arrays", renumbered),
    "negative labels": Arrays({"y_train": Y - 1, "y_test": YT - 1}, r"has the label -1.*Renumber", renumbered),
    "huge labels": Arrays({"y_train": Y * 2**40, "y_test": YT * 2**40}, "Renumber", renumbered),
    "names as labels": Arrays(
        {"y_train": np.array(["a", "b", "c"])[Y], "y_test": np.array(["a", "b", "c"])[YT]},
        "Renumber.*class_names",
        renumbered,
    ),
    "floating-point labels": Arrays(
        {"y_train": Y * 1.0},
        r"Save them with \.astype\('int64'\)",
        lambda f: f | {"y_train": f["y_train"].astype("int64")},
    ),
    "one-hot": Arrays(
        {"y_train": np.eye(3, dtype=int)[Y]},
        r"save y\.argmax\(axis=1\)",
        lambda f: f | {"y_train": f["y_train"].argmax(axis=1)},
    ),
    "floating-point one-hot": Arrays(
        {"y_train": np.eye(3)[Y]}, r"save y\.argmax\(axis=1\)", lambda f: f | {"y_train": f["y_train"].argmax(axis=1)}
    ),
    "booleans as labels": Arrays(
        {"y_train": Y > 0, "y_test": YT > 0},
        r"Save them with \.astype\('int64'\): False is 0",
        lambda f: f | {key: f[key].astype("int64") for key in ("y_train", "y_test")},
        {"0": (4, 2), "1": (8, 4)},
    ),
    "a test class without training images": Arrays(
        {"y_test": np.array([0, 1, 2, 3, 3, 1])},
        r"keep = y_test < 3, then x_test\[keep\]",
        lambda f: (lambda keep: f | {"x_test": f["x_test"][keep], "y_test": f["y_test"][keep]})(f["y_test"] < 3),
        {"0": (4, 1), "1": (4, 2), "2": (4, 1)},
    ),
    "too few names": Arrays(
        {"class_names": np.array(["a", "b"])},
        "give one for each label",
        lambda f: f | {"class_names": np.array(["a", "b", "c"])},
        {"a": (4, 2), "b": (4, 2), "c": (4, 2)},
    ),
    "too many names": Arrays(
        {"class_names": np.array(["a", "b", "c", "d"])},
        r"leave the class and its name out",
        lambda f: f | {"class_names": np.array(["a", "b", "c"])},
        {"a": (4, 2), "b": (4, 2), "c": (4, 2)},
    ),
    "names that are no texts": Arrays(
        {"class_names": np.array([5, 6, 7])},
        r"numpy\.array\(\['cat', 'dog'\]\)",
        lambda f: f | {"class_names": np.array(["5", "6", "7"])},
        {"5": (4, 2), "6": (4, 2), "7": (4, 2)},
    ),
    "fewer labels": Arrays(
        {"y_train": Y[:-1]}, "one label per image", lambda f: f | {"x_train": f["x_train"][:-1]}, DIGITS | {"2": (3, 2)}
    ),
    "an empty test set": Arrays(
        {"x_test": XT[:0], "y_test": YT[:0]},
        "leave x_test and y_test out",
        lambda f: {key: f[key] for key in ("x_train", "y_train")},
        {str(label): (3, 1) for label in range(3)},
    ),
    "names of another program": Arrays(
        {"x_train": None, "y_train": None, "train_images": X, "train_labels": Y},
        r"numpy\.savez\('new\.npz', x_train=f\['train_images'\], y_train=f\['train_labels'\], "
        r"x_test=f\['x_test'\], y_test=f\['y_test'\]\)",
        lambda f: f | {"x_train": f["train_images"], "y_train": f["train_labels"]},
        images=X,
    ),
    "a key missing": Arrays(
        {"y_test": None}, "y_test missing.*saved with numpy.savez as", lambda f: f | {"y_test": YT}, images=X
    ),
    "images of several sizes": Arrays(
        {"x_train": np.array([*X[:-1], X[-1, :4, :4]], dtype=object)},
        r"x_train holds Python objects.*numpy\.stack",
        lambda f: f | {"x_train": X},
        images=X,
    ),
    "a list of names as objects": Arrays(
        {"y_train": np.array(Y.tolist(), dtype=object)},
        r"y_train holds Python objects.*numpy\.array\(\[\.\.\.\]\) of one type",
        lambda f: f | {"y_train": np.array(Y.tolist())},
        images=X,
    ),
    "mean of another number of channels": Arrays(
        {}, "Give 3 of each, or neither", {"mean": None, "std": None}, images=X, options={"mean": [0.5], "std": [0.5]}
    ),
    "one image and a validation split": Arrays(
        {"y_train": np.array([0] + [1] * 5 + [2] * 6)},
        "set validation to 0",
        {"validation": 0.0},
        {"0": (1, 2), "1": (5, 2), "2": (6, 2)},
        options={"validation": 0.5},
    ),
    "one image and no test set": Arrays(
        {"y_train": np.array([0] + [1] * 5 + [2] * 6), "x_test": None, "y_test": None},
        "bring a test set of your own .*x_test and y_test",
        lambda f: f | {"x_test": XT, "y_test": YT},
        {"0": (1, 2), "1": (5, 2), "2": (6, 2)},
    ),
}


@pytest.mark.parametrize("case", ARRAYS)
def test_advice_on_arrays(tmp_path, case):
    one = ARRAYS[case]
    stored = arrays(**one.changes)
    with pytest.raises(BaconError, match=one.message):
        read(saved(tmp_path / "own.npz", stored), **one.options)
    options = dict(one.options)
    if callable(one.follow):
        stored = one.follow(stored)
    else:
        options |= one.follow
    dataset = read(saved(tmp_path / "new.npz", stored), **options)
    assert counts(dataset) == one.expected
    if one.images is not None:
        expected = np.asarray(one.images)
        np.testing.assert_array_equal(dataset.train_images, expected.transpose(0, 3, 1, 2))


def npz(path):
    with path.open("wb") as file:
        np.savez(file, **STORED)


def prepared(path):
    npz(path.with_name("source.npz"))
    data = DataSettings(format="npz", path=str(path.with_name("source.npz")))
    prepare("x", data, download_dir=path.parent, output=path.with_name("made.h5"), fingerprint="f")
    path.with_name("made.h5").rename(path)


def foreign(path):
    with h5py.File(path, "w") as file:
        file.update({"images": X, "labels": Y})


def write(content):
    return lambda path: path.write_bytes(content)


def as_npz(path):
    """The user saves what the file holds with numpy.savez."""
    np.savez(path.with_name("new.npz"), **STORED)
    return {"kind": "npz", "path": path.with_name("new.npz")}


def as_folder(path):
    return {"kind": "imagefolder", "path": put(path.with_name("unpacked"), TRAIN_TEST)}


def format_to(kind):
    return lambda path: {"kind": kind, "path": path}


@pytest.mark.parametrize(
    ("kind", "name", "make", "message", "follow"),
    [
        ("npz", "own.npz", prepared, r"but an HDF5 file: set data\.mine\.format to hdf5", format_to("hdf5")),
        ("hdf5", "own.h5", npz, r"but NumPy arrays \(\.npz\): set data\.mine\.format to npz", format_to("npz")),
        ("hdf5", "own.h5", foreign, "it holds images, labels.*save them with numpy.savez", as_npz),
        ("npz", "own.npz", foreign, "an HDF5 file", as_npz),
        ("npz", "own.npz", lambda path: np.save(path.open("wb"), X), "holds a single array; save x_train", as_npz),
        ("npz", "own.npy", lambda path: np.save(path, X), "a single NumPy array", as_npz),
        ("npz", "own.npz", write(b"PAR1x"), "a Parquet table: save its images", as_npz),
        (
            "npz",
            "own.npz",
            write(b"label,pixel0\n1,2\n"),
            r"a text table \(csv\): images are not read from tables",
            as_npz,
        ),
        (
            "npz",
            "own.csv",
            write(b"path,label\na.png,cat\n"),
            "sort the image files into one folder per class",
            as_folder,
        ),
        ("npz", "own.npz", write(b"\x80\x04\x95x"), "a Python pickle: save its images", as_npz),
        ("npz", "own.npz", write(b"MATLAB 5.0 MAT-file"), "a MATLAB file: save its images", as_npz),
        ("npz", "own.npz", write(b"\x1f\x8b\x08"), "a gzip archive: unpack it", as_folder),
        ("npz", "own.npz", write(encoded(picture())), "a PNG image: set data.mine.format to imagefolder", as_folder),
        ("npz", "own.npz", write(b""), "an empty file: copy it again", as_npz),
        (
            "npz",
            "own.npz",
            write(b"version https://git-lfs.github.com/spec/v1"),
            r"a Git LFS pointer.*git lfs pull",
            as_npz,
        ),
        ("npz", "own.npz", write(b"<!DOCTYPE html>"), "a web page", as_npz),
        ("npz", "own.npz", write(b"PK\x03\x04 cut"), "or a damaged one.*copy it again", as_npz),
        ("hdf5", "own.h5", write(b"\x89HDF\r\n\x1a\n cut"), "truncated or damaged.*undamaged copy", as_npz),
    ],
)
def test_advice_on_files_of_another_kind(tmp_path, kind, name, make, message, follow):
    path = tmp_path / name
    make(path)
    with pytest.raises(BaconError, match=message):
        read(path, kind=kind)
    options = follow(path)
    assert sum(map(sum, counts(read(options.pop("path"), **options)).values())) in (8, 18)


def test_advice_on_deep_images(tmp_path):
    values = np.arange(64, dtype=np.float32).reshape(8, 8) / 63
    root = put(tmp_path / "own", TRAIN_TEST | {"test/ant/0.tif": encoded(Image.fromarray(values), "TIFF")})
    with pytest.raises(BaconError, match=r"value_range .* such as \[0, 1\]"):
        read(root)
    np.testing.assert_array_equal(read(root, value_range=[0, 1]).test_images[1, 0], np.rint(values * 255))
    root = put(tmp_path / "two", TRAIN_TEST | {"test/ant/0.png": deep_png(np.rint(values * 5000))})
    with pytest.raises(BaconError, match=r"change data\.mine\.value_range to hold them"):
        read(root, value_range=[0, 4000])
    np.testing.assert_array_equal(read(root, value_range=[0, 5000]).test_images[0, 0], np.rint(values * 255))


def test_advice_to_delete_is_never_given():
    """What lies in own data may be all that there is of it."""
    room = Path(__file__).parents[2] / "bacon" / "datasets"
    modules = [
        *room.glob("readers/*.py"),
        *(room / f"{name}.py" for name in ("checks", "layout", "value_ranges", "splits")),
    ]
    modules += [
        room / f"{name}.py"
        for name in ("folder_layout", "folder_splits", "image_files", "file_kinds", "deep_images", "oddities")
    ]
    advised = [
        path.name
        for path in modules
        if "delete" in path.read_text().lower().replace("nothing here tells anybody to delete", "")
    ]
    assert advised == []
