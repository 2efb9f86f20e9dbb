"""Architecture search: the space, and rank correlations by hand."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from bacon.downstream.architecture_search.rankings import rank
from bacon.downstream.architecture_search.record import DC_SPACE, ArchitectureSearchSettings


def test_the_space_of_dc_has_720_networks():
    found = ArchitectureSearchSettings(**DC_SPACE).candidates()
    assert len(found) == 720
    network = found["w64-d3-group-leaky_relu-max"]
    assert (network.width, network.depth, network.norm) == (64, 3, "group")
    assert (network.activation, network.pooling) == ("leaky_relu", "max")


def test_candidates_compute_with_the_cells_precision():
    assert {each.precision for each in ArchitectureSearchSettings().candidates("bf16").values()} == {"bf16"}


def test_a_value_listed_twice_is_refused():
    with pytest.raises(ValidationError, match="list each value once"):
        ArchitectureSearchSettings(widths=(32, 32))


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
