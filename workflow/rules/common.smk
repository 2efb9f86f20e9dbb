"""Validation, wildcard constraints and named input functions; no rules."""

import gc
import re
import signal
import sys
from functools import lru_cache
from pathlib import Path

from snakemake.logging import logger

from bacon.config.unreached import unreached_values
from bacon.datasets.registry import REGISTRY
from bacon.operations import (
    configuration_files,
    failures,
    file_times,
    products,
    recorded_runs,
    snakemake_internals,
    workflow_plan,
)
from bacon.plan import planned_artifact, stages
from bacon.reporting.targets import PUBLISHED, REPORT, TARGETS
from bacon.runtime.errors import BaconError
from bacon.runtime.scripts import disk_advice
from bacon.settings import cells

# SLURM's warning before a time limit goes to every process of a job. The Snakemake inside it would die of it, and SLURM would
# end the job before its checkpoint is written; a distillation, its child, has a handler of its own (bacon/runtime/signals.py).
if not workflow.is_main_process:
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)

# Snakemake's graph of a large grid is millions of objects that live to the end: looking for garbage among them every 700
# allocations would slow down every dry run.
gc.set_threshold(100_000, 50, 50)

SCRIPTS = Path(workflow.basedir) / "scripts"
# With --sdm conda a job has its own interpreter; otherwise it is the one that runs Snakemake.
OWN = workflow.deployment_settings.deployment_method
PYTHON, CHECKOUT = ("python", SCRIPTS.parents[1]) if OWN else (sys.executable, None)

try:
    # By our rules: Snakemake's reader lets a repeated key win, and takes 5e-4 for text.
    settings = configuration_files.read_configuration(workflow, config)
    config.clear()
    config.update(settings)
    PLAN = workflow_plan.plan(
        config, source=configuration_files.configuration_source(workflow)
    )
    # Missing data of the user stops here with a clear message, not inside an input function.
    for name in PLAN.datasets:
        PLAN.source(name)
    snakemake_internals.check_snakemake()
    snakemake_internals.wake_with_one_timer()
except BaconError as error:
    failures.stop(error)

if workflow.is_main_process:
    failures.tell_at_the_end(logger)
    for line in unreached_values(PLAN.config):
        logger.warning(f"Configuration: {line}")

# The scripts read the configuration as Snakemake merged it, from a file named by its content.
CONFIG = workflow_plan.config_path(config)

# Commands name these as shell variables, so that they read the same wherever the checkout and its interpreter lie.
NAMES = {"PYTHON": PYTHON, "SCRIPTS": SCRIPTS, "CONFIG": CONFIG}
shell.prefix(workflow_plan.shell_prefix(NAMES, checkout=CHECKOUT))


onstart:
    recorded_runs.record_call(workflow, config, logger)
    try:
        workflow_plan.write_config(config)
    except OSError as error:
        failures.stop(f"{error}; {disk_advice(error) or 'nothing was computed'}")


wildcard_constraints:
    dataset="|".join(map(re.escape, PLAN.prepared_sets)),
    method="|".join(map(re.escape, PLAN.config.grid.methods)),
    ipc=r"\d+",
    seed=r"\d+",
    network="|".join(map(re.escape, PLAN.networks)),
    training=r"[a-z0-9_]+-[0-9a-f]{8}",
    first=r"\d+",
    last=r"\d+",


def artifact(stage, wildcards):
    return stages.STAGES[stage].artifact(PLAN, dict(wildcards.items()))


def trained(stage):
    """The indexes of training runs that an artifact is made from, as an input function; of a distilled set also the set it copies.

    An artifact that is right does not ask for one that is not: runs that are trained again, for others or because a file was
    lost, are what they were.
    """

    def indexes(wildcards):
        made, found = artifact(stage, wildcards), settle_files()
        inputs = stages.STAGES[stage].inputs(PLAN, made)
        kinds = {"train", "distill"} if stage == "distill" else {"train"}
        asked = [str(one.path) for one in inputs if one.stage in kinds]
        if found is None or str(made.path) not in found.right_files:
            return asked
        return [path for path in asked if path in found.right_files]

    return indexes


def prepared_data(wildcards):
    """The form of its data set that a cell uses, as an input function."""
    return str(PLAN.data_path(planned_artifact.cell_of(dict(wildcards.items()))))


def fingerprint_of(stage):
    """The params of a stage's rule: the fingerprint that its artifact must carry."""
    return lambda wildcards: artifact(stage, wildcards).fingerprint


def minutes_of(stage):
    """Time to ask for, from the cost model; a further attempt asks for more."""
    return lambda wildcards, attempt: stages.minutes(
        PLAN, artifact(stage, wildcards), attempt=attempt
    )


def memory_of(stage):
    return lambda wildcards, attempt: stages.memory_mb(
        PLAN, artifact(stage, wildcards), attempt=attempt
    )


def gpus_of(stage):
    ask = snakemake_internals.is_scheduled
    return lambda wildcards: stages.gpus(PLAN, stage, is_scheduled=ask(workflow))


def source_fingerprint(wildcards):
    return workflow_plan.sources_fingerprint(PLAN, wildcards.dataset)


@lru_cache(maxsize=1)
def settle_files():
    """Decide by the fingerprints that files carry, once for a call: what is right stays, what is not is made again.

    An input function is the first that Snakemake calls with a graph of jobs at hand and its records open; it looks at the times
    of files later. Returns what was found, ``None`` in a job's own process.
    """
    if not workflow.is_main_process:
        return None
    if snakemake_internals.is_run(workflow):
        recorded_runs.record_call(workflow, config, logger)
    found = products.look(PLAN, PUBLISHED)
    snakemake_internals.force(workflow, found.outdated_files)
    snakemake_internals.trust(workflow, found.right_files)
    left = file_times.order_times(
        PLAN.directory,
        found,
        is_recorded=lambda product: snakemake_internals.is_recorded(workflow, product),
    )
    if left:
        logger.warning(
            f"{len(left)} files are older than what they are made from, though right by content, and their times cannot be "
            f"set: Snakemake takes them for out of date. The first is {left[0]}"
        )
    snakemake_internals.report_true_times(workflow, PLAN)
    return found


def raw_files(wildcards):
    """What a data set is read from; it is compared by content (the fingerprint), so its time does not matter."""
    settle_files()
    prepared = PLAN.prepared_set(wildcards.dataset)
    data = prepared.settings
    if data.path is not None:
        # Snakemake takes braces for wildcards and cannot be told otherwise. That the path exists is checked above.
        return [] if set(data.path) & set("{}") else ancient(data.path)
    marker = f"{cells.DOWNLOADS}/{prepared.dataset}/.complete"
    return ancient(marker) if REGISTRY[prepared.dataset].sources else []


def every(stage):
    """An input function: all artifacts of a stage."""
    return lambda wildcards: [
        str(each.path) for each in stages.STAGES[stage].artifacts(PLAN)
    ]


def every_output():
    """Every stage's outputs: a lost or failed one is made again though nothing after it asks for it (snakemake issue 1978)."""
    results = [str(each.path) for each in stages.plan_artifacts(PLAN)]
    grid = [
        path for target in TARGETS.values() for path in target.outputs(PLAN).values()
    ]
    return [*results, *grid, *all_images(), REPORT]
