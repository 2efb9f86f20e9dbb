"""The leaderboard: which folders it reads, what it compares, and what its page holds."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from scipy import stats

from bacon.artifacts.evaluation_records import FORMAT, VERSION
from bacon.cli import main
from bacon.reporting.collect.comparable import label_kind, protocol_digest
from bacon.reporting.collect.result_folders import collect_folders
from bacon.reporting.collect.standings import (
    ALONE,
    BEST_ONE,
    CEILING,
    TIE,
    UNTESTED,
    WORSE,
    against_first,
    standings,
)
from bacon.reporting.collect.statistics import holm, paired
from bacon.reporting.page.make_leaderboard import make, size_class
from bacon.reporting.tables.make_tables import make as make_tables
from bacon.reporting.targets import PUBLISHED, TARGETS
from bacon.runtime.errors import BaconError
from bacon.settings.protocol_records import PROTOCOLS
from bacon.settings.protocols import short_title
from tests.reporting.fakes import EVALUATION, NETWORK, record
from tests.reporting.page_tree import content, parse, rows
from tests.reporting.results import PROVENANCE, write_results

GRID = {"datasets": ["digits"], "methods": ["random", "dm", "bacon"], "ipc": [1], "seeds": 3}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of finished results: random, DM and BACON at 30, 40 and 60 %, a point more for each seed."""
    folder = tmp_path_factory.mktemp("finished")
    plan = write_results(folder, {"preset": "smoke", "grid": GRID})
    outputs = {name: folder / path for name, path in TARGETS["tables"].outputs(plan).items()}
    make_tables(plan, fingerprint="0123", outputs=outputs, published=PUBLISHED)
    return folder / "results"


@pytest.fixture
def alice(finished: Path, tmp_path: Path) -> Path:
    for name in ("tables", "evaluation"):
        shutil.copytree(finished / name, tmp_path / "alice" / name)
    return tmp_path / "alice"


def copied(folder: Path, name: str, **columns: object) -> Path:
    """The tables of a folder in another one, with other values in columns of accuracy.csv."""
    other = folder.parent / name
    shutil.copytree(folder / "tables", other / "tables")
    changed(other, lambda table: table.assign(**columns))
    return other


def changed(folder: Path, change) -> None:
    path = folder / "tables" / "accuracy.csv"
    change(pd.read_csv(path, dtype=str)).to_csv(path, index=False)


def file_evaluation(
    folder: Path, name: str, accuracies: tuple[float, ...], *, set_name: str = "", title: str = "Theirs", **keys: object
) -> Path:
    """What ``bacon evaluate --output`` writes of a file that holds one image of every class."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    source = {"file": "x.pt", "title": title, "dataset_title": "Digits", "ipc": 1, "sha256": set_name or name}
    said = {
        "format": FORMAT, "version": VERSION, "fingerprint": f"{name}-fingerprint", "dataset": "digits", "method": "file",
        "ipc": None, "seed": 0, "network": "convnet", "protocol": "paper", "data_fingerprint": "data",
        "settings": {"network": NETWORK, "evaluation": {**EVALUATION, "seeds": len(accuracies)}},
        "provenance": PROVENANCE, "source": source | {"image_bytes": 7680, "label_bytes": 0},
        "records": [record(0, seed, one) for seed, one in enumerate(accuracies)],
    }  # fmt: skip
    path.write_text(json.dumps(said | keys))
    return path


def stood(folders: list[Path]) -> dict[tuple[str, str], str]:
    found = standings(collect_folders(folders).networks)
    return {(row.one("method_title"), Path(row.one("source")).name): row.standing for row in found}


def page_of(folders: list[Path], output: Path):
    make(folders, output)
    return parse(output.read_text())


def test_methods_of_one_folder_are_ranked_and_their_statistics_are_the_projects(alice):
    found = standings(collect_folders([alice]).networks)
    assert [(row.one("method"), row.standing) for row in found] == [
        ("bacon", BEST_ONE), ("dm", UNTESTED), ("random", UNTESTED), ("full", CEILING),
    ]  # fmt: skip
    # Every seed adds the same, so the differences do not spread; seed means are 61, 62 and 63 %.
    best = found[0].ours
    assert (best.mean, best.n, best.seeds) == (pytest.approx(62.0), 6, 3)
    assert best.ci_high - best.mean == pytest.approx(4.302653 / np.sqrt(3), rel=1e-5)


def test_folders_are_compared_by_their_seed_means(alice):
    """BACON of two people: one has 61, 62, 63; the other 1.5 points less, then 30 less, with other spreads."""

    def lower(points, scale):
        def change(table):
            bacon = table["method"] == "bacon"
            value = table["test_accuracy_percent"].astype(float)
            moved = 62 + scale * (value - 62) - points
            return table.assign(
                test_accuracy_percent=value.where(~bacon, moved), fingerprint=table["fingerprint"] + "b"
            )

        return change

    bob, carol = copied(alice, "bob"), copied(alice, "carol")
    changed(bob, lower(1.5, 1.2))
    changed(carol, lower(30.0, 1.3))
    changed(carol, lambda table: table[table["method"] == "bacon"].assign(fingerprint=table["fingerprint"] + "c"))
    found = stood([alice, bob, carol])
    assert found["BACON", "alice"] == BEST_ONE
    assert found["BACON", "bob"] == TIE
    assert found["BACON", "carol"] == WORSE


def test_p_values_are_those_of_scipy():
    """Within a source the paired test of the project over common seeds, between sources Welch's; adjusted for all pairs."""
    random = np.random.default_rng(0)
    means = [random.normal(size=5) + 50, random.normal(size=5) + 52, random.normal(size=4) + 51]

    def row(source, values, first=0):
        seeds = range(first, first + len(values))
        return pd.DataFrame({"source": source, "seed": seeds, "test_accuracy_percent": values})

    p = [
        paired(means[0], means[1]).p,
        stats.ttest_ind(means[0], means[2], equal_var=False).pvalue,
        stats.ttest_ind(means[1], means[2], equal_var=False).pvalue,
    ]
    found = against_first([row("a", means[0]), row("a", means[1]), row("b", means[2])])
    assert found == pytest.approx(holm(np.array(p))[:2], rel=1e-9)
    # Seeds that are not common cannot be paired; one seed, or seeds without spread, bear no test.
    unpaired = stats.ttest_ind(means[0], means[1], equal_var=False).pvalue
    assert against_first([row("a", means[0]), row("a", means[1], 5)]) == pytest.approx([unpaired])
    assert np.isnan(against_first([row("a", means[0]), row("b", means[1][:1])])).all()
    assert np.isnan(against_first([row("a", means[0]), row("a", means[0] + 1)])).all()
    assert np.isnan(against_first([row("a", np.full(3, 50.0)), row("b", np.full(3, 51.0))])).all()


