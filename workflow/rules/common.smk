"""Validation, wildcard constraints and named input functions; no rules."""

import gc
import re
import signal
import sys
from functools import lru_cache
from pathlib import Path
from shlex import quote

from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

from bacon.config.loading import data_settings
from bacon.datasets.registry import REGISTRY
from bacon.operations import run_times, workflow_plan
from bacon.plan import cost, inventory
from bacon.reporting.figures.catalogue import drawn
from bacon.reporting.targets import (
    PUBLISHED,
    REPORT,
    TABLE_TITLES,
    TARGETS,
    image_paths,
    table_names,
)
from bacon.runtime.errors import BaconError
from bacon.settings import cells
from bacon.settings.cells import Cell

# SLURM's warning before a time limit goes to every process of a job. The Snakemake inside it would die of it, and SLURM would
# end the job before its checkpoint is written; a distillation, its child, has a handler of its own (bacon/runtime/signals.py).
if not workflow.is_main_process:
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)

# Snakemake's graph of a large grid is millions of objects that live to the end: looking for garbage among them every 700
# allocations is a tenth of a dry run's time.
gc.set_threshold(100_000, 50, 50)

SCRIPTS = Path(workflow.basedir) / "scripts"
# With --sdm conda a job has its own interpreter; otherwise it is the one that runs Snakemake.
PYTHON = "python" if workflow.deployment_settings.deployment_method else sys.executable

try:
    PLAN = workflow_plan.plan(config)
    # Own data that is not there stops here, with its message, and not inside an input function.
    for name in PLAN.datasets:
        PLAN.source(name)
except BaconError as error:
    raise WorkflowError(str(error)) from None

validate(config, "../schemas/config.schema.json", set_default=False)

# The scripts read the configuration as Snakemake merged it, from a file named by its content.
CONFIG = workflow_plan.config_path(config)

# Commands name these as shell variables, so that they read the same wherever the checkout and its interpreter lie.
shell.prefix(
    f"PYTHON={quote(str(PYTHON))}; SCRIPTS={quote(str(SCRIPTS))}; CONFIG={quote(str(CONFIG))}; "
)

# Artifacts that were made from something else; their files are looked into once per call.
OUTDATED = lru_cache(maxsize=1)(lambda: inventory.outdated(PLAN))


onstart:
    workflow_plan.write_config(config)


wildcard_constraints:
    dataset="|".join(PLAN.datasets),
    method="|".join(map(re.escape, PLAN.config.grid.methods)),
    ipc=r"\d+",
    seed=r"\d+",
    network="|".join(PLAN.networks),


def cell_of(wildcards):
    return Cell(
        wildcards.dataset, wildcards.method, int(wildcards.ipc), int(wildcards.seed)
    )


def data_fingerprint(wildcards):
    return PLAN.data_fingerprint(wildcards.dataset)


def distilled_fingerprint(wildcards):
    return PLAN.distilled_fingerprint(cell_of(wildcards))


def evaluation_fingerprint(wildcards):
    return PLAN.evaluation_fingerprint(cell_of(wildcards), wildcards.network)


def reference_fingerprint(wildcards):
    return PLAN.evaluation_fingerprint(
        Cell(wildcards.dataset, "full"), wildcards.network
    )


def distill_minutes(wildcards, attempt):
    """Time to ask for, from the cost model; a further attempt asks for more."""
    return cost.minutes(cost.distill_seconds(PLAN, cell_of(wildcards)), attempt=attempt)


def evaluation_minutes(wildcards, attempt):
    seconds = cost.evaluation_seconds(PLAN, cell_of(wildcards), wildcards.network)
    return cost.minutes(seconds, attempt=attempt)


def reference_minutes(wildcards, attempt):
    reference = Cell(wildcards.dataset, "full")
    seconds = cost.evaluation_seconds(PLAN, reference, wildcards.network)
    return cost.minutes(seconds, attempt=attempt)


def cell_memory(wildcards, attempt):
    return cost.memory_mb(PLAN, cell_of(wildcards), attempt=attempt)


