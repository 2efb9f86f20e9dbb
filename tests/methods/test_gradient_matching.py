"""DC, DSA, DCC and DSAC: the published loops, what differs between the methods, and a naive loop to compare with."""

import pytest
import torch

from bacon.config.layering import resolve
from bacon.config.loading import check_config
from bacon.distillation.gradient_matching import GradientMatching
from bacon.distillation.initialisation import noise_images, real_images
from bacon.distillation.real_images import RealImages
from bacon.methods.base import CellSize
from bacon.methods.registry import METHODS
from bacon.networks.build import build_network
from bacon.settings.cells import Cell
from bacon.settings.gradient_matching import ContrastiveSettings, loops_of
from bacon.settings.network import NetworkSettings
from bacon.transforms import dsa
from tests.distillation.conftest import toy_dataset
from tests.distillation.naive_gradients import NaiveGradientMatching
from tests.methods.test_contract import engine_of, small

CPU = torch.device("cpu")
NETWORK = NetworkSettings(width=6, depth=2)


PUBLISHED = {1: (1, 1), 10: (10, 50), 20: (20, 25), 30: (30, 20), 40: (40, 15), 50: (50, 10)}
BY_RULE = {2: (2, 250), 5: (5, 100), 8: (8, 63), 100: (50, 10)}


@pytest.mark.parametrize(("ipc", "loops"), (PUBLISHED | BY_RULE).items())
def test_the_loops_are_the_published_ones_and_follow_a_rule_between_them(ipc, loops):
    assert loops_of(ipc) == loops
    assert small(METHODS["dc"], outer=None, inner=None).loops(ipc) == loops
    assert small(METHODS["dc"], outer=3, inner=None).loops(ipc) == (3, loops[1])


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (
            "cifar10/dc/10",
            {"outer": 10, "inner": 50, "init": "noise", "iterations": 1000, "batch_real": 256, "lr_img": 0.1},
        ),
        (
            "cifar10/dsa/50",
            {"outer": 50, "inner": 10, "init": "real", "dsa_strategy": "color_crop_cutout_flip_scale_rotate"},
        ),
        ("svhn/dsa/1", {"outer": 1, "inner": 1, "dsa_strategy": "color_crop_cutout_scale_rotate"}),
        ("mnist/dsa/1", {"dsa_strategy": "color_crop_cutout_scale_rotate"}),
        ("cifar100/dsac/10", {"warmup_iterations": 250, "warmup_steps": 10, "init": "real", "momentum": 0.5}),
        ("tinyimagenet/dcc/1", {"outer": None, "warmup_iterations": 250}),
    ],
)
def test_published_settings(cell, expected):
    dataset, method, ipc = cell.split("/")
    grid = {"datasets": [dataset], "methods": [method], "seeds": 1, "ipc": [int(ipc)]}
    config = check_config({"preset": "paper", "grid": grid})
    resolved = resolve(config, Cell(dataset, method, int(ipc), 0)).settings.distillation
    assert {key: getattr(resolved, key) for key in expected} == expected


def test_images_start_from_noise_or_real_images():
    real = RealImages(toy_dataset(), device=CPU)
    assert torch.equal(engine_of(METHODS["dc"]).algorithm.images, noise_images(real, ipc=2, seed=3))
    for name in ("dsa", "dcc", "dsac"):
        assert torch.equal(engine_of(METHODS[name]).algorithm.images, real_images(real, ipc=2, partition=1, seed=3))


def test_classes_are_summed_after_either_warm_up():
    settings = ContrastiveSettings(warmup_iterations=3, warmup_steps=2)
    summed = {(it, step) for it in range(5) for step in range(4) if settings.sums_classes(it, step)}
    assert summed == {(it, step) for it in range(5) for step in range(4) if it >= 3 or step >= 2}


