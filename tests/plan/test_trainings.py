"""Which networks a plan trains on real sets: shared, counted, fingerprinted, and how much room they take."""

from dataclasses import replace
from importlib import import_module

import pytest
import torch

from bacon.config.loading import check_config
from bacon.methods.base import Method
from bacon.methods.registry import METHODS
from bacon.plan import code_digest, cost, stages
from bacon.plan.plan import Plan
from bacon.plan.trainings import cell_needs
from bacon.runtime.errors import BaconError
from bacon.settings.architectures import ARCHITECTURES
from bacon.settings.augmentations import AUGMENTATION_MODULES
from bacon.settings.cells import Cell, RunBlock
from bacon.settings.network import NetworkSettings
from bacon.settings.recipe import TrainingRecipe
from bacon.settings.training_need import TrainingNeed, blocks
from bacon.training.run_driver import train_block
from tests.training.blocks import IMAGES, block_job

RECIPE = TrainingRecipe(epochs=50)


def need(**changes) -> TrainingNeed:
    return TrainingNeed(**({"name": "experts", "network": NetworkSettings(), "recipe": RECIPE} | changes))


def plan(*, needs=None, monkeypatch=None, **config) -> Plan:
    """A plan of DM and IDM on digits, in which both need what ``needs`` says."""
    if needs is not None:
        for name in ("dm", "idm"):
            monkeypatch.setitem(METHODS, name, replace(METHODS[name], needs=needs))
    base = {"preset": "smoke", "grid": {"datasets": ["digits"], "methods": ["dm", "idm"], "ipc": [1], "seeds": 1}}
    for section, values in config.items():
        base[section] = {**base.get(section, {}), **values} if isinstance(values, dict) else values
    return Plan(check_config(base))


def test_a_key_is_what_the_networks_are_not_what_they_are_called_or_how_many():
    key = need().key
    assert key.startswith("convnet3-")
    assert need(name="teachers", runs=7).key == key
    assert need(snapshot_every=5).key == key, "without snapshots it says nothing"
    other = [
        need(recipe=TrainingRecipe(epochs=51)),
        need(network=NetworkSettings(width=64)),
        need(keep=frozenset({"history"})),
        need(purpose="teachers"),
        need(keep=frozenset({"snapshots"})),
        need(keep=frozenset({"snapshots"}), snapshot_every=5),
    ]
    assert len({key, *(one.key for one in other)}) == 7


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "Experts"}, "a name may hold"),
        ({"runs": 0}, "runs = 0; it must be at least 1"),
        ({"snapshot_every": 0}, "snapshot_every = 0"),
        ({"keep": frozenset()}, "keep = nothing"),
        ({"keep": frozenset({"weights"})}, "keep = weights; it must be one or more of final, snapshots"),
        (
            {"recipe": TrainingRecipe(epochs=1, labels="teacher", loss=({"kind": "kl"},))},
            "labels come from a teacher; on the real set",
        ),
    ],
)
def test_a_need_that_no_training_can_meet_is_refused(changes, message):
    with pytest.raises(BaconError, match=message):
        need(**changes)


def test_snapshots_are_taken_at_the_beginning_the_end_and_between():
    kept = need(keep=frozenset({"snapshots"}), snapshot_every=20)
    assert kept.snapshot_epochs(50) == (0, 20, 40, 50)
    assert kept.snapshot_epochs(40) == (0, 20, 40)
    assert need().snapshot_epochs(50) == ()


def test_jobs_share_the_runs_out():
    assert blocks(10, 4) == ((0, 3), (4, 7), (8, 9))
    assert blocks(4, 4) == ((0, 3),)
    assert blocks(1, 4) == ((0, 0),)
    assert RunBlock.parse("digits/convnet3-3f9c2a1b/runs4-7").runs == range(4, 8)
    for wrong in ("digits/convnet3-3f9c2a1b", "digits/convnet3-3f9c2a1b/runs7-4"):
        with pytest.raises(BaconError, match="not of the form DATASET/KEY/runsN-M"):
            RunBlock.parse(wrong)


def test_cells_that_need_the_same_networks_share_them(monkeypatch):
    """DM needs 3 runs, IDM 6 of the same: 6 are trained once, and each depends on the jobs with its own."""
    base = need(keep=frozenset({"history"}))

    def needs(settings):
        return (replace(base, runs=6 if hasattr(settings.distillation, "networks") and _is_queue(settings) else 3),)

    made = plan(needs=needs, monkeypatch=monkeypatch, run={"runs_per_job": 4})
    own = {key: training for key, training in made.trainings.items() if key[1] == base.key}
    assert [training.need.runs for training in own.values()] == [6]
    artifacts = [one for one in stages.STAGES["train"].artifacts(made) if one.block.training == base.key]
    assert [str(one.block).rpartition("/")[2] for one in artifacts] == ["runs0-3", "runs4-5"]
    dm, idm = Cell("digits", "dm", 1, 0), Cell("digits", "idm", 1, 0)
    assert stages.training_inputs(made, dm) == tuple(artifacts[:1])
    assert stages.training_inputs(made, idm) == tuple(artifacts)


