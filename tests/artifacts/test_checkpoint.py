"""A distillation that is stopped anywhere ends with the bits of one that never was; bad checkpoints are set aside."""

import errno
import logging
import os
import signal
import subprocess
import sys
import tracemalloc
import weakref
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from bacon.artifacts import checkpoint
from bacon.artifacts import snapshots as snapshots_module
from bacon.artifacts.checkpoint import Checkpoint, CheckpointStore
from bacon.artifacts.distilled_file import read_distilled
from bacon.artifacts.synthetic_set import SyntheticSet
from bacon.distillation import cell_run
from bacon.distillation import driver as distillation_run
from bacon.distillation.driver import CellIdentity, Running, distil_cell
from bacon.distillation.engine import Engine
from bacon.distillation.matching.embedding_matching import EmbeddingMatching
from bacon.methods.registry import METHODS
from bacon.runtime.atomic import TEMPORARY
from bacon.runtime.errors import BaconError
from bacon.runtime.heartbeat import Heartbeat, read_progress
from bacon.runtime.progress import Progress
from bacon.runtime.used import Used
from bacon.settings.cell_settings import CellSettings
from tests.distillation.conftest import toy_dataset
from tests.distillation.engines import NETWORK, make_engine, settings

CPU = torch.device("cpu")
IDENTITY = CellIdentity(dataset="toy", method="bacon", ipc=2, seed=3, fingerprint="f" * 32, data_fingerprint="d" * 32)


@pytest.fixture(autouse=True)
def _log_is_seen(monkeypatch, caplog):
    caplog.set_level(logging.INFO, "bacon")
    monkeypatch.setattr(logging.getLogger("bacon"), "propagate", True)


@pytest.fixture
def store(tmp_path):
    return CheckpointStore(folder=tmp_path / "checkpoints", fingerprint=IDENTITY.fingerprint)


def distil(
    tmp_path, monkeypatch, *, method="bacon", name="result", checkpoint_seconds=0.0, stop_at=None, use=Used, **changes
):
    """Run a cell of the toy data set into ``name``; ``stop_at``: SIGTERM arrives during that iteration."""
    monkeypatch.setattr(distillation_run, "read_training", lambda *_, **__: toy_dataset())
    step, done = Engine.step, []

    def stepping(engine):
        if engine.iteration == stop_at:
            os.kill(os.getpid(), signal.SIGTERM)
        step(engine)
        done.append(engine.iteration)

    running = Running(
        checkpoints=CheckpointStore(folder=tmp_path / "checkpoints", fingerprint=IDENTITY.fingerprint),
        heartbeat=Heartbeat(
            tmp_path / "beat.json", fingerprint=IDENTITY.fingerprint, device="CPU", interval=0.0, use=use
        ),
        checkpoint_seconds=checkpoint_seconds,
        progress_seconds=10.0,
    )
    cell = CellSettings(network=NETWORK, distillation=settings(method, iterations=12, **changes))
    output = tmp_path / f"{name}.h5"
    with monkeypatch.context() as patch:
        patch.setattr(Engine, "step", stepping)
        try:
            algorithm = METHODS[method].algorithm
            distil_cell(IDENTITY, cell, algorithm, data=tmp_path, output=output, device=CPU, running=running)
        except SystemExit as error:
            return SimpleNamespace(status=error.code, done=done, output=output)
    return SimpleNamespace(status=0, done=done, output=output)


def assert_same_numbers(first, second):
    one, two = read_distilled(first), read_distilled(second)
    assert one.synthetic.equals(two.synthetic)
    assert one.snapshots.keys() == two.snapshots.keys()
    assert all(one.snapshots[key].equals(two.snapshots[key]) for key in one.snapshots)
    assert one.history.keys() == two.history.keys()
    assert all(np.array_equal(one.history[key], two.history[key]) for key in one.history)


@pytest.mark.parametrize(
    ("method", "changes"), [("bacon", {}), ("idm", {"networks": {"networks_trained": 1}}), ("dm", {})]
)
@pytest.mark.parametrize("stop_at", [0, 3, 11])
def test_resume_is_bit_identical(tmp_path, monkeypatch, method, changes, stop_at):
    whole = distil(tmp_path / "whole", monkeypatch, method=method, **changes)
    part = distil(tmp_path / "parts", monkeypatch, method=method, stop_at=stop_at, checkpoint_seconds=1e6, **changes)
    assert part.status == 128 + signal.SIGTERM
    assert part.done == list(range(1, stop_at + 2))
    assert not part.output.exists()
    rest = distil(tmp_path / "parts", monkeypatch, method=method, **changes)
    assert rest.done == list(range(stop_at + 2, 13)), "it must not begin again"
    assert_same_numbers(whole.output, rest.output)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_signals_ask_for_a_checkpoint_once_and_then_act_as_always(number):
    from bacon.runtime.signals import deferred_stop

    before = signal.getsignal(number)
    with deferred_stop() as stop:
        assert stop.number is None
        os.kill(os.getpid(), number)
        assert stop.number == number
        assert stop.exit_status() == 128 + number
        assert signal.getsignal(number) == before
    assert signal.getsignal(number) == before


