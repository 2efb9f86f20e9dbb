"""Layouts of folders of images: read where there is one meaning, else an error that names what was found."""

import re
import unicodedata

import pytest

from bacon.runtime.errors import BaconError
from tests.datasets.own_data import classes, counts, encoded, picture, put, read

BOTH = {"ant": (3, 1), "bee": (3, 1)}


def split(train, test, names=("ant", "bee")):
    return classes(*names, folder=train) | classes(*names, count=1, folder=test)


PAIRS = [
    ("train", "test"),
    ("Train", "Test"),
    ("TRAIN", "TEST"),
    ("training", "testing"),
    ("train", "val"),
    ("train", "Valid"),
    ("train", "validation"),
    ("train", "eval"),
    ("Training", "Evaluation"),
    ("train_set", "test_set"),
    ("train-data", "test-data"),
    ("trainset", "testset"),
    ("Training Set", "Test Set"),
    ("train_images", "test_images"),
    ("train", "holdout"),
]


@pytest.mark.parametrize(("train", "test"), PAIRS)
def test_names_of_training_and_test_folders(tmp_path, train, test):
    assert counts(read(put(tmp_path / "own", split(train, test)))) == BOTH


READ = {
    "class folders": (classes(), {"ant": (2, 1), "bee": (2, 1)}),
    "train alone": (classes(folder="train"), {"ant": (2, 1), "bee": (2, 1)}),
    "an extra level": (classes(folder="photos"), {"ant": (2, 1), "bee": (2, 1)}),
    "two extra levels": (classes(folder="photos/photos"), {"ant": (2, 1), "bee": (2, 1)}),
    "an extra level above train and test": (split("own/train", "own/test"), BOTH),
    "an extra level in train and test": (split("train/images", "test/images"), BOTH),
    "an extra level in test alone": (split("train", "test/test"), BOTH),
    "an extra level beside __MACOSX": (
        split("photos/train", "photos/test") | {"__MACOSX/train/ant/0.png": picture()},
        BOTH,
    ),
    "folders below the classes": (classes("ant/2023", "ant/2024", "bee/x"), {"ant": (5, 1), "bee": (2, 1)}),
    "a class called train": (classes("bus", "car", "train"), dict.fromkeys(("bus", "car", "train"), (2, 1))),
    "classes called valid and invalid": (classes("valid", "invalid"), dict.fromkeys(("invalid", "valid"), (2, 1))),
    "a class called test in train": (classes("bee", "test", folder="train"), dict.fromkeys(("bee", "test"), (2, 1))),
    "a class called testament": (classes("testament", "trainer"), dict.fromkeys(("testament", "trainer"), (2, 1))),
    "test and val: test is taken": (split("train", "test") | classes(count=2, folder="val"), BOTH),
    "val with classes, test without": (split("train", "val") | {"test/1.png": picture()}, BOTH),
    "train, test and folders of other things": (split("train", "test") | classes(folder="unlabeled"), BOTH),
    "a class without test images": (
        split("train", "test") | classes("cow", folder="train"),
        {"ant": (3, 1), "bee": (3, 1), "cow": (3, 0)},
    ),
    "an empty test class": (
        split("train", "test") | classes("cow", folder="train") | {"test/cow/x.txt": "x"},
        BOTH | {"cow": (3, 0)},
    ),
    "letter case of a class": (classes(folder="train") | classes("Ant", "BEE", count=1, folder="test"), BOTH),
    "separators of a class": (
        classes("red ant", "bee", folder="train") | classes("red_ant", "bee", count=1, folder="test"),
        {"bee": (3, 1), "red ant": (3, 1)},
    ),
    "spaces around a class": (classes(folder="train") | classes("ant ", " bee", count=1, folder="test"), BOTH),
}


@pytest.mark.parametrize("case", READ)
def test_layouts_with_one_meaning_are_read(tmp_path, case):
    files, expected = READ[case]
    assert counts(read(put(tmp_path / "own", files))) == expected


