"""DD-Ranking's own package, and a small CIFAR-10 that it takes for the real one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from benchmarks.dd_ranking.package import FOLDER, load, small_cifar10

ROOT = Path(__file__).parents[2]
TRAIN, TEST = 40, 60


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.ddranking)


@pytest.fixture(scope="session")
def package() -> ModuleType:
    """``ddranking``; the tests fail without it."""
    module, version = load(ROOT / FOLDER)
    assert version == "0.2.0"
    return module


@pytest.fixture(scope="session")
def cifar10(tmp_path_factory) -> Iterator[Path]:
    with small_cifar10(tmp_path_factory.mktemp("data"), train=TRAIN, test=TEST) as folder:
        yield folder
