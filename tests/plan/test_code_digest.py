"""What moves the digest of a stage's code, and what does not, on a small package in the place of ``bacon``."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bacon.plan import code_digest as cd
from bacon.plan import modules
from bacon.plan.module_content import read_module
from bacon.plan.plan import Plan
from bacon.plan.stage_code import DATA_MODULES, DISTILL_MODULES, EVALUATE_MODULES

ROOT = Path(__file__).parents[2]

RUN = '''"""Doc."""
import math
from typing import TYPE_CHECKING

from bacon.runtime.logs import get_logger
from bacon.training import helper
from bacon.training.maths import double, half

if TYPE_CHECKING:
    from bacon.reporting.typed import Thing

log = get_logger(__name__)


def run(x):
    """Docs."""
    import bacon.training.late

    log.info("start")
    if x < 0:
        raise ValueError(f"{x} is negative")
    assert helper.VALUE, "no value"
    return double(x)  # comment
'''


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package with a stage ``bacon.training.run``."""
    root = tmp_path / "bacon"
    files = {
        "training/run.py": RUN,
        "training/maths.py": "def double(x):\n    return 2 * x\n\n\ndef half(x):\n    return x / 2\n",
        "training/helper.py": "VALUE = 1\n",
        "training/late.py": "",
        "transforms/other.py": "def double(x):\n    return 3 * x\n",
        "reporting/typed.py": "class Thing: pass\n",
        "runtime/logs.py": "def get_logger(name):\n    return name\n",
        "runtime/draws.py": "DRAWN = 1\n",
        "networks/registry.py": "from bacon.training import late\nNETWORKS = {}\n",
    }
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        (path.parent / "__init__.py").write_text("")
    (root / "__init__.py").write_text("VERSION = 1\n")
    monkeypatch.setattr(modules, "ROOT", root)
    cd.clear_caches()
    yield root
    cd.clear_caches()


def code(module="bacon.training.run"):
    cd.clear_caches()
    return cd.code_digest((module,))


def closure(module="bacon.training.run"):
    cd.clear_caches()
    return cd.import_closure([module])


def edited(package, file, old, new):
    path = package / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1) if old else new)


@pytest.mark.usefixtures("package")
def test_closure_follows_run_time_imports_into_rooms_that_count():
    assert closure() == {
        "bacon.training", "bacon.training.run", "bacon.training.maths", "bacon.training.helper", "bacon.training.late",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("file", "old", "new", "changes"),
    [
        ("training/maths.py", "2 * x", "3 * x", True),
        ("training/maths.py", "2 * x", "2.0 * x", True),
        ("training/late.py", "", "VALUE = 2\n", True),
        ("training/helper.py", "VALUE = 1", "VALUE = True", True),
        ("training/run.py", "return double(x)", "return half(x)", True),
        ("training/run.py", "import double, half", "import half as double, double as half", True),
        ("training/run.py", "ValueError(", "KeyError(", True),
        ("training/run.py", "import math", "import cmath as math", True),
        ("training/run.py", "# comment", "# another comment", False),
        ("training/run.py", '"""Docs."""', "'''Other documentation.'''", False),
        ("training/run.py", '"""Doc."""\n', '"""Doc."""\n\n\n', False),
        ("training/run.py", "return double(x)", "return double( x )", False),
        ("training/run.py", 'log.info("start")', 'log.debug("start of %s", x)', False),
        ("training/run.py", '    log.info("start")\n', "", False),
        ("training/run.py", "    if x < 0:\n", '    log.warning("x")\n    if x < 0:\n', False),
        ("training/run.py", "is negative", "must not be negative", False),
        ("training/run.py", '"no value"', '"there is no value"', False),
        ("training/run.py", "import helper\nfrom bacon.training.maths", "import helper\n\nfrom bacon.training.maths", False),
        ("reporting/typed.py", "pass", "x = 1", False),
        ("runtime/logs.py", "return name", "return name.upper()", False),
        ("__init__.py", "1", "2", False),
    ],
)  # fmt: skip
def test_meaning_moves_the_digest_and_words_do_not(package, file, old, new, changes):
    before = code()
    edited(package, file, old, new)
    assert (code() != before) is changes


