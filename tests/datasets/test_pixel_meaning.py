"""What pixels mean is kept whatever holds them: ranges, depths, transparency and normalisation."""

import re

import numpy as np
import pytest
from PIL import Image

from bacon.config.loading import check_config
from bacon.datasets.oddities import oddities
from bacon.runtime.errors import BaconError
from bacon.settings.data import DataSettings
from tests.datasets.own_data import arrays, classes, deep_png, deep_tiff, encoded, picture, put, read, saved

RAMP = np.linspace(0, 1, 64).reshape(8, 8)


def as_read(tmp_path, *images, options=None, mode="L"):
    """What images, put into a test folder as the only ones of their depth, become: (N, C, 8, 8)."""
    files = classes(folder="train", mode=mode) | {"test/bee/0.png": picture(9)}
    files |= {f"test/ant/{number}.{kind}": content for number, (kind, content) in enumerate(images)}
    dataset = read(put(tmp_path / "own", files), **(options or {}))
    return dataset.test_images[: len(images)], dataset.warnings


def levels(top):
    """The ramp in whole numbers from 0 to ``top``, and what it is in 8 bits."""
    values = np.rint(RAMP * top).astype(np.uint16)
    return values, np.rint(values / top * 255).astype(np.uint8)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_deep_grey_images_are_scaled_by_the_fewest_bits_that_hold_them(tmp_path, bits, kind):
    values, expected = levels(2**bits - 1)
    content = deep_png(values) if kind == "png" else encoded(Image.fromarray(values), "TIFF")
    images, warnings = as_read(tmp_path, (kind, content))
    np.testing.assert_array_equal(images[0, 0], expected)
    assert any(f"read as values in 0..{2**bits - 1}" in warning for warning in warnings)


def test_one_range_holds_for_all_deep_images(tmp_path):
    dark, bright = np.full((8, 8), 100, np.uint16), np.full((8, 8), 4000, np.uint16)
    images, _ = as_read(tmp_path, ("png", deep_png(dark)), ("png", deep_png(bright)))
    assert images[:, 0, 0, 0].tolist() == [round(100 / 4095 * 255), round(4000 / 4095 * 255)]


def test_a_stated_range_wins(tmp_path):
    values, _ = levels(3000)
    images, warnings = as_read(tmp_path, ("png", deep_png(values)), options={"value_range": [0, 3000]})
    np.testing.assert_array_equal(images[0, 0], np.rint(values / 3000 * 255))
    assert warnings == ()
    with pytest.raises(
        BaconError, match=r"0\.png: its values from 0 to 3000 are not in 0\.\.2000; change data\.mine\.value_range"
    ):
        read(tmp_path / "own", value_range=[0, 2000])


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("kind", ["png", "little-endian tiff", "big-endian tiff"])
def test_deep_colour_keeps_its_levels(tmp_path, channels, kind):
    values, expected = levels(4095)
    turned = [values, values.T, values[::-1]]
    stacked = np.stack(turned + ([np.full((8, 8), 65535)] if channels == 4 else []), axis=2)
    content = deep_png(stacked) if kind == "png" else deep_tiff(stacked, "<" if kind.startswith("little") else ">")
    images, _ = as_read(tmp_path, (kind.split()[-1], content))
    np.testing.assert_array_equal(images[0], [expected, expected.T, expected[::-1]])


def test_deep_transparency_is_laid_on_the_background(tmp_path):
    grey = deep_png(np.stack([np.full((8, 8), 4000), np.where(RAMP < 0.5, 0, 65535)], axis=2))
    images, _ = as_read(tmp_path, ("png", grey))
    assert (images[0, 0][RAMP < 0.5] == 255).all()
    assert (images[0, 0][RAMP >= 0.5] == round(4000 / 4095 * 255)).all()


def test_a_deep_graymap_states_its_own_range(tmp_path):
    values = np.rint(RAMP * 1000).astype(">u2")
    images, _ = as_read(tmp_path, ("pgm", b"P5 8 8 1000\n" + values.tobytes()))
    np.testing.assert_allclose(images[0, 0], RAMP * 255, atol=1)


FLOATS = {
    "0..1": (RAMP, [0, 1], RAMP * 255),
    "0..255": (RAMP * 255, [0, 255], RAMP * 255),
    "-1..1": (RAMP * 2 - 1, [-1, 1], RAMP * 255),
    "0..4095": (RAMP * 4095, [0, 4095], RAMP * 255),
}


@pytest.mark.parametrize("case", FLOATS)
def test_floating_point_images_need_their_range_and_the_error_suggests_it(tmp_path, case):
    values, stated, expected = FLOATS[case]
    file = ("tiff", encoded(Image.fromarray(values.astype(np.float32)), "TIFF"))
    with pytest.raises(BaconError, match=rf"mode F.*value_range to .*such as {re.escape(str(stated))}"):
        as_read(tmp_path, file)
    images = read(tmp_path / "own", value_range=stated).test_images
    np.testing.assert_array_equal(images[0, 0], np.rint(expected))


