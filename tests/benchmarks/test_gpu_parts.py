"""The parts of the GPU command: data, tests, profile, summary; what the command may import."""

import json
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from bacon.runtime.errors import BaconError
from benchmarks import published
from benchmarks.cells import ROOT, measured, random_dataset
from benchmarks.gpu import data, outcomes, part_tests
from benchmarks.gpu.deadline import Deadline
from benchmarks.gpu.findings import Findings
from benchmarks.gpu.iterations import Iterations, steady
from benchmarks.gpu.kernel_work import all_work
from benchmarks.gpu.part_accuracy import measure as measure_accuracy
from benchmarks.gpu.part_determinism import equal_bits
from benchmarks.gpu.part_profile import Span, idle, largest
from benchmarks.gpu.parts import PARTS
from benchmarks.gpu.published_programs import PublishedPrograms
from benchmarks.gpu.request import SCALES, Request
from benchmarks.gpu.runner import end_group
from benchmarks.gpu.summary import COLUMNS, Expected, Line, expectations, summary
from benchmarks.published import BACON_FILES, Published
from tests.waiting import wait_for

MISSING = ("snakemake", "matplotlib", "seaborn", "jinja2", "torchnet", "kornia")
"""What a bare GPU machine need not have."""


def test_a_methods_own_network_has_the_precision_that_is_asked_for():
    settings = measured("cifar10/frepo/ipc10", precision="bf16").settings
    assert (settings.network.precision, settings.distillation.network.precision) == ("bf16", "bf16")


