"""The layout of the package: rooms, and names that a reader cannot mix up. The arrows are in .importlinter (`lint-imports`)."""

import ast
from collections import defaultdict
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "bacon"

LOOSE = {"__init__.py", "_version.py", "cli.py", "py.typed"}
# Names that say what a file is in every room that has one.
CONVENTIONAL = {"__init__.py", "registry.py", "base.py", "record.py", "algorithm.py"}
# `settings/pools.py` holds the settings of a room's `pools.py`, `commands/data.py` is the command `bacon data`.
NAMED_AFTER = {"settings", "commands"}


def files():
    return sorted(path for path in PACKAGE.rglob("*.py") if "__pycache__" not in path.parts)


def room(path):
    return path.relative_to(PACKAGE).parts[0]


def twice(named):
    return {name: [str(path.relative_to(PACKAGE)) for path in paths] for name, paths in named.items() if len(paths) > 1}


def test_modules_lie_in_rooms():
    assert {path.name for path in PACKAGE.iterdir() if path.is_file()} == LOOSE


def test_package_files_are_empty():
    """They are imported with every module below them."""
    assert [
        path for path in files() if path.name == "__init__.py" and path.parent != PACKAGE and path.read_text()
    ] == []


def test_no_file_name_stands_twice():
    named = defaultdict(list)
    for path in files():
        if path.name not in CONVENTIONAL and room(path) not in NAMED_AFTER:
            named[path.name].append(path)
    assert twice(named) == {}


def test_no_two_classes_have_one_name():
    named = defaultdict(list)
    for path in files():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                named[node.name].append(path)
    assert twice(named) == {}


def test_every_room_has_its_tests_beside_it():
    """Rooms whose work is a command line are tested through it, where that room is."""
    through_others = {"commands", "jobs", "settings"}
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    tested = {path.parent.name for path in PACKAGE.parent.glob("tests/*/test_*.py")}
    assert rooms - tested - through_others == set()


def test_what_all_rules_share_stays_short():
    """Logic belongs in the package, where it is typed and tested; the rules hold what only Snakemake can say."""
    assert len((PACKAGE.parent / "workflow" / "rules" / "common.smk").read_text().splitlines()) < 200
