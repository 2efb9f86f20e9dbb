"""Peak memory of the jobs of a cell: every kind of work that a whole run does, each once, in a process of its own.

An iteration of the largest cells takes a CPU minutes, but its pieces (chunks of classes, training steps) are alike, and memory
is given back between them. So on a CPU one chunk and two steps of the queue stand for an iteration, and one network for those
of an evaluation. A GPU keeps memory for what it has recorded, and works on several networks at once: there iterations are
whole, and all networks of an evaluation are trained. Everything that a long run keeps is there: the data set and a full queue
in memory, every snapshot where a job puts it. Then a checkpoint and the artifact are written. Two more processes go on from
the checkpoint, and evaluate the artifact.
"""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from bacon.artifacts.checkpoint import Checkpoint, CheckpointStore
from bacon.artifacts.distilled_file import DistillationResult, read_distilled, write_distilled
from bacon.datasets.registry import REGISTRY
from bacon.datasets.store import ImageDataset, read_dataset, write_dataset
from bacon.datasets.training_images import read_training
from bacon.distillation.engine import Engine
from bacon.distillation.network_queue import Member, Queue
from bacon.distillation.real_images import RealImages
from bacon.evaluation.evaluate_cell import decoded, train_all
from bacon.evaluation.evaluation_inputs import EvaluationFingerprints, EvaluationJob
from bacon.evaluation.trained_networks import Networks
from bacon.runtime.errors import BaconError
from bacon.runtime.memory import give_back_freed_memory
from bacon.settings.cells import Cell
from bacon.settings.evaluation import EvaluationSettings
from bacon.training.batches import GROUP_BYTES, IMAGES_AT_ONCE
from bacon.training.image_set import ImageSet
from bacon.training.steps import worth_recording
from benchmarks.cells import Measured, engine_of, measured, random_dataset
from benchmarks.machine import set_up

_ARTIFACT = "distilled.h5"
_TESTED = 1024
_SECONDS = 1800
_ITERATIONS = 3
"""On a GPU: after these, what can be recorded is."""


