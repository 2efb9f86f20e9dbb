"""Which cells are whitened: what the published settings and the layers of a file say, and what cannot be whitened."""

from __future__ import annotations

import pytest

from bacon.config.layering import resolve
from bacon.config.loading import check_config
from bacon.config.prepared import prepared_data
from bacon.config.unreached import unreached_values
from bacon.datasets.whitening import MAX_DIMENSION
from bacon.runtime.errors import BaconError
from bacon.settings.cells import Cell


def config(*methods, datasets=("cifar10",), ipc=(1, 10, 50), **keys):
    grid = {"datasets": list(datasets), "methods": list(methods), "ipc": list(ipc), "seeds": 1}
    return check_config({"preset": "paper", **keys, "grid": grid})


def whitened(chosen, *methods, dataset="cifar10"):
    """(Method, IPC) of the cells that are whitened."""
    cells = (Cell(dataset, method, ipc, 0) for method in methods for ipc in chosen.grid.ipc)
    return {
        (cell.method, cell.ipc)
        for cell in cells
        if prepared_data(chosen, dataset, resolve(chosen, cell).settings.preprocessing.zca).settings.zca
    }


def test_the_published_cells_are_whitened_and_no_others():
    methods = ("random", "dm", "mtt", "datm", "frepo", "kip")
    chosen = config(*methods, datasets=("cifar10", "cifar100", "tinyimagenet"))
    every = {(name, ipc) for name in ("datm", "frepo") for ipc in (1, 10, 50)}
    assert whitened(chosen, *methods) == every | {("mtt", 1), ("mtt", 10)}
    assert whitened(chosen, *methods, dataset="cifar100") == every | {("mtt", 1), ("mtt", 50)}
    assert whitened(chosen, *methods, dataset="tinyimagenet") == every - {("frepo", 50)}
    assert resolve(chosen, Cell("cifar10", "full")).settings.preprocessing.zca is None
    origin = resolve(chosen, Cell("cifar10", "mtt", 10, 0)).origin
    assert origin["preprocessing", "zca"] == "published mtt, cifar10, IPC 10"


def test_another_preset_whitens_nothing():
    assert whitened(config("mtt", "datm", preset="demo"), "mtt", "datm") == set()


def test_every_layer_of_a_file_can_turn_it_on_and_off():
    off = {"preprocessing": {"zca": False}}
    on = {"preprocessing": {"zca": True}}
    chosen = config(
        "dm",
        "mtt",
        "datm",
        "mtt-plain",
        methods={"datm": off},
        variants={"mtt-plain": {"method": "mtt", **off}},
        cells=[{"dataset": "cifar10", "ipc": 10, "methods": ["dm"], **on}],
        overrides={"cifar10/mtt/ipc50": on, "cifar10/full": on},
    )
    found = whitened(chosen, "dm", "mtt", "datm", "mtt-plain")
    assert found == {("dm", 10), ("mtt", 1), ("mtt", 10), ("mtt", 50)}
    assert resolve(chosen, Cell("cifar10", "full")).settings.preprocessing.zca is True
    assert unreached_values(chosen) == ()


def test_a_data_set_that_is_whitened_is_so_for_every_cell_that_does_not_say_otherwise():
    chosen = config(
        "dm", "mtt", data={"cifar10": {"zca": True}}, overrides={"cifar10/dm/ipc1": {"preprocessing": {"zca": False}}}
    )
    assert whitened(chosen, "dm", "mtt") == {(name, ipc) for name in ("dm", "mtt") for ipc in (1, 10, 50)} - {("dm", 1)}
    assert prepared_data(chosen, "cifar10", True).name == prepared_data(chosen, "cifar10").name == "cifar10"
    assert prepared_data(chosen, "cifar10", False).name == "cifar10-plain"
    assert prepared_data(config("dm"), "cifar10", True).name == "cifar10-zca"


def test_a_row_of_soft_labels_is_of_the_same_images():
    grid = {"methods": ["white"], "ipc": [1], "seeds": 1, "relabelled": ["white"]}
    variant = {"method": "dm", "preprocessing": {"zca": True}}
    chosen = check_config({"preset": "smoke", "grid": grid, "variants": {"white": variant}})
    assert whitened(chosen, "white", "white_soft", dataset="digits") == {("white", 1), ("white_soft", 1)}


LARGE = {"data": {"cifar10": {"size": 128}}}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            LARGE,
            f"published mtt, cifar10, IPC 1: preprocessing.zca = true: images of cifar10 have 3 x 128 x 128 values, and ZCA "
            f"whitening takes at most {MAX_DIMENSION}: set methods.mtt.preprocessing.zca: false, or set a smaller "
            "data.cifar10.size",
        ),
        (
            LARGE | {"preset": "smoke", "overrides": {"cifar10/mtt": {"preprocessing": {"zca": True}}}},
            f"overrides[cifar10/mtt]: preprocessing.zca = true: images of cifar10 have 3 x 128 x 128 values, and ZCA whitening "
            f"takes at most {MAX_DIMENSION}: take that out, or set a smaller data.cifar10.size",
        ),
        (
            {"preset": "smoke", "data": {"cifar10": {"size": 128, "zca": True}}},
            f"data.cifar10.zca = true: images of cifar10 have 3 x 128 x 128 values, and ZCA whitening takes at most "
            f"{MAX_DIMENSION}: set data.cifar10.zca: false, or set a smaller data.cifar10.size",
        ),
        (
            {"protocol": "dc-bench"},
            "published mtt, cifar10, IPC 1: preprocessing.zca = true: the evaluation of cifar10/mtt/ipc1/seed0 (protocol "
            "dc-bench) augments pixel values (auto, rand, imagenet, cifar), which whitened images do not have: set "
            "methods.mtt.preprocessing.zca: false, or choose other evaluation.augmentations, such as none and dsa",
        ),
        (
            {"data": {"CIFAR10-zca": {"format": "npz", "path": "a.npz"}}},
            "published mtt, cifar10, IPC 1: preprocessing.zca = true: cifar10 is prepared a second time, as cifar10-zca, which "
            "is the name of another data set; give that one another name",
        ),
        (
            {"methods": {"mtt": {"zca": True}}},
            "methods.mtt.zca = true: unknown key; did you mean 'methods.NAME.preprocessing.zca'? (allowed: distillation, "
            "evaluation, network, preprocessing)",
        ),
    ],
)
def test_what_cannot_be_whitened_is_refused_with_what_to_do(keys, message):
    with pytest.raises(BaconError) as refused:
        config("mtt", ipc=[1], **keys)
    assert str(refused.value) == f"configuration: {message}"


def test_a_protocol_beside_the_headline_is_held_against_the_images_too():
    grid = {"datasets": ["cifar10"], "methods": ["mtt"], "ipc": [1], "seeds": 1, "protocols": ["p-dsa", "dc-bench"]}
    with pytest.raises(BaconError, match=r"protocol dc-bench\) augments pixel values"):
        check_config({"preset": "paper", "grid": grid})


def test_the_suggested_way_out_works():
    off = {"methods": {"mtt": {"preprocessing": {"zca": False}}}}
    assert whitened(config("mtt", protocol="dc-bench", **off), "mtt") == set()
    assert whitened(config("mtt", **LARGE, **off), "mtt") == set()
