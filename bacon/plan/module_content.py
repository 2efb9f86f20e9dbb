"""What one module does, as a hash: its syntax tree without what cannot change a number, and the C sources that it names.

Left out are comments, docstrings, log lines, the texts of errors, where modules lie, and what only some versions of Python put
into a tree. Standard library only; equal on every Python.
"""

from __future__ import annotations

import ast
import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from bacon.plan.modules import PACKAGE, counts, module_path

_LOG_METHODS = frozenset({"debug", "info", "warning", "error", "exception", "critical", "log"})
_LOGGER = "log"
_SOURCE = re.compile(r"[\w./-]+\.(?:c|h|cu|cuh)")
# Most nodes are these, in which there is nothing to change.
_LEAVES = (ast.Name, ast.Constant, ast.expr_context, ast.operator, ast.cmpop, ast.boolop, ast.unaryop)
# What stands in a file that names one, quick to look for.
_MAY_NAME_SOURCE = re.compile(r"""\.(?:c|h|cu|cuh)["'{]""")
_C_TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|//[^\n]*|/\*.*?\*/', re.DOTALL)
_C_INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)
# Fields that say nothing of what code does, or that only some versions of Python have.
_SILENT_FIELDS = frozenset({"ctx", "type_comment", "kind"})
_FIELDS = {
    kind: tuple(sorted(set(kind._fields) - _SILENT_FIELDS))
    for kind in vars(ast).values()
    if isinstance(kind, type) and issubclass(kind, ast.AST)
}


@dataclass(frozen=True)
class ModuleContent:
    """What one look at a module's file gives.

    Attributes:
        content: hash of the module's code and of the C sources it names, without imports of this package or its own.
        names: what those imports bind, of modules that count: scope and name in the module and in the other, and that module.
        imported: the modules that they name and their packages, whether their code counts or not.
    """

    content: str
    names: tuple[tuple[str, str], ...]
    imported: frozenset[str]


@lru_cache(maxsize=4096)
def read_module(module: str) -> ModuleContent:
    """Read one module; raises ``ModuleNotFoundError`` when there is none of that name."""
    path = module_path(module)
    if path is None:
        raise ModuleNotFoundError(f"module {module!r}, part of a stage's code, does not exist", name=module)
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text, filename=str(path))
    sources = _c_sources(path, tree) if _MAY_NAME_SOURCE.search(text) else ""
    reduced = _Reduced(module, path)
    content = sha256(f"{dump(reduced.visit(tree))}\n{sources}")
    return ModuleContent(content, tuple(reduced.names), frozenset(reduced.imported))