def test_a_first_log_line_changes_nothing(package):
    plain = RUN.replace("from bacon.runtime.logs import get_logger\n", "").replace("log = get_logger(__name__)\n", "")
    (package / "training/run.py").write_text(plain.replace('    log.info("start")\n', ""))
    before = code()
    (package / "training/run.py").write_text(RUN)
    assert code() == before


@pytest.mark.parametrize("target", ["transforms/maths.py", "distillation/maths.py"])
def test_a_file_that_moves_changes_nothing(package, target):
    """Whatever its new room does to the order of imports."""
    before = code()
    (package / target).parent.mkdir(exist_ok=True)
    (package / target).parent.joinpath("__init__.py").write_text("")
    shutil.move(package / "training/maths.py", package / target)
    room = target.partition("/")[0]
    text = RUN.replace("from bacon.training.maths import double, half\n", "")
    moved = f"from bacon.{room}.maths import double, half\n"
    (package / "training/run.py").write_text(text.replace("from bacon.runtime", f"{moved}from bacon.runtime"))
    assert code() == before


def test_a_stage_that_moves_changes_nothing(package):
    before = code()
    shutil.move(package / "training/run.py", package / "transforms/walk.py")
    assert code("bacon.transforms.walk") == before


def test_the_same_name_from_another_module_is_seen_though_both_are_imported_already(package):
    edited(package, "training/late.py", "", "from bacon.transforms import other\n")
    before = code()
    edited(
        package,
        "training/run.py",
        "maths import double, half",
        "maths import half\nfrom bacon.transforms.other import double",
    )
    assert closure() >= {"bacon.training.maths", "bacon.transforms.other"}
    assert code() != before


def test_a_new_import_adds_its_module(package):
    before = code()
    edited(package, "training/maths.py", "def double", "from bacon.runtime import draws\n\n\ndef double")
    assert "bacon.runtime.draws" in closure()
    with_import = code()
    assert with_import != before
    edited(package, "runtime/draws.py", "1", "2")
    assert code() != with_import


def test_registries_and_records_count_for_nothing_and_what_they_import_neither(package):
    edited(package, "training/maths.py", "def double", "from bacon.networks.registry import NETWORKS\n\n\ndef double")
    edited(package, "training/run.py", "    import bacon.training.late\n", "")
    before = code()
    edited(package, "networks/registry.py", "{}", '{"new": 1}')
    assert code() == before
    assert "bacon.training.late" not in closure()
    edited(package, "training/maths.py", "def double", "DM = Method(title='DM')\n\n\ndef double")
    with_record = code()
    assert with_record == before
    edited(package, "training/maths.py", "title='DM'", "title='Another', settings={'lr': 1}")
    assert code() == before
    edited(package, "training/maths.py", "DM = Method", "DM = Other")
    assert code() != before


def test_c_sources_that_a_module_names_count_with_what_they_include(package):
    edited(package, "training/maths.py", "def double", 'SOURCE = "kernel.c"\n\n\ndef double')
    without = code()
    source, header = package / "training/kernel.c", package / "training/types.h"
    header.write_text("typedef float real;\n")
    source.write_text('#include "types.h"\nint f(void) { return 1; } /* one */\nchar *s = "// no comment";\n')
    before = code()
    assert before != without
    source.write_text('// A comment.\n#include "types.h"\n\nint f(void) { return 1; }\nchar *s = "// no comment";\n')
    assert code() == before
    header.write_text("typedef double real;\n")
    assert code() != before
    header.write_text("typedef float real;\n")
    source.write_text(source.read_text().replace("no comment", "a text"))
    assert code() != before


