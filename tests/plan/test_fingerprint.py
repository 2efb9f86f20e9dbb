import ast
import subprocess
import sys
from pathlib import Path

import pytest

from bacon.plan import fingerprint as fp
from bacon.runtime.errors import BaconError


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A small package in the place of ``bacon``, with a stage ``bacon.stage.run``."""
    root = tmp_path / "bacon"
    (root / "stage").mkdir(parents=True)
    (root / "other").mkdir()
    for folder in (root, root / "stage", root / "other"):
        (folder / "__init__.py").write_text("")
    (root / "stage" / "run.py").write_text(
        '"""Doc."""\n'
        "from typing import TYPE_CHECKING\n"
        "from bacon.stage import helper\n"
        "from bacon.stage.maths import double\n"
        "if TYPE_CHECKING:\n    from bacon.other.typed import Thing\n"
        "def run(x):\n    '''Docs.'''\n    import bacon.stage.late\n    return double(x)  # comment\n"
    )
    (root / "stage" / "maths.py").write_text("def double(x):\n    return 2 * x\n")
    (root / "stage" / "helper.py").write_text("VALUE = 1\n")
    (root / "stage" / "late.py").write_text("")
    (root / "other" / "typed.py").write_text("class Thing: pass\n")
    monkeypatch.setattr(fp, "ROOT", root)
    clear()
    yield root
    clear()


def clear():
    for cached in (fp.code_digest, fp._read):
        cached.cache_clear()


def code():
    clear()
    return fp.code_digest(("bacon.stage.run",))


@pytest.mark.usefixtures("package")
def test_closure_follows_run_time_imports_only():
    assert fp.import_closure(["bacon.stage.run"]) == {
        "bacon.stage", "bacon.stage.run", "bacon.stage.maths", "bacon.stage.helper", "bacon.stage.late",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("file", "old", "new", "changes"),
    [
        ("stage/maths.py", "2 * x", "3 * x", True),
        ("stage/late.py", "", "VALUE = 2\n", True),
        ("stage/run.py", "# comment", "# another comment", False),
        ("stage/run.py", "'''Docs.'''", "'''Other documentation.'''", False),
        ("stage/run.py", '"""Doc."""\n', '"""Doc."""\n\n\n', False),
        ("stage/run.py", "return double(x)", "return double( x )", False),
        ("other/typed.py", "pass", "x = 1", False),
    ],
)
def test_code_changes_the_fingerprint_and_comments_do_not(package, file, old, new, changes):
    before = code()
    path = package / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1) if old else new)
    assert (code() != before) is changes


def test_a_method_record_is_no_code_and_what_stands_beside_it_is(package):
    """A record reaches a cell by the values of its settings."""
    path = package / "stage" / "maths.py"
    code_alone = path.read_text()
    path.write_text(f"{code_alone}DM = Method(title='DM')\n")
    with_record = code()
    path.write_text(f"{code_alone}DM = Method(title='Another', settings={{'lr': 1}})\n")
    assert code() == with_record
    path.write_text(f"{code_alone.replace('2', '3')}DM = Method(title='DM')\n")
    assert code() != with_record
    path.write_text(f"{code_alone}DM = Other(title='DM')\n")
    assert code() != with_record


def test_a_new_import_adds_its_module(package):
    before = code()
    (package / "stage" / "maths.py").write_text("from bacon.other import typed\ndef double(x):\n    return 2 * x\n")
    assert code() != before
    assert "bacon.other.typed" in fp.import_closure(["bacon.stage.run"])


@pytest.mark.usefixtures("package")
def test_a_missing_module_is_an_error():
    with pytest.raises(BaconError, match=r"bacon\.stage\.absent"):
        fp.code_digest(("bacon.stage.absent",))


def test_canonical_json_ignores_order_and_keeps_values_apart():
    assert fp.digest({"a": 1, "b": [1.5, None]}) == fp.digest({"b": [1.5, None], "a": 1})
    assert fp.digest({"a": 1, "b": 2}) != fp.digest({"a": 2, "b": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        fp.digest({"a": float("nan")})


@pytest.mark.usefixtures("package")
def test_every_part_enters_the_fingerprint():
    def make(stage="s", settings=1, inputs=None):
        return fp.fingerprint(stage, settings=settings, modules=("bacon.stage.run",), inputs=inputs or {"data": "x"})

    variants = {make(), make(stage="t"), make(settings=2), make(inputs={"data": "y"}), make(inputs={"other": "x"})}
    assert len(variants) == 5


def test_excluded_modules_exist_and_hold_no_arithmetic():
    for module in fp.EXCLUDED - {"bacon"}:
        path = fp.module_path(module)
        assert path is not None, module
        assert "torch.nn" not in path.read_text(), f"{module} is left out of fingerprints but computes"


def test_every_stage_is_importable_and_stages_do_not_import_settings_at_run_time():
    from bacon.plan.plan import DATA_MODULES, DISTILL_MODULES, EVALUATE_MODULES

    for module in fp.import_closure((*DATA_MODULES, *DISTILL_MODULES, *EVALUATE_MODULES)):
        path = fp.module_path(module)
        imported = set(fp._walk_imports(ast.parse(path.read_text())))
        stages = {"bacon.datasets", "bacon.distillation", "bacon.evaluation", "bacon.networks"}
        if module.rpartition(".")[0] in stages:
            assert "bacon.settings.distillation" not in imported, module


def test_parsing_does_not_import_torch():
    """What the Snakefile and the commands import, cost model and look at the disk included."""
    names = (
        "operations.workflow_plan",
        "plan.cost",
        "plan.inventory",
        "operations.run_times",
        "reporting.targets",
        "cli",
        "operations.job_status",
        "operations.orphans",
        "config.reference",
    )
    modules = ", ".join(f"bacon.{name}" for name in names)
    check = f"import sys, {modules}; sys.exit('torch' in sys.modules or 'pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], cwd=Path(fp.__file__).parents[2], check=False).returncode == 0