def reference_memory(wildcards, attempt):
    return cost.memory_mb(PLAN, Cell(wildcards.dataset, "full"), attempt=attempt)


def source_fingerprint(wildcards):
    return workflow_plan.sources_fingerprint(PLAN, wildcards.dataset)


def tables_fingerprint(wildcards):
    return workflow_plan.aggregate_fingerprint(PLAN, "tables", PUBLISHED)


def figures_fingerprint(wildcards):
    return workflow_plan.aggregate_fingerprint(PLAN, "figures", PUBLISHED)


def images_fingerprint(wildcards):
    return workflow_plan.images_fingerprint(PLAN, shown_cell(wildcards))


def page_fingerprint(wildcards):
    return workflow_plan.report_fingerprint(PLAN, PUBLISHED)


def force_outdated():
    """Make Snakemake remake what carries another fingerprint than the plan's, whatever it recorded itself.

    An input function is the first that Snakemake calls with a graph of jobs at hand; forced files add no targets to it.
    """
    if workflow.is_main_process:
        workflow.dag.forcefiles.update(OUTDATED())
        report_true_times()


@lru_cache(maxsize=1)
def report_true_times():
    """Let `--report` show the times of all parts of a job, where it would show those of the last one."""
    records = workflow.persistence
    records.metadata = run_times.with_true_times(records.metadata, PLAN)


def raw_files(wildcards):
    """What a data set is read from; own data is compared by content (the fingerprint), so its time does not matter."""
    force_outdated()
    data = data_settings(PLAN.config, wildcards.dataset)
    if data.path is not None:
        return ancient(data.path)
    return (
        [f"{cells.DOWNLOADS}/{wildcards.dataset}/.complete"]
        if REGISTRY[wildcards.dataset].sources
        else []
    )


def shown_cell(wildcards):
    return workflow_plan.shown_cell(
        PLAN, f"{wildcards.dataset}/{wildcards.method}/ipc{wildcards.ipc}"
    )


def first_distilled(wildcards):
    return str(shown_cell(wildcards).distilled_path)


def all_evaluations(wildcards=None):
    grid = (*PLAN.references, *PLAN.cells)
    return [
        str(cell.evaluation_path(network)) for cell in grid for network in PLAN.networks
    ]


def all_distilled(wildcards=None):
    return [str(cell.distilled_path) for cell in PLAN.cells]


def all_images(wildcards=None):
    return [
        str(path)
        for group in workflow_plan.shown_groups(PLAN)
        for path in image_paths(*group)
    ]


def table_files():
    """The tables that the grid has, as named outputs; each CSV goes into Snakemake's report."""
    files = dict(TARGETS["tables"].outputs(PLAN))
    for name in table_names(PLAN):
        key = name if name in files else f"{name}_csv"
        caption, labels = f"../report/{name}_table.rst", {"table": TABLE_TITLES[name]}
        files[key] = report(
            files[key], caption=caption, category="1. Tables", labels=labels
        )
    return files


def in_report(figure, kind):
    """A figure's file; its picture goes into Snakemake's report with the caption of its kind."""
    if kind != "png":
        return str(figure.path(kind))
    caption, labels = f"../report/{figure.topic}_figure.rst", {"figure": figure.title}
    return report(
        str(figure.path(kind)), caption=caption, category="2. Figures", labels=labels
    )


def figure_files():
    """The figures that the grid has, as named outputs."""
    return {
        f"{figure.name}_{kind}": in_report(figure, kind)
        for figure in drawn(PLAN)
        for kind in figure.kinds
    }


def drawn_figures(wildcards):
    return list(TARGETS["figures"].outputs(PLAN).values())


def all_data(wildcards=None):
    return [cells.DATA.format(dataset=dataset) for dataset in PLAN.datasets]


def every_output():
    """Every stage's outputs: a lost or failed one is remade though nothing after it asks for it (snakemake issue 1978)."""
    tables = [
        path for target in TARGETS.values() for path in target.outputs(PLAN).values()
    ]
    return [
        *all_data(),
        *all_distilled(),
        *all_evaluations(),
        *tables,
        *all_images(),
        REPORT,
    ]
