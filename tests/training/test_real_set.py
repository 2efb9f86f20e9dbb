"""Networks trained on the real set: what is kept, in whatever company and however often a job was stopped."""

import json
import logging
import os
import signal
from itertools import count

import h5py
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from bacon.artifacts.trained_runs import training_costs
from bacon.networks.build import build_network
from bacon.runtime.draws import device_permutation
from bacon.runtime.errors import BaconError
from bacon.runtime.used import Used
from bacon.training import run_driver
from bacon.training.loop import DivergedError
from bacon.training.run_driver import train_block
from bacon.training.run_networks import run_network
from tests.toy_images import CPU, uint8_set
from tests.training.blocks import IMAGES, block_job, need, trained

TIMES = {"wall_seconds", "peak_memory_bytes", "energy_joules", "energy_source", "energy_share", "provenance"}


def content(folder, job):
    """Every array and attribute of every run, but for times and the memory of the process."""
    found = {}
    for run in job.block.runs:
        with h5py.File(folder / job.block.run_path(run)) as file:
            arrays = {}
            file.visititems(
                lambda name, item, arrays=arrays: (
                    arrays.update({name: item[()].tobytes()}) if isinstance(item, h5py.Dataset) else None
                )
            )
            found[run] = arrays, {name: str(value) for name, value in file.attrs.items() if name not in TIMES}
    return found


@pytest.fixture
def alone(tmp_path):
    """Three runs, one after another."""
    folder = tmp_path / "alone"
    folder.mkdir()
    job = block_job(folder)
    train_block(job)
    return folder, job


@pytest.mark.parametrize("at_once", [1, 2])
def test_energy_is_divided_among_networks_that_are_trained_together(tmp_path, at_once):
    """A device that has taken 2 J more whenever it is asked: an epoch of a group takes 2 J."""
    job, asked = block_job(tmp_path, at_once=at_once), count()
    job.heartbeat.part_used = lambda: Used(joules=2.0 * next(asked), share=0.5, source="RAPL")
    train_block(job)
    runs = trained(job)
    epochs = runs.attributes(0)["epochs"]
    expected = [2.0 * epochs / at_once] * 2 + [2.0 * epochs]
    assert [runs.entry(run).joules for run in range(3)] == expected
    assert runs.attributes(2)["energy_source"] == "RAPL"
    assert training_costs([runs])[runs.fingerprint]["shares"] == [0.5, 0.5, 0.5]


def test_unknown_energy_of_one_part_of_a_training_is_unknown_of_the_whole(tmp_path):
    job, asked = block_job(tmp_path, runs=(0, 0)), count()
    job.heartbeat.part_used = lambda: Used() if next(asked) == 2 else Used(joules=2.0)
    train_block(job)
    assert trained(job).entry(0).joules is None
    assert "energy_joules" not in trained(job).attributes(0)


