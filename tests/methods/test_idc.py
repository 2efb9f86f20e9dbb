"""IDC and DREAM: published settings, the loop over classes, representatives, networks that learn; test_contract has oracles."""

import numpy as np
import pytest
import torch

from bacon.config.layering import resolve
from bacon.config.loading import check_config
from bacon.distillation.real_images import RealImages
from bacon.methods.base import CellSize
from bacon.methods.idc.algorithm import absolute_distance, squared_distance
from bacon.methods.idc.pixels import PixelRounds
from bacon.methods.idc.representatives import Representatives, nearest_to_centroids
from bacon.methods.registry import METHODS
from bacon.runtime.errors import BaconError
from bacon.settings.cells import Cell
from bacon.settings.network import NetworkSettings
from bacon.training.steps import SharedStep
from tests.distillation.conftest import toy_dataset
from tests.methods.naive_idc import nearest_members
from tests.methods.test_contract import engine_of, small

CPU = torch.device("cpu")


def test_rounds_are_the_loop_over_classes():
    real64 = RealImages(toy_dataset(), device=CPU, dtype=torch.float64)
    start = torch.rand(6, 2, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    mean, std = real64.pixel_mean, real64.pixel_std
    rounds = PixelRounds((start - mean) / std, real64, rate=0.1, momentum=0.5)
    x = start.clone().requires_grad_()
    optimiser = torch.optim.SGD([x], lr=0.1, momentum=0.5)
    for _ in range(3):
        rounds.approach()
        gradient = 2 * rounds.pixels - 1  # of sum x^2 - x
        rounds.take(gradient)
        for c in range(3):
            optimiser.zero_grad()
            own = x[2 * c : 2 * c + 2]
            (own**2 - own).sum().backward()
            optimiser.step()
        torch.testing.assert_close(rounds.pixels.flatten(0, 1), x.detach())


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("cifar10/idc/10", {"partition": 2, "distance": "squared", "lr_img": 5e-3, "iterations": 2000, "inner": 100}),
        ("mnist/idc/10", {"distance": "absolute", "lr_img": 1e-4, "idc_strategy": "color_crop", "reference_size": 28}),
        (
            "fashionmnist/idc/1",
            {"distance": "absolute", "reference_size": 32, "idc_strategy": "color_crop_cutout", "batch_real": 64},
        ),
        ("mnist/dream/1", {"distance": "absolute", "idc_strategy": "color_crop", "batch_real": 128}),
        ("cifar100/dream/50", {"sampling": "clusters", "init": "clusters", "batch_real": 128, "refresh": 10}),
        ("tinyimagenet/dream/50", {"lr_img": 1e-6, "batch_real": 64, "reference_size": 32}),
    ],
)
def test_published_settings(cell, expected):
    dataset, method, ipc = cell.split("/")
    grid = {"datasets": [dataset], "methods": [method], "seeds": 1, "ipc": [int(ipc)]}
    config = check_config({"preset": "paper", "grid": grid})
    resolved = resolve(config, Cell(dataset, method, int(ipc), 0)).settings.distillation
    assert {key: getattr(resolved, key) for key in expected} == expected
    images = {"cifar10": 2000, "cifar100": 2000, "tinyimagenet": 1000}.get(dataset, 500)
    assert (resolved.networks.images, resolved.networks.cutmix) == (images, 0.0 if dataset == "mnist" else 0.5)
    assert resolved.networks.batch == resolved.batch_real, "one loader gives a class's real batch and the network's"


def test_the_learning_rate_grows_with_images_per_class_and_area():
    settings = small(METHODS["idc"])
    assert settings.image_rate(10, 32) == pytest.approx(5e-3)
    assert settings.image_rate(50, 64) == pytest.approx(5e-3 * 5 * 4)


def test_distances_sum_over_everything_but_the_group():
    a, b = [torch.tensor([[[1.0, 2.0]], [[0.0, 0.0]]])], [torch.tensor([[[3.0, -1.0]], [[0.0, 0.5]]])]
    assert squared_distance(a, b).tolist() == [13.0, 0.25]
    assert absolute_distance(a, b).tolist() == [5.0, 0.5]


@pytest.mark.parametrize("steps", [0, 1, 4])
def test_representatives_are_those_of_the_naive_k_means(steps):
    points = torch.randn(40, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(steps))
    points[7] = points[5]  # equal first centroids: the cluster of the second one stays empty
    first = [3, 5, 7, 30, 12]
    found = nearest_to_centroids(points, torch.tensor(first), steps=steps)
    assert found.tolist() == nearest_members(points, first, steps)


def test_k_means_finds_groups_that_lie_apart():
    groups = np.repeat([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]], 5, axis=0)
    points = torch.from_numpy(groups + np.linspace(-1, 1, 30).reshape(15, 2))
    found = nearest_to_centroids(points, torch.tensor([1, 5, 14]), steps=5)
    assert found.tolist() == [2, 7, 12], "the middle one of each group"