def _is_queue(settings):
    return settings.distillation.networks.source == "queue"


def test_fingerprints_follow_what_is_trained_not_how_many(monkeypatch):
    def fingerprints(**changes):
        made = plan(needs=lambda _: (need(**changes),), monkeypatch=monkeypatch)
        dm = Cell("digits", "dm", 1, 0)
        return made.training_fingerprint("digits", need(**changes)), made.distilled_fingerprint(dm)

    first = fingerprints(runs=2)
    more, other = fingerprints(runs=3), fingerprints(runs=2, recipe=TrainingRecipe(epochs=49))
    assert fingerprints(runs=2, name="teachers")[0] == first[0]
    assert more[0] == first[0]
    assert more[1] != first[1], "a cell that uses one run more is another"
    assert other[0] != first[0]
    assert other[1] != first[1]
    monkeypatch.undo()
    assert plan().distilled_fingerprint(Cell("digits", "dm", 1, 0)) not in (first[1], more[1], other[1])


def test_the_code_of_an_augmentation_reaches_the_trainings_that_use_it(monkeypatch):
    plain, cropped = need(), need(recipe=TrainingRecipe(epochs=50, augmentation={"family": "crop_flip"}))
    made = plan()
    before = [made.training_fingerprint("digits", one) for one in (plain, cropped)]
    real = code_digest.module_digest
    module = AUGMENTATION_MODULES["crop_flip"]
    monkeypatch.setattr(code_digest, "module_digest", lambda name: "edited" if name == module else real(name))
    code_digest.clear_caches()
    after = [made.training_fingerprint("digits", one) for one in (plain, cropped)]
    code_digest.clear_caches()
    assert after[0] == before[0]
    assert after[1] != before[1]


def test_two_needs_of_one_name_are_refused():
    record = Method(
        name="twice", title="T", summary="S", reference="R", settings_model=None, algorithm=None,
        needs=lambda _: (need(), need(network=NetworkSettings(width=64))),
    )  # fmt: skip
    with pytest.raises(BaconError, match="names its training needs experts, experts; each name must be different"):
        cell_needs(record, None, "digits/twice")


def test_an_unknown_training_is_named_with_those_that_there_are():
    with pytest.raises(BaconError, match=r"needs the training runs digits/convnet3-00000000; it has digits/convnet3-"):
        plan().training("digits", "convnet3-00000000")


@pytest.mark.parametrize(
    ("evaluation", "count"),
    [
        ({"augmentations": ["dsa", "none"], "seeds": 3}, 2),
        ({"lr_search": [0.1, 0.01]}, 0),
        ({"epochs_by_images": [[10, 2000], [50, 1500]]}, 0),
    ],
)
def test_the_full_set_is_trained_first_unless_the_data_decide_how(evaluation, count):
    made = plan(overrides={"digits/full": {"evaluation": evaluation}}, data={"digits": {"validation": 0.1}})
    found = made.full_set_needs(Cell("digits", "full"), "convnet")
    assert len(found) == count
    assert len(made.trainings) == count
    assert {one.runs for one in found.values()} <= {evaluation.get("seeds")}
    inputs = stages.STAGES["evaluate"].inputs(made, stages.evaluation_artifact(made, Cell("digits", "full"), "convnet"))
    assert [one.stage for one in inputs] == ["data", *["train"] * count]


def test_one_evaluation_seed_more_of_the_full_set_changes_its_file_and_no_run():
    def full(seeds):
        made = plan(overrides={"digits/full": {"evaluation": {"seeds": seeds}}})
        cell = Cell("digits", "full")
        (training,) = made.trainings.values()
        return training, made.record_fingerprint(cell, "convnet"), made.evaluation_fingerprint(cell, "convnet")

    two, three = full(2), full(3)
    assert two[0].fingerprint == three[0].fingerprint
    assert two[1] == three[1]
    assert two[2] != three[2]
    assert [str(block)[-7:] for block in three[0].blocks] == ["runs0-2"]