class Naive:
    """Plain training with torch.optim that shares only initialisation and order with the package."""

    def __init__(self, run):
        train = uint8_set(IMAGES)
        self.images, self.labels = train.normalised(train.images), train.labels
        self.network = build_network(
            need().network, channels=1, size=8, classes=2, seed=(0, run), purpose="training-network", device=CPU
        )
        optimiser = torch.optim.SGD(self.network.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
        self.snapshots, self.history = [self.weights()], []
        for epoch in range(3):
            order = device_permutation(
                (0, run), "training-order", count=IMAGES, device=CPU, lanes=torch.tensor([epoch])
            )[0]
            correct = torch.zeros(IMAGES, dtype=torch.bool)
            for places in order.split(8):
                logits = self.network(self.images[places])
                correct[places] = logits.argmax(dim=1) == self.labels[places]
                optimiser.zero_grad()
                F.cross_entropy(logits, self.labels[places]).backward()
                optimiser.step()
            self.history.append(correct)
            self.snapshots.append(self.weights())
        with torch.no_grad():
            self.soft_labels = self.network.eval()(self.images)

    def weights(self):
        return {name: value.detach().clone() for name, value in self.network.state_dict().items()}


@pytest.mark.parametrize("run", [0, 2])
def test_snapshots_history_and_soft_labels_are_a_naive_loops(alone, run):
    runs, naive = trained(alone[1]), Naive(run)
    assert runs.epochs(run) == (0, 1, 2, 3)
    for epoch in range(4):
        found = runs.snapshot(run, epoch)
        assert found.keys() == naive.snapshots[epoch].keys()
        for name, expected in naive.snapshots[epoch].items():
            torch.testing.assert_close(found[name], expected, atol=1e-5, rtol=1e-4)
    assert torch.equal(runs.history(run), torch.stack(naive.history))
    torch.testing.assert_close(runs.soft_labels(run), naive.soft_labels, atol=1e-4, rtol=1e-3)
    assert 0 < runs.history(run).float().mean() < 1, "a history of one value would be compared in vain"
    assert runs.entry(run).train_accuracy == pytest.approx(runs.history(run)[-1].double().mean().item())


def test_the_network_of_a_run_gives_its_soft_labels(alone):
    runs, train = trained(alone[1]), uint8_set(IMAGES)
    network = run_network(runs, 1, device=CPU)
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    torch.testing.assert_close(network(train.normalised(train.images)), runs.soft_labels(1), atol=1e-5, rtol=1e-5)
    untrained = run_network(runs, 1, device=CPU, epoch=0).state_dict()
    assert not torch.equal(untrained["classifier.weight"], network.state_dict()["classifier.weight"])


@pytest.mark.parametrize("at_once", [2, 3])
def test_a_run_is_the_same_in_any_company(alone, tmp_path, at_once):
    folder = tmp_path / "together"
    folder.mkdir()
    job = block_job(folder, at_once=at_once)
    train_block(job)
    assert content(folder, job) == content(*alone)


# Streams exist on a GPU alone; the same interleaving on a CPU is the test above.
@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_run_on_a_gpu_is_the_same_on_a_stream_of_its_own(tmp_path):
    found = []
    for at_once in (1, 3):
        folder = tmp_path / str(at_once)
        folder.mkdir()
        job = block_job(folder, at_once=at_once, device="cuda", recipe={"epochs": 200})
        train_block(job)
        found.append(content(folder, job))
    assert found[0] == found[1]


@pytest.mark.parametrize("network", [{"norm": "batch"}, {"norm": "none"}])
def test_buffers_and_numbers_are_kept_with_the_weights(tmp_path, network):
    wanted = need().network.model_copy(update=network)
    job = block_job(tmp_path, runs=(0, 0), network=wanted)
    train_block(job)
    built = run_network(trained(job), 0, device=CPU, epoch=2).state_dict()
    kept = trained(job).snapshot(0, 2)
    assert kept.keys() == built.keys()
    assert all(torch.equal(kept[name], built[name]) for name in kept)
    if network["norm"] == "batch":
        assert any(name.endswith("num_batches_tracked") for name in kept)


@pytest.mark.parametrize("at_once", [1, 2])
@pytest.mark.parametrize("stop_after", [1, 4])
def test_a_stopped_job_goes_on_to_the_same_bits(alone, tmp_path, monkeypatch, caplog, at_once, stop_after):
    """A request to stop is met at the end of an epoch; the next job, with other company, ends with the same files."""
    folder = tmp_path / "stopped"
    folder.mkdir()
    calls = 0

    def stopping(runs, after_epoch, joules):
        def counted():
            nonlocal calls
            calls += 1
            if calls == stop_after:
                os.kill(os.getpid(), signal.SIGUSR1)
            after_epoch()

        real(runs, counted, joules)

    real = run_driver.train_together
    monkeypatch.setattr(run_driver, "train_together", stopping)
    with pytest.raises(SystemExit) as stop:
        train_block(block_job(folder, at_once=at_once))
    assert stop.value.code == 128 + signal.SIGUSR1
    assert not (folder / alone[1].block.path).exists()
    caplog.set_level(logging.INFO)
    train_block(block_job(folder, at_once=3 - at_once))
    assert "resumed runs" in caplog.text
    assert content(folder, alone[1]) == content(*alone)
    assert not (folder / "checkpoints").exists(), "state of finished runs is removed"
    assert not list(folder.rglob("*.weights"))


def test_a_damaged_snapshot_of_a_stopped_run_costs_that_run_alone(alone, tmp_path, monkeypatch, caplog):
    folder = tmp_path / "damaged"
    folder.mkdir()
    stopped = monkeypatch.context()
    with stopped as patch:
        patch.setattr(run_driver, "train_together", _ends_after_one_epoch)
        with pytest.raises(KeyboardInterrupt):
            train_block(block_job(folder, at_once=2, checkpoint_seconds=0))
    next(folder.rglob("run1-000001.weights")).write_bytes(b"damaged")
    caplog.set_level(logging.INFO)
    train_block(block_job(folder, at_once=2))
    assert "run 1 is trained from the start" in caplog.text
    assert "resumed runs 0 at epoch 1" in caplog.text
    assert content(folder, alone[1]) == content(*alone)


def _ends_after_one_epoch(runs, after_epoch, _joules):
    for run in runs:
        for _ in run.next_epoch():
            pass
    after_epoch()
    raise KeyboardInterrupt


def test_one_more_run_trains_that_run_alone(alone, caplog):
    folder, job = alone
    before = content(folder, job)
    more = block_job(folder, runs=(0, 3))
    caplog.set_level(logging.INFO)
    train_block(more)
    assert "4 networks, 3 of them already trained" in caplog.text
    after = content(folder, more)
    assert {run: after[run] for run in before} == before
    assert after[3] != after[2]


@pytest.mark.parametrize("damage", ["cut short", "bytes changed", "another fingerprint", "another run"])
def test_a_damaged_run_is_named_and_trained_anew(alone, caplog, damage):
    folder, job = alone
    before, path = content(folder, job), folder / job.block.run_path(1)
    whole = path.read_bytes()
    if damage == "cut short":
        path.write_bytes(whole[: len(whole) // 2])
    elif damage == "bytes changed":
        with h5py.File(path) as file:
            offset = file["weights/classifier.weight"].id.get_chunk_info(0).byte_offset
        path.write_bytes(whole[:offset] + bytes([whole[offset] ^ 255]) + whole[offset + 1 :])
    else:
        with h5py.File(path, "r+") as file:
            file.attrs.update({"fingerprint": "0" * 32} if damage == "another fingerprint" else {"run": 7})
    train_block(job)
    assert "run 1 is trained again" in caplog.text
    assert path.name in caplog.text
    assert content(folder, job) == before


def test_a_training_that_diverges_names_run_and_rate(tmp_path):
    job = block_job(tmp_path, recipe={"optimiser": need().recipe.optimiser.model_copy(update={"lr": 1e30})})
    with pytest.raises(DivergedError, match=r"toy/convnet1-\w+/runs0-2: run 0: .*diverged.*1e\+30"):
        train_block(job)
    assert not job.output.exists()


def test_only_what_is_asked_for_is_kept(tmp_path):
    job = block_job(tmp_path, runs=(0, 0), keep=frozenset({"snapshots"}), snapshot_every=2)
    train_block(job)
    runs = trained(job)
    assert runs.epochs(0) == (0, 2, 3)
    assert all(torch.equal(value, runs.snapshot(0, 3)[name]) for name, value in runs.weights(0).items())
    with pytest.raises(BaconError, match="holds no history"):
        runs.history(0)
    with pytest.raises(BaconError, match=r"no weights after epoch 1; they were kept after the epochs 0, 2, 3"):
        runs.snapshot(0, 1)
    index = json.loads(job.output.read_text())
    assert index["settings"]["keep"] == ["snapshots"]
    assert np.isfinite(index["runs"][0]["train_loss"])
