"""The documentation is true where a machine can tell: its example runs, its links and paths lead somewhere."""

from __future__ import annotations

import ast
import pkgutil
import re
import shlex
import subprocess
import tokenize
from pathlib import Path

import click
import pytest
import yaml

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "CONTRIBUTING.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")))


def test_the_registry_line_of_the_example_applies_to_the_registry():
    """The lines that the page shows around the new one are those of the registry."""
    page = (ROOT / "docs" / "add-a-method.md").read_text()
    registry = (ROOT / "bacon" / "methods" / "registry.py").read_text()
    diff = re.search(r"```diff\n(.*?)```", page, re.DOTALL).group(1)
    kept = "".join(f"{line[1:]}\n" for line in diff.splitlines() if line.startswith(" "))
    assert kept in registry
    assert len([line for line in diff.splitlines() if line.startswith("+")]) == 2


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_and_headings(page):
    path = ROOT / page
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        if target.startswith(("http:", "https:", "mailto:")):
            continue
        name, _, heading = target.partition("#")
        linked = path.parent / name if name else path
        assert linked.exists(), f"{page} links to {target}, which is not there"
        if heading:
            headings = re.findall(r"^#+ (.+)$", linked.read_text(), re.MULTILINE)
            assert heading in {slug(text) for text in headings}, f"{page} links to {target}: no such heading"


def slug(heading: str) -> str:
    """The anchor of a heading, as repositories' web pages make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES)
def test_named_files_exist(page):
    """Paths in backquotes into the source tree are real, but for what the workflow makes."""
    to_write = {"resources/downloads"}
    pattern = r"`((?:bacon|workflow|config|docs|tests|resources|scripts|benchmarks)/[\w./-]+)`"
    for name in set(re.findall(pattern, (ROOT / page).read_text())) - to_write:
        assert (ROOT / name).exists(), f"{page} names {name}, which is not there"


@pytest.mark.parametrize("page", [*PAGES, "config/README.md", "resources/README.md"])
def test_named_modules_and_what_is_in_them_exist(page):
    """Dotted names in backquotes, but for the worked example's module and the metadata file of an export."""
    others = {"bacon.methods.standardised", "bacon.json"}
    for name in set(re.findall(r"`(bacon(?:\.\w+)+)", (ROOT / page).read_text())) - others:
        pkgutil.resolve_name(name)


def test_documented_settings_exist():
    """Every setting that docs/algorithms.md puts beside a published flag is a key of the models."""
    from bacon.config.model import GridSettings
    from bacon.methods.idm.record import IDMSettings
    from bacon.settings.evaluation import EvaluationSettings
    from bacon.settings.pools import WeightedQueue

    models = {
        "grid": GridSettings,
        "evaluation": EvaluationSettings,
        "distillation": IDMSettings,
        "distillation.networks": WeightedQueue,
    }
    text = (ROOT / "docs" / "algorithms.md").read_text()
    names = re.findall(r"`((?:grid|evaluation|distillation)\.[\w.]+)(?::[^`]*)?`", text)
    assert len(names) > 20
    for name in names:
        section, _, key = name.rpartition(".")
        assert key in models[section].model_fields, f"docs/algorithms.md names {name}, which is no setting"


def commands(program: str) -> list[str]:
    """Command lines that the documentation gives for a program: at the start of a line of code, or in backquotes."""
    found = []
    configurations = sorted(f"config/{path.name}" for path in (ROOT / "config").glob("*.yaml"))
    for page in (*PAGES, "config/README.md", *configurations):
        text = (ROOT / page).read_text()
        found += re.findall(rf"^(?:# +)?({program} [^#\n]+)", text, re.MULTILINE)
        found += re.findall(rf"`({program} [^`\n]+)`", text)
    return [command.strip() for command in found]


def test_documented_snakemake_commands_are_understood():
    """Snakemake's own parser takes them; `--resources gpu=2 all`, for example, would make `all` a resource."""
    from snakemake.cli import parse_args

    found = commands("snakemake")
    assert len(found) > 5
    for command in found:
        parse_args(shlex.split(command)[1:])


