"""The real training images of a cell's data set, which most tasks never read."""

from __future__ import annotations

from bacon.datasets.store import read_dataset
from bacon.evaluation.trained_networks import Networks, image_set
from bacon.training.image_set import ImageSet


def real_training_images(networks: Networks) -> ImageSet:
    """The training images, without the validation split; raises :class:`BaconError` where the data is not the job's."""
    job = networks.job
    dataset = read_dataset(networks.data_path, expected_fingerprint=job.fingerprints.data)
    return image_set(dataset.train_images, dataset.train_labels, dataset, job.device, job.placement)