def test_nothing_is_compared_across_protocols_networks_or_own_data_sets(alice):
    other = copied(alice, "other", protocol_name="p-dsa", fingerprint="other")
    settings = copied(alice, "settings", protocol_digest="0123456789ab", fingerprint="settings")
    network = copied(alice, "network", network="lenet", fingerprint="network")
    for folder in (other, settings, network):
        changed(folder, lambda table: table[table["method"] == "bacon"])
    found = stood([alice, other, settings, network])
    assert [found["BACON", name] for name in ("alice", "other", "settings", "network")] == [
        BEST_ONE,
        ALONE,
        ALONE,
        ALONE,
    ]
    # An own data set shares no more than its name, unless its content does.
    for folder in (alice, other):
        changed(folder, lambda table: table.assign(dataset="own", protocol_name="paper", data_fingerprint="1"))
        cost = folder / "tables" / "cost.csv"
        cost.write_text(cost.read_text().replace("\ndigits,", "\nown,"))
    assert stood([alice, other])["BACON", "other"] != ALONE
    changed(other, lambda table: table.assign(data_fingerprint="2"))
    assert stood([alice, other])["BACON", "other"] == ALONE


def test_a_cell_that_two_folders_hold_is_counted_once_and_said(alice):
    bob = copied(alice, "bob")
    changed(bob, lambda table: table.assign(fingerprint=table["fingerprint"].where(table["method"] != "dm", "new")))
    collected = collect_folders([alice, bob])
    assert set(collected.networks.loc[collected.networks["source"] == str(bob), "method"]) == {"dm"}
    assert len(collected.networks) == len(collect_folders([alice]).networks) + 6
    (remark,) = collected.remarks
    assert remark.startswith(f"{bob}: 7 evaluated cells also in {alice} with the same fingerprint, counted once")
    assert "digits/random/1/0" in remark


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda tables: shutil.rmtree(tables), "holds neither tables/accuracy.csv"),
        (lambda tables: (tables / "accuracy.csv").unlink(), "accuracy.csv: the table does not exist"),
        (lambda tables: (tables / "accuracy.csv").write_bytes(b"\xff\xfe\x00"), "accuracy.csv: not a readable table"),
        (lambda tables: (tables / "accuracy.csv").write_text(""), "accuracy.csv: not a readable table"),
        (lambda tables: (tables / "cost.csv").unlink(), "cost.csv: the table does not exist"),
        (lambda tables: (tables / "cost.csv").write_text("dataset\n"), "cost.csv: no column method, ipc"),
    ],
)
def test_a_folder_without_whole_tables_is_named(alice, damage, words):
    damage(alice / "tables")
    with pytest.raises(BaconError, match="alice") as caught:
        collect_folders([alice])
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda table: table.drop(columns="protocol_digest"), "no column protocol_digest; an older version"),
        (lambda table: table.iloc[:0], "has no rows"),
        (lambda table: table.assign(test_accuracy_percent="101"), "numbers from 0 to 100"),
        (lambda table: table.assign(test_accuracy_percent=""), "numbers from 0 to 100"),
        (lambda table: table.assign(final="perhaps"), "True and False"),
        (lambda table: table.assign(fingerprint=""), "rows without fingerprint"),
        (lambda table: table.assign(seed=""), "rows without seed"),
        (lambda table: table.assign(ipc="7").iloc[-1:], "has no row for digits/bacon/ipc7"),
    ],
)
def test_damaged_and_older_tables_are_named(alice, change, words):
    changed(alice, change)
    with pytest.raises(BaconError, match=words):
        collect_folders([alice])