def test_two_checkpoints_are_kept_and_none_at_the_end(tmp_path, monkeypatch, store):
    stopped = distil(tmp_path, monkeypatch, stop_at=7)
    assert stopped.status == 143
    assert [path.stem for path in store.paths()] == ["000000008", "000000007"]
    distil(tmp_path, monkeypatch)
    assert not store.folder.exists()
    assert not (tmp_path / "beat.json").exists()


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-1],
        lambda content: content[:0],
        lambda content: content[:-1000] + bytes([content[-1000] ^ 255]) + content[-999:],
        lambda content: content.replace(b'"version": 3', b'"version": 9', 1),
        lambda content: content.replace(b"f" * 32, b"e" * 32, 1),
        lambda content: content.replace(f'"torch": "{torch.__version__}"'.encode(), b'"torch": "0.0"', 1),
        lambda content: b"[1]\n" + content,
    ],
)
def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_it_is_used(tmp_path, monkeypatch, store, caplog, damage):
    whole = distil(tmp_path / "whole", monkeypatch)
    distil(tmp_path, monkeypatch, stop_at=7)
    newest = store.paths()[0]
    content = newest.read_bytes()
    newest.write_bytes(damage(content))
    assert newest.read_bytes() != content
    caplog.clear()
    rest = distil(tmp_path, monkeypatch)
    assert rest.done[0] == 8
    assert len([record for record in caplog.records if "set aside" in record.message]) == 1
    assert_same_numbers(whole.output, rest.output)


def test_what_a_killed_job_was_still_writing_is_no_checkpoint(tmp_path, monkeypatch, store, caplog):
    distil(tmp_path, monkeypatch, stop_at=7)
    whole = store.paths()
    (whole[0].parent / f"{TEMPORARY}abc-{whole[0].name}").write_bytes(b"half")
    assert store.paths() == whole
    caplog.clear()
    assert distil(tmp_path, monkeypatch).done[0] == int(whole[0].stem) + 1
    assert "set aside" not in caplog.text


def test_with_every_checkpoint_damaged_it_begins_again(tmp_path, monkeypatch, store):
    whole = distil(tmp_path / "whole", monkeypatch)
    distil(tmp_path, monkeypatch, stop_at=7)
    for path in store.paths():
        path.write_bytes(b"nothing")
    rest = distil(tmp_path, monkeypatch)
    assert rest.done[0] == 1
    assert_same_numbers(whole.output, rest.output)


def test_checkpoints_of_other_settings_are_left_alone_with_one_line(tmp_path, monkeypatch, store, caplog):
    distil(tmp_path, monkeypatch, stop_at=7)
    store.own.rename(store.folder / ("0" * 32))
    caplog.clear()
    assert CheckpointStore(folder=store.folder, fingerprint="f" * 32).load(CPU) is None
    assert [record.message for record in caplog.records] == [
        f"checkpoints of other settings, data or code are not used: {'0' * 32}"
    ]
    assert len(list((store.folder / ("0" * 32)).glob("*.ckpt"))) == 2


def test_a_state_is_not_continued_with_another_order_of_sums(store, caplog):
    """And waits for the value that it was made with."""
    free = CheckpointStore(folder=store.folder, fingerprint=store.fingerprint, deterministic=False)
    for one, iteration in ((store, 3), (free, 7)):
        caplog.clear()
        assert one.load(CPU) is None
        one.save(Checkpoint(iteration=iteration, seconds=1.0, state={"iteration": iteration}))
    assert caplog.records[0].message == (
        "checkpoints made with run.deterministic: true are not continued with the other value"
    )
    for one, iteration in ((store, 3), (free, 7)):
        kept = one.load(CPU)
        assert kept is not None
        assert kept.iteration == iteration
    store.remove()
    assert free.paths() == []


