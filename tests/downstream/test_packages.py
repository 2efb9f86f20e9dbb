"""Tests of attacks and corruptions are left out where their packages were never installed, and nowhere else."""

import re

import pytest

from bacon.downstream.registry import TASKS
from tests.downstream.packages import FOLDER, is_installed, needs
from tests.project.test_docs import ROOT

MISSING = "a_package_that_is_nowhere"


def test_without_the_folder_a_test_is_skipped_and_says_what_installs_the_package(tmp_path):
    assert not is_installed(MISSING, folder=tmp_path / "none")
    with pytest.raises(pytest.skip.Exception, match=f"{MISSING} is not installed: make downstream"):
        needs(MISSING, folder=tmp_path / "none")


def test_with_the_folder_a_package_that_is_missing_or_broken_fails(tmp_path, monkeypatch):
    (tmp_path / "a_broken_package.py").write_text("import a_part_for_another_python\n")
    monkeypatch.syspath_prepend(tmp_path)
    for module, reason in ((MISSING, MISSING), ("a_broken_package", "a_part_for_another_python")):
        with pytest.raises(pytest.fail.Exception, match=f"{module} cannot be imported.*{reason}.*make downstream"):
            needs(module, folder=tmp_path)


def test_with_what_is_there_a_test_runs(tmp_path):
    assert is_installed("json", "torch", folder=tmp_path)
    needs("torch", folder=tmp_path)


def test_every_package_of_a_task_is_pinned():
    pinned = set(re.findall(r"^([a-z-]+)==", (ROOT / "tests/downstream/requirements.txt").read_text(), re.MULTILINE))
    for task in TASKS.values():
        for module in task.packages:
            assert {name for name in pinned if name.startswith(module)}, module


def test_all_checks_install_the_packages_before_the_tests_that_need_them():
    script = (ROOT / "tests/run.sh").read_text()
    (body,) = re.findall(r"^all\(\) \{\n(.*?)^\}", script, re.MULTILINE | re.DOTALL)
    checks = body.split()
    assert checks.index("downstream") < min(checks.index("unit"), checks.index("workflow"))
    assert f'pythonpath = ["{FOLDER.relative_to(ROOT)}"]' in (ROOT / "pyproject.toml").read_text()
    assert (ROOT / ".ci/run").read_text().split()[-2:] == ["make", "test"]
