"""OUTPUTS: results/downstream/{task}/{cell}/{network}.json, or {cell}.json for tasks that do not depend on the network.

One rule for each downstream task (bacon/downstream/registry.py), which has the task's name. Its wildcard `place` is the cell, a
distilled set or a full data set, and the network. Finished repetitions are kept in a cache, so that another one computes that one
alone.
"""

from bacon.downstream.registry import TASKS
from bacon.plan.task_stages import cell_and_network, place_pattern, task_pattern


def distilled_of(task):
    """The distilled set of a cell, as an input function; none for a full data set."""

    def path(wildcards):
        cell, _ = cell_and_network(task, wildcards.place)
        return [] if cell.ipc is None else str(cell.distilled_path)

    return path


def data_of(task):
    """The form of its data set that a cell uses, as an input function."""
    return lambda wildcards: str(
        PLAN.data_path(cell_and_network(task, wildcards.place)[0])
    )


# Before anything is computed; jobs with an environment of their own (--sdm conda) find out themselves.
if not workflow.deployment_settings.deployment_method:
    try:
        for NAME in PLAN.tasks.names:
            TASKS[NAME].check_packages()
    except BaconError as error:
        failures.stop(error)


for TASK in TASKS.values():

    rule:
        name:
            TASK.name
        input:
            data=data_of(TASK),
            images=distilled_of(TASK),
            trained=trained(TASK.name),
        output:
            results=task_pattern(TASK),
        log:
            f"results/logs/downstream/{TASK.name}/{{place}}.log",
        benchmark:
            f"results/benchmarks/downstream/{TASK.name}/{{place}}.jsonl"
        wildcard_constraints:
            place=place_pattern(TASK),
        conda:
            "../../environment.yml"
        threads: PLAN.config.run.threads
        resources:
            gpu=gpus_of(TASK.name),
            mem_mb=memory_of(TASK.name),
            runtime=minutes_of(TASK.name),
        params:
            task=TASK.name,
            fingerprint=fingerprint_of(TASK.name),
        message:
            f"{TASK.title} of {{wildcards.place}}"
        # Evaluated when the job runs, and TASK is the last of the loop then: only what a parameter holds is this rule's.
        shell:
            'exec "$PYTHON" "$SCRIPTS/downstream.py" --config "$CONFIG" --task {params.task:q} --place {wildcards.place:q}'
            " --fingerprint {params.fingerprint:q} --threads {threads}"
            " --data {input.data:q} --images {input.images:q} --output {output.results:q} >{log:q} 2>&1"
