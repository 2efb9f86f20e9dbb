"""Packages that downstream tasks need and this project does not depend on, as tests find them."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "build" / "downstream"
"""Where ``make downstream`` puts them, which ``make test`` does before the tests; pytest looks there (``pyproject.toml``)."""


def is_installed(*modules: str, folder: Path = FOLDER) -> bool:
    """Whether all ``modules`` can be imported.

    Where ``folder`` is there they ought to be, so that a test which needs one fails and is not skipped, with what to run.
    """
    for module in modules:
        try:
            import_module(module)
        except ImportError as error:
            if folder.is_dir():
                pytest.fail(
                    f"{module} cannot be imported ({error}) although there is {folder}; make it again: "
                    "rm -rf build/downstream && make downstream",
                    pytrace=False,
                )
            return False
    return True


def needs(module: str, *, folder: Path = FOLDER) -> None:
    """Skip a test, or a file of tests, where the packages were never installed; fail where one of them is broken."""
    if not is_installed(module, folder=folder):
        pytest.skip(f"{module} is not installed: make downstream", allow_module_level=True)
