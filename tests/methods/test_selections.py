"""Coresets and RDED against choices worked out by hand or by plain code."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError

from bacon.artifacts.trained_runs import forgetting_counts
from bacon.config.loading import check_config
from bacon.distillation.algorithm import Context, load_algorithm
from bacon.distillation.real_images import RealImages
from bacon.distillation.selection import greedy
from bacon.methods.forgetting.algorithm import events
from bacon.methods.forgetting.record import ForgettingSettings
from bacon.methods.kmeans.algorithm import nearest_rows
from bacon.methods.rded.algorithm import tiled
from bacon.methods.rded.record import RDEDSettings
from bacon.methods.registry import METHODS
from bacon.runtime.errors import BaconError
from bacon.settings.cell_settings import CellSettings
from bacon.settings.cells import Cell
from bacon.settings.network import NetworkSettings
from bacon.training.run_networks import run_network
from tests.distillation.conftest import toy_dataset
from tests.methods.trained import inputs_of

CPU = torch.device("cpu")
NETWORK = NetworkSettings(width=6, depth=2)
# The mean of the line is 3; that of the square with an outlier (2, 2).
LINE = torch.tensor([[0.0, 0.0], [1.0, 0.0], [2.5, 0.0], [3.5, 0.0], [8.0, 0.0]])
SQUARE = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [8.0, 8.0]])


def selection(name, *, ipc=2, seed=3, inputs=None, dataset=None, **changes):
    """The algorithm of a method on the toy data set."""
    method = METHODS[name]
    values = method.scales["smoke"]["distillation"] | changes
    settings = method.settings_model.model_validate(values)
    data = toy_dataset() if dataset is None else dataset
    context = Context(
        cell=Cell("toy", name, ipc, seed),
        real=RealImages(data, device=CPU, dtype=torch.float64),
        network=NETWORK,
        inputs=inputs_of(method, settings, NETWORK) if inputs is None else inputs,
    )
    return load_algorithm(method.algorithm, settings, context)


def test_herding_by_hand():
    # Targets (k + 1) * 3 - sum: 3, then 6 - 2.5 = 3.5, then 9 - 6 = 3 (4 left over: 1 is nearer than 8), then 12 - 7 = 5.
    assert greedy.herding(LINE, 4).tolist() == [2, 3, 1, 4]
    assert greedy.herding(LINE, 5).sort().values.tolist() == [0, 1, 2, 3, 4]


def test_k_center_by_hand():
    first = greedy.nearest_to_mean(LINE)
    # From 2.5 the farthest is 8; then 0 is 2.5 away from 2.5; then 1 and 3.5 are both 1 away.
    assert greedy.k_center(LINE, 3, first=first).tolist() == [2, 4, 0]
    assert greedy.k_center(SQUARE, 3, first=greedy.nearest_to_mean(SQUARE)).tolist() == [3, 4, 0]
    assert greedy.k_center(LINE, 3, first=torch.tensor(0)).tolist() == [0, 4, 3]


def test_k_center_and_herding_begin_with_the_same_image():
    features = torch.randn(50, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    first = greedy.nearest_to_mean(features)
    assert greedy.herding(features, 3)[0] == first
    assert torch.equal(selection("herding", ipc=1).synthetic().images, selection("kcenter", ipc=1).synthetic().images)


def test_copies_are_chosen_once_each():
    same = torch.ones(4, 3)
    for chosen in (greedy.herding(same, 4), greedy.k_center(same, 4, first=torch.tensor(2)), nearest_rows(same, same)):
        assert sorted(chosen.tolist()) == [0, 1, 2, 3]


def test_distances_do_not_depend_on_how_many_are_held(monkeypatch):
    whole = greedy.squared_distances(SQUARE, SQUARE[1])
    monkeypatch.setattr(greedy, "_ENTRIES_AT_ONCE", 4)
    assert torch.equal(whole, greedy.squared_distances(SQUARE, SQUARE[1]))
    assert whole.tolist() == [1, 0, 2, 1, 113]


def test_a_random_first_image_depends_on_the_seed_and_the_class():
    features = torch.zeros(1000, 2)
    firsts = {
        (seed, label): int(selection("kcenter", seed=seed, first="random")._first_place(features, label))
        for seed in (0, 1)
        for label in (0, 1)
    }
    assert len(set(firsts.values())) == 4


def test_k_means_takes_the_image_nearest_each_centre():
    # The means are 1, 11.2 and 31; the second cluster is the largest, the third the smallest.
    values = torch.tensor([0.0, 1, 2, 10, 11.1, 12.5, 11.2, 30.5, 31.5])[:, None]
    chosen = selection("kmeans", restarts=3).pick(values, 3, 0).tolist()
    assert chosen[:2] == [6, 1]
    assert chosen[2] in (7, 8), "both are as near"


def test_k_means_of_one_cluster_is_the_first_of_herding():
    assert torch.equal(selection("herding", ipc=1).synthetic().images, selection("kmeans", ipc=1).synthetic().images)


HISTORY = torch.tensor(
    [
        # never, always, forgotten once, twice, learned late
        [0, 1, 1, 1, 0],
        [0, 1, 0, 0, 0],
        [0, 1, 0, 1, 0],
        [0, 1, 1, 0, 1],
    ],
    dtype=torch.bool,
)


def test_forgetting_events_by_hand():
    assert forgetting_counts(HISTORY).tolist() == [0, 0, 1, 2, 0]
    assert events(HISTORY, never_learned="zero").tolist() == [0, 0, 1, 2, 0]
    assert events(HISTORY, never_learned="maximum").tolist() == [4, 0, 1, 2, 0]


class Histories:
    """Two runs whose histories are given."""

    def __init__(self, *histories):
        self.histories = histories

    def __len__(self):
        return len(self.histories)

    def history(self, run):
        return self.histories[run]


def chosen_places(algorithm, count=2):
    return algorithm.choose(0, count).tolist()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [0, 3]),
        ({"never_learned": "zero"}, [3, 2]),
        ({"direction": "least", "never_learned": "maximum"}, [{1, 4}, {1, 4}]),
        ({"summed": 2}, [2, 0]),
    ],
)
def test_forgetting_chooses_by_events(changes, expected):
    other = torch.ones(4, 5, dtype=torch.bool)
    other[:, 2] = False  # never learned here: the sums are 4, 0, 1 + 4, 2, 0
    dataset = toy_dataset(counts=(5,))
    algorithm = selection(
        "forgetting", seed=0, inputs={"histories": Histories(HISTORY, other)}, dataset=dataset, **changes
    )
    chosen = chosen_places(algorithm)
    assert all(
        one in want if isinstance(want, set) else one == want for one, want in zip(chosen, expected, strict=True)
    )


def test_equally_forgotten_images_come_in_an_order_of_the_seed():
    history = torch.ones(3, 40, dtype=torch.bool)
    dataset = toy_dataset(counts=(40,))
    orders = [
        chosen_places(selection("forgetting", seed=seed, inputs={"histories": Histories(history)}, dataset=dataset), 40)
        for seed in (0, 1)
    ]
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == list(range(40))


def test_more_networks_cannot_be_summed_than_there_are():
    with pytest.raises(ValidationError, match="`summed` is 4, but there are only 3 networks"):
        ForgettingSettings(summed=4)


@pytest.mark.parametrize("factor", [1, 2])
def test_rded_keeps_the_crops_with_the_smallest_cross_entropy(factor):
    algorithm = selection("rded", factor=factor, candidates=14, crops=3)
    real, teacher = (
        algorithm.context.real,
        run_network(algorithm.context.inputs["teachers"], 0, device=CPU, dtype=torch.float64),
    )
    side, border = 8 // factor, (8 - 8 // factor) // 2
    images = algorithm.select()
    for label in range(3):
        stored = images[2 * label : 2 * label + 2]
        shown = [
            stored[image, :, row * side : (row + 1) * side, column * side : (column + 1) * side]
            for row in range(factor)
            for column in range(factor)
            for image in range(2)
        ]
        padded = F.pad(torch.stack(shown), (border,) * 4)
        kept = F.cross_entropy(teacher(padded), torch.full((len(shown),), label), reduction="none")
        crops, losses = algorithm.best_crops(label)
        assert len(crops) == min(14, real.counts[label])
        assert torch.allclose(kept, losses.sort().values[: len(kept)])
        assert (kept.diff() >= 0).all(), "image k holds crops k, k + IPC, ..."


def test_the_kept_crop_is_the_best_of_its_image():
    algorithm = selection("rded", candidates=11, crops=3)
    places = algorithm.places_of_candidates(1)
    images = algorithm.context.real.batch(places)
    tries = torch.stack([algorithm.losses(algorithm._crop(images, places, turn), 1) for turn in range(3)])
    assert tries.std(dim=0).min() > 0, "crops differ"
    assert torch.equal(algorithm.best_crops(1)[1], tries.min(dim=0).values)


def test_whole_crops_are_the_images_themselves():
    algorithm = selection("rded", crop_scale=(1.0, 1.0))
    places = algorithm.places_of_candidates(0)
    torch.testing.assert_close(algorithm.best_crops(0)[0], algorithm.context.real.batch(places))


def test_tiles_are_placed_row_by_row():
    crops = torch.arange(8.0).view(8, 1, 1, 1)
    assert tiled(crops, 2)[:, 0].tolist() == [[[0, 2], [4, 6]], [[1, 3], [5, 7]]]


def test_rded_refuses_a_factor_that_does_not_divide_the_side():
    with pytest.raises(BaconError, match="factor = 3: images of 8x8 pixels cannot be tiled"):
        selection("rded", factor=3)
    with pytest.raises(ValidationError, match=r"smallest share 0\.5 is above the largest, 0\.4"):
        RDEDSettings(crop_scale=(0.5, 0.4))


def test_a_class_must_have_enough_images():
    with pytest.raises(BaconError, match="needs 12 different real images per class; class 'class 1' has 11"):
        selection("herding", ipc=12).select()
    with pytest.raises(BaconError, match="needs 12 different real images per class"):
        selection("rded", ipc=3, factor=2).select()


def test_a_network_at_chance_level_is_told(caplog):
    algorithm = selection("herding", seed=1)
    runs = algorithm.context.inputs["features"]

    class AtChance:
        key = "convnet2-0"

        def __len__(self):
            return 2

        def entry(self, run):
            return replace(runs.entry(run), train_accuracy=0.4)

        def __getattr__(self, name):
            return getattr(runs, name)

    selection("herding", seed=1, inputs={"features": AtChance()}).select()
    assert "classified 40.0 % of its training images correctly, where chance is 33.3 %" in caplog.text


def test_seeds_beyond_the_networks_are_told(caplog):
    selection("herding", seed=1).select()
    assert "feature networks" not in caplog.text
    selection("herding", seed=2).select()
    assert "there are 2 feature networks, so seed 2 has the one of seed 0" in caplog.text


@pytest.mark.parametrize("preset", ["paper", "demo", "smoke"])
def test_methods_share_the_networks(preset):
    keys = {}
    for name in ("herding", "kcenter", "kmeans", "rded"):
        method = METHODS[name]
        own = method.settings_model.model_validate(method.scales.get(preset, {}).get("distillation", {}))
        (need,) = method.needs(CellSettings(network=NETWORK, distillation=own))
        keys[name] = need.key
    assert len(set(keys.values())) == 1, keys


def test_a_need_has_its_own_network_and_augmentation():
    own = ForgettingSettings(
        history_networks={"network": {"architecture": "resnet18"}, "lr": 0.1}, dsa_strategy="color_crop"
    )
    (need,) = METHODS["forgetting"].needs(CellSettings(network=NETWORK, distillation=own))
    assert need.network.architecture == "resnet18"
    assert need.keep == {"history"}
    assert need.recipe.optimiser.nesterov
    assert (need.recipe.augmentation.family, need.recipe.augmentation.flip) == ("crop_flip", False)


@pytest.mark.parametrize("method", ["herding", "forgetting"])
def test_a_network_that_does_not_take_the_images_is_refused_while_the_configuration_is_read(method):
    name = {"herding": "feature_networks", "forgetting": "history_networks"}[method]
    own = {method: {"distillation": {name: {"network": {"architecture": "swin_tiny"}}}}}
    grid = {"datasets": ["digits"], "methods": [method], "ipc": [1], "seeds": 1}
    with pytest.raises(
        BaconError, match=f"the network of the [a-z]+ of digits/{method}/ipc1/seed0 with digits: .*swin_tiny"
    ):
        check_config({"grid": grid, "methods": own})
    teachers = {"network": {"architecture": "swin_tiny"}}
    with pytest.raises(BaconError, match="the network of the teachers of digits/"):
        check_config(
            {"grid": grid, "protocol": "p-rded", "datasets": {"digits": {"evaluation": {"teachers": teachers}}}}
        )


def test_tilings_need_as_many_real_images_as_they_show():
    grid = {"datasets": ["cifar100"], "methods": ["rded"], "ipc": [50], "seeds": 1}
    assert check_config({"grid": grid, "methods": {"rded": {"distillation": {"factor": 2}}}}).protocol == "paper"
    with pytest.raises(BaconError, match=r"needs 50 x 16 parts = 800 different images .* so at most IPC 31"):
        check_config({"grid": grid, "methods": {"rded": {"distillation": {"factor": 4}}}})
