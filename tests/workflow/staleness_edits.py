"""Edits and the jobs that each must cause: the cases of test_staleness.py and the table in docs/reproducibility.md.

``python -m tests.workflow.staleness_edits`` writes the table into the page.
"""

from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "reproducibility.md"
START, END = "<!-- staleness table: start -->", "<!-- staleness table: end -->"

NOTHING = {}
AGGREGATES = {"all": 1, "tables": 1, "figures": 1}
ALL_DISTILLED = {"distill": 4, "evaluate": 4, "images": 4}
ONE_CELL = AGGREGATES | {"distill": 1, "evaluate": 1, "images": 1}

# What is done -> (changes of the configuration, jobs of every rule).
SETTINGS_EDITS = [
    ("nothing", {}, NOTHING),
    ("how jobs run (`run.progress_seconds`)", {"run": {"progress_seconds": 3}}, NOTHING),
    ("how often checkpoints are written", {"run": {"checkpoint_seconds": 3}}, NOTHING),
    (
        "a value written out that is the default anyway",
        {"methods": {"bacon": {"distillation": {"objective": {"lambda": 0.8}}}}},
        NOTHING,
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
     AGGREGATES | {"evaluate_full": 1}),
    ("one more evaluation seed of one method (trains that network alone)",
     {"overrides": {"digits/dm": {"evaluation": {"seeds": 3}}}}, AGGREGATES | {"evaluate": 1}),
    ("one more distillation seed", {"grid": {"seeds": 2}}, AGGREGATES | {"distill": 4, "evaluate": 4}),
    ("one more IPC", {"grid": {"ipc": [1, 2]}}, AGGREGATES | {"distill": 4, "evaluate": 4, "images": 4}),
    ("one method less", {"grid": {"methods": ["random", "dm", "idm"]}}, AGGREGATES),
    ("seeds as a list instead of their number", {"grid": {"seeds": [0]}}, NOTHING),
    ("one more evaluation network", {"grid": {"networks": ["convnet", "small"]}, "networks": {"small": {"width": 4}}},
     AGGREGATES | {"evaluate": 4, "evaluate_full": 1}),
    ("normalisation of the data set", {"data": {"digits": {"mean": [0.5], "std": [0.5]}}},
     AGGREGATES | {"preprocess": 1, "distill": 4, "evaluate": 4, "evaluate_full": 1, "images": 4}),
]  # fmt: skip

# What is done -> (file, old text, new text, jobs of every rule).
CODE_EDITS = [
    ("another checkout of the same sources", None, "", "", NOTHING),
    ("code of the distillation engine", "bacon/distillation/engine.py", "iteration = self.state.iteration",
     "iteration = 0 + self.state.iteration", AGGREGATES | ALL_DISTILLED),
    ("a docstring of the distillation engine", "bacon/distillation/engine.py", '"""The distillation loop', '"""The loop',
     NOTHING),
    ("a comment in the distillation engine", "bacon/distillation/engine.py", "@dataclass\nclass State",
     "# A comment.\n@dataclass\nclass State", NOTHING),
    ("code of one method", "bacon/methods/bacon.py", "0.5 * difference.abs()", "0.25 * difference.abs()", ONE_CELL),
    ("code of the evaluation", "bacon/evaluation/training.py", "import torch\n", "import torch\n\nEDITED = True\n",
     AGGREGATES | {"evaluate": 4, "evaluate_full": 1}),
    ("code of the tables", "bacon/reporting/make_tables.py", "kinds = (", "edited, kinds = True, (",
     {"all": 1, "tables": 1}),
    ("style of the figures", "bacon/reporting/figures/style.py", "\nimport hashlib", "\nEDITED = True\nimport hashlib",
     {"all": 1, "figures": 1, "images": 4}),
    ("code of logging, progress or status", "bacon/runtime/logs.py", "import sys", "import sys\n\nEDITED = True", NOTHING),
    ("a script of the workflow", "workflow/scripts/distill.py", "def main", "EDITED = True\n\n\ndef main", NOTHING),
]  # fmt: skip


def table() -> str:
    """The edits as a Markdown table."""
    rows = [(edit[0], edit[-1]) for edit in (*SETTINGS_EDITS, *CODE_EDITS)]
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
