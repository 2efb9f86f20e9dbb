"""Which modules' code is part of fingerprints, and where modules lie. Standard library only.

An allow-list of rooms: a new room, or a new module in ``runtime``, is not part of a fingerprint before it is named
here.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

PACKAGE = "bacon"
ROOT = Path(__file__).resolve().parents[1]

ROOMS = frozenset(
    {
        "datasets", "networks", "transforms", "artifacts", "training", "distillation", "methods", "evaluation", "reporting",
        "interchange", "downstream",
    }
)  # fmt: skip
"""Rooms whose code can change a number or what is shown. Settings count by their values, which a fingerprint holds."""
MODULES = frozenset({f"{PACKAGE}.runtime.draws", f"{PACKAGE}.runtime.devices"})
"""Modules of other rooms that can: random draws, and the arithmetic that a process is set to."""
REGISTRIES = frozenset(
    {
        f"{PACKAGE}.datasets.registry", f"{PACKAGE}.datasets.class_names", f"{PACKAGE}.methods.registry",
        f"{PACKAGE}.networks.registry", f"{PACKAGE}.downstream.registry",
    }
)  # fmt: skip
"""Lists whose entries reach a fingerprint by value or by the module that they name: a new entry makes nothing stale."""
RECORD = "record"
"""Last name of the module with a method's record, which counts by value like a registry's entry."""


def counts(module: str, packages: frozenset[str] = frozenset({PACKAGE})) -> bool:
    """Whether a module's code is part of a fingerprint: in this package by its room, in a plug-in's always but for records."""
    package, _, rest = module.partition(".")
    if package not in packages or module in REGISTRIES or module.rpartition(".")[2] == RECORD:
        return False
    return package != PACKAGE or rest.partition(".")[0] in ROOMS or module in MODULES


def module_path(module: str) -> Path | None:
    """The file of a module, or ``None`` when there is no such module; nothing of this package is imported to find it."""
    package, *names = module.split(".")
    if package == PACKAGE:
        return _file_below(ROOT.joinpath(*names))
    for entry in sys.path:
        if found := _file_below(Path(entry or ".").joinpath(package, *names)):
            return found.resolve()
    # A package that an import hook provides, as an editable installation may.
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        return None
    return Path(spec.origin) if spec is not None and spec.has_location and spec.origin else None


def _file_below(base: Path) -> Path | None:
    return next((path for path in (base.with_name(f"{base.name}.py"), base / "__init__.py") if path.is_file()), None)
