from __future__ import annotations

import subprocess
from io import StringIO

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from rich.console import Console

from bacon.cli import main
from bacon.reporting.collect.distilled_files import collect_cost
from bacon.reporting.collect.evaluations import collect_accuracy
from bacon.reporting.collect.protocol_text import TIMES
from bacon.reporting.collect.published import PublishedResults
from bacon.reporting.collect.summary import blocks, notes, summarise
from bacon.reporting.tables.cost_tables import cost_grids, cost_notes, summarise_cost
from bacon.reporting.tables.marks import own_marks
from bacon.reporting.tables.markup import MISSING, Grid, escape_latex, latex, markdown
from bacon.reporting.tables.run_tables import summary_grids, terminal_table
from bacon.reporting.tables.writing import PAGE_WIDTH, fitting, pages, write_grids
from bacon.runtime.errors import BaconError
from tests.reporting.fakes import distilled, evaluation, record
from tests.reporting.test_published import rows


def entry(summary: pd.DataFrame, method: str, ipc: int | None) -> dict:
    chosen = summary[(summary["method"] == method) & (summary["ipc"].isna() if ipc is None else summary["ipc"] == ipc)]
    (row,) = chosen.to_dict("records")
    return row


def write_summary(accuracy, *, published, fingerprint, outputs):
    summary = summarise(accuracy, published)
    write_grids(
        summary, summary_grids(accuracy, summary), notes(accuracy, summary), fingerprint=fingerprint, outputs=outputs
    )


def write_cost(cost, *, fingerprint, outputs):
    summary, lines = summarise_cost(cost), cost_notes(cost)
    write_grids(
        summary, [(grid, lines) for grid in cost_grids(summary)], lines, fingerprint=fingerprint, outputs=outputs
    )


def markdown_cells(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]


def test_mean_sd_and_n_by_hand(accuracy_of, published):
    summary = summarise(accuracy_of(), published)
    bacon = entry(summary, "bacon", 1)
    # 50, 51, 52, 53 percent: mean 51.5, sd sqrt(5 / 3); the snapshot takes no part.
    assert bacon["mean_percent"] == pytest.approx(51.5)
    assert bacon["sd_percent"] == pytest.approx(np.sqrt(5 / 3))
    # Seed means 50.5 and 52.5: sd sqrt(2), t(0.975, 1) = 12.7062; within 0.5, between (2 * 2 - 0.5) / 2.
    assert bacon["ci_high"] == pytest.approx(51.5 + 12.7062, abs=1e-4)
    assert bacon["sd_evaluation"] == pytest.approx(np.sqrt(0.5))
    assert bacon["sd_distillation"] == pytest.approx(np.sqrt(1.75))
    assert (bacon["n"], bacon["distillation_seeds"], bacon["evaluation_seeds"]) == (4, 2, 2)
    assert bacon["iteration"] == 200
    full = entry(summary, "full", None)
    assert full["mean_percent"] == pytest.approx(97.0)
    assert full["sd_percent"] == pytest.approx(np.sqrt(2.0))
    assert list(summary["method"]) == ["full", "random", "bacon", "random", "bacon"]
    assert summary["published_percent"].isna().all()


def test_gap_and_source_beside_ours(accuracy_of, published):
    summary = summarise(accuracy_of("cifar10"), published)
    bacon = entry(summary, "bacon", 10)
    assert bacon["mean_percent"] == pytest.approx(71.5)
    assert bacon["published_percent"] == 62.06
    assert bacon["gap_points"] == pytest.approx(71.5 - 62.06)
    assert bacon["published_source"].startswith("BACON README")
    assert entry(summary, "full", None)["published_percent"] == 84.8


def test_published_is_of_the_cells_own_network_alone(tmp_path, published):
    made = [
        evaluation(tmp_path, [record(200, 0, 0.5)], dataset="cifar10", network=network)
        for network in ("convnet", "wide")
    ]
    summary = summarise(collect_accuracy(made), published)
    assert list(summary["published_percent"].notna()) == [True, False]
    assert [block.title for block in blocks(summary)] == ["CIFAR-10, convnet", "CIFAR-10, wide"]
    assert [block.has_published for block in blocks(summary)] == [True, False]


