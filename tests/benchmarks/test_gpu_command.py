"""The one command for a GPU, tried on the CPU; memory and precision."""

import json
import os
import re
import statistics
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from click.testing import CliRunner

from bacon.runtime.errors import BaconError
from benchmarks import memory
from benchmarks.__main__ import main
from benchmarks.cells import measured, random_dataset
from benchmarks.cost import iteration
from benchmarks.gpu import deadline, evaluations, part_cells, part_evaluation, part_speed, request, runner, worker
from benchmarks.gpu.command import chosen_parts
from benchmarks.gpu.deadline import Deadline
from benchmarks.gpu.findings import Findings
from benchmarks.gpu.parts import ALWAYS, PARTS, Part
from benchmarks.gpu.request import SCALES, Request
from benchmarks.precision import spread


def invoke(*arguments):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def here(name, folder, seconds, log):
    """A part in this process."""
    log.write_text("")
    worker.work(name, folder, seconds)
    return "done"


LIMITS = {"flop_per_second": 1e9, "bytes_per_second": 1e9}


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """Configuration of a small network, the parts in this process, the machine's ceilings known."""
    monkeypatch.setattr(runner, "_process", here)
    monkeypatch.setattr(part_speed, "ceilings", lambda *_: LIMITS)
    scale = replace(SCALES["cpu"], whole=("digits/bacon/ipc1",), repeated=2, clock={0.01: 1.0}, queued=0.001)
    for device in ("cpu", "cuda"):
        monkeypatch.setitem(request.SCALES, device, scale)
    config = tmp_path / "tiny.yaml"
    layer = {"network": {"width": 4}, "distillation": {"iterations": 60, "snapshot_interval": 60}}
    config.write_text(yaml.safe_dump({"preset": "smoke", "datasets": {"digits": layer}}))
    return config


def test_every_part_measures_and_lies_in_one_folder(tiny, tmp_path):
    folder, tests = tmp_path / "found", tmp_path / "test_one.py"
    tests.write_text("import pytest\n@pytest.mark.gpu\ndef test_one(): pass\ndef test_other(): assert False\n")
    given = ("--device", "cpu", "--threads", 1, "--rounds", 1, "--config", tiny, "--tests", tests, "--folder", folder)
    output = invoke("gpu", *given, "--profile")
    content = json.loads((folder / "gpu.json").read_text())
    assert [row["part"] for row in content["parts"]] == [part.name for part in PARTS]
    assert all(row["status"] == "done" for row in content["parts"])
    figures = {line["figure"]: line["measured"] for line in content["summary"]}
    cell = "digits/bacon/ipc1"
    for name in (
        f"iteration {cell} fp32, ms",
        f"iteration {cell} bf16 waited for, ms",
        f"roofline share {cell} bf16",
        f"iteration {cell} tf32, ms",
        f"evaluation {cell} tf32, s",
        "first block forward 8 tf32, us",
        "first block backward 8 fp32, us",
        "block, first and second derivatives 8 of 8x8 bf16, us",
        "price of equal bits fp32",
        f"evaluation {cell} bf16, s",
        "4 seeds one after another over at once digits/dm/ipc1 fp32",
        "iteration digits/dsa/ipc1 fp32, ms",
        "launched over replayed digits/dsa/ipc1 bf16",
        f"memory of {cell} resumed, GB",
        f"hours of {cell} fp32",
        "accuracy after 0.01 s, %",
        f"kernels of an iteration {cell} fp32",
        "seconds of the command",
    ):
        assert figures[name] > 0, name
    for what in ("two runs", "a resumed run", "two evaluations"):
        assert figures[f"equal bits of {what} bf16"] == 1
    assert (figures["tests passed"], figures["tests failed"]) == (1, 0)
    assert figures["hours of all cells fp32"] == figures[f"hours of {cell} fp32"]
    assert "launches" in output
    assert re.search(r"targets: \d+ reached, \d+ missed, 0 not measured", output)


@pytest.mark.gpu
@pytest.mark.long
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("part", [part.name for part in PARTS if part.name != "tests"])
def test_a_part_measures_on_a_gpu(tiny, tmp_path, part):
    folder = tmp_path / "found"
    profile = ["--profile"] if part == "profile" else []
    invoke("gpu", "--rounds", 1, "--config", tiny, "--folder", folder, "--part", part, *profile)
    (row,) = json.loads((folder / "gpu.json").read_text())["parts"]
    assert row["status"] == "done", row


