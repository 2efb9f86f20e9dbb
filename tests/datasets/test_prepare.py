"""Preparation that is killed, and what of the settings and files makes a prepared file another one."""

import gzip
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bacon.config.loading import check_config
from bacon.datasets.prepare import prepare
from bacon.datasets.registry import REGISTRY
from bacon.datasets.source import source_digest
from bacon.datasets.store import read_dataset, verify_dataset
from bacon.plan.plan import Plan
from bacon.runtime.errors import BaconError
from bacon.settings.data import DataSettings
from tests.datasets import archives
from tests.datasets.conftest import official

ROOT = Path(__file__).parents[2]

# Each stands for a moment: read; HDF5 written in part; written whole but not yet in place; in place.
MOMENTS = (
    "bacon.datasets.prepare.check_raw",
    "bacon.datasets.store.content_sha256",
    "bacon.runtime.atomic.publish",
    "bacon.datasets.prepare.log.info",
)
KILLED = """
import os, signal, sys
from pathlib import Path
from unittest import mock
from bacon.datasets import prepare as stage
from bacon.settings.data import DataSettings

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

moment, output = sys.argv[1:]
with mock.patch(moment, die):
    stage.prepare("digits", DataSettings(), download_dir=Path(), output=Path(output), fingerprint="killed")
"""


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_at_any_moment_the_next_call_succeeds(tmp_path, moment):
    output = tmp_path / "digits.h5"
    prepare("digits", DataSettings(), download_dir=tmp_path, output=output, fingerprint="before")
    done = subprocess.run(
        [sys.executable, "-c", KILLED, moment, str(output)],
        check=False,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    # Either file is whole; a moment later than the renaming has the new one.
    expected = "killed" if moment.endswith("log.info") else "before"
    assert verify_dataset(output).fingerprint == expected
    prepare("digits", DataSettings(), download_dir=tmp_path, output=output, fingerprint="after")
    assert verify_dataset(output).fingerprint == "after"


def idx_contents():
    random = np.random.default_rng(0)
    train, test = (random.integers(0, 256, (count, 28, 28)).astype(np.uint8) for count in (30, 20))
    return archives.idx_files(train, np.arange(30) % 10, test, np.arange(20) % 10)


@pytest.fixture
def mnist(monkeypatch, tmp_path):
    """A small MNIST: official by the registry, its files in the download folder; the folder and their contents."""
    contents = idx_contents()
    monkeypatch.setitem(REGISTRY, "mnist", official("mnist", contents, train_size=30, test_size=20))
    return archives.put(tmp_path / "mnist", contents), contents


def test_the_file_says_where_it_came_from(mnist, tmp_path):
    import h5py

    folder, _ = mnist
    prepare("mnist", DataSettings(), download_dir=folder, output=tmp_path / "it.h5", fingerprint="f")
    with h5py.File(tmp_path / "it.h5") as file:
        for source in REGISTRY["mnist"].sources:
            assert f"{source.file} (sha256:{source.sha256})" in file.attrs["source"]
        assert file.attrs["title"] == "MNIST"
        assert file.attrs["licence"] == REGISTRY["mnist"].licence
        assert file.attrs["citation"] == REGISTRY["mnist"].citation


def test_a_missing_archive_is_named_with_what_to_do(mnist, tmp_path):
    folder, _ = mnist
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(
        BaconError, match=r"t10k-labels-idx1-ubyte\.gz does not exist\. Delete .*\.complete and run again"
    ):
        prepare("mnist", DataSettings(), download_dir=folder, output=tmp_path / "it.h5", fingerprint="f")


def test_what_is_read_is_the_file_that_was_verified(monkeypatch, mnist, tmp_path):
    """A good unpacked copy beside a wrong packed file: the copy is read."""
    import dataclasses
    import hashlib

    folder, contents = mnist
    info = REGISTRY["mnist"]
    unpacked = {name: gzip.decompress(content) for name, content in contents.items()}
    sources = tuple(
        dataclasses.replace(source, unpacked_sha256=hashlib.sha256(unpacked[source.file]).hexdigest())
        for source in info.sources
    )
    monkeypatch.setitem(REGISTRY, "mnist", dataclasses.replace(info, sources=sources))
    prepare("mnist", DataSettings(), download_dir=folder, output=tmp_path / "packed.h5", fingerprint="f")
    for name, content in unpacked.items():
        (folder / name.removesuffix(".gz")).write_bytes(content)
        (folder / name).write_bytes(archives.idx(np.zeros((30, 28, 28) if "images" in name else 30, np.uint8)))
    prepare("mnist", DataSettings(), download_dir=folder, output=tmp_path / "unpacked.h5", fingerprint="f")
    packed, copy = read_dataset(tmp_path / "packed.h5"), read_dataset(tmp_path / "unpacked.h5")
    np.testing.assert_array_equal(copy.train_images, packed.train_images)
    np.testing.assert_array_equal(copy.test_labels, packed.test_labels)


class TestSource:
    """The digest of the raw bytes, which every fingerprint rests on."""

    @pytest.fixture
    def own(self, tmp_path):
        """A folder of images (their bytes do not matter here), and its digest."""
        for name in ("cat/a.png", "dog/b.png"):
            (tmp_path / "own" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "own" / name).write_bytes(name.encode())
        data = DataSettings(format="imagefolder", path=str(tmp_path / "own"))
        return tmp_path / "own", lambda: source_digest("own", data, cache=tmp_path / "cache.json")

    def test_it_is_of_contents_and_not_of_times(self, own, tmp_path):
        folder, digest = own
        first = digest()
        os.utime(folder / "cat/a.png", (1, 1))
        assert digest() == first
        (tmp_path / "cache.json").write_text("{damaged")
        assert digest() == first
        (folder / "cat/notes.txt").write_text("not an image")
        assert digest() == first

    @pytest.mark.parametrize(
        "change",
        [
            lambda folder: (folder / "cat/a.png").write_bytes(b"other"),
            lambda folder: (folder / "cat/a.png").write_bytes(b"cat/A.png"),
            lambda folder: (folder / "cat/a.png").rename(folder / "cat/c.png"),
            lambda folder: (folder / "cat/a.png").rename(folder / "dog/a.png"),
            lambda folder: (folder / "dog/d.png").write_bytes(b"new"),
            lambda folder: (folder / "dog/b.png").unlink(),
        ],
        ids=["length", "content", "name", "class", "new", "gone"],
    )
    def test_it_changes_with_any_content_or_name(self, own, change):
        folder, digest = own
        first = digest()
        change(folder)
        assert digest() != first

    def test_nothing_is_hashed_twice(self, own, monkeypatch):
        _, digest = own
        first = digest()
        monkeypatch.setattr("bacon.datasets.source.file_digest", pytest.fail)
        assert digest() == first

    @pytest.mark.parametrize(
        ("kind", "path", "message"),
        [
            ("npz", "absent.npz", r"data\.own\.path = 'absent\.npz': does not exist"),
            ("npz", ".", "format npz needs one .npz file"),
            ("imagefolder", "file", "format imagefolder needs a folder of class folders"),
        ],
    )
    def test_a_wrong_path_is_named(self, monkeypatch, tmp_path, kind, path, message):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "file").write_text("x")
        with pytest.raises(BaconError, match=message):
            source_digest("own", DataSettings(format=kind, path=path), cache=tmp_path / "cache.json")

    def test_registered_data_needs_no_file(self, tmp_path):
        digests = {source_digest(name, DataSettings(), cache=tmp_path / "cache.json") for name in REGISTRY}
        assert len(digests) == len(REGISTRY)

    def test_an_official_checksum_is_part_of_it(self, mnist, monkeypatch, tmp_path):
        _, contents = mnist
        first = source_digest("mnist", DataSettings(), cache=tmp_path / "cache.json")
        changed = contents | {"train-labels-idx1-ubyte.gz": archives.idx(np.zeros(30, np.uint8))}
        monkeypatch.setitem(REGISTRY, "mnist", official("mnist", changed, train_size=30, test_size=20))
        assert source_digest("mnist", DataSettings(), cache=tmp_path / "cache.json") != first


