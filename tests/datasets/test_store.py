"""The preprocessed file: what goes in comes out, and nothing damaged, of another kind or of another version is accepted."""

import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from bacon.datasets.store import (
    SCHEMA_VERSION,
    ImageDataset,
    content_sha256,
    open_store,
    read_dataset,
    verify_dataset,
    write_dataset,
)
from bacon.datasets.whitening import fit_whitening
from bacon.runtime.errors import BaconError
from tests.datasets.conftest import flip_bit

ROOT = Path(__file__).parents[2]


def dataset(*, count=300, validation=True, zca=False):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (count, 3, 16, 16)).astype(np.uint8)
    held = {"validation_images": images[:9], "validation_labels": np.arange(9) % 3} if validation else {}
    return ImageDataset(
        name="it",
        train_images=images,
        train_labels=np.arange(count) % 3,
        test_images=images[:50],
        test_labels=np.arange(len(images[:50])) % 3,
        class_names=("a", "b", "ü"),
        mean=(0.1, 0.2, 0.3),
        std=(0.4, 0.5, 0.6),
        fingerprint="f",
        whitening=fit_whitening(images[:, :, :4, :4], 0.1, "it") if zca else None,
        **held,
    )


@pytest.fixture
def path(tmp_path):
    write_dataset(tmp_path / "it.h5", dataset(), attributes={"source": "here", "title": "It"})
    return tmp_path / "it.h5"


@pytest.mark.parametrize("changes", [{}, {"validation": False}, {"zca": True}, {"count": 5000}])
def test_what_goes_in_comes_out(tmp_path, changes):
    made = dataset(**changes)
    write_dataset(tmp_path / "it.h5", made)
    found = verify_dataset(tmp_path / "it.h5")
    for field in dataclasses.fields(ImageDataset):
        mine, theirs = getattr(made, field.name), getattr(found, field.name)
        if field.name == "whitening" and mine is not None:
            np.testing.assert_array_equal(mine.matrix, theirs.matrix)
        else:
            np.testing.assert_equal(theirs, mine)
    assert found.train_images.dtype == np.uint8
    assert found.train_labels.dtype == np.int64


def test_the_schema(path):
    with h5py.File(path) as file:
        assert dict(file.attrs) | {"mean": 0, "std": 0} == {
            "format": "bacon-dataset",
            "schema_version": SCHEMA_VERSION,
            "name": "it",
            "fingerprint": "f",
            "content_sha256": content_sha256(dataset()),
            "class_names": json.dumps(["a", "b", "ü"]),
            "mean": 0,
            "std": 0,
            "source": "here",
            "title": "It",
        }
        images = file["train/images"]
        assert images.chunks == (300, 3, 16, 16)
        assert (images.compression, images.fletcher32) == ("lzf", True)
        assert file["train/labels"].fletcher32


def test_chunks_hold_whole_images_and_at_most_half_a_mebibyte(tmp_path):
    write_dataset(tmp_path / "it.h5", dataset(count=5000))
    with h5py.File(tmp_path / "it.h5") as file:
        chunks = file["train/images"].chunks
    assert chunks[1:] == (3, 16, 16)
    assert 256 * 1024 < np.prod(chunks) <= 512 * 1024


def test_attributes_of_the_schema_cannot_be_overwritten(tmp_path):
    with pytest.raises(BaconError, match="attributes mean, name belong to the schema"):
        write_dataset(tmp_path / "it.h5", dataset(), attributes={"name": "x", "mean": 1})
    assert list(tmp_path.iterdir()) == []


def test_another_fingerprint_is_refused(path):
    assert read_dataset(path, expected_fingerprint="f").name == "it"
    with pytest.raises(BaconError, match="made for fingerprint f, but g is needed"):
        read_dataset(path, expected_fingerprint="g")


def test_the_training_split_can_be_left_out(path):
    whole, rest = read_dataset(path), read_dataset(path, train=False)
    assert rest.train_images.shape == (0, *whole.train_images.shape[1:])
    assert (rest.train_images.dtype, rest.train_labels.dtype, len(rest.train_labels)) == (np.uint8, np.int64, 0)
    for (name, (images, labels)), (other, (expected, their)) in zip(rest.splits(), whole.splits(), strict=True):
        assert name == other
        if name != "train":
            np.testing.assert_array_equal(images, expected)
            np.testing.assert_array_equal(labels, their)
    with h5py.File(path, "r+") as file:
        del file["train/images"]
    assert len(read_dataset(path, train=False).test_images) == len(whole.test_images)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(BaconError, match=r"absent\.h5: does not exist"):
        read_dataset(tmp_path / "absent.h5")
    with pytest.raises(BaconError, match=r": is not a file, which a prepared data set is"):
        read_dataset(tmp_path)