class _Reduced(ast.NodeTransformer):
    """A syntax tree without what cannot change a number, and without imports of this package or the module's own.

    Args:
        module: the module's dotted name.
        path: its file.
    """

    def __init__(self, module: str, path: Path) -> None:
        self.module, self.is_package = module, path.name == "__init__.py"
        self.packages = frozenset({PACKAGE, module.partition(".")[0]})
        self.names: list[tuple[str, str]] = []
        self.imported: set[str] = set()
        self._scope: list[str] = []

    def visit(self, node: ast.AST) -> Any:
        """Visit a node, and leave out of its bodies what says nothing."""
        if isinstance(node, _LEAVES):
            return node
        depth = len(self._scope)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            self._scope.append(node.name)
        found = super().visit(node)
        del self._scope[depth:]
        for name in ("body", "orelse", "finalbody"):
            statements = getattr(found, name, None)
            if isinstance(statements, list):
                kept = [item for item in statements if not _says_nothing(item)]
                setattr(found, name, kept or ([ast.Pass()] if name == "body" else []))
        return found

    def visit_If(self, node: ast.If) -> Any:
        if _is_type_checking(node):
            # With a test of its own, so that the statements under `else` are visited where they stand.
            other = ast.If(test=ast.Constant(value=True), body=node.orelse, orelse=[])
            return self.generic_visit(other) if node.orelse else None
        return self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> Any:
        return self._import(node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> Any:
        return self._import(node)

    def visit_Raise(self, node: ast.Raise) -> Any:
        """An error's kind and values count, its text does not."""
        if isinstance(node.exc, ast.Call):
            node.exc.args = [ast.Constant(value="") if _is_text(value) else value for value in node.exc.args]
        return self.generic_visit(node)

    def visit_Assert(self, node: ast.Assert) -> Any:
        node.msg = None
        return self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> Any:
        """Python versions differ in how they split the constant parts, and in whether an empty one is there."""
        self.generic_visit(node)
        values: list[ast.expr] = []
        for value in node.values:
            last = values[-1] if values else None
            if isinstance(value, ast.Constant) and isinstance(last, ast.Constant):
                values[-1] = ast.Constant(value=str(last.value) + str(value.value))
            elif not isinstance(value, ast.Constant) or value.value:
                values.append(value)
        node.values = values
        return node

    def visit_FormattedValue(self, node: ast.FormattedValue) -> Any:
        self.generic_visit(node)
        if isinstance(node.format_spec, ast.JoinedStr) and not node.format_spec.values:
            node.format_spec = None
        return node

    def _import(self, node: ast.Import | ast.ImportFrom) -> Any:
        """Leave other packages' imports; note what ours bind, wherever among the imports they stand."""
        base = self._base(node) if isinstance(node, ast.ImportFrom) else None
        others = []
        for alias in node.names:
            inner = alias.name if base is None else f"{base}.{alias.name}"
            is_module = base is None or (self._ours(inner) and module_path(inner) is not None)
            target = inner if is_module else str(base)
            if not self._ours(target):
                others.append(alias)
                continue
            self.imported.update({target, base or target})
            if counts(target, self.packages):
                bound = [".".join(self._scope), alias.asname or alias.name, "" if is_module else alias.name]
                self.names.append((" ".join(bound), target))
        node.names = others
        return node if others else None

    def _ours(self, module: str) -> bool:
        return module.partition(".")[0] in self.packages

    def _base(self, node: ast.ImportFrom) -> str:
        """The module that a ``from`` import names; a relative one starts from the importing module's package."""
        if not node.level:
            return node.module or ""
        parts = self.module.split(".")
        keep = len(parts) - node.level + self.is_package
        return ".".join([*parts[:keep], *([node.module] if node.module else [])])


def _is_type_checking(node: ast.AST) -> bool:
    test = node.test if isinstance(node, ast.If) else None
    return "TYPE_CHECKING" in (getattr(test, "id", ""), getattr(test, "attr", ""))


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _says_nothing(node: ast.stmt) -> bool:
    """Whether a statement is a docstring or another bare string, a log line, the logger itself, or a method's record."""
    if isinstance(node, ast.Expr):
        return _is_text(node.value) or _is_log_call(node.value)
    if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Call):
        return False
    function = node.value.func
    name = function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
    target = node.targets[0]
    return name == "Method" or (name in ("get_logger", "getLogger") and getattr(target, "id", "") == _LOGGER)


def _is_log_call(node: ast.expr) -> bool:
    function = node.func if isinstance(node, ast.Call) else None
    return (
        isinstance(function, ast.Attribute)
        and function.attr in _LOG_METHODS
        and isinstance(function.value, ast.Name)
        and function.value.id == _LOGGER
    )


def dump(node: Any) -> str:
    """A syntax tree as text, equal on every Python: without empty fields and those that only some versions have."""
    if isinstance(node, ast.AST):
        kind = type(node)
        values = [(name, getattr(node, name, None)) for name in _FIELDS[kind]]
        fields = [f"{name}={dump(value)}" for name, value in values if value is not None and value != []]
        return f"{kind.__name__}({','.join(fields)})"
    if isinstance(node, list):
        return f"[{','.join(map(dump, node))}]"
    return f"{type(node).__name__}:{node!r}"


def _c_sources(path: Path, tree: ast.Module) -> str:
    """C sources beside a module that it names as a whole string, and what they include: their content without comments."""
    named = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _SOURCE.fullmatch(node.value)
    }
    waiting, texts = [path.parent / name for name in named], dict[Path, str]()
    while waiting:
        file = waiting.pop()
        if file not in texts and file.is_file():
            texts[file] = _without_comments(file.read_text(encoding="utf-8"))
            waiting.extend(file.parent / name for name in _C_INCLUDE.findall(texts[file]))
    return "\n".join(sorted(texts.values()))


def _without_comments(text: str) -> str:
    """C source without comments, blank lines and spaces at the end of a line."""
    code = _C_TOKEN.sub(lambda found: " " if found[0].startswith("/") else found[0], text)
    return "\n".join(line.rstrip() for line in code.splitlines() if line.strip())


def sha256(text: str) -> str:
    """64 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()
