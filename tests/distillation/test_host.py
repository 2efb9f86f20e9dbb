"""The loop never waits for the device: nothing is read back and nothing is made from host values, iteration by iteration."""

import pytest
import torch

from bacon.distillation.queue_training import Rounds
from bacon.evaluation.protocol_training import NetworkTraining
from bacon.evaluation.train_and_test import train_and_test
from bacon.settings.evaluation import EvaluationSettings
from bacon.settings.recipe import TrainingRecipe
from bacon.training.batches import Batches, ImageSet
from bacon.transforms import affine_pass
from tests.distillation.engines import NETWORK, make_engine, settings
from tests.distillation.host import HostReads, HostTraffic

pytestmark = pytest.mark.usefixtures("draws_on_device")


@pytest.mark.parametrize("method", ["bacon", "idm", "dm"])
@pytest.mark.parametrize("chunk", [10_000, 13])
def test_an_iteration_reads_nothing_back_and_sends_no_lists(real32, method, chunk):
    engine = make_engine(real32, settings(method, iterations=20), ipc=2, seed=0, chunk_images=chunk)
    engine.step()  # indices of classes are made once
    with HostReads() as reads, HostTraffic() as traffic:
        for _ in range(8):
            engine.step()
    assert reads.found == []
    assert traffic.found == []
    assert any(member.seen for member in getattr(engine.algorithm.pool, "members", [])) or method == "dm"


def test_matching_gradients_reads_nothing_back(real32):
    engine = make_engine(real32, settings("dsa", iterations=3), ipc=2, seed=0)
    engine.step()
    with HostReads() as reads, HostTraffic() as traffic:
        engine.step()
    assert reads.found == []
    assert traffic.found == []


@pytest.mark.usefixtures("replayed_on_the_cpu")
def test_around_what_is_replayed_nothing_is_read_back(real32):
    """The queue beside the matching, both replayed: numbers and networks are written into their places."""
    engine = make_engine(real32, settings("bacon", iterations=20), ipc=2, seed=0)
    pool = engine.algorithm.pool
    engine.algorithm.replays.records = pool._is_shared = True
    pool._rounds = Rounds(pool._draws, places=2, record=True)
    for _ in range(2):  # everything is recorded
        engine.step()
    with HostReads() as reads, HostTraffic() as traffic:
        for _ in range(2):
            engine.step()
    assert pool._rounds.is_recorded
    assert reads.found == []
    assert traffic.found == []


def test_what_counts_as_a_host_read():
    x = torch.arange(4.0)
    with HostReads() as reads:
        x[1].item(), x.tolist(), bool(x[2] > 0), int(x[3])
    assert len(reads.found) >= 3
    with HostTraffic() as traffic:
        x[[0, 1]], x.cpu(), torch.tensor([1.0])
        x[[2]] = 0.0
    assert traffic.found == ["__getitem__", "cpu", "tensor", "__setitem__"]


def test_an_epoch_of_evaluation_reads_nothing_back():
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(11, 2, 8, 8, generator=generator)
    train = ImageSet(images=images, labels=torch.arange(11) % 3)
    found = []
    for epochs in (2, 9):
        with HostReads() as reads, HostTraffic() as traffic:
            train_and_test(
                NetworkTraining(
                    train=train,
                    network=NETWORK,
                    evaluation=EvaluationSettings(epochs=epochs, batch_size=4),
                    classes=3,
                    seed=(0, 1),
                ),
                train,
            )
        found.append((reads.found, traffic.found))
    assert found[0] == found[1], "what is read is read once, after the last epoch"


@pytest.mark.parametrize("mixing", [None, "mixup", "cutmix"])
@pytest.mark.parametrize("family", ["dsa", "idc", "frepo", "dc", "crop_flip", "random_resized_crop"])
@pytest.mark.parametrize("one_pass", [False, True])
def test_augmented_and_mixed_batches_read_nothing_back(monkeypatch, family, mixing, one_pass):
    monkeypatch.setattr(affine_pass, "is_preferred", lambda _: one_pass)
    images = torch.randn(11, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    train, kind = ImageSet(images=images, labels=torch.arange(11) % 3), None if mixing is None else {"kind": mixing}
    recipe = TrainingRecipe(epochs=8, batch_size=4, augmentation={"family": family}, mixing=kind)
    batches = Batches(train, recipe, 0, classes=3, images_at_once=22).from_epoch()
    next(batches)  # modules are imported
    with HostReads() as reads, HostTraffic() as traffic:
        assert len(list(batches)) == 23
    assert reads.found == []
    assert traffic.found == []
