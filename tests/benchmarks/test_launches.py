"""What a recorded matching launches, counted."""

import json

import pytest
from click.testing import CliRunner

from bacon.runtime.errors import BaconError
from benchmarks.__main__ import main
from benchmarks.launches import measure


def test_a_pass_for_all_chunks_saves_operations_and_the_count_is_written(tmp_path):
    output = tmp_path / "launches.json"
    result = CliRunner().invoke(main, ["launches", "--cell", "digits/bacon/ipc1", "--output", str(output)])
    assert result.exit_code == 0, result.output
    (row,) = json.loads(output.read_text())["launches"]
    assert row["cell"] == "digits/bacon/ipc1"
    assert 0 < row["joined"] <= row["by_chunk"]
    (again,) = measure(["digits/bacon/ipc1"])
    assert again == row, "nothing of the first count stays"


def test_a_method_without_such_a_matching_is_named():
    with pytest.raises(BaconError, match=r"digits/dsa/ipc1.*matches no embeddings.*bacon, idm and dm do"):
        measure(["digits/dsa/ipc1"])