def measure(names: list[str], *, config: Path | None, device: torch.device) -> list[dict[str, Any]]:
    """Peak memory in bytes of each cell's distillation, resumed distillation and evaluation, one process after another."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            dataset = Cell.parse(name if "/seed" in name else f"{name}/seed0").dataset
            data = Path(folder) / f"{dataset}.h5"
            if not data.is_file():
                _run("write", dataset, str(data))
            row: dict[str, Any] = {"cell": name, "gpu_counted_bytes": counted(measured(name, config))}
            place = Path(folder) / "cell"
            place.mkdir()
            for job in JOBS:
                arguments = [name, str(data), str(place), device.type, str(torch.get_num_threads()), str(config or "")]
                found = json.loads(_run(job, *arguments).splitlines()[-1])
                row |= {f"{job}_{kind}": value for kind, value in found.items()}
            shutil.rmtree(place)
            rows.append(row)
    return rows


def _run(*arguments: str) -> str:
    command = [sys.executable, "-m", "benchmarks.memory", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    if done.returncode != 0:
        raise BaconError(f"{' '.join(command)} ended with status {done.returncode}:\n{done.stderr}")
    return done.stdout


def peaks(device: torch.device) -> dict[str, int]:
    """Peak resident memory of this process, and on a GPU the peaks of what PyTorch used and reserved there; bytes."""
    # Not getrusage, whose peak begins with that of the process that started this one.
    status = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    resident = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
    found = {"cpu_bytes": resident}
    if device.type == "cuda":
        found["gpu_bytes"] = torch.cuda.max_memory_allocated(device)
        found["gpu_reserved_bytes"] = torch.cuda.max_memory_reserved(device)
    return found


def distill(cell: Measured, data: Path, folder: Path, device: torch.device) -> None:
    """The memory of a whole distillation, whose checkpoint and artifact stay in ``folder``."""
    dataset = read_training(data)
    real, about = RealImages(dataset, device=device), {"mean": list(dataset.mean), "std": list(dataset.std)}
    del dataset
    engine, store = _engine(cell, real), _store(folder)
    if fill(engine):
        give_back_freed_memory()  # as a job does at every checkpoint, more often than a queue of this size fills
    engine.snapshots = store.snapshots
    for iteration in cell.matching.snapshot_iterations():
        engine.snapshots[iteration] = engine.synthetic()
    _step(engine)
    if not store.save(Checkpoint(iteration=1, seconds=1.0, state=engine.state_dict())):
        raise BaconError(f"{folder}: no room for a checkpoint")
    made = DistillationResult(
        synthetic=engine.synthetic(),
        attributes=about | {"iterations": cell.matching.iterations},
        snapshots=engine.snapshots,
        history=engine.history.arrays(),
    )
    del engine, real  # a job lets go of them too before it writes
    write_distilled(folder / _ARTIFACT, made)


def resume(cell: Measured, data: Path, folder: Path, device: torch.device) -> None:
    """The memory of a job that goes on from a checkpoint with a full queue, which it has twice while it loads it."""
    engine = _engine(cell, RealImages(read_training(data), device=device))
    _load(engine, folder)
    _step(engine)


def _load(engine: Engine, folder: Path) -> None:
    kept = _store(folder).load(engine.device)
    if kept is None:
        raise BaconError(f"{folder}: no checkpoint in it")
    engine.load_state_dict(kept.state)
    del kept
    give_back_freed_memory()


def _store(folder: Path) -> CheckpointStore:
    return CheckpointStore(folder=folder, fingerprint="memory")


def _engine(cell: Measured, real: RealImages) -> Engine:
    return engine_of(cell, real)


def _step(engine: Engine) -> None:
    """Whole iterations on a GPU; on a CPU one of one chunk, the largest, and two steps of the queue."""
    if engine.device.type == "cuda":
        for _ in range(_ITERATIONS):
            engine.step()
        return
    matching: Any = engine.algorithm
    if isinstance(matching.pool, Queue):
        _first_steps(matching.pool, 2)
    largest = max(matching.chunks(), key=lambda chunk: len(chunk.classes) * chunk.batch_real)
    matching.chunks = lambda: [largest]
    engine.step()


def _first_steps(queue: Queue, count: int) -> None:
    """Let an iteration's training end after ``count`` steps: the others are like them."""
    train, left = queue._train, count

    def first(member: Member, indices: torch.Tensor) -> None:
        nonlocal left
        taken = indices[:left]
        left -= len(taken)
        if len(taken):
            train(member, taken)

    queue._train = first  # type: ignore[method-assign]


