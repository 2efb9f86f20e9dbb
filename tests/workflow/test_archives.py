"""Official archives through the real workflow on a machine without a network."""

import dataclasses
import hashlib
import re
import shutil

import h5py
import numpy as np
import pytest

from tests.datasets import archives
from tests.workflow.conftest import ROOT, TINY

pytestmark = pytest.mark.workflow


@pytest.fixture
def small_mnist(project):
    """The workflow with a registry whose MNIST is small and at no address; the official files."""
    random = np.random.default_rng(0)
    train, test = (random.integers(0, 256, (count, 28, 28)).astype(np.uint8) for count in (60, 20))
    contents = archives.idx_files(train, np.arange(60) % 10, test, np.arange(20) % 10)
    code = project.folder / "code"
    for name in ("bacon", "workflow", "resources"):
        shutil.copytree(ROOT / name, code / name, ignore=shutil.ignore_patterns("__pycache__", "downloads"))
    shutil.copy(ROOT / "environment.yml", code)
    registry = code / "bacon" / "datasets" / "registry.py"
    text = registry.read_text().replace(
        "train_size=60000,\n    test_size=10000,", "train_size=60,\n    test_size=20,", 1
    )
    text = text.replace(
        '"https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/"',
        '"http://127.0.0.1:9/",',
    )
    for file, content in contents.items():
        old = rf'("{re.escape(file)}",\s+)"[0-9a-f]{{32}}",\s+\d+,'
        new = rf'\1"{hashlib.md5(content).hexdigest()}", {len(content)},'
        text = re.sub(old, new, text, count=1)
    registry.write_text(text)
    config = TINY | {"grid": TINY["grid"] | {"datasets": ["mnist"]}}
    return dataclasses.replace(project, snakefile=code / "workflow" / "Snakefile"), contents, config


def test_archives_in_a_local_folder_are_used_without_a_network(small_mnist):
    project, contents, config = small_mnist
    archives.put(project.folder / "shared", contents)
    project.configure(config | {"data": {"mnist": {"archives": "shared"}}})
    run = project.snakemake("results/data/mnist.h5")
    assert run.jobs["download"] == run.jobs["preprocess"] == 1
    with h5py.File(project.path("results/data/mnist.h5")) as file:
        assert file["train/images"].shape == (60, 1, 28, 28)
    # What was prepared does not depend on where its files came from.
    project.configure(config)
    assert project.snakemake("results/data/mnist.h5").jobs == {}


def test_without_a_network_the_log_says_which_files_to_put_where_and_then_they_are_used(small_mnist):
    project, contents, config = small_mnist
    project.configure(config)
    assert project.snakemake("results/data/mnist.h5", "--retries", "0", check=False).returncode != 0
    log = project.path("results/logs/download/mnist.log").read_text()
    folder = project.path("resources/downloads/mnist")
    assert str(folder) in log
    for name in contents:
        assert f"{name} (" in log
    assert "Traceback" not in log
    archives.put(folder, contents)
    assert project.snakemake("results/data/mnist.h5").jobs["preprocess"] == 1
