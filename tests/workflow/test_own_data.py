"""Own pictures go through the whole workflow by configuration alone: the example of docs/data.md, with whitening."""

import csv
import json
import re

import h5py
import numpy as np
import pytest
import yaml
from PIL import Image

from bacon import load_distilled
from tests.workflow.conftest import ROOT

pytestmark = pytest.mark.workflow


def test_the_example_of_the_documentation(project):
    """Pictures of mixed sizes, two classes, one of them corrupt, in a folder whose name is hard on shells and patterns."""
    page = (ROOT / "docs" / "data.md").read_text()
    config = yaml.safe_load(re.search(r"<!-- example -->\n```yaml\n(.*?)```", page, re.DOTALL)[1])
    config["data"]["pictures"]["zca"] = True
    config["data"]["pictures"]["path"] = "my {best}  'pictures' $HOME/"
    project.configure(config)
    draw = np.random.default_rng(0)
    for label, name in enumerate(("cat", "dog")):
        folder = project.path(f"my {{best}}  'pictures' $HOME/{name}")
        folder.mkdir(parents=True)
        for number in range(24):
            noise = draw.integers(0, 128, (20 + number, 24, 3)) + np.array([100 * label, 0, 0])
            Image.fromarray(noise.astype(np.uint8)).save(folder / f"{number}.jpg")
        (folder / "broken.jpg").write_bytes(b"")
    project.snakemake()

    with h5py.File(project.path("results/data/pictures.h5")) as file:
        assert file["train/images"].shape == (36, 3, 16, 16)
        assert file["test/images"].shape == (12, 3, 16, 16)
        assert json.loads(file.attrs["class_names"]) == ["cat", "dog"]
    with project.path("results/tables/accuracy.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["method"] for row in rows} == {"full", "random", "dm", "bacon"}
    assert {row["dataset_title"] for row in rows} == {"My pictures"}
    with Image.open(project.path("results/figures/images/pictures_bacon_ipc1.png")) as figure:
        assert len(figure.convert("RGB").getcolors(2**20)) > 100

    path = project.path("results/distilled/pictures/random/ipc1/seed0.h5")
    chosen = load_distilled(path, raw=True)
    with h5py.File(project.path("results/data/pictures.h5")) as file:
        pixels = file["train/images"][()].astype(np.float32) / 255
    # A random coreset is whitened real images; undoing the whitening gives the images back.
    for image, label in zip(chosen.images.numpy(), chosen.labels.tolist(), strict=True):
        nearest = np.abs(pixels - image).max(axis=(1, 2, 3)).min()
        assert nearest < 1e-3
        assert image[0].mean() - image[1].mean() == pytest.approx(100 / 255 * label, abs=0.1)
    whitened = load_distilled(path)
    np.testing.assert_allclose(whitened.whitening.apply(chosen.images.numpy()), whitened.images.numpy(), atol=1e-2)