def test_documented_bacon_commands_exist():
    from bacon.cli import main

    found = commands("bacon")
    assert len(found) > 2
    for command in found:
        words = shlex.split(command)
        assert words[1] in main.commands, command
        known = {name for option in main.commands[words[1]].params for name in option.opts}
        assert {word for word in words if word.startswith("--")} <= known, command


def test_the_evaluation_of_a_published_file_has_the_options_that_its_help_requires():
    """The README's file has classes as labels: `--labels` is not among them."""
    from bacon.commands.evaluate import evaluate_command

    (words,) = [shlex.split(command) for command in commands("bacon evaluate") if "res_DM" in command]
    options = [option for option in evaluate_command.params if isinstance(option, click.Option)]
    required = {option.opts[0] for option in options if "required for files not written" in (option.help or "")}
    assert required == {"--pixels", "--partition"}
    assert required <= {*words}


def test_documented_make_targets_exist():
    found = {target for command in commands("make") for target in re.findall(r"^make ([a-z]+)", command)}
    assert {"demo", "test"} <= found
    for target in found:
        done = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def examples() -> list[tuple[str, str]]:
    """(Page, text) of every configuration that a page shows; a list is a part of something else, such as a CI's steps."""
    found = [
        (page, text)
        for page in PAGES
        for text in re.findall(r"```yaml\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    ]
    return [(page, text) for page, text in found if isinstance(yaml.safe_load(text), dict)]


@pytest.mark.parametrize(("page", "text"), examples())
def test_every_configuration_on_a_page_is_one(page, text):
    from bacon.config.loading import check_config

    values = yaml.safe_load(text)
    if page == "docs/add-a-method.md":  # its method is none of ours
        values["grid"]["methods"].remove("standardised")
        del values["methods"]["standardised"]
    check_config(values)


@pytest.mark.parametrize("page", PAGES)
def test_headings_stand_apart(page):
    """After an empty line: some readers take a heading right below a table for a row of it."""
    text = re.sub(r"```.*?```", "", (ROOT / page).read_text(), flags=re.DOTALL)
    assert re.findall(r"[^\n]\n(#+ .+)", text) == []


def test_no_place_is_left_to_fill():
    for page in PAGES:
        assert "FILL" not in (ROOT / page).read_text(), f"{page}: measured values are missing"


MEASURED = re.compile(r"\d\s?(?:ms|us|µs|ns|seconds|minutes)\b|\d\.\d+ s\b")
EXAMPLES = re.compile(r"``[^`]*``")


def docstrings_and_comments(path: Path) -> str:
    """The prose of a source file: comments, and strings that are statements of their own."""
    text = path.read_text(encoding="utf-8")
    with tokenize.open(path) as file:
        comments = [token.string for token in tokenize.generate_tokens(file.readline) if token.type == tokenize.COMMENT]
    expressions = (node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Expr))
    strings = [node.value for node in expressions if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return EXAMPLES.sub("", "\n".join([*comments, *strings]))


def test_the_search_for_measured_times_finds_them(tmp_path):
    source = tmp_path / "module.py"
    source.write_text('"""A batch takes 1.4 ms, printed as ``8.4 s``."""\n\nx = "12 seconds"  # not 3.2 s\n')
    assert MEASURED.findall(docstrings_and_comments(source)) == ["3.2 s", "4 ms"]


@pytest.mark.parametrize("path", sorted((ROOT / "bacon").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_measured_times_in_docstrings(path):
    """They age; docs/speed.md keeps them with the command that measures them again."""
    found = MEASURED.search(docstrings_and_comments(path))
    assert found is None, f"{path}: {found[0]!r}: a measured time belongs into docs/speed.md"


@pytest.mark.parametrize("path", sorted((ROOT / "workflow" / "report").glob("*.rst")), ids=lambda path: path.name)
def test_captions_of_snakemakes_report_are_valid_restructured_text(path):
    """Snakemake prints the error of a caption that is not and goes on."""
    from docutils.core import publish_string
    from docutils.utils import SystemMessage

    text = re.sub(r"{%.*?%}", "", re.sub(r"{{.*?}}", "value", path.read_text(), flags=re.DOTALL), flags=re.DOTALL)
    try:
        publish_string(text, writer="null", settings_overrides={"halt_level": 2, "report_level": 5})
    except SystemMessage as error:
        pytest.fail(f"{path.name}: {error}")