def test_a_plug_in_counts_with_its_own_modules_but_for_its_record(tmp_path, monkeypatch):
    folder = tmp_path / "plugin"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "record.py").write_text("TITLE = 'a'\n")
    (folder / "loss.py").write_text("WEIGHT = 1\n")
    (folder / "algorithm.py").write_text(
        "from bacon.transforms.partition import decode\nfrom .loss import WEIGHT\nfrom .record import TITLE\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    before = code("plugin.algorithm")
    reached = closure("plugin.algorithm")
    assert reached >= {"plugin.algorithm", "plugin.loss", "bacon.transforms.partition"}
    assert "plugin.record" not in reached
    (folder / "record.py").write_text("TITLE = 'b'\n")
    assert code("plugin.algorithm") == before
    (folder / "loss.py").write_text("WEIGHT = 2\n")
    assert code("plugin.algorithm") != before


@pytest.mark.usefixtures("package")
def test_a_missing_module_is_an_error():
    with pytest.raises(ModuleNotFoundError, match=r"bacon\.training\.absent"):
        cd.code_digest(("bacon.training.absent",))


def other_pythons():
    """Interpreters of other versions at hand, from 3.11 on."""
    found = {}
    places = [*Path("~/.pyenv/versions").expanduser().glob("*/bin"), Path("/usr/bin"), Path("/usr/local/bin")]
    for place in places:
        for python in place.glob("python3.[0-9]*"):
            minor = python.name.removeprefix("python3.")
            if minor.isdigit() and int(minor) >= 11 and int(minor) != sys.version_info.minor:
                found[int(minor)] = python
    return [found[minor] for minor in sorted(found)]


STAGES = (
    *DATA_MODULES, *DISTILL_MODULES, *EVALUATE_MODULES, "bacon.reporting.figures.make_figures",
    "bacon.reporting.page.make_report", "bacon.interchange.evaluate_file",
)  # fmt: skip


@pytest.mark.parametrize("python", other_pythons(), ids=lambda python: python.name)
def test_every_python_gives_the_same_digest(python, tmp_path):
    """Of this package's stages, and of what versions parse differently."""
    (tmp_path / "syntax.py").write_text(
        "def f(a, /, b: int = 1, *c, d=None, **e) -> str:\n"
        "    match a:\n        case [1, *_] | {'k': 2}:\n            return f'{a!r:>{b}}' f'x{c=}' 'y' rf'\\d{e}'\n"
        "    return b'\\x00' + u'x' * (1j).real\n"
    )
    command = [str(python), "-m", "bacon.plan.code_digest", *STAGES, "syntax"]
    environment = {"PYTHONPATH": f"{ROOT}:{tmp_path}", "PATH": "/usr/bin:/bin"}
    theirs = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path, env=environment).stdout
    ours = subprocess.run([sys.executable, *command[1:]], capture_output=True, text=True, check=True, cwd=tmp_path,
                          env=environment).stdout  # fmt: skip
    assert theirs == ours
    assert len(ours.strip()) == 64


def test_every_c_source_of_the_package_counts_where_it_is_named():
    """A source that is named in pieces would not be seen."""
    cd.clear_caches()
    for source in ROOT.glob("bacon/**/*.c"):
        users = [path for path in source.parent.glob("*.py") if f'"{source.name}"' in path.read_text()]
        included = any(f'#include "{source.name}"' in other.read_text() for other in source.parent.glob("*.c"))
        assert users or included, f"{source.name}: no module beside it names it as a whole string"


def test_exceptions_of_the_rooms_exist():
    for module in modules.MODULES | {"bacon.datasets.registry", "bacon.methods.registry"}:
        assert modules.module_path(module) is not None, module
    for room in modules.ROOMS:
        assert (ROOT / "bacon" / room).is_dir(), room


def test_evaluating_does_not_depend_on_the_distillation():
    reached = cd.import_closure(EVALUATE_MODULES)
    assert not [module for module in reached if module.startswith(("bacon.distillation.", "bacon.methods."))]
    assert not [module for module in cd.import_closure(DISTILL_MODULES) if module.startswith("bacon.evaluation")]


def test_every_module_of_a_stage_is_read_without_an_error():
    for module in cd.import_closure((*STAGES, Plan.__module__)):
        assert len(read_module(module).content) == 64
