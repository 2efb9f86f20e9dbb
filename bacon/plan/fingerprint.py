"""Cumulative fingerprints: one hash of everything that can change an artifact's numbers.

A fingerprint covers the canonical settings of its stage, the code that the stage's modules import (without comments and
docstrings) and the fingerprints of what the artifact is made from. It is each rule's one param, an attribute of each
artifact and the key of resume state. Pure functions; no torch.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from bacon.runtime.errors import BaconError

PACKAGE = "bacon"
ROOT = Path(__file__).resolve().parents[1]

# Modules that every stage uses and that cannot change a number: what settings mean is in their values (which are hashed),
# and messages, progress and provenance are not results.
EXCLUDED = frozenset(
    {
        "bacon",
        "bacon.config.model",
        "bacon.settings.architectures",
        "bacon.settings.base",
        "bacon.settings.cell_settings",
        "bacon.settings.cells",
        "bacon.settings.data",
        "bacon.settings.distillation",
        "bacon.settings.dsa_strategy",
        "bacon.settings.evaluation",
        "bacon.settings.network",
        "bacon.settings.pools",
        "bacon.settings.run",
        # What the registry says of a data set is hashed by value (bacon.plan.plan), so that a new entry makes nothing stale.
        "bacon.datasets.registry",
        "bacon.datasets.class_names",
        "bacon.runtime.errors",
        "bacon.runtime.heartbeat",
        "bacon.runtime.logs",
        "bacon.runtime.memory",
        "bacon.runtime.progress",
        "bacon.runtime.provenance",
        "bacon.runtime.signals",
    }
)


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces; equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def digest(value: Any) -> str:
    """32 hexadecimal digits of the SHA-256 of the canonical JSON."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:32]


def fingerprint(stage: str, *, settings: Any, modules: Iterable[str], inputs: Mapping[str, str]) -> str:
    """The cumulative fingerprint of an artifact.

    Args:
        stage: name of the stage, so that equal settings of different stages differ.
        settings: JSON-able settings that the artifact's numbers depend on.
        modules: dotted modules whose import closure computes the artifact.
        inputs: name -> fingerprint of each artifact it is made from.
    """
    return digest({"stage": stage, "settings": settings, "code": code_digest(tuple(modules)), "inputs": dict(inputs)})


@lru_cache(maxsize=256)
def code_digest(modules: tuple[str, ...]) -> str:
    """Hash of the code of modules and of everything of this package they import at run time."""
    return digest({module: module_digest(module) for module in sorted(import_closure(modules))})


def import_closure(modules: Iterable[str]) -> frozenset[str]:
    """Dotted modules of this package reached from ``modules`` by imports, anywhere in a file but under TYPE_CHECKING."""
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module in found or module in EXCLUDED:
            continue
        found.add(module)
        waiting.extend(_read(module)[1])
        waiting.append(module.rpartition(".")[0] or PACKAGE)
    return frozenset(found)


def module_path(module: str) -> Path | None:
    """The file of a module of this package, or ``None`` when there is no such module."""
    base = ROOT.joinpath(*module.split(".")[1:])
    candidates = (base.with_suffix(".py"), base / "__init__.py") if module != PACKAGE else (ROOT / "__init__.py",)
    return next((path for path in candidates if path.is_file()), None)


def module_digest(module: str) -> str:
    """Hash of a module's syntax tree without docstrings and method records; comments and layout are not in the tree."""
    return _read(module)[0]


@lru_cache(maxsize=1024)
def _read(module: str) -> tuple[str, tuple[str, ...]]:
    """Digest and imports of a module, from one look at its file."""
    tree = _tree(module)
    imports = tuple(sorted(set(_walk_imports(tree))))
    tree.body = [item for item in tree.body if not _is_method_record(item)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            _drop_docstrings(node)
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest(), imports


def _tree(module: str) -> ast.Module:
    path = module_path(module)
    if path is None:
        raise BaconError(f"module {module!r}, part of a stage's code, does not exist in {ROOT}")
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def _drop_docstrings(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> None:
    """Remove bare strings: the docstring, and the texts under fields of a class."""
    node.body = [item for item in node.body if not _is_text(item)] or [ast.Pass()]


def _is_method_record(node: ast.stmt) -> bool:
    """Whether a statement is ``NAME = Method(...)``.

    A record reaches a cell by value: its settings through the layers, its selector as a module whose code is hashed. IDM, whose
    objective is in DM's module, does not depend on DM's defaults, and no cell on a method's title.
    """
    call = node.value if isinstance(node, ast.Assign) else None
    return isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Method"


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _walk_imports(node: ast.AST) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for other in child.orelse:
                yield from _walk_imports(other)
        elif isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names if _ours(alias.name))
        elif isinstance(child, ast.ImportFrom) and child.module and _ours(child.module):
            yield child.module
            names = (f"{child.module}.{alias.name}" for alias in child.names)
            yield from (name for name in names if module_path(name) is not None)
        else:
            yield from _walk_imports(child)


def _ours(module: str) -> bool:
    return module == PACKAGE or module.startswith(f"{PACKAGE}.")
