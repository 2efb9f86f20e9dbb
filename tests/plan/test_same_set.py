"""A variant that only evaluates otherwise shares its method's distilled sets: its job copies them."""

from pathlib import Path

import pytest
import torch

from bacon.artifacts.distilled_file import DistillationResult, read_distilled, write_distilled
from bacon.artifacts.synthetic_set import SyntheticSet
from bacon.config.loading import check_config
from bacon.jobs.distillation_job import run_cell
from bacon.plan import cost
from bacon.plan.plan import Plan
from bacon.plan.stages import STAGES, distilled_artifact
from bacon.runtime.errors import BaconError
from bacon.settings.cells import Cell

GRID = {"datasets": ["digits"], "methods": ["dm", "half", "plain"], "relabelled": ["dm"], "ipc": [1], "seeds": 1}
VARIANTS = {
    "half": {"method": "dm", "distillation": {"lr_img": 0.5}},
    "plain": {"method": "dm", "evaluation": {"augmentations": ["none"]}},
}
CONFIG = {"preset": "smoke", "grid": GRID, "variants": VARIANTS}


def cell(method):
    return Cell("digits", method, 1, 0)


def plan_of(**grid):
    return Plan(check_config(CONFIG | {"grid": GRID | grid}))


def test_which_cells_share_a_set():
    plan = plan_of()
    shared = {method: plan.same_set(cell(method)) for method in plan.config.grid.methods}
    assert shared == {"dm": None, "dm_soft": cell("dm"), "half": None, "plain": cell("dm")}


def test_no_set_is_shared_with_a_cell_that_is_made_later_or_not_at_all():
    assert plan_of(methods=["plain", "dm"], relabelled=[]).same_set(cell("plain")) is None
    assert plan_of(methods=["half", "plain"], relabelled=[]).same_set(cell("plain")) is None
    assert plan_of(exclude=["digits/dm/*"]).same_set(cell("plain")) is None


def test_the_set_that_is_copied_is_an_input_and_costs_no_distillation():
    plan = plan_of()
    names = {
        method: {one.name for one in STAGES["distill"].inputs(plan, distilled_artifact(plan, cell(method)))}
        for method in ("dm", "dm_soft", "half")
    }
    assert names == {"dm": {"digits"}, "dm_soft": {"digits", "digits/dm/ipc1/seed0"}, "half": {"digits"}}
    assert cost.distill_seconds(plan, cell("dm_soft")) == 0
    assert cost.distill_seconds(plan, cell("half")) > 0


def test_the_job_of_such_a_cell_copies_the_set(tmp_path):
    plan = Plan(check_config(CONFIG), tmp_path)
    own, source = (tmp_path / cell(method).distilled_path for method in ("dm_soft", "dm"))
    images, classes = torch.rand(4, 1, 8, 8), torch.tensor([0, 0, 1, 1])
    about = {"fingerprint": plan.distilled_fingerprint(cell("dm")), "method": "dm", "wall_seconds": 1.5}
    write_distilled(
        source, DistillationResult(synthetic=SyntheticSet(images=images, classes=classes), attributes=about)
    )
    run_cell(plan, cell("dm_soft"), data=Path("none.h5"), output=own, threads=1)
    copied, found = read_distilled(own), read_distilled(source)
    assert copied.synthetic.equals(found.synthetic)
    assert copied.attributes == found.attributes | {"method": "dm_soft"}
    source.unlink()
    own.unlink()
    with pytest.raises(BaconError, match=r"the distilled set is missing; run snakemake"):
        run_cell(plan, cell("dm_soft"), data=Path("none.h5"), output=own, threads=1)
