"""No file in a folder of images is lost without a word: it is read, counted among those left out, or an error."""

import os
import sys

import pytest
from PIL import Image

from bacon.datasets.image_files import image_files
from bacon.runtime.errors import BaconError
from tests.datasets.own_data import classes, counts, encoded, picture, put, read

KINDS = {
    ".jpg": "JPEG",
    ".JPG": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".jfif": "JPEG",
    ".JFIF": "JPEG",
    ".jif": "JPEG",
    ".png": "PNG",
    ".Png": "PNG",
    ".bmp": "BMP",
    ".dib": "DIB",
    ".gif": "GIF",
    ".tif": "TIFF",
    ".TIFF": "TIFF",
    ".webp": "WEBP",
    ".ppm": "PPM",
    ".pgm": "PPM",
    ".pnm": "PPM",
    ".pbm": "PPM",
    ".tga": "TGA",
    ".pcx": "PCX",
    ".jp2": "JPEG2000",
    ".avif": "AVIF",
}


@pytest.mark.parametrize("suffix", KINDS)
def test_common_suffixes_are_read(tmp_path, suffix):
    kind = KINDS[suffix]  # the locked Pillow reads and writes all of them
    image = picture(40).convert("1") if suffix == ".pbm" else picture(40)
    root = put(tmp_path / "own", classes(count=2) | {f"ant/photo{suffix}": encoded(image, kind)})
    assert counts(read(root))["ant"] == (2, 1)


LEFT_OUT = {
    "a text": ({"ant/notes.txt": "text"}, "1 .txt"),
    "photos that are not read": (
        {"ant/a.heic": b"x", "bee/b.HEIC": b"x"},
        "2 .heic; convert .heic to PNG or JPEG to use them",
    ),
    "raw photos": ({"ant/a.NEF": b"x"}, "1 .nef; convert .nef to PNG or JPEG"),
    "no suffix": ({"ant/LICENCE": "x"}, "1 without suffix"),
    "an archive in a class": ({"ant/more.zip": b"PK"}, "1 .zip; unpack .zip to use what is in them"),
    "files beside the classes": ({"labels.csv": "a,b", "README.md": "x"}, "1 .csv, 1 .md"),
    "most frequent first": ({f"ant/{n}.xml": "x" for n in range(3)} | {"a.json": "x"}, "3 .xml, 1 .json"),
    "a suffix cut off": ({"ant/9.png.part": b"x"}, "1 .part"),
    "a backup": ({"ant/9.png~": b"x"}, "1 .png~"),
}


@pytest.mark.parametrize("case", LEFT_OUT)
def test_every_visible_file_that_is_not_taken_is_counted(tmp_path, caplog, case):
    files, text = LEFT_OUT[case]
    dataset = read(put(tmp_path / "own", classes() | files))
    assert len(dataset.train_labels) + len(dataset.test_labels) == 6
    assert any(f"files not taken: {text}" in warning for warning in dataset.warnings)
    assert text in caplog.text


SYSTEM = [
    "ant/.DS_Store",
    "Thumbs.db",
    "ant/thumbs.DB",
    "desktop.ini",
    "ant/._0.png",
    "__MACOSX/ant/._0.png",
    "__MACOSX/ant/0.png",
    ".ipynb_checkpoints/0.png",
    "ant/.ipynb_checkpoints/0.png",
    "@eaDir/0.png",
    "ant/@eaDir/0.png/SYNO.png",
    "$RECYCLE.BIN/x.png",
    "System Volume Information/x.dat",
    "lost+found/x",
    "__pycache__/x.pyc",
]


def test_files_of_operating_systems_go_unmentioned(tmp_path):
    dataset = read(put(tmp_path / "own", classes() | dict.fromkeys(SYSTEM, "x")))
    assert counts(dataset) == {"ant": (2, 1), "bee": (2, 1)}
    assert dataset.warnings == ()


def link(target, place):
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(target)


def test_a_dangling_link_is_an_unreadable_image(tmp_path):
    root = put(tmp_path / "own", classes())
    for number in range(3):
        link(f"/gone/{number}.png", root / f"ant/x{number}.png")
    with pytest.raises(
        BaconError, match=r"3 files cannot be read.*set the limit to 3(?s:.)*a link to /gone/0\.png, which does not"
    ):
        read(root)
    dataset = read(root, corrupt_limit=3)
    assert counts(dataset)["ant"] == (2, 1)
    assert any("3 unreadable files were left out" in warning for warning in dataset.warnings)


