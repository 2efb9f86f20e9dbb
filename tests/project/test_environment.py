"""pyproject.toml, requirements.lock and environment.yml describe one and the same environment."""

from __future__ import annotations

import fcntl
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.waiting import wait_for

ROOT = Path(__file__).parents[2]
CONDA_NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base", "snakemake": "snakemake-minimal"}
CONDA_ONLY = {"python", "pip"}
PYTHONS = ("3.11", "3.12", "3.13", "3.14")


def direct_requirements() -> dict[str, Requirement]:
    """Direct dependencies of all groups in pyproject.toml, by canonical name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *(line for group in project["optional-dependencies"].values() for line in group)]
    return {canonicalize_name(requirement.name): requirement for requirement in map(Requirement, lines)}


def lock_entries(text: str) -> list[SimpleNamespace]:
    """Entries of the lock: the requirement and its hashes."""
    entries = []
    for entry in text.replace("\\\n", " ").splitlines():
        if entry.strip() and not entry.startswith("#"):
            head, *hashes = entry.split("--hash=")
            entries.append(SimpleNamespace(requirement=Requirement(head.strip()), hashes=[h.strip() for h in hashes]))
    return entries


def pinned(entries: list[SimpleNamespace], python: str) -> dict[str, str]:
    """Name -> version of the entries that apply to Linux with this Python."""
    environment = default_environment() | {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": "x86_64",
    }
    return {
        canonicalize_name(entry.requirement.name): version_of(entry.requirement)
        for entry in entries
        if entry.requirement.marker is None or entry.requirement.marker.evaluate(environment)
    }


def version_of(requirement: Requirement) -> str:
    (specifier,) = requirement.specifier
    assert specifier.operator == "==", requirement
    return str(specifier.version)


@pytest.fixture(scope="module")
def lock() -> list[SimpleNamespace]:
    return lock_entries((ROOT / "requirements.lock").read_text())


def test_the_readme_names_the_cuda_of_the_lock(lock):
    said = re.search(r"built for CUDA (\d+)", (ROOT / "README.md").read_text())[1]
    assert pinned(lock, PYTHONS[0])["cuda-toolkit"].split(".")[0] == said


@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_satisfies_every_range_of_pyproject(lock, python):
    versions = pinned(lock, python)
    for name, requirement in direct_requirements().items():
        assert name in versions, f"{name} is in pyproject.toml but not in requirements.lock: run `make lock`"
        assert requirement.specifier.contains(versions[name]), f"{name} {versions[name]} is outside {requirement}"


def test_every_lock_entry_has_sha256_hashes_and_one_exact_version(lock):
    assert len(lock) > len(direct_requirements())
    for entry in lock:
        assert entry.hashes, f"{entry.requirement} has no hash"
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", value) for value in entry.hashes), entry.requirement
        assert version_of(entry.requirement)


@pytest.mark.parametrize("python", PYTHONS)
def test_make_oldest_takes_the_oldest_pytorch_that_pyproject_allows(lock, python):
    oldest, required = lock_entries((ROOT / "tests" / "oldest" / "requirements.txt").read_text()), direct_requirements()
    assert all(entry.hashes for entry in oldest)
    versions = pinned(oldest, python)
    assert versions.keys() <= pinned(lock, python).keys(), "they take the place of the lock's"
    for name in ("torch", "torchvision"):
        (bound,) = required[name].specifier
        assert (bound.operator, f"{bound.version}.0") == (">=", versions[name])
    assert required["setuptools"].specifier.contains(versions["setuptools"])


@pytest.mark.parametrize(
    "name", ["requirements.lock", "environment.yml", "tests/oldest/requirements.txt", "resources/lock-constraints.txt"]
)
def test_no_address_of_a_registry_is_committed(name):
    text = (ROOT / name).read_text()
    assert not re.search(r"https?:|file:|index-url|find-links| @ ", text)


def test_the_lock_obeys_its_constraints(lock):
    constraints = [
        Requirement(line)
        for line in (ROOT / "resources" / "lock-constraints.txt").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert {constraint.name for constraint in constraints} == {"torch", "torchvision"}
    versions = pinned(lock, PYTHONS[0])
    for constraint in constraints:
        assert constraint.specifier.contains(versions[constraint.name]), constraint


def test_environment_yml_holds_the_same_packages_at_the_same_versions(lock):
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert environment["channels"] == ["conda-forge", "bioconda", "nodefaults"]
    assert all(isinstance(entry, str) for entry in environment["dependencies"]), "a pip section must be compared too"
    found = dict(entry.partition("=")[::2] for entry in environment["dependencies"])

    python = found["python"]
    assert python == PYTHONS[0]
    versions = pinned(lock, python)
    wanted = {CONDA_NAMES.get(name, name): versions[name] for name in direct_requirements()}
    assert {name: version for name, version in found.items() if name not in CONDA_ONLY} == wanted


def test_the_installed_environment_is_the_locked_one(lock):
    from importlib.metadata import version

    versions = pinned(lock, f"{sys.version_info.major}.{sys.version_info.minor}")
    differing = {name: version(name) for name in direct_requirements() if version(name) != versions[name]}
    assert not differing, f"installed versions differ from requirements.lock: {differing}; run `make env`"


class TestEnvironmentScript:
    """``scripts/environment.py`` decides by content, never by time."""

    @pytest.fixture
    def script(self, tmp_path, monkeypatch):
        """The script, working on a small project in a temporary folder, its installation replaced by a record."""
        import importlib.util

        spec = importlib.util.spec_from_file_location("environment_script", ROOT / "scripts" / "environment.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        (tmp_path / "bacon").mkdir()
        (tmp_path / "bacon" / "_version.py").write_text('__version__ = "1"\n')
        (tmp_path / "requirements.lock").write_text("numpy==2.0 --hash=sha256:00\n")
        (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
        for name, value in {
            "ROOT": tmp_path,
            "VENV": tmp_path / ".venv",
            "STAMP": tmp_path / ".venv" / ".stamp.json",
            "LOG": tmp_path / ".venv" / "install.log",
            "LOCK": tmp_path / "requirements.lock",
        }.items():
            monkeypatch.setattr(module, name, value)
        monkeypatch.delenv("PYTHON", raising=False)
        module.calls = []

        def make_python(folder, *, clear, with_pip, **_options):
            assert clear
            assert not with_pip, "it would be installed without the lock"
            (folder / "bin").mkdir(parents=True, exist_ok=True)
            (folder / "bin" / "python").write_text("")

        monkeypatch.setattr(module.venv, "create", make_python)
        monkeypatch.setattr(module, "pip", lambda *arguments: module.calls.append(arguments))
        for name in ("install_pip", "compile_packages"):
            monkeypatch.setattr(module, name, lambda: None)
        module.main()
        module.calls.clear()
        return module

    @staticmethod
    def run(script) -> list[str]:
        """What one more call installs: ``lock``, ``project``."""
        script.calls.clear()
        script.main()
        installs = [call for call in script.calls if call[0] == "install"]
        # The lock is complete, and pip must not look for more; what is installed is held against what packages ask for.
        assert all("--no-deps" in call for call in installs)
        assert script.calls[len(installs) :] == [("check",)] * bool(installs)
        return ["lock" if "--require-hashes" in call else "project" for call in installs]

    def test_a_second_call_installs_nothing(self, script):
        assert self.run(script) == []

    def test_touching_files_installs_nothing(self, script):
        for path in (script.LOCK, script.ROOT / "pyproject.toml"):
            path.write_bytes(path.read_bytes())
        assert self.run(script) == []

    def test_another_pin_makes_the_environment_again(self, script):
        script.LOCK.write_text("numpy==2.1 --hash=sha256:00\n")
        assert self.run(script) == ["lock", "project"]
        assert self.run(script) == []

    def test_another_dependency_makes_the_environment_again(self, script):
        pyproject = script.ROOT / "pyproject.toml"
        text = pyproject.read_text()
        assert "pandas>=2.2" in text
        pyproject.write_text(text.replace("pandas>=2.2", "pandas>=2.3"))
        assert self.run(script) == ["lock", "project"]

    def test_a_comment_or_a_tool_setting_installs_nothing(self, script):
        pyproject = script.ROOT / "pyproject.toml"
        pyproject.write_text("# a comment\n" + pyproject.read_text().replace("line-length = 120", "line-length = 100"))
        assert self.run(script) == []

    def test_another_version_installs_only_the_project(self, script):
        (script.ROOT / "bacon" / "_version.py").write_text('__version__ = "2"\n')
        assert self.run(script) == ["project"]
        assert self.run(script) == []

    def test_an_interrupted_installation_is_made_again(self, script, monkeypatch):
        script.LOCK.write_text("numpy==2.1 --hash=sha256:00\n")

        def interrupted(*_arguments):
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(script, "pip", interrupted)
            with pytest.raises(KeyboardInterrupt):
                script.main()
        script.LOCK.write_text("numpy==2.0 --hash=sha256:00\n")  # even when the pins are changed back
        assert self.run(script) == ["lock", "project"]

    def test_a_copied_folder_makes_its_own(self, script):
        stamp = script.STAMP.read_text()
        script.STAMP.write_text(stamp.replace(str(script.ROOT), "/elsewhere"))
        assert self.run(script) == ["lock", "project"]

    def test_only_an_explicit_python_replaces_the_one_in_use(self, script, monkeypatch):
        monkeypatch.setattr(script, "python_version", lambda: "3.99")
        assert self.run(script) == []
        monkeypatch.setenv("PYTHON", "python3.99")
        assert self.run(script) == ["lock", "project"]


@pytest.mark.parametrize("call", ["install_pip()", "pip('install')", "compile_packages()"])
def test_what_a_killed_call_leaves_running_holds_its_lock(tmp_path, call):
    """Or the next call would install into the same folder at the same time."""
    begun, end, lock = (tmp_path / name for name in ("begun", "end", ".venv.lock"))
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\ntouch '{begun}'\nwhile [ ! -e '{end}' ]; do sleep 0.05; done\n")
    python.chmod(0o755)
    code = f"""