def test_images_and_batches_of_dream_are_of_their_class():
    algorithm = engine_of(METHODS["dream"], dataset=toy_dataset(counts=(14, 4, 17)), ipc=1).algorithm
    assert isinstance(algorithm.representatives, Representatives)
    algorithm.step(0)
    assert [len(batch) for batch in algorithm.batches] == [6, 4, 6]
    for label, batch in enumerate(algorithm.batches):
        assert set(algorithm.real.labels[batch].tolist()) == {label}


def test_three_parts_a_side():
    settings = small(METHODS["dream"], partition=3)
    algorithm = engine_of(METHODS["dream"], settings, dataset=toy_dataset(size=6), ipc=1).algorithm
    start = algorithm.images.clone()
    algorithm.step(0)
    assert len(algorithm.synthetic().decoded()) == 27
    assert not torch.equal(algorithm.images, start)


def test_pixels_stay_in_range_and_whitened_images_have_no_bounds():
    algorithm = engine_of(METHODS["idc"], small(METHODS["idc"], lr_img=50.0)).algorithm
    algorithm.step(0)
    images = algorithm.synthetic().images * torch.tensor([0.2, 0.25]).view(2, 1, 1) + torch.tensor([0.3, 0.4]).view(
        2, 1, 1
    )
    assert -1e-6 <= float(images.min()) < float(images.max()) <= 1 + 1e-6
    real = RealImages(toy_dataset(), device=CPU)
    real._whitener = lambda images: images.float()  # any map: pixels cannot be had back
    outside = torch.full((3, 2, 8, 8), 7.0)
    assert torch.equal(PixelRounds(outside, real, rate=1.0, momentum=0.5).pixels.flatten(0, 1), outside)


def test_a_network_without_convolutions_is_refused_unless_linear_layers_are_matched():
    mlp = NetworkSettings(architecture="mlp")
    for matched in ("convolutions", "weights"):
        algorithm = engine_of(METHODS["idc"], small(METHODS["idc"], matched=matched)).algorithm
        object.__setattr__(algorithm.context, "network", mlp)
        network = algorithm.context.build(0)
        if matched == "convolutions":
            with pytest.raises(BaconError, match=r"distillation.matched: convolutions, but network 'mlp' has no conv"):
                algorithm.match(network, 0)
        else:
            assert float(algorithm.match(network, 0)) > 0


def test_warm_up_passes_over_all_real_images(monkeypatch):
    settings = small(METHODS["idc"], networks={"images": 0, "batch": 8, "warmup_epochs": 2})
    algorithm, seen = engine_of(METHODS["idc"], settings).algorithm, []
    batch = algorithm.real.batch
    monkeypatch.setattr(algorithm.real, "batch", lambda indices: seen.append(indices) or batch(indices))
    network = algorithm.context.build(0)
    before = network.classifier.weight.clone()
    algorithm.training.begin(network, 0)
    assert [sorted(indices.tolist()) for indices in seen] == [list(range(42))] * 2
    assert seen[0].tolist() != seen[1].tolist()
    assert not torch.equal(network.classifier.weight, before)


def test_steps_through_shared_buffers_are_the_plain_ones():
    """As a GPU takes them, here without recording: images, classes and the shares of mixed classes."""
    weights = []
    for shared in (False, True):
        algorithm = engine_of(METHODS["idc"], small(METHODS["idc"], networks={"images": 20, "batch": 8})).algorithm
        training, network = algorithm.training, algorithm.context.build(0)
        optimiser = training.begin(network, 0)
        if shared:
            training._steps.is_recorded, training._steps._shared = True, SharedStep(network, optimiser, record=False)
        for occasion in range(3):
            training(network, optimiser, occasion)
        weights.append([parameter.detach().clone() for parameter in network.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*weights, strict=True))


def test_batch_norm_takes_the_statistics_of_whole_batches():
    """However few images memory holds."""
    algorithms = []
    for chunk_images in (1000, 1):
        engine = engine_of(METHODS["idc"], dtype=torch.float64, chunk_images=chunk_images)
        object.__setattr__(engine.algorithm.context, "network", NetworkSettings(width=6, depth=2, norm="batch"))
        engine.algorithm.step(0)
        algorithms.append(engine.algorithm)
    torch.testing.assert_close(algorithms[0].images, algorithms[1].images, rtol=0, atol=1e-8)


@pytest.mark.parametrize(("name", "batch", "steps"), [("idc", 64, 32), ("dream", 128, 16)])
def test_the_cost_counts_matching_training_and_clusters(name, batch, steps):
    settings = METHODS[name].settings_model()
    work = METHODS[name].cost(settings, CellSize(ipc=50, classes=10, train=50_000))
    counted = {(each.kind, each.images): each.count for each in work.passes}
    assert counted["training", settings.batch_real * 10] == 100
    assert counted["matching_gradient", 1280] == 100
    assert counted["training", batch] == 99 * steps
    assert counted.get(("forward", 50_000), 0) == (10 if name == "dream" else 0)
