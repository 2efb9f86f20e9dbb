import copy
import logging
import weakref

import pytest
import torch

from bacon.distillation import queue_training
from bacon.distillation.network_queue import Queue
from bacon.distillation.pools import Fresh
from bacon.distillation.queue_training import Round
from bacon.networks.build import build_network
from bacon.settings.network import NetworkSettings
from bacon.settings.pools import NetworkQueue
from bacon.training.sgd import Sgd
from tests.distillation.engines import make_engine, settings
from tests.fake_streams import FakeGpu


def builder(real, built):
    def build(index):
        built.append(index)
        channels, size, _ = real.shape
        return build_network(
            NetworkSettings(width=4, depth=2),
            channels=channels,
            size=size,
            classes=real.classes,
            seed=0,
            index=index,
            device=real.device,
            dtype=real.dtype,
        )

    return build


def make_queue(real, **changes):
    built = []
    base = {"start": 3, "capacity": 5, "net_generate_interval": 4, "model_train_steps": 1, "batch_train": 8}
    return Queue(NetworkQueue(**(base | changes)), builder(real, built), real, seed=0), built


def test_starts_with_three_and_pushes_at_the_interval_iteration_0_included(real32):
    queue, _ = make_queue(real32, capacity=100)
    assert len(queue.members) == 3
    lengths = []
    for iteration in range(9):
        queue.begin(iteration)
        lengths.append(len(queue.members))
    assert lengths == [4, 4, 4, 4, 5, 5, 5, 5, 6]


def test_the_oldest_is_dropped_at_capacity(real32):
    queue, built = make_queue(real32, net_generate_interval=1)
    for iteration in range(4):
        queue.begin(iteration)
    assert [member.serial for member in queue.members] == [2, 3, 4, 5, 6]
    assert built == list(range(7))


def test_draws_cover_the_queue_and_freeze_the_network(real32):
    queue, _ = make_queue(real32)
    seen = set()
    for iteration in range(60):
        network, accuracy = queue.draw(iteration)
        assert not any(parameter.requires_grad for parameter in network.parameters())
        assert not network.training
        assert accuracy.shape == ()
        seen.add(id(network))
    assert seen == {id(member.network) for member in queue.members}


def test_two_different_networks_train_and_their_meters_record(real32):
    queue, _ = make_queue(real32, model_train_steps=3)
    before = [[p.detach().clone() for p in member.network.parameters()] for member in queue.members]
    queue.train(0)
    moved = [
        any(not torch.equal(old, new) for old, new in zip(olds, member.network.parameters(), strict=True))
        for olds, member in zip(before, queue.members, strict=True)
    ]
    assert sum(moved) == 2
    assert [member.seen for member in queue.members] == [24 if trained else 0 for trained in moved]
    for member, trained in zip(queue.members, moved, strict=True):
        assert 0 <= float(member.accuracy()) <= 100
        assert trained or float(member.accuracy()) == 0
    pairs = {tuple(sorted(member.serial for member in queue.chosen_for_training(it))) for it in range(50)}
    assert pairs == {(0, 1), (0, 2), (1, 2)}


def test_meters_reset_at_their_interval(real32):
    queue, _ = make_queue(real32, meter_interval=2, net_generate_interval=100)
    queue.begin(0)
    queue.train(0)
    queue.begin(1)
    assert sum(member.seen for member in queue.members) == 16
    queue.begin(2)
    assert sum(member.seen for member in queue.members) == 0


def test_a_queue_smaller_than_asked_trains_all_of_it(real32):
    queue, _ = make_queue(real32, start=1, networks_trained=2)
    queue.train(0)
    assert [member.seen for member in queue.members] == [8]


