"""A block of small training runs on a toy data set, for the tests of training on the real set."""

import torch

from bacon.artifacts.checkpoint import CheckpointStore
from bacon.artifacts.trained_runs import TrainedRuns
from bacon.datasets.store import ImageDataset, write_dataset
from bacon.runtime.heartbeat import Heartbeat
from bacon.settings.cells import RunBlock
from bacon.settings.network import NetworkSettings
from bacon.settings.recipe import SgdSettings, TrainingRecipe
from bacon.settings.training_need import TrainingNeed
from bacon.training.run_driver import BlockJob
from tests.toy_images import MEAN, STD, toy

IMAGES = 44
FINGERPRINT = "f" * 32
EVERYTHING = frozenset({"final", "snapshots", "history", "soft_labels"})


def need(**changes) -> TrainingNeed:
    """Three epochs of a tiny ConvNet in batches of 8, the last of 4; everything is kept."""
    recipe = TrainingRecipe(epochs=3, batch_size=8, optimiser=SgdSettings(lr=0.05)).model_copy(
        update=changes.pop("recipe", {})
    )
    base = {"name": "experts", "network": NetworkSettings(width=4, depth=1), "recipe": recipe, "keep": EVERYTHING}
    return TrainingNeed(**(base | changes))


def write_toy(path):
    """The toy data set in a file; its images are not in class order."""
    images, labels = toy(IMAGES)
    test_images, test_labels = toy(8, seed=1)
    dataset = ImageDataset(
        name="toy", train_images=images, train_labels=labels, test_images=test_images, test_labels=test_labels,
        class_names=("lying", "standing"), mean=MEAN, std=STD, fingerprint="d" * 32,
    )  # fmt: skip
    write_dataset(path, dataset)
    return dataset


def block_job(
    folder, *, runs=(0, 2), at_once=1, fingerprint=FINGERPRINT, checkpoint_seconds=1e9, device="cpu", **changes
) -> BlockJob:
    """A job in ``folder``, which holds its data set; ``changes`` are the need's."""
    data, wanted = folder / "toy.h5", need(**changes)
    if not data.exists():
        write_toy(data)
    block = RunBlock("toy", wanted.key, *runs)
    beat = Heartbeat(folder / "train.json", fingerprint=fingerprint, device="CPU", interval=1e9)
    return BlockJob(
        block=block,
        need=wanted,
        fingerprint=fingerprint,
        block_fingerprint="b" * 32,
        data_fingerprint="d" * 32,
        data=data,
        output=folder / block.path,
        device=torch.device(device),
        at_once=at_once,
        checkpoints=CheckpointStore(folder=folder / "checkpoints", fingerprint="b" * 32),
        heartbeat=beat,
        checkpoint_seconds=checkpoint_seconds,
        progress_seconds=1e9,
    )


def trained(job, **options) -> TrainedRuns:
    """What a job has made, as its reader sees it."""
    runs = options.pop("runs", len(job.block.runs))
    return TrainedRuns(job.block.training, [job.output], runs=runs, fingerprint=job.fingerprint, **options)
