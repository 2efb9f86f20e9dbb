"""What the pages say of the code is held against it: the figure of the rooms, the measured results, the names."""

from __future__ import annotations

import ast
import importlib
import re
from collections import Counter
from dataclasses import fields
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from bacon.config.loading import check_config
from bacon.config.presets import NETWORKS
from bacon.methods.base import Method
from bacon.plan.plan import Plan
from bacon.plan.stages import plan_artifacts
from bacon.plan.trainings import full_set_needs
from bacon.reporting.tables.names import NETWORKS as NETWORK_TABLE
from bacon.reporting.tables.names import TABLE_TITLES
from bacon.settings.evaluation import EvaluationSettings
from bacon.settings.network import NetworkSettings
from bacon.settings.protocol_records import PROTOCOLS

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "bacon"
PAGES = ("README.md", "CONTRIBUTING.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")))
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()


PARTED = {"methods", "downstream"}
"""Rooms that the figure shows as two."""


def rooms() -> set[str]:
    return {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}


def nodes(text: str) -> list[str]:
    """Rooms of ``a & b["methods/NAME/record"]``; the two parts of a method, and those of a task, have names of their own."""
    return [re.sub(r"\[.*\]", "", part).strip() for part in text.split("&")]


def arrows() -> set[tuple[str, str]]:
    """(room, room that it imports) of the figure, chains taken apart."""
    figure = re.search(r"```mermaid\nflowchart TD\n(.*?)```", ARCHITECTURE, re.DOTALL).group(1)
    found = set()
    for line in figure.splitlines():
        groups = [nodes(part) for part in line.split("-->")]
        for above, below in pairwise(groups):
            found |= {(one, other) for one in above for other in below}
    return found


def reached(start: str, edges: set[tuple[str, str]]) -> set[str]:
    found, waiting = set(), [start]
    while waiting:
        room = waiting.pop()
        waiting += [below for above, below in edges if above == room and below not in found]
        found |= {below for above, below in edges if above == room}
    return found


def room_of(module: str) -> str | None:
    """The room of a dotted module; what a method's folder holds besides its record is its algorithm.

    Of downstream tasks, records and what they are made of are apart from what runs and computes them.
    """
    parts = module.split(".")[1:]
    if not parts or parts[0] not in rooms():
        return None
    if parts[0] == "methods":
        in_folder = len(parts) > 2 and (ROOT / "bacon" / "methods" / parts[1]).is_dir()
        return "algorithm" if in_folder and parts[2] != "record" else "record"
    if parts[0] == "downstream":
        return "task" if "record" in parts or parts[1:2] in ([], ["base"], ["registry"]) else "measure"
    return parts[0]