def test_markdown_keeps_ours_and_published_apart(accuracy_of, published, tmp_path):
    outputs = [tmp_path / f"summary.{kind}" for kind in ("csv", "md", "tex")]
    write_summary(accuracy_of("cifar10"), published=published, fingerprint="abc123", outputs=outputs)
    text = outputs[1].read_text()
    assert text.startswith("<!-- fingerprint: abc123 -->")
    assert markdown_cells(text) == [
        ["Method", *(f"IPC {ipc} {name}" for ipc in (1, 10) for name in ("ours", "sd", "published"))],
        [":--", *["--:"] * 6],
        ["Full data set", *["97.0 [84.3, 100.0] (2)", f"{MISSING} / 1.4", "84.8"] * 2],
        ["Random", "31.5 [18.8, 44.2] (4)", "1.3 / 0.7", "14.4\\*", "51.5 [38.8, 64.2] (4)", "1.3 / 0.7", "26.0\\*"],
        ["BACON", "51.5 [38.8, 64.2] (4)", "1.3 / 0.7", "45.62†", "71.5 [58.8, 84.2] (4)", "1.3 / 0.7", "62.06†"],
    ]
    assert f"n = 4 networks (2 distillation seeds {TIMES} 2 evaluation seeds)" in text
    assert "95 % confidence interval" in text
    assert "best on the test set" in text
    assert "Full data set: 40 epochs; methods: 100 epochs" in text
    assert "BACON README @9c3f7af" in text
    table = pd.read_csv(outputs[0])
    assert entry(table, "bacon", 1)["gap_points"] == pytest.approx(51.5 - 45.62)
    assert "% fingerprint: abc123" in outputs[2].read_text()
    assert r"45.62" in outputs[2].read_text()


def test_no_published_column_where_nothing_is_published(accuracy_of, published, tmp_path):
    outputs = [tmp_path / "summary.md"]
    write_summary(accuracy_of("digits"), published=published, fingerprint="f", outputs=outputs)
    text = outputs[0].read_text()
    assert "ublished" not in text
    assert markdown_cells(text)[0] == ["Method", "IPC 1 ours", "IPC 1 sd", "IPC 10 ours", "IPC 10 sd"]


def test_published_sd_and_known_problems_are_shown(accuracy_of, tmp_path):
    known = PublishedResults(
        rows(("BACON", "CIFAR10", "1", 45.0, 0.25, "ConvNet", "BACON README @51fd4fb", "SUPERSEDED"))
    )
    outputs = [tmp_path / "summary.md", tmp_path / "summary.tex"]
    write_summary(accuracy_of("cifar10"), published=known, fingerprint="f", outputs=outputs)
    cells = markdown_cells(outputs[0].read_text())
    assert cells[-1][3] == "45.0 ± 0.25†"
    assert cells[-1][6] == MISSING
    assert "† SUPERSEDED; the code behind the number" in outputs[0].read_text()
    assert r"45.0 $\pm$ 0.25\textsuperscript{\textdagger{}}" in outputs[1].read_text()


def test_a_mark_means_the_same_in_every_table_of_a_markdown_file(accuracy_of, tmp_path):
    """Its notes stand once, beneath tables of two data sets, the second of which lacks the first one's reason."""
    notes_of = {"CIFAR10": ("read from an image", "superseded"), "SVHN": ("superseded", "a user's report")}
    known = PublishedResults(
        rows(
            *(
                (method, dataset, "1", 45.0, None, "ConvNet", "somewhere", note)
                for dataset, of_dataset in notes_of.items()
                for method, note in zip(("Random", "BACON"), of_dataset, strict=True)
            )
        )
    )
    both = pd.concat([accuracy_of("cifar10"), accuracy_of("svhn")])
    outputs = [tmp_path / "summary.md", tmp_path / "summary.tex"]
    write_summary(both, published=known, fingerprint="f", outputs=outputs)
    text = outputs[0].read_text()
    cifar, _, svhn, _ = outputs[1].read_text().split(r"\begin{table}")[1:]  # IPC 1 and 10 of each
    found = [row[3].replace("\\*", "") for row in markdown_cells(text) if row[0] in ("Random", "BACON")]
    assert found == ["45.0†", "45.0‡", "45.0‡", "45.0§"]
    explained = [line for line in text.splitlines() if line.startswith(tuple("†‡§¶‖"))]
    assert explained == ["† read from an image.", "‡ superseded.", "§ a user's report."]
    # Those of a LaTeX file are tables of their own: each begins with the first mark.
    assert r"\textdagger{}~read from an image. \textdaggerdbl{}~superseded.}" in cifar
    assert r"\textdagger{}~superseded. \textdaggerdbl{}~a user's report.}" in svhn
    lines = [line.removesuffix(r" \\").split(" & ") for line in svhn.splitlines() if " & " in line]
    assert [line[3] for line in lines if line[0].strip() in ("Random", "BACON")] == [
        r"45.0\textsuperscript{\textdagger{}}*",
        r"45.0\textsuperscript{\textdaggerdbl{}}",
    ]