def counted(cell: Measured, *, chunk_images: int = 2048) -> int:
    """Bytes that a distillation holds on a GPU at its peak, counted from shapes: an estimate, without libraries' workspaces.

    The data set, a full queue with momenta, images with momentum, and the largest of the passes: real images of a chunk
    without a graph, synthetic ones of a chunk, or of several as they are joined, or a batch of the queue with all maps kept
    for the gradient. Maps count twice, as where norm and ReLU are not fused.
    """
    info, network, settings = REGISTRY[cell.cell.dataset], cell.settings.network, cell.matching
    channels, size, _ = info.shape
    element = 2 if network.precision == "bf16" else 4
    sides = [size // 2**block for block in range(network.depth)]
    first, pooled = (2 * element * network.width * size**2, element * network.width * (size // 2) ** 2)
    kept = sum(element * network.width * (2 * side**2 + (side // 2) ** 2) for side in sides)
    classes, per_class = info.classes, cell.ipc * settings.partition**2
    limit = chunk_images * 32**2 // max(size**2, 32**2)
    together = max(1, limit // max(min(settings.batch_real, info.train_size // classes), per_class))
    real = min(limit, settings.batch_real * together) * (first + pooled)
    synthetic = min(classes * per_class, max(together * per_class, limit))
    passes = [real, synthetic * (kept + first)]
    state = info.train_size * channels * size**2 + 2 * 4 * classes * cell.ipc * channels * size**2
    if settings.networks.source == "queue":
        passes.append(settings.networks.batch_train * (kept + first))
        features = network.width * (size // 2**network.depth) ** 2
        weights = 9 * network.width * (channels + (network.depth - 1) * network.width) + features * classes
        state += settings.networks.capacity * 2 * 4 * weights
        # Networks are trained side by side, and beside the matching; what is recorded keeps its memory.
        passes = [max(passes[:2]) + settings.networks.networks_trained * passes[2]]
    return state + max(passes)


def fill(engine: Engine) -> bool:
    """Where networks come from a queue: as many as it holds at the most, each with its momentum; whether there is one."""
    queue = getattr(engine.algorithm, "pool", None)
    if not isinstance(queue, Queue):
        return False
    while len(queue.members) < queue.settings.capacity:
        queue.push()
    for member in queue.members:
        member.optimiser.fill_momenta()
    return True


def evaluate(cell: Measured, data: Path, folder: Path, device: torch.device) -> None:
    """The memory of an evaluation: distilled set and test set, as many steps as are made at once, test batches."""
    distilled = read_distilled(folder / _ARTIFACT)
    final, on_gpu = cell.matching.iterations, device.type == "cuda"

    def training_set(dataset: ImageDataset, iteration: int) -> ImageSet:
        train = decoded(distilled, dataset, iteration, final, device)
        return train if on_gpu else train.first(IMAGES_AT_ONCE)

    info, protocol = REGISTRY[cell.cell.dataset], cell.settings.evaluation
    images = info.classes * cell.ipc * cell.matching.partition**2
    group = GROUP_BYTES // (4 * math.prod(info.shape)) if on_gpu else IMAGES_AT_ONCE
    epochs = -(-group // images)
    if on_gpu:
        epochs = max(min(epochs, protocol.epochs), recorded_epochs(-(-images // protocol.batch_size), device))
    seeds = protocol.seeds if on_gpu else 1
    job = evaluation_job(cell, protocol.model_copy(update={"epochs": epochs, "seeds": seeds}), folder, device)
    # A snapshot, which is read besides the final images.
    networks = Networks(job, training_set, data, final=min(distilled.snapshots, default=final))
    networks.dataset = read_dataset(data, train=False)
    if not on_gpu:
        networks.test = networks.test.first(_TESTED)
    train_all(networks)


def recorded_epochs(steps: int, device: torch.device) -> int:
    """Epochs of ``steps`` after which a training has recorded its steps, as a whole one does; on a CPU a single one."""
    return next(count for count in range(1, 10**6) if device.type == "cpu" or worth_recording(device, count * steps))


def evaluation_job(cell: Measured, protocol: EvaluationSettings, cache: Path, device: torch.device) -> EvaluationJob:
    """The evaluation of a measured cell with ``protocol``; finished networks go to ``cache``."""
    return EvaluationJob(
        dataset=cell.cell.dataset,
        method=cell.cell.method,
        ipc=cell.ipc,
        seed=cell.cell.seed,
        network_name="convnet",
        network=cell.settings.network,
        evaluation=protocol,
        protocol="paper",
        fingerprints=EvaluationFingerprints(rule="", record="benchmark", data="random"),
        cache=cache,
        device=device,
    )


JOBS = {"distill": distill, "resume": resume, "evaluate": evaluate}


def main(job: str, name: str, data: str, *where: str) -> None:
    """What a process of its own does: ``write`` random data, or a job, whose peaks it prints."""
    if job == "write":
        write_dataset(data, random_dataset(name))
        return
    folder, kind, threads, config = where
    cell, device = measured(name, Path(config) if config else None), torch.device(kind)
    set_up(int(threads), cell.settings.network.precision)
    JOBS[job](cell, Path(data), Path(folder), device)
    print(json.dumps(peaks(device)))


if __name__ == "__main__":
    main(*sys.argv[1:])
