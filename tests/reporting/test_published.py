from __future__ import annotations

import pandas as pd
import pytest

from bacon.config.loading import check_config
from bacon.plan.plan import Plan
from bacon.reporting.collect.published import (
    COLUMNS,
    PublishedResults,
    preferred,
    rank,
    read_published,
    with_network,
)
from bacon.reporting.collect.source_rules import SOURCE_RULES, source_rules
from bacon.reporting.collect.summary import PUBLISHED_NETWORK
from bacon.runtime.errors import BaconError
from bacon.settings.architectures import named_networks
from tests.reporting.conftest import ROOT


def rows(*lines: tuple[str, ...]) -> pd.DataFrame:
    table = pd.DataFrame(lines, columns=list(COLUMNS))
    return table.astype({"accuracy_percent": float, "std_percent": float})


def test_every_row_is_kept(published):
    lines = (ROOT / "resources" / "published_results.csv").read_text().splitlines()
    assert len(published.rows) == len(lines) - 1 == 1242
    chosen = preferred(published.rows)
    assert len(chosen) == len(with_network(published.rows).drop_duplicates(["method", "dataset", "ipc", "network"]))


def test_order_of_preference():
    order = [
        ("DC", "VICO-UoE/DatasetCondensation readme.md", ""),
        ("DC", "BACON README @9c3f7af", ""),
        ("DC", "BACON project page Table 1 image", ""),
        ("DC", "FTD (CVPR2023) paper Table 1", ""),
        ("DC", "AutoPalette paper Table 1", ""),
        ("DC", "DC-bench leaderboard column Test Accuracy(Avg)", ""),
        ("DC", "DC-bench leaderboard column Test Accuracy(Best)", ""),
        ("DC", "somewhere else", ""),
        ("DC", "BACON README @51fd4fb", "2025; SUPERSEDED - later lowered"),
    ]
    ranks = [rank(*one) for one in order]
    assert ranks == sorted(ranks)
    assert len(set(ranks)) == len(ranks)
    mtt = "equals DC-bench avg-over-augmentations, NOT the MTT paper"
    assert rank("MTT", "BACON project page", mtt) > rank("MTT", "FTD (CVPR2023) paper Table 1", "")
    assert rank("MTT", "BACON project page", mtt) < rank("MTT", "FTD (CVPR2023) paper Table 1", "SUPERSEDED")
    # An own source is own to its method alone.
    assert rank("DM", "snu-mllab/Efficient-Dataset-Condensation README.md", "") == rank("DM", "somewhere else", "")


def test_a_tie_goes_to_the_first_row_and_superseded_is_a_last_resort():
    table = rows(
        ("X", "D", "1", 10.0, None, "ConvNet", "unknown A", ""),
        ("X", "D", "1", 11.0, None, "ConvNet", "unknown B", ""),
        ("Y", "D", "1", 12.0, None, "ConvNet", "BACON README @51fd4fb", "SUPERSEDED"),
        ("Y", "D", "1", 13.0, None, "ConvNet", "unknown", ""),
        ("Z", "D", "1", 14.0, 0.5, "ConvNet", "BACON README @bbae75e", "SUPERSEDED"),
    )
    chosen = preferred(table)
    assert list(chosen["accuracy_percent"]) == [10.0, 13.0, 14.0]
    found = PublishedResults(table).find(published_method="z", published_dataset="D", ipc=1, network="convnet")
    assert found is not None
    assert (found.accuracy_percent, found.std_percent, found.note) == (14.0, 0.5, "SUPERSEDED")


def test_the_own_repository_is_preferred_as_it_stands_now():
    table = rows(
        ("IDM", "D", "1", 65.3, None, "ConvNet", "BACON README @9c3f7af", ""),
        ("IDM", "D", "1", 69.45, None, "ConvNet", "BACON README @51fd4fb", "SUPERSEDED"),
        ("IDM", "D", "1", 65.32, None, "ConvNet", "PAD", ""),
    )
    assert list(preferred(table)["source"]) == ["BACON README @9c3f7af"]


