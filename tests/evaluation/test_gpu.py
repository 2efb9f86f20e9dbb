"""Networks of an evaluation on the streams of a GPU; each test runs wherever there is one."""

import os
from dataclasses import replace

import pytest
import torch

from bacon.evaluation.protocol_training import NetworkTraining
from bacon.evaluation.train_and_test import train_and_test, trial
from bacon.runtime.streams import Streams
from bacon.settings.evaluation import EvaluationSettings
from bacon.settings.network import NetworkSettings
from bacon.training.batches import ImageSet

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
GPU = torch.device("cuda")

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # as a job sets it before it computes


@pytest.fixture(autouse=True)
def _deterministic():
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_networks_side_by_side_have_the_bits_of_those_trained_alone(norm):
    images = torch.randn(40, 3, 32, 32, generator=torch.Generator().manual_seed(0)).to(GPU)
    train = ImageSet(images=images, labels=(torch.arange(40) % 4).to(GPU))
    given = {
        "network": NetworkSettings(width=32, depth=3, norm=norm),
        "evaluation": EvaluationSettings(epochs=1100, batch_size=40, dsa_strategy="color_crop_flip"),
        "classes": 4,
    }
    alone = [train_and_test(NetworkTraining(train=train, seed=(0, seed), **given), train) for seed in range(4)]
    together = {}

    def work(seed):
        together[seed] = yield from trial(NetworkTraining(train=train, seed=(0, seed), **given), train)

    Streams(GPU, 3).run(work(seed) for seed in range(4))
    for seed, outcome in enumerate(alone):
        assert replace(together[seed], wall_seconds=0) == replace(outcome, wall_seconds=0)