def imports(path: Path) -> set[str]:
    """Modules of this package that a file imports at run time."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.body = []
    named = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    return {
        f"{node.module}.{alias.name}"
        for node in named
        if node.module.partition(".")[0] == "bacon"
        for alias in node.names
    }


def test_the_figure_has_every_room_and_no_circle():
    edges = arrows()
    shown = {room for edge in edges for room in edge}
    assert shown == (rooms() - PARTED - {"runtime"}) | {"record", "algorithm", "task", "measure"}
    assert [room for room in shown if room in reached(room, edges)] == []


def test_the_table_has_every_room():
    table = ARCHITECTURE.partition("| room |")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)", table, re.MULTILINE)) == rooms()


@pytest.mark.parametrize("room", sorted((rooms() - PARTED - {"runtime"}) | {"record", "algorithm", "task", "measure"}))
def test_a_room_imports_what_the_figure_says(room):
    allowed = reached(room, arrows()) | {room, "runtime", None}
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        if room_of(module) == room:
            wrong = {name for name in imports(path) if room_of(name) not in allowed}
            assert not wrong, f"{module} imports {', '.join(sorted(wrong))}; the figure has no such arrow"


def rows(page: str, heading: str) -> dict[str, list[str]]:
    """First cell -> other cells of the table whose first line begins with ``heading``."""
    table = (ROOT / page).read_text().partition(f"| {heading} |")[2].partition("\n\n")[0]
    lines = [[cell.strip() for cell in line.strip("| ").split("|")] for line in table.splitlines()[2:]]
    return {line[0]: line[1:] for line in lines}


def test_the_readme_shows_the_measured_results():
    """Its first table holds numbers of docs/results.md, whose columns are FashionMNIST, sd, CIFAR-10, sd."""
    shown, measured = rows("README.md", "one image per class"), rows("docs/results.md", "evaluated with ConvNet")
    assert list(shown) == ["Random", "DM", "IDM", "BACON"]
    for method, (cifar10, fashionmnist) in shown.items():
        assert [fashionmnist, cifar10] == measured[method][::2]


@pytest.mark.parametrize("page", PAGES)
def test_dotted_names_exist(page):
    """Dotted names in backquotes are modules or what they hold, but for a file's name and the example's module."""
    for name in set(re.findall(r"`(bacon(?:\.\w+)+)`", (ROOT / page).read_text())) - {
        "bacon.json",
        "bacon.methods.standardised",
    }:
        assert exists(name), f"{page} names {name}, which is not there"


def exists(name: str) -> bool:
    module, _, attribute = name.rpartition(".")
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        return exists(module) and hasattr(importlib.import_module(module), attribute)
    return True


def first_number(cell: str) -> str:
    """The mean of a cell such as ``71.7 ± 22.2 #29`` or ``71.7 [49.4, 93.9] (15)``."""
    return re.match(r"[\d.]+", cell)[0]


def test_the_digits_have_the_same_means_on_every_page():
    """The demo's, the selections' and the findings' cells are the same ones: preset `demo`, P-DSA, n = 15.

    But for one image per class in the demo's table, which is of another kind of processor, as it says; and for Forgetting's
    ten, which were measured again, as the findings say above their table.
    """
    one = {method: first_number(cells[0]) for method, cells in rows("docs/findings.md", "| P-DSA | P-DC").items()}
    ten = {
        method: first_number(cells[0])
        for method, cells in rows("docs/findings.md", "| accuracy | minus Random").items()
    }
    said = re.search(
        r"on an AMD EPYC the same command gave (\w+) ([\d.]+) .*?within ([\d.]+) of", text_of("README.md"), re.DOTALL
    )
    demo = rows("README.md", "Method | IPC 1")
    assert one[said[1]] == said[2]
    for method, cells in demo.items():
        assert first_number(cells[2]) == ten[method], method
        apart = abs(float(first_number(cells[0])) - float(one[method]))
        assert method == said[1] or apart <= float(said[3]) + 1e-9, method
    again = re.search(r"since then it\s+has ([\d.]+) ±", text_of("docs/findings.md"))
    selections = rows("docs/algorithms.md", "| Random | Herding | K-Center")
    methods = ("Random", "Herding", "K-Center", "k-means", "RDED", "Forgetting")
    assert [first_number(cell) for cell in selections["IPC 1"]] == [one[method] for method in methods]
    ten = ten | {"Forgetting": again[1]}
    assert [first_number(cell) for cell in selections["IPC 10"]] == [ten[method] for method in methods]


def text_of(name: str) -> str:
    return (ROOT / name).read_text()


def test_the_findings_count_the_networks_that_protocols_train():
    text = (ROOT / "docs" / "findings.md").read_text()
    said = {name.lower(): int(number) for name, number in re.findall(r"(P-\w+): (\d+)(?=[,)])", text)}
    assert said == {name: PROTOCOLS[name].evaluation["seeds"] for name in ("p-dc", "p-ncfm")}