def test_a_part_of_a_table_has_marks_in_order_and_no_note_without_a_mark():
    cells = ("45.0 ± 0.2§*", "+1.0 [0.5, 1.5]†", "12.0", "46.0§", "3.0††")
    grid = Grid(title="T", groups=(), columns=("M", "n"), rows=tuple((f"M{i}§", cell) for i, cell in enumerate(cells)))
    notes = ["First.", "† one.", "‡ two.", "§ three.", "¶ four.", "Last; §."]
    part, own = own_marks(grid, notes)
    assert [row[1] for row in part.rows] == ["45.0 ± 0.2†*", "+1.0 [0.5, 1.5]‡", "12.0", "46.0†", "3.0††"]
    assert [row[0] for row in part.rows] == [row[0] for row in grid.rows], "titles are the user's words"
    assert own == ["First.", "† three.", "‡ one.", "Last; §."]
    assert own_marks(grid, ["Explained within: §."]) == (grid, ["Explained within: §."])


def test_a_single_network_has_no_sd(tmp_path, published):
    accuracy = collect_accuracy([evaluation(tmp_path, [record(200, 0, 0.5)])])
    summary = summarise(accuracy, published)
    assert np.isnan(summary["sd_percent"][0])
    write_summary(accuracy, published=published, fingerprint="f", outputs=[tmp_path / "summary.md"])
    assert markdown_cells((tmp_path / "summary.md").read_text())[-1] == ["BACON", "50.0 (1)", f"{MISSING} / {MISSING}"]


def test_a_missing_cell_is_a_dash(tmp_path, published):
    one = evaluation(tmp_path, [record(200, 0, 0.5)], ipc=1)
    two = evaluation(tmp_path, [record(200, 0, 0.5)], ipc=10, method="dm")
    write_summary(collect_accuracy([one, two]), published=published, fingerprint="f", outputs=[tmp_path / "summary.md"])
    cells = markdown_cells((tmp_path / "summary.md").read_text())
    none = f"{MISSING} / {MISSING}"
    assert cells[2:] == [["BACON", "50.0 (1)", none, MISSING, MISSING], ["DM", MISSING, MISSING, "50.0 (1)", none]]


def test_cost_by_hand(tmp_path):
    images = np.zeros((10, 1, 4, 4))
    made = [
        distilled(tmp_path, images, seed=seed, wall_seconds=seconds, iterations_per_second=200 / seconds)
        for seed, seconds in enumerate((20.0, 25.0))
    ]
    chosen = distilled(tmp_path, images, method="random", iterations=0, iterations_per_second=0.0, wall_seconds=0.5)
    outputs = [tmp_path / f"cost.{kind}" for kind in ("csv", "md", "tex")]
    write_cost(collect_cost([chosen, *made]), fingerprint="f", outputs=outputs)
    assert markdown_cells(outputs[1].read_text())[2:] == [
        ["Random", "1", "1", "0", "0.50", MISSING, "512", "0.6"],
        ["BACON", "1", "2", "200", "22.5 ± 3.5", "9.00 ± 1.41", "512 ± 0", "0.6"],
    ]
    table = pd.read_csv(outputs[0])
    assert table["wall_seconds_sd"][1] == pytest.approx(np.sqrt(12.5))
    assert table["iterations_per_second_mean"].isna().tolist() == [True, False]
    assert "cpu (test)" in outputs[2].read_text()


def test_latex_escapes():
    assert escape_latex(r"a_b & 5% #1 {x} ~^\ $") == (
        r"a\_b \& 5\% \#1 \{x\} \textasciitilde{}\textasciicircum{}\textbackslash{} \$"
    )


def test_markdown_escapes():
    grid = Grid(title="a|b", groups=(), columns=("Method", "n"), rows=(("x|y_z*", "1"),))
    assert r"| x\|y\_z\* | 1 |" in markdown(grid)
    links = Grid(title="[1, 2] (3)", groups=(), columns=("[a](b)", "[a][b]"), rows=())
    assert r"### [1, 2] (3)" in markdown(links)
    assert r"| [a\](b) | [a\][b] |" in markdown(links)


