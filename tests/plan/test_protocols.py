"""The plan of a grid under several protocols: jobs, fingerprints, needs, times, and what differs between protocols."""

import json

import pytest
from click.testing import CliRunner

from bacon.cli import main
from bacon.config.loading import check_config
from bacon.plan import cost, stages
from bacon.plan.fingerprint import DigestOf, digest
from bacon.plan.plan import Plan
from bacon.plan.run_time import run_seconds
from bacon.runtime.errors import BaconError
from bacon.settings.cells import Cell

CELL = Cell("digits", "dm", 1, 0)


def plan(*protocols, **changes):
    grid = {"methods": ["random", "dm"], "ipc": [1], "seeds": 2, "networks": ["convnet", "mlp"], "protocols": protocols}
    return Plan(check_config({"preset": "smoke", "grid": grid, **changes}))


def test_the_graph_has_one_evaluation_job_per_cell():
    one, three = plan("p-dc"), plan("p-dc", "p-idc", "p-sre2l")
    counts = [len(list(stages.STAGES["evaluate"].artifacts(each))) for each in (one, three)]
    assert counts == [(4 + 1) * 2, 4 + 1]
    assert not one.has_protocols


def test_each_protocol_has_the_fingerprints_that_it_has_alone_but_for_snapshots():
    several, alone = plan("p-dc", "p-idc"), plan("p-dc")
    for network in alone.networks:
        assert several.evaluation_fingerprint(CELL, network) == alone.evaluation_fingerprint(CELL, network)
        beside, other = several.protocols["p-idc"], plan("p-idc")
        assert beside.record_fingerprint(CELL, network) == other.record_fingerprint(CELL, network), "trained again"
        assert beside.evaluation_fingerprint(CELL, network) != other.evaluation_fingerprint(CELL, network)
    counts = [each.settings(CELL).evaluation.snapshot_seeds for each in several.protocols.values()]
    assert counts == [1, 0]
    explicit = plan("p-dc", "p-idc", datasets={"digits": {"evaluation": {"snapshot_seeds": 2}}})
    assert {each.settings(CELL).evaluation.snapshot_seeds for each in explicit.protocols.values()} == {2}


def test_what_no_protocol_changes_is_shared():
    several = plan("p-dc", "p-idc")
    for each in several.protocols.values():
        assert each.distilled_fingerprint(CELL) == plan().distilled_fingerprint(CELL)
        assert each.settings(CELL).distillation == plan().settings(CELL).distillation
        assert each.cells is several.cells


def test_settings_under_a_further_protocol_are_those_of_the_protocol():
    layers = {
        "methods": {"dm": {"evaluation": {"weight_decay": 0.1}}},
        "overrides": {"digits/*/ipc1/seed1": {"evaluation": {"batch_size": 7}}},
    }
    several = plan("paper", "p-idc", "p-frepo", "p-sre2l", preset="demo", **layers)
    for name, each in several.protocols.items():
        whole = plan(name, preset="demo", **layers)
        for cell in (*several.cells, *several.references):
            found, expected = each.resolved(cell), whole.resolved(cell)
            kept = {"snapshot_seeds": found.settings.evaluation.snapshot_seeds}
            assert found.settings.evaluation == expected.settings.evaluation.model_copy(update=kept)
            assert found.settings.network == expected.settings.network
            changed = {("evaluation", "snapshot_seeds")}
            assert {key: label for key, label in found.origin.items() if key not in changed} == {
                key: label for key, label in expected.origin.items() if key not in changed
            }


def test_the_index_follows_each_protocol_and_the_one_in_front():
    first = plan("p-dc", "p-idc").evaluations_fingerprint(CELL)
    assert plan("p-dc", "p-idc", protocol="p-dc").evaluations_fingerprint(CELL) == first
    others = [
        plan("p-idc", "p-dc"),
        plan("p-dc", "p-idc", protocol="p-idc"),
        plan("p-dc", "p-idc", "p-dam"),
        plan("p-dc", "p-dam"),
        plan("p-dc", "p-idc", methods={"dm": {"evaluation": {"epochs": 9}}}),
    ]
    assert first not in {each.evaluations_fingerprint(CELL) for each in others}


def test_trainings_needs_and_times_are_of_all_protocols():
    several = plan("p-dc", "p-sre2l")
    names = {training.need.name for training in several.trainings.values()}
    assert names == {"evaluation", "teachers"}
    artifact = stages.evaluations_artifact(several, CELL)
    inputs = stages.STAGES["evaluate"].inputs(several, artifact)
    assert [made.stage for made in inputs] == ["data", "distill", "train"]
    each = [
        cost.evaluation_seconds(under, CELL, network)
        for under in several.protocols.values()
        for network in several.networks
    ]
    assert stages.STAGES["evaluate"].seconds(several, artifact) == pytest.approx(sum(each))
    assert stages.minutes(several, artifact) >= 10


