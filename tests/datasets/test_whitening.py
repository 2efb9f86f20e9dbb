"""ZCA: what it does to images, and that distillation, evaluation, artifacts and figures use one and the same map."""

import dataclasses

import h5py
import numpy as np
import pytest
import torch

from bacon.artifacts.checkpoint import CheckpointStore
from bacon.artifacts.distilled_file import DistillationResult, read_distilled, write_distilled
from bacon.artifacts.synthetic_set import SyntheticSet
from bacon.datasets.prepare import build, prepare
from bacon.datasets.store import content_sha256, read_dataset, read_whitening, write_dataset, write_whitening
from bacon.datasets.whitening import fit_whitening
from bacon.distillation.driver import CellIdentity, Running, distil_cell
from bacon.distillation.real_images import RealImages
from bacon.evaluation import evaluate_cell as run
from bacon.evaluation import trained_networks as networks
from bacon.evaluation.evaluation_inputs import EvaluationFingerprints, EvaluationJob
from bacon.evaluation.train_and_test import Outcome
from bacon.interchange.load import load_distilled
from bacon.reporting.collect.distilled_files import read_images
from bacon.reporting.collect.evaluations import ExpectedDistilled
from bacon.runtime.errors import BaconError
from bacon.runtime.heartbeat import Heartbeat
from bacon.settings.cell_settings import CellSettings
from bacon.settings.data import DataSettings
from bacon.settings.distillation import SelectionSettings
from bacon.settings.evaluation import EvaluationSettings
from bacon.settings.network import NetworkSettings
from bacon.training.batches import ImageSet
from bacon.transforms.partition import decode, encode

CPU = torch.device("cpu")