def test_the_contrastive_loss_of_one_class_is_dcs():
    """There is nothing to tell apart."""
    one_class = toy_dataset(counts=(14,))
    always = {"warmup_iterations": 0, "init": "real"}
    dcc, dc = (
        engine_of(METHODS[name], small(METHODS[name], **changes), dataset=one_class, dtype=torch.float64).algorithm
        for name, changes in (("dcc", always), ("dc", {"init": "real"}))
    )
    for iteration in range(2):
        terms = dcc.step(iteration), dc.step(iteration)
    torch.testing.assert_close(dcc.images, dc.images, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(*(each["loss"] for each in terms))


def test_real_and_synthetic_images_of_a_class_are_augmented_alike(monkeypatch):
    """The same draw for both sets of images, another one for each class and step; so equal images have equal gradients."""
    drawn, augmented, augment, draw = [], [], dsa.siamese_augment, dsa.siamese_draw
    monkeypatch.setattr(dsa, "siamese_draw", lambda *args: drawn.append(args[2]) or draw(*args))
    monkeypatch.setattr(dsa, "siamese_augment", lambda d, images: augmented.append(d) or augment(d, images))
    algorithm = engine_of(METHODS["dsa"], small(METHODS["dsa"], inner=0)).algorithm
    algorithm.step(0)
    algorithm.step(1)
    assert sorted(set(drawn)) == [0, 1, 2, 3], "two iterations of two steps"
    for real, synthetic in zip(augmented[::2], augmented[1::2], strict=True):
        assert real is synthetic


def test_a_batch_norm_network_sees_16_real_images_of_each_class_and_then_keeps_its_statistics():
    algorithm = engine_of(METHODS["dc"], dataset=toy_dataset(counts=(30, 5))).algorithm
    network = build_network(
        NetworkSettings(width=6, depth=2, norm="batch"), channels=2, size=8, classes=2, seed=0, device=CPU
    )
    seen = []
    hook = network.register_forward_pre_hook(lambda module, inputs: seen.append((module.training, len(inputs[0]))))
    algorithm._prepare(network, 0)
    hook.remove()
    assert seen == [(True, 16 + 5)]
    kept = {name: buffer.clone() for name, buffer in network.named_buffers()}
    algorithm._gradient(network, 0, at_once=False)
    assert all(torch.equal(buffer, kept[name]) for name, buffer in network.named_buffers())


@pytest.mark.parametrize("ipc", [1, 10])
def test_the_cost_counts_matching_and_training(ipc):
    settings = METHODS["dc"].settings_model()
    work = METHODS["dc"].cost(settings, CellSize(ipc=ipc, classes=10, train=50_000))
    outer, inner = loops_of(ipc)
    counted = {(each.kind, each.images): each.count for each in work.passes}
    assert counted["training", 2560] == outer
    assert counted["matching_gradient", 10 * ipc] == outer
    assert counted.get(("training", 10 * ipc), 0) == (outer - 1) * inner


@pytest.mark.parametrize("name", ["dsa", "dcc"])
def test_an_iteration_equals_the_naive_one(name):
    """Three steps of the images, two epochs of batches of 4 after the first and the second; contrast from the third on."""
    method = METHODS[name]
    changes = {"outer": 3, "inner": 2, "batch_train": 4, "batch_real": 9, "lr_net": 0.1}
    if issubclass(method.settings_model, ContrastiveSettings):
        changes |= {"warmup_iterations": 5, "warmup_steps": 2}
    settings = small(method, **changes)
    algorithm = engine_of(method, settings, dtype=torch.float64).algorithm
    assert isinstance(algorithm, GradientMatching)
    start, real = algorithm.images.clone(), RealImages(toy_dataset(), device=CPU, dtype=torch.float64)
    oracle = NaiveGradientMatching(real, settings, NETWORK, ipc=2, seed=3, initial=start)
    for iteration in range(2):
        oracle.iteration(iteration)
        terms = algorithm.step(iteration)
        torch.testing.assert_close(algorithm.images, oracle.x.detach(), rtol=0, atol=1e-9)
        assert float(terms["loss"]) == pytest.approx(oracle.loss, rel=1e-9)
    assert (algorithm.images - start).abs().max() > 1e-3, "the images must have moved"