def test_whole_32_bit_numbers_need_their_range(tmp_path):
    file = ("tiff", encoded(Image.fromarray(np.rint(RAMP * 70000).astype(np.int32)), "TIFF"))
    with pytest.raises(BaconError, match=r"mode I.*from 0 to 70000.*such as \[0, 70000\]"):
        as_read(tmp_path, file)
    np.testing.assert_array_equal(read(tmp_path / "own", value_range=[0, 70000]).test_images[0, 0], np.rint(RAMP * 255))


def test_infinite_pixels_are_refused(tmp_path):
    file = ("tiff", encoded(Image.fromarray(np.full((8, 8), np.nan, np.float32)), "TIFF"))
    with pytest.raises(BaconError, match=r"0\.tiff: holds NaN or infinite values"):
        as_read(tmp_path, file)


def see_through(mode):
    """An image of one level, 120, whose upper half is transparent."""
    alpha = Image.new("L", (8, 8), 255)
    alpha.paste(0, (0, 0, 8, 4))
    if mode == "P":
        image = Image.new("P", (8, 8), 1)
        image.putpalette([10, 10, 10, 120, 120, 120])
        image.paste(0, (0, 0, 8, 4))
        return encoded(image, transparency=0)
    if mode == "L with a colour key":
        image = Image.new("L", (8, 8), 120)
        image.paste(7, (0, 0, 8, 4))
        return encoded(image, transparency=7)
    if mode == "RGB with a colour key":
        image = Image.new("RGB", (8, 8), (120, 120, 120))
        image.paste((1, 2, 3), (0, 0, 8, 4))
        return encoded(image, transparency=(1, 2, 3))
    image = Image.new(mode, (8, 8), (120,) * (len(mode) - 1) + (255,))
    image.putalpha(alpha)
    return encoded(image, "WEBP" if mode == "RGBA webp" else "PNG")


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L with a colour key", "RGB with a colour key"])
@pytest.mark.parametrize(("background", "upper"), [(None, 255), ([0, 0, 0], 0), ([90, 90, 90], 90)])
def test_transparency_is_laid_on_the_background(tmp_path, mode, background, upper):
    options = {"channels": 1} | ({"background": background} if background else {})
    images, _ = as_read(tmp_path, ("png", see_through(mode)), options=options)
    assert set(images[0, 0, :4].ravel().tolist()) == {upper}
    assert set(images[0, 0, 4:].ravel().tolist()) == {120}


def test_half_transparent_pixels_are_mixed_with_the_background(tmp_path):
    images, _ = as_read(tmp_path, ("png", encoded(Image.new("RGBA", (8, 8), (0, 0, 0, 128)))), options={"channels": 1})
    assert images[0, 0, 0, 0] == 127


def test_a_coloured_background_makes_transparent_grey_images_coloured(tmp_path):
    files = classes(folder="train") | {"test/ant/0.png": see_through("LA"), "test/bee/0.png": picture(9)}
    root = put(tmp_path / "own", files)
    assert read(root).train_images.shape[1] == 1
    assert read(root, background=[255, 0, 0]).test_images[0, :, 0, 0].tolist() == [255, 0, 0]


KINDS = {
    "two levels": ("png", encoded(Image.new("1", (8, 8), 1)), [255]),
    "a palette": ("png", encoded(Image.new("RGB", (8, 8), (10, 200, 30)).quantize(4)), [10, 200, 30]),
    "CMYK": ("jpg", encoded(Image.new("CMYK", (8, 8), (255, 255, 0, 0)), "JPEG", quality=100), [0, 0, 255]),
    "CMYK in a TIFF": ("tif", encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "TIFF"), [255, 0, 0]),
    "a bitmap": ("bmp", encoded(Image.new("RGB", (8, 8), (1, 2, 3)), "BMP"), [1, 2, 3]),
}


@pytest.mark.parametrize("case", KINDS)
def test_kinds_of_pixels(tmp_path, case):
    kind, content, expected = KINDS[case]
    images, _ = as_read(tmp_path, (kind, content), mode="RGB")
    found = images[0, :, 3, 3].astype(int)
    assert abs(found - expected).max() <= 2


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_images_are_turned_as_their_orientation_says(tmp_path, orientation, kind):
    upright = np.full((8, 16), 40, np.uint8)
    upright[:4, :8] = 220
    turn = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: a[::-1, ::-1],
        4: np.flipud,
        5: lambda a: a.T,
        6: lambda a: np.rot90(a, 1),
        7: lambda a: a[::-1, ::-1].T,
        8: lambda a: np.rot90(a, -1),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(Image.fromarray(np.ascontiguousarray(turn[orientation](upright))), kind, exif=exif)
    files = {f"{part}/{name}/{kind}.{kind.lower()}": content for part in ("train", "test") for name in ("ant", "bee")}
    root = put(tmp_path / "own", files)
    with pytest.raises(BaconError, match="images are 8 x 16 pixels"):
        read(root)
    left_upper = read(root, size=8).test_images[0, 0].astype(int)
    assert abs(left_upper[1, 1] - 220) < 30
    assert abs(left_upper[6, 6] - 40) < 30


