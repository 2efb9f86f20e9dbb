"""What a stage's code is, as a hash that only a change of meaning moves: of the modules that it imports at run time.

An import counts by the content of the module that it names: a name taken from elsewhere is seen, a module's move is not.
Standard library only, and equal on every Python: ``python -m bacon.plan.code_digest MODULE...`` prints it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import lru_cache

from bacon.plan.module_content import read_module, sha256
from bacon.plan.modules import PACKAGE, counts


def code_digest(modules: Iterable[str]) -> str:
    """Hash of the code of modules and of everything that they import at run time; 64 hexadecimal digits.

    Args:
        modules: dotted names; modules outside this package count with those of their own package that they import.

    Raises:
        ModuleNotFoundError: a module does not exist.
    """
    return _code_digest(tuple(sorted(set(modules))))


@lru_cache(maxsize=1024)
def _code_digest(modules: tuple[str, ...]) -> str:
    digests = {module_digest(module) for module in import_closure(modules)}
    return sha256("\n".join(sorted(digests)))


def import_closure(modules: Iterable[str]) -> frozenset[str]:
    """Dotted modules reached from ``modules`` by imports, anywhere in a file but under TYPE_CHECKING; packages included."""
    waiting = list(modules)
    packages = frozenset(module.partition(".")[0] for module in waiting) | {PACKAGE}
    found: set[str] = set()
    while waiting:
        module = waiting.pop()
        if module in found or not counts(module, packages):
            continue
        found.add(module)
        waiting.extend(read_module(module).imported)
        if package := module.rpartition(".")[0]:
            waiting.append(package)
    return frozenset(found)


def module_digest(module: str) -> str:
    """Hash of what a module does: its own content, and that of the modules that its imports name."""
    read = read_module(module)
    bound = sorted(f"{names} {read_module(target).content}" for names, target in read.names)
    return sha256("\n".join([read.content, *bound]))


def clear_caches() -> None:
    """Forget what was read, for a caller that edits modules."""
    for cached in (_code_digest, read_module):
        cached.cache_clear()


if __name__ == "__main__":  # for the tests, which ask other versions of Python
    print(code_digest(sys.argv[1:]))