def evaluated_by_teachers(**evaluation) -> tuple[Plan, Cell]:
    changes = {"datasets": {"digits": {"evaluation": evaluation}}} if evaluation else {}
    return plan(grid={"methods": ["rded"]}, protocol="p-rded", **changes), Cell("digits", "rded", 1, 0)


def test_teachers_of_an_evaluation_are_trained_first_and_shared_with_the_method():
    made, cell = evaluated_by_teachers()
    (training,) = made.trainings.values()
    assert [need.key for need in made.needs(cell)] == [need.key for need in made.teachers(cell)] == [training.need.key]
    for each in (cell, Cell("digits", "full")):
        inputs = stages.STAGES["evaluate"].inputs(made, stages.evaluation_artifact(made, each, "convnet"))
        assert [one.stage for one in inputs] == [*(["data", "distill"] if each is cell else ["data"]), "train"]
    assert not plan().teachers(Cell("digits", "dm", 1, 0)), "hard labels need none"


def test_teachers_make_the_evaluation_stale_and_cost_time_only_where_they_label():
    (made, cell), (longer, _), (three, _) = (
        evaluated_by_teachers(**keys) for keys in ({}, {"teachers": {"epochs": 9}}, {"teachers": {"runs": 3}})
    )
    assert len({each.record_fingerprint(cell, "convnet") for each in (made, longer, three)}) == 3
    assert len({each.distilled_fingerprint(cell) for each in (made, longer, three)}) == 1
    assert [len(each.trainings) for each in (made, longer, three)] == [1, 2, 1]
    assert cost.evaluation_seconds(three, cell, "convnet") > cost.evaluation_seconds(made, cell, "convnet")
    hard = [plan(datasets={"digits": {"evaluation": {"teachers": {"epochs": epochs}}}}) for epochs in (2, 9)]
    assert len({each.evaluation_fingerprint(Cell("digits", "dm", 1, 0), "convnet") for each in hard}) == 1


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_parameters_are_counted_without_building_a_network(architecture):
    record = ARCHITECTURES[architecture]
    module, _, function = record.builder.partition(":")
    for norm in record.norms:
        network = NetworkSettings(architecture=architecture, norm=norm)
        make = getattr(import_module(module), function)
        built = make(network, channels=3, size=32, classes=10, device="meta", dtype=torch.float32)
        expected = sum(parameter.numel() for parameter in built.parameters())
        exact = 0 if architecture == "convnet" else 0.01
        assert cost.weights(network, 3, 32, 10) == pytest.approx(expected, rel=exact, abs=0)


def test_the_room_that_experts_take_is_known_before_they_are_trained():
    """100 ConvNet-3 with the weights of 50 epochs and the untrained ones: 6.5 GB."""
    made = plan(grid={"datasets": ["cifar10"], "methods": ["random"]})
    experts = need(runs=100, keep=frozenset({"snapshots"}))
    planned = made.training_of("cifar10", experts)
    assert cost.stored_bytes(made, planned) == 100 * 51 * 320_010 * 4
    one_more = replace(planned, need=replace(experts, keep=frozenset({"history", "soft_labels"})))
    assert cost.stored_bytes(made, one_more) == 100 * (50 * 50_000 // 8 + 50_000 * 10 * 4)


def test_the_room_is_that_of_the_files_and_their_headers(tmp_path, monkeypatch):
    job = block_job(tmp_path, runs=(0, 1), network=NetworkSettings(width=64, depth=2))
    train_block(job)
    size = cost.DataSize(channels=1, size=8, classes=2, train=IMAGES, test=8)
    monkeypatch.setattr(cost, "data_size", lambda *_: size)
    training = replace(plan().training_of("digits", job.need), need=replace(job.need, runs=2))
    counted = cost.stored_bytes(plan(), training)
    stored = sum(job.run_path(run).stat().st_size for run in range(2))
    assert counted < stored < 1.15 * counted


def test_time_and_memory_of_a_training_are_asked_for():
    made = plan(grid={"datasets": ["cifar10"], "methods": ["random"]}, preset="paper")
    artifact = next(iter(stages.STAGES["train"].artifacts(made)))
    seconds = stages.STAGES["train"].seconds(made, artifact)
    training = made.training("cifar10", artifact.block.training)
    epochs, runs = training.need.recipe.epochs, len(artifact.block.runs)
    flop = (3 * 0.1014e9 - 7.1e6) * 50_000 * epochs * runs
    assert seconds == pytest.approx(max(flop / cost.GPU_RATE, runs * epochs * 196 * cost.PASS_SECONDS), rel=0.02)
    assert 2000 < stages.memory_mb(made, artifact) < 10_000
    assert "train" in stages.GPU_RULES
    assert "train" in stages.WARNED_RULES