def test_a_folder_is_given_once_and_must_exist(alice):
    (alice.parent / "project").mkdir()
    (alice.parent / "project" / "results").symlink_to(alice)
    with pytest.raises(BaconError, match=r"is the same folder of results as .*alice; give each once"):
        collect_folders([alice, alice.parent / "project"])
    with pytest.raises(BaconError, match="nowhere: no such folder"):
        collect_folders([alice.parent / "nowhere"])


def test_sets_from_elsewhere_enter_by_their_evaluations(alice):
    theirs = alice.parent / "theirs"
    for seed, accuracy in enumerate((0.70, 0.74, 0.72)):
        file_evaluation(theirs, f"{seed}.json", (accuracy, accuracy + 0.02))
    file_evaluation(theirs, "dsa.json", (0.5, 0.6), set_name="0.json", protocol="p-dsa")
    (theirs / "package.json").write_text("{}")
    collected = collect_folders([alice, theirs])
    assert collected.remarks == (f"{theirs}: left out, not written by `bacon evaluate --output`: package.json.",)
    other, first, *_ = standings(collected.networks)
    assert (other.one("protocol_name"), other.ours.n, other.standing) == ("p-dsa", 2, ALONE)
    assert (first.one("method_title"), first.ours.seeds, first.ours.n, first.standing) == ("Theirs", 3, 6, BEST_ONE)
    assert first.ours.mean == pytest.approx(73.0)
    assert stood([alice, theirs])["BACON", "alice"] == WORSE


