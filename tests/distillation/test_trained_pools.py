"""Pools of trained networks: who is drawn, and what lies between a network before and after its training."""

import torch

from bacon.distillation import trained_pools
from bacon.distillation.trained_pools import InterpolatedPool, LoadedNetworks, TrainedPool
from bacon.runtime.draws import uniform
from bacon.settings.network import NetworkSettings
from bacon.settings.recipe import TrainingRecipe
from bacon.settings.training_need import TrainingNeed
from tests.methods.trained import DrawnRuns, usual_dataset

CPU = torch.device("cpu")
OPTIONS = {"device": CPU, "dtype": torch.float64}


def runs(count=3, norm="instance"):
    need = TrainingNeed(
        name="endpoints", network=NetworkSettings(width=4, depth=1, norm=norm), recipe=TrainingRecipe(epochs=5),
        runs=count, keep=frozenset({"snapshots"}), snapshot_every=5,
    )  # fmt: skip
    return DrawnRuns(need, usual_dataset())


def equal(network, weights):
    return all(torch.equal(tensor, weights[name].to(tensor.dtype)) for name, tensor in network.state_dict().items())


def test_every_network_is_drawn_and_an_iteration_names_it():
    trained = runs()
    pool, again = (TrainedPool(trained, seed=4, **OPTIONS) for _ in range(2))
    names = []
    for iteration in range(12):
        network = pool.draw(iteration).network
        names.append(next(run for run in range(3) if equal(network, trained.weights(run))))
        assert not network.training
        assert not any(parameter.requires_grad for parameter in network.parameters())
    assert set(names) == {0, 1, 2}
    assert equal(again.draw(7).network, trained.weights(names[7]))
    assert pool.state_dict() == {}


def test_a_network_lies_between_its_ends():
    trained = runs(norm="batch")
    pool = InterpolatedPool(trained, seed=1, **OPTIONS)
    for iteration in range(4):
        run, share = uniform(1, "interpolated-pool", count=2, iteration=iteration)
        first, last = (trained.snapshot(int(run * 3), epoch) for epoch in (0, 5))
        found = pool.draw(iteration).network.state_dict()
        assert equal(pool.trained(iteration), last)
        for name, tensor in found.items():
            if tensor.is_floating_point():
                expected = share * first[name].double() + (1 - share) * last[name].double()
                torch.testing.assert_close(tensor, expected, rtol=0, atol=1e-12)


def test_networks_beyond_the_memory_are_read_again(monkeypatch):
    monkeypatch.setattr(trained_pools, "_KEPT_BYTES", 1)
    trained = runs()
    networks = LoadedNetworks(trained, **OPTIONS)
    first = networks.get(0)
    assert networks.get(0) is first
    networks.get(1)
    networks.get(2)
    assert networks.get(0) is not first
    assert equal(networks.get(0), trained.weights(0))