def smooth(count, *, channels=2, side=6, seed=0):
    """Images whose neighbouring pixels are alike, so that there is something to whiten."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 200, (count, channels, side // 2, side // 2))
    return (coarse.repeat(2, 2).repeat(2, 3) + random.integers(0, 50, (count, channels, side, side))).astype(np.uint8)


@pytest.fixture
def images():
    return smooth(500)


@pytest.fixture
def dataset(tmp_path):
    """The digits, whitened."""
    return build("digits", DataSettings(zca=True), download_dir=tmp_path)


def test_the_map_is_the_formula(images):
    """matrix = (covariance + epsilon)^(-1/2), by another way than eigenvectors: its square times the covariance is 1."""
    whitening = fit_whitening(images, 0.1, "it")
    flat = images.reshape(500, -1) / 255
    covariance = np.cov(flat.T, bias=True) + 0.1 * np.eye(72)
    matrix = whitening.matrix.astype(np.float64)
    np.testing.assert_array_equal(matrix, matrix.T)
    np.testing.assert_allclose(matrix @ matrix @ covariance, np.eye(72), atol=2e-5)
    assert (np.linalg.eigvalsh(matrix) > 0).all()
    np.testing.assert_allclose(whitening.mean, flat.mean(axis=0), rtol=1e-6)


def test_whitened_images_are_decorrelated_and_centred(images):
    whitening = fit_whitening(images, 1e-6, "it")
    flat = whitening.apply(images.astype(np.float32) / 255).reshape(500, -1)
    np.testing.assert_allclose(flat.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(np.cov(flat.T, bias=True), np.eye(72), atol=2e-3)


def test_it_is_undone_exactly(images):
    whitening = fit_whitening(images, 0.1, "it")
    pixels = smooth(20, seed=1).astype(np.float32) / 255
    np.testing.assert_allclose(whitening.invert(whitening.apply(pixels)), pixels, atol=1e-6)


def test_images_too_large_for_a_covariance_are_an_error():
    with pytest.raises(BaconError, match=r"ZCA whitening of images with 12675 values.*data\.it\.size"):
        fit_whitening(np.zeros((2, 3, 65, 65), np.uint8), 0.1, "it")


def test_a_file_gives_the_map_back_bit_for_bit(images, tmp_path):
    whitening = fit_whitening(images, 0.1, "it")
    with h5py.File(tmp_path / "it.h5", "w") as file:
        assert read_whitening(file) is None
        write_whitening(file, whitening)
        found = read_whitening(file)
    np.testing.assert_array_equal(found.mean, whitening.mean)
    np.testing.assert_array_equal(found.matrix, whitening.matrix)
    assert found.epsilon == whitening.epsilon


def test_it_is_fitted_on_the_training_split_alone_and_stored(tmp_path):
    data = DataSettings(zca=True, zca_epsilon=0.3, validation=0.25)
    prepare("digits", data, download_dir=tmp_path, output=tmp_path / "digits.h5", fingerprint="f")
    stored = read_dataset(tmp_path / "digits.h5")
    fitted = fit_whitening(stored.train_images, 0.3, "digits")
    np.testing.assert_array_equal(stored.whitening.matrix, fitted.matrix)
    assert stored.whitening.epsilon == 0.3
    with h5py.File(tmp_path / "digits.h5") as file:
        assert content_sha256(stored) == file.attrs["content_sha256"]


def test_distillation_and_evaluation_see_the_same_whitened_images(dataset):
    expected = dataset.whitening.apply(dataset.train_images.astype(np.float32) / 255)
    real = RealImages(dataset, device=CPU)
    order = np.argsort(dataset.train_labels, kind="stable")
    np.testing.assert_allclose(real.batch(torch.arange(50)).numpy(), expected[order[:50]], atol=1e-5)

    train = ImageSet.of_uint8(
        dataset.train_images,
        dataset.train_labels,
        mean=dataset.mean,
        std=dataset.std,
        whitening=dataset.whitening,
        device=CPU,
    )
    np.testing.assert_allclose(train.normalised(train.images[:50]).numpy(), expected[:50], atol=1e-5)


def test_a_cell_is_distilled_and_evaluated_in_the_whitened_space_and_records_it(dataset, tmp_path, monkeypatch):
    write_dataset(tmp_path / "data.h5", dataclasses.replace(dataset, fingerprint="data"))
    network = NetworkSettings(width=4, depth=1)
    settings = CellSettings(network=network, distillation=SelectionSettings())
    identity = CellIdentity(
        dataset="digits", method="random", ipc=2, seed=0, fingerprint="cell", data_fingerprint="data"
    )
    output = tmp_path / "seed0.h5"
    algorithm = "bacon.methods.random.algorithm:Random"
    running = Running(
        checkpoints=CheckpointStore(folder=tmp_path / "checkpoints", fingerprint="cell"),
        heartbeat=Heartbeat(tmp_path / "beat.json", fingerprint="cell", device="CPU", interval=10.0),
        checkpoint_seconds=60,
        progress_seconds=10,
    )
    places = {"data": tmp_path / "data.h5", "output": output}
    distil_cell(identity, settings, algorithm, device=CPU, running=running, **places)
    stored = read_distilled(output)
    np.testing.assert_array_equal(stored.whitening.matrix, dataset.whitening.matrix)
    whitened = dataset.whitening.apply(dataset.train_images.astype(np.float32) / 255)
    for image in stored.synthetic.images.numpy():
        assert np.abs(whitened - image).max(axis=(1, 2, 3)).min() < 1e-5

    seen = {}

    def train_and_test(given, test, **_):
        train = given.train
        seen["train"], seen["test"] = train.normalised(train.images), test.normalised(test.images)
        return Outcome(
            test_accuracy=0.5,
            train_accuracy=0.5,
            train_loss=1.0,
            epochs=1,
            wall_seconds=1.0,
            confusion=[[1]],
            class_accuracy=[1.0],
        )

    monkeypatch.setattr(networks, "train_and_test", train_and_test)
    job = EvaluationJob(
        dataset="digits",
        method="random",
        ipc=2,
        seed=0,
        network_name="convnet",
        network=network,
        evaluation=EvaluationSettings(seeds=1),
        protocol="paper",
        fingerprints=EvaluationFingerprints(rule="rule", record="record", data="data", distilled="cell"),
        cache=tmp_path / "cache",
        device=CPU,
    )
    run.evaluate_distilled(job, distilled_path=output, data_path=tmp_path / "data.h5", output=tmp_path / "it.json")
    assert torch.equal(seen["train"], stored.synthetic.images)
    expected = dataset.whitening.apply(dataset.test_images.astype(np.float32) / 255)
    np.testing.assert_allclose(seen["test"].numpy(), expected, atol=1e-5)


@pytest.fixture
def artifact(dataset, tmp_path):
    """A distilled set that holds, two to a side, the first whitened training images; its path and those pixels."""
    real = RealImages(dataset, device=CPU)
    small = encode(real.batch(torch.arange(40).reshape(10, 4)), 2).flatten(0, 1)
    attributes = {
        "mean": list(dataset.mean),
        "std": list(dataset.std),
        "iterations": 0,
        "fingerprint": "f",
        "class_names": list(dataset.class_names),
    }
    synthetic = SyntheticSet(images=small, classes=torch.arange(10), partition=2)
    made = DistillationResult(synthetic=synthetic, attributes=attributes, whitening=dataset.whitening)
    write_distilled(tmp_path / "seed0.h5", made)
    return tmp_path / "seed0.h5", small


def test_the_artifact_records_the_map_and_gives_pixels_back(artifact, dataset):
    path, stored = artifact
    np.testing.assert_array_equal(read_distilled(path).whitening.matrix, dataset.whitening.matrix)
    whitened, raw = load_distilled(path), load_distilled(path, raw=True)
    assert torch.equal(whitened.images, decode(stored, 2))
    pixels = dataset.whitening.invert(decode(stored, 2).numpy())
    np.testing.assert_allclose(raw.images.numpy(), pixels, atol=1e-5)


def test_the_artifact_alone_whitens_test_images(artifact, dataset):
    path, _ = artifact
    expected = dataset.whitening.apply(dataset.test_images[:20].astype(np.float32) / 255)
    found = load_distilled(path).whitening.apply(dataset.test_images[:20].astype(np.float32) / 255)
    np.testing.assert_array_equal(found, expected)


def test_figures_show_pixels(artifact, dataset):
    path, stored = artifact
    expected = ExpectedDistilled(
        path=path,
        dataset="digits",
        dataset_title="Digits",
        method="random",
        method_title="Random",
        ipc=1,
        seed=0,
        fingerprint="f",
    )
    shown = read_images(expected).final
    # Whitening is undone for whole images: each quadrant is decoded, brought back, and shown at its own size again.
    pixels = dataset.whitening.invert(decode(stored, 2).numpy()).clip(0, 1)[:, :, ::2, ::2].reshape(10, 4, 1, 8, 8)
    quadrants = shown.reshape(10, 1, 2, 8, 2, 8).transpose(0, 2, 4, 1, 3, 5).reshape(10, 4, 1, 8, 8)
    # For display the parts are enlarged without smoothing, so they are alike and not equal; a mosaic taken as one image is not.
    assert np.abs(quadrants - pixels).mean() < 0.05
    assert np.abs(dataset.whitening.invert(stored.numpy()).clip(0, 1) - shown).mean() > 0.05


def test_a_damaged_map_is_an_error(dataset, tmp_path):
    write_dataset(tmp_path / "it.h5", dataclasses.replace(dataset, fingerprint="f"))
    with h5py.File(tmp_path / "it.h5", "r+") as file:
        cut = file["whitening/matrix"][:-1]
        del file["whitening/matrix"]
        file["whitening/matrix"] = cut
    with pytest.raises(BaconError, match="whitening"):
        read_dataset(tmp_path / "it.h5")
