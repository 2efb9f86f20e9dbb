"""Edits and the jobs that each must cause: the cases of test_staleness.py and the table in docs/reproducibility.md.

``python -m tests.workflow.staleness_edits`` writes the table into the page.
"""

import os
import random
import shutil
from itertools import product
from pathlib import Path

from tests.workflow.conftest import TINY

PAGE = Path(__file__).parents[2] / "docs" / "reproducibility.md"
START, END = "<!-- staleness table: start -->", "<!-- staleness table: end -->"

NOTHING = {}
AGGREGATES = {"all": 1, "tables": 1, "figures": 1, "report": 1}
REPORT_ALONE = {"all": 1, "report": 1}
ALL_DISTILLED = {"distill": 4, "evaluate": 4, "images": 4}
ONE_CELL = AGGREGATES | {"distill": 1, "evaluate": 1, "images": 1}
EVERYTHING = AGGREGATES | {"preprocess": 1, "train": 1, "distill": 4, "evaluate": 4, "evaluate_full": 1, "images": 4}

# What is done -> (changes of the configuration, jobs of every rule).
SETTINGS_EDITS = [
    ("nothing", {}, NOTHING),
    ("how jobs run (`run.progress_seconds`)", {"run": {"progress_seconds": 3}}, NOTHING),
    ("how often checkpoints are written", {"run": {"checkpoint_seconds": 3}}, NOTHING),
    (
        "a value written out that is the default anyway (the report says where each value is from)",
        {"methods": {"bacon": {"distillation": {"objective": {"lambda": 0.8}}}}},
        REPORT_ALONE,
    ),
    (
        "`ce_weight` of one cell",
        {"overrides": {"digits/bacon/ipc1/seed0": {"distillation": {"networks": {"ce_weight": 0.1}}}}},
        ONE_CELL,
    ),
    (
        "`lambda` of one method (which has one cell here)",
        {"methods": {"bacon": {"distillation": {"objective": {"lambda": 0.5}}}}},
        ONE_CELL,
    ),
    ("evaluation epochs of one method", {"overrides": {"digits/dm": {"evaluation": {"epochs": 2}}}},
     AGGREGATES | {"evaluate": 1}),
    ("evaluation epochs of the full data set", {"overrides": {"digits/full": {"evaluation": {"epochs": 2}}}},
     AGGREGATES | {"train": 1, "evaluate_full": 1}),
    ("one more evaluation seed of the full data set (trains that network alone)",
     {"overrides": {"digits/full": {"evaluation": {"seeds": 3}}}}, AGGREGATES | {"train": 1, "evaluate_full": 1}),
    ("fewer networks per job of the full data set (`run.runs_per_job`; trains nothing)", {"run": {"runs_per_job": 1}},
     {"all": 1, "train": 2}),
    ("one more evaluation seed of one method (trains that network alone)",
     {"overrides": {"digits/dm": {"evaluation": {"seeds": 3}}}}, AGGREGATES | {"evaluate": 1}),
    ("one more distillation seed", {"grid": {"seeds": 2}}, AGGREGATES | {"distill": 4, "evaluate": 4}),
    ("one more IPC", {"grid": {"ipc": [1, 2]}}, AGGREGATES | {"distill": 4, "evaluate": 4, "images": 4}),
    ("one method less", {"grid": {"methods": ["random", "dm", "idm"]}}, AGGREGATES),
    (
        "one variant of a method more (`variants`)",
        {
            "grid": {"methods": ["random", "dm", "idm", "bacon", "half"]},
            "variants": {"half": {"method": "bacon", "distillation": {"objective": {"lambda": 0.5}}}},
        },
        ONE_CELL,
    ),
    ("what methods are compared with (`report.references`)", {"report": {"references": ["all"]}},
     {"all": 1, "tables": 1, "report": 1}),
    ("seeds as a list instead of their number", {"grid": {"seeds": [0]}}, NOTHING),
    ("one more evaluation network", {"grid": {"networks": ["convnet", "small"]}, "networks": {"small": {"width": 4}}},
     AGGREGATES | {"train": 1, "evaluate": 4, "evaluate_full": 1}),
    ("normalisation of the data set", {"data": {"digits": {"mean": [0.5], "std": [0.5]}}},
     EVERYTHING),
    ("one evaluation seed less of one method (trains nothing)", {"overrides": {"digits/dm": {"evaluation": {"seeds": 1}}}},
     AGGREGATES | {"evaluate": 1}),
    ("another default of one method: its learning rate", {"methods": {"dm": {"distillation": {"lr_img": 0.5}}}}, ONE_CELL),
    ("PyTorch's version as part of every fingerprint (`stale_on_upgrade: [torch]`)", {"stale_on_upgrade": ["torch"]},
     EVERYTHING),
]  # fmt: skip