def test_the_same_evaluation_in_two_folders_of_files_is_counted_once(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    file_evaluation(one, "a.json", (0.5,), fingerprint="same")
    file_evaluation(other, "0.json", (0.4,))
    file_evaluation(other, "b.json", (0.5,), fingerprint="same")
    collected = collect_folders([one, other])
    assert len(collected.networks) == 2
    assert "counted once" in collected.remarks[0]
    shutil.copy(one / "a.json", one / "b.json")
    with pytest.raises(BaconError, match=r"b.json: the same evaluation of the same set as a.json"):
        collect_folders([one])


def test_damaged_and_older_evaluations_of_files_are_named(tmp_path):
    path = file_evaluation(tmp_path, "a.json", (0.5,), source={"file": "x.pt"})
    with pytest.raises(BaconError, match=r"a.json: `source` does not say title, .*: evaluate again"):
        collect_folders([tmp_path])
    path.write_text(path.read_text()[:-30])
    with pytest.raises(BaconError, match=r"a.json: not a readable JSON file"):
        collect_folders([tmp_path])
    file_evaluation(tmp_path, "a.json", (0.5,), settings={"network": NETWORK})
    with pytest.raises(BaconError, match=r"a.json: not a complete evaluation file"):
        collect_folders([tmp_path])


def test_labels_and_settings_decide_what_a_protocol_is():
    settings = {"network": NETWORK, "evaluation": EVALUATION}
    other = {"network": NETWORK, "evaluation": {**EVALUATION, "epochs": 99}}
    assert protocol_digest(settings) == protocol_digest({**settings, "evaluation": {**EVALUATION, "seeds": 9}})
    assert len({protocol_digest(settings), protocol_digest(other)}) == 2
    stored = {"settings": {"evaluation": {**EVALUATION, "labels": "stored"}}}
    assert label_kind({"settings": settings, "labels": "logits"}) == "hard"
    assert label_kind({**stored, "labels": "logits"}) == "soft"
    assert label_kind(stored) == "hard"


def test_every_row_of_the_page_can_be_chosen_by_what_it_is(alice, tmp_path):
    theirs = tmp_path / "theirs"
    file_evaluation(theirs, "a.json", (0.7, 0.72), title="<b>Theirs</b>")
    page = page_of([alice, theirs], tmp_path / "page.html")
    table = page.find(".//table[@id='leaderboard']")
    headings = {content(one): one for one in table.find("thead").iter("th")}
    chosen = {name for name, one in headings.items() if "data-choice" in one.attrib}
    assert {"Data set", "IPC", "Protocol", "Network", "Labels", "Storage", "Source", "Standing", "Method"} == chosen
    column = list(headings).index("Storage")
    sizes = [body.find("tr")[column].get("data-choice") for body in table.findall("tbody")]
    assert sizes == ["1 to 10 KiB"] * 4 + ["full data set"]
    assert rows(table)[1][:10] == [
        f"<b>Theirs</b> Digits, IPC 1, paper, convnet; {theirs}", "71.0", "best", str(theirs), "Digits", "1", "paper",
        "convnet", "1 x 2", "1.4",
    ]  # fmt: skip
    assert "<b>Theirs" not in (tmp_path / "page.html").read_text()
    assert not [one for one in page.iter() if one.get("src", "").startswith(("http", "//"))]


def test_protocols_have_the_titles_that_tables_give_them_and_own_ones_their_names(alice, tmp_path):
    theirs = tmp_path / "theirs"
    for name, protocol in (("a", "p-dsa"), ("b", "mine")):
        file_evaluation(theirs, f"{name}.json", (0.7, 0.72), protocol=protocol)
    page = page_of([alice, theirs], tmp_path / "page.html")
    table = page.find(".//table[@id='leaderboard']")
    column = [content(one) for one in table.find("thead").iter("th")].index("Protocol")
    assert {row[column] for row in rows(table)[1:]} == {"paper", "P-DSA", "mine"}
    assert len(set(map(short_title, PROTOCOLS))) == len(PROTOCOLS), "two protocols of one title could not be told apart"


def test_numbers_link_to_the_card_the_report_or_the_evaluation(alice, tmp_path):
    def hrefs(method):
        table = page_of([alice], tmp_path / "pages" / "page.html").find(".//table[@id='leaderboard']")
        body = next(one for one in table.findall("tbody") if one.find("tr")[0].get("data-choice") == method)
        number, *_ = body.find("tr")[1].iter("a")
        return [number.get("href"), *(link.get("href") for link in body.find("tr")[13].iter("a"))]

    (tmp_path / "pages").mkdir()
    evaluations = [f"../alice/evaluation/digits/bacon/ipc1/seed{seed}/convnet.json" for seed in (0, 0, 1, 2)]
    assert hrefs("BACON") == evaluations
    assert hrefs("Full data set") == ["../alice/evaluation/digits/full/convnet.json"] * 2
    (alice / "report.html").write_text("")
    assert hrefs("BACON")[1] == "../alice/report.html#digits/bacon/ipc1/seed0"
    card = alice / "exports" / "digits_bacon_ipc1_seed0_huggingface" / "README.md"
    card.parent.mkdir(parents=True)
    card.write_text("")
    assert hrefs("BACON")[:3] == [
        *["../alice/exports/digits_bacon_ipc1_seed0_huggingface/README.md"] * 2,
        "../alice/report.html#digits/bacon/ipc1/seed1",
    ]


def test_rows_without_a_card_are_said(alice, tmp_path):
    shutil.rmtree(alice / "evaluation")
    assert "4 rows have no card" in content(page_of([alice], tmp_path / "page.html"))


def test_the_command_writes_the_same_page_twice(alice, tmp_path):
    pages = []
    for name in ("one.html", "two.html"):
        done = CliRunner().invoke(main, ["leaderboard", str(alice), "--output", str(tmp_path / name)])
        assert done.exit_code == 0, done.output
        assert re.search(r"4 rows, [1-9]\d* kB$", done.output.strip())
        pages.append((tmp_path / name).read_bytes())
    assert pages[0] == pages[1]
    done = CliRunner().invoke(main, ["leaderboard", str(tmp_path / "pages"), "--output", str(tmp_path / "x.html")])
    assert done.exit_code == 1
    assert not (tmp_path / "x.html").exists()


@pytest.mark.parametrize(
    ("size", "words"),
    [(1023, "0 to 1 KiB"), (1024, "1 to 10 KiB"), (5e6, "1000 to 10000 KiB"), (float("nan"), "full data set")],
)
def test_storage_is_chosen_by_powers_of_ten(size, words):
    assert size_class(size) == words
