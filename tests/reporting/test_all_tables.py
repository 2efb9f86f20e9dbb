"""Tables beside the summary: published numbers, the paper's Table 1, evaluation networks, comparisons; all fit a page."""

from __future__ import annotations

import re
import subprocess
from io import StringIO

import pandas as pd
import pytest

from bacon.reporting.collect.comparisons import compare_methods
from bacon.reporting.collect.evaluations import collect_accuracy
from bacon.reporting.collect.published import PublishedResults
from bacon.reporting.collect.summary import notes, summarise
from bacon.reporting.tables.comparison_tables import comparison_grids, comparison_notes
from bacon.reporting.tables.cross_tables import cross_architecture, cross_grids, cross_notes
from bacon.reporting.tables.markup import MISSING
from bacon.reporting.tables.published_tables import (
    against_grid,
    against_notes,
    against_published,
    in_grid,
    table1,
    table1_grids,
    table1_notes,
)
from bacon.reporting.tables.ranking_tables import checkpoint_grids, checkpoint_notes, ranking_grids, ranking_notes
from bacon.reporting.tables.run_tables import summary_grids
from bacon.reporting.tables.writing import write_grids
from tests.reporting.fakes import evaluation, record
from tests.reporting.test_published import rows


def test_against_published(accuracy_of):
    known = PublishedResults(
        rows(
            ("BACON", "CIFAR10", "1", 45.62, 0.5, "ConvNet", "BACON README @9c3f7af", ""),
            ("BACON", "CIFAR10", "1", 44.0, None, "ConvNet", "PAD", ""),
            ("BACON", "CIFAR10", "1", 99.0, None, "ConvNet", "BACON README @51fd4fb", "SUPERSEDED"),
            ("Random", "CIFAR10", "1", 14.4, None, "ConvNet", "PAD", ""),
        )
    )
    table = against_published(summarise(accuracy_of("cifar10"), known), known)
    assert list(table["method"]) == ["random", "bacon"]
    random, bacon = table.to_dict("records")
    # Interval of ours: 51.5 ± 12.7062 (see test_mean_sd_and_n_by_hand).
    assert bacon["gap_points"] == pytest.approx(51.5 - 45.62)
    assert bacon["gap_ci_low"] == pytest.approx(51.5 - 12.7062 - 45.62, abs=1e-4)
    assert bacon["published_in_interval"]
    assert (bacon["sources"], bacon["lowest_percent"], bacon["highest_percent"]) == (3, 44.0, 45.62)
    assert bacon["conflict"]
    assert "best on the test set" in bacon["published_note"]
    assert not random["published_in_interval"]
    assert not random["conflict"]
    (grid,) = against_grid(table)
    assert grid.rows[1] == (
        "BACON", "1", "51.5 [38.8, 64.2] (4)", "45.6 ± 0.5†".replace("45.6", "45.62"), "+5.9 [-6.8, +18.6]", "yes",
        "44.0 to 45.62",
    )  # fmt: skip
    assert grid.rows[0][5:] == ("no", MISSING)
    assert "treated as exact" in against_notes(table)[0]


def test_nothing_published_is_said(accuracy_of, published):
    table = against_published(summarise(accuracy_of("digits"), published), published)
    assert table.empty
    assert against_grid(table) == []
    assert "Nothing is published" in against_notes(table)[0]


def test_table_1_holds_every_number_of_the_paper_and_ours_where_it_is(accuracy_of, published):
    printed = published.rows[published.rows["source"].str.startswith("BACON project page Table 1")]
    table = table1(summarise(accuracy_of("cifar10"), published), published)
    assert len(table) == len(printed) == 162
    merged = table.merge(printed, on=["dataset", "ipc", "method"])
    assert (merged["paper_percent"] == merged["accuracy_percent"]).all()
    assert len(merged) == 162
    ours = table[table["mean_percent"].notna()]
    found = {(row["dataset"], row["ipc"], row["method"]): row["mean_percent"] for _, row in ours.iterrows()}
    assert found == pytest.approx(
        {
            ("CIFAR10", "1", "Random"): 31.5, ("CIFAR10", "10", "Random"): 51.5, ("CIFAR10", "1", "BACON"): 51.5,
            ("CIFAR10", "10", "BACON"): 71.5, ("CIFAR10", "full", "Whole dataset"): 97.0,
        }
    )  # fmt: skip
    shown = in_grid(table, summarise(accuracy_of("cifar10"), published))
    (grid,) = table1_grids(shown)
    assert grid.title.startswith("CIFAR-10: ")
    assert grid.groups == (("IPC 1", 2), ("IPC 10", 2)), "IPC 50 is in the paper, not in the grid"
    assert len(grid.rows) == len(set(table.loc[table["dataset"] == "CIFAR10", "method"])), "every method of the paper"
    lines = {row[0]: row[1:] for row in grid.rows}
    assert lines["BACON"] == ("45.62§", "51.5 [38.8, 64.2] (4)", "62.06§", "71.5 [58.8, 84.2] (4)")
    explained = dict(line.split(" ", 1) for line in table1_notes(shown)[1:])
    assert explained["§"].startswith("the code behind the number keeps the checkpoint that scored best on the test set")
    shown_marks = {mark for row in grid.rows for cell in row[1:] for mark in cell if mark in explained}
    assert shown_marks == set(explained) >= {"†", "‡", "§"}, "no mark without its reason, no reason without its mark"
    assert lines["Whole dataset"] == ("84.8", "97.0 [84.3, 100.0] (2)", MISSING, "")
    assert lines["DM"][1] == lines["DM"][3] == "", "never invented"
    assert any("100 epochs" in line for line in table1_notes(shown))