# What is done -> (file, old text, new text, jobs of every rule).
CODE_EDITS = [
    ("another checkout of the same sources", None, "", "", NOTHING),
    ("code of the distillation engine", "bacon/distillation/engine.py", "self.iteration += 1", "self.iteration += 2 - 1",
     AGGREGATES | ALL_DISTILLED),
    ("a docstring of the distillation engine", "bacon/distillation/engine.py", '"""Iterates an algorithm',
     '"""Runs an algorithm', NOTHING),
    ("a comment in the distillation engine", "bacon/distillation/engine.py", "\n\nclass Engine",
     "\n\n# A comment.\nclass Engine", NOTHING),
    ("code of one method", "bacon/methods/bacon/algorithm.py", "0.5 * difference.abs()", "0.25 * difference.abs()", ONE_CELL),
    ("code of the evaluation", "bacon/training/loop.py", "import torch\n", "import torch\n\nEDITED = True\n",
     AGGREGATES | {"train": 1, "evaluate": 4, "evaluate_full": 1}),
    ("code of the tables", "bacon/reporting/tables/make_tables.py", "kinds = (", "edited, kinds = True, (",
     {"all": 1, "tables": 1}),
    ("style of the figures", "bacon/reporting/figures/style.py", "\nimport hashlib", "\nEDITED = True\nimport hashlib",
     {"all": 1, "figures": 1, "images": 4, "report": 1}),
    ("code of one figure of the whole grid", "bacon/reporting/figures/pareto.py", "ax.margins(x=0.12, y=0.12)",
     "ax.margins(x=0.13, y=0.12)", {"all": 1, "figures": 1, "report": 1}),
    ("the nearest real images", "bacon/reporting/collect/nearest.py", "_BLOCK = 4096", "_BLOCK = 2048",
     {"all": 1, "figures": 1, "images": 4, "report": 1}),
    ("code of the report", "bacon/reporting/page/cell_entries.py", "import json", "import json\n\nEDITED = True", REPORT_ALONE),
    ("a template of the report", "bacon/reporting/page/templates/report.css", "max-width: 76rem", "max-width: 80rem",
     REPORT_ALONE),
    ("a log line of the distillation", "bacon/distillation/driver.py", '    log.info("wrote',
     '    log.info("a line more")\n    log.info("wrote', NOTHING),
    ("the text of an error", "bacon/transforms/partition.py", "raise BaconError(\n",
     "raise BaconError(\n            'Edited. '\n", NOTHING),
    ("a kernel of the ConvNet", "bacon/networks/kernels/block.c", "(REAL)0.25", "(REAL)0.250",
     AGGREGATES | ALL_DISTILLED | {"train": 1, "evaluate_full": 1}),
    ("a comment in a kernel", "bacon/networks/kernels/block.c", "(REAL)0.25;", "(REAL)0.25; // a quarter", NOTHING),
    ("an architecture that no cell uses", "bacon/networks/lenet.py", "nn.ReLU()", "nn.Tanh()", NOTHING),
    ("the record of an architecture that no cell uses", "bacon/settings/architectures.py", 'title="LeNet"', 'title="LeNet-5"',
     NOTHING),
    ("an augmentation that no cell uses", "bacon/transforms/policies.py", "import torch\n", "import torch\n\nEDITED = 1\n",
     NOTHING),
    ("code of logging, progress or status", "bacon/runtime/logs.py", "import sys", "import sys\n\nEDITED = True", NOTHING),
    ("a script of the workflow", "workflow/scripts/distill.py", "def main", "EDITED = True\n\n\ndef main", NOTHING),
    ("a default in the record of one method", "bacon/methods/dm/record.py", '"lr_img": 1.0', '"lr_img": 0.5', ONE_CELL),
    ("what a method says of itself", "bacon/methods/dm/record.py", 'summary="Matches', 'summary="DM matches', NOTHING),
    ("code of an objective that two methods use", "bacon/distillation/matching/mean_matching.py",
     ".square().sum(dim=1)", ".square().sum(1)", AGGREGATES | {"distill": 2, "evaluate": 2, "images": 2}),
    # A package's metadata before the installed one's on Python's path.
    ("another version of PyTorch, without `stale_on_upgrade`", "torch-99.0.dist-info/METADATA", "",
     "Name: torch\nVersion: 99.0\n", NOTHING),
]  # fmt: skip