def without_packages(code, *arguments):
    """Run Python code where the packages are missing that a bare machine lacks."""
    hidden = f"""
import importlib, sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {MISSING}:
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Missing())
"""
    command = [sys.executable, "-c", hidden + code, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_command_imports_nothing_that_a_bare_machine_lacks():
    code = """
import benchmarks.__main__, benchmarks.gpu.worker
from benchmarks.gpu.parts import PARTS
from bacon.distillation.algorithm import load_algorithm
from bacon.methods.registry import METHODS
for part in PARTS:
    part.measure()
importlib.import_module(METHODS["bacon"].algorithm.partition(":")[0])
"""
    done = without_packages(code)
    assert done.returncode == 0, done.stderr


def test_the_tests_for_a_gpu_import_nothing_that_a_bare_machine_lacks():
    arguments = ("-q", "--collect-only", "-m", "gpu", "-p", "no:cacheprovider", "-p", "no:xdist", "-o", "addopts=")
    code = "import pytest; sys.exit(pytest.main(sys.argv[1:]))"
    done = without_packages(code, *arguments, *part_tests.files_with_tests(("tests",)))
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(re.findall(r"^tests/methods/.*cuda", done.stdout, flags=re.MULTILINE)) > 200, (
        "the contract of every method"
    )


def picture(path, first, tiles, side):
    """Tiles of one colour each: tile t of the picture is (first + t) in every pixel and channel."""
    values = (first + np.arange(tiles**2)).astype(np.uint8).reshape(tiles, tiles)
    pixels = np.repeat(np.repeat(values, side, axis=0), side, axis=1)[..., None].repeat(3, axis=2)
    Image.fromarray(pixels).save(path, lossless=True, quality=60, method=4, exact=True)


@pytest.fixture
def tiles(tmp_path, monkeypatch):
    for name, value in (("_TILES", 2), ("_SIDE", 4), ("_TRAIN", 20)):
        monkeypatch.setattr(data, name, value)
    folder = tmp_path / "data" / "cifar10-webp"
    folder.mkdir(parents=True)
    for number in range(6):
        picture(folder / f"b{number}.webp", 4 * number, 2, 4)
    np.save(folder / "labels.npy", np.arange(24, dtype=np.uint8) % 10)
    return folder


def test_pictures_of_tiles_are_cifar10(tiles, tmp_path):
    made = data.with_cifar10(tiles.parent, tmp_path / "made")
    assert made == tmp_path / "made"
    with np.load(made / "cifar10.npz") as arrays:
        images = np.concatenate([arrays["x_train"], arrays["x_test"]])
        labels = np.concatenate([arrays["y_train"], arrays["y_test"]])
        assert len(arrays["y_test"]) == 4
    assert (images == np.arange(24).reshape(-1, 1, 1, 1)).all()
    assert (labels == np.arange(24) % 10).all()
    assert labels.dtype == np.int64


def test_tiles_that_are_not_cifar10_are_refused(tiles, tmp_path):
    np.save(tiles / "labels.npy", np.zeros(7))
    with pytest.raises(BaconError, match=r"labels\.npy: holds labels of shape \(7,\), not \(24,\)"):
        data.with_cifar10(tiles, tmp_path / "made")
    picture(tiles / "b3.webp", 0, 2, 5)
    with pytest.raises(BaconError, match=r"b3\.webp: is 10 x 10 pixels, not 8 x 8"):
        data.with_cifar10(tiles, tmp_path / "made")


def test_torchvisions_folder_is_read_by_torchvision(tmp_path, monkeypatch):
    (tmp_path / "cifar-10-batches-py").mkdir()
    with pytest.raises(BaconError, match=r"cifar-10-batches-py: .*not found or corrupted"):
        data.with_cifar10(tmp_path, tmp_path / "made")

    class Found:
        def __init__(self, root, *, train):
            assert root == str(tmp_path)
            self.data = np.full((3 if train else 2, 32, 32, 3), int(train), dtype=np.uint8)
            self.targets = [int(train)] * len(self.data)

    monkeypatch.setattr("torchvision.datasets.CIFAR10", Found)
    monkeypatch.setattr(data, "_TRAIN", 3)
    with np.load(data.with_cifar10(tmp_path, tmp_path / "made") / "cifar10.npz") as arrays:
        assert arrays["y_train"].tolist() == [1, 1, 1]
        assert arrays["x_test"].shape == (2, 32, 32, 3)


def test_a_folder_that_can_be_read_as_it_is_stays(tiles, tmp_path):
    (tiles.parent / "cifar10.npz").write_bytes(b"")
    assert data.with_cifar10(tiles.parent, tmp_path) == tiles.parent
    assert data.with_cifar10(tmp_path / "empty", tmp_path) == tmp_path / "empty"


def test_accuracy_without_data_is_said_to_be_left_out(tmp_path):
    found = Findings(tmp_path / "accuracy.json")
    measure_accuracy(Request(folder=tmp_path, device="cuda"), found, Deadline(10))
    assert found.skipped == {"accuracy": "no --data"}


def test_only_files_with_marked_tests_are_imported(tmp_path):
    (tmp_path / "test_a.py").write_text("import pytest\npytestmark = pytest.mark.gpu\n")
    (tmp_path / "test_b.py").write_text("import snakemake\n")
    assert part_tests.files_with_tests((str(tmp_path),)) == [tmp_path / "test_a.py"]
    assert len(part_tests.files_with_tests(("tests",))) >= 5
    names = {file.name for file in part_tests.files_with_tests(("tests",))}
    assert {"test_block_gpu.py", "test_classifier_gpu.py"} <= names, "their marks are imported"


MARK = "import pytest\npytestmark = pytest.mark.gpu\n"
PHASES = ("setup", "call", "teardown")


def run_tests(tmp_path, seconds=300):
    """What the part says of the tests in ``tmp_path``: its findings, and its error."""
    found = Findings(tmp_path / "tests.json")
    with pytest.raises(BaconError) as error:
        part_tests.measure(Request(folder=tmp_path, device="cpu", tests=(str(tmp_path),)), found, Deadline(seconds))
    return found, str(error.value)


def test_tests_that_fail_are_counted_and_fail_the_part_and_the_others_run(tmp_path):
    """Whichever way they fail: at their end, with their process, or because their file cannot be imported."""
    (tmp_path / "test_a.py").write_text(
        f"""{MARK}
import os
@pytest.fixture
def breaks():
    yield
    raise ValueError("at its end")
def test_passes(): pass
def test_fails(): assert False
def test_ends_badly(breaks): pass
def test_dies(): os._exit(3)
@pytest.mark.skip
def test_skipped(): pass
"""
    )
    (tmp_path / "test_b.py").write_text(f"{MARK}import nothing_of_this_name\n")
    (tmp_path / "test_c.py").write_text(f"{MARK}def test_passes(): pass\n")
    found, error = run_tests(tmp_path)
    assert found.figures == {"tests passed": 2, "tests failed": 4, "tests skipped": 1}
    for name in ("test_b.py", "test_fails", "test_ends_badly", "test_dies"):
        assert re.search(rf"tests failed: .*{name}", error), name
    rows = {row["file"].rpartition("/")[2]: row for row in found.rows["tests"]}
    assert [rows[name]["failed"] for name in ("test_a.py", "test_b.py", "test_c.py")] == [3, 1, 0]
    assert [rows[name]["passed"] for name in ("test_a.py", "test_b.py", "test_c.py")] == [1, 0, 1]
    assert [name.rpartition("::")[2] for name in rows["test_a.py"]["failures"]] == [
        "test_fails",
        "test_ends_badly",
        "test_dies",
    ]
    assert found.skipped == {}


def test_of_tests_that_end_late_it_is_said_which_had_ended_and_why_they_failed(tmp_path, monkeypatch, capsys):
    (tmp_path / "test_a.py").write_text(
        f"{MARK}import logging\ndef test_passes(): pass\n"
        "def test_fails():\n    logging.getLogger('bacon.some').info('a step is not recorded')\n    assert not 'so it failed'\n"
    )
    (tmp_path / "test_b.py").write_text(f"{MARK}import time\ndef test_late(): time.sleep(600)\n")

    def until_two_have_ended(files, path, count, *, seconds):
        assert 290 < seconds < 300
        with subprocess.Popen(part_tests.command(files, path, count), cwd=ROOT, start_new_session=True) as process:
            try:
                wait_for(lambda: sum(outcome.result != "late" for outcome in outcomes.read(path)) == 2)
            finally:
                end_group(process)

    monkeypatch.setattr(part_tests, "_run", until_two_have_ended)
    found, error = run_tests(tmp_path)
    assert found.figures == {"tests passed": 1, "tests failed": 1, "tests skipped": 0}
    assert re.search(r"test_fails; tests did not end in time: 2 of 3 had ended", error)
    ((late, why),) = found.skipped.items()
    assert re.fullmatch(r"tests of .*test_b\.py", late)
    assert why == "tests did not end in time: 2 of 3 had ended"
    assert re.search(r"FAILED .*test_fails\n(.|\n)*so it failed(.|\n)*a step is not recorded", capsys.readouterr().out)


def test_tests_are_ended_when_there_is_no_time_left(tmp_path, monkeypatch):
    monkeypatch.setattr(part_tests, "command", lambda *_: ["sleep", "600"])
    assert part_tests._run(["test_a.py"], tmp_path / "tests.jsonl", 2, seconds=0.1) is None


def test_an_outcome_that_was_not_written_to_its_end_is_late(tmp_path):
    """The process may be ended while it writes."""
    lines = [
        {"chosen": ["a", "b"]},
        *({"test": "a", "phase": phase, "outcome": "passed", "seconds": 1.0} for phase in PHASES),
    ]
    path = tmp_path / "tests.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"test": "b", "phase": "tear')
    assert [(outcome.name, outcome.result, outcome.seconds) for outcome in outcomes.read(path)] == [
        ("a", "passed", 3.0),
        ("b", "late", 0.0),
    ]
    assert outcomes.read(tmp_path / "nothing.jsonl") == []


def test_no_test_is_run_where_none_is_marked(tmp_path):
    (tmp_path / "test_a.py").write_text("def test_other(): assert False\n")
    found = Findings(tmp_path / "tests.json")
    part_tests.measure(Request(folder=tmp_path, device="cpu", tests=(str(tmp_path),)), found, Deadline(300))
    assert found.figures == {"tests passed": 0, "tests failed": 0, "tests skipped": 0}


@pytest.mark.parametrize(("cores", "expected"), [(1, 2), (6, 4), (16, 14), (128, 14)])
def test_a_worker_for_nearly_each_core(cores, expected, monkeypatch):
    monkeypatch.setattr(part_tests, "usable_cores", lambda: cores)
    assert part_tests.workers("cuda") == expected
    assert part_tests.workers("cpu") == 2


def test_time_in_which_no_kernel_runs():
    spans = [Span("a", 0, 4), Span("b", 2, 5), Span("c", 3, 4), Span("a", 8, 10)]
    assert idle(spans) == pytest.approx(3 / 10)
    assert idle(spans[:1]) == 0
    assert idle([]) == 1


def test_kernels_are_summed_and_the_largest_come_first():
    spans = [*(Span(f"small {n}", 10 * n, 10 * n + 1) for n in range(20)), Span("a", 0, 3000), Span("a", 0, 3000)]
    rows = largest(spans)
    assert len(rows) == 10
    assert rows[0] == {"kernel": "a", "ms": 2, "launches": pytest.approx(2 / 3), "share": pytest.approx(6000 / 6020)}


def test_states_are_compared_by_their_bits():
    state = {"a": [torch.tensor([0.0, float("nan")]), 3], "b": (torch.arange(3),)}
    same = {"a": [torch.tensor([0.0, float("nan")]), 3], "b": (torch.arange(3),)}
    assert equal_bits(state, same)
    assert not equal_bits(state, same | {"a": [torch.tensor([-0.0, float("nan")]), 3]})
    assert not equal_bits(state, same | {"a": [torch.tensor([0.0, float("nan")]), 4]})
    assert not equal_bits(state, same | {"b": (torch.arange(3).int(),)})
    assert not equal_bits(state, same | {"b": ()})


def expected(**values):
    return Expected(**{"part": "speed", "better": "lower", "target": None, "predicted": None, "before": None} | values)


@pytest.mark.parametrize(
    ("better", "measured", "verdict"),
    [
        ("lower", 2.0, "pass"),
        ("lower", 2.1, "MISS"),
        ("higher", 2.0, "pass"),
        ("higher", 1.9, "MISS"),
        ("lower", None, "not measured"),
    ],
)
def test_a_figure_against_its_target(better, measured, verdict):
    line = Line("x", measured, expected(better=better, target=2.0, predicted=4.0, before=8.0))
    assert line.verdict == verdict
    assert len(line.texts()) == len(COLUMNS)
    assert line.texts()[4:] == ("4", "" if measured is None else f"{measured / 4:.4g}", "8")
    assert line.plain()["verdict"] == verdict


def test_what_was_not_measured_is_in_the_summary_of_its_part():
    known = {"a": expected(target=1.0), "b": expected(part="cells", target=1.0), "c": expected()}
    lines = summary({"c": 2.0, "d": 3.0}, ["speed"], known)
    assert [(line.name, line.verdict) for line in lines] == [("a", "not measured"), ("c", ""), ("d", "")]
    assert [line.name for line in summary({"c": 2.0}, ["speed"], known, expected=False)] == ["c"]


def test_every_expected_figure_is_one_that_its_part_measures():
    names, scale = expectations(), SCALES["cuda"]
    precisions, cells = (*scale.precisions, *scale.others), (*scale.timed, *scale.evaluated)
    possible = {"seconds of the command", *(f"tests {how}" for how in ("passed", "failed"))}
    for cell in cells:
        for precision in precisions:
            possible |= {f"iteration {cell} {precision}{waited}, ms" for waited in ("", " waited for")}
            possible |= {f"{what} {cell} {precision}" for what in ("published over ours", "roofline share", "hours of")}
            possible |= {f"evaluation {cell} {precision}, s", f"published over ours, evaluation {cell} {precision}"}
    possible |= {f"4 seeds one after another over at once {cell} {precisions[0]}" for cell in scale.small}
    for cell in scale.methods:
        for precision in precisions:
            possible |= {f"iteration {cell} {precision}, ms", f"launched over replayed {cell} {precision}"}
    for precision in precisions:
        possible |= {f"hours of all cells {precision}", f"price of equal bits {precision}"}
        possible |= {f"equal bits of {what} {precision}" for what in ("two runs", "a resumed run", "two evaluations")}
        possible.add(f"share of the time without a kernel {scale.compared} {precision}")
    possible |= {
        f"memory of {cell} {job}, GB" for cell in scale.largest for job in ("distilled", "resumed", "evaluated")
    }
    for seconds in scale.clock:
        possible |= {f"accuracy after {seconds:g} s, %", f"iterations after {seconds:g} s"}
    narrow = replace(scale, width=1)
    possible |= {
        f"{work.name} {precision}, us"
        for work in all_work(narrow, "fp32", torch.device("cpu"))
        for precision in precisions
    }
    assert set(names) - possible == set()
    assert {about.part for about in names.values()} == {*(part.name for part in PARTS), "all"}
    assert {about.better for about in names.values()} == {"lower", "higher"}
    for name, about in names.items():
        assert (about.part == "others") == any(precision in name for precision in scale.others), name
        assert about.part != "others" or about.target is None, "what has a target does not wait for time that is left"


@pytest.mark.parametrize(("precision", "kind"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_the_first_block_is_timed_without_what_follows_it(precision, kind):
    scale = replace(SCALES["cpu"], width=4)
    works = {work.name: work for work in all_work(scale, precision, torch.device("cpu"))}
    maps = works["first block forward 8"].run()
    assert (maps.shape, maps.dtype, maps.requires_grad) == ((8, 4, 16, 16), kind, False)
    backward = works["first block backward 8"]
    torch.testing.assert_close(backward.first().detach(), maps, rtol=0, atol=0)
    filters, _, weight, bias = backward.run()
    assert [gradient.shape for gradient in (filters, weight, bias)] == [(4, 3, 3, 3), (4,), (4,)]
    assert all(gradient.norm() > 0 for gradient in (filters, weight, bias))


def test_a_cell_with_too_few_iterations_is_named(tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text("preset: smoke\n")
    cell = measured("digits/bacon/ipc1", config)

    class Real:
        device = torch.device("cpu")

    iterations = Iterations.__new__(Iterations)
    iterations.cell, iterations.device = cell, Real.device
    iterations.engine = type("E", (), {"iteration": 3, "algorithm": type("A", (), {"iterations": 4})})()
    with pytest.raises(BaconError, match="digits/bacon/ipc1/seed0: has 4 iterations, and 5 are measured"):
        iterations._check(2)


def test_rounds_end_when_another_one_would_say_nothing_new():
    assert steady([1.0, 1.009])
    assert not steady([1.0, 1.02])
    assert steady([1.0, 1.02], 0.1)
    assert not steady([1.0])


class Fake:
    """A published program that has started."""

    def __init__(self, error=None):
        self.asked, self.error = [], error

    def __enter__(self):
        if self.error:
            raise BaconError(self.error)
        return self

    def __exit__(self, *_):
        self.asked.append("end")

    def ask(self, **order):
        self.asked.append(order)
        return {"seconds": len(self.asked)}


def test_a_published_program_that_ends_leaves_ours_and_is_named():
    good, bad = Fake(), Fake("no torchnet")
    with PublishedPrograms({"good": good, "bad": bad}, epochs=3) as programs:
        programs.wait()
        assert programs.started()
        assert programs.ask("good") == {"seconds": 2}
        assert programs.ask("bad") is None
        assert programs.ask("other") is None
        with pytest.raises(BaconError, match="bad: no torchnet"):
            programs.check()
    assert good.asked == [{"epochs": 3}, {"epochs": 3}, "end"]


def test_a_published_program_that_ends_between_its_turns_leaves_ours_too(tmp_path, monkeypatch):
    for name in BACON_FILES:
        (tmp_path / name).write_text("")
    driver = tmp_path / "benchmarks" / "published_driver.py"
    driver.parent.mkdir()
    driver.write_text("for _ in range(2): print('{}', flush=True)\nraise SystemExit('out of memory')\n")
    monkeypatch.setattr(published, "ROOT", tmp_path)
    program = Published(tmp_path, random_dataset("digits"), threads=1, specification={})
    with PublishedPrograms({"bad": program}) as programs:
        programs.wait()
        program._process.wait()
        assert [programs.ask("bad") for _ in range(2)] == [None, None]
        with pytest.raises(BaconError, match=r"bad: .* ended with status 1: out of memory"):
            programs.check()
