"""KIP, LS and FRePo beyond the contract: label solving in closed form, the pool, what their settings refuse."""

import math
from contextlib import nullcontext
from itertools import pairwise

import pytest
import torch

from bacon.datasets.registry import REGISTRY
from bacon.distillation.chunks import MemoryLimit
from bacon.distillation.kernel_matching import balanced_places, regression_gradients
from bacon.distillation.lamb import LambUpdate
from bacon.distillation.real_images import RealImages
from bacon.methods.frepo.algorithm import margin_gradient
from bacon.methods.ls.algorithm import solved_labels
from bacon.methods.registry import METHODS
from bacon.networks.build import build_network
from bacon.networks.infinite_width import dense_kernel, linear_kernel
from bacon.runtime.errors import BaconError
from bacon.settings.network import NetworkSettings
from bacon.training.ridge_regression import centred_one_hot, dual_weights
from tests.distillation.conftest import toy_dataset
from tests.methods.naive_kernels import PlainFRePoNet, regression
from tests.methods.test_contract import CPU, engine_of, finished, run, small

KERNEL = dense_kernel("ntk", depth=1, bias_std=0.1)


def rows(count, size, seed=0):
    return torch.randn(count, size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_dual_weights_are_the_ridge_solution():
    points, labels = rows(6, 4), rows(6, 3, seed=1)
    kernel = KERNEL(points, points)
    expected = torch.linalg.inv(kernel + 0.01 * kernel.trace() / 6 * torch.eye(6, dtype=torch.float64)) @ labels
    torch.testing.assert_close(dual_weights(kernel, labels, 0.01), expected)


def test_a_kernel_that_is_not_positive_gives_no_numbers():
    assert dual_weights(-torch.eye(2, dtype=torch.float64), torch.ones(2, 1, dtype=torch.float64), 1e-6).isnan().all()


@pytest.mark.parametrize("kernel", [KERNEL, linear_kernel])
def test_pieces_of_real_images_change_nothing_and_the_gradient_is_autograds(kernel):
    support, labels = rows(4, 5), rows(4, 3, seed=1)
    images, wanted = rows(9, 5, seed=2), rows(9, 3, seed=3)
    leaf, theirs = support.clone().requires_grad_(), labels.clone().requires_grad_()
    loss = (regression(kernel(images, leaf), kernel(leaf, leaf), theirs, 1e-3) - wanted).square().sum() / 2 / 9
    by_support, by_labels = torch.autograd.grad(loss, (leaf, theirs))
    for size in (2, 9):
        pieces = zip(images.split(size), wanted.split(size), strict=True)
        found = regression_gradients(kernel, support, labels, pieces, ridge=1e-3)
        torch.testing.assert_close(found.loss, loss.detach())
        torch.testing.assert_close(found.support, by_support)
        torch.testing.assert_close(found.labels, by_labels)


def test_the_real_batch_has_as_many_of_each_class_as_there_are():
    real = RealImages(toy_dataset(counts=(30, 4, 9)), device=CPU, dtype=torch.float32)
    chosen = balanced_places(real, 0, "real-batch", iteration=0, size=24)
    assert real.labels[chosen].bincount().tolist() == [8, 4, 8]
    assert len(set(chosen.tolist())) == len(chosen)


# --- LS ---------------------------------------------------------------------------------------------------------------------


def test_labels_of_all_images_are_their_targets():
    points, wanted = rows(8, 20), rows(8, 3, seed=1)
    found = solved_labels(KERNEL, points, [(points, wanted)], ridge=1e-9)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)


def test_no_other_labels_have_a_smaller_error():
    points, images, wanted = rows(5, 6), rows(40, 6, seed=1), rows(40, 2, seed=2)
    found = solved_labels(KERNEL, points, zip(images.split(7), wanted.split(7), strict=True), ridge=1e-6)
    between, own = KERNEL(images, points), KERNEL(points, points)

    def error(labels):
        return float((regression(between, own, labels, 1e-6) - wanted).square().sum())

    design = regression(between, own, torch.eye(5, dtype=torch.float64), 1e-6)
    least = float((design @ torch.linalg.lstsq(design, wanted).solution - wanted).square().sum())
    assert error(found) == pytest.approx(least, rel=1e-6)
    assert all(error(found + 0.01 * rows(5, 2, seed=seed)) > error(found) for seed in range(3, 6))


def test_the_images_are_those_of_random_and_the_labels_come_with_them():
    ls, chosen = (finished(METHODS[name]).algorithm.synthetic() for name in ("ls", "random"))
    assert torch.equal(ls.images, chosen.images)
    assert ls.soft.shape == (6, 3)
    assert ls.soft_kind == "logits"
    assert ls.storage().labels == 6 * 3 * 4
    torch.testing.assert_close(ls.soft.sum(dim=1), torch.zeros(6), rtol=0, atol=1e-4)  # centred, as the targets are


