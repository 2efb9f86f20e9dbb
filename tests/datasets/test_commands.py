"""``bacon data list`` and ``bacon data inspect``."""

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from bacon.cli import main
from bacon.config.loading import check_config
from bacon.datasets.prepare import prepare
from bacon.datasets.registry import REGISTRY
from bacon.plan.plan import Plan
from bacon.settings.data import DataSettings
from tests.datasets import archives
from tests.datasets.conftest import official


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def logging_as_it_was(monkeypatch):
    """The command sets logging up for its process; here others share it."""
    monkeypatch.setattr("bacon.cli.set_up_logging", lambda: None)


def run(*arguments):
    return CliRunner().invoke(main, ["data", *arguments])


def listed(*arguments):
    """Name -> cells of its row."""
    result = run("list", *arguments)
    assert result.exit_code == 0, result.output
    rows = ([cell.strip() for cell in line.split("│")[1:-1]] for line in result.output.splitlines() if "│" in line)
    return {row[0]: row[1:] for row in rows if row[0]}


@pytest.mark.usefixtures("place")
def test_every_registered_data_set_is_listed_without_a_configuration():
    rows = listed()
    assert list(rows) == list(REGISTRY)
    assert rows["cifar100"][:6] == ["3 x 32 x 32", "100", "50000", "10000", "ConvNet-3, 128", "1, 10, 50"]
    assert rows["digits"][4:] == ["ConvNet-3, 32", "1, 10", "embedded", "scikit-learn"]
    assert rows["tinyimagenet"][6:] == ["absent", "http://cs231n.stanford.edu"]


def test_the_state_goes_from_absent_to_downloaded_prepared_stale_and_damaged(place, monkeypatch):
    random = np.random.default_rng(0)
    train, test = (random.integers(0, 256, (count, 28, 28)).astype(np.uint8) for count in (30, 20))
    contents = archives.idx_files(train, np.arange(30) % 10, test, np.arange(20) % 10)
    monkeypatch.setitem(REGISTRY, "mnist", official("mnist", contents, train_size=30, test_size=20))

    def state():
        return listed()["mnist"][6]

    assert state() == "absent"
    folder = archives.put(place / "resources/downloads/mnist", contents)
    assert state() == "downloaded"
    (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(b"short")
    assert state() == "absent"
    archives.put(folder, contents)
    fingerprint = Plan(check_config({})).data_fingerprint("mnist")
    file = place / "results/data/mnist.h5"
    prepare("mnist", DataSettings(), download_dir=folder, output=file, fingerprint=fingerprint)
    assert state() == "prepared"
    prepare("mnist", DataSettings(), download_dir=folder, output=file, fingerprint="another")
    assert state() == "stale"
    file.write_bytes(file.read_bytes()[:1000])
    assert state() == "damaged"


def test_archives_that_the_configuration_names_count_as_downloaded(place, monkeypatch):
    contents = {"a.gz": b"content"}
    monkeypatch.setitem(REGISTRY, "mnist", official("mnist", contents))
    archives.put(place / "shared", contents)
    (place / "my.yaml").write_text(yaml.safe_dump({"data": {"mnist": {"archives": "shared"}}}))
    assert listed("--config", "my.yaml")["mnist"][6] == "downloaded"


def test_own_data_is_listed_by_the_configuration(place):
    np.savez(place / "own.npz", x_train=0)
    data = {
        "mine": {"format": "npz", "path": "own.npz"},
        "gone": {"format": "imagefolder", "path": "nowhere"},
    }
    (place / "config").mkdir()
    (place / "config/config.yaml").write_text(yaml.safe_dump({"data": data}))
    rows = listed()
    assert rows["mine"] == ["", "", "", "", "ConvNet-3, 128", "", "present", "npz: own.npz"]
    assert rows["gone"][6:] == ["absent", "imagefolder: nowhere"]


def test_a_prepared_file_is_printed_and_verified(place):
    data = DataSettings(zca=True, validation=0.1)
    prepare("digits", data, download_dir=place, output=place / "it.h5", fingerprint="f")
    result = run("inspect", "it.h5")
    assert result.exit_code == 0, result.output
    for part in ("bacon-dataset", "schema_version", "validation", "(355, 1, 16, 16)", "ZCA, epsilon 0.1", "Verified"):
        assert part in result.output


@pytest.mark.usefixtures("place")
def test_inspecting_a_file_that_is_not_there_says_so():
    result = run("inspect", "absent.h5")
    assert result.exit_code == 1
    assert "Error: absent.h5: does not exist" in result.output
