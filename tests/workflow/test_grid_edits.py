"""What is run again after an edit of each axis of the grid, through the real Snakemake."""

import numpy as np
import pytest

from tests.workflow.conftest import Project
from tests.workflow.staleness_edits import GRID_EDITS, larger_grid

pytestmark = pytest.mark.workflow


def write_data(path, seed):
    """An own data set of three classes of 8 x 8 grey images."""
    draw = np.random.default_rng(seed)
    images = draw.integers(0, 256, (75, 8, 8, 1), dtype=np.uint8)
    labels = np.tile(np.arange(3), 25)
    np.savez(path, x_train=images[:60], y_train=labels[:60], x_test=images[60:], y_test=labels[60:])


def test_an_edit_of_an_axis_reruns_what_it_must(tmp_path):
    """One test, since the grid takes a minute to compute; edits are planned only, so they do not disturb each other."""
    project = Project(tmp_path)
    for seed, name in enumerate(("own", "more")):
        write_data(tmp_path / f"{name}.npz", seed)
    project.configure(larger_grid())
    project.snakemake()
    found = {}
    for what, axes, _ in GRID_EDITS:
        project.configure(larger_grid(**axes))
        found[what] = project.snakemake("-n").jobs
    assert found == {what: jobs for what, _, jobs in GRID_EDITS}
