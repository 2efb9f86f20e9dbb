import subprocess
import sys

import pytest

from bacon.plan import fingerprint as fp
from bacon.plan.modules import ROOT
from bacon.runtime.errors import BaconError


def make(stage="s", settings=1, inputs=None, modules=("bacon.transforms.partition",)):
    return fp.fingerprint(stage, settings=settings, modules=modules, inputs=inputs or {"data": "x"})


def test_a_missing_module_is_an_error_that_names_stage_and_module():
    with pytest.raises(BaconError, match=r"s: module 'bacon\.training\.absent'"):
        make(modules=("bacon.training.absent",))


def test_canonical_json_ignores_order_and_keeps_values_apart():
    assert fp.digest({"a": 1, "b": [1.5, None]}) == fp.digest({"b": [1.5, None], "a": 1})
    assert fp.digest({"a": 1, "b": 2}) != fp.digest({"a": 2, "b": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        fp.digest({"a": float("nan")})


def test_every_part_enters_the_fingerprint():
    variants = {
        make(), make(stage="t"), make(settings=2), make(inputs={"data": "y"}), make(inputs={"other": "x"}),
        make(modules=("bacon.transforms.dsa",)),
    }  # fmt: skip
    assert len(variants) == 6


def test_parsing_does_not_import_torch():
    """What the Snakefile and the commands import, cost model and look at the disk included."""
    names = (
        "operations.workflow_plan",
        "operations.products",
        "operations.file_times",
        "operations.snakemake_internals",
        "plan.stages",
        "plan.inventory",
        "reporting.targets",
        "cli",
        "operations.job_status",
        "operations.orphans",
        "config.reference",
    )
    modules = ", ".join(f"bacon.{name}" for name in names)
    check = f"import sys, {modules}; sys.exit('torch' in sys.modules or 'pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], cwd=ROOT.parent, check=False).returncode == 0