def test_fresh_networks_are_keyed_by_the_iteration(real32):
    built = []
    fresh = Fresh(builder(real32, built), device=real32.device, dtype=real32.dtype)
    fresh.begin(3)
    network, accuracy = fresh.draw(3)
    fresh.advance(3, None)
    assert built == [3]
    assert float(accuracy) == 0
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_an_optimiser_goes_on_where_its_state_was_taken(real32):
    (one, _), (other, _) = (make_queue(real32, start=1) for _ in range(2))
    one.train(0)
    member, copy = one.members[0], other.members[0]
    copy.network.load_state_dict(member.network.state_dict())
    copy.optimiser.load_state_dict(member.optimiser.state_dict())
    for queue in (one, other):
        queue.train(1)
    for mine, theirs in zip(member.network.parameters(), copy.network.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_a_fresh_optimiser_has_no_momentum_to_keep(real32):
    (queue, _), (other, _) = (make_queue(real32, start=1) for _ in range(2))
    other.members[0].optimiser.load_state_dict(queue.members[0].optimiser.state_dict())
    for each in (queue, other):
        each.train(0)
    for mine, theirs in zip(*(each.members[0].network.parameters() for each in (queue, other)), strict=True):
        assert torch.equal(mine, theirs)


def test_a_state_is_let_go_of_network_by_network_as_it_is_loaded(real32):
    """A full queue of TinyImageNet's networks is 1.5 GB with its momenta, and a resumed job would have it twice."""
    (one, _), (other, _) = (make_queue(real32) for _ in range(2))
    one.train(0)
    expected = [[p.detach().clone() for p in member.network.parameters()] for member in one.members]
    state = copy.deepcopy(one.state_dict())
    alive = [weakref.ref(kept["network"]["classifier.weight"]) for kept in state["members"]]
    build, seen = other._build, []

    def counting(index):
        seen.append(sum(tensor() is not None for tensor in alive))
        return build(index)

    other._build = counting
    other.load_state_dict(state)
    assert seen == [3, 2, 1]
    with pytest.raises(KeyError, match="members"):
        one.load_state_dict(state)  # never silently an empty queue
    for member, parameters in zip(other.members, expected, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(member.network.parameters(), parameters, strict=True))


def _refusing(monkeypatch, at, where):
    """The device refuses memory in the ``at``-th training step: for the gradients, or for the first momenta."""
    steps, refused = [], []
    original = Sgd.step

    def step(optimiser, gradients):
        steps.append(len(gradients))
        if len(steps) in at:
            refused.append(len(steps))
            if where == "momenta":  # as when only a part of them has found room
                optimiser._buffers = [torch.full_like(optimiser.parameters[0].detach(), 7.0), *optimiser._buffers[1:]]
            raise torch.OutOfMemoryError("no room")
        original(optimiser, gradients)

    monkeypatch.setattr(Sgd, "step", step)
    return refused


def _state(queue):
    members = queue.state_dict()["members"]
    tensors = [
        t for kept in members for t in (*kept["network"].values(), *kept["optimiser"]["momentum"], kept["correct"])
    ]
    return tensors, [kept["seen"] for kept in members]


def _same(queues):
    (mine, my_seen), (theirs, their_seen) = map(_state, queues)
    assert my_seen == their_seen
    for a, b in zip(mine, theirs, strict=True):
        # A momentum that was never made is the same as zero.
        assert a is b or torch.equal(torch.zeros_like(b) if a is None else a, torch.zeros_like(a) if b is None else b)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("where", ["gradients", "momenta"])
@pytest.mark.parametrize("at", [1, 2, 3, 4, 6])
def test_a_network_refused_memory_takes_its_steps_once_more_and_no_number_changes(
    real32, monkeypatch, caplog, shared, where, at
):
    queues = [make_queue(real32, model_train_steps=3)[0] for _ in range(2)]
    for queue in queues:
        queue._is_shared, queue._can_refuse = shared, True
    queues[1].train(0)
    monkeypatch.setattr(logging.getLogger("bacon"), "propagate", True)
    with monkeypatch.context() as patch:
        refused = _refusing(patch, [at], where)
        queues[0].train(0)
    assert refused == [at]
    (record,) = caplog.records
    said = (
        "out of device memory; from here on networks are trained one after another" if shared else "they are repeated"
    )
    assert record.message.startswith("iteration 0: ")
    assert said in record.message
    assert (queues[0]._is_shared, queues[0].overlaps) == (shared, not shared)
    _same(queues)
    for queue in queues:
        queue.train(1)
    _same(queues)


@pytest.mark.parametrize("again", [7, 9, 12])
def test_networks_trained_side_by_side_and_refused_twice_are_trained_as_they_are(real32, monkeypatch, caplog, again):
    """First side by side, then one after another in a place of their own, at last without: each network's steps count once."""
    queues = [make_queue(real32, model_train_steps=3, start=4)[0] for _ in range(2)]
    queues[0]._is_shared = queues[0].overlaps = queues[0]._can_refuse = True
    queues[1].train(0)
    monkeypatch.setattr(logging.getLogger("bacon"), "propagate", True)
    with monkeypatch.context() as patch:
        refused = _refusing(patch, [6, again], "gradients")
        queues[0].start(0)
        assert not any(member.seen for member in queues[0].members)
        queues[0].train(0)
    assert refused == [6, again]
    assert ["one after another" in record.message for record in caplog.records] == [True, False]
    assert "no longer recorded" in caplog.records[1].message
    assert (queues[0]._is_shared, queues[0].overlaps) == (False, False)
    _same(queues)


def test_what_has_begun_beside_the_matching_shows_when_the_iteration_is_over(real32):
    (beside, _), (after, _) = (make_queue(real32, model_train_steps=2, start=2) for _ in range(2))
    beside._is_shared = beside.overlaps = True
    for iteration in range(3):
        for queue in (beside, after):
            queue.begin(iteration)
        network, accuracy = beside.draw(iteration)
        weights, percent = copy.deepcopy(network.state_dict()), float(accuracy)
        beside.start(iteration)
        assert (network.training, float(accuracy)) == (False, percent)
        assert all(torch.equal(value, weights[name]) for name, value in network.state_dict().items())
        for queue in (beside, after):
            queue.advance(iteration, None)
        _same([beside, after])


def test_memory_that_the_matching_needs_is_taken_from_the_training_beside_it(real32, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("bacon"), "propagate", True)
    queues = [make_queue(real32, model_train_steps=2)[0] for _ in range(2)]
    queues[0]._is_shared = queues[0].overlaps = True
    queues[0].start(0)
    assert queues[0].make_room(0)
    assert not queues[0].make_room(0), "there is nothing more"
    for queue in queues:
        queue.train(0)
    _same(queues)
    assert "not beside the iteration's step" in caplog.text


def test_a_second_refusal_of_memory_ends_the_run(real32, monkeypatch):
    queue, _ = make_queue(real32, model_train_steps=3)
    queue._can_refuse = True
    refused = _refusing(monkeypatch, [2, 3], "gradients")
    with pytest.raises(torch.OutOfMemoryError):
        queue.train(0)
    assert refused == [2, 3]


def test_on_a_gpu_the_matching_comes_between_copies_in_and_copies_out(real32, monkeypatch):
    """Which stream does what, and which one waits for which: all that the order of results on a GPU rests on."""
    gpu = FakeGpu(monkeypatch)
    monkeypatch.setattr(queue_training, "Streams", lambda _, count: gpu.streams(count))
    engine = make_engine(real32, settings("bacon"), ipc=1, seed=0)
    algorithm, pool = engine.algorithm, engine.algorithm.pool
    pool._is_shared = True
    for owner, name in ((Round, "begin"), (Round, "end"), (type(algorithm), "gradient"), (Queue, "draw")):
        gpu.note(owner, name)
    engine.step()
    assert gpu.log == [
        ("main", "draw"),
        ("stream1", "main"), ("stream2", "main"),
        ("stream1", "begin"), ("stream2", "begin"), ("main", "gradient"),
        ("main", "stream1"), ("main", "stream2"),
        ("main", "end"), ("main", "end"),
    ]  # fmt: skip
