"""The benchmark of the store compares like with like."""

import dataclasses

import numpy as np
import pytest

from bacon.datasets.prepare import build
from bacon.datasets.store import write_dataset
from bacon.settings import DataSettings
from benchmarks import store


@pytest.fixture
def dataset(tmp_path):
    made = build("digits", DataSettings(validation=0.1), download_dir=tmp_path)
    # Noise cannot be compressed, so its chunks are stored as they are.
    noise = np.random.default_rng(0).integers(0, 256, made.test_images.shape).astype(np.uint8)
    return dataclasses.replace(made, test_images=noise)


@pytest.fixture
def path(dataset, tmp_path):
    write_dataset(tmp_path / "it.h5", dataset)
    return tmp_path / "it.h5"


def test_the_floor_reads_what_we_read(dataset, path, tmp_path):
    chunks = store.write_flat(path, tmp_path / "flat")
    with pytest.raises(AssertionError, match="something else"):
        store.check(dataset, chunks)
    store.read_flat(tmp_path / "flat", chunks)
    store.check(dataset, chunks)
    assert {chunk.compressed for chunk in chunks} == {True, False}


def test_it_runs(path, capsys):
    assert store.main([str(path), "--repetitions", "2", "--gzip"]) > 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" median")[0].strip() for line in lines] == ["floor", "ours", "ours, gzip"]
