"""Folders of class folders: layouts, sizes, colours, and files that are no images."""

import io
import os

import numpy as np
import pytest
from PIL import Image

from bacon.datasets.prepare import build
from bacon.runtime.errors import BaconError
from bacon.settings.data import DataSettings

RED, GREEN, BLUE = (200, 30, 20), (20, 180, 40), (10, 20, 220)


def picture(colour, *, size=(8, 8), mode="RGB"):
    """One colour, the value of its first channel when the mode has one; size is (width, height)."""
    return Image.new(mode, size, colour if mode == "RGB" else colour[0])


@pytest.fixture
def root(tmp_path):
    return tmp_path / "images"


def put(root, files):
    """Write images (or bytes) under their relative paths."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            content.save(path)


def read(root, **options):
    settings = DataSettings(format="imagefolder", path=str(root), **options)
    return build("mine", settings, download_dir=root.parent)


def striped(classes=("cat", "dog"), count=5, **options):
    """Class folders of images that differ in brightness."""
    return {
        f"{name}/{number}.png": picture((20 * number + 10 * label + 5, 90 - number, 40 + number), **options)
        for label, name in enumerate(classes)
        for number in range(count)
    }


def prefixed(folder, files):
    return {f"{folder}/{name}": content for name, content in files.items()}


@pytest.mark.parametrize(("train", "test"), [("train", "test"), ("Train", "val"), ("training", "validation")])
def test_training_and_test_folders(root, train, test):
    put(root, prefixed(train, striped()) | {f"{test}/dog/x.png": picture(RED), f"{test}/cat/y.png": picture(GREEN)})
    dataset = read(root)
    assert dataset.class_names == ("cat", "dog")
    assert dataset.train_labels.tolist() == [0] * 5 + [1] * 5
    assert dataset.train_images[:, 0, 0, 0].tolist() == [5, 25, 45, 65, 85, 15, 35, 55, 75, 95]
    assert dataset.test_labels.tolist() == [0, 1]
    assert dataset.test_images[:, :, 3, 3].tolist() == [list(GREEN), list(RED)]


def test_where_both_are_test_is_taken_and_val_named_as_unused(root, caplog):
    files = prefixed("train", striped()) | {f"{name}/cat/x.png": picture(RED) for name in ("val", "test")}
    put(root, files | {"val/dog/z.png": picture(RED), "test/dog/y.png": picture(RED)})
    (root / "val/cat/x2.png").write_bytes((root / "val/cat/x.png").read_bytes())
    assert len(read(root).test_labels) == 2
    assert "test is the test set; not used: val" in caplog.text


@pytest.mark.parametrize("folder", ["", "train"])
def test_one_folder_is_split_by_a_seed(root, folder):
    put(root / folder, striped(count=10))
    dataset = read(root, test_fraction=0.3)
    assert np.bincount(dataset.test_labels).tolist() == [3, 3]
    assert np.bincount(dataset.train_labels).tolist() == [7, 7]
    levels = [*dataset.train_images[:, 0, 0, 0], *dataset.test_images[:, 0, 0, 0]]
    assert sorted(levels) == sorted(20 * number + 10 * label + 5 for label in range(2) for number in range(10))
    again, other = read(root, test_fraction=0.3), read(root, test_fraction=0.3, split_seed=1)
    np.testing.assert_array_equal(again.test_images, dataset.test_images)
    assert not np.array_equal(other.test_images, dataset.test_images)


def test_normalisation_is_measured_on_the_training_images_alone(root):
    put(root, prefixed("train", striped()) | {"test/cat/x.png": picture(RED), "test/dog/x.png": picture(BLUE)})
    dataset = read(root)
    pixels = dataset.train_images / 255
    assert dataset.mean == pytest.approx(pixels.mean(axis=(0, 2, 3)))
    assert dataset.std == pytest.approx(pixels.std(axis=(0, 2, 3)))
    given = read(root, channels=1, mean=[0.5], std=[0.25])
    assert (given.mean, given.std) == ((0.5,), (0.25,))


def test_a_constant_channel_cannot_be_normalised(root):
    put(root, {f"{name}/{number}.png": picture((number, 5, number)) for name in "ab" for number in range(4)})
    with pytest.raises(BaconError, match="channel 1 has the same value in every training image"):
        read(root)


def test_any_size_is_scaled_by_its_shorter_side_and_cropped_in_the_middle(root):
    wide = Image.new("L", (40, 20), 10)
    wide.paste(200, (10, 0, 30, 20))  # the middle square
    files = striped(mode="L") | {"cat/wide.png": wide, "dog/high.png": wide.rotate(90, expand=True)}
    put(root, prefixed("train", files) | {"test/cat/x.png": wide, "test/dog/x.png": wide})
    dataset = read(root, size=10)
    assert dataset.train_images.shape == (12, 1, 10, 10)
    # The filter mixes a pixel at the edge of the crop with those beyond it, as if cropped after scaling.
    assert (dataset.test_images[..., 1:-1, 1:-1] == 200).all()
    bright = dataset.train_images[dataset.train_images.max(axis=(1, 2, 3)) == 200]
    assert len(bright) == 2
    assert (bright[..., 1:-1, 1:-1] == 200).all()


def test_mixed_sizes_need_a_size(root):
    put(root, striped() | {"dog/large.png": picture(RED, size=(9, 12))})
    with pytest.raises(BaconError, match=r"2 different sizes .*8 x 8.*large\.png has 12 x 9.*set\s+data\.mine\.size"):
        read(root)


def test_images_that_are_not_square_need_a_size(root):
    put(root, striped(size=(8, 6)))
    with pytest.raises(BaconError, match=r"6 x 8 pixels; networks need square images. Set data\.mine\.size"):
        read(root)


def test_grey_when_every_image_is_grey_and_colour_when_one_is_not(root):
    put(root, striped(mode="L"))
    assert read(root).train_images.shape[1] == 1
    put(root, {"cat/red.png": picture(RED), "dog/red.png": picture(RED)})
    assert read(root, mean=[0, 0, 0], std=[1, 1, 1]).train_images.shape[1] == 3
    assert read(root, channels=1).train_images.shape[1] == 1


def test_modes_of_pixels_become_eight_bits(root):
    deep = Image.fromarray(np.full((8, 8), 257 * 200, dtype=np.uint16))
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([0, 0, 0, *RED])
    transparent = Image.new("RGBA", (8, 8), (*GREEN, 0))
    test = {"a/1deep.png": deep, "a/2palette.png": palette, "a/3transparent.png": transparent}
    bilevel = {"b/1bit.png": Image.new("1", (8, 8), 1)}
    put(root, prefixed("train", striped(("a", "b"))) | prefixed("test", test | bilevel))
    dataset = read(root, mean=[0, 0, 0], std=[1, 1, 1])
    assert dataset.test_images[:, :, 0, 0].tolist() == [[200] * 3, list(RED), [255] * 3, [255] * 3]


def test_images_are_turned_upright(root):
    """A camera held sideways stores the picture as it lies and says so in its EXIF orientation."""
    upright = Image.new("RGB", (16, 8), RED)
    upright.paste(BLUE, (8, 0, 16, 8))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned 90 degrees clockwise
    stream = io.BytesIO()
    upright.rotate(90, expand=True).save(stream, "PNG", exif=exif)
    files = {f"{split}/{name}/x.png": stream.getvalue() for split in ("train", "test") for name in ("a", "b")}
    put(root, files | {"train/a/y.png": upright})
    dataset = read(root, size=8)
    assert len({image.tobytes() for image in dataset.train_images}) == 1


def test_jpeg_is_read(root):
    stream = io.BytesIO()
    picture(BLUE).save(stream, "JPEG", quality=95)
    put(
        root, prefixed("train", striped()) | {"test/cat/x.JPEG": stream.getvalue(), "test/dog/x.jpg": stream.getvalue()}
    )
    dataset = read(root, mean=[0, 0, 0], std=[1, 1, 1])
    assert abs(dataset.test_images[:, :, 4, 4].astype(int) - BLUE).max() <= 3


@pytest.fixture
def broken(root):
    """A folder with three files that are no images."""
    put(root, prefixed("train", striped()) | prefixed("test", striped(count=1)))
    whole = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)).save(whole, "JPEG")
    half = whole.getvalue()[: len(whole.getvalue()) // 2]
    put(root, {"train/cat/empty.png": b"", "train/dog/text.jpg": b"no image", "test/dog/cut.jpg": half})
    return root


def test_corrupt_files_are_named(broken):
    with pytest.raises(BaconError) as raised:
        read(broken, size=8, channels=1)
    message = str(raised.value)
    # What a header shows is said before anything is decoded.
    assert "2 files cannot be read as images, data.mine.corrupt_limit allows 0" in message
    assert "train/cat/empty.png: the file is empty" in message
    assert "train/dog/text.jpg: not an image in a known format" in message
    with pytest.raises(BaconError, match=r"3 files cannot be read.*(?s:.)*test/dog/cut\.jpg: damaged.*truncated"):
        read(broken, size=8, channels=1, corrupt_limit=2)


def test_as_many_corrupt_files_as_allowed_are_skipped(broken, caplog):
    dataset = read(broken, size=8, channels=1, corrupt_limit=3)
    assert len(dataset.train_labels) == 10
    assert dataset.test_labels.tolist() == [0, 1]
    for name in ("empty.png", "text.jpg", "cut.jpg"):
        assert name in caplog.text


def test_many_corrupt_files_are_counted_and_the_first_ten_named(root):
    put(root, striped() | {f"cat/{number:02}.jpg": b"" for number in range(25)})
    with pytest.raises(BaconError) as raised:
        read(root)
    assert "25 files cannot be read" in str(raised.value)
    assert "cat/09.jpg" in str(raised.value)
    assert "cat/10.jpg" not in str(raised.value)
    assert "and 15 more" in str(raised.value)


def test_pixels_of_no_known_range_are_refused(root):
    put(root, striped() | {"cat/float.tiff": Image.fromarray(np.ones((8, 8), np.float32))})
    with pytest.raises(BaconError, match=r"float\.tiff: its pixels are 32-bit numbers \(mode F\)"):
        read(root)


def test_hidden_files_and_files_that_are_no_images_are_left_alone(root):
    put(
        root,
        striped(mode="L")
        | {"cat/notes.txt": b"text", ".cache/x.png": b"", "cat/.hidden.png": b"", "dog/.d/x.png": b""},
    )
    dataset = read(root)
    assert len(dataset.train_labels) + len(dataset.test_labels) == 10
    assert dataset.class_names == ("cat", "dog")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"x.png": picture(RED)}, "x.png is outside the class folders"),
        (
            {"train/cat/x.png": picture(RED), "test/bird/x.png": picture(RED)},
            "'bird' is not a class of the training folder",
        ),
        ({"cat/notes.txt": b"text"}, "no folder in it holds an image file"),
        ({"cat/x.png": picture(RED), "cat/y.png": picture(RED)}, "only one class"),
        ({"cat/x.png": picture(RED), "dog/y.png": picture(RED)}, "class 'cat' has 1 image; at least 2"),
        ({f"{name}/cat/x.png": picture(RED) for name in ("train", "test")}, "only one class"),
    ],
    ids=["stray", "unknown class", "no images", "one class", "one image", "one class, two splits"],
)
def test_bad_layouts_are_errors(root, files, message):
    put(root, files)
    with pytest.raises(BaconError, match=message):
        read(root)


def test_an_empty_class_is_an_error(root):
    put(root, prefixed("train", striped()) | prefixed("test", striped(count=1)))
    (root / "train" / "fish").mkdir()
    with pytest.raises(BaconError, match=r"no training image of class 'fish': the folder 'fish' holds nothing"):
        read(root, channels=1)


def test_a_folder_that_may_not_be_read_is_named(root, monkeypatch):
    """Root may read everything, so the refusal is put into the call."""
    put(root, striped())
    listed = os.scandir

    def refuse(path):
        if str(path).endswith("dog"):
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(BaconError, match="dog: cannot be read: Permission denied"):
        read(root)
