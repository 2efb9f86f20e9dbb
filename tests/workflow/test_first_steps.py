"""From a folder of photos to a distilled set and its accuracy in three commands, as `bacon init` prints them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from bacon import load_distilled
from bacon.cli import main
from tests.operations.own_inputs import folder
from tests.workflow.conftest import ROOT

pytestmark = pytest.mark.workflow


def shell(command):
    """Run a command line as it was printed."""
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": programs, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_three_commands(tmp_path, monkeypatch):
    monkeypatch.setattr("bacon.cli.set_up_logging", lambda: None)
    monkeypatch.chdir(tmp_path)
    folder(Path("My {photos}"), count=20, size=(24, 18), suffix="jpg")
    first = CliRunner().invoke(main, ["init", "My {photos}", "--preset", "smoke"])
    assert first.exit_code == 0, first.output
    _, run, table, export = (line.strip() for line in first.output.splitlines() if line[:4] in ("  sn", "  ba"))
    assert run.startswith("snakemake all ")
    shell(run)
    rows = shell(table)
    assert all(method in rows for method in ("Full data set", "Random", "DM", "BACON"))
    shell(export)
    train = load_distilled("exports/my-photos_bacon_ipc1_seed0.pt")
    assert train.images.shape == (12, 3, 16, 16)  # four images in one
    assert train.class_names == ("cat", "dog", "horse")
