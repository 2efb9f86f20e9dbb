"""SRe2L and G-VBSM: what is matched, batch by batch, and which teachers are refused; the oracles have whole iterations."""

import math

import pytest
import torch
import torch.nn.functional as F

from bacon.config.layering import resolve
from bacon.config.loading import check_config
from bacon.distillation.recovery.batch_views import views
from bacon.distillation.recovery.layer_statistics import channel_moments
from bacon.distillation.recovery.patches import patch_moments
from bacon.distillation.recovery.recovery import total_variation
from bacon.methods.gvbsm.density import densities
from bacon.methods.gvbsm.matched_statistics import RunningMeans, distances
from bacon.methods.recovery_work import relative_cost
from bacon.methods.registry import METHODS
from bacon.plan.plan import Plan
from bacon.runtime.errors import BaconError
from bacon.settings.cell_settings import CellSettings
from bacon.settings.cells import Cell
from bacon.settings.network import NetworkSettings
from bacon.settings.recipe import SgdSettings
from bacon.settings.recovery import ViewSettings
from tests.methods.test_contract import NETWORK, engine_of, finished, small


def drawn(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_moments_are_those_of_each_batch():
    maps = drawn(6, 3, 5, 5)
    mean, variance = channel_moments(maps, 2)
    for batch, own in enumerate(maps.split(3)):
        flat = own.transpose(0, 1).flatten(1)
        torch.testing.assert_close(mean[batch], flat.mean(dim=1))
        torch.testing.assert_close(variance[batch], flat.var(dim=1, unbiased=False))


@pytest.mark.parametrize("side", [8, 6, 2])
def test_patches_are_blocks_of_maps_that_are_enlarged_to_multiples_of_four(side):
    maps = drawn(4, 3, side, side)
    mean, variance = patch_moments(maps, 2)
    wanted = -(-side // 4) * 4
    for batch, own in enumerate(F.interpolate(maps, (wanted, wanted), mode="bilinear").split(2)):
        blocks = own.unfold(2, 4, 4).unfold(3, 4, 4).permute(2, 3, 0, 1, 4, 5).flatten(0, 1).flatten(1)
        torch.testing.assert_close(mean[batch], blocks.mean(dim=1))
        torch.testing.assert_close(variance[batch], blocks.var(dim=1, unbiased=False))


def test_a_running_mean_starts_at_zero_and_the_gradient_is_that_of_the_batch_alone():
    means = RunningMeans(0.8)
    for step, expected in enumerate((0.2, 0.36)):
        found = torch.ones(2, 3, dtype=torch.float64, requires_grad=True)
        moved = means.moved("key", found, range(2), torch.tensor([True, step == 0]), 2)
        torch.testing.assert_close(moved[0].detach(), torch.full((3,), expected, dtype=torch.float64))
        (gradient,) = torch.autograd.grad(moved.sum(), found)
        assert torch.equal(gradient, torch.ones_like(found))
        means.settle()
    assert means.kept["key"][:, 0].tolist() == pytest.approx([0.36, 0.2]), "a layer left out does not move it"


def test_distances_add_up_over_statistics():
    found = (torch.tensor([[3.0, 4.0], [0.0, 0.0]]), torch.tensor([[1.0], [2.0]]))
    assert distances(found, (torch.zeros(2), torch.zeros(1))).tolist() == [6.0, 2.0]


def test_densification_of_classes_by_hand():
    one = torch.zeros(4, 1, 32, 32, dtype=torch.float64)
    one[0, 0, 0, 0] = one[1, 0, 0, 1] = 1.0  # orthogonal and equal: both eigenvalues are 1
    one[2, 0, 0, 0], one[3, 0, 0, 1] = 2.0, 1.0  # eigenvalues 4 and 1
    even, uneven = densities(one, [[2], [2]], 4.0).tolist()
    assert even == pytest.approx(0)
    p, q = 1 / (1 + math.exp(-3 / 4)), 1 / (1 + math.exp(-3))
    assert uneven == pytest.approx(p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q)))
    assert densities(one, [[1, 1, 1, 1]], 4.0).tolist() == [0.0], "a single image has nothing to spread"
    assert densities(one, [[1, 1, 2]], 4.0).tolist() == pytest.approx([uneven])


def test_total_variation_of_a_step():
    images = torch.zeros(1, 1, 1, 2, 2)
    images[..., 1] = 1.0
    assert float(total_variation(images)) == pytest.approx(math.sqrt(2) + 0 + 1 + 1)


def test_a_batch_is_shifted_as_one_and_batches_apart():
    images = drawn(2, 3, 1, 6, 6)
    seen = views(ViewSettings(shift=(0, 5)), images, torch.arange(2), seed=1, iteration=2, mirror=True).view_as(images)
    shifts = []
    for batch in range(2):
        rolled = [
            (down, right)
            for down in range(6)
            for right in range(6)
            if torch.equal(torch.roll(images[batch], (down, right), dims=(2, 3)), seen[batch])
        ]
        shifts += rolled
    assert len(shifts) == 2
    assert shifts[0] != shifts[1]
    assert torch.equal(views(ViewSettings(shift=(0, 0)), images, torch.arange(2), seed=1, iteration=2, mirror=True),
                       images.flatten(0, 1))  # fmt: skip


def test_data_sets_without_flip_are_never_mirrored():
    images, lanes = drawn(8, 1, 1, 4, 4), torch.arange(8)
    settings = ViewSettings(shift=(0, 0), flip=True)
    assert torch.equal(views(settings, images, lanes, seed=1, iteration=0, mirror=False), images.flatten(0, 1))
    assert not torch.equal(views(settings, images, lanes, seed=1, iteration=0, mirror=True), images.flatten(0, 1))