def test_latex_groups_span_their_columns():
    text = latex(
        Grid(title="T", groups=(("IPC 1", 2), ("IPC 10", 2)), columns=("M", "a", "b", "a", "b"), rows=()), ["Note."]
    )
    assert r"\cmidrule(lr){2-3} \cmidrule(lr){4-5}" in text
    assert r"\begin{tabular}{@{}lrrrr@{}}" in text
    assert r"\caption{T. Note.}" in text


def test_latex_raises_marks_and_sets_minus_signs():
    text = latex(
        Grid(title="T", groups=(), columns=("M", "a"), rows=(("A-1†", "-1.5 [-2.0, -1.0]††*"), ("B", "2.0 (3)‖"))),
        ["† N."],
    )
    assert r"A-1\textdagger{} & $-$1.5 [$-$2.0, $-$1.0]\textsuperscript{\textdagger{}\textdagger{}}* \\" in text
    assert r"B & 2.0 (3)\textsuperscript{$\|$} \\" in text
    assert r"\caption{T. \textdagger{}~N.}" in text


def test_what_is_wider_than_a_page_is_broken_between_groups():
    wide = Grid(
        title="T",
        groups=tuple((f"IPC {ipc}", 2) for ipc in range(6)),
        columns=("Method", *["ours", "published"] * 6),
        rows=(("BACON", *["51.5 [38.8, 64.2] (4)", "45.62"] * 6),),
    )
    parts = fitting(wide, PAGE_WIDTH)
    assert [len(part.groups) for part in parts] == [2, 2, 2]
    assert all(part.rows[0][0] == "BACON" for part in parts)
    long = Grid(title="T", groups=(), columns=("Method", "n"), rows=tuple((f"m{row}", "1") for row in range(100)))
    assert [len(part.rows) for part in pages(long)] == [45, 45, 10]


@pytest.mark.latex
def test_latex_compiles_with_booktabs_alone(accuracy_of, published, tmp_path):
    accuracy = accuracy_of("cifar10").replace({"method_title": {"BACON": r"My_method & 5% #{x}~^\ $y$ <|>"}})
    write_summary(accuracy, published=published, fingerprint="f", outputs=[tmp_path / "summary.tex"])
    (tmp_path / "main.tex").write_text(
        "\\documentclass{article}\\usepackage{booktabs}\\begin{document}\\input{summary.tex}\\end{document}"
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "main.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]


def test_unknown_suffix_is_refused(accuracy_of, published, tmp_path):
    with pytest.raises(BaconError, match=r"summary\.xlsx"):
        write_summary(accuracy_of(), published=published, fingerprint="f", outputs=[tmp_path / "summary.xlsx"])


def printed(accuracy: pd.DataFrame, published: PublishedResults, width: int) -> str:
    stream = StringIO()
    terminal_table(accuracy, published=published, console=Console(file=stream, width=width))
    return stream.getvalue()


def test_terminal_shows_the_table_and_its_meaning(accuracy_of, published):
    text = printed(accuracy_of("cifar10"), published, 120)
    line = next(line for line in text.splitlines() if "BACON" in line)
    assert [cell.strip() for cell in line.strip("│").split("│")] == [
        "BACON",
        "51.5 [38.8, 64.2] (4)",
        "1.3 / 0.7",
        "45.62†",
        "71.5 [58.8, 84.2] (4)",
        "1.3 / 0.7",
        "62.06†",
    ]
    assert "between distillation seeds" in text


def test_a_narrow_terminal_breaks_the_table_and_loses_nothing(accuracy_of, published):
    text = printed(accuracy_of("cifar10"), published, 60)
    assert text.count("Method") == 2
    assert "…" not in text
    for number in ("51.5 [38.8, 64.2] (4)", "45.62", "71.5 [58.8, 84.2] (4)", "62.06"):
        assert number in text


@pytest.mark.parametrize("options", [[], ["--pareto"]])
def test_a_folder_in_place_of_the_table_is_refused_with_the_table_that_is_meant(tmp_path, options):
    def told() -> str:
        run = CliRunner().invoke(main, ["table", "--accuracy", str(tmp_path), *options])
        assert run.exit_code == 1
        return run.output

    assert f"{tmp_path}: is a folder; --accuracy takes the table itself: accuracy.csv in the folder" in told()
    path = tmp_path / "tables" / "accuracy.csv"
    path.parent.mkdir()
    path.touch()
    assert f"{tmp_path}: is a folder; --accuracy takes the table itself: {path}" in told()
