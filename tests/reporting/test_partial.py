"""A report of the results that are there: it says what is not, compares common seeds, and is no complete one."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from bacon.cli import main
from bacon.config.loading import load_config
from bacon.operations.workflow_plan import partial_fingerprint
from bacon.plan.plan import Plan
from bacon.reporting.collect.absent import COMPLETE, EVALUATION, find_absent
from bacon.reporting.tables.all_tables import report_tables
from bacon.reporting.targets import PUBLISHED
from bacon.runtime.errors import BaconError
from tests.reporting.page_tree import content, parse
from tests.reporting.results import write_results

CONFIG = {
    "preset": "smoke",
    "report": {"references": ["all"]},
    "grid": {
        "datasets": ["digits"], "methods": ["random", "dm", "idm"], "ipc": [1], "seeds": 3, "protocols": ["p-dsa", "p-idc"],
    },
}  # fmt: skip
CELL = "results/evaluation/digits/{}/ipc1/seed{}{}/convnet.json"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """DM lacks its third seed, IDM one protocol of its first, Random a part of a file and an up-to-date one."""
    path = tmp_path_factory.mktemp("partial")
    write_results(path, CONFIG)
    (path / "config.yaml").write_text(json.dumps(CONFIG))
    (path / "results/distilled/digits/dm/ipc1/seed2.h5").unlink()
    for protocol in ("", "/p-idc"):
        (path / CELL.format("dm", 2, protocol)).unlink()
    (path / CELL.format("idm", 0, "/p-idc")).unlink()
    damaged, stale = path / CELL.format("random", 0, ""), path / CELL.format("random", 1, "")
    damaged.write_text(damaged.read_text()[:200])
    stale.write_text(json.dumps(json.loads(stale.read_text()) | {"fingerprint": "older"}))
    return path


@pytest.fixture(scope="module")
def plan(folder):
    return Plan(load_config(folder / "config.yaml"), directory=folder)


@pytest.fixture(scope="module")
def absent(plan):
    return find_absent(plan)


def test_what_is_absent_is_named_with_the_reason(absent):
    assert absent.counts() == "1 of 9 distilled sets, 5 of 20 evaluations"
    assert absent.lines() == [
        "digits/dm/ipc1, seed 2: distilled set (missing); evaluation with convnet under P-DSA (missing); evaluation with "
        "convnet under P-IDC (missing)",
        "digits/random/ipc1, seed 0: evaluation with convnet under P-DSA (damaged)",
        "digits/random/ipc1, seed 1: evaluation with convnet under P-DSA (out of date)",
        "digits/idm/ipc1, seed 0: evaluation with convnet under P-IDC (missing)",
    ]
    assert absent.of([(EVALUATION, "p-idc")]).counts() == "2 of 10 evaluations"
    assert COMPLETE.lines() == []
    assert COMPLETE.note([(EVALUATION, "p-idc")]) == []


def test_tables_say_what_they_lack_and_compare_common_seeds(plan, absent):
    tables = report_tables(plan, published=PUBLISHED, absent=absent)
    lacking = {"summary": "3 of 10 evaluations", "protocols": "5 of 20 evaluations"}
    lacking["cost"] = "1 of 9 distilled sets, 3 of 10 evaluations"
    for name, counts in lacking.items():
        assert tables[name].notes[0].startswith(f"Incomplete: {counts} are not there"), name
        assert all(lines[0] == tables[name].notes[0] for _, lines in tables[name].grids), name
    pairs = tables["comparisons"].frame.set_index(["method", "other"])["seeds"]
    assert ("dm", "random") not in pairs.index, "they have no seed in common"
    assert pairs["idm", "dm"] == 2
    assert pairs["idm", "random"] == 1
    matrix = tables["protocols"].frame.set_index(["protocol", "method"])["distillation_seeds"]
    assert matrix["p-idc", "idm"] == 2
    assert matrix["p-dsa", "idm"] == 3
    assert len(tables["cost"].frame) == 3


def test_the_command_refuses_and_names_the_flag_or_writes_what_is_there(folder, monkeypatch):
    monkeypatch.chdir(folder)
    run = CliRunner().invoke(main, ["report", "--config", "config.yaml"])
    assert run.exit_code == 1
    assert "In all, 1 of 9 distilled sets, 5 of 20 evaluations are not there; `bacon report --partial`" in run.stderr
    assert not (folder / "results/report_partial.html").exists()
    run = CliRunner().invoke(main, ["report", "--config", "config.yaml", "--partial"])
    assert run.exit_code == 0, run.output
    assert "incomplete: 1 of 9 distilled sets, 5 of 20 evaluations are not there:" in run.stderr
    assert "  digits/random/ipc1, seed 1: evaluation with convnet under P-DSA (out of date)" in run.stderr
    page = parse((folder / "results/report_partial.html").read_text())
    (notice,) = (one for one in page.iter("details") if one.get("id") == "incomplete")
    assert (
        content(next(notice.iter("summary"))) == "Incomplete: 1 of 9 distilled sets, 5 of 20 evaluations are not there"
    )
    assert len(list(notice.iter("li"))) == 4
    notes = [content(one) for one in page.iter("p") if one.get("class") == "note"]
    assert sum(note.startswith("Incomplete: ") for note in notes) >= 5
    names = {one.get("id") for one in page.iter("tbody") if one.get("id")}
    assert "digits/dm/ipc1/seed2" not in names, "nothing of this cell is there"
    assert "digits/random/ipc1/seed0" in names


def test_figures_that_are_not_drawn_are_named(folder, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / "results/figures/accuracy.png").unlink()
    run = CliRunner().invoke(main, ["report", "--config", "config.yaml", "--partial", "--output", "elsewhere.html"])
    assert run.exit_code == 0, run.output
    page = parse((folder / "elsewhere.html").read_text())
    left_out = {
        content(one.find("dt")): content(one.find("dd")) for one in page.iter("div") if one.find("dt") is not None
    }
    reason = "`snakemake` draws it when every result is there"
    assert left_out["Accuracy by method and images per class"] == reason
    titles = [content(one) for one in page.iter("strong")]
    assert "Title of cost." in titles


def test_without_any_evaluated_set_there_is_nothing_to_report(tmp_path):
    empty = write_results(tmp_path, CONFIG | {"grid": CONFIG["grid"] | {"methods": ["random"], "seeds": 1}})
    (tmp_path / CELL.format("random", 0, "")).unlink()
    with pytest.raises(BaconError, match="no distilled set yet that was evaluated under the protocol p-dsa"):
        report_tables(empty, published=PUBLISHED, absent=find_absent(empty))


def test_a_partial_report_of_complete_results_lacks_nothing_and_is_no_complete_one(tmp_path, absent):
    whole = write_results(tmp_path, CONFIG | {"grid": CONFIG["grid"] | {"methods": ["random"], "seeds": 1}})
    found = find_absent(whole)
    assert (found.counts(), found.lines()) == ("", [])
    assert partial_fingerprint("abc", found) != "abc"
    assert partial_fingerprint("abc", found) != partial_fingerprint("abc", absent)
    tables = report_tables(whole, published=PUBLISHED, absent=found)
    expected = report_tables(whole, published=PUBLISHED)
    assert {name: one.notes for name, one in tables.items()} == {name: one.notes for name, one in expected.items()}


def test_tables_lack_what_they_are_made_from_and_one_without_any_of_it_is_empty(tmp_path):
    grid = CONFIG["grid"] | {"methods": ["random"], "seeds": 1, "downstream": ["calibration"]}
    whole = write_results(tmp_path, CONFIG | {"grid": grid})
    found = find_absent(whole)
    assert found.counts() == "2 of 2 downstream results"
    assert found.lines() == [
        f"digits/{cell}: calibration with convnet (missing)" for cell in ("full", "random/ipc1, seed 0")
    ]
    tables = report_tables(whole, published=PUBLISHED, absent=found)
    lacking = {name: one for name, one in tables.items() if any(line.startswith("Incomplete") for line in one.notes)}
    assert list(lacking) == ["downstream_calibration"]
    assert lacking["downstream_calibration"].frame.empty
    reason = "downstream.calibration: there is no result of any of its cells"
    assert lacking["downstream_calibration"].notes[1].startswith(reason)


def test_a_gap_is_told_what_its_two_methods_lack_alone(folder, monkeypatch):
    monkeypatch.chdir(folder)
    run = CliRunner().invoke(main, ["table", "--config", "config.yaml", "--gap", "dm", "idm"])
    assert run.exit_code == 0, run.output
    assert "digits/idm/ipc1, seed 0: evaluation with convnet under P-IDC (missing)" in run.stderr
    assert "digits/random" not in run.stderr


def test_the_terminal_shows_what_is_there_the_headline_protocol_first_if_it_is(tmp_path, monkeypatch):
    grid = CONFIG["grid"] | {"methods": ["random", "dm"], "seeds": 1, "protocols": ["p-idc", "p-dsa"]}
    config = CONFIG | {"protocol": "p-dsa", "grid": grid}
    write_results(tmp_path, config)
    (tmp_path / "config.yaml").write_text(json.dumps(config))
    (tmp_path / "results/evaluation/digits/full/p-idc/convnet.json").unlink()
    monkeypatch.chdir(tmp_path)
    run = CliRunner().invoke(main, ["table", "--config", "config.yaml", "--partial"])
    assert run.exit_code == 0, run.output
    assert "incomplete: 1 of 6 evaluations are not there:" in run.stderr
    assert "Under p-dsa; other protocols with --protocol: p-idc" in run.stdout
    for method in ("random", "dm"):
        (tmp_path / CELL.format(method, 0, "")).unlink()
    run = CliRunner().invoke(main, ["table", "--config", "config.yaml", "--gap", "random", "dm"])
    assert run.exit_code == 0, run.output
    assert "the gap cannot be split" in run.stdout


def test_of_many_cells_the_first_seed_that_is_there_shows_the_images(tmp_path, monkeypatch):
    config = CONFIG | {"grid": CONFIG["grid"] | {"methods": ["random"]}}
    write_results(tmp_path, config)
    (tmp_path / "config.yaml").write_text(json.dumps(config))
    (tmp_path / "results/distilled/digits/random/ipc1/seed0.h5").unlink()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("bacon.reporting.page.make_report.MANY_CELLS", 1)
    run = CliRunner().invoke(main, ["report", "--config", "config.yaml", "--partial"])
    assert run.exit_code == 0, run.output
    page = parse((tmp_path / "results/report_partial.html").read_text())
    shown = [one.get("id") for one in page.iter("tbody") if one.get("id") and list(one.iter("img"))]
    assert shown == ["digits/random/ipc1/seed1"]
