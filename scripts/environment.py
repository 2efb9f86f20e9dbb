"""Create or bring up to date the environment in ``.venv``; run by ``make env`` with the standard library alone.

``.venv/.stamp.json`` says what is installed: a hash of the pins, a hash of the project's own description, the Python
version and the folder. It is written last, so an installation that was interrupted has none and is made again. Hashes,
not times: a fresh checkout or a touched file installs nothing.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import time
import tomllib
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
STAMP = VENV / ".stamp.json"
LOG = VENV / "install.log"
LOCK = ROOT / "requirements.lock"
PINNED = ("requires-python", "dependencies", "optional-dependencies")


def main() -> int:
    """Install what is missing, say what is done; the exit status."""
    with one_at_a_time():
        wanted, found = wanted_stamp(), read_stamp()
        reason = why_create(wanted, found)
        if reason:
            create(reason)
        if reason or wanted["project"] != found.get("project"):
            install_project()
            STAMP.write_text(json.dumps(wanted, indent=1) + "\n", encoding="utf-8")
            print(f"The environment is ready: {VENV}", flush=True)
    return 0


def wanted_stamp() -> dict[str, str]:
    """What the stamp must say for the environment to be used as it is."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project: dict[str, Any] = pyproject["project"]
    pins = [LOCK.read_text(encoding="utf-8"), *(project.get(key) for key in PINNED)]
    version = (ROOT / "bacon" / "_version.py").read_text(encoding="utf-8")
    packaging = [project, pyproject["build-system"], pyproject["tool"]["setuptools"], version]
    return {"pins": digest(pins), "project": digest(packaging), "python": python_version(), "folder": str(ROOT)}


def digest(value: object) -> str:
    """SHA-256 of a JSON-able value; the order of keys does not count."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def python_version() -> str:
    """Such as ``3.11``."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def read_stamp() -> dict[str, str]:
    """The stamp of a finished installation, or an empty one."""
    try:
        stamp: dict[str, str] = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp


def why_create(wanted: dict[str, str], found: dict[str, str]) -> str | None:
    """The reason to make ``.venv`` from scratch, or ``None``."""
    if not VENV.exists():
        return "there is none"
    if not found or not (VENV / "bin" / "python").exists():
        return "its installation was not finished"
    if found.get("folder") != wanted["folder"]:
        # Scripts and the editable install hold absolute paths: a copied folder would run the original's code.
        return f"it was made for {found.get('folder')}"
    if found.get("pins") != wanted["pins"]:
        return "the pins changed"
    if os.environ.get("PYTHON") and found.get("python") != wanted["python"]:
        return f"Python {wanted['python']} is asked for, it has {found.get('python')}"
    return None


def create(reason: str) -> None:
    """Make ``.venv`` afresh and install the locked packages into it."""
    print(f"Creating .venv with Python {sys.version.split()[0]} ({sys.executable}): {reason}.", flush=True)
    STAMP.unlink(missing_ok=True)
    venv.create(VENV, clear=True, with_pip=False, symlinks=True, prompt="bacon")
    if has_ensurepip():
        install_pip()
    count = sum("==" in line for line in LOCK.read_text(encoding="utf-8").splitlines())
    print(
        f"Installing packages: {count} pins of requirements.lock, several GB, takes minutes; log in {LOG}", flush=True
    )
    # The lock is complete. Were pip to resolve dependencies itself, an extra such as `coverage[toml]` would make it look at
    # releases newer than the pinned one, and refuse them for having no hash.
    pip("install", "--no-compile", "--require-hashes", "--no-deps", "-r", str(LOCK))
    compile_packages()


def install_pip() -> None:
    """Install Python's own copy of pip into ``.venv``; its output goes into the log.

    What ``venv`` runs for it would not hold the lock: it would go on when this process is killed, and install into the folder
    that the next call empties and fills.
    """
    with LOG.open("a", encoding="utf-8") as log:
        status = run([str(VENV / "bin" / "python"), "-I", "-m", "ensurepip", "--upgrade", "--default-pip"], log)
    if status:
        print_end_of_log()
        sys.exit(f"ensurepip failed with status {status} (see above)")


def compile_packages() -> None:
    """Compile the installed packages on every core; pip would on one. What does not compile is left, as pip leaves it."""
    command = [str(VENV / "bin" / "python"), "-m", "compileall", "-qq", "-j", "0", str(VENV / "lib")]
    run(command)


def has_ensurepip() -> bool:
    """False on systems that ship it apart from Python; then the system's pip installs into the environment."""
    return importlib.util.find_spec("ensurepip") is not None


def install_project() -> None:
    """Install this project in place, with the build tools that the lock pins."""
    print("Installing bacon-distillation in place (editable).", flush=True)
    pip("install", "--no-deps", "--no-build-isolation", "-e", str(ROOT))
    pip("check")


def pip(*arguments: str) -> None:
    """Run pip on ``.venv``: its own output on a terminal, else into the log; on failure say what it said last."""
    python = str(VENV / "bin" / "python")
    command = [python, "-m", "pip"] if has_ensurepip() else [sys.executable, "-m", "pip", "--python", python]
    start = time.monotonic()
    if sys.stdout.isatty():
        status = run([*command, *arguments])
    else:
        with LOG.open("a", encoding="utf-8") as log:
            status = run([*command, *arguments], log)
    if status:
        print_end_of_log()
        sys.exit(f"pip failed with status {status} (see above): {' '.join(arguments)}")
    print(f"  done in {time.monotonic() - start:.0f} s", flush=True)


def print_end_of_log() -> None:
    """The last lines of the log on standard error, if there is one."""
    if LOG.exists():
        print("\n".join(LOG.read_text(encoding="utf-8").splitlines()[-20:]), file=sys.stderr)


def run(command: list[str], log: IO[str] | None = None) -> int:
    """The exit status of ``command``, which inherits the lock of :func:`one_at_a_time` and may write to ``log``."""
    return subprocess.run(command, check=False, close_fds=False, stdout=log, stderr=log).returncode


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Hold an operating-system lock, so that two calls of make do not build the same environment.

    What this process runs meanwhile holds it too: pip goes on when only this process is killed.
    """
    # A file of its own: `.venv` itself is emptied, and some network file systems lock only what is open for writing.
    with (ROOT / ".venv.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Waiting for another call that prepares .venv ...", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        os.set_inheritable(file.fileno(), True)
        yield


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("Interrupted; the next call starts again.")
