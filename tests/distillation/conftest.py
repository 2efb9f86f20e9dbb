from types import SimpleNamespace

import numpy as np
import pytest
import torch

from bacon.distillation.real_images import RealImages


def toy_dataset(*, counts=(14, 11, 17), channels=2, size=8, seed=0):
    """A small random data set whose classes differ in size, with a class-dependent mean."""
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    noise = generator.integers(0, 128, size=(len(labels), channels, size, size))
    images = (noise + 40 * labels[:, None, None, None]).astype(np.uint8)
    order = generator.permutation(len(labels))
    return SimpleNamespace(
        name="toy",
        train_images=images[order],
        train_labels=labels[order].astype(np.int64),
        class_names=tuple(f"class {label}" for label in range(len(counts))),
        mean=(0.3, 0.4)[:channels],
        std=(0.2, 0.25)[:channels],
        whitening=None,
    )


@pytest.fixture
def real64():
    return RealImages(toy_dataset(), device=torch.device("cpu"), dtype=torch.float64)


@pytest.fixture
def real32():
    return RealImages(toy_dataset(), device=torch.device("cpu"))
