"""The table of stages against the rule files, the profile of SLURM and a grid."""

import re
from pathlib import Path

import pytest
import yte

from bacon.config.loading import check_config
from bacon.downstream.registry import TASKS
from bacon.operations.products import benchmark
from bacon.plan import stages
from bacon.plan.plan import Plan
from bacon.plan.stages import GPU_RULES, STAGES, WARNED_RULES, plan_artifacts, stage_of
from bacon.settings.cells import Cell

WORKFLOW = Path(__file__).parents[2] / "workflow"
GRID = {
    "datasets": ["digits"], "methods": ["random", "dm"], "ipc": [1, 2], "seeds": [3], "networks": ["convnet", "mlp"],
}  # fmt: skip


@pytest.fixture(scope="module")
def plan():
    return Plan(check_config({"preset": "smoke", "grid": GRID}))


def rule_text(rule, *, several=False):
    """The text of a rule, from whichever file has it; of evaluations, that for one protocol or for several."""
    paths = set((WORKFLOW / "rules").glob("*.smk")) - {WORKFLOW / "rules" / RULES_OF[not several]}
    files = "\n".join(path.read_text() for path in paths)
    return re.search(rf"^rule {rule}:\n(?:    .*\n|\n)+", files, re.MULTILINE)[0]


RULES_OF = {False: "evaluate.smk", True: "evaluate_protocols.smk"}


def first_of(plan, stage, pattern):
    """The stage's first artifact whose path has the pattern, and the wildcards in it."""
    expression = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+?)", re.escape(pattern))
    found = ((artifact, re.fullmatch(expression, str(artifact.path))) for artifact in STAGES[stage].artifacts(plan))
    return next((artifact, match.groupdict()) for artifact, match in found if match)


RULES = [(stage.name, rule) for stage in STAGES.values() for rule in stage.rules if stage.name not in TASKS]


@pytest.mark.parametrize(("stage", "rule"), RULES)
def test_a_rule_file_follows_its_stage(plan, stage, rule):
    """Log and measurement lie where the table says; what a job asks for comes from the table."""
    text = rule_text(rule)
    artifact, wildcards = first_of(plan, stage, STAGES[stage].rules[rule])
    assert STAGES[stage].artifact(plan, wildcards) == artifact
    assert re.search(r'"(results/logs/.*)"', text)[1].format(**wildcards) == str(STAGES[stage].log(artifact))
    if measured := re.search(r'"(results/benchmarks/.*)"', text):
        assert measured[1].format(**wildcards) == benchmark(STAGES[stage].log(artifact))
    for value in (f'gpu=gpus_of("{stage}")', f'mem_mb=memory_of("{stage}")', f'fingerprint=fingerprint_of("{stage}")'):
        assert value in text, rule


def test_a_scheduler_is_asked_for_no_gpu_that_jobs_on_the_cpu_have_no_use_for():
    for device, is_scheduled, asked in (("cpu", True, 0), ("cpu", False, 1), ("auto", True, 1), ("auto", False, 1)):
        plan = Plan(check_config({"preset": "smoke", "grid": GRID, "run": {"device": device}}))
        found = {stage: stages.gpus(plan, stage, is_scheduled=is_scheduled) for stage in STAGES}
        assert found == {stage: 0 if stage == "data" else asked for stage in STAGES}


def test_the_rules_of_downstream_tasks_follow_their_stages():
    """They are made in a loop over the tasks, by the same functions of the stages' table."""
    text = (WORKFLOW / "rules/downstream.smk").read_text()
    for name in ("gpus_of", "memory_of", "minutes_of", "fingerprint_of", "trained"):
        assert f"{name}(TASK.name)" in text
    assert 'f"results/logs/downstream/{TASK.name}/{{place}}.log"' in text
    assert 'f"results/benchmarks/downstream/{TASK.name}/{{place}}.jsonl"' in text
    several = Plan(check_config({"preset": "smoke", "grid": GRID | {"downstream": list(TASKS)}}))
    for name in TASKS:
        for artifact in STAGES[name].artifacts(several):
            place = str(artifact.path).removeprefix("results/").removesuffix(".json")
            assert str(STAGES[name].log(artifact)) == f"results/logs/{place}.log"
            assert benchmark(STAGES[name].log(artifact)) == f"results/benchmarks/{place}.jsonl"


@pytest.mark.parametrize("rule", STAGES["evaluate"].indexes)
def test_the_rules_for_several_protocols_follow_their_stage(rule):
    several = Plan(check_config({"preset": "smoke", "grid": GRID | {"protocols": ["p-dsa", "p-idc"]}}))
    stage, text = STAGES["evaluate"], rule_text(rule, several=True)
    artifact, wildcards = first_of(several, "evaluate", stage.indexes[rule])
    assert stage.artifact(several, wildcards) == artifact
    assert re.search(r'"(results/logs/.*)"', text)[1].format(**wildcards) == str(stage.log(artifact))
    assert re.search(r'"(results/benchmarks/.*)"', text)[1].format(**wildcards) == benchmark(stage.log(artifact))
    # All else is as under one protocol.
    alone = {line for line in rule_text(rule).splitlines() if "network" not in line and "EVALUATION" not in line}
    assert alone <= {*text.splitlines(), ""}
    assert "--protocols" in text


def test_every_artifact_stands_once_and_after_what_it_is_made_from(plan):
    seen = {}
    for artifact in plan_artifacts(plan):
        assert artifact.path not in seen
        for made_from in stage_of(artifact).inputs(plan, artifact):
            assert seen[made_from.path] == made_from
        seen[artifact.path] = artifact
    assert len(seen) == 1 + 2 + 4 + 2 * (1 + 4)


def test_the_full_data_set_is_evaluated_without_a_distilled_set(plan):
    full = STAGES["evaluate"].artifact(plan, {"dataset": "digits", "network": "mlp"})
    assert full.cell == Cell("digits", "full")
    assert [made_from.stage for made_from in STAGES["evaluate"].inputs(plan, full)] == ["data", "train"]


def test_slurm_is_asked_for_gpus_and_for_warnings_as_the_table_says(monkeypatch):
    monkeypatch.setenv("BACON_SLURM_GPU_PARTITION", "gpus")
    text = (WORKFLOW / "profiles/slurm/config.yaml").read_text()
    rules = yte.process_yaml(text, require_use_yte=True)["set-resources"]
    assert set(rules) == set(GPU_RULES) == {"train", "distill", "evaluate", "evaluate_full", *TASKS}
    assert all(resources["slurm_partition"] == "'gpus'" for resources in rules.values())
    assert {rule for rule in rules if rules[rule]["slurm_extra"] == "'--signal=USR1@120'"} == set(WARNED_RULES)
    assert rules["evaluate"]["slurm_extra"] == "''"
