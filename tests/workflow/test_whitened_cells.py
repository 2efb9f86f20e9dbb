"""One method of a finished grid whitened, through the real Snakemake: what is asked for, and from what."""

import pytest

from tests.workflow.conftest import TINY

pytestmark = pytest.mark.workflow


def test_one_whitened_method_takes_a_second_data_set_and_its_own_cells_alone(copy):
    copy.configure(TINY | {"methods": {"dm": {"preprocessing": {"zca": True}}}})
    planned = copy.snakemake("--dry-run")
    jobs = {rule: planned.jobs.get(rule, 0) for rule in ("preprocess", "train", "distill", "evaluate", "evaluate_full")}
    assert jobs == {"preprocess": 1, "train": 0, "distill": 1, "evaluate": 1, "evaluate_full": 0}
    assert planned.jobs["images"] == 1
    assert "Preparing digits-zca" in planned.output
    assert "Distilling digits with dm" in planned.output
