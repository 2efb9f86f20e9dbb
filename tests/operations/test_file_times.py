"""Times of files that are right by content are put in the order of the graph, and nothing else is."""

import os

import pytest

from bacon.operations.file_times import order_times
from bacon.operations.products import Found, Product, made_with, note_made

DATA = frozenset({"data"})
CHAIN = (
    Product(name="data", fingerprint="1", inputs=(), outputs=("data",), benchmark="a"),
    Product(name="set", fingerprint="2", inputs=("data",), outputs=("set",), benchmark="b", prepared=DATA),
    Product(
        name="scores",
        fingerprint="3",
        inputs=("data", "set"),
        outputs=("scores",),
        benchmark="c",
        prepared=DATA,
    ),
    Product(name="tables", fingerprint="4", inputs=("scores", "set"), outputs=("csv", "md"), benchmark="d"),
)


@pytest.fixture
def folder(tmp_path):
    def times(**seconds):
        for name, second in seconds.items():
            (tmp_path / name).write_text(name)
            os.utime(tmp_path / name, (second, second))
        return tmp_path

    return times


def seconds(folder):
    return {path.name: path.stat().st_mtime for path in folder.iterdir()}


def never(_product):
    return False


def always(_product):
    return True


def test_files_in_order_are_left_alone(folder):
    found = folder(data=1, set=1, scores=3, csv=4, md=3)
    before = seconds(found)
    assert order_times(found, Found(CHAIN, ()), is_recorded=never) == []
    assert seconds(found) == before


def test_what_is_older_than_its_inputs_gets_the_time_of_the_newest_of_them(folder):
    found = folder(data=9, set=2, scores=1, csv=10, md=3)
    assert order_times(found, Found(CHAIN, ()), is_recorded=never) == []
    assert seconds(found) == {"data": 9, "set": 9, "scores": 9, "csv": 10, "md": 9}


def test_the_measurement_of_a_job_counts_like_its_files(folder):
    """Snakemake takes the oldest of both."""
    found = folder(data=2, set=3, b=1, scores=4, csv=5, md=5, d=5)
    assert order_times(found, Found(CHAIN, ()), is_recorded=never) == []
    assert seconds(found) == {"data": 2, "set": 3, "b": 2, "scores": 4, "csv": 5, "md": 5, "d": 5}


def test_a_file_that_is_not_right_orders_nothing(folder):
    found = folder(data=1, set=9, scores=2, csv=3, md=3)
    rest = tuple(product for product in CHAIN if product.name != "set")
    assert order_times(found, Found(rest, ()), is_recorded=never) == []
    assert seconds(found) == {"data": 1, "set": 9, "scores": 2, "csv": 3, "md": 3}


def test_what_snakemake_made_here_is_compared_by_its_checksums_but_for_data_sets(folder):
    """A distilled set that was forced anew is newer than its evaluation, and perhaps another one."""
    found = folder(data=8, set=9, scores=2, csv=10, md=10)
    assert order_times(found, Found(CHAIN, ()), is_recorded=always) == []
    assert seconds(found) == {"data": 8, "set": 9, "scores": 8, "csv": 10, "md": 10}


def test_a_folder_that_cannot_be_written_is_named_and_no_error(folder, monkeypatch):
    found = folder(data=9, set=2, scores=9, csv=9, md=9)

    def refuse(path, **_):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("os.utime", refuse)
    assert order_times(found, Found(CHAIN, ()), is_recorded=never) == [found / "set"]


def test_what_was_made_is_known_by_its_checksums(folder):
    tables = CHAIN[-1]
    found = folder(csv=1, md=1)
    assert made_with(found, tables) is None
    note_made(found, tables.name, "4", [found.joinpath(name).relative_to(found) for name in tables.outputs])
    assert made_with(found, tables) == "4"
    note_made(found, tables.name, "5", [found.joinpath(name).relative_to(found) for name in tables.outputs])
    assert made_with(found, tables) == "5"
    (found / "md").write_text("Edited.")
    assert made_with(found, tables) is None