def test_solved_labels_predict_the_training_images_better_than_the_classes():
    algorithm = finished(METHODS["ls"]).algorithm
    real, representation = algorithm.context.real, algorithm.kernel.representation()
    support, images = representation.of(algorithm.synthetic().images), representation.of(real.batch(torch.arange(42)))
    wanted = centred_one_hot(real.labels, 3)
    before, after = (
        (regression(KERNEL(images, support), KERNEL(support, support), labels, 1e-6) - wanted).square().mean()
        for labels in (centred_one_hot(algorithm.context.classes, 3), algorithm.labels)
    )
    assert after < before


# --- KIP --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("changes", [{}, {"learn_labels": True}, {"kernel": "features"}])
def test_kip_lowers_its_loss(changes):
    settings = small(METHODS["kip"], iterations=30, batch_real=42, lr=0.02, **changes)
    engine = finished(METHODS["kip"], settings)
    loss = engine.history.arrays()["loss"]
    assert loss[-1] < 0.5 * loss[0]
    synthetic = engine.synthetic()
    assert (synthetic.soft is not None) == ("learn_labels" in changes)


# --- FRePo ------------------------------------------------------------------------------------------------------------------


def test_lamb_moves_by_a_share_of_the_variable():
    values, gradient = rows(3, 4), rows(3, 4, seed=1)
    before, update = values.clone(), LambUpdate(0.01)
    update.step(values, gradient)
    torch.testing.assert_close((values - before).norm(), 0.01 * before.norm())
    direction = gradient / (gradient.abs() + 1e-6)  # Adam's first step
    torch.testing.assert_close(values - before, -0.01 * before.norm() * direction / direction.norm())


def test_lamb_moves_zeros_by_adams_step_and_stays_where_there_is_no_gradient():
    zeros = torch.zeros(4, dtype=torch.float64)
    LambUpdate(0.1).step(zeros, torch.ones(4, dtype=torch.float64))
    torch.testing.assert_close(zeros, torch.full((4,), -0.1, dtype=torch.float64), rtol=1e-5, atol=0)
    values = rows(1, 4)
    kept = values.clone()
    LambUpdate(0.1).step(values, torch.zeros_like(values))
    assert torch.equal(values, kept)


def test_the_margin_by_hand():
    labels = torch.tensor([[0.9, 0.0, 0.5], [0.1, 0.0, 0.0]], dtype=torch.float64)
    margin, gradient = margin_gradient(labels)
    assert float(margin) == pytest.approx(-(1 / 3 + 0.1) / 2)  # 0.4 is cut at 1/3
    assert gradient[0].tolist() == [0, 0, 0]
    assert gradient[1, 0] == -0.5
    assert gradient[1].sum() == 0


def pool_of(**changes):
    settings = small(METHODS["frepo"], **changes)
    return engine_of(METHODS["frepo"], settings).algorithm


def test_networks_begin_at_different_ages_and_are_replaced_after_their_steps():
    algorithm = pool_of(networks=4, network_steps=8, iterations=40)
    pool = algorithm.pool
    assert [member.steps for member in pool.members] == [0, 2, 4, 6]
    seen = {member.serial for member in pool.members}
    for iteration in range(40):
        before = [(member.serial, member.steps) for member in pool.members]
        algorithm.step(iteration)
        changed = [
            (old, (member.serial, member.steps))
            for old, member in zip(before, pool.members, strict=True)
            if old != (member.serial, member.steps)
        ]
        assert len(changed) == 1, "the drawn one alone"
        (serial, steps), now = changed[0]
        assert now == ((serial, steps + 1) if steps < 8 else (max(seen) + 1, 0))
        seen.add(now[0])
    assert len(seen) > 4


class NotedStreams:
    """Streams that write down who waits for whom."""

    def __init__(self, log):
        self.log = log

    def begin(self):
        self.log.append("the pool waits")

    def end(self):
        self.log.append("waits for the pool")

    def on(self, place):
        assert place == 0
        return nullcontext()


def test_a_network_is_trained_beside_the_next_iteration_unless_that_draws_it():
    algorithm, log = pool_of(networks=3, network_steps=1000, iterations=30), []
    pool, compute, train = algorithm.pool, algorithm.gradients, algorithm.pool._train
    pool._streams = NotedStreams(log)
    algorithm.gradients = lambda given: log.append("images") or compute(given)
    pool._train = lambda given: log.append([tensor.data_ptr() for tensor in given.tensors]) or train(given)
    places = [pool._place(iteration) for iteration in range(30)]
    assert 5 < sum(one == other for one, other in pairwise(places)) < 25
    for iteration in range(1, 30):
        algorithm.step(iteration - 1)
        log.clear()
        algorithm.step(iteration)
        waited = ["waits for the pool"] * (places[iteration] == places[iteration - 1])
        *before, read = log
        assert before == [*waited, "images", "waits for the pool", "the pool waits"]
        assert algorithm.images.data_ptr() not in read, "which the next iteration moves"
        assert algorithm.labels.data_ptr() not in read
    log.clear()
    algorithm.state_dict()
    assert log == ["waits for the pool"]