@pytest.mark.parametrize(
    ("method", "dataset", "ipc", "accuracy"),
    [
        ("bacon", "CIFAR10", 10, 62.06),
        ("idm", "SVHN", 1, 65.3),
        ("dm", "CIFAR10", 50, 63.0),
        ("random", "CIFAR10", 1, 14.4),
        ("full", "SVHN", None, 95.4),
        ("bacon", "CIFAR10", 2, None),
        ("bacon", None, 1, None),
        ("half", "CIFAR10", 10, None),
    ],
)
def test_our_names_find_the_published_number(published, method, dataset, ipc, accuracy):
    """The record says what a method is called there; a variant, even by the title of a method, has nothing published."""
    plan = Plan(check_config({"variants": {"half": {"method": "bacon", "title": "BACON"}}}))
    found = published.find(
        published_method=plan.published_method(method), published_dataset=dataset, ipc=ipc, network="convnet"
    )
    assert (found and found.accuracy_percent) == accuracy


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("method,dataset\n", "columns are method, dataset"),
        (",".join(COLUMNS) + "\nX,D,ten,1,,a,b,\n", "line 2: ipc is 'ten'"),
        (",".join(COLUMNS) + "\nX,D,1,high,,a,b,\n", "accuracy_percent"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, text, message):
    path = tmp_path / "published.csv"
    path.write_text(text)
    with pytest.raises(BaconError, match=message):
        read_published(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(BaconError, match="missing"):
        read_published(tmp_path / "published.csv")


def test_the_collection_itself(published):
    """Every row has a source and a number that can be an accuracy; nothing stands there twice; notes are explained."""
    table = published.rows
    assert (table[["method", "dataset", "architecture", "source"]] != "").all(axis=None)
    assert table["accuracy_percent"].between(0, 100, inclusive="neither").all()
    assert table["std_percent"].dropna().between(0, 10, inclusive="left").all()
    assert not table.duplicated([*COLUMNS]).any()
    assert set(table["dataset"]) >= {"CIFAR10", "CIFAR100", "SVHN", "TinyImageNet"}
    text = (ROOT / "resources" / "README.md").read_text()
    for start, explained in (
        ("2025-04-02; SUPERSEDED", "IDM on SVHN"),
        ("2025-04-11; SUPERSEDED", "MNIST and FashionMNIST"),
        ("equals DC-bench", "MTT on the BACON project page"),
        ("code calls this KMeans", "K-Center at DC-BENCH"),
        ("IID base not stated", "IID: the base method"),
        ("read from an image", "read from an image"),
        ("user report in an issue", "a user reports in an issue"),
    ):
        assert table["note"].str.startswith(start).any()
        assert explained in text
    known = "SUPERSEDED|equals DC-bench|KMeans|IID base|read from an image|user report"
    assert table.loc[table["note"] != "", "note"].str.contains(known).all(), "a note that the README does not explain"


def test_preferred_rows_are_never_withdrawn_where_another_stands(published):
    chosen = preferred(published.rows)
    doubtful = chosen[chosen["note"].str.contains("SUPERSEDED|NOT the")]
    for _, row in doubtful.iterrows():
        keys = ["method", "dataset", "ipc", "network"]
        others = with_network(published.rows)
        others = others[(others[keys] == row[keys]).all(axis=1)]
        assert others["note"].str.contains("SUPERSEDED|NOT the").all(), row["source"]
    mtt = published.find(published_method="MTT", published_dataset="CIFAR10", ipc=1, network="convnet")
    assert mtt is not None
    assert mtt.accuracy_percent == 46.2, "the paper's number as FTD quotes it"


@pytest.mark.parametrize(
    ("method", "dataset", "ipc", "network", "accuracy"),
    [
        ("G-VBSM", "CIFAR10", 10, "convnet", 46.5),
        ("G-VBSM", "CIFAR10", 10, "resnet18_bn", 53.5),
        ("G-VBSM", "CIFAR10", 10, "resnet18", None),
        ("DANCE", "CIFAR10", 10, "lenet", None),
        ("DM", "CIFAR10", 1, "lenet", None),
        ("LD", "CIFAR10", 1, "alexnet", 25.7),
        # DC-BENCH files k-means under K-Center; the others print another selection.
        ("K-Center", "CIFAR100", 10, "convnet", 7.1),
        ("k-means", "CIFAR100", 50, "convnet", 36.59),
        # Copies of another method's number.
        ("Forgetting", "CIFAR100", 50, "convnet", None),
        ("Forgetting", "CIFAR100", 10, "convnet", 15.1),
        # A user's report has a name of its own.
        ("DM", "CIFAR10", 50, "convnet", 63.0),
    ],
)
def test_a_number_is_compared_with_the_same_network_and_method_only(published, method, dataset, ipc, network, accuracy):
    found = published.find(published_method=method, published_dataset=dataset, ipc=ipc, network=network)
    assert (found and found.accuracy_percent) == accuracy


def test_one_method_with_two_numbers_stays_visible(published):
    """MTT as its paper has it and as DC-BENCH averages it; DSA at TinyImageNet IPC 50 collapses in one of two sources."""
    cells = (
        ("MTT", "CIFAR10", 1, "convnet"),
        ("DSA", "TinyImageNet", 50, "convnet"),
        ("RDED", "CIFAR100", 10, "resnet18_bn"),
    )
    for method, dataset, ipc, network in cells:
        found = published.all_of(published_method=method, published_dataset=dataset, ipc=ipc, network=network)
        assert found["accuracy_percent"].max() - found["accuracy_percent"].min() > 0.05


def test_every_network_in_the_collection_is_known(published):
    rules = source_rules()
    known = {*rules.no_network, *(text for texts in rules.networks.values() for text in texts)}
    assert set(published.rows["architecture"]) == known
    assert set(rules.networks) <= {PUBLISHED_NETWORK, *named_networks()}


def test_letters_and_digits_make_a_name(published):
    found = published.find(published_method="k-center", published_dataset="CIFAR10", ipc=1, network="convnet")
    assert found is not None
    assert found.accuracy_percent == 21.5
    assert published.find(published_method=None, published_dataset="CIFAR10", ipc=1, network="convnet") is None


def test_the_rules_name_methods_and_sources_that_there_are(published):
    rules = source_rules()
    methods, sources = set(published.rows["method"]), published.rows["source"]
    other = {one.method for one in (*rules.other_methods, *rules.not_targets)}
    assert {*rules.own, *rules.table1.first, *rules.table1.last, *rules.remarks[0].methods, *other} <= methods
    named = [*rules.quoting, rules.table1.source, *(source for own in rules.own.values() for source in own)]
    named += [one.source for one in rules.other_methods]
    for start in [*named, *(remark.source for remark in rules.remarks)]:
        assert sources.str.startswith(start).any(), start
    assert {*rules.figure3.datasets, *rules.table1.datasets} <= set(published.rows["dataset"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("quoting:", "quotes:"), "`quoting`: Field required"),
        (("own:", "own: ["), "not valid YAML"),
        (None, "restore it"),
    ],
)
def test_damaged_rules_are_refused(tmp_path, change, message):
    path = tmp_path / "published_sources.yaml"
    if change is not None:
        path.write_text(SOURCE_RULES.read_text().replace(*change))
    with pytest.raises(BaconError, match=message):
        source_rules(path)