def test_the_run_time_of_a_machine_counts_every_protocol():
    from bacon.plan.machine import Machine

    machine = Machine(cores=1, memory_mb=8000, operations_per_second=1e9, pass_seconds=1e-3, start_seconds=1.0)
    one, two = (run_seconds(plan(*names), machine, {}, 0.0) for names in (["p-dc"], ["p-dc", "p-idc"]))
    assert two > one


def test_the_same_protocol_by_another_name_is_the_published_one():
    several = plan("p-dsa", "p-idc")
    assert several.published_protocol(CELL) == "p-dsa", "dm's record says paper"
    assert several.published_protocol(Cell("digits", "idc", 1, 0)) == "p-idc"
    assert several.published_protocol(Cell("digits", "dc", 1, 0)) is None


def test_a_digest_written_once_is_the_digest():
    make = DigestOf(lambda text: {"b": [1, 2.5, {"x": text}], "a": None, "c": "é"})
    for text in ("0123abc", "f" * 32):
        assert make(text) == digest({"b": [1, 2.5, {"x": text}], "a": None, "c": "é"})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"grid": {"protocols": ["p-idk"]}}, "grid.protocols = 'p-idk' is unknown; did you mean 'p-idc'"),
        ({"grid": {"protocols": ["p-idc", "p-idc"]}}, "grid.protocols: 'p-idc' is listed twice"),
        ({"grid": {"protocols": ["p-idc"]}, "protocol": "p-dc"}, r"protocol = 'p-dc' is not among grid.protocols \(p-idc\)"),
        ({"protocols": {"p-idc": {}}}, "protocols.p-idc: 'p-idc' is the name of a known protocol"),
        ({"protocols": {"my own": {}}}, "protocols: key = 'my own': the name is used in paths"),
        ({"protocols": {"mine": {"base": "p-id"}}}, "protocols.mine.base = 'p-id' is unknown"),
        ({"protocols": {"mine": {"evaluation": {"epoch": 3}}}}, "protocols.mine.evaluation: key = 'epoch' is unknown"),
        ({"protocols": {"P-IDC": {}}}, "differ by letter case alone"),
        (
            {"grid": {"protocols": ["p-dc", "p-idc"], "networks": ["evaluate"]}, "networks": {"evaluate": {"width": 8}}},
            "networks.evaluate: the name stands for the job that evaluates",
        ),
        ({"grid": {"protocols": ["p-dc", "dd-ranking"]}}, "lr_search of digits/full needs a validation split"),
    ],
)  # fmt: skip
def test_bad_protocols_are_a_clear_error(changes, message):
    with pytest.raises(BaconError, match=message):
        check_config({"preset": "smoke", **changes})


def test_an_own_protocol_wins_over_the_preset_and_loses_against_the_files_layers():
    own = {"mine": {"base": "p-idc", "evaluation": {"epochs": 11, "batch_size": 5}}}
    made = plan("p-dc", "mine", protocols=own, methods={"dm": {"evaluation": {"batch_size": 9}}})
    found = made.protocols["mine"].resolved(CELL)
    assert (found.settings.evaluation.epochs, found.settings.evaluation.batch_size) == (11, 9)
    assert found.settings.evaluation.mixing == "cutmix"
    assert found.origin["evaluation", "epochs"] == "protocols.mine"
    assert made.settings(CELL).evaluation.epochs == 3, "the preset of the other protocol"


def test_the_settings_of_a_cell_are_shown_under_each_protocol(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"preset": "smoke", "grid": {"methods": ["dm"], "protocols": ["p-dc", "p-idc"]}}))
    shown = {}
    for options in ([], ["--protocol", "p-idc"]):
        arguments = ["config", "--config", str(path), "--cell", "digits/dm/ipc1/seed0", "--json", *options]
        rows = json.loads(CliRunner().invoke(main, arguments, catch_exceptions=False).stdout)
        shown[tuple(options)] = next(row for row in rows if row["key"] == "evaluation.augmentations")
    assert [(row["value"], row["layer"]) for row in shown.values()] == [
        (["none"], "protocol p-dc"),
        (["idc"], "protocol p-idc"),
    ]
    refused = CliRunner().invoke(
        main, ["config", "--config", str(path), "--cell", "digits/full", "--protocol", "p-dam"]
    )
    assert refused.exit_code == 1
    assert "--protocol = 'p-dam' is unknown" in refused.output


def test_native_may_stand_beside_others():
    made = Plan(check_config({"preset": "paper", "grid": {"methods": ["dc", "dsa"], "protocols": ["p-dsa", "native"]}}))
    native = made.protocols["native"]
    assert native.settings(Cell("digits", "dc", 1, 0)).evaluation.epochs == 301
    assert str(native.evaluation_path(Cell("digits", "dc", 1, 0), "convnet")).endswith("seed0/native/convnet.json")
