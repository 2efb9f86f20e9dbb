import torch

from bacon.distillation.networks import Fresh, Queue
from bacon.networks.build import build_network
from bacon.settings import NetworkQueue, NetworkSettings


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
    fresh.train(3)
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