def test_a_full_disk_during_a_checkpoint_costs_that_checkpoint_alone(tmp_path, monkeypatch, store, caplog):
    whole = distil(tmp_path / "whole", monkeypatch)
    distil(tmp_path, monkeypatch, stop_at=4)
    before = [path.read_bytes() for path in store.paths()]

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("torch.save", full)
        assert not store.save(Checkpoint(iteration=99, seconds=1.0, state={}))
    assert "No space left" in caplog.text
    assert [path.read_bytes() for path in store.paths()] == before
    others = {path.suffix for path in store.own.iterdir()} - {".ckpt", ".snapshot"}
    assert not others, "nothing half-written stays"
    rest = distil(tmp_path, monkeypatch)
    assert_same_numbers(whole.output, rest.output)


def test_wall_seconds_count_every_part_even_a_killed_one(tmp_path, monkeypatch):
    now = SimpleNamespace(value=0.0)
    monkeypatch.setattr("time.monotonic", lambda: now.value)
    first = Heartbeat(tmp_path / "beat.json", fingerprint="f" * 32, device="CPU", interval=1.0)
    now.value = 50.0
    first.write(5, 12, 0.1)  # and killed: nothing else is written
    monkeypatch.setattr(Engine, "step", _advancing(Engine.step, now, 10.0))
    finished = distil(tmp_path, monkeypatch)
    assert read_distilled(finished.output).attributes["wall_seconds"] == pytest.approx(50 + 12 * 10)
    other = Heartbeat(tmp_path / "beat.json", fingerprint="0" * 32, device="CPU", interval=1.0)
    assert other.seconds() == 0.0, "the time of another fingerprint is not this job's"


def test_a_part_that_ends_writes_its_time_whatever_the_interval(tmp_path, monkeypatch):
    now, path = SimpleNamespace(value=0.0), tmp_path / "beat.json"
    monkeypatch.setattr("time.monotonic", lambda: now.value)
    beat = Heartbeat(path, fingerprint="f" * 32, device="CPU", interval=1000.0)

    def part():
        with Progress("part", 3, heartbeat=beat) as progress:
            now.value = 20.0
            progress.advance()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        part()
    later = Heartbeat(path, fingerprint="f" * 32, device="CPU", interval=1000.0)
    assert (later.earlier_seconds, read_progress(path).done) == (20.0, 1)


def test_energy_and_peak_memory_are_those_of_all_parts(tmp_path, monkeypatch):
    first = Used(joules=40.0, share=1.0, source="RAPL", peak_memory_bytes=2**50)
    stopped = distil(tmp_path, monkeypatch, method="dm", stop_at=3, use=lambda: first)
    assert stopped.status == 128 + signal.SIGTERM
    later = Used(joules=60.0, share=0.5, source="RAPL", peak_memory_bytes=1)
    found = read_distilled(distil(tmp_path, monkeypatch, method="dm", use=lambda: later).output).attributes
    assert (found["energy_joules"], found["energy_source"]) == (100.0, "RAPL")
    assert found["energy_share"] == pytest.approx(0.7)
    assert found["peak_memory_bytes"] == 2**50
    unknown = read_distilled(distil(tmp_path, monkeypatch, method="dm", name="unknown").output).attributes
    assert not [name for name in unknown if name.startswith("energy")], "what is unknown is not said"


def _advancing(step, now, seconds):
    def stepping(engine):
        step(engine)
        now.value += seconds

    return stepping


def test_a_diverged_state_stops_with_iteration_and_terms_and_the_last_good_checkpoint_stays(
    tmp_path, monkeypatch, store
):
    distil(tmp_path, monkeypatch, stop_at=4)
    good = [path.name for path in store.paths()]
    record = EmbeddingMatching.gradient

    def diverging(algorithm, iteration, drawn):
        gradient, terms = record(algorithm, iteration, drawn)
        return gradient, terms | ({"loss": terms["loss"] * float("nan")} if iteration == 8 else {})

    monkeypatch.setattr(EmbeddingMatching, "gradient", diverging)
    with pytest.raises(BaconError, match=r"iteration 8: the loss is not finite \(.*llh = .*loss = nan"):
        distil(tmp_path, monkeypatch, checkpoint_seconds=1e6)
    assert [path.name for path in store.paths()] == good
    with pytest.raises(BaconError, match="iteration 8"):
        distil(tmp_path, monkeypatch)
    assert store.paths()[0].stem == "000000008", "checkpoints until the iteration that diverged are good"


