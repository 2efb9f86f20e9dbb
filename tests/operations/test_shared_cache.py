"""Working directories that share prepared data through Snakemake's cache."""

import shutil

import pytest

from bacon.datasets.store import read_dataset
from tests.workflow.conftest import TINY, Project

pytestmark = pytest.mark.workflow

DATA = "results/data/digits.h5"
LOG = "results/logs/preprocess/digits.log"


@pytest.fixture
def shared(tmp_path, monkeypatch):
    folder = tmp_path / "shared"
    folder.mkdir()
    monkeypatch.setenv("SNAKEMAKE_OUTPUT_CACHE", str(folder))
    return folder


def working_directory(folder, **changes):
    folder.mkdir()
    project = Project(folder)
    project.configure(TINY | changes)
    return project


def entries(shared):
    return sorted(path.name for path in shared.iterdir())


def test_data_is_prepared_once_for_all_working_directories_and_again_for_other_settings(tmp_path, shared):
    first, second = (working_directory(tmp_path / name) for name in ("first", "second"))
    first.snakemake("--cache", "preprocess", "--", DATA)
    kept = entries(shared)
    assert len(kept) == 1
    assert "wrote" in first.path(LOG).read_text()

    second.snakemake("--cache", "preprocess", "--", DATA)
    assert entries(shared) == kept
    assert second.path(LOG).read_text() == "", "the second one must not prepare it again"
    assert second.path(DATA).resolve() == first.path(DATA).resolve() == shared / kept[0]
    # Nothing is stale, with or without the cache.
    assert second.snakemake("-n", "--", DATA).jobs == {}

    other = working_directory(tmp_path / "other", data={"digits": {"mean": [0.5], "std": [0.5]}})
    other.snakemake("--cache", "preprocess", "--", DATA)
    assert len(entries(shared)) == 2
    assert read_dataset(other.path(DATA)).mean == (0.5,)
    assert read_dataset(second.path(DATA)).mean != (0.5,), "the shared file is left as it was"


def test_a_change_replaces_the_link_and_not_the_shared_file(tmp_path, shared):
    project = working_directory(tmp_path / "work")
    project.snakemake("--cache", "preprocess", "--", DATA)
    target = project.path(DATA).resolve()
    content = target.read_bytes()
    project.configure(TINY | {"data": {"digits": {"mean": [0.5], "std": [0.5]}}})
    project.snakemake("--", DATA)
    assert not project.path(DATA).is_symlink()
    assert target.read_bytes() == content
    assert entries(shared) == [target.name]


def test_a_lost_cache_is_made_again(tmp_path, shared):
    project = working_directory(tmp_path / "work")
    project.snakemake("--cache", "preprocess", "--", DATA)
    shutil.rmtree(shared)
    shared.mkdir()
    project.snakemake("--cache", "preprocess", "--", DATA)
    assert len(entries(shared)) == 1
    assert read_dataset(project.path(DATA)).name == "digits"
