"""Full and read-only disks, damaged inputs, two calls at once: a clear error, and the right result after the next call."""

import os
import re
import signal
import subprocess
import sys

import h5py
import numpy as np
import pytest
import torch

from bacon.artifacts.checkpoint import Checkpoint, CheckpointStore
from bacon.artifacts.distilled_file import DistillationResult, read_distilled, write_distilled
from bacon.artifacts.synthetic_set import SyntheticSet
from bacon.runtime.heartbeat import read_progress
from bacon.settings.cells import Cell
from tests.faults.disks import FULL, READ_ONLY, disk
from tests.faults.kills import CONFIG, command, prepare, target
from tests.waiting import wait_for
from tests.workflow.conftest import Project

pytestmark = pytest.mark.faults

MIB = 1024 * 1024
CELL = "results/distilled/digits/bacon/ipc1/seed0.h5"


@pytest.fixture
def project(tmp_path):
    prepare(tmp_path / "work")
    return Project(tmp_path / "work", inherits=True)


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """The images of the cell on a healthy disk."""
    folder = tmp_path_factory.mktemp("healthy") / "work"
    prepare(folder)
    subprocess.run(command(folder, CELL), cwd=folder, capture_output=True, check=True)
    return read_distilled(folder / CELL).synthetic.images


def result(images: torch.Tensor) -> DistillationResult:
    return DistillationResult(synthetic=SyntheticSet(images=images, classes=torch.arange(len(images))))


def test_a_disk_that_is_full_during_hdf5_output_leaves_the_old_file(tmp_path):
    generator = torch.Generator().manual_seed(0)
    small = result(torch.rand(10, 1, 8, 8, generator=generator))
    large = result(torch.rand(1000, 3, 32, 32, generator=generator))
    with disk(tmp_path / "disk") as place:
        path = place.folder / "set.h5"
        write_distilled(path, small)
        place.fill(MIB)
        with pytest.raises(OSError, match=FULL):
            write_distilled(path, large)
        assert torch.equal(read_distilled(path).synthetic.images, small.synthetic.images)
        assert [file.name for file in path.parent.iterdir()] == ["set.h5"]
        place.heal()
        write_distilled(path, large)
        assert torch.equal(read_distilled(path).synthetic.images, large.synthetic.images)


def test_a_disk_that_is_full_during_a_checkpoint_keeps_the_one_before(tmp_path):
    with disk(tmp_path / "disk") as place:
        store = CheckpointStore(folder=place.folder / "cell", fingerprint="f" * 32)
        state = {"images": torch.arange(400_000, dtype=torch.float32)}
        assert store.save(Checkpoint(iteration=1, seconds=1.0, state=state))
        place.fill(MIB)
        assert not store.save(Checkpoint(iteration=2, seconds=2.0, state=state))
        kept = store.load(torch.device("cpu"))
        assert kept.iteration == 1
        assert torch.equal(kept.state["images"], state["images"])
        assert [path.name for path in store.own.iterdir()] == ["000000001.ckpt"]


