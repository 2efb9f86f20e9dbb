"""What stands before the commands of the rules."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from snakemake.utils import format as snakemake_format

from bacon.operations.workflow_plan import shell_prefix
from bacon.runtime.provenance import provenance

CHECKOUT = Path(__file__).parents[2]
NOT_INSTALLED = '"$PYTHON" -S -c "import bacon.runtime.errors"'
"""Without the packages of its environment, as an interpreter of Snakemake's own making is without this one."""


def run(prefix, command, folder):
    environment = {"PYTHONDONTWRITEBYTECODE": "1"}
    whole = snakemake_format(prefix) + command
    return subprocess.run(["bash", "-c", whole], cwd=folder, env=environment, capture_output=True, text=True)


def test_values_stay_as_they_are(tmp_path):
    found = run(shell_prefix({"A": "it's {odd} $HOME", "B": tmp_path}), 'echo "$A|$B|$PYTHONPATH"', tmp_path)
    assert found.stdout == f"it's {{odd}} $HOME|{tmp_path}|\n"


def test_an_environment_of_its_own_finds_this_package_and_those_that_the_user_names(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/users")
    names = {"PYTHON": sys.executable}
    assert run(shell_prefix(names), NOT_INSTALLED, tmp_path).returncode, "it is not found otherwise"
    found = run(shell_prefix(names, checkout=CHECKOUT), f'{NOT_INSTALLED} && echo "$PYTHONPATH"', tmp_path)
    assert found.stdout == f"{CHECKOUT}:/users\n"


def test_artifacts_name_the_version_of_this_package_where_it_is_not_installed(monkeypatch):
    known = provenance("CPU", deterministic=True)["packages"]
    assert known["bacon-distillation"] == version("bacon-distillation")
    real = version
    monkeypatch.setattr("bacon.runtime.provenance.version", lambda name: real(name) if "bacon" not in name else 1 / 0)
    assert provenance("CPU", deterministic=True)["packages"] == known
