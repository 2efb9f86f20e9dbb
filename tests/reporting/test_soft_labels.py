"""Soft labels, learned rates and classes that move: what figures, tables and the report's cells say of such sets."""

from __future__ import annotations

from dataclasses import replace

import h5py
import numpy as np
import pandas as pd
import pytest
import torch

from bacon.artifacts.distilled_file import write_distilled
from bacon.artifacts.distilled_layout import read_classes
from bacon.reporting.collect.distilled_files import collect_cost, read_images
from bacon.reporting.collect.evaluations import ExpectedDistilled
from bacon.reporting.collect.shown_snapshots import read_snapshots
from bacon.reporting.figures.images import images_figure
from bacon.reporting.page.pictures import cell_picture
from bacon.reporting.tables.cost_tables import cost_grids, summarise_cost
from bacon.reporting.tables.ranking_tables import ranking_notes
from bacon.runtime.errors import BaconError
from tests.artifacts.synthetic import drawn, result_of


def written(folder, synthetic, *, method="dm", **changes) -> ExpectedDistilled:
    path = folder / f"{method}.h5"
    write_distilled(path, result_of(synthetic, **changes))
    return ExpectedDistilled(
        path=path,
        dataset="mine",
        dataset_title="Mine",
        method=method,
        method_title=method.upper(),
        ipc=2,
        seed=0,
        fingerprint="f",
    )


@pytest.fixture
def moved(tmp_path):
    """Two snapshots of constant images, image i of grey level i / 10; in the first, the classes run the other way round."""
    levels = torch.arange(6, dtype=torch.float32)[:, None, None, None].expand(6, 1, 8, 8) / 10
    final = replace(drawn(kind=None, rates=0, partition=1), images=(levels - 0.4) / 0.2)
    first = replace(final, classes=final.classes.flip(0))
    return written(tmp_path, final, snapshots={0: first, 20: final})


def test_snapshots_are_shown_by_their_own_classes(moved):
    found = read_snapshots(moved, classes=3, per_class=1)
    np.testing.assert_allclose(found.images[20][:, 0, 0, 0], [0.0, 0.2, 0.4], atol=1e-6)
    np.testing.assert_allclose(found.images[0][:, 0, 0, 0], [0.4, 0.2, 0.0], atol=1e-6)


def test_initial_images_are_shown_by_their_own_classes(moved):
    images = read_images(moved)
    start, end = images_figure(images, title="t").axes[:2]
    assert end.images[0].get_array()[0, 0, 0] == pytest.approx(0.0, abs=1e-6)
    assert start.images[0].get_array()[0, 0, 0] == pytest.approx(0.4, abs=1e-6)


def test_soft_labels_in_the_place_of_the_class_index_are_refused(tmp_path):
    """A cast to whole numbers would make classes of them: zeros, and a one here and there."""
    expected = written(tmp_path, drawn())
    with h5py.File(expected.path, "r+") as file:
        soft = file["soft_labels"][()]
        del file["labels"]
        file["labels"] = soft
    with pytest.raises(
        BaconError, match=r"labels is float32 \(6, 3\); the class index of images is \(M,\), whole numbers"
    ):
        read_images(expected)
    with pytest.raises(BaconError, match="labels is float32"):
        read_snapshots(expected, classes=3, per_class=1)
    with h5py.File(expected.path) as file, pytest.raises(BaconError, match="labels is float32"):
        read_classes(file)


def test_captions_say_that_images_have_soft_labels_and_how_far_they_agree_with_the_class(tmp_path):
    synthetic = drawn(kind="logits", partition=1)
    agreeing = int((synthetic.soft.argmax(dim=1) == synthetic.classes).sum())
    expected = written(tmp_path, synthetic)
    words = f"each image also has a soft label (logits), which is largest for that class in {agreeing} of 6 images."
    assert words in images_figure(read_images(expected), title="t").caption
    assert words in cell_picture(expected)[1]
    hard = written(tmp_path, drawn(kind=None, rates=0, partition=1), method="idm")
    assert "soft label" not in images_figure(read_images(hard), title="t").caption + cell_picture(hard)[1]


def test_the_cost_table_counts_images_labels_and_decoder(tmp_path):
    soft = written(tmp_path, drawn(rates=2))
    hard = written(tmp_path, drawn(kind=None, rates=0), method="idm")
    cost = collect_cost([soft, hard])
    assert cost[["image_bytes", "label_bytes", "decoder_bytes"]].to_numpy().tolist() == [[1536, 80, 0], [1536, 0, 0]]
    (grid,) = cost_grids(summarise_cost(cost))
    assert grid.columns[-1] == "Storage (KiB)"
    assert [row[-1] for row in grid.rows] == ["1.5 + 0.1 + 0.0", "1.5"]


def test_scores_say_which_labels_they_are_of():
    table = pd.DataFrame(
        {
            "method_title": ["DM", "TESLA"],
            "protocol": ["3 epochs, DSA, last epoch", "3 epochs, DSA, soft labels, last epoch"],
        }
    )
    assert "All labels are hard; no test accuracy" in ranking_notes(table[:1])[0]
    assert "All labels are hard" not in ranking_notes(table)[0]
    assert (
        "Trained with soft labels, where HLR is not comparable to that of hard labels: TESLA;"
        in ranking_notes(table)[0]
    )
