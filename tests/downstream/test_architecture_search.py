"""Architecture search: the space, and rank correlations by hand."""

from __future__ import annotations

import numpy as np
import pytest

from bacon.config.loading import check_config
from bacon.downstream.architecture_search.algorithm import ArchitectureSearch
from bacon.downstream.architecture_search.rankings import rank
from bacon.downstream.architecture_search.record import DC_SPACE, ArchitectureSearchSettings, needs
from bacon.evaluation.train_and_test import measure_network
from bacon.plan.cost import weights
from bacon.runtime.errors import BaconError
from bacon.settings.cell_settings import CellSettings
from bacon.settings.distillation import SelectionSettings
from bacon.training.run_driver import train_block
from bacon.training.run_networks import run_network
from tests.downstream.toy_cells import CLASSES, CPU, context, selection, write_data
from tests.training.blocks import block_job, trained


def test_the_space_of_dc_has_720_networks():
    found = ArchitectureSearchSettings(**DC_SPACE).candidates()
    assert len(found) == 720
    network = found["w64-d3-group-leaky_relu-max"]
    assert (network.width, network.depth, network.norm) == (64, 3, "group")
    assert (network.activation, network.pooling) == ("leaky_relu", "max")


def test_candidates_compute_with_the_cells_precision():
    assert {each.precision for each in ArchitectureSearchSettings().candidates("bf16").values()} == {"bf16"}


def test_ranks_by_hand():
    # Proxy order: d, c, b, a; reference order: d, b, c, a. One of six pairs is the other way round.
    proxy, reference = np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.5, 0.7, 0.6, 0.8])
    found = rank(proxy, reference, np.array([0.45, 0.75, 0.55, 0.65]), top=2)
    assert found.spearman == pytest.approx(1 - 6 * 2 / (4 * 15))
    assert found.kendall == pytest.approx((5 - 1) / 6)
    assert found.top_spearman == pytest.approx(1.0)  # d before c in both
    assert (found.chosen, found.chosen_rank) == (3, 1)
    assert (found.chosen_accuracy, found.best_accuracy) == (0.65, 0.65)


def test_the_choice_is_judged_by_images_that_did_not_choose():
    found = rank(np.array([0.9, 0.1, 0.2]), np.array([0.1, 0.9, 0.5]), np.array([0.3, 0.6, 0.4]), top=10)
    assert (found.chosen, found.chosen_rank, found.chosen_accuracy, found.best_accuracy) == (0, 3, 0.3, 0.6)
    assert found.top_spearman == found.spearman == pytest.approx(-1.0)


def test_the_first_of_equals_is_chosen_and_constants_have_no_correlation():
    found = rank(np.array([0.5, 0.5]), np.array([0.2, 0.3]), np.array([0.2, 0.3]), top=2)
    assert found.chosen == 0
    assert found.spearman is found.kendall is found.top_spearman is None


CELL = CellSettings(distillation=SelectionSettings())
SETTINGS = ArchitectureSearchSettings(
    widths=(4, 8), depths=(1,), norms=("none",), reference_epochs=2, reference_batch=16, reference_augmentation="none"
)


def references(folder):
    """Each candidate's network trained on the whole set, as the rule `train` does it."""
    found = {}
    for need in needs(SETTINGS, CELL, CELL.network):
        changes = {"network": need.network, "keep": need.keep, "recipe": dict(need.recipe)}
        job = block_job(folder, runs=(0, 0), name=need.name, **changes)
        train_block(job)
        found[need.name] = trained(job)
    return found


def test_references_are_one_training_for_each_candidate_that_cells_share():
    made = needs(SETTINGS, CELL, CELL.network)
    assert [need.name for need in made] == ["w4-d1-none-relu-avg", "w8-d1-none-relu-avg"]
    assert {need.recipe.epochs for need in made} == {2}
    assert len({need.key for need in made}) == 2


@pytest.mark.parametrize("validation", [0, 16])
def test_a_search_ranks_by_images_that_its_accuracies_are_not_measured_on(tmp_path, validation):
    write_data(tmp_path / "toy.h5", validation=validation)
    inputs = references(tmp_path)
    given = context(tmp_path, synthetic=selection(), inputs=inputs, epochs=3)
    task = ArchitectureSearch(SETTINGS, given)
    found = task.measure(1)
    values = {one.metric: one.value for one in found.measurements}
    ranking, reporting = task._images
    assert (len(ranking), len(reporting)) == ((16, 32) if validation else (16, 16))
    chosen = found.details["chosen"]
    assert found.details["proxy"][chosen] == max(found.details["proxy"].values())
    reference = run_network(inputs[chosen], 0, device=CPU)
    for images, value in (
        (ranking, found.details["reference"][chosen]),
        (reporting, values["chosen_accuracy"]),
    ):
        assert value == measure_network(reference, images, classes=CLASSES).test_accuracy
    network = given.train_network(given.train, seed=(1, 1), network=SETTINGS.candidates()[chosen])
    assert found.details["proxy"][chosen] == measure_network(network, ranking, classes=CLASSES).test_accuracy
    assert values["time_share"] > 0


def test_each_candidate_is_trained_in_its_own_architecture(tmp_path):
    given = context(tmp_path, synthetic=selection(), epochs=1)
    for network in SETTINGS.candidates().values():
        made = given.train_network(given.train, seed=(1, 0), network=network)
        assert sum(each.numel() for each in made.parameters()) == weights(network, channels=1, size=8, classes=CLASSES)


def test_candidates_that_leave_nothing_of_an_image_are_refused_with_the_configuration():
    grid = {"datasets": ["digits"], "methods": ["dm"], "ipc": [1], "downstream": ["architecture_search"]}
    with pytest.raises(
        BaconError, match=r"architecture_search: w8-d5-none-relu-avg with digits: network.depth: 5 blocks"
    ):
        check_config({"preset": "smoke", "grid": grid, "downstream": {"architecture_search": {"depths": [1, 5]}}})
