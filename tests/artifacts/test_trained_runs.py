"""Networks trained on the real set, as their reader sees them."""

import json

import h5py
import numpy as np
import pytest
import torch

from bacon.artifacts import trained_runs
from bacon.artifacts.trained_runs import TrainedRuns, forgetting_counts
from bacon.runtime.errors import BaconError
from bacon.training.run_driver import train_block
from tests.artifacts.synthetic import spoil_attribute
from tests.training.blocks import IMAGES, block_job, trained


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    job = block_job(folder, runs=(0, 1))
    train_block(job)
    return job


@pytest.fixture
def job(made, tmp_path):
    """The same runs in a folder that a test may change."""
    for path in made.output.parent.iterdir():
        target = tmp_path / made.block.path.parent / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    copy = block_job(tmp_path, runs=(0, 1))
    assert copy.output.exists()
    return copy


def test_history_and_soft_labels_come_in_the_readers_order(made):
    order = np.random.default_rng(0).permutation(IMAGES)
    plain, sorted_ = trained(made), trained(made, order=order)
    assert torch.equal(sorted_.history(1), plain.history(1)[:, order])
    assert torch.equal(sorted_.soft_labels(1), plain.soft_labels(1)[order])
    assert not torch.equal(sorted_.soft_labels(1), plain.soft_labels(1))


def test_one_epoch_reads_its_chunks_alone(job):
    """The other epochs' chunks are destroyed, so that whoever read them would fail."""
    path, runs = job.run_path(0), trained(job)
    expected = runs.snapshot(0, 2)
    with h5py.File(path) as file:
        places = [
            values.id.get_chunk_info(number).byte_offset
            for name, values in file["snapshots"].items()
            if name != "epochs"
            for number in range(values.id.get_num_chunks())
            if number != 2
        ]
    content = bytearray(path.read_bytes())
    for place in places:
        content[place] ^= 255
    path.write_bytes(content)
    found = runs.snapshot(0, 2)  # the file was verified when it was first read
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    with pytest.raises(BaconError, match=r"run0\.h5"):
        runs.snapshot(0, 1)


def test_a_file_is_verified_once_and_only_when_it_is_read(job, monkeypatch):
    hashed = []
    real = trained_runs.file_digest
    monkeypatch.setattr(trained_runs, "file_digest", lambda path: hashed.append(path.name) or real(path))
    runs = trained(job)
    assert hashed == []
    runs.weights(1)
    runs.history(1)
    assert hashed == ["run1.h5"]


@pytest.mark.parametrize("damage", ["missing", "changed"])
def test_a_run_that_is_not_the_indexs_is_refused_and_named(job, damage):
    path = job.run_path(1)
    if damage == "missing":
        path.unlink()
    else:
        with h5py.File(path, "r+") as file:
            file["weights/classifier.bias"][0] = 5.0
    runs = trained(job)
    runs.weights(0)
    with pytest.raises(BaconError, match=r"run1\.h5: .*trains that run again, and no other"):
        runs.weights(1)


def test_an_attribute_that_the_disk_spoilt_is_a_clear_error(job):
    """h5py has a RuntimeError for it; the index is made of the files, before anything knows their checksums."""
    path = job.run_path(1)
    spoil_attribute(path, "train_loss")
    with pytest.raises(BaconError, match=r"run1\.h5: not a readable training run .*which trains it again"):
        trained_runs.entry_of(path, 1, fingerprint=trained(job).fingerprint)


def test_errors_of_indexes(job):
    with pytest.raises(BaconError, match=r"training runs \[2\] of 3 are in no index"):
        trained(job, runs=3)
    with pytest.raises(BaconError, match="training run 2 does not exist; there are 2, numbered 0 to 1"):
        trained(job).weights(2)
    with pytest.raises(BaconError, match="needs eeee"):
        TrainedRuns("key", [job.output], runs=2, fingerprint="eeee")
    content = json.loads(job.output.read_text())
    job.output.write_text(json.dumps(content | {"version": 99}))
    with pytest.raises(BaconError, match="version 99"):
        trained(job)
    job.output.unlink()
    with pytest.raises(BaconError, match="is missing; run snakemake again"):
        trained(job)


def test_forgetting_is_counted_as_published():
    rows = ["0000", "1111", "0110", "1010", "0101"]  # an image each, an epoch a digit
    history = torch.tensor([[digit == "1" for digit in row] for row in rows]).T
    assert forgetting_counts(history).tolist() == [0, 0, 1, 2, 1]