@pytest.mark.parametrize("keep", [0, 1, 8, 96, 512, 1000, 2048, 0.2, 0.5, 0.8, 0.99, -1])
def test_a_truncated_file_is_an_error(path, keep):
    content = path.read_bytes()
    path.write_bytes(content[: keep if isinstance(keep, int) else int(keep * len(content))])
    message = "not an HDF5 file" if keep in (0, 1) else "truncated or damaged"
    with pytest.raises(BaconError, match=message):
        read_dataset(path)


@pytest.mark.parametrize("name", ["train/images", "train/labels", "test/images", "test/labels", "validation/images"])
def test_a_flipped_bit_in_any_array_is_found(path, name):
    flip_bit(path, name)
    with pytest.raises(BaconError, match="truncated or damaged"):
        read_dataset(path)


def test_contents_that_do_not_match_their_checksum_are_found_by_inspection(path):
    with h5py.File(path, "r+") as file:
        file["train/labels"][0] = 2
    assert read_dataset(path).train_labels[0] == 2
    with pytest.raises(BaconError, match="its contents have the sha256"):
        verify_dataset(path)


@pytest.mark.parametrize(("version", "age"), [(SCHEMA_VERSION - 1, "an older"), (SCHEMA_VERSION + 1, "a newer")])
def test_another_version_of_the_schema_is_an_error(path, version, age):
    with h5py.File(path, "r+") as file:
        file.attrs["schema_version"] = version
    with pytest.raises(BaconError, match=f"written by {age} version of this project"):
        read_dataset(path)


def test_other_files_are_errors(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(BaconError, match="an HDF5 file, but not a preprocessed data set"):
        read_dataset(tmp_path / "other.h5")
    (tmp_path / "text.h5").write_text("no HDF5")
    with pytest.raises(BaconError, match="not an HDF5 file"):
        read_dataset(tmp_path / "text.h5")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: file.__delitem__("train/labels"), "truncated or damaged"),
        (lambda file: file.attrs.__delitem__("mean"), "truncated or damaged"),
        (lambda file: file.attrs.__setitem__("class_names", "no JSON"), "truncated or damaged"),
        (lambda file: file.attrs.__setitem__("mean", [0.5]), r"train has images \(300, 3, 16, 16\).* 1 channel means"),
    ],
)
def test_incomplete_files_are_errors(path, change, message):
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(BaconError, match=message):
        read_dataset(path)


def test_an_array_of_another_type_is_an_error(path):
    with h5py.File(path, "r+") as file:
        images = file["train/images"][()]
        del file["train/images"]
        file["train/images"] = images.astype(np.float32)
    with pytest.raises(BaconError, match="train/images is float32, not uint8"):
        read_dataset(path)


# In a process of its own: HDF5 that failed to close a file may bring down whatever uses it next.
FULL_DISK = """
import sys
from pathlib import Path
from bacon.datasets.store import write_dataset
from tests.datasets.disks import full_disk, limit_files
from tests.datasets.test_store import dataset
kind, folder = sys.argv[1], Path(sys.argv[2])

def fill(folder):
    write_dataset(folder / "it.h5", dataset(count=20))
    try:
        if kind == "quota":
            limit_files(300_000)
        write_dataset(folder / "it.h5", dataset(count=2000))
    finally:
        (folder.parent / "left").write_text(" ".join(path.name for path in folder.iterdir()))
        (folder.parent / "copy.h5").write_bytes((folder / "it.h5").read_bytes())

if kind == "quota":
    folder.mkdir()
    fill(folder)
else:
    with full_disk(folder, 300_000) as mounted:
        fill(mounted)
"""


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("disk", "No space left on device|[Ff]ile too large"),
        ("quota", "[Ff]ile too large"),
    ],
)
def test_a_full_disk_leaves_what_was_there(tmp_path, kind, message):
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, kind, str(tmp_path / "disk")],
        check=False,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stderr
    assert "ignored" not in done.stderr
    assert re.search(rf"BaconError: .*it\.h5: cannot be written: ({message})$", done.stderr, re.MULTILINE), done.stderr
    assert (tmp_path / "left").read_text() == "it.h5"
    assert len(verify_dataset(tmp_path / "copy.h5").train_images) == 20


def test_the_content_checksum_sees_every_part():
    made = dataset(zca=True)
    changes = {
        "train_images": made.train_images[::-1],
        "test_labels": made.test_labels[::-1],
        "validation_images": None,
        "class_names": ("a", "b", "c"),
        "mean": (0.1, 0.2, 0.4),
        "std": (0.4, 0.5, 0.7),
        "whitening": None,
    }
    digests = {content_sha256(dataclasses.replace(made, **{key: value})) for key, value in changes.items()}
    assert len(digests | {content_sha256(made)}) == len(changes) + 1
    assert content_sha256(dataclasses.replace(made, fingerprint="g", name="other")) == content_sha256(made)


def test_a_reader_that_fails_inside_closes_the_file(path):
    with pytest.raises(BaconError, match="damaged"), open_store(path) as file:
        raise KeyError("gone")
    assert not file
