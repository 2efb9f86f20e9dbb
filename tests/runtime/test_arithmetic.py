"""What a job sets before it computes, and which operations a GPU has no deterministic form of."""

import ast
import os
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from bacon._version import __version__
from bacon.methods.gvbsm import density
from bacon.runtime.devices import is_deterministic, set_up_arithmetic
from bacon.runtime.provenance import provenance

PACKAGE = Path(__file__).parents[2] / "bacon"
GPU = torch.device("cuda")
# The rooms that compute on a GPU.
ROOMS = ("distillation", "evaluation", "methods", "networks", "training", "transforms")
# torch.use_deterministic_algorithms lists them: those that raise on a GPU, under the names by which they would be called.
WITHOUT_AN_ORDER = {
    *(
        "histc",
        "kthvalue",
        "median",
        "nanmedian",
        "put_",
        "scatter_reduce",
        "scatter_reduce_",
        "ctc_loss",
        "embedding_bag",
    ),
    *(
        "adaptive_max_pool2d",
        "AdaptiveMaxPool2d",
        "fractional_max_pool2d",
        "FractionalMaxPool2d",
        "max_unpool2d",
        "MaxUnpool2d",
    ),
    *("AvgPool3d", "avg_pool3d", "AdaptiveAvgPool3d", "CTCLoss", "EmbeddingBag"),
    *("ReflectionPad1d", "ReflectionPad2d", "NLLLoss2d"),
}
# Their forward pass has an order, their gradient has not: the transforms give them one of their own.
WITHOUT_AN_ORDER_BACK = {"adaptive_avg_pool2d", "grid_sample", "upsample", "Upsample", "upsample_bilinear"}


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32
    fill, mode = torch.utils.deterministic.fill_uninitialized_memory, torch.get_deterministic_debug_mode()
    yield
    cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32 = before
    torch.utils.deterministic.fill_uninitialized_memory = fill
    torch.set_deterministic_debug_mode(mode)


def set_up(**options):
    set_up_arithmetic(torch.get_num_threads(), **options)


def test_deterministic_is_the_default_and_reaches_every_library(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    set_up()
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.is_deterministic_algorithms_warn_only_enabled(), "what has no order is an error"
    assert not torch.utils.deterministic.fill_uninitialized_memory
    assert (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark) == (True, False)
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert is_deterministic(GPU)


@pytest.mark.parametrize(("given", "expected"), [(":16:8", ":16:8"), (":4096:8", ":4096:8"), (":0:0", ":4096:8")])
def test_a_workspace_of_cublas_that_has_an_order_stays(monkeypatch, given, expected):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", given)
    set_up()
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == expected


def test_without_it_libraries_choose(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    set_up()
    set_up(deterministic=False)
    assert not torch.are_deterministic_algorithms_enabled()
    assert (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark) == (False, True)
    assert not is_deterministic(GPU)
    assert is_deterministic(torch.device("cpu")), "whatever the setting"


def test_a_machine_without_a_gpu_keeps_pytorchs_own_kernels(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    set_up()
    assert not torch.are_deterministic_algorithms_enabled()


def test_the_process_computes_in_full_float32():
    """A network asks for less by itself (bacon.networks.arithmetic)."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
    set_up()
    assert (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32) == (False, False)


@pytest.mark.parametrize("value", [True, False])
def test_provenance_says_it(value):
    assert provenance("a device", deterministic=value)["deterministic"] is value


def test_a_checkout_that_is_not_installed_has_a_provenance(monkeypatch):
    """As on a machine to which only the files were copied."""

    def version(name):
        if name == "bacon-distillation":
            raise PackageNotFoundError(name)
        return "1.2"

    monkeypatch.setattr("bacon.runtime.provenance.version", version)
    packages = provenance("a device", deterministic=True)["packages"]
    assert (packages["bacon-distillation"], packages["torch"]) == (__version__, "1.2")


def names_called(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def test_no_operation_without_an_order_is_used_where_a_gpu_computes():
    for room in ROOMS:
        for path in (PACKAGE / room).rglob("*.py"):
            used = set(names_called(path))
            assert not used & WITHOUT_AN_ORDER, path
            has_its_own = room == "transforms" or path.name == "density.py"  # GVBSM pools by products on a GPU
            assert has_its_own or not used & WITHOUT_AN_ORDER_BACK, path


@pytest.mark.parametrize("size", [(32, 32), (28, 28), (64, 64), (50, 33)])
def test_pooling_by_products_is_adaptive_pooling(size):
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    down, across = (density._means(side, x) for side in size)
    torch.testing.assert_close(down @ x @ across.T, F.adaptive_avg_pool2d(x, 32), rtol=1e-10, atol=1e-12)