def test_masks_of_0_and_1_in_image_files_need_their_range(tmp_path):
    mask = np.zeros((8, 8), np.uint8)
    files = {}
    for name, label in (("ant", 0), ("bee", 1)):
        for number in range(4):
            mask = np.zeros((8, 8), np.uint8)
            mask[number : number + 3, label * 4 : label * 4 + 3] = 1
            files[f"{name}/{number}.png"] = Image.fromarray(mask)
    root = put(tmp_path / "own", files)
    with pytest.raises(BaconError, match=r"every image holds only 0 and 1.*set data\.mine\.value_range to \[0, 1\]"):
        read(root)
    assert set(np.unique(read(root, value_range=[0, 1]).train_images)) == {0, 255}
    assert set(np.unique(read(root, value_range=[0, 255]).train_images)) == {0, 1}


PIXELS = arrays()
X, XT = PIXELS["x_train"], PIXELS["x_test"]
MASK, MASK_T = (X > 100).astype(np.uint8), (XT > 100).astype(np.uint8)


def pair(function, dtype):
    return {"x_train": function(X).astype(dtype), "x_test": function(XT).astype(dtype)}


READ = {
    "uint8": (pair(lambda x: x, np.uint8), {}, X),
    "int64": (pair(lambda x: x, np.int64), {}, X),
    "whole floats": (pair(lambda x: x, np.float32), {}, X),
    "big-endian": (pair(lambda x: x, ">i4"), {}, X),
    "fractions": (pair(lambda x: x / 255, np.float32), {}, X),
    "half precision": (pair(lambda x: x / 255, np.float16), {}, X),
    "a rounding error above 1": (pair(lambda x: np.where(x == 255, 1.0000002, x / 255), np.float32), {}, X),
    "a rounding error below 0": (pair(lambda x: np.where(x == 0, -1e-7, x / 255), np.float64), {}, X),
    "booleans": (pair(lambda x: x > 100, bool), {}, MASK * 255),
    "12 bits in 16": (pair(lambda x: x.astype(int) * 16 + 15, np.uint16), {}, None),
    "masks, stated": (pair(lambda x: x > 100, np.uint8), {"value_range": [0, 1]}, MASK * 255),
    "float masks, stated": (pair(lambda x: x > 100, np.float32), {"value_range": [0, 1]}, MASK * 255),
    "levels 0 and 1, stated": (pair(lambda x: x > 100, np.uint8), {"value_range": [0, 255]}, MASK),
    "-1..1, stated": (pair(lambda x: x / 127.5 - 1, np.float32), {"value_range": [-1, 1]}, X),
    "signed bytes, stated": (pair(lambda x: x.astype(int) - 128, np.int8), {"value_range": [-128, 127]}, X),
    "fractions of 255, stated": (pair(lambda x: np.minimum(x + 0.25, 255), np.float32), {"value_range": [0, 255]}, X),
    "4 bits, stated": (pair(lambda x: x // 16, np.uint8), {"value_range": [0, 15]}, X // 16 * 17),
}


@pytest.mark.parametrize("case", READ)
def test_values_of_arrays(tmp_path, case):
    changes, options, expected = READ[case]
    dataset = read(saved(tmp_path / "own.npz", arrays(**changes)), **options)
    if expected is None:
        expected = np.rint(changes["x_train"] / 4095 * 255)
        assert any("read as values in 0..4095" in warning for warning in dataset.warnings)
    np.testing.assert_array_equal(dataset.train_images, expected.transpose(0, 3, 1, 2))


ERRORS = {
    "uint8 masks": (
        pair(lambda x: x > 100, np.uint8),
        "x_train .uint8. holds only 0 and 1.*value_range to .0, 1. if 1 is white",
    ),
    "int masks": (pair(lambda x: x > 100, np.int32), "x_train .int32. holds only 0 and 1"),
    "float masks": (pair(lambda x: x > 100, np.float64), "x_train .float64. holds only 0 and 1"),
    "a mask for a test set": (
        {"x_test": MASK_T},
        "x_test holds only 0 and 1, but the training.*multiply the test images by 255",
    ),
    "test fractions": (
        {"x_test": XT / 255},
        r"x_test has values that are not in 0\.\.255.*multiply the test images by 255",
    ),
    "training fractions": (
        {"x_train": X / 255},
        r"x_test has values that are not in 0\.\.1.*divide the test images by 255",
    ),
    "a test set beyond": (
        {"x_train": X // 2, "x_test": XT.astype(int) * 3},
        r"x_test has values that are not in 0\.\.255",
    ),
    "normalised": (
        pair(lambda x: (x - 120.0) / 60, np.float32),
        r"values in \[-2, 2\.25\].*Undo the normalisation.*or set",
    ),
    "-1..1": (pair(lambda x: x / 127.5 - 1, np.float32), r"such as \[-1, 1\]"),
    "a bit above 1": (
        pair(lambda x: x / 200, np.float32),
        r"values up to 1\.27\d*; If 1 is white, save numpy\.clip|clip",
    ),
    "fractions of 255": (
        pair(lambda x: x * 0.9, np.float32),
        r"fractions and values up to 229\.5; Set data\.mine\.value_range .*\[0, 255\]",
    ),
    "32-bit numbers": (pair(lambda x: x * 16.0, np.int32), r"values in \[0, 4080\].*such as \[0, 4095\]"),
    "infinite": (pair(lambda x: np.where(x == 0, np.inf, x / 255), np.float32), "NaN or infinite values.*isfinite"),
    "complex": (pair(lambda x: x, np.complex64), "x_train has type complex64"),
    "dates": (pair(lambda x: x, "datetime64[s]"), "x_train has type datetime64"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_values_that_could_mean_two_things_are_errors(tmp_path, case):
    changes, text = ERRORS[case]
    with pytest.raises(BaconError, match=text):
        read(saved(tmp_path / "own.npz", arrays(**changes)))


def test_values_outside_of_a_stated_range_are_errors(tmp_path):
    with pytest.raises(BaconError, match=r"values from 0 to 255 are not in 0\.\.100"):
        read(saved(tmp_path / "own.npz", arrays()), value_range=[0, 100])


def test_dark_values_are_told_of(tmp_path):
    dataset = read(saved(tmp_path / "own.npz", arrays(**pair(lambda x: x // 16, np.uint8))))
    assert any("has values in 0..15 only" in warning and "[0, 15]" in warning for warning in dataset.warnings)


NORMALISATIONS = {
    "mean and std of 0..255": (
        {"mean": [90.0, 90.0, 90.0], "std": [40.0, 40.0, 40.0]},
        r"`mean` .*\[0, 1\].*divide by 255: \[0\.3529",
    ),
    "std alone of 0..255": (
        {"mean": [0.4, 0.4, 0.4], "std": [58.4, 57.1, 57.4]},
        r"`std` .*\[0\.229, 0\.2239, 0\.2251\]",
    ),
    "a negative mean": ({"mean": [-0.1], "std": [0.5]}, r"`mean` is of images in \[0, 1\].*found \[-0\.1\]"),
    "no number": ({"mean": [float("nan")], "std": [0.5]}, "finite number"),
    "no number as std": ({"mean": [0.5], "std": [float("nan")]}, "finite number"),
    "std of 0": ({"mean": [0.5], "std": [0.0]}, "`std` must be positive"),
    "too large": ({"mean": [1000.0], "std": [0.5]}, r"found \[1000\.0\]"),
    "one of two": ({"mean": [0.5]}, "both `mean` and `std`"),
    "a range the wrong way round": ({"value_range": [1, 0]}, "the smaller one first"),
    "a range of one value": ({"value_range": [1, 1]}, "the smaller one first"),
    "an endless range": ({"value_range": [0, float("inf")]}, "finite number"),
}


@pytest.mark.parametrize("case", NORMALISATIONS)
def test_normalisation_and_ranges_are_checked_when_the_configuration_is_read(case):
    settings, text = NORMALISATIONS[case]
    with pytest.raises(BaconError, match=text):
        check_config({"data": {"mine": {"format": "npz", "path": "x.npz"} | settings}})


@pytest.mark.parametrize(
    ("mean", "std", "odd"), [(0.5, 0.3, False), (0.0, 1.0, False), (0.5, 0.01, True), (1.0, 0.05, True)]
)
def test_a_normalisation_far_from_the_data_is_told_of(tmp_path, mean, std, odd):
    dataset = read(saved(tmp_path / "own.npz", arrays()), mean=[mean] * 3, std=[std] * 3)
    found = oddities(dataset, own=True, normalisation_given=True)
    assert any("far from the training images'" in warning for warning in found) == odd


@pytest.mark.parametrize(("key", "value"), [("background", [0, 0, 0]), ("corrupt_limit", 1), ("value_range", [0, 1])])
def test_keys_that_a_format_has_not_are_refused(key, value):
    kind = "hdf5" if key == "value_range" else "npz"
    with pytest.raises(ValueError, match=f"`{key}` belongs to"):
        DataSettings(format=kind, path="x", **{key: value})
