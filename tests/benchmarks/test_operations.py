"""The operations that are timed against each other compute the same, and the command reports each of them."""

from __future__ import annotations

import json

import pytest
import torch
from click.testing import CliRunner

from benchmarks import operations
from benchmarks.__main__ import main


@pytest.fixture
def in_float64():
    """In float32 a value that is zero but for rounding may lie on either side of ReLU's kink."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("build", operations.OPERATIONS, ids=lambda build: str(build).split()[1].strip("_"))
@pytest.mark.usefixtures("in_float64")
def test_both_ways_compute_the_same(build, monkeypatch):
    monkeypatch.setattr(operations, "_BLOCK_IMAGES", 8)
    operation = build()
    ours, usual = operation.ours(), operation.usual()
    assert len(ours) == len(usual) > 0
    for mine, other in zip(ours, usual, strict=True):
        largest = float(other.abs().max())
        assert largest > 0
        torch.testing.assert_close(mine, other, rtol=0, atol=1e-9 * largest if other.is_floating_point() else 0)


def test_the_command_reports_every_operation(tmp_path, monkeypatch):
    monkeypatch.setattr(operations, "OPERATIONS", (operations._standard_deviation,))
    monkeypatch.setattr(operations, "_import_seconds", dict.fromkeys(operations._IMPORTS.values(), 1.0).get)
    output = tmp_path / "operations.json"
    done = CliRunner().invoke(main, ["operations", "--rounds", "2", "--output", str(output)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    rows = json.loads(output.read_text())["operations"]
    assert [row["usual"] for row in rows] == ["x.std(dim=1)", "torch.optim.SGD"]
    assert rows[0]["usual_over_ours"] > 0
    assert rows[1]["usual_over_ours"] == 1.0
    assert operations.line(rows[1]) == ("SGD in a new process", "", "1000", "torch.optim.SGD", "1000", "1")
    assert "torch.optim.SGD" in done.output
