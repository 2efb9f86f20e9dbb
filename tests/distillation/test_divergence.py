"""A distillation that runs off to huge, finite numbers says so; one with a method's own settings never does."""

from __future__ import annotations

import logging

import h5py
import numpy as np
import pytest
import torch

from bacon.distillation.divergence import Divergence

IMAGES = torch.ones(4, 1, 4, 4)


def look(images: torch.Tensor, *, losses: tuple[float, ...] = (), largest: float = 2.0) -> list[str | None]:
    watch, found = Divergence(largest), []
    for iteration, loss in enumerate(losses or (1.0,)):
        watch.look(iteration, images, torch.tensor(loss))
        found.append(watch.found)
    return found


def test_images_out_of_all_proportion_are_found():
    for factor in (0.0, 1.0, 19.9):
        assert look(IMAGES * factor) == [None]
    (found,) = look(torch.cat([IMAGES, IMAGES[:1] * -600]))
    assert found == "iteration 0: the root mean square of an image is 600, 300 times the largest real pixel (2)"
    (huge,) = look(IMAGES * 1e30)
    assert "1e+30" in str(huge)


def test_single_pixels_far_outside_are_no_divergence():
    images = IMAGES.clone()
    images[0, 0, 0, 0] = 70.0
    assert look(images) == [None]


@pytest.mark.parametrize(
    ("losses", "at"),
    [
        ((1.0, 2.0, 5e5), None),
        ((1e-6, 9e5), None),
        ((1e-6, 2e6), 1),
        ((2000.0, 1.9e9), None),
        ((2000.0, 3e9), 1),
        ((1.0, -2e6), 1),
        ((5.0, float("nan")), None),
    ],
)
def test_a_loss_out_of_all_proportion_to_its_start_is_found(losses, at):
    found = look(IMAGES, losses=losses)
    assert [text is not None for text in found] == [at is not None and number >= at for number in range(len(losses))]


def test_the_first_sight_stays_and_is_resumed_with():
    watch = Divergence(2.0)
    assert watch.look(0, IMAGES, None) is False
    assert watch.look(100, IMAGES * 1e3, None) is True
    assert watch.look(200, IMAGES * 1e6, None) is False
    again = Divergence(2.0)
    again.load_state_dict(watch.state_dict())
    assert again.found == watch.found
    assert "iteration 100" in str(again.found)


def test_a_cell_that_diverges_says_so_in_its_log_and_its_file(finished_cell, caplog):
    """With a learning rate that throws the images far away in the first step."""
    with caplog.at_level(logging.WARNING, logger="bacon"):
        path = finished_cell(lr_img=1e7)
    (warning,) = [record.getMessage() for record in caplog.records if "diverges" in record.getMessage()]
    for part in (
        "digits/dm/ipc1/seed0",
        "iteration ",
        "largest real pixel",
        "Lower methods.dm.distillation.lr_img (1e+07)",
    ):
        assert part in warning
    with h5py.File(path) as file:
        assert str(file.attrs["divergence"]) in warning
        assert np.isfinite(file["images"][()]).all()


def test_a_cell_with_the_methods_own_settings_does_not(finished_cell, caplog):
    with caplog.at_level(logging.WARNING, logger="bacon"):
        path = finished_cell()
    assert not [record for record in caplog.records if "diverges" in record.getMessage()]
    with h5py.File(path) as file:
        assert "divergence" not in file.attrs


@pytest.fixture
def finished_cell(tmp_path, monkeypatch):
    """Makes one cell of DM on the embedded digits and returns its file."""
    from bacon.config.loading import check_config
    from bacon.datasets.prepare import prepare
    from bacon.jobs.distillation_job import run_cell
    from bacon.plan.plan import Plan
    from bacon.settings.cells import Cell
    from bacon.settings.data import DataSettings

    monkeypatch.setenv("BACON_LOCK_DIR", str(tmp_path / "locks"))

    def make(**distillation: float):
        config = {
            "preset": "smoke",
            "grid": {"datasets": ["digits"], "methods": ["dm"], "ipc": [1], "seeds": 1},
            "datasets": {"digits": {"network": {"width": 8, "depth": 2}}},
            "methods": {"dm": {"distillation": distillation}},
            "run": {"device": "cpu"},
        }
        plan, cell = Plan(check_config(config), tmp_path), Cell("digits", "dm", 1, 0)
        data, output = tmp_path / plan.data_path(cell), tmp_path / cell.distilled_path
        source = {"download_dir": tmp_path, "output": data, "fingerprint": plan.data_fingerprint("digits")}
        prepare("digits", DataSettings(), **source)
        run_cell(plan, cell, data=data, output=output, threads=1)
        return output

    return make