def test_a_dangling_link_to_no_image_is_a_file_left_out(tmp_path):
    root = put(tmp_path / "own", classes())
    link("/gone/notes.txt", root / "ant/notes.txt")
    assert any("files not taken: 1 .txt" in warning for warning in read(root).warnings)


def test_links_to_images_and_folders_are_followed_and_links_back_are_not(tmp_path):
    store = put(tmp_path / "store", classes("x"))
    root = put(tmp_path / "own", classes())
    link(store / "x", root / "cow")
    link(store / "x/0.png", root / "ant/linked.png")
    link(root, root / "ant/all")
    link(root / "bee", root / "bee/again")
    link(root / "ant/self.png", root / "ant/self.png")
    dataset = read(root, corrupt_limit=1)
    assert counts(dataset) == {"ant": (3, 1), "bee": (2, 1), "cow": (2, 1)}
    assert any("2 link(s) back to a folder above" in warning for warning in dataset.warnings)


UNREADABLE = {
    "empty": (b"", "the file is empty"),
    "a text": (b"no image at all", "not an image in a known format"),
    "a web page": (b"<!DOCTYPE html><html>404</html>", "not an image"),
    "cut short": (encoded(picture(40, mode="RGB", side=64), "JPEG")[:300], "damaged|truncated"),
    "a heic called jpg": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "not an image|damaged"),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_what_is_no_image_is_named_with_the_reason(tmp_path, case):
    content, reason = UNREADABLE[case]
    root = put(tmp_path / "own", classes(mode="RGB") | {"ant/bad.jpg": content})
    with pytest.raises(BaconError, match=rf"1 files cannot be read as images(?s:.)*ant/bad\.jpg: .*({reason})"):
        read(root, size=8)
    assert counts(read(root, size=8, corrupt_limit=1))["ant"] == (2, 1)


def test_a_suffix_that_lies_about_the_kind_of_image_does_not_matter(tmp_path):
    root = put(
        tmp_path / "own",
        classes() | {"ant/png.jpg": encoded(picture(40)), "bee/tiff.bmp": encoded(picture(41), "TIFF")},
    )
    assert counts(read(root)) == {"ant": (3, 1), "bee": (3, 1)}


NOTHING = {
    "empty": ({}, "Found: no files at all"),
    "texts": ({"ant/a.txt": "x", "ant/b.txt": "x"}, "Found: 2 .txt. Read are .avif, .bmp"),
    "an archive": ({"pictures.zip": b"PK"}, r"Found: 1 \.zip\..*unpack \.zip"),
    "heic": ({"ant/a.heic": b"x"}, r"convert \.heic to PNG or JPEG"),
    "system files alone": ({"Thumbs.db": b"x"}, "no files at all"),
}


@pytest.mark.parametrize("case", NOTHING)
def test_nothing_found_says_what_was_found_and_what_is_read(tmp_path, case):
    files, text = NOTHING[case]
    (tmp_path / "own").mkdir()
    with pytest.raises(BaconError, match=text):
        read(put(tmp_path / "own", files))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems allow Unicode names only")
def test_a_name_that_is_no_unicode_is_read(tmp_path):
    root = put(tmp_path / "own", classes())
    (root / "ant" / os.fsdecode(b"caf\xe9.png")).write_bytes(encoded(picture(90)))
    assert counts(read(root))["ant"] == (3, 1)


def test_the_files_that_are_hashed_are_those_that_are_read(tmp_path):
    root = put(
        tmp_path / "own",
        classes() | dict.fromkeys(SYSTEM, "x") | {"ant/a.jfif": encoded(picture(7), "JPEG"), "x.txt": "x"},
    )
    read_files = {str(path.relative_to(root)) for path in image_files(root)}
    assert read_files == {*classes(), "ant/a.jfif"}


def test_an_animation_gives_its_first_frame_and_is_told_of(tmp_path):
    frames = [Image.new("L", (8, 8), level) for level in (30, 200)]
    moving = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    root = put(tmp_path / "own", classes(folder="train") | classes(folder="test") | {"test/ant/9.gif": moving})
    dataset = read(root, channels=1)
    assert dataset.test_images[3].max() <= 31
    assert any("of 1 animated images the first frame is read" in warning for warning in dataset.warnings)