import importlib.util
from pathlib import Path
spec = importlib.util.spec_from_file_location("script", {str(ROOT / "scripts" / "environment.py")!r})
script = importlib.util.module_from_spec(spec)
spec.loader.exec_module(script)
script.ROOT = Path({str(tmp_path)!r})
script.VENV, script.LOG = script.ROOT / ".venv", script.ROOT / "log"
script.has_ensurepip = lambda: True
with script.one_at_a_time():
    script.{call}
"""

    def is_free():
        with lock.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL)
    try:
        wait_for(begun.exists)
        process.kill()
        process.wait()
        assert not is_free()
    finally:
        end.touch()
    wait_for(is_free)


def test_a_pip_that_cannot_be_installed_ends_the_call_with_what_it_said(tmp_path):
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text('#!/bin/sh\necho "no room: $*"\nexit 3\n')
    python.chmod(0o755)
    code = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(ROOT / "scripts")!r})
import environment
environment.VENV, environment.LOG = Path({str(tmp_path)!r}), Path({str(tmp_path / "log")!r})
environment.install_pip()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "no room: -I -m ensurepip" in done.stderr
    assert "ensurepip failed with status 3" in done.stderr


def find_python(tmp_path: Path, *, python: str = "", **programs: str) -> subprocess.CompletedProcess[str]:
    """Run ``scripts/find-python.sh`` with only the given programs as interpreters on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, script in programs.items():
        program = folder / name.replace("_", ".")
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    for tool in ("bash", "grep", "env"):
        (folder / tool).symlink_to(subprocess.check_output(["which", tool], text=True).strip())
    return subprocess.run(
        ["bash", ROOT / "scripts" / "find-python.sh"],
        env={"PATH": str(folder), "PYTHON": python},
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_interpreter_that_does_not_run_is_passed_over(tmp_path):
    done = find_python(tmp_path, python3_11="echo 'not installed' >&2; exit 127", python3=f'exec {sys.executable} "$@"')
    assert (done.returncode, done.stdout.strip()) == (0, sys._base_executable)


def test_no_usable_interpreter_is_an_error_that_says_what_was_tried(tmp_path):
    done = find_python(tmp_path, python3_11="echo 'shim: not installed' >&2; exit 127")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Python 3.11 or newer" in done.stderr
    assert "python3.11: shim: not installed" in done.stderr
    assert "python3.12: not found" in done.stderr


def test_a_named_interpreter_is_the_only_one_tried(tmp_path):
    done = find_python(tmp_path, python="python9", python3_11=f'exec {sys.executable} "$@"')
    assert done.returncode == 1
    assert "python9: not found" in done.stderr
    assert "python3.11:" not in done.stderr