def test_teachers_see_what_each_published_script_shows_them():
    """SRe2L leaves crops out on CIFAR-100 and has them on TinyImageNet; SRe2L++ has them everywhere."""
    grid = {
        "datasets": ["cifar10", "cifar100", "tinyimagenet"],
        "methods": ["sre2l", "sre2l_plus"],
        "ipc": [10],
        "seeds": 1,
    }
    chosen = check_config({"preset": "paper", "grid": grid})
    found = {
        (dataset, method): resolve(chosen, Cell(dataset, method, 10, 0)).settings.distillation.view
        for dataset in grid["datasets"]
        for method in grid["methods"]
    }
    shifted, cropped = ViewSettings(), ViewSettings(crop="resized", flip=True)
    for dataset in ("cifar10", "cifar100"):
        assert (found[dataset, "sre2l"], found[dataset, "sre2l_plus"]) == (shifted, cropped)
    assert found["tinyimagenet", "sre2l"] == ViewSettings(crop="resized", flip=True, shift=(-4, 4))
    assert found["tinyimagenet", "sre2l_plus"] == cropped


@pytest.mark.parametrize("name", ["sre2l", "gvbsm"])
def test_images_keep_to_what_pixels_can_be(name):
    method = METHODS[name]
    engine = finished(method, small(method, lr_img=5.0))
    real = engine.algorithm.context.real
    pixels = engine.synthetic().images * real.pixel_std + real.pixel_mean
    assert float(pixels.min()) == pytest.approx(0, abs=1e-5)
    assert float(pixels.max()) == pytest.approx(1, abs=1e-5)


def test_batches_of_sre2l_hold_an_image_of_each_class_and_of_gvbsm_few_classes():
    one, other = (engine_of(METHODS[name], small(METHODS[name], batch_images=2)) for name in ("sre2l", "gvbsm"))
    assert [batch.tolist() for batch in one.algorithm.batches] == [[0, 2], [4], [1, 3], [5]]
    assert [batch.tolist() for batch in other.algorithm.batches] == [[0, 1], [2, 3], [4, 5]]


@pytest.mark.parametrize("name", ["sre2l", "sre2l_plus"])
def test_teachers_without_batch_norm_are_refused_with_the_configuration(name):
    settings = CellSettings(network=NETWORK, distillation=small(METHODS[name], teachers={"network": None}))
    with pytest.raises(BaconError, match=r"distillation.teachers: .* norm instance; set .* norm: batch"):
        METHODS[name].needs(settings)


def test_gvbsm_refuses_teachers_in_which_there_is_nothing_to_match():
    gvbsm, networks = METHODS["gvbsm"], [{"architecture": "convnet"}, {"architecture": "mlp"}]
    settings = CellSettings(network=NETWORK, distillation=small(gvbsm, teachers={"networks": networks}))
    with pytest.raises(BaconError, match=r"distillation.teachers: .* the teachers-1 are mlp, which has neither"):
        gvbsm.needs(settings)


@pytest.mark.parametrize(
    ("about", "named"),
    [
        ({"dataset": "other"}, "data set: other"),
        ({"classes": 9}, "number of classes: 9"),
        ({"channels": 1}, "number of channels: 1"),
    ],
)
def test_teachers_of_other_data_are_refused_by_name(monkeypatch, about, named):
    from tests.methods import trained

    attributes = trained.RunsInMemory.attributes
    monkeypatch.setattr(trained.RunsInMemory, "attributes", lambda self, run: attributes(self, run) | about)
    with pytest.raises(BaconError, match=f"the teachers .* were trained with another {named}"):
        engine_of(METHODS["sre2l"])


def test_labels_come_from_the_teachers_that_images_are_recovered_from():
    for preset in ("smoke", "demo", "paper"):
        grid = {"datasets": ["cifar10"], "methods": ["sre2l", "sre2l_plus", "gvbsm"], "ipc": [10], "seeds": 1}
        plan = Plan(check_config({"preset": preset, "protocol": "native", "grid": grid}))
        for method in grid["methods"]:
            cell = Cell("cifar10", method, 10, 0)
            assert [need.key for need in plan.needs(cell)] == [need.key for need in plan.teachers(cell)]


def test_the_five_networks_of_the_published_code():
    plan = Plan(
        check_config({"protocol": "p-gvbsm", "grid": {"datasets": ["cifar10"], "methods": ["gvbsm"], "ipc": [10]}})
    )
    needs = plan.teachers(Cell("cifar10", "gvbsm", 10, 0))
    titles = ["resnet18", "convnet", "mobilenet_v2", "wrn16_2", "shufflenet_v2_x0_5"]
    assert [need.network.architecture for need in needs] == titles
    assert [need.network.norm for need in needs] == ["batch", "instance", "batch", "batch", "batch"]
    assert {need.recipe.epochs for need in needs} == {5}
    recipe = needs[0].recipe
    assert (recipe.batch_size, recipe.augmentation.family) == (64, "crop_flip")
    assert recipe.optimiser == SgdSettings(lr=0.05, momentum=0.9, weight_decay=0)


def test_the_cost_of_a_teacher_in_passes_of_the_common_network():
    assert relative_cost(None) == 1
    assert relative_cost(NetworkSettings(width=64, norm="batch")) == 0.25
    assert relative_cost(NetworkSettings(architecture="resnet18", norm="batch")) == pytest.approx(11.1)