def a_file_moves(root):
    """The file with the packing of images moves to another room, and every import of it with it."""
    shutil.move(root / "bacon/transforms/partition.py", root / "bacon/networks/partition.py")
    for path in root.glob("bacon/**/*.py"):
        text = path.read_text()
        if "bacon.transforms.partition" in text:
            path.write_text(text.replace("bacon.transforms.partition", "bacon.networks.partition"))


def a_new_method(root):
    """A folder, and a line in the registry."""
    folder = root / "bacon/methods/novel"
    shutil.copytree(root / "bacon/methods/dm", folder)
    record = folder / "record.py"
    text = record.read_text().replace('name="dm"', 'name="novel"').replace('title="DM"', 'title="Novel"')
    record.write_text(text.replace("methods.dm", "methods.novel").replace("DM = Method(", "NOVEL = Method("))
    registry = root / "bacon/methods/registry.py"
    text = registry.read_text().replace("    BACON,\n)", "    BACON,\n    NOVEL,\n)")
    line = "from bacon.methods.novel.record import NOVEL\n"
    registry.write_text(text.replace("from bacon.methods.random", f"{line}from bacon.methods.random"))


def a_new_architecture(root):
    """A file, and a record."""
    shutil.copy(root / "bacon/networks/lenet.py", root / "bacon/networks/novel.py")
    records = root / "bacon/settings/architectures.py"
    text = records.read_text()
    start = text.index('    Architecture(\n        name="lenet"')
    end = text.index("    ),\n", start) + len("    ),\n")
    added = text[start:end].replace('"lenet"', '"novel"').replace("networks.lenet:", "networks.novel:")
    records.write_text(text[:end] + added + text[end:])


# What is done -> (what is done to the sources, jobs of every rule).
SOURCE_EDITS = [
    ("a new method", a_new_method, NOTHING),
    ("a new architecture", a_new_architecture, NOTHING),
    ("a file moves to another room", a_file_moves, NOTHING),
]


def travelled(folder):
    """Results as they are after a copy to another machine: no records of Snakemake's, files' times in any order."""
    shutil.rmtree(folder / ".snakemake")
    draw = random.Random(0)
    for path in sorted((folder / "results").rglob("*")):
        moment = 1.7e9 + draw.randrange(10**7)
        os.utime(path, (moment, moment))


def newest_data(folder):
    """The data set's file is the newest, and no longer the one that Snakemake recorded: it was prepared again elsewhere."""
    data = folder / "results/data/digits.h5"
    data.write_bytes(data.read_bytes() + b"\0")
    moment = data.stat().st_mtime + 10**6
    os.utime(data, (moment, moment))


def index_lost(folder):
    """The files of the runs are there, what names them is not."""
    for path in (folder / "results/training").rglob("*.json"):
        path.unlink()


# What is done to the files -> (how, changes of the configuration, jobs of every rule).
FILE_EDITS = [
    ("results copied without `.snakemake/`, files' times in any order", travelled, {}, NOTHING),
    ("the same, and `lambda` of one method", travelled,
     {"methods": {"bacon": {"distillation": {"objective": {"lambda": 0.5}}}}}, ONE_CELL),
    ("the same, and evaluation epochs of one method", travelled, {"overrides": {"digits/dm": {"evaluation": {"epochs": 2}}}},
     AGGREGATES | {"evaluate": 1}),
    ("the index of the full data set's networks lost (what was made with them stays)", index_lost, {},
     {"all": 1, "train": 1}),
    ("a data set prepared again elsewhere, newer than all that is made from it", newest_data, {}, NOTHING),
]  # fmt: skip