def test_images_that_are_not_finite_are_found_though_the_loss_was(tmp_path, monkeypatch):
    monkeypatch.setattr(EmbeddingMatching, "gradient", _with_infinite_gradient(EmbeddingMatching.gradient))
    with pytest.raises(BaconError, match="iteration 11: the images are not finite"):
        distil(tmp_path, monkeypatch, checkpoint_seconds=1e6)


def _with_infinite_gradient(gradient):
    def changed(algorithm, iteration, drawn):
        found, terms = gradient(algorithm, iteration, drawn)
        return (found / 0 if iteration == 11 else found), terms

    return changed


def test_saving_does_not_disturb_the_run(real64):
    """An engine that saves its state after every iteration computes what one does that never saves."""
    engines = [make_engine(real64, settings("bacon"), ipc=2, seed=3) for _ in range(2)]
    with Progress("plain", 6) as progress:
        engines[0].run(progress)
    with Progress("saving", 6) as progress:
        engines[1].run(progress, lambda: engines[1].state_dict() and None)
    assert torch.equal(engines[0].algorithm.images, engines[1].algorithm.images)


@pytest.fixture
def real64():
    from bacon.distillation.real_images import RealImages

    return RealImages(toy_dataset(), device=CPU, dtype=torch.float64)


def test_snapshots_are_written_once_and_named_by_every_checkpoint(tmp_path, monkeypatch):
    written = []
    original = checkpoint.write_checked
    for module in (checkpoint, snapshots_module):
        monkeypatch.setattr(
            module, "write_checked", lambda path, *rest: written.append(path.name) or original(path, *rest)
        )
    whole = distil(tmp_path / "whole", monkeypatch)
    written.clear()
    distil(tmp_path, monkeypatch, stop_at=7)
    rest = distil(tmp_path, monkeypatch)
    assert_same_numbers(whole.output, rest.output)
    snapshots = [name for name in written if name.endswith(".snapshot")]
    assert len(snapshots) == len(set(snapshots)) == len(read_distilled(rest.output).snapshots) > 2
    assert len([name for name in written if name.endswith(".ckpt")]) == 12


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(path.read_bytes()[:-3])])
def test_a_checkpoint_whose_snapshot_is_damaged_is_set_aside(tmp_path, monkeypatch, store, caplog, damage):
    whole = distil(tmp_path / "whole", monkeypatch)
    distil(tmp_path, monkeypatch, stop_at=7)
    damage(max(store.own.glob("*.snapshot")))  # of iteration 8: the checkpoint of iteration 7 does not name it
    caplog.clear()
    rest = distil(tmp_path, monkeypatch)
    assert rest.done[0] == 8
    assert "the snapshot of iteration 8 is damaged" in caplog.text
    assert_same_numbers(whole.output, rest.output)


def test_a_checkpoint_is_never_in_memory_twice(tmp_path):
    large = SyntheticSet(images=torch.zeros(8, 4, 2**9, 2**9), classes=torch.arange(8))
    state = {"images": torch.zeros(16, 2**20), "snapshots": {0: large}}
    store = CheckpointStore(folder=tmp_path, fingerprint="f" * 32)
    tracemalloc.start()
    try:
        assert store.save(Checkpoint(iteration=1, seconds=1.0, state=state))
        assert tracemalloc.get_traced_memory()[1] < 8 * 2**20, "64 MiB of images"
        fresh = CheckpointStore(folder=tmp_path, fingerprint="f" * 32)
        kept = fresh.load(CPU)
        assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    finally:
        tracemalloc.stop()
    assert kept.state["snapshots"][0].equals(large)
    assert torch.equal(kept.state["images"], state["images"])


def test_a_job_keeps_no_snapshot_in_memory(tmp_path, monkeypatch):
    """Every snapshot is on the disk when the next iteration begins, and nobody holds it, without any checkpoint."""
    alive, step = [], Engine.step
    add = snapshots_module.Snapshots.__setitem__

    def adding(snapshots, iteration, synthetic):
        alive.extend((weakref.ref(synthetic), weakref.ref(synthetic.images)))
        add(snapshots, iteration, synthetic)

    def stepping(engine):
        assert all(part() is None for part in alive)
        assert len(list(tmp_path.rglob("*.snapshot"))) == len(alive) / 2 > 0
        step(engine)

    monkeypatch.setattr(snapshots_module.Snapshots, "__setitem__", adding)
    monkeypatch.setattr(Engine, "step", stepping)
    done = distil(tmp_path, monkeypatch, checkpoint_seconds=1e6, snapshot_interval=3)
    assert list(read_distilled(done.output).snapshots) == [0, 3, 6, 9, 12]
    assert len(alive) == 10


