"""The example method of docs/add-a-method.md, as an installed package brings it."""

from __future__ import annotations

import shutil
import sys
import tomllib
from importlib import import_module
from pathlib import Path

FOLDER = Path(__file__).parent / "toy"


def record():
    """Its record, whose modules can be imported from now on."""
    if str(FOLDER) not in sys.path:
        sys.path.append(str(FOLDER))
    return import_module("standardised.record").STANDARDISED


def install(folder: Path, *, copy: bool = False) -> list[str]:
    """What goes on Python's path so that it is installed.

    Args:
        folder: gets the metadata that pip makes of its pyproject.toml.
        copy: and its modules too, for a test that edits them.
    """
    if copy:
        shutil.copytree(FOLDER / "standardised", folder / "standardised")
    project = tomllib.loads((FOLDER / "pyproject.toml").read_text())["project"]
    metadata = folder / f"{project['name']}-{project['version']}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    lines = [
        line
        for group, names in project["entry-points"].items()
        for line in (f"[{group}]", *(f"{name} = {value}" for name, value in names.items()))
    ]
    (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return [str(folder)] if copy else [str(folder), str(FOLDER)]
