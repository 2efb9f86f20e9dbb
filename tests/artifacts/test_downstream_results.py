"""Results of downstream tasks on disk, and what is kept so that none is made twice: never what is damaged or of other work."""

import json

import pytest
import torch

from bacon.artifacts.downstream_results import (
    Measurement,
    TaskCache,
    TaskRecord,
    parse_task_record,
    read_task_results,
    write_task_results,
)
from bacon.artifacts.kept_networks import KeptNetworks
from bacon.runtime.errors import BaconError

RECORDS = [
    TaskRecord(
        repetition=number,
        fingerprint="f",
        wall_seconds=1.5,
        measurements=(
            Measurement(metric="accuracy", value=0.5),
            Measurement(metric="loss", value=1, condition="a", at=2.0),
        ),
        details={"rows": [1, 2]},
    )
    for number in range(2)
]


def changed(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_results_come_back_as_they_were_written_a_record_a_line(tmp_path):
    path = tmp_path / "none" / "results.json"
    write_task_results(path, {"task": "robustness"}, RECORDS)
    assert read_task_results(path) == {
        "format": "bacon-downstream",
        "version": 1,
        "task": "robustness",
        "records": RECORDS,
    }
    assert sum('"repetition"' in line for line in path.read_text().splitlines()) == 2
    with pytest.raises(ValueError, match="JSON"):
        write_task_results(path, {"task": float("nan")}, RECORDS)


@pytest.mark.parametrize("values", [{"version": 2}, {"format": "other"}, {"records": [{}]}, {"records": 3}])
def test_a_file_that_is_not_whole_or_of_another_version_is_refused(tmp_path, values):
    path = tmp_path / "results.json"
    write_task_results(path, {}, RECORDS)
    changed(path, **values)
    with pytest.raises(
        BaconError, match=r"results.json: not a readable file of a downstream task .*; delete it and run"
    ):
        read_task_results(path)
    path.unlink()
    with pytest.raises(BaconError, match=r"are missing; run `snakemake` again"):
        read_task_results(path)


@pytest.mark.parametrize(
    "measurements", [[], [{"metric": "accuracy", "value": "0.5"}], [{"metric": "a", "value": True}]]
)
def test_a_record_without_a_number_is_not_whole(measurements):
    content = RECORDS[0].content()
    assert parse_task_record(json.loads(json.dumps(content))) == RECORDS[0]
    with pytest.raises(ValueError, match="a measurement is no number"):
        parse_task_record(content | {"measurements": measurements})


def test_finished_work_is_found_again_unless_it_is_damaged_or_anothers(tmp_path, caplog):
    cache = TaskCache(folder=tmp_path, fingerprint="f")
    assert cache.load("0") is None
    assert not caplog.records
    cache.store("0", {"value": [1]})
    assert cache.load("0") == {"value": [1]}
    path = tmp_path / "f" / "0.json"
    changed(path, fingerprint="other")
    assert cache.load("0") is None
    assert "it holds another result" in caplog.text
    path.write_text("{")
    assert cache.load("0") is None
    assert "is damaged" in caplog.records[-1].message


def test_kept_weights_are_those_of_the_fingerprint_the_augmentation_and_the_name(tmp_path, caplog):
    weights = {"layer": torch.arange(3.0)}
    kept = KeptNetworks(folder=tmp_path, fingerprint="f", own="dsa")
    assert kept.load("0") is None
    kept.store("0", weights)
    assert torch.equal(kept.load("0")["layer"], weights["layer"])
    assert not caplog.records
    assert KeptNetworks(folder=tmp_path, fingerprint="f", own="dsa of another code").load("0") is None
    assert "the network will be trained again" in caplog.text
    (tmp_path / "f" / "0.weights").rename(tmp_path / "f" / "1.weights")
    assert kept.load("1") is None
    assert kept.load("0") is None


def test_a_disk_that_keeps_no_network_costs_no_result(tmp_path, caplog):
    (tmp_path / "f").write_text("a file where the folder would be")
    KeptNetworks(folder=tmp_path, fingerprint="f").store("0", {"layer": torch.zeros(1)})
    assert "could not keep a trained network" in caplog.text
