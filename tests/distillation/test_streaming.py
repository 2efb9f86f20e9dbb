"""Real images that stay on the host: the same draws and bits as on the device, and when that is chosen."""

from __future__ import annotations

import logging
from functools import partial

import numpy as np
import pytest
import torch

from bacon.distillation.real_images import RealImages
from bacon.runtime.host_rows import HostPlaces, HostRows, stays_on_host
from bacon.settings.recipe import TrainingRecipe
from bacon.training.batches import Batches
from bacon.training.image_set import ImageSet
from bacon.training.predictions import confusion_matrix, logits
from tests.distillation.conftest import toy_dataset
from tests.distillation.engines import make_engine, settings

CPU, GPU = torch.device("cpu"), torch.device("cuda")
on_a_gpu = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
DEVICES = [CPU, pytest.param(GPU, marks=on_a_gpu)]


def sets(device):
    dataset = toy_dataset(channels=2)
    make = partial(ImageSet.of_uint8, dataset.train_images, dataset.train_labels, mean=dataset.mean, std=dataset.std)
    return [make(device=device, placement=placement) for placement in ("device", "host")]


@pytest.mark.parametrize("device", DEVICES)
def test_real_images_are_the_same_wherever_they_are(device):
    there, here = (RealImages(toy_dataset(), device=device, placement=place) for place in ("device", "host"))
    assert (there.is_streamed, here.is_streamed) == (False, True)
    assert here.images.device == CPU
    for iteration in range(5):
        found = []
        for real in (there, here):
            classes = real.sample_classes(0, "a", iteration=iteration, classes=[2, 0], size=9)
            everything = real.sample_all(0, "b", iteration=iteration, lanes=3, size=7)
            parts = [*classes.split(4, dim=1), everything[1], everything[1:, 2:5], torch.cat([classes[0], classes[1]])]
            found.append([classes, everything, *(real.batch(part) for part in parts)])
            assert all(part.device.type == device.type for part in found[-1])
        assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


# On a GPU BACON stands for all: they read real images by the same calls.
@pytest.mark.parametrize(
    ("method", "device"), [("bacon", CPU), ("dsa", CPU), ("idc", CPU), pytest.param("bacon", GPU, marks=on_a_gpu)]
)
def test_a_distillation_is_the_same(method, device):
    images = []
    for placement in ("device", "host"):
        real = RealImages(toy_dataset(), device=device, placement=placement)
        engine = make_engine(real, short(method), ipc=2, seed=3, chunk_images=13)
        for _ in range(2):
            engine.step()
        images.append(engine.synthetic().images.cpu())
    if device == CPU:
        assert torch.equal(*images)
    torch.testing.assert_close(*images, rtol=0, atol=1e-3)


def short(method):
    from tests.golden.distillation import short_settings

    return settings(method) if method == "bacon" else short_settings(method)


@pytest.mark.parametrize("device", DEVICES)
def test_batches_of_training_are_the_same(device):
    recipe = TrainingRecipe(
        epochs=3, batch_size=8, augmentation={"family": "crop_flip", "pad": 2}, mixing={"kind": "cutmix"}
    )
    batches = [list(Batches(train, recipe, 0, classes=3, images_at_once=16).from_epoch(1)) for train in sets(device)]
    assert len(batches[0]) == len(batches[1]) == 12
    for there, here in zip(*batches, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(there, here, strict=True) if a is not None)


@pytest.mark.parametrize("device", DEVICES)
def test_predictions_and_parts_of_a_set_are_the_same(device):
    class Linear(torch.nn.Module):
        def forward(self, x):
            return x.flatten(1)[:, :3]

    there, here = sets(device)
    assert torch.equal(confusion_matrix(Linear(), there, 3, 20), confusion_matrix(Linear(), here, 3, 20))
    assert torch.equal(logits(Linear(), there, 20), logits(Linear(), here, 20))
    assert torch.equal(logits(Linear(), there.first(7)), logits(Linear(), here.first(7)))
    assert here.device.type == device.type


def test_images_go_to_the_host_where_they_would_take_more_than_half_of_the_memory(monkeypatch, caplog):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (1000, 4000))
    monkeypatch.setattr(logging.getLogger("bacon"), "propagate", True)
    with caplog.at_level(logging.INFO):
        assert not stays_on_host("auto", 500, GPU, name="images")
        assert caplog.records == []
        assert stays_on_host("auto", 501, GPU, name="the training images")
    (record,) = caplog.records
    assert "the training images take" in record.message
    assert "run.real_images" in record.message
    assert stays_on_host("host", 1, GPU, name="images")
    assert not stays_on_host("device", 10_000, GPU, name="images")
    assert not stays_on_host("auto", 10_000, CPU, name="images"), "a CPU's memory is the host's"


class TestOnAGpu:
    pytestmark = on_a_gpu

    def test_a_batch_is_gathered_while_the_device_computes(self):
        rows = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (512, 3, 64, 64)).astype(np.uint8))
        there, brought, places = rows.to(GPU), HostRows(rows, GPU), HostPlaces(GPU)
        work = torch.randn(2048, 2048, device=GPU)
        for turn in range(20):
            drawn = places.drawn(lambda turn=turn: (torch.arange(256, device=GPU) * (2 * turn + 1)) % 512)
            found = brought.at(places.on_host(drawn))
            for _ in range(5):
                work = (work @ work).tanh()
            assert torch.equal(found, there.index_select(0, drawn))

    def test_the_places_of_a_part_of_a_draw_are_not_waited_for(self):
        places = HostPlaces(GPU)
        drawn = places.drawn(lambda: torch.arange(24, device=GPU).view(4, 6))
        torch.cuda.synchronize()
        torch.cuda.set_sync_debug_mode("error")
        try:
            parts = [places.on_host(part) for part in (drawn, drawn[2], *drawn.split(4, dim=1))]
        finally:
            torch.cuda.set_sync_debug_mode("default")
        assert parts[1].tolist() == list(range(12, 18))
        assert parts[3].tolist() == drawn[:, 4:].tolist()
