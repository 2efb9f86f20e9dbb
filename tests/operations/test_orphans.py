"""What ``bacon prune`` lists."""

from bacon.config.loading import check_config
from bacon.operations.orphans import orphans
from bacon.plan.plan import Plan
from bacon.settings.cells import Cell

DM = Cell("digits", "dm", 1, 0)


def test_checkpoints_are_wanted_of_both_values_of_deterministic_or_of_none(tmp_path):
    grid = {"datasets": ["digits"], "methods": ["dm"], "ipc": [1], "seeds": 1}
    plan = Plan(check_config({"preset": "smoke", "grid": grid}), tmp_path)
    wanted, other = plan.distilled_fingerprint(DM), "0" * 32
    for name in (wanted, f"{wanted}-free", other, f"{other}-free"):
        (tmp_path / DM.checkpoint_folder / name).mkdir(parents=True)
    assert orphans(plan) == [DM.checkpoint_folder / other, DM.checkpoint_folder / f"{other}-free"]