@pytest.mark.parametrize(("train", "test"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_unicode_forms_of_a_name_are_one_name(tmp_path, train, test):
    names = [unicodedata.normalize(form, "café") for form in (train, test)]
    files = classes(names[0], "thé", folder="train") | classes(names[1], "thé", count=1, folder="test")
    dataset = read(put(tmp_path / "own", files))
    assert counts(dataset) == {"café": (3, 1), "thé": (3, 1)}
    assert unicodedata.is_normalized("NFC", dataset.class_names[0])


def test_a_class_whose_name_is_not_text_is_refused_before_a_figure_shows_it(tmp_path):
    """As an archive packed in Latin-1 leaves it."""
    put(tmp_path / "own", classes("caf\udce9", "thé"))
    with pytest.raises(
        BaconError, match=r"mine: the name of class 'caf\\udce9' is not text in UTF-8.*rename the folder"
    ):
        read(tmp_path / "own")


ERRORS = {
    "flat": (
        {f"{n}.png": picture(n) for n in range(9)},
        r"0\.png, 1\.png.* and 4 more are outside.*no class folders.*own/cat/0\.png",
    ),
    "a flat train folder": ({"train/0.png": picture()}, "'train' holds? images directly, without class folders"),
    "flat train and test": (
        {"train/0.png": picture(), "test/1.png": picture()},
        "'test', 'train' hold images directly",
    ),
    "a flat test folder beside train": (
        classes(folder="train") | {"test/1.png": picture()},
        r"own/test: holds images without class folders.*set data\.mine\.path to \S*own/train, of which a share",
    ),
    "a flat train folder beside test": (
        classes(folder="test") | {"train/1.png": picture()},
        "own/train: holds images directly, without class folders",
    ),
    "an empty test folder": (
        classes(folder="train") | {"test/x.txt": "x"},
        r"own/test: holds no image\..*data\.mine\.path",
    ),
    "a flat test folder beside classes": (
        classes() | {"test/1.png": picture()},
        "'test' holds images directly beside.*'ant', 'bee'",
    ),
    "only test": (classes(folder="test"), r"holds 'test' but no training set.*data\.mine\.path to \S*own/test"),
    "only val and test": (split("val", "test"), "holds 'test', 'val' but no training set"),
    "train beside an unknown name": (
        classes(folder="train") | classes(folder="quiz"),
        "holds 'train' beside 'quiz', which may be a test set or classes. Accepted are train or training",
    ),
    "train beside classes": (classes(folder="train") | classes("cow"), "holds 'train' beside 'cow'"),
    "two training sets": (
        split("train", "test") | classes(folder="training"),
        "'train', 'training' are all names of a training set",
    ),
    "two training sets by letter case": (
        split("train", "test") | classes(folder="Train"),
        "'Train', 'train' are all names",
    ),
    "two test sets": (
        split("train", "test") | classes(folder="testing"),
        "'test', 'testing' are all names of a test set",
    ),
    "two validation sets": (
        split("train", "val") | classes(folder="eval"),
        "'eval', 'val' are all names of a validation set",
    ),
    "inside out": (
        {f"{name}/{part}/0.png": picture() for name in ("ant", "bee") for part in ("train", "test")},
        "the folders 'ant', 'bee' hold 'test', 'train'. If they are classes, move",
    ),
    "several data sets": (
        split("a/train", "a/test") | split("b/train", "b/test"),
        r"set data\.mine\.path to one of them, such as \S*own/a",
    ),
    "images beside classes": (
        classes() | {"x.png": picture()},
        r"own: x\.png is outside the class folders.*or out of \S*own",
    ),
    "images beside train and test": (
        split("train", "test") | {"x.png": picture()},
        r"own: x\.png is outside the class folders",
    ),
    "images beside training classes": (
        split("train", "test") | {"train/x.png": picture()},
        r"own/train: x\.png is outside",
    ),
    "images beside test classes": (split("train", "test") | {"test/x.png": picture()}, r"own/test: x\.png is outside"),
    "an unknown test class": (
        split("train", "test") | classes("cow", count=1, folder="test"),
        r"own/test: the folder 'cow' is not a class of .* \S*own/train, whose classes are 'ant', 'bee'\. Rename",
    ),
    "a test class that may be two": (
        classes("red ant", "red_ant", folder="train") | classes("red-ant", count=1, folder="test"),
        "'red-ant' is not a class",
    ),
    "one name spelt in two ways": (
        classes("café", unicodedata.normalize("NFD", "café")),
        r"two folders have the name 'café', spelt 'cafe\\u0301' and 'caf\\xe9'",
    ),
    "one name with a space": (classes("ant", "ant ", "bee"), "two folders have the name 'ant', spelt 'ant' and 'ant '"),
    "a class without images": (
        classes() | {"cow/x.txt": "x"},
        r"no training image of class 'cow': the folder 'cow' holds 1 \.txt",
    ),
    "one class": (classes("ant"), r"there is only one class \('ant'\)"),
    "one image": (
        classes() | {"cow/0.png": picture()},
        "class 'cow' has 1 image; at least 2.*a folder 'test' beside 'train'",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_other_layouts_are_errors_that_name_what_was_found(tmp_path, case):
    files, text = ERRORS[case]
    with pytest.raises(BaconError, match=text):
        read(put(tmp_path / "own", files))


WARNINGS = {
    "not used": (
        split("train", "test") | classes(count=2, folder="val"),
        r"test is the test set; not used: val \(4 images\)",
    ),
    "an extra level": (classes(folder="photos"), r"its only folder is read in its place: \S*own/photos"),
    "a class called train": (
        classes("bus", "car", "train"),
        "'train' is read as a class, because it holds images directly",
    ),
    "groups of classes": (
        classes("fish/cod", "fish/eel", "bird/owl"),
        "all images in its folders 'cod', 'eel' are of the class 'fish'; if those folders are the classes",
    ),
    "letter case": (classes("Ant", "ant"), "classes 'Ant' and 'ant' differ by letter case or separators only"),
    "a test class of another spelling": (
        classes(folder="train") | classes("Ant", "bee", count=1, folder="test"),
        "own/test/Ant: read as test images of the class 'ant'",
    ),
}


@pytest.mark.parametrize("case", WARNINGS)
def test_what_is_read_but_odd_is_told(tmp_path, case):
    files, text = WARNINGS[case]
    dataset = read(put(tmp_path / "own", files))
    assert any(re.search(text, warning) for warning in dataset.warnings), dataset.warnings


def test_images_in_the_folder_of_a_class_and_below_it_are_all_of_the_class(tmp_path):
    files = classes() | {"ant/more/9.png": picture(70), "ant/more/still/8.jpg": encoded(picture(80), "JPEG")}
    assert counts(read(put(tmp_path / "own", files)))["ant"] == (4, 1)