# The larger grid, whose axes have two values each: as many cells as show what an edit of an axis does.
AXES = {
    "datasets": ["digits", "own"], "methods": ["random", "dm"], "ipc": [1, 2], "seeds": [0, 1],
    "networks": ["convnet", "small"],
}  # fmt: skip
CELLS = {
    "digits/random/ipc1/seed0", "digits/random/ipc1/seed1", "digits/random/ipc2/seed0", "digits/dm/ipc1/seed0",
    "own/random/ipc1/seed0", "more/random/ipc1/seed0", "digits/idm/ipc1/seed0", "digits/random/ipc3/seed0",
    "digits/random/ipc1/seed2",
}  # fmt: skip


def larger_grid(**axes):
    """The configuration of the larger grid, with some axes replaced; own data sets lie in ``{name}.npz``."""
    grid = AXES | axes
    cells = {
        f"{dataset}/{method}/ipc{ipc}/seed{seed}"
        for dataset, method, ipc, seed in product(*(grid[axis] for axis in ("datasets", "methods", "ipc", "seeds")))
    }
    own = {name: {"format": "npz", "path": f"{name}.npz"} for name in grid["datasets"] if name != "digits"}
    small = {"network": {"width": 8, "depth": 2}}
    return TINY | {
        "grid": grid | {"exclude": sorted(cells - CELLS)},
        "data": own,
        "datasets": dict.fromkeys(grid["datasets"], small),
        "networks": {"small": {"width": 4}, "wide": {"width": 12}},
    }


# What is done -> (axes of the larger grid, jobs of every rule).
GRID_EDITS = [
    ("nothing", {}, NOTHING),
    ("IPC in another order", {"ipc": [2, 1]}, NOTHING),
    ("methods in another order", {"methods": ["dm", "random"]}, NOTHING),
    ("data sets in another order", {"datasets": ["own", "digits"]}, NOTHING),
    ("evaluation networks in another order", {"networks": ["small", "convnet"]}, NOTHING),
    ("distillation seeds in another order (another seed's images are shown)", {"seeds": [1, 0]},
     REPORT_ALONE | {"images": 1}),
    ("one IPC less", {"ipc": [1]}, AGGREGATES),
    ("one distillation seed less", {"seeds": [0]}, AGGREGATES),
    ("one data set less", {"datasets": ["digits"]}, AGGREGATES),
    ("one evaluation network less", {"networks": ["convnet"]}, AGGREGATES),
    ("one data set more", {"datasets": ["digits", "own", "more"]},
     AGGREGATES | {"preprocess": 1, "train": 2, "distill": 1, "evaluate": 2, "evaluate_full": 2, "images": 1}),
    ("one method more", {"methods": ["random", "dm", "idm"]}, AGGREGATES | {"distill": 1, "evaluate": 2, "images": 1}),
    ("one IPC more, in front", {"ipc": [3, 1, 2]}, AGGREGATES | {"distill": 1, "evaluate": 2, "images": 1}),
    ("one distillation seed more", {"seeds": [0, 1, 2]}, AGGREGATES | {"distill": 1, "evaluate": 2}),
    ("one evaluation network more", {"networks": ["convnet", "small", "wide"]},
     AGGREGATES | {"train": 2, "evaluate": 5, "evaluate_full": 2}),
]  # fmt: skip


def table() -> str:
    """The edits as Markdown tables."""
    small = _rows([(edit[0], edit[-1]) for edit in (*SETTINGS_EDITS, *CODE_EDITS, *SOURCE_EDITS, *FILE_EDITS)])
    large = _rows([(edit[0], edit[-1]) for edit in GRID_EDITS])
    between = (
        "And of a grid of five cells with two data sets, methods, IPC, distillation seeds and evaluation networks:"
    )
    return f"{small}\n\n{between}\n\n{large}"


def _rows(rows) -> str:
    lines = ["| edit | jobs that run again |", "|---|---|"]
    return "\n".join([*lines, *(f"| {what} | {_jobs(jobs)} |" for what, jobs in rows)])


def _jobs(jobs: dict[str, int]) -> str:
    return ", ".join(f"{count} {rule}" for rule, count in jobs.items() if rule != "all") or "none"


def page_with_table(page: str) -> str:
    """The page with the table as it should be."""
    before, _, rest = page.partition(START)
    return f"{before}{START}\n{table()}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(page_with_table(PAGE.read_text()))
