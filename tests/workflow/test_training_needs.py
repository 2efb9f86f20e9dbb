"""Methods that need networks trained on the real set, through the real Snakemake: trained once, shared, used, and kept."""

import copy as copying
import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from bacon.artifacts.distilled_file import read_distilled
from tests.workflow.conftest import TINY
from tests.workflow.staleness_edits import AGGREGATES, NOTHING

pytestmark = pytest.mark.workflow

ENTRIES = "[bacon.methods]\nconfident = needing.record:CONFIDENT\nforgotten = needing.record:FORGOTTEN\n"
METHODS = ["confident", "forgotten"]


def configuration(**changes):
    config = copying.deepcopy(TINY) | {"methods": changes.pop("methods", {}), "run": changes.pop("run", {})}
    config["grid"]["methods"] = METHODS
    return config | changes


@pytest.fixture
def needing(project, tmp_path):
    metadata = tmp_path / "installed" / "needing-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: needing\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(ENTRIES)
    project.installed = [str(metadata.parent), str(Path(__file__).parent)]
    project.configure(configuration())
    return project


def command_line(project, *arguments):
    """What a command of ``bacon`` prints."""
    path = ":".join([str(project.snakefile.parents[1]), *project.installed])
    done = subprocess.run(
        [sys.executable, "-m", "bacon.cli", *arguments], cwd=project.folder, env={"PYTHONPATH": path, "COLUMNS": "200"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout


def most_forgotten(project, folder):
    """The image of each class that the teachers forgot most often, of equal ones the first, from the files alone."""
    with h5py.File(project.path("results/data/digits.h5")) as data:
        images, labels = data["train/images"][()], data["train/labels"][()]
        mean, std = data.attrs["mean"], data.attrs["std"]
    forgotten = np.zeros(len(labels), dtype=int)
    for run in range(2):
        with h5py.File(folder / f"run{run}.h5") as file:
            history = np.unpackbits(file["history/correct"][()], axis=1, count=len(labels)).astype(int)
        forgotten += (np.diff(history, axis=0) == -1).sum(axis=0)
    places = [max(np.flatnonzero(labels == label), key=lambda place: (forgotten[place], -place)) for label in range(10)]
    assert forgotten.max() > 0, "with nothing forgotten the order of images would not matter"
    return (images[places] / 255 - mean[0]) / std[0]


def test_networks_are_trained_once_and_distilled_with(needing):
    first = needing.snakemake()
    wanted = {"train": 2, "distill": 2, "evaluate": 2, "evaluate_full": 1}
    assert {rule: first.jobs[rule] for rule in wanted} == wanted, "the teachers, once, and the full set's networks"
    indexes = [json.loads(path.read_text()) for path in needing.path("results/training").rglob("*.json")]
    teachers = next(index for index in indexes if index["settings"]["purpose"] == "training")
    folder = needing.path(f"results/training/digits/{teachers['training']}")
    for method in METHODS:
        made = read_distilled(needing.path(f"results/distilled/digits/{method}/ipc1/seed0.h5"))
        assert made.attributes["training_fingerprints"] == {teachers["training"]: teachers["training_fingerprint"]}
    chosen = read_distilled(needing.path("results/distilled/digits/forgotten/ipc1/seed0.h5")).synthetic.images
    assert np.allclose(chosen.numpy(), most_forgotten(needing, folder), atol=1e-5)
    again = needing.snakemake("-n")
    assert again.jobs == NOTHING, again.output
    shown = command_line(needing, "status")
    assert f"digits/{teachers['training']}" in shown
    assert "Networks trained on real sets take" in shown
    assert teachers["training"] in command_line(needing, "config", "--cell", "digits/confident/ipc1/seed0")

    # A run that is lost is trained again, alone; what was made with it stays.
    (folder / "run1.h5").unlink()
    assert "the file is damaged" in command_line(needing, "status")
    lost = needing.snakemake()
    assert lost.jobs == {"all": 1, "train": 1}
    log = needing.path(f"results/logs/train/digits/{teachers['training']}/runs0-1.log")
    assert "2 networks, 1 of them already trained" in log.read_text()
    assert json.loads((folder / "runs0-1.json").read_text())["training_fingerprint"] == teachers["training_fingerprint"]
    assert needing.snakemake("-n").jobs == NOTHING

    # One teacher more for one of the methods trains that teacher, and distils that method.
    needing.configure(configuration(methods={"confident": {"distillation": {"teachers": 3}}}))
    more = needing.snakemake()
    assert more.jobs == AGGREGATES | {"train": 1, "distill": 1, "evaluate": 1, "images": 1}
    log = needing.path(f"results/logs/train/digits/{teachers['training']}/runs0-2.log")
    assert "3 networks, 2 of them already trained" in log.read_text()
    left = command_line(needing, "prune").splitlines()[:-1]
    assert [path for path in left if not path.endswith((".lock", ".holder"))] == [
        f"results/training/digits/{teachers['training']}/runs0-1.json"
    ]

    # Another recipe is another training; fewer networks per job are none.
    needing.configure(configuration(methods={name: {"distillation": {"teacher_epochs": 4}} for name in METHODS}))
    assert needing.snakemake("-n").jobs == AGGREGATES | {"train": 1, "distill": 2, "evaluate": 2, "images": 2}
    old = command_line(needing, "prune", "--config", "config/config.yaml").splitlines()
    assert f"results/training/digits/{teachers['training']}/run0.h5" in old
    assert not any("convnet.json" in path for path in old)
