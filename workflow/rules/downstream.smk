"""OUTPUTS: results/downstream/{task}/{cell}/{network}.json, or {cell}.json for tasks that do not depend on the network.

One rule for each downstream task (bacon/downstream/registry.py), which has the task's name. A cell is a distilled set or a full
data set. Finished repetitions are kept in a cache, so that another one computes that one alone.
"""

from bacon.downstream.registry import TASKS
from bacon.plan.task_stages import CELL, task_pattern


def distilled_of(wildcards):
    """The distilled set of a cell; none for a full data set."""
    cell = cells.Cell.parse(wildcards.cell)
    return [] if cell.ipc is None else str(cell.distilled_path)


def data_of(wildcards):
    return str(cells.Cell.parse(wildcards.cell).data_path)


# Before anything is computed; jobs with an environment of their own (--sdm conda) find out themselves.
if not workflow.deployment_settings.deployment_method:
    try:
        for NAME in PLAN.tasks.names:
            TASKS[NAME].check_packages()
    except BaconError as error:
        failures.stop(error)


for TASK in TASKS.values():
    # Below results/downstream logs and measurements lie as the results do.
    PLACE = task_pattern(TASK).removeprefix("results/").removesuffix(".json")

    rule:
        name:
            TASK.name
        input:
            data=data_of,
            images=distilled_of,
            trained=trained(TASK.name),
        output:
            results=task_pattern(TASK),
        log:
            f"results/logs/{PLACE}.log",
        benchmark:
            f"results/benchmarks/{PLACE}.jsonl"
        wildcard_constraints:
            cell=CELL,
        conda:
            "../../environment.yml"
        threads: PLAN.config.run.threads
        resources:
            gpu=gpus_of(TASK.name),
            mem_mb=memory_of(TASK.name),
            runtime=minutes_of(TASK.name),
        params:
            fingerprint=fingerprint_of(TASK.name),
        message:
            f"{TASK.title} of {{wildcards.cell}}"
        # Formatted when the job runs, and TASK is the last of the loop then: the rule's name is the task's, and its wildcards are
        # the cell and, where it depends on it, the network.
        shell:
            'exec "$PYTHON" "$SCRIPTS/downstream.py" --config "$CONFIG" --task {rule:q} --place {wildcards:q}'
            " --fingerprint {params.fingerprint:q} --threads {threads}"
            " --data {input.data:q} --images {input.images:q} --output {output.results:q} >{log:q} 2>&1"
