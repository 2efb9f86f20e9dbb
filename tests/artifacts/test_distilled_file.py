"""The file of a distillation's result, and the files of its snapshots while it runs: the whole synthetic set comes back."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import h5py
import pytest
import torch

from bacon.artifacts.checkpoint import Checkpoint, CheckpointStore
from bacon.artifacts.distilled_file import read_distilled, write_distilled
from bacon.runtime.errors import BaconError
from tests.artifacts.synthetic import drawn, result_of, spoil_attribute

CPU = torch.device("cpu")
EVERY = list(product([None, "probabilities", "logits"], [0, 1, 7], [1, 2]))


def moving(**kind):
    """Snapshots that change from one to the next, the last one the final set."""
    return {iteration: drawn(iteration, **kind) for iteration in (0, 10, 20)}


@pytest.mark.parametrize(("kind", "rates", "partition"), EVERY)
def test_everything_comes_back_bit_for_bit(tmp_path, kind, rates, partition):
    snapshots = moving(kind=kind, rates=rates, partition=partition)
    written = result_of(snapshots[20], snapshots=snapshots)
    write_distilled(tmp_path / "set.h5", written)
    found = read_distilled(tmp_path / "set.h5", expected_fingerprint="f")
    assert found.synthetic.equals(written.synthetic)
    assert list(found.snapshots) == [0, 10, 20]
    assert all(found.snapshots[iteration].equals(snapshots[iteration]) for iteration in snapshots)
    assert written.attributes.items() <= {**found.attributes, "mean": [0.4], "std": [0.2]}.items()
    write_distilled(tmp_path / "again.h5", found)
    with h5py.File(tmp_path / "set.h5") as one, h5py.File(tmp_path / "again.h5") as two:
        assert dict(one.attrs).keys() == dict(two.attrs).keys()
    assert read_distilled(tmp_path / "again.h5").synthetic.equals(written.synthetic)


def test_the_file_says_what_it_holds_and_what_it_takes(tmp_path):
    write_distilled(tmp_path / "set.h5", result_of(drawn(kind="logits", rates=2)))
    with h5py.File(tmp_path / "set.h5") as file:
        said = dict(file.attrs)
        assert file["labels"][()].tolist() == [0, 0, 1, 1, 2, 2]
        assert (file["soft_labels"].shape, file["rates"].shape) == ((6, 3), (2,))
    assert (said["version"], said["codec"], said["partition"], said["soft_labels_kind"]) == (
        2,
        "partition",
        2,
        "logits",
    )
    assert (said["image_bytes"], said["label_bytes"], said["decoder_bytes"]) == (1536, 6 * 3 * 4 + 2 * 4, 0)


def test_a_set_of_hard_labels_has_no_soft_parts(tmp_path):
    write_distilled(tmp_path / "set.h5", result_of(drawn(kind=None, rates=0, partition=1)))
    with h5py.File(tmp_path / "set.h5") as file:
        assert sorted(file) == ["images", "labels"]
        assert "soft_labels_kind" not in file.attrs
        assert (file.attrs["codec"], file.attrs["learned_rates"], file.attrs["label_bytes"]) == ("none", 0, 0)


def test_parts_of_snapshots_that_did_not_change_take_no_room(tmp_path):
    final = drawn(20, kind=None, rates=0)
    snapshots = {iteration: replace(final, images=drawn(iteration).images) for iteration in (0, 10, 20)}
    write_distilled(tmp_path / "set.h5", result_of(final, snapshots=snapshots))
    with h5py.File(tmp_path / "set.h5") as file:
        assert all(file[f"snapshot_labels/{iteration}"] == file["labels"] for iteration in snapshots)
        assert file["snapshots/20"] == file["images"]
        assert file["snapshots/0"] != file["images"]


def test_a_snapshot_with_other_parts_than_the_final_set_is_refused(tmp_path):
    with pytest.raises(BaconError, match=r"snapshot of iteration 0 has the parts .*logits.* has .*probabilities"):
        write_distilled(tmp_path / "set.h5", result_of(drawn(), snapshots={0: drawn(kind="logits")}))
    assert not (tmp_path / "set.h5").exists()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda file: file.attrs.__setitem__("version", 1), "format bacon-distilled version 1, this program reads"),
        (lambda file: file.__delitem__("rates"), r"set\.h5: not a readable distilled set"),
        (lambda file: file.__delitem__("soft_labels"), r"set\.h5: not a readable distilled set"),
        (lambda file: file.__delitem__("snapshot_rates/0"), r"set\.h5: not a readable distilled set"),
        (lambda file: file["soft_labels"].__setitem__((0, 0), 2.0), r"set\.h5: soft labels .* are not probabilities"),
    ],
)
def test_a_file_of_the_first_version_or_damaged_is_a_clear_error(tmp_path, damage, message):
    path = tmp_path / "set.h5"
    write_distilled(path, result_of(drawn(20), snapshots={0: drawn(0), 20: drawn(20)}))
    with h5py.File(path, "r+") as file:
        damage(file)
    with pytest.raises(BaconError, match=message):
        read_distilled(path)


def test_a_set_that_was_not_made_yet_is_called_missing(tmp_path):
    with pytest.raises(BaconError, match=r"absent\.h5: the distilled set is missing; run snakemake, which makes it"):
        read_distilled(tmp_path / "absent.h5")


def test_an_attribute_that_the_disk_spoilt_is_a_clear_error(tmp_path):
    """h5py has a RuntimeError for it, whoever reads the file."""
    path = tmp_path / "set.h5"
    write_distilled(path, result_of(drawn(20)))
    spoil_attribute(path, "learned_rates")
    with pytest.raises(BaconError, match=r"set\.h5: not a readable distilled set"):
        read_distilled(path)


@pytest.mark.parametrize(("kind", "rates", "partition"), EVERY)
def test_a_checkpoint_and_its_snapshots_hold_the_whole_set(tmp_path, kind, rates, partition):
    snapshots = moving(kind=kind, rates=rates, partition=partition)
    store = CheckpointStore(folder=tmp_path, fingerprint="f" * 32)
    assert store.save(Checkpoint(iteration=20, seconds=1.0, state={"snapshots": snapshots}))
    kept = CheckpointStore(folder=tmp_path, fingerprint="f" * 32).load(CPU)
    assert list(kept.state["snapshots"]) == [0, 10, 20]
    assert all(kept.state["snapshots"][iteration].equals(snapshots[iteration]) for iteration in snapshots)