@pytest.mark.parametrize("before", [[], ["results/data/digits.h5"]], ids=["preparing data", "distilling"])
def test_a_full_disk_stops_a_run_with_a_clear_error_and_the_next_call_ends_well(project, expected, before):
    """Too little for either HDF5 file, and for a checkpoint, without which a distillation goes on to its end."""
    with disk(project.path("results")) as place:
        for path in before:
            project.snakemake(path)
        place.fill(MIB // 16)
        run = project.snakemake(CELL, check=False)
        assert run.returncode != 0
        # Where the job's log, which is on this disk, has no room for its last line either, the workflow says what it may be.
        assert re.search(f"ERROR .*({FULL})|without an error message: .*the disk is full", run.output)
        assert bool(before) == ("then run snakemake again: finished work is kept" in run.output)
        assert bool(before) == ("could not be written" in run.output), (
            "each checkpoint that the disk refused is in the log"
        )
        assert not project.path(CELL).exists()
        place.heal()
        project.snakemake(CELL)
        assert torch.equal(read_distilled(project.path(CELL)).synthetic.images, expected)


def test_read_only_results_are_a_clear_error(project, expected):
    with disk(project.path("results")) as place:
        project.snakemake("results/data/digits.h5")
        place.refuse()
        run = project.snakemake(CELL, check=False)
        assert run.returncode != 0
        assert READ_ONLY in run.output
        place.heal()
        project.snakemake(CELL)
        assert torch.equal(read_distilled(project.path(CELL)).synthetic.images, expected)


def test_a_figure_on_a_full_disk_fails_and_is_drawn_by_the_next_call(project):
    project.configure(CONFIG | {"grid": CONFIG["grid"] | {"seeds": 1}})
    images = ("results/figures/images/digits_bacon_ipc1.png", "results/figures/images/digits_bacon_ipc1.pdf")
    project.snakemake(CELL)
    with disk(project.path("results/figures")) as place:
        place.fill(MIB // 32)
        run = project.snakemake(images[0], check=False)
        assert run.returncode != 0
        assert re.search(f"ERROR .*({FULL}).*; free some space.*then run snakemake again", run.output)
        assert not any(project.path(image).exists() for image in images)
        place.heal()
        project.snakemake(images[0])
        assert all(project.path(image).stat().st_size > 10_000 for image in images)


@pytest.mark.parametrize("how", ["cut short", "other bytes"])
def test_a_damaged_distilled_set_is_never_used(project, expected, how):
    project.snakemake(CELL)
    path = project.path(CELL)
    content = bytearray(path.read_bytes())
    if how == "cut short":
        path.write_bytes(content[: len(content) // 2])
        run = project.snakemake(target(0))
        assert run.jobs["distill"] == 1, "a file that says nothing of itself is made again"
    else:
        _spoil(path, "images")
        run = project.snakemake(target(0), check=False)
        assert run.returncode != 0
        assert "seed0.h5: not a readable distilled set" in run.output
        assert "delete it and run snakemake again" in run.output
        path.unlink()
        project.snakemake(target(0))
    assert torch.equal(read_distilled(path).synthetic.images, expected)


def test_a_damaged_data_set_is_never_used(project, expected):
    data = project.path("results/data/digits.h5")
    project.snakemake("results/data/digits.h5")
    _spoil(data, "train/images")
    run = project.snakemake(CELL, check=False)
    assert run.returncode != 0
    assert re.search(r"ERROR .*digits\.h5: truncated or damaged .*Delete it and run the workflow again", run.output)
    data.unlink()
    project.snakemake(CELL)
    assert torch.equal(read_distilled(project.path(CELL)).synthetic.images, expected)


def _spoil(path, name):
    """Change a byte of a stored array, whose checksum then is wrong."""
    with h5py.File(path) as file:
        where = file[name].id.get_chunk_info(0).byte_offset
    with path.open("r+b") as file:
        file.seek(where + 20)
        byte = file.read(1)
        file.seek(where + 20)
        file.write(bytes([byte[0] ^ 0xFF]))


def test_two_calls_on_one_folder_do_not_disturb_each_other(project, expected):
    """The second comes while a job of the first sleeps, so that it comes in time on any machine."""
    first = subprocess.Popen(
        command(project.folder, CELL), cwd=project.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    beat = project.path(str(Cell("digits", "bacon", 1, 0).running_path("distill")))
    pid = wait_for(lambda: read_progress(beat)).pid
    os.kill(pid, signal.SIGSTOP)
    second = project.snakemake(CELL, check=False)
    os.kill(pid, signal.SIGCONT)
    assert second.returncode != 0
    assert "LockException" in second.output or "cannot be locked" in second.output
    assert first.wait(600) == 0
    assert torch.equal(read_distilled(project.path(CELL)).synthetic.images, expected)


def test_clock_jumps_change_nothing(tmp_path):
    """The wall clock runs backwards by a year with every call; results and measured times do not notice."""
    code = (
        "import sys, time, itertools\n"
        "jumps = itertools.count(2_000_000_000, -31_536_000)\n"
        "time.time = lambda: float(next(jumps))\n"
        "sys.argv[0] = sys.argv.pop(1)\n"
        "exec(compile(open(sys.argv[0]).read(), sys.argv[0], 'exec'), {'__name__': '__main__'})\n"
    )
    prepare(tmp_path / "work")
    project = Project(tmp_path / "work")
    project.snakemake("results/data/digits.h5")
    script = project.snakefile.parent / "scripts" / "distill.py"
    seconds, images = [], []
    for number, program in enumerate(([script], ["-c", code, script])):
        output = project.path(f"{number}.h5")
        command_line = [
            sys.executable, *map(str, program), "--config", "config/config.yaml", "--cell", "digits/bacon/ipc1/seed0",
            "--data", "results/data/digits.h5", "--output", str(output),
        ]  # fmt: skip
        subprocess.run(command_line, cwd=project.folder, check=True, capture_output=True)
        images.append(read_distilled(output).synthetic.images)
        seconds.append(read_distilled(output).attributes["wall_seconds"])
    assert np.array_equal(images[0], images[1])
    assert 0 < seconds[1] < 3600
