"""Rules of which a grid has many must not pay for importing PyTorch without a network to train: it takes seconds a job.

The one job that draws the figures of the whole grid embeds images in a network.
"""

import subprocess
import sys

import pytest

from tests.workflow.conftest import ROOT

pytestmark = pytest.mark.workflow

# Runs a script as if by hand, and says at its end whether PyTorch was imported by whatever it did, and SymPy, which some of
# PyTorch's operations import when they are first used: a sixth of a short job.
RUN = """
import runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    print("torch" in sys.modules, "sympy" in sys.modules)
"""


@pytest.mark.parametrize(
    ("script", "arguments", "heavy"),
    [
        ("preprocess", ("--dataset", "digits", "--output", "again.h5"), False),
        ("aggregate", ("--target", "tables"), False),
        ("aggregate", ("--target", "figures"), True),
        ("images", ("--group", "digits/dm/ipc1", "--output", "again.png"), False),
        (
            "distill",
            ("--cell", "digits/dm/ipc1/seed0", "--data", "results/data/digits.h5", "--output", "a.h5"),
            True,
        ),
    ],
)
def test_light_jobs_import_no_torch(copy, script, arguments, heavy):
    path = ROOT / "workflow" / "scripts" / f"{script}.py"
    command = [sys.executable, "-c", RUN, str(path), "--config", "config/config.yaml", *arguments]
    done = subprocess.run(command, cwd=copy.folder, capture_output=True, text=True, check=True)
    assert done.stdout == f"{heavy} False\n"