def test_a_part_that_fails_stops_no_other_and_is_named(tmp_path):
    def start(name, folder, *_):
        if name == "kernels":
            return "failed"
        Findings(folder / f"{name}.json").figure("something", 7)
        return "done"

    parts = chosen_parts(("speed", "kernels", "cells"), profile=False)
    rows = runner.run(parts, asked(tmp_path), limit=300, start=start)
    assert [row["status"] for row in rows] == ["done", "failed", "done"]
    assert runner.findings(tmp_path, "cells")["figures"] == {"something": 7}
    assert runner.findings(tmp_path, "kernels") == {}


def test_a_failed_part_is_the_commands_failure_and_what_was_measured_stands(tmp_path, monkeypatch):
    def failing(name, folder, *_):
        if name == "cells":
            Findings(folder / "cells.json").figure("hours of all cells bf16", 2.0)
        return "failed"

    monkeypatch.setattr(runner, "_process", failing)
    arguments = ["gpu", "--device", "cpu", "--folder", str(tmp_path), "--part", "cells", "--part", "tests"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code != 0
    assert "failed, were stopped or not started: cells, tests. See " in str(result.exception)
    lines = json.loads((tmp_path / "gpu.json").read_text())["summary"]
    (line,) = [line for line in lines if line["figure"] == "hours of all cells bf16"]
    assert (line["measured"], line["target"], line["verdict"]) == (2.0, 3.0, "pass")


def asked(folder, **more):
    return Request(folder=folder, device="cpu", threads=1, **more)


def test_time_that_is_left_goes_to_later_parts_and_none_is_begun_without(tmp_path):
    given = {}

    def start(name, _, seconds, __):
        given[name] = seconds
        return "done"

    parts = [Part("first", 100, ""), Part("second", 50, ""), Part("third", 30, "")]
    runner.run(parts, asked(tmp_path), limit=180, start=start)
    assert [round(given[part.name]) for part in parts] == [100, 150, 180]
    given.clear()
    rows = runner.run(parts, asked(tmp_path), limit=18, start=start)
    assert {row["part"]: row["status"] for row in rows} == {"first": "done", "second": "done", "third": "done"}
    assert round(given["first"]) == 10
    assert runner.run(parts, asked(tmp_path), limit=9, start=start)[0]["status"] == "not started"


def test_a_part_that_takes_too_long_is_ended_with_what_it_has_started(tmp_path, monkeypatch):
    mark = tmp_path / "alive"
    script = f"(sleep 1; touch {mark}) & echo begun; wait"
    monkeypatch.setattr(runner, "command", lambda *_: ["sh", "-c", script])
    log = tmp_path / "log"
    assert runner._process("speed", tmp_path, 0.3, log) == "stopped"
    assert log.read_text() == "begun\n"
    time.sleep(1)
    assert not mark.exists()
    monkeypatch.setattr(runner, "command", lambda *_: ["sh", "-c", "exit 3"])
    assert runner._process("speed", tmp_path, 10, log) == "failed"


def test_a_request_is_read_as_it_was_written(tmp_path):
    request = asked(tmp_path, data=tmp_path, cells=("cifar10/dm/ipc1",), rounds=3)
    request.write(tmp_path / "request.json")
    assert Request.read(tmp_path / "request.json") == request


def test_work_begins_only_while_there_is_time_for_it(tmp_path):
    found = Findings(tmp_path / "found.json")
    deadline = Deadline(4.2)
    assert deadline.allows("one", found)
    time.sleep(0.25)
    assert not deadline.allows("another", found)
    assert found.skipped == {"another": "no time left in this part"}
    assert json.loads((tmp_path / "found.json").read_text())["skipped"] == found.skipped


def test_a_piece_is_taken_to_last_as_long_as_the_longest_of_its_kind(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(deadline.time, "monotonic", lambda: now[0])
    found = Findings(tmp_path / "found.json")
    limit = Deadline(60, spent=5.0)  # until 155
    for what, kind, seconds in (("short in bf16", "short", 2.0), ("long in bf16", "long", 30.0)):
        now[0] += 1.0
        assert limit.allows(what, found, kind=kind)
        now[0] += seconds
    assert limit.left() == 21  # 4 of them are kept for the end
    assert not limit.allows("long in tf32", found, kind="long")
    assert not limit.allows("anything", found)
    assert not limit.allows("the first of a kind", found, kind="new")
    assert not limit.allows("something slow", found, kind="short", least=20.0)
    assert limit.allows("short in tf32", found, kind="short")
    now[0] += 3.0
    limit.end(found)
    assert list(found.skipped) == ["long in tf32", "anything", "the first of a kind", "something slow"]
    # From one piece's begin to the next one's: nothing is left out, and what begins a part is a piece too.
    assert [(row["what"], row["seconds"]) for row in found.pieces] == [
        ("start", 6.0),
        ("short in bf16", 3.0),
        ("long in bf16", 30.0),
        ("short in tf32", 3.0),
    ]


def test_the_start_of_a_process_is_part_of_its_time(tmp_path, monkeypatch):
    def measure(_, found, limit):
        assert 52 < limit.left() <= 53
        assert limit.allows("something", found)

    monkeypatch.setattr(Part, "measure", lambda _: measure)
    asked(tmp_path).write(tmp_path / worker.REQUEST)
    worker.work("kernels", tmp_path, 60, begun=time.time() - 7)
    rows = json.loads((tmp_path / "kernels.json").read_text())["pieces"]
    assert [row["what"] for row in rows] == ["start", "something"]
    assert rows[0]["seconds"] == pytest.approx(7, abs=1)


def test_hours_are_taken_from_the_part_that_timed_the_cell_in_the_same_call(tiny, tmp_path):
    cell = "digits/bacon/ipc1"
    of_this_call = asked(tmp_path, config=tiny, cells=(cell,))
    speed = Findings(tmp_path / "speed.json")
    speed.row("iterations", cell=cell, precision="fp32", queued_seconds=[2.0, 7.0, 3.0], queued_at_a_time=9)
    iterations = measured(cell, tiny).matching.iterations
    of_this_call.write(tmp_path / worker.REQUEST)  # later than what `speed` found: that was another call
    os.utime(tmp_path / "speed.json", ns=(0, 0))
    part_cells.measure(of_this_call, found := Findings(tmp_path / "cells.json"), Deadline(300))
    assert [row["seconds"] < 1 for row in found.rows["cells"]] == [True, True]
    speed.figure("anything", 1)
    part_cells.measure(of_this_call, found := Findings(tmp_path / "cells.json"), Deadline(300))
    first, second = found.rows["cells"]
    assert (first["precision"], first["seconds"], first["measured_by"]) == ("fp32", 3.0, "speed")
    assert found.figures[f"hours of {cell} fp32"] == 3.0 * iterations / 3600 == found.figures["hours of all cells fp32"]
    assert (second["precision"], second["seconds"] < 1) == ("bf16", True)
    assert "measured_by" not in second


def test_parts_that_run():
    assert [part.name for part in chosen_parts((), profile=False)] == list(ALWAYS)
    assert [part.name for part in chosen_parts(("tests", "speed"), profile=True)] == ["speed", "profile", "tests"]
    assert sum(part.seconds for part in PARTS) <= 480


def test_the_memory_of_an_evaluation_needs_no_network_whose_like_was_trained(tiny, tmp_path):
    """On a CPU one network is trained at a time, and a second one takes its place."""
    config = yaml.safe_load(tiny.read_text())
    config["datasets"]["digits"]["evaluation"] = {"seeds": 4, "epochs": 1}
    tiny.write_text(yaml.safe_dump(config))
    evaluation = evaluations.Evaluation(measured("digits/bacon/ipc1", tiny), asked(tmp_path, config=tiny))
    assert [record.evaluation_seed for record in evaluation.run(some=True).records] == [0, 1]
    assert [record.evaluation_seed for record in evaluation.run().records] == [0, 1, 2, 3]


def test_memory_of_a_job_that_fails_says_why(tmp_path):
    with pytest.raises(BaconError, match=r"status 1:(.|\n)*nothing.h5: does not exist"):
        memory._run("distill", "digits/bacon/ipc1", "nothing.h5", str(tmp_path), "cpu", "1", "")


def test_memory_is_that_of_every_job_of_a_cell(tmp_path):
    output = tmp_path / "memory.json"
    invoke("memory", "--cell", "digits/bacon/ipc1", "--device", "cpu", "--output", output)
    (row,) = json.loads(output.read_text())["memory"]
    jobs = {"distill_cpu_bytes", "resume_cpu_bytes", "evaluate_cpu_bytes"}
    assert row.keys() == {"cell", "gpu_counted_bytes", *jobs}
    assert all(2e8 < row[job] < 4e9 for job in jobs)


def test_the_peak_is_of_this_process_alone():
    before = memory.peaks(torch.device("cpu"))["cpu_bytes"]
    held = torch.ones(2**28)  # 1 GiB
    assert memory.peaks(torch.device("cpu"))["cpu_bytes"] >= max(before, held.nbytes)


def test_precision_compares_seed_by_seed(tmp_path):
    config, output = tmp_path / "tiny.yaml", tmp_path / "precision.json"
    config.write_text(
        "preset: demo\n"
        "overrides:\n"
        "  digits/dm/ipc1/seed*: {distillation: {iterations: 2, batch_real: 8}, evaluation: {epochs: 2}, network: {width: 4}}\n"
    )
    invoke(
        "precision", "--cell", "digits/dm/ipc1", "--config", config, "--seeds", 2, "--device", "cpu", "--output", output
    )
    first, second = json.loads(output.read_text())["precision"]
    assert (first["precision"], second["precision"], first["n"]) == ("fp32", "bf16", 2)
    assert (first["difference"], first["difference_sd"]) == (0, 0)
    assert second["difference"] == pytest.approx(second["accuracy"] - first["accuracy"])
    assert spread([1.0]) == 0.0


def test_bfloat16_maps_are_half_the_bytes_of_the_same_operations():
    plain, halved = (measured("cifar10/bacon/ipc10", precision=precision) for precision in ("fp32", "bf16"))
    costs = [iteration(cell.matching, cell.settings.network, (3, 32, 32), [5000] * 10, 10) for cell in (plain, halved)]
    for part in ("real", "synthetic", "queue"):
        assert costs[0][part].flop == costs[1][part].flop
        assert costs[0][part].bytes == 2 * costs[1][part].bytes


class Theirs:
    """Stands in for a published program: every iteration takes 100 s, every epoch 10 s, the test 5 s."""

    def __init__(self, checkout, dataset, *, threads, specification, **arrays):
        assert (checkout, threads) == (Path("published"), 1)
        assert specification["do"] in ("distil", "evaluate")
        assert arrays.keys() == ({"images", "labels"} if specification["do"] == "evaluate" else set())
        assert dataset.name == "cifar10"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def ask(self, *, epochs=None):
        if epochs is None:
            return {"matching": 60.0, "queue": 40.0}
        return {"train": [1000.0] + [10.0] * (epochs - 1), "test": [5.0]}


@pytest.fixture
def beside(tiny, tmp_path, monkeypatch):
    """A request of one tiny CIFAR-10 cell, timed beside a published program."""
    for part in (part_speed, part_evaluation):
        monkeypatch.setattr(part, "Published", Theirs)
    images = random_dataset("cifar10", train_limit=400, test_limit=20)
    for module in (part_speed, part_evaluation, evaluations):
        monkeypatch.setattr(module, "images_of", lambda _: images)
    cells = ("cifar10/bacon/ipc1",)
    scale = replace(SCALES["cpu"], timed=cells, evaluated=cells, precisions=("fp32",), queued=0.001)
    monkeypatch.setitem(request.SCALES, "cpu", scale)
    config = yaml.safe_load(tiny.read_text())
    tiny.write_text(yaml.safe_dump(config | {"datasets": {"cifar10": config["datasets"]["digits"]}}))
    return asked(tmp_path, published=Path("published"), config=tiny, rounds=2)


def test_iterations_take_turns_with_the_published_program(beside, tmp_path):
    found = Findings(tmp_path / "speed.json")
    part_speed.measure(beside, found, Deadline(300))
    (row,) = found.rows["iterations"]
    assert row["published_seconds"] == [100.0, 100.0]
    ratios = [100 / seconds for seconds in row["queued_seconds"]]
    assert found.figures["published over ours cifar10/bacon/ipc1 fp32"] == statistics.median(ratios)


class InTurns:
    """Iterations and a published program, whose rounds take given seconds."""

    def __init__(self, ours, others):
        self.ours, self.others = iter(ours), iter(others)

    def queued(self, _):
        return next(self.ours)

    def ask(self, _):
        seconds = next(self.others, None)
        return None if seconds is None else {"matching": seconds, "queue": 0.0}


@pytest.mark.parametrize(
    ("ours", "others", "expected"),
    [
        ([1.0, 1.001, 1.0], [], 2),
        ([1.0, 1.1, 1.0], [], 3),
        ([1.0, 1.001, 1.0, 1.0], [9.0, 9.1, 9.2, 9.0], 3),
        ([1.0, 1.001, 1.0, 1.0, 1.0, 1.0], [9.0, 5.0, 9.0, 9.0, 9.0, 9.0], 5),
    ],
)
def test_a_cell_is_timed_until_its_rounds_agree(ours, others, expected, tmp_path):
    turns = InTurns(ours, others)
    work = part_speed.Speed(asked(tmp_path), Findings(tmp_path / "speed.json"), turns)
    assert work._turns("a cell", turns, 3, min(len(ours), 5)) == (ours[:expected], others[:expected])


def test_all_networks_are_timed_beside_as_many_published_ones(beside, tmp_path):
    found = Findings(tmp_path / "evaluation.json")
    part_evaluation.measure(beside, found, Deadline(300))
    (row,) = found.rows["evaluations"]
    epochs = measured("cifar10/bacon/ipc1", beside.config).settings.evaluation.epochs
    assert row["published_network_seconds"] == epochs * 10 + 5
    expected = row["networks"] * row["published_network_seconds"] / row["seconds"]
    assert found.figures["published over ours, evaluation cifar10/bacon/ipc1 fp32"] == expected