@pytest.mark.parametrize("change", [{"published_dataset": "MNIST"}, {"ipc": 5}, {"network": "mlp"}])
def test_a_grid_without_anything_of_table_1_says_so_in_one_line(accuracy_of, published, change):
    """Another data set; an IPC that the paper has not, whatever the whole data set reaches; another network."""
    summary = summarise(accuracy_of("cifar10"), published)
    summary = summary.assign(**{key: summary[key].where(summary[key].isna(), value) for key, value in change.items()})
    shown = in_grid(table1(summary, published), summary)
    assert table1_grids(shown) == []
    (line,) = table1_notes(shown)
    assert line.startswith("The grid has none of its cells")


@pytest.fixture
def networks(tmp_path):
    """Two evaluation networks on one cell and the full set."""
    made = [
        evaluation(tmp_path, [record(200 * (ipc is not None), 0, base), record(200 * (ipc is not None), 1, base + 0.02)],
                   method=method, ipc=ipc, seed=seed, network=network)
        for method, ipc, seed in (("full", None, None), ("bacon", 1, 0), ("bacon", 1, 1))
        for network, base in (("convnet", 0.5), ("mlp", 0.4))
    ]  # fmt: skip
    return collect_accuracy(made)


def test_accuracy_by_evaluation_network(networks, published):
    table = cross_architecture(summarise(networks, published))
    (grid,) = cross_grids(table)
    assert [name for name, _ in grid.groups] == ["convnet", "mlp"]
    assert [row[0] for row in grid.rows] == ["Full data set", "BACON"]
    assert grid.rows[1][1:] == ("51.0 [51.0, 51.0]", "41.0 [41.0, 41.0]")
    assert "n = 2 to 4 networks" in cross_notes(table)[0]


# A row of each, as wide as it gets: five seeds, each with its own iteration, and the longest name of an augmentation.
RANKED = {
    "dataset": "tinyimagenet", "dataset_title": "TinyImageNet", "network": "convnet", "method_title": "Full-gradient BACON",
    "n": 5, "evaluation_seeds": 5, "augmentation": "imagenet", "random_augmentation": "imagenet", "protocol": "300 epochs",
    **{f"{name}_{what}": 0.123 for name in ("hlr", "ior", "lrs", "ars") for what in ("mean", "sd")},
    **{f"{name}_{what}_percent": 12.3 for name in ("test", "last") for what in ("mean", "sd")},
    "checkpoints": 11, "iterations": "12000 14000 16000 18000 20000",
}  # fmt: skip


@pytest.mark.latex
def test_every_table_fits_a_page(accuracy_of, networks, published, tmp_path):
    accuracy = pd.concat([accuracy_of("cifar10"), accuracy_of("svhn")])
    summary, compared = summarise(accuracy, published), compare_methods(accuracy)
    against, paper = against_published(summary, published), table1(summary, published)
    cross = cross_architecture(summarise(networks, published))
    tables = {
        "summary": summary_grids(accuracy, summary),
        "comparisons": [(grid, comparison_notes(compared)) for grid in comparison_grids(compared)],
        "published": [(grid, against_notes(against)) for grid in against_grid(against)],
        "table1": [(grid, table1_notes(paper)) for grid in table1_grids(paper)],  # the whole of it
        "cross": [(grid, cross_notes(cross)) for grid in cross_grids(cross)],
    }
    ranked = pd.DataFrame([RANKED | {"ipc": ipc} for ipc in (1, 10)])
    tables["ranking"] = [(grid, ranking_notes(ranked)) for grid in ranking_grids(ranked)]
    tables["checkpoints"] = [(grid, checkpoint_notes(ranked)) for grid in checkpoint_grids(ranked)]
    assert all(tables.values())
    for name, grids in tables.items():
        write_grids(summary, grids, notes(accuracy, summary), fingerprint="f", outputs=[tmp_path / f"{name}.tex"])
    inputs = "".join(f"\\input{{{name}.tex}}\\clearpage" for name in tables)
    page = "\\documentclass{article}\\usepackage[margin=2.5cm]{geometry}\\usepackage{booktabs}\\begin{document}"
    (tmp_path / "main.tex").write_text(f"{page}{inputs}\\end{{document}}")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "main.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert not re.findall(r"Overfull \\hbox \((?:[5-9]|\d\d)", done.stdout), done.stdout
    assert "Float too large" not in done.stdout


def test_tables_are_read_back_as_they_were(accuracy_of):
    compared = compare_methods(accuracy_of("digits"))
    again = pd.read_csv(StringIO(compared.to_csv(index=False)))
    assert again["p_holm"].tolist() == pytest.approx(compared["p_holm"].tolist(), nan_ok=True)