def test_a_networks_step_goes_down_on_the_synthetic_set_with_its_labels():
    algorithm = pool_of(networks=1, network_steps=100, lr_net=0.01)
    member = algorithm.pool.members[0]

    def error():
        with torch.no_grad():
            logits = member.network.train()(algorithm.images)
        return float((logits - algorithm.labels).square().sum())

    first = error()
    for iteration in range(20):
        algorithm.pool.advance(iteration, algorithm._current)
    assert error() < 0.5 * first


def test_labels_start_scaled_for_many_classes_and_are_learned():
    algorithm = pool_of()
    expected = centred_one_hot(algorithm.context.classes, 3, torch.float32) / math.sqrt(0.3)
    torch.testing.assert_close(algorithm.labels, expected)
    start = algorithm.labels.clone()
    algorithm.step(0)
    assert not torch.equal(algorithm.labels, start)
    assert algorithm.synthetic().storage().labels == 6 * 3 * 4


def test_frepo_lowers_its_loss():
    settings = small(METHODS["frepo"], iterations=60, batch_real=42, lr=0.05, networks=1, network_steps=1000)
    loss = finished(METHODS["frepo"], settings).history.arrays()["loss"]
    assert loss[-5:].mean() < 0.7 * loss[:5].mean()


def test_digits_are_not_mirrored():
    assert REGISTRY["digits"].settings["distillation"]["mirrored"] is False
    assert METHODS["frepo"].settings_model().mirrored is True


def test_out_of_memory_computes_an_iteration_again_with_fewer_images(monkeypatch):
    one, other = engine_of(METHODS["frepo"], dtype=torch.float64), engine_of(METHODS["frepo"], dtype=torch.float64)
    run(one, 2)
    gradients, failed = type(other.algorithm).gradients, []

    def fails_once(self, iteration):
        if not failed:
            failed.append(iteration)
            raise torch.OutOfMemoryError
        return gradients(self, iteration)

    monkeypatch.setattr(type(other.algorithm), "gradients", fails_once)
    run(other, 2)
    assert other.algorithm.context.memory == MemoryLimit(1024)
    torch.testing.assert_close(one.synthetic().images, other.synthetic().images)


# --- FRePo's network ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_the_network_is_plain_layers_of_doubling_width(norm):
    settings = NetworkSettings(architecture="frepo_convnet", norm=norm, width=4, depth=3)
    ours = build_network(settings, channels=3, size=16, classes=5, seed=0, device=CPU, dtype=torch.float64).eval()
    images = torch.randn(2, 3, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(ours(images), PlainFRePoNet(ours)(images))
    assert [layer.out_channels for layer in ours.features if isinstance(layer, torch.nn.Conv2d)] == [4, 8, 16]
    assert isinstance(ours.features[0], torch.nn.Conv2d), "no norm before the first"
    assert ours.embedding_size == 16 * 2 * 2


def test_it_starts_as_in_the_published_code():
    """LeCun's weights, no bias, and running statistics that are nine tenths the last batch's."""
    settings = NetworkSettings(architecture="frepo_convnet", norm="batch", width=16, depth=2)
    network = build_network(settings, channels=3, size=8, classes=40, seed=0, device=CPU, dtype=torch.float64)
    first, norm, second = (network.features[place] for place in (0, 3, 4))
    for layer in (first, second, network.classifier):
        fan_in = layer.weight[0].numel()
        assert layer.weight.var().item() == pytest.approx(1 / fan_in, rel=0.15)
        assert layer.weight.abs().max() > fan_in**-0.5, "normal, not uniform as PyTorch's"
        assert not layer.bias.any()
    images = torch.randn(50, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    network.train()(images)
    entering = network.features[2](first(images).relu())
    torch.testing.assert_close(norm.running_mean, 0.9 * entering.mean(dim=(0, 2, 3)))


def test_the_published_network_has_128_256_512_channels():
    settings = NetworkSettings(architecture="frepo_convnet")
    network = build_network(settings, channels=3, size=32, classes=10, seed=0, device=CPU)
    assert sum(parameter.numel() for parameter in network.parameters()) == 1_560_842
    assert network.embedding_size == 8192


def test_images_that_are_too_small_are_refused():
    with pytest.raises(BaconError, match=r"network\.depth"):
        build_network(
            NetworkSettings(architecture="frepo_convnet", depth=6), channels=1, size=8, classes=2, seed=0, device=CPU
        )
