"""The check of what docs/evaluation.md says is wrong in DD-Ranking 0.2.0."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from benchmarks.__main__ import main
from benchmarks.dd_ranking.defects import findings
from tests.ddranking.conftest import FOLDER, ROOT


def check(*arguments):
    return CliRunner().invoke(main, ["dd-ranking", "--package", str(ROOT / FOLDER), *map(str, arguments)])


def test_every_documented_defect_is_there(package, tmp_path):
    found = {each.name: each for each in findings(package, tmp_path)}
    assert [name for name, each in found.items() if not each.present] == []
    assert found["LabelRobustScoreHard at HLR 40 %, IOR 10 %"].found == "-0.1565"
    assert "gives 0.2097" in found["LabelRobustScoreHard at HLR 40 %, IOR 10 %"].documented
    assert found["LabelRobustScoreHard, values of one run"].found.endswith("2 of lrs")


def test_the_command_prints_them(tmp_path):
    result = check("--output", tmp_path / "found.json")
    assert result.exit_code == 0, result.output
    assert "all 10 as docs/evaluation.md says" in result.output
    assert len(json.loads((tmp_path / "found.json").read_text())["findings"]) == 10


@pytest.mark.parametrize("kind", ["validate", "save_results"])
def test_the_command_fails_once_one_is_gone(package, monkeypatch, kind):
    """A package that gives fractions, or one that saves what it has."""
    if kind == "validate":
        percent = package.utils.validate
        monkeypatch.setattr(package.utils, kind, lambda *arguments, **named: percent(*arguments, **named) / 100)
        gone = "accuracy of a network that is always right"
    else:
        monkeypatch.setattr(package.metrics.hard_label, kind, lambda *_: None)
        gone = "LabelRobustScoreHard, saving its scores"
    result = check()
    assert result.exit_code == 1
    assert f"no longer as docs/evaluation.md says (DD-Ranking and DC-BENCH): {gone}. " in result.output


def test_without_the_package_it_says_how_to_get_it(tmp_path):
    result = CliRunner().invoke(main, ["dd-ranking", "--package", str(tmp_path)])
    assert "no ddranking there; tests/install-packages.sh ddranking puts it into build/ddranking" in str(
        result.exception
    )
