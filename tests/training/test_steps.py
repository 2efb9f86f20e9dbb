"""Steps on buffers that stay where they are: the same bits as plain steps, whatever is recorded of them."""

import copy
import gc
import logging
import weakref
from functools import partial
from unittest import mock

import pytest
import torch

from bacon.distillation.network_queue import Queue
from bacon.distillation.real_images import RealImages
from bacon.networks.build import build_network
from bacon.runtime import recording
from bacon.settings.evaluation import EvaluationSettings
from bacon.settings.network import NetworkSettings
from bacon.settings.pools import NetworkQueue
from bacon.training import loop
from bacon.training.batches import ImageSet
from bacon.training.sgd import Sgd
from bacon.training.steps import PlainStep, StaticStep, worth_recording
from tests.distillation.conftest import toy_dataset
from tests.distillation.host import HostReads, HostTraffic

CPU = torch.device("cpu")
NORMS = ["instance", "batch"]
on_a_gpu = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]


def make_queue(*, shared, norm="instance", device=CPU, precision="fp32", **changes):
    real = RealImages(toy_dataset(), device=device)
    chosen = NetworkSettings(width=6, depth=2, norm=norm, precision=precision)

    def build(index):
        return build_network(chosen, channels=2, size=8, classes=3, seed=0, index=index, device=device)

    settings = NetworkQueue(start=4, networks_trained=2, model_train_steps=3, batch_train=9, **changes)
    return Queue(settings, build, real, seed=1, shared=shared)


def tensors(queue):
    return [
        tensor
        for member in queue.members
        for tensor in (*member.network.state_dict().values(), *member.optimiser.momenta(), member.correct)
    ]


def trained(queue, iterations=6):
    for iteration in range(iterations):
        queue.begin(iteration)
        queue.train(iteration)
    return queue


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_shared_steps_give_the_bits_of_plain_steps(norm, precision):
    plain, shared = (trained(make_queue(shared=shared, norm=norm, precision=precision)) for shared in (False, True))
    assert [member.seen for member in plain.members] == [member.seen for member in shared.members]
    assert sum(member.seen for member in shared.members) > 0
    never_trained = {member.serial for member in plain.members if not member.optimiser.momenta()}
    for mine, other in zip(plain.members, shared.members, strict=True):
        assert torch.equal(mine.correct, other.correct)
        for one, two in zip(mine.network.state_dict().values(), other.network.state_dict().values(), strict=True):
            assert torch.equal(one, two)
        if mine.serial not in never_trained:
            for one, two in zip(mine.optimiser.momenta(), other.optimiser.momenta(), strict=True):
                assert torch.equal(one, two)


def test_a_checkpoint_of_shared_steps_goes_on_with_plain_ones():
    plain, shared = make_queue(shared=False), make_queue(shared=True)
    state = trained(make_queue(shared=True), 3).state_dict()
    for queue in (plain, shared):
        queue.load_state_dict(copy.deepcopy(state))
        queue.train(3)
    for one, two in zip(tensors(plain), tensors(shared), strict=True):
        assert torch.equal(one, two)


@pytest.mark.usefixtures("draws_on_device")
def test_shared_steps_read_nothing_back():
    queue = trained(make_queue(shared=True), 2)
    with HostReads() as reads, HostTraffic() as traffic:
        queue.train(2)
    assert reads.found == []
    assert traffic.found == []