def test_a_snapshot_that_the_disk_refuses_stays_in_memory_until_a_checkpoint_writes_it(
    tmp_path, monkeypatch, store, caplog
):
    whole = distil(tmp_path / "whole", monkeypatch, snapshot_interval=3)
    original, refused = snapshots_module.write_checked, []

    def full_once(path, *rest):
        if path.name == "000000003.snapshot" and not refused:
            refused.append(path)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return original(path, *rest)

    monkeypatch.setattr(snapshots_module, "write_checked", full_once)
    distil(tmp_path, monkeypatch, stop_at=4, checkpoint_seconds=1e6, snapshot_interval=3)
    assert (
        "snapshot of iteration 3 could not be written ([Errno 28] No space left on device) and is kept in memory"
    ) in caplog.text
    assert list(store.load(CPU).state["snapshots"]) == [0, 3]
    rest = distil(tmp_path, monkeypatch, snapshot_interval=3)
    assert rest.done[0] == 6
    assert_same_numbers(whole.output, rest.output)


def test_on_a_disk_that_takes_no_snapshot_a_job_still_ends_well(tmp_path, monkeypatch):
    whole = distil(tmp_path / "whole", monkeypatch)

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(snapshots_module, "write_checked", full)
    assert_same_numbers(whole.output, distil(tmp_path, monkeypatch).output)


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(path.read_bytes()[:-3])])
def test_a_snapshot_that_is_lost_while_the_job_runs_is_an_error_and_the_next_run_mends_it(
    tmp_path, monkeypatch, store, damage
):
    whole = distil(tmp_path / "whole", monkeypatch, snapshot_interval=3)
    step = Engine.step

    def losing(engine):
        step(engine)
        if engine.iteration == 8:
            damage(store.own / "000000006.snapshot")

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "step", losing)
        with pytest.raises(BaconError, match=r"000000006\.snapshot: .*damaged or removed .*run snakemake again"):
            distil(tmp_path, monkeypatch, snapshot_interval=3)
    rest = distil(tmp_path, monkeypatch, snapshot_interval=3)
    assert rest.done[0] == 1, "no kept checkpoint is older than that snapshot"
    assert_same_numbers(whole.output, rest.output)


def test_whatever_write_a_disk_refuses_first_the_old_artifact_stays_and_the_process_lives(tmp_path):
    """Each write in turn, in a process of its own: HDF5 crashes some time after a write that it saw fail."""
    code = """
import errno, io, sys
from pathlib import Path
import torch
from bacon.artifacts import distilled_file as artifact
from bacon.artifacts.synthetic_set import SyntheticSet

def drawn():
    return SyntheticSet(images=torch.rand(10, 3, 8, 8), classes=torch.arange(10), soft=torch.rand(10, 10), soft_kind="logits")

folder, made = Path(sys.argv[1]), artifact.DistillationResult(synthetic=drawn(), attributes={"settings": {"a": 1}},
    snapshots={i: drawn() for i in range(40)}, history={"loss": torch.rand(50).numpy()})
path = folder / "set.h5"
artifact.write_distilled(path, made)
whole, counts = path.read_bytes(), [0, 10**9]
open_path = Path.open

class Disk(io.FileIO):
    def write(self, data):
        counts[0] += 1
        if counts[0] == counts[1]:
            return super().write(data[: len(data) // 2 + 1])
        if counts[0] > counts[1]:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data)

Path.open = lambda path, mode="r", **more: Disk(path, "w+") if mode == "w+b" else open_path(path, mode, **more)
artifact.write_distilled(path, made)
total, refused = counts[0], 0
assert path.read_bytes() == whole and total > 40
for first in range(total):
    counts[:] = 0, first
    try:
        artifact.write_distilled(path, made)
    except OSError as error:
        refused += error.errno == errno.ENOSPC
    assert [each.name for each in folder.iterdir()] == ["set.h5"] and path.read_bytes() == whole
print(refused == total)
"""
    run = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (0, "True\n"), run.stderr


def test_freed_memory_is_given_back_at_every_checkpoint_and_after_resuming(tmp_path, monkeypatch):
    given = []
    monkeypatch.setattr(cell_run, "give_back_freed_memory", lambda: given.append(1))
    part = distil(tmp_path, monkeypatch, stop_at=3)
    assert len(given) == len(part.done) == 4
    distil(tmp_path, monkeypatch, checkpoint_seconds=1e6)
    assert len(given) == 5