def data_fingerprint(**settings):
    return Plan(check_config({"grid": {"datasets": ["mnist"]}, "data": {"mnist": settings}})).data_fingerprint("mnist")


def test_where_archives_lie_makes_nothing_stale_and_how_they_are_prepared_does():
    standard = data_fingerprint()
    assert data_fingerprint(archives="elsewhere", mirrors=["https://mirror.example/"], title="Digits") == standard
    changes = [{"zca": True}, {"zca": True, "zca_epsilon": 0.2}, {"validation": 0.1}, {"size": 32}]
    changes += [{"validation": 0.1, "split_seed": 1}, {"mean": [0.1], "std": [0.3]}]
    assert len({standard, *(data_fingerprint(**change) for change in changes)}) == len(changes) + 1


def test_a_setting_that_nothing_uses_makes_nothing_stale():
    assert data_fingerprint(zca_epsilon=0.2) == data_fingerprint()
    assert data_fingerprint(split_seed=1) == data_fingerprint()


def test_the_seed_of_a_test_set_that_is_drawn_from_arrays_is_part_of_the_fingerprint(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    np.savez("own.npz", x_train=np.zeros((4, 8, 8), np.uint8), y_train=np.arange(4) % 2)

    def found(**settings):
        data = {"own": {"format": "npz", "path": "own.npz", **settings}}
        return Plan(check_config({"grid": {"datasets": ["own"]}, "data": data})).data_fingerprint("own")

    assert found(split_seed=1) != found()


def test_mirrors_must_be_addresses():
    with pytest.raises(BaconError, match=r"data\.mnist.*'/shared/data' is not an http or https address"):
        check_config({"data": {"mnist": {"mirrors": ["/shared/data"]}}})