def image_set(count, device=CPU):
    images = torch.randn(count, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    return ImageSet(images=images.to(device), labels=(torch.arange(count) % 3).to(device))


def evaluate(train, *, static, epochs, norm="instance", record=False, device=CPU):
    model = build_network(
        NetworkSettings(width=6, depth=2, norm=norm), channels=2, size=8, classes=3, seed=0, device=device
    )
    recipe = EvaluationSettings(epochs=epochs, batch_size=4).recipe(images=len(train), classes=3)
    counted = []
    make = partial(StaticStep, record=record) if static else PlainStep
    with mock.patch.object(loop, "training_step", lambda model, optimiser, **_: make(model, optimiser)):
        done = loop.train_network(model, train, recipe, (0, 1), on_epoch=counted.append)
    assert len(counted) == epochs
    return [done.totals, done.correct, *model.state_dict().values()]


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("epochs", [1, 2, 3, 6])
@pytest.mark.parametrize("count", [8, 11])
def test_static_evaluation_gives_the_bits_of_plain_steps(norm, epochs, count):
    train = image_set(count)
    plain, static = (evaluate(train, static=static, epochs=epochs, norm=norm) for static in (False, True))
    assert float(static[0][0]) > 0
    for one, two in zip(plain, static, strict=True):
        assert torch.equal(one, two)


def test_recording_leaves_the_network_as_it_was_and_its_replay_moves_it(monkeypatch):
    """A recording that runs the step, as a warm-up does, and a replay that runs it again."""

    class Replayed:
        def __init__(self, work):
            self.replay = work

    def recorded(work):
        for _ in range(3):
            work()
        return Replayed(work)

    monkeypatch.setattr(recording, "recorded", recorded)
    train = image_set(11)
    plain, static = (evaluate(train, static=flag, epochs=4, norm="batch", record=flag) for flag in (False, True))
    for one, two in zip(plain, static, strict=True):
        assert torch.equal(one, two)


def test_a_trained_network_gives_the_memory_of_its_recordings_back_at_once(monkeypatch):
    """And not only when Python looks for cycles, which it may not do for as long as an evaluation of many networks takes."""
    graphs = weakref.WeakSet()

    class Graph:
        def __init__(self, work):
            work()
            graphs.add(self)

        def replay(self):
            pass

    monkeypatch.setattr(recording, "recorded", Graph)
    gc.disable()
    try:
        evaluate(image_set(11), static=True, epochs=2, record=True)
        assert not graphs
    finally:
        gc.enable()


def test_where_recording_fails_twice_the_log_says_so_once_and_the_numbers_are_the_same(monkeypatch, caplog):
    def fails(work):
        work()
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    monkeypatch.setattr(recording, "recorded", fails)
    monkeypatch.setattr(logging.getLogger("bacon"), "propagate", True)
    train = image_set(11)
    with caplog.at_level(logging.INFO):
        found = evaluate(train, static=True, epochs=2, record=True)
    for one, two in zip(evaluate(train, static=False, epochs=2), found, strict=True):
        assert torch.equal(one, two)
    *tries, last = [record.message for record in caplog.records]
    assert len(tries) == 2
    assert all(each.endswith("failed (operation not permitted when stream is capturing)") for each in tries)
    assert last.endswith("cannot be recorded as a CUDA graph; its kernels are launched one by one")


def test_short_runs_and_the_cpu_do_not_record():
    gpu = torch.device("cuda")
    assert not worth_recording(CPU, 10**9)
    assert not worth_recording(gpu, 100)
    assert worth_recording(gpu, 20_000 * 20)


def test_a_gradient_of_another_layout_is_the_same_step():
    found = []
    for layout in (torch.contiguous_format, torch.channels_last):
        weight = torch.arange(24.0).view(2, 3, 2, 2).clone().requires_grad_()
        optimiser = Sgd([weight], lr=0.1, momentum=0.9, weight_decay=0.01)
        for step in range(2):
            optimiser.step([torch.linspace(-1, 1 + step, 24).view(2, 3, 2, 2).contiguous(memory_format=layout)])
        found.append(weight.detach())
    assert torch.equal(*found)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_channels_last_networks_take_the_same_steps(precision):
    train, found = image_set(8), []
    for layout in (torch.contiguous_format, torch.channels_last):
        chosen = NetworkSettings(width=6, depth=2, precision=precision)
        network = build_network(chosen, channels=2, size=8, classes=3, seed=0, device=CPU).to(memory_format=layout)
        step = StaticStep(network, Sgd(network.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01), record=False)
        for _ in range(3):
            step(train.images, train.labels)
        found.append(list(network.parameters()))
    assert not found[1][0].is_contiguous()
    for one, two in zip(*found, strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=1e-5 if precision == "fp32" else 2e-2)


class TestOnAGpu:
    pytestmark = on_a_gpu

    @pytest.mark.parametrize("norm", NORMS)
    def test_recorded_steps_of_the_queue_equal_plain_ones(self, norm):
        gpu = torch.device("cuda")
        plain, shared = (trained(make_queue(shared=flag, norm=norm, device=gpu)) for flag in (False, True))
        for one, two in zip(plain.members, shared.members, strict=True):
            for mine, other in zip(one.network.state_dict().values(), two.network.state_dict().values(), strict=True):
                torch.testing.assert_close(mine, other, rtol=0, atol=1e-6)
            assert torch.equal(one.correct, two.correct)
        assert shared._rounds.is_recorded, "see the log"

    def test_recorded_evaluation_equals_plain_steps(self):
        gpu = torch.device("cuda")
        train = image_set(11, gpu)
        plain, recorded = (evaluate(train, static=flag, epochs=6, record=flag, device=gpu) for flag in (False, True))
        for one, two in zip(plain, recorded, strict=True):
            torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-5)

    def test_a_recorded_step_is_one_launch(self):
        gpu = torch.device("cuda")
        network = build_network(NetworkSettings(width=8, depth=2), channels=2, size=8, classes=3, seed=0, device=gpu)
        optimiser = Sgd(network.parameters(), lr=0.1, momentum=0.9, weight_decay=0.0)
        step, train = StaticStep(network, optimiser, record=True), image_set(8, gpu)
        step(train.images, train.labels)
        assert [size for size, kept in step._recordings.items() if kept.is_recorded] == [8]
        with torch.profiler.profile(activities=list(torch.profiler.supported_activities())) as profile:
            step(train.images, train.labels)
        names = [event.name for event in profile.events()]
        assert sum("LaunchKernel" in name for name in names) <= 4
        assert sum("GraphLaunch" in name for name in names) == 1