def test_the_page_on_slurm_counts_the_jobs_of_the_demo():
    """Those through sbatch, and the rest: tables, figures, report, `all`, and the images of each distilled set."""
    config = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    plan = Plan(check_config(config | {"preset": "smoke", "grid": config["grid"] | {"ipc": [1], "seeds": 1}}))
    jobs = Counter(artifact.stage for artifact in plan_artifacts(plan))
    shown = rows("docs/slurm.md", "rule | jobs through sbatch")
    evaluations = int(shown["evaluate"][0]) + int(shown["evaluate_full"][0])
    assert evaluations == jobs["evaluate"]
    assert {rule: int(shown[rule][0]) for rule in ("train", "distill")} == {
        rule: jobs[rule] for rule in ("train", "distill")
    }
    text = (ROOT / "docs" / "slurm.md").read_text()
    assert int(re.search(r"are (\d+) more jobs", text)[1]) == 4 + jobs["distill"]


def test_the_page_on_evaluation_says_how_many_networks_protocols_train():
    """Where it is not the usual five; KIP's own trains none."""
    lines = rows("docs/evaluation.md", "`protocol` | training").items()
    shown = {name: cells[0] for names, cells in lines for name in re.findall(r"`([\w-]+)`", names)}
    assert shown.keys() == {*PROTOCOLS, "native"}
    for name, protocol in PROTOCOLS.items():
        if "seeds" in protocol.evaluation and "regression" not in protocol.evaluation:
            assert f"{protocol.evaluation['seeds']} networks" in shown[name], name


def test_the_page_on_evaluation_has_every_network_known_by_name():
    section = (ROOT / "docs" / "evaluation.md").read_text().partition("\n## Networks\n")[2]
    between = {
        "convnet_w64",
        "convnet_w128",
        "convnet_d2",
        "convnet_d3",
        "convnet_d4",
    }  # of `convnet_w32` to `convnet_w256`
    assert NETWORKS.keys() - between <= set(re.findall(r"`(\w+)`", section))


def test_the_page_on_architecture_names_every_table():
    written = rows("docs/architecture.md", "rule | makes")["`tables`"][0]
    names = {"downstream_{task}" if name.startswith("downstream_") else name for name in TABLE_TITLES}
    assert {name.removesuffix(".csv") for name in re.findall(r"`([\w{}.]+)`", written)} == names | {NETWORK_TABLE}


def test_the_page_on_methods_names_every_part_of_a_record():
    page = (ROOT / "docs" / "add-a-method.md").read_text()
    assert [
        part.name for part in fields(Method) if not re.search(rf"`{part.name}\b|^    {part.name}=", page, re.MULTILINE)
    ] == []


def test_the_page_on_evaluation_names_every_protocol_that_is_published_with_the_best_on_test():
    sentence = re.search(r"The code of (.+) reports the best on", (ROOT / "docs" / "evaluation.md").read_text())[1]
    published = [
        protocol for protocol in PROTOCOLS.values() if re.search(r"Published: .*best .*on test", protocol.note)
    ]
    assert len(published) > 4
    assert {protocol.title.partition(" (")[0] for protocol in published} <= set(re.split(r", | and ", sentence))


def test_the_page_on_training_says_when_the_full_set_is_trained_by_its_evaluation():
    """Each setting that it names, and no protocol for another reason."""
    text = re.search(
        r"as it does for a\ndistilled set: (.+?)\.\n", (ROOT / "docs" / "training.md").read_text(), re.DOTALL
    )[1]
    named = {tuple(words.split(": ")) for words in re.findall(r"`([^`]+)`", text)}
    for name, protocol in PROTOCOLS.items():
        settings = EvaluationSettings.model_validate(dict(protocol.evaluation))
        unlike = {key for key, value in settings if value != getattr(EvaluationSettings(), key)}
        reasons = {said for said in named if said[0] in unlike and said[1:] in ((), (getattr(settings, said[0]),))}
        assert bool(reasons) == (not full_set_needs(settings, NetworkSettings())), name
