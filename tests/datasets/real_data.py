"""The real CIFAR-10, MNIST and FashionMNIST from a local folder; not collected by itself, since they are not in the repository.

    BACON_REAL_DATA=/folder python -m pytest tests/datasets/real_data.py

The folder has ``cifar10.npz`` (x_train, y_train, x_test, y_test; images (N, 32, 32, 3)), and ``mnist-raw`` and
``fashionmnist-raw`` with the four official idx files each, gzipped or not.
"""

import os
from pathlib import Path

import numpy as np
import pytest

from bacon.datasets.channel_statistics import channel_statistics
from bacon.datasets.download import download
from bacon.datasets.prepare import prepare
from bacon.datasets.registry import REGISTRY
from bacon.datasets.store import verify_dataset
from bacon.settings.data import DataSettings

FOLDER = Path(os.environ["BACON_REAL_DATA"])


@pytest.fixture(params=["cifar10", "mnist", "fashionmnist"])
def prepared(request, tmp_path):
    """A registered data set, prepared from local files, and its entry."""
    info = REGISTRY[request.param]
    if info.name == "cifar10":
        data = DataSettings(format="npz", path=str(FOLDER / "cifar10.npz"))
    else:
        data = DataSettings(archives=str(FOLDER / f"{info.name}-raw"))
        download(info, tmp_path, archives=Path(data.archives))
    prepare(info.name, data, download_dir=tmp_path, output=tmp_path / "it.h5", fingerprint="f")
    return info, verify_dataset(tmp_path / "it.h5")


# Means and standard deviations that everybody measures, to the digits that are published.
MEASURED = {
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "mnist": ((0.1307,), (0.3081,)),
    "fashionmnist": ((0.2860,), (0.3530,)),
}


def test_counts_shapes_and_statistics_are_the_published_ones(prepared):
    info, dataset = prepared
    assert dataset.train_images.shape == (info.train_size, *info.shape)
    assert dataset.test_images.shape == (info.test_size, *info.shape)
    counts = np.bincount(dataset.train_labels)
    assert len(counts) == info.classes
    assert counts.min() == info.smallest_class
    assert dataset.class_names == info.class_names
    assert (dataset.mean, dataset.std) == (info.mean, info.std)
    mean, std = channel_statistics(dataset.train_images, info.name)
    assert mean == pytest.approx(MEASURED[info.name][0], abs=6e-5)
    assert std == pytest.approx(MEASURED[info.name][1], abs=6e-5)
